//! The connections that are open, so that a shutdown can reach each of them.

use std::future::poll_fn;
use std::sync::{Arc, Mutex, MutexGuard, Weak};
use std::task::{Poll, Waker};

use gannet::net::Conn;

/// The open connections. Costs an idle one eight bytes.
#[derive(Default)]
pub(crate) struct Connections {
    table: Mutex<Table>,
}

#[derive(Default)]
struct Table {
    slots: Vec<Option<Weak<Conn>>>,
    free: Vec<usize>,
    /// Who waits for the table to be empty.
    waiter: Option<Waker>,
}

impl Table {
    fn is_empty(&self) -> bool {
        self.free.len() == self.slots.len()
    }
}

impl Connections {
    /// Adds a connection, until the result is dropped.
    pub(crate) fn add(&self, conn: &Arc<Conn>) -> usize {
        let mut table = self.table();
        let entry = Some(Arc::downgrade(conn));
        match table.free.pop() {
            Some(slot) => {
                table.slots[slot] = entry;
                slot
            }
            None => {
                table.slots.push(entry);
                table.slots.len() - 1
            }
        }
    }

    /// Takes a connection out that has ended.
    pub(crate) fn remove(&self, slot: usize) {
        let waiter = {
            let mut table = self.table();
            table.slots[slot] = None;
            table.free.push(slot);
            if table.is_empty() {
                table.waiter.take()
            } else {
                None
            }
        };
        // Woken without the lock: the task may run at once and want it.
        if let Some(waiter) = waiter {
            waiter.wake();
        }
    }

    /// Calls `f` with each open connection.
    pub(crate) fn for_each(&self, f: impl Fn(&Conn)) {
        // A copy, so that `f` runs without the lock.
        let open: Vec<_> = self
            .table()
            .slots
            .iter()
            .flatten()
            .filter_map(Weak::upgrade)
            .collect();
        open.iter().for_each(|conn| f(conn));
    }

    /// Waits until no connection is open.
    pub(crate) async fn finished(&self) {
        poll_fn(|cx| {
            let mut table = self.table();
            if table.is_empty() {
                return Poll::Ready(());
            }
            table.waiter = Some(cx.waker().clone());
            Poll::Pending
        })
        .await;
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        // Nothing in here panics half way.
        self.table
            .lock()
            .unwrap_or_else(|poison| poison.into_inner())
    }
}
