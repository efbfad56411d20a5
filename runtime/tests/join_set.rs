//! `JoinSet`: members are joined as they complete, aborted with the set, and never lost.

mod common;

use std::future::pending;
use std::sync::atomic::Ordering;

use common::{Counted, Gate, blocked, counter, joined, on_both, until};
use gannet_runtime::{JoinSet, spawn, spawn_blocking};

#[test]
fn set_gives_members_in_the_order_of_completion() {
    on_both(|| async {
        let gates: Vec<Gate> = (0..10).map(|_| Gate::default()).collect();
        let mut set = JoinSet::new();
        for (n, gate) in gates.iter().cloned().enumerate() {
            set.spawn(async move {
                gate.wait().await;
                n
            });
        }
        let order = [3, 1, 4, 0, 5, 9, 2, 6, 8, 7];
        for n in order {
            gates[n].open();
            assert_eq!(set.join_next().await.map(joined), Some(n));
        }
        assert!(set.join_next().await.is_none());
        assert!(set.is_empty());
    });
}

/// More members than a task's budget, all complete: joining them must neither hang nor lose any.
#[test]
fn set_of_a_thousand_complete_members_is_joined() {
    on_both(|| async {
        let mut set = JoinSet::new();
        let aborts: Vec<_> = (0..1000).map(|n| set.spawn(async move { n })).collect();
        until(|| aborts.iter().all(gannet_runtime::AbortHandle::is_finished)).await;
        let mut got = Vec::new();
        while let Some(member) = set.join_next().await {
            got.push(joined(member));
        }
        got.sort_unstable();
        assert!(got.into_iter().eq(0..1000));
    });
}

#[test]
fn set_reports_panics_and_cancellations_of_members() {
    on_both(|| async {
        let mut set = JoinSet::new();
        set.spawn(async { panic!("one") });
        let abort = set.spawn(pending::<()>());
        abort.abort();
        let (mut panics, mut cancels) = (0, 0);
        while let Some(member) = set.join_next().await {
            let err = member.expect_err("neither has an output");
            panics += usize::from(err.is_panic());
            cancels += usize::from(err.is_cancelled());
        }
        assert_eq!((panics, cancels), (1, 1));
    });
}

#[test]
fn dropped_set_aborts_and_a_detached_one_does_not() {
    on_both(|| async {
        let (dropped, go, done) = (counter(), Gate::default(), Gate::default());
        let mut set = JoinSet::new();
        for _ in 0..10 {
            let guard = Counted(dropped.clone());
            set.spawn(async move {
                let _guard = guard;
                pending::<()>().await;
            });
        }
        drop(set);
        until(|| dropped.load(Ordering::SeqCst) == 10).await;

        let mut set = JoinSet::new();
        set.spawn({
            let (go, done) = (go.clone(), done.clone());
            async move {
                go.wait().await;
                done.open();
            }
        });
        set.detach_all();
        assert_eq!(set.len(), 0);
        go.open();
        done.wait().await;
    });
}

#[test]
fn set_shut_down_waits_until_every_member_is_dropped() {
    on_both(|| async {
        let dropped = counter();
        let mut set = JoinSet::new();
        for _ in 0..300 {
            let guard = Counted(dropped.clone());
            set.spawn(async move {
                let _guard = guard;
                pending::<()>().await;
            });
        }
        set.shutdown().await;
        assert_eq!(dropped.load(Ordering::SeqCst), 300);
        assert!(set.is_empty());
    });
}

#[test]
fn member_inserted_into_a_waiting_set_is_joined() {
    on_both(|| async {
        let mut set = JoinSet::new();
        set.insert(spawn_blocking(|| 7));
        let gate = Gate::default();
        set.insert(spawn({
            let gate = gate.clone();
            async move {
                gate.wait().await;
                8
            }
        }));
        assert_eq!(set.join_next().await.map(joined), Some(7));
        drop(blocked(set.join_next()).await);
        gate.open();
        assert_eq!(set.join_next().await.map(joined), Some(8));
    });
}
