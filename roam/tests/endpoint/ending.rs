//! Sessions end: by each end's will, by a dropped handle, and with their runtime.

use std::sync::Arc;

use gannet_roam::Blob;
use gannet_roam::proto::{Event, PeerError, State};

use crate::pair::{V4, V6, blobs, current, datagrams, events, pair, run, run_both, run_on, tell};

const CLEAN: Event = Event::Closed { clean: true };

#[test]
fn either_end_shuts_down_cleanly() {
    for address in [V4, V6] {
        for by_client in [true, false] {
            run_both(|| async move {
                let (client, server) = blobs(address).await;
                tell(&client, &server, b"there").await;
                let (one, other) = if by_client {
                    (client, server)
                } else {
                    (server, client)
                };
                one.update(|value| *value = Blob::from("last words"));
                assert!(one.shut_down().await, "by client: {by_client}");
                assert!(one.is_closed());
                assert_eq!(other.recv().await, Some(Blob::from("last words")));
                assert_eq!(other.recv().await, None);
                assert!(other.is_closed() && other.shut_down().await);
                assert_eq!(events(&one).await.last(), Some(&CLEAN));
                assert_eq!(events(&other).await.last(), Some(&CLEAN));
                one.update(|value| *value = Blob::from("too late"));
                assert_eq!(one.local(Blob::clone), Blob::from("last words"));
            });
        }
    }
}

#[test]
fn both_ends_at_once_end_cleanly() {
    run_both(|| async {
        let (client, server) = blobs(V4).await;
        tell(&client, &server, b"there").await;
        let server = gannet_runtime::spawn(async move { server.shut_down().await });
        assert!(client.shut_down().await);
        assert!(server.await.expect("a task that does not panic"));
    });
}

#[test]
fn a_dropped_handle_ends_the_session_for_the_other_end() {
    run_both(|| async {
        let (client, server) = blobs(V4).await;
        tell(&client, &server, b"there").await;
        drop(client);
        assert_eq!(server.recv().await, None);
        assert_eq!(events(&server).await.last(), Some(&CLEAN));

        let (client, server) = blobs(V4).await;
        tell(&client, &server, b"there").await;
        drop(server);
        assert_eq!(client.recv().await, None);
        assert_eq!(events(&client).await.last(), Some(&CLEAN));
    });
}

/// A server that never had a client has nobody to ask, and a client of nobody gives up.
#[test]
fn an_end_without_a_peer_ends_alone() {
    run(async {
        let (client, server) = blobs(V4).await;
        // Before the server's task has run for the first time.
        assert!(!server.shut_down().await);
        assert_eq!(server.recv().await, None);
        assert!(!client.shut_down().await);
    });
}

#[test]
fn a_runtime_that_goes_takes_its_sessions_along() {
    let home = current();
    let (client, server) = run_on(&home, async {
        let (client, server) = blobs(V4).await;
        tell(&client, &server, b"there").await;
        (client, server)
    });
    let lines = run_on(&home, datagrams(V4));
    let abroad = current();
    drop(home);
    run_on(&abroad, async {
        assert_eq!(client.recv().await, None);
        assert!(!server.confirmed().await || server.is_closed());
        assert!(!client.shut_down().await);
        let closed = Event::Closed { clean: false };
        assert_eq!(events(&server).await.last(), Some(&closed));
        assert_eq!(lines.0.recv().await, None);
        assert!(lines.1.send(b"late").is_err());
    });
}

/// Whoever waits on another runtime is woken, too.
#[test]
fn a_runtime_that_goes_wakes_who_waits_elsewhere() {
    let home = current();
    let (client, server) = run_on(&home, async {
        let (client, server) = blobs(V4).await;
        tell(&client, &server, b"there").await;
        (Arc::new(client), server)
    });
    let (told, tell) = std::sync::mpsc::channel();
    let waiting = std::thread::spawn({
        let client = Arc::clone(&client);
        move || {
            run_on(&current(), async move {
                let mut recv = std::pin::pin!(client.recv());
                let early = std::future::poll_fn(|cx| {
                    std::task::Poll::Ready(recv.as_mut().poll(cx).is_ready())
                });
                assert!(!early.await);
                told.send(()).expect("the test waits");
                recv.await
            })
        }
    });
    tell.recv().expect("it waits");
    drop(home);
    assert_eq!(waiting.join().expect("no panic"), None);
    drop(server);
}

/// A value that cannot bear a certain octet.
#[derive(Clone, Debug, Default, PartialEq)]
struct Brittle(Vec<u8>);

impl State for Brittle {
    fn diff_from(&self, base: &Self) -> Vec<u8> {
        if self == base {
            Vec::new()
        } else {
            self.0.clone()
        }
    }

    fn apply(&mut self, diff: &[u8]) -> Result<(), PeerError> {
        assert_ne!(diff, [13], "an application's mistake");
        if !diff.is_empty() {
            self.0 = diff.to_vec();
        }
        Ok(())
    }

    fn size(&self) -> usize {
        self.0.len()
    }
}

/// An application's state that panics ends the session: nobody waits for ever.
#[test]
fn a_state_that_panics_ends_the_session() {
    run_both(|| async {
        let (client, server) = pair(V4, Brittle::default(), Blob::new()).await;
        client.update(|state| state.0 = vec![12]);
        assert_eq!(server.recv().await, Some(Brittle(vec![12])));
        client.update(|state| state.0 = vec![13]);
        assert_eq!(server.recv().await, None);
        assert!(server.is_closed());
    });
}
