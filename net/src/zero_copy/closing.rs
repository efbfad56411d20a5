//! The end of a connection whose buffers the kernel still reads.
//!
//! ```text
//! (closed or dropped) ──▶ winding down ──all back──▶ closed
//!                          │         │ the peer takes nothing for a minute, or ten minutes are over
//!                          │         ▼
//!                          │       reset ──all back──▶ closed
//!         nobody can wait            │ they do not come back in a second
//!                          ▼         ▼
//!                           abandoned: closed, and the memory is given up
//! ```
//! A reset takes the packets out of the kernel's queues, and with them go its references to the memory;
//! only what a network card is sending at that moment comes back later. Without a runtime, that of the
//! task or that of the connection, nobody can wait. Then the kernel delivers what is lent, as it would
//! have delivered copies, from memory that is never used for anything else: most often the process ends
//! next.

use std::io;
use std::net::Shutdown;
use std::sync::Arc;
use std::time::Duration;

use gannet_runtime::time::timeout;
use gannet_sys::{fork, option, socket};

use super::Parts;

/// How long a peer may take nothing, as long as the kernel waits for the end of what has no owner
/// (`/proc/sys/net/ipv4/tcp_fin_timeout`).
pub(super) const PATIENCE: Duration = Duration::from_secs(60);
/// How many such times a peer gets that takes something in each.
const PATIENCE_TIMES: u32 = 10;
/// How long a network card may take to be done with what it is sending.
const RESET_WAIT: Duration = Duration::from_secs(1);

/// A connection without an owner, that has something lent. Dropping it gives up what is lent still.
pub(super) struct Remains {
    parts: Arc<Parts>,
    generation: u32,
}

impl Remains {
    pub(super) fn new(parts: Arc<Parts>) -> Self {
        Remains {
            parts,
            generation: fork::generation(),
        }
    }

    /// Winds the connection down until nothing is lent, and closes it.
    pub(super) async fn settle(self) {
        let parts = &*self.parts;
        // The deadline was for the owner.
        let _ = parts.conn.set_write_deadline(None);
        let resets = parts.resets_on_close() || {
            // Errors mean that the connection is gone: what is lent comes back all the same.
            let _ = parts.conn.shutdown(Shutdown::Both);
            parts.stalls().await
        };
        if resets && !parts.is_settled() {
            parts.reset();
            let _ = timeout(RESET_WAIT, parts.wait_for_all()).await;
        }
    }
}

impl Drop for Remains {
    fn drop(&mut self) {
        let parts = &*self.parts;
        if self.generation != fork::generation() || parts.is_settled() {
            return;
        }
        if parts.resets_on_close() {
            parts.reset();
        }
        if !parts.is_settled() {
            parts.loans().abandon();
        }
    }
}

impl Parts {
    /// Looks whether everything is back. Nobody else has the connection.
    pub(super) fn is_settled(&self) -> bool {
        let _ = self.conn.fd.with_fd(|fd| self.reap(fd));
        self.loans().is_empty()
    }

    /// Whether the owner asked for a reset instead of an end.
    fn resets_on_close(&self) -> bool {
        let linger = self.conn.fd.with_fd(option::linger);
        matches!(linger, Ok(Ok(Some(Duration::ZERO))))
    }

    /// Waits until everything is back, and returns whether the peer has had the time it gets before
    /// that. It has not if nobody can wait: the connection may be of a runtime that has ended.
    async fn stalls(&self) -> bool {
        let mut acked = self.bytes_acked();
        for _ in 0..PATIENCE_TIMES {
            if timeout(self.patience, self.wait_for_all()).await.is_ok() {
                return false;
            }
            let before = std::mem::replace(&mut acked, self.bytes_acked());
            if acked == before {
                break;
            }
        }
        true
    }

    fn wait_for_all(&self) -> impl Future<Output = io::Result<()>> + '_ {
        let next = self.loans().next();
        self.wait(next)
    }

    /// How many bytes the peer has taken; the same again if that is not known.
    fn bytes_acked(&self) -> u64 {
        let info = self.conn.fd.with_fd(option::tcp_info);
        info.and_then(|info| info)
            .map_or(0, |info| info.bytes_acked)
    }

    fn reset(&self) {
        let _ = self.conn.fd.with_fd(socket::disconnect);
    }
}
