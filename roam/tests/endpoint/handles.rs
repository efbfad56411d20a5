//! Several tasks at one session, and futures that are dropped.

use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Wake, Waker};
use std::time::Duration;

use gannet_roam::proto::UserEvent;
use gannet_roam::{Blob, Output, UserStream};
use gannet_runtime::JoinSet;
use gannet_runtime::time::{interval, sleep};

use crate::pair::{V4, blobs, datagrams, pair, run, run_both, tell};
use crate::select::{First, first};

/// Nothing is lost by the waits that are given up for a tick.
#[test]
fn recv_in_a_select_loop_loses_nothing() {
    run_both(|| async {
        let (client, server) = pair(V4, UserStream::new(), Output::new()).await;
        let typing = gannet_runtime::spawn(async move {
            for step in 0..200u32 {
                client.update(|stream| stream.type_keys(format!("{step},").as_bytes()));
                sleep(Duration::from_micros(300)).await;
            }
            client.confirmed().await;
            client
        });
        let expected: String = (0..200).map(|step| format!("{step},")).collect();
        let (mut read, mut end) = (Vec::new(), 0);
        let mut tick = interval(Duration::from_millis(1));
        while read.len() < expected.len() {
            match first(tick.tick(), server.recv()).await {
                First::Left(_) => {}
                First::Right(stream) => {
                    let stream = stream.expect("the session goes on");
                    for event in stream.since(end) {
                        let UserEvent::Keys(keys) = event else {
                            continue;
                        };
                        read.extend(keys);
                    }
                    end = stream.end();
                }
            }
        }
        assert_eq!(read, expected.as_bytes());
        assert!(typing.await.expect("it types").shut_down().await);
    });
}

#[test]
fn datagrams_in_a_select_loop_are_not_lost() {
    run(async {
        let (client, server) = datagrams(V4).await;
        let mut tick = interval(Duration::from_millis(1));
        for number in 0..100u8 {
            client.send(&[number]).expect("room");
            loop {
                if let First::Right(got) = first(tick.tick(), server.recv()).await {
                    assert_eq!(got, Some(vec![number]));
                    break;
                }
            }
        }
    });
}

/// Eight tasks change one state and eight wait at the other end, each for a change of its own.
#[test]
fn several_tasks_share_a_session() {
    run_both(|| async {
        let (client, server) = pair(V4, UserStream::new(), Output::new()).await;
        let (client, server) = (Arc::new(client), Arc::new(server));
        let mut tasks = JoinSet::new();
        for writer in 0..8u8 {
            let client = Arc::clone(&client);
            tasks.spawn(async move {
                for _ in 0..50 {
                    client.update(|stream| stream.type_keys(&[b'a' + writer]));
                    gannet_runtime::yield_now().await;
                }
                assert!(client.confirmed().await);
            });
        }
        for _ in 0..8 {
            let server = Arc::clone(&server);
            tasks.spawn(async move {
                // The others may take the state: then the session's word is what is left to see.
                while server.remote().1.end() < 400 {
                    let _ = first(server.recv(), sleep(Duration::from_millis(5))).await;
                }
            });
        }
        while let Some(ended) = tasks.join_next().await {
            ended.expect("a task that does not panic");
        }
        assert_eq!(server.remote().1.end(), 400);
    });
}

/// Whoever waits for the end is told, all of them.
#[test]
fn everyone_who_waits_is_told_of_the_end() {
    run_both(|| async {
        let (client, server) = blobs(V4).await;
        tell(&client, &server, b"there").await;
        let server = Arc::new(server);
        let mut tasks = JoinSet::new();
        for _ in 0..10 {
            let server = Arc::clone(&server);
            tasks.spawn(async move { server.recv().await });
        }
        gannet_runtime::yield_now().await;
        assert!(client.shut_down().await);
        while let Some(ended) = tasks.join_next().await {
            assert_eq!(ended.expect("a task that does not panic"), None);
        }
    });
}

struct Count;

impl Wake for Count {
    fn wake(self: Arc<Self>) {}
}

/// A session in which nothing happens keeps no waker of those who have given up.
#[test]
fn dropped_futures_leave_no_wakers() {
    run(async {
        let (client, server) = blobs(V4).await;
        tell(&client, &server, b"there").await;
        let count = Arc::new(Count);
        let waker = Waker::from(Arc::clone(&count));
        for _ in 0..100 {
            let mut recv = pin!(server.recv());
            let mut context = Context::from_waker(&waker);
            assert!(recv.as_mut().poll(&mut context).is_pending());
            assert!(recv.as_mut().poll(&mut context).is_pending());
        }
        assert_eq!(Arc::strong_count(&count), 2);
    });
}

/// A future that moves to another task wakes that one.
#[test]
fn a_future_wakes_the_task_that_polled_it_last() {
    run(async {
        let (client, server) = blobs(V4).await;
        tell(&client, &server, b"there").await;
        let mut recv = Box::pin(server.recv());
        let count = Arc::new(Count);
        let waker = Waker::from(Arc::clone(&count));
        assert!(
            recv.as_mut()
                .poll(&mut Context::from_waker(&waker))
                .is_pending()
        );
        client.update(|value| *value = Blob::from("moved"));
        assert_eq!(recv.await, Some(Blob::from("moved")));
    });
}
