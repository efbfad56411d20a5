//! What all tasks of the server share: the deadline, and whether it is time to end.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering, fence};
use std::time::{Duration, Instant};

use gannet::net::{PacketConn, Socket};
use gannet::time;

use crate::connections::Connections;
use crate::report::Report;

/// The shared state of all listeners and connections.
pub(crate) struct Server {
    /// How long a read or a write may take.
    deadline: Option<Duration>,
    stopping: AtomicBool,
    pub(crate) connections: Connections,
    pub(crate) report: Report,
}

impl Server {
    pub(crate) fn new(deadline: Option<Duration>) -> Self {
        Server {
            deadline,
            stopping: AtomicBool::new(false),
            connections: Connections::default(),
            report: Report::new("echo"),
        }
    }

    /// Makes every task that waits for something to read stop waiting.
    ///
    /// A read deadline in the past does that, also for a task that is about to wait.
    pub(crate) fn stop(&self, packets: &[Arc<PacketConn>]) {
        self.stopping.store(true, Ordering::Relaxed);
        // Pairs with the fence in `arm_read`: either that task sees the flag, or its deadline was
        // stored before the one that is stored here and is overwritten by it.
        fence(Ordering::SeqCst);
        let past = Some(time::now());
        for packet in packets {
            // Fails only on a closed socket, which waits for nothing.
            let _ = packet.set_read_deadline(past);
        }
        self.connections.for_each(|conn| {
            let _ = conn.set_read_deadline(past);
        });
    }

    pub(crate) fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::Acquire)
    }

    /// Sets the deadline of the next read anew. Returns whether the server is stopping, so that a
    /// wait for more would be one for nothing.
    pub(crate) fn arm_read(&self, socket: &Socket) -> io::Result<bool> {
        if let Some(deadline) = self.next_deadline() {
            socket.set_read_deadline(Some(deadline))?;
            fence(Ordering::SeqCst);
        }
        Ok(self.is_stopping())
    }

    /// Sets the deadline of the next write anew.
    pub(crate) fn arm_write(&self, socket: &Socket) -> io::Result<()> {
        match self.next_deadline() {
            Some(deadline) => socket.set_write_deadline(Some(deadline)),
            None => Ok(()),
        }
    }

    fn next_deadline(&self) -> Option<Instant> {
        // A deadline beyond the end of time is none.
        time::now().checked_add(self.deadline?)
    }
}
