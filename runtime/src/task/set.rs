//! `JoinSet`: tasks that belong together, joined in the order in which they complete.

use std::collections::VecDeque;
use std::fmt;
use std::future::{Future, poll_fn};
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker, ready};

use slab::Slab;

use super::join::{AbortHandle, JoinError, JoinHandle};
use crate::budget;
use crate::sync::Mutex;
use crate::waker_slot::WakerSlot;

/// Which members may have completed, and who waits to hear of it.
struct Completions {
    members: Mutex<VecDeque<usize>>,
    waiter: WakerSlot,
}

/// The waker that one member's task wakes when it completes.
struct Completion {
    completions: Arc<Completions>,
    member: usize,
}

impl Wake for Completion {
    fn wake(self: Arc<Self>) {
        self.completions.members.lock().push_back(self.member);
        if let Some(waker) = self.completions.waiter.take() {
            waker.wake();
        }
    }
}

struct Member<T> {
    handle: JoinHandle<T>,
    waker: Waker,
}

/// A set of tasks. Dropping it aborts them all.
///
/// ```
/// use gannet_runtime::{Builder, JoinSet};
///
/// let runtime = Builder::new_current_thread().build()?;
/// let sum = runtime.block_on(async {
///     let mut set = JoinSet::new();
///     for n in 1..=4 {
///         set.spawn(async move { n * n });
///     }
///     let mut sum = 0;
///     while let Some(square) = set.join_next().await {
///         sum += square.expect("no member panics");
///     }
///     sum
/// });
/// assert_eq!(sum, 30);
/// # Ok::<_, std::io::Error>(())
/// ```
pub struct JoinSet<T> {
    members: Slab<Member<T>>,
    completions: Arc<Completions>,
}

impl<T: Send + 'static> JoinSet<T> {
    /// Makes an empty set.
    #[must_use]
    pub fn new() -> Self {
        let completions = Completions {
            members: Mutex::new(VecDeque::new()),
            waiter: WakerSlot::new(),
        };
        Self {
            members: Slab::new(),
            completions: Arc::new(completions),
        }
    }

    /// Spawns a task of the set on the runtime of this thread.
    ///
    /// # Panics
    /// Without a runtime on this thread.
    pub fn spawn(&mut self, future: impl Future<Output = T> + Send + 'static) -> AbortHandle {
        self.insert(crate::spawn(future))
    }

    /// Makes a task that was spawned elsewhere a member.
    pub fn insert(&mut self, handle: JoinHandle<T>) -> AbortHandle {
        let abort = handle.abort_handle();
        let entry = self.members.vacant_entry();
        let completion = Completion {
            completions: self.completions.clone(),
            member: entry.key(),
        };
        let waker = Waker::from(Arc::new(completion));
        // The first look registers the waker with the task, or finds it complete.
        waker.wake_by_ref();
        entry.insert(Member { handle, waker });
        abort
    }

    /// Waits for the next member to complete, and removes it. `None` once the set is empty.
    ///
    /// # Cancel safety
    /// Dropping the future loses no member's output.
    ///
    /// # Errors
    /// [`JoinError`] of a member that panicked, was aborted, or was cut short by the end of its
    /// runtime.
    pub async fn join_next(&mut self) -> Option<Result<T, JoinError>> {
        poll_fn(|cx| self.poll_join_next(cx)).await
    }

    fn poll_join_next(&mut self, cx: &Context<'_>) -> Poll<Option<Result<T, JoinError>>> {
        if self.members.is_empty() {
            return Poll::Ready(None);
        }
        // Here and not at the members: with none left, a member would answer by completing again.
        let unit = ready!(budget::poll_proceed(cx));
        self.completions.waiter.register(cx.waker());
        loop {
            // After registering, and one at a time: completing members push while we look.
            let Some(key) = self.completions.members.lock().pop_front() else {
                return Poll::Pending;
            };
            let Some(member) = self.members.get_mut(key) else {
                continue;
            };
            let cx = Context::from_waker(&member.waker);
            if let Poll::Ready(output) = member.handle.poll_output(&cx) {
                self.members.remove(key);
                drop(self.completions.waiter.take());
                unit.spend();
                return Poll::Ready(Some(output));
            }
        }
    }

    /// Returns the number of members that were not joined.
    #[must_use]
    pub fn len(&self) -> usize {
        self.members.len()
    }

    /// Returns whether every member was joined.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    /// Asks every member to stop; they remain members until joined.
    ///
    /// ```
    /// use gannet_runtime::{Builder, JoinSet};
    ///
    /// Builder::new_current_thread().build()?.block_on(async {
    ///     let mut set = JoinSet::new();
    ///     set.spawn(std::future::pending::<()>());
    ///     set.abort_all();
    ///     let aborted = set.join_next().await.expect("a member");
    ///     assert!(aborted.unwrap_err().is_cancelled());
    ///     assert!(set.is_empty());
    /// });
    /// # Ok::<_, std::io::Error>(())
    /// ```
    pub fn abort_all(&self) {
        self.members
            .iter()
            .for_each(|(_, member)| member.handle.abort());
    }

    /// Aborts every member and waits until all have stopped.
    ///
    /// # Cancel safety
    /// Dropping the future leaves the members aborted.
    pub async fn shutdown(&mut self) {
        self.abort_all();
        while self.join_next().await.is_some() {}
    }

    /// Removes every member and lets its task go on.
    pub fn detach_all(&mut self) {
        self.members.clear();
    }
}

impl<T: Send + 'static> Default for JoinSet<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T> Drop for JoinSet<T> {
    fn drop(&mut self) {
        self.members
            .iter()
            .for_each(|(_, member)| member.handle.abort());
    }
}

impl<T> fmt::Debug for JoinSet<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JoinSet")
            .field("len", &self.members.len())
            .finish()
    }
}
