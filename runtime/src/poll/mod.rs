//! The netpoller: from epoll events to tasks that wait for a descriptor.
//!
//! [`fd::AsyncFd`] owns a descriptor. It combines a [`fd_lock::FdLock`] (who may use the descriptor
//! now), a [`desc::Descriptor`] in type-stable [`slots`] (readiness and deadlines of its two
//! directions), and the [`poller::Poller`] that feeds the latter. None of them knows what TCP is,
//! and a descriptor does not know that its readiness comes from epoll.

pub(crate) mod adopt;
pub(crate) mod closing;
pub(crate) mod desc;
pub(crate) mod direction;
pub(crate) mod fd;
pub(crate) mod fd_lock;
pub(crate) mod guard;
pub(crate) mod owned;
pub(crate) mod poller;
pub(crate) mod reserve;
pub(crate) mod series;
pub(crate) mod slots;
pub(crate) mod wake;
