//! Models of the watch over workers.

use loom::sync::Arc;

use super::*;
use crate::sync::model::model;
use crate::sync::thread;

/// L3: a worker that goes to work while the watcher's timer rings is watched afterwards, by one
/// timer.
///
/// Mutant: watch_set_without_fence: the worker sees the timer that rang as still set.
/// Mutant: watch_renew_without_fence: the watcher sees the worker as still parked.
/// Mutant: watch_set_not_atomic: both set the timer.
#[test]
fn worker_that_comes_back_is_watched() {
    model("worker_that_comes_back_is_watched", Some(3), || {
        let (idle, watch) = (Arc::new(Idle::new(3)), Arc::new(Watch::new()));
        // Of three workers two are about to come back, and the third watches.
        let places = [(); 2].map(|()| idle.park(false).0);
        assert!(watch.set(|| 0).is_some());
        let workers = places.map(|place| {
            let (idle, watch) = (idle.clone(), watch.clone());
            thread::spawn(move || {
                idle.unpark(place);
                watch.set(|| INTERVAL).is_some()
            })
        });
        assert_eq!(watch.take(INTERVAL), Ring::Due);
        let mut timers = usize::from(watch.renew(&idle, 3, || INTERVAL).is_some());
        for worker in workers {
            timers += usize::from(worker.join().unwrap());
        }
        assert_eq!(timers, 1, "timers that watch the workers");
    });
}

/// L3: one of two workers at which the timer rings looks, and the other does not take the next look
/// early.
///
/// Mutant: watch_taken_twice: both look.
/// Mutant: watch_taken_early: the late one takes the next look at once.
#[test]
fn ring_is_taken_by_one() {
    model("ring_is_taken_by_one", None, || {
        let (idle, watch) = (Arc::new(Idle::new(3)), Arc::new(Watch::new()));
        assert!(watch.set(|| 0).is_some());
        let watchers = [(); 2].map(|()| {
            let (idle, watch) = (idle.clone(), watch.clone());
            thread::spawn(move || {
                let takes = watch.take(INTERVAL) == Ring::Due;
                if takes {
                    let again = watch.renew(&idle, 3, || INTERVAL);
                    assert!(again.is_some(), "the others are at work");
                }
                takes
            })
        });
        let looks = watchers.map(|watcher| watcher.join().unwrap());
        assert_ne!(looks[0], looks[1], "one of them looks");
    });
}
