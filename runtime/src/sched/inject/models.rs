//! Models of the global run queue.

use loom::sync::Arc;

use super::super::models::Runnables;
use super::*;
use crate::sync::model::model;
use crate::sync::thread;

/// L10: a runnable that is pushed while the queue closes is taken, dropped by `close`, or refused;
/// none stays behind, and the length tells the truth.
///
/// Mutant: inject_looks_before_it_locks: a push that saw the queue open comes after its end.
/// Mutant: inject_len_outside_the_lock: an old length replaces a newer one.
/// Mutant: inject_close_keeps_len: a closed queue seems to have work for ever.
#[test]
fn push_and_close_leave_nothing_behind() {
    model("push_and_close_leave_nothing_behind", Some(3), || {
        let (runnables, entries) = Runnables::new(3);
        let inject = Arc::new(Inject::new());
        for task in &entries {
            runnables.write(task);
        }
        let mut entries = entries.into_iter();
        let (first, second) = (entries.next().unwrap(), entries.next().unwrap());
        let pusher = {
            let inject = inject.clone();
            thread::spawn(move || [first, second].map(|task| inject.push(task)))
        };
        let closer = {
            let inject = inject.clone();
            thread::spawn(move || inject.close())
        };
        let taken = inject.pop(1, |_| unreachable!("one was asked for"));
        let taken = taken.map(|task| runnables.read(task));
        let queued = pusher.join().unwrap();
        assert!(queued[0] || !queued[1], "closing is final");
        if let Some(number) = taken {
            assert!(queued[number], "a runnable was taken and refused");
        }
        closer.join().unwrap();
        assert!(!inject.push(entries.next().unwrap()), "closing is final");
        assert_eq!(inject.len(), 0, "what nobody will take");
        assert!(
            inject.inner.lock().queue.is_empty(),
            "what nobody will take"
        );
    });
}

/// L10: two who take and one who pushes: each runnable is taken once, and the length never hides
/// one.
///
/// Mutant: inject_popped_len_outside_the_lock: an old length hides what was pushed.
#[test]
fn pop_and_push_take_each_once() {
    model("pop_and_push_take_each_once", Some(3), || {
        let (runnables, entries) = Runnables::new(3);
        let inject = Arc::new(Inject::new());
        let mut entries = entries.into_iter();
        for task in entries.by_ref().take(2) {
            runnables.write(&task);
            assert!(inject.push(task));
        }
        let popper = {
            let (inject, runnables) = (inject.clone(), runnables.clone());
            thread::spawn(move || {
                let mut taken = Vec::new();
                let first = inject.pop(2, |task| taken.push(runnables.read(task)));
                taken.extend(first.map(|task| runnables.read(task)));
                taken
            })
        };
        let last = entries.next().unwrap();
        runnables.write(&last);
        assert!(inject.push(last));
        let mut taken = popper.join().unwrap();
        while let Some(task) = inject.pop(1, |_| unreachable!("one was asked for")) {
            taken.push(runnables.read(task));
        }
        super::super::models::assert_each_once(taken, 3);
    });
}
