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
        let (idle, watch) = (Arc::new(Idle::new()), Arc::new(Watch::new()));
        // Of three workers two are about to come back, and the third watches.
        for _ in 0..2 {
            idle.start_searching();
            idle.park();
        }
        assert!(watch.set());
        let workers = [(); 2].map(|()| {
            let (idle, watch) = (idle.clone(), watch.clone());
            thread::spawn(move || {
                idle.unpark();
                watch.set()
            })
        });
        let mut timers = usize::from(watch.renew(&idle, 3));
        for worker in workers {
            timers += usize::from(worker.join().unwrap());
        }
        assert_eq!(timers, 1, "timers that watch the workers");
    });
}
