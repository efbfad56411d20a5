//! Context guards that are kept, or dropped in another order than they were made.

use gannet_runtime::{Builder, Handle, spawn};

/// The guard once brought the context of a worker back that was no more: two threads then owned one
/// queue, and a task was freed twice.
#[test]
fn guard_kept_beyond_its_block_on_leaves_a_thread_that_may_block() {
    let runtime = Builder::new_current_thread().build().expect("descriptors");
    let handle = runtime.handle().clone();
    let mut kept = Vec::new();
    for n in 0..3 {
        let (guard, task) = runtime.block_on(async { (handle.enter(), spawn(async move { n })) });
        kept.push(guard);
        assert_eq!(runtime.block_on(task).expect("it does not panic"), n);
    }
    // First in, first out: the wrong order.
    kept.drain(..).for_each(drop);
    assert!(Handle::try_current().is_err(), "all guards are gone");
    let task = runtime.spawn(async { 42 });
    let driven = std::thread::spawn(move || handle.block_on(task)).join();
    let output = driven.expect("block_on does not panic");
    assert_eq!(output.expect("the task does not panic"), 42);
}

#[test]
fn try_current_inside_a_task_is_its_runtime() {
    let runtime = Builder::new_multi_thread()
        .worker_threads(1)
        .build()
        .expect("descriptors");
    let task =
        runtime.spawn(async { Handle::try_current().map(|handle| handle.metrics().workers) });
    let workers = runtime.block_on(task).expect("it does not panic");
    assert_eq!(workers.expect("a runtime"), 1);
    assert!(Handle::try_current().is_err(), "none on this thread");
}

#[test]
fn handles_are_equal_if_they_are_of_one_runtime() {
    let [one, other] =
        [(); 2].map(|()| Builder::new_current_thread().build().expect("descriptors"));
    let inside = one.block_on(async { Handle::try_current() });
    assert_eq!(inside.expect("a runtime"), *one.handle());
    assert_ne!(one.handle(), other.handle());
}
