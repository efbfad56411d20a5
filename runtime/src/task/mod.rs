//! Tasks: one allocation each, shared by the run queue, wakers, the registry and the `JoinHandle`.
//!
//! # The safety argument, once for the whole module
//!
//! A task is a `Cell<F, S>`: a [`Header`](raw::Header) that does not depend on the future's type,
//! and a *stage* that holds the future, then its output, then nothing. Everybody refers to it by a
//! pointer to the header and owns one of the references counted in the header's
//! [`State`](state::State). Rules:
//!
//! 1. The stage belongs to the thread that set `RUNNING`. It sets it by an exchange from a word
//!    without `RUNNING` and `COMPLETE`, so there is one at a time.
//! 2. Once `COMPLETE` is set, the stage belongs to the `JoinHandle`: it is only set while
//!    `JOIN_INTEREST` is, or by a thread that found it given up and dropped the output.
//! 3. Giving up `JOIN_INTEREST` and setting `COMPLETE` are both read-modify-writes of the word, so
//!    exactly one of the two sides drops the output.
//! 4. The header's fields other than the state are written before the task is published and not
//!    after, but for two: the links, which the lock of the task's [`list`] guards, and the join
//!    waker. That is the `JoinHandle`'s while `JOIN_WAKER` is not set; it stores a waker and sets
//!    the bit. A thread that sets `COMPLETE` while the bit is set owns the waker. Before that, the
//!    handle gets it back by clearing the bit; it never does so in a word with `COMPLETE`.
//! 5. The cell is freed by whoever drops the last reference; the future is gone by then, or is
//!    dropped with it.
//! 6. A run queue entry owns one reference; `NOTIFIED` is set exactly while there is such an entry,
//!    or while the task runs and will be queued again. A waker that is given away hands its own
//!    reference to the entry.
//! 7. A transition that ends the use of a reference drops it in the same step. So whoever stops,
//!    completes or queues a task does not touch the cell afterwards; what is needed then (the queue,
//!    the join waker) is moved out before.
//!
//! ```text
//!                 wake (queues)             run                     pending
//!   IDLE ───────────────────────▶ NOTIFIED ─────▶ RUNNING ─────────────────▶ IDLE
//!                                     ▲              │  │ wake: RUNNING|NOTIFIED, queued again after "pending"
//!                                     └──────────────┘  └─── ready, panic, CANCELLED ──▶ COMPLETE
//!   abort: sets CANCELLED and queues, whoever runs the task next drops the future.
//!   shutdown: sets CANCELLED and takes RUNNING itself if nobody has it.
//! ```

pub(crate) mod join;
pub(crate) mod list;
pub(crate) mod raw;
pub(crate) mod registry;
pub(crate) mod set;
pub(crate) mod state;

crate::sync::models!();
