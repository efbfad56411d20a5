//! Watching the network of a namespace that belongs to the test.

mod common;

use std::future::poll_fn;
use std::io::Write;
use std::process::{Command, Stdio};
use std::task::Poll;

use common::namespace::{in_namespace, ip};
use common::{run, run_threads};
use gannet_net::{AddressWatch, NetworkChange};
use gannet_runtime::{spawn, yield_now};

/// Takes what the watch knows already.
async fn settle(watch: &mut AddressWatch) -> NetworkChange {
    let mut all = NetworkChange::default();
    poll_fn(|cx| {
        while let Poll::Ready(change) = watch.poll_changed(cx) {
            all = all | change.expect("a change");
        }
        Poll::Ready(())
    })
    .await;
    all
}

/// The change that `ip` makes with these arguments: announcements come before it ends.
async fn change_by(watch: &mut AddressWatch, arguments: &str) -> NetworkChange {
    assert!(settle(watch).await.is_nothing(), "before {arguments}");
    ip(arguments);
    watch.changed().await.expect("a change")
}

#[test]
fn changes_are_told_apart() {
    in_namespace("changes_are_told_apart", || {
        run(async {
            let mut watch = AddressWatch::new().expect("a watch");
            let nothing = NetworkChange::default();
            let change = change_by(&mut watch, "link set lo mtu 1400").await;
            assert!(change.links && !change.addresses, "{change:?}");
            // An address comes with its routes.
            for command in ["add 10.77.0.1/24", "del 10.77.0.1/24"] {
                let change = change_by(&mut watch, &format!("addr {command} dev lo")).await;
                assert!(change.addresses && !change.links, "{command}: {change:?}");
            }
            for command in [
                "route add 10.77.9.0/24 dev lo",
                "-6 route add fd77:9::/64 dev lo",
            ] {
                let change = change_by(&mut watch, command).await;
                let routes = NetworkChange {
                    routes: true,
                    ..nothing
                };
                assert_eq!(change, routes, "{command}");
            }
            ip("link set lo down");
            ip("link set lo up");
            ip("addr add 10.77.0.2/24 dev lo");
            let change = watch.changed().await.expect("a change");
            assert_eq!(change, NetworkChange::ALL, "all at once");
            // What IPv6 has to tell comes piece by piece, after `ip` has ended.
            ip("addr add fd77::1/64 dev lo nodad");
            let mut change = nothing;
            while !change.addresses {
                change = watch.changed().await.expect("a change");
                assert!(!change.links, "{change:?}");
            }
        });
    });
}

#[test]
fn waiting_task_is_woken_and_earlier_changes_are_not_told() {
    in_namespace(
        "waiting_task_is_woken_and_earlier_changes_are_not_told",
        || {
            ip("addr add 10.77.0.1/24 dev lo");
            run_threads(async {
                let mut watch = AddressWatch::new().expect("a watch");
                assert!(settle(&mut watch).await.is_nothing(), "it was before");
                let waiting = spawn(async move {
                    let first = watch.changed().await.expect("a change");
                    (watch, first)
                });
                for _ in 0..5 {
                    yield_now().await;
                }
                assert!(!waiting.is_finished());
                ip("route add 10.77.9.0/24 dev lo");
                let (mut watch, change) = waiting.await.expect("no panic");
                assert!(change.routes, "{change:?}");
                // A future that is dropped takes nothing with it.
                drop(watch.changed());
                ip("link set lo mtu 1300");
                assert!(watch.changed().await.expect("a change").links);
            });
        },
    );
}

#[test]
fn changes_that_were_lost_are_a_change_of_everything() {
    in_namespace("changes_that_were_lost_are_a_change_of_everything", || {
        run(async {
            let mut watch = AddressWatch::new().expect("a watch");
            let mut batch = Command::new("ip")
                .args(["-batch", "-"])
                .stdin(Stdio::piped())
                .spawn()
                .expect("ip starts");
            let mut commands = String::new();
            for n in 0..4000 {
                let (high, low) = (n / 250, n % 250);
                commands += &format!("addr add 10.77.{high}.{low}/32 dev lo\n");
            }
            let mut stdin = batch.stdin.take().expect("a pipe");
            stdin.write_all(commands.as_bytes()).expect("it reads");
            drop(stdin);
            assert!(batch.wait().expect("it ends").success());
            let change = settle(&mut watch).await;
            assert_eq!(change, NetworkChange::ALL, "no link has changed");
            ip("route add 10.77.200.0/24 dev lo");
            assert!(watch.changed().await.expect("it goes on").routes);
        });
    });
}
