//! The scheduler: which worker runs which task when.
//!
//! A worker takes runnables from its [`next`] slot, its own [`queue`], and the global [`inject`]
//! queue; with none left it steals from others, and then waits in the poller or the reserve. [`idle`]
//! decides where, and who is woken for new work, [`pace`] whether that pays, [`watch`] when somebody
//! looks for stuck workers; [`worker`] is the loop, [`shared`] what the workers of one runtime share,
//! and how they end.

pub(crate) mod idle;
pub(crate) mod inject;
pub(crate) mod next;
pub(crate) mod pace;
pub(crate) mod queue;
pub(crate) mod shared;
pub(crate) mod watch;
pub(crate) mod worker;

crate::sync::models!();
