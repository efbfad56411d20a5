//! States stay in step.

use std::time::Duration;

use gannet_roam::proto::{Event, UserEvent};
use gannet_roam::{Output, UserStream};

use crate::pair::{V4, V6, blobs, bound, datagrams, ip, pair, run, run_both, tell};

#[test]
fn states_are_in_step_both_ways() {
    for address in [V4, V6] {
        run_both(|| async move {
            let (client, server) = blobs(address).await;
            for round in 0..20u8 {
                tell(&client, &server, &[round, 1]).await;
                tell(&server, &client, &[round, 2]).await;
            }
            assert!(client.confirmed().await && server.confirmed().await);
            assert_eq!(client.remote().1.as_ref(), [19, 2]);
            assert_eq!(server.remote().1.as_ref(), [19, 1]);
            assert_eq!(client.local(|value| value.as_ref().to_vec()), [19, 1]);
            assert_eq!(client.peer_addr(), Some(server.local_addr()));
            let peer = server.peer_addr().expect("the client was heard");
            assert_eq!(peer.ip(), ip(address));
            let stats = (client.stats(), server.stats());
            assert_eq!((stats.0.rejected.total(), stats.1.rejected.total()), (0, 0));
            assert_eq!(client.path_error(), None);
        });
    }
}

/// The very first answer comes to a socket at which nobody has listened before. If its driver were
/// not woken, it would be read when a timer runs out, and be a second old.
#[test]
fn first_answer_wakes_the_client() {
    run_both(|| async {
        let (client, _server) = blobs(V4).await;
        client.update(|value| *value = "x".into());
        assert!(client.confirmed().await);
        let (first_guess, measured) = (Duration::from_secs(1), client.stats().srtt);
        assert!(measured < first_guess, "a round trip of {measured:?}");
    });
}

#[test]
fn confirmed_sees_a_change_that_was_taken_back() {
    run(async {
        let (client, server) = blobs(V4).await;
        tell(&client, &server, b"kept").await;
        assert!(client.confirmed().await);
        client.update(|value| *value = "tried".into());
        client.update(|value| *value = "kept".into());
        assert!(client.confirmed().await);
    });
}

#[test]
fn events_tell_of_the_peer_once() {
    run(async {
        let (client, server) = blobs(V4).await;
        let peer = server.local_addr();
        assert_eq!(client.event().await, Some(Event::Attached { peer }));
        let event = server.event().await.expect("an event");
        let peer = server.peer_addr().expect("a client");
        assert_eq!(event, Event::Attached { peer });
        tell(&client, &server, b"1").await;
        client.hop();
        let event = server.event().await.expect("an event");
        assert!(
            matches!(event, Event::Roamed { from, .. } if from == peer),
            "{event:?}"
        );
        tell(&client, &server, b"2").await;
        tell(&server, &client, b"3").await;
        assert_eq!((client.stats().port_hops, server.stats().roams), (1, 1));
    });
}

/// More than two hundred fragments each way, at the same time. On a machine that is so busy that a round
/// trip takes a second, they are paced accordingly: some fifty a second.
#[test]
fn big_states_go_both_ways() {
    for address in [V4, V6] {
        run_both(|| async move {
            let (client, server) = blobs(address).await;
            let mut rng = fastrand::Rng::with_seed(7);
            let mut random = || (0..1 << 18).map(|_| rng.u8(..)).collect::<Vec<u8>>();
            let (up, down) = (random(), random());
            server.update(|value| *value = down.clone().into());
            tell(&client, &server, &up).await;
            loop {
                let got = client.recv().await.expect("the session goes on");
                if got.as_ref() == down {
                    break;
                }
            }
            assert!(client.confirmed().await && server.confirmed().await);
        });
    }
}

/// What a user does and what a screen shows, in the states that mosh has.
#[test]
fn keys_and_output_are_in_step() {
    run_both(|| async {
        let (client, server) = pair(V4, UserStream::new(), Output::new()).await;
        client.update(|stream| {
            stream.resize(80, 24);
            stream.type_keys(b"ls\r");
        });
        let got = server.recv().await.expect("a state");
        let resize = UserEvent::Resize {
            width: 80,
            height: 24,
        };
        assert_eq!(got.since(0), [resize, UserEvent::Keys(b"ls\r".to_vec())]);
        server.update(|screen| screen.print(b"file\r\n"));
        let shown = client.recv().await.expect("a state");
        assert_eq!(shown.since(0), b"file\r\n");
    });
}

#[test]
fn datagrams_go_both_ways() {
    for address in [V4, V6] {
        run_both(|| async move {
            let (client, server) = datagrams(address).await;
            let longest = vec![7; client.payload_max()];
            for payload in [&b"short"[..], &longest] {
                client.send(payload).expect("room");
                assert_eq!(server.recv().await.as_deref(), Some(payload));
            }
            let longest = vec![8; server.payload_max()];
            server.send(&longest).expect("room");
            assert_eq!(client.recv().await.as_deref(), Some(&longest[..]));
            assert!(client.send(&[]).is_err());
            client.close();
            assert_eq!(client.recv().await, None);
            assert!(client.send(b"late").is_err());
        });
    }
}

/// The server's state is there before its client is, and the client's before its server.
#[test]
fn states_wait_for_the_other_end() {
    run(async {
        let bound = bound(V4).await;
        let client = gannet_roam::Client::new(bound.key().clone(), bound.local_addr());
        let (nothing, value) = (gannet_roam::Blob::new, gannet_roam::Blob::from);
        let client = client.session(nothing(), nothing()).expect("a client");
        client.update(|local| *local = value("early"));
        let server = bound.session(nothing(), nothing());
        server.update(|local| *local = value("earlier"));
        assert_eq!(server.recv().await, Some(value("early")));
        assert_eq!(client.recv().await, Some(value("earlier")));
    });
}
