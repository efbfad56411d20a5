//! What runs a session: a task that owns its sockets and its timer.
//!
//! ```text
//!   receive from each socket ──▶ protocol ──▶ send ──▶ wait: socket, timer, network, or a change
//!        ▲                                                                │
//!        └────────────────────────────────────────────────────────────────┘
//! ```
//!
//! It has no buffers while it waits. Nothing else sends, so nothing else uses a sequence number.

use std::future::Future;
use std::io;
use std::mem;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use gannet_net::Ecn;
use gannet_runtime::time::{Sleep, sleep_until};
use gannet_sys::errno::EMSGSIZE;
use gannet_sys::{clock, fork};

use crate::error::PathError;
use crate::network::Network;
use crate::proto::{Arrival, PortChange, Protocol, SendFailure, Transmit};
use crate::scratch::{Outbox, Scratch};
use crate::shared::Shared;
use crate::sockets::Sockets;

pub(crate) struct Driver<P: Protocol> {
    shared: Arc<Shared<P>>,
    sockets: Sockets,
    timer: Option<Sleep>,
    /// Tells that the addresses of this machine have changed: for clients.
    network: Option<Network>,
    /// Datagrams that wait for room in a socket's buffer.
    backlog: Option<Box<Outbox>>,
    /// The process that may send: a forked copy would use the same sequence numbers.
    process: u32,
}

/// What a look at the protocol has come to.
struct Turn {
    closed: bool,
    /// There is more to send than fits.
    more: bool,
    timeout: Option<Instant>,
}

/// What became of the datagrams.
#[derive(PartialEq)]
enum Sent {
    /// All have gone.
    All,
    /// Some never will, so the protocol may have others: shorter ones, or to elsewhere.
    Failed,
}

/// How long a driver that waits for room in a socket's buffer leaves the timers alone at least.
const ROOM_WAIT: Duration = Duration::from_millis(20);

/// How long a session may take before other tasks get their turn: a peer can make each of its
/// datagrams cost milliseconds.
const TIME_MAX: Duration = Duration::from_millis(2);

/// Turns before other tasks get theirs.
const TURNS_MAX: u32 = 16;

impl<P: Protocol> Driver<P> {
    pub(crate) fn new(shared: Arc<Shared<P>>, sockets: Sockets, network: Option<Network>) -> Self {
        fork::watch();
        Driver {
            shared,
            sockets,
            timer: None,
            network,
            backlog: None,
            process: fork::generation(),
        }
    }

    fn run(&mut self, cx: &mut Context<'_>, scratch: &mut Scratch) -> Poll<()> {
        let yield_at = clock::now() + TIME_MAX;
        for _ in 0..TURNS_MAX {
            if fork::generation() != self.process {
                return Poll::Ready(());
            }
            let now = clock::now();
            if now >= yield_at {
                break;
            }
            let received = self.receive(cx, scratch, now);
            self.watch_network(cx, now);
            let turn = self.turn(cx, scratch, now);
            let opened = self.sockets.poll_open(cx);
            let sent = self.send(cx, scratch);
            if turn.closed && sent.is_ready() {
                return Poll::Ready(());
            }
            // Nobody listens yet at a socket that has just opened.
            let again = opened || sent == Poll::Ready(Sent::Failed);
            if received || again || (turn.more && sent.is_ready()) {
                continue;
            }
            let mut at = turn.timeout;
            if sent.is_pending() {
                // What is due goes nowhere before the rest has gone: no sense in asking at once.
                at = at.map(|at| at.max(now + ROOM_WAIT));
            }
            ready!(self.poll_timer(cx, at));
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    /// Takes one batch from each socket that has something.
    fn receive(&mut self, cx: &mut Context<'_>, scratch: &mut Scratch, now: Instant) -> bool {
        let mut next = 0;
        while let Some((after, port)) = self.sockets.poll_recv(cx, next, &mut scratch.batch) {
            next = after;
            self.shared.look(|protocol| {
                for datagram in scratch.batch.datagrams() {
                    let arrival = Arrival {
                        now,
                        port,
                        from: datagram.from,
                        congested: datagram.ecn == Some(Ecn::Ce),
                    };
                    // What is wrong with it is counted.
                    let _ = protocol.handle_datagram(&arrival, datagram.data);
                }
            });
        }
        next > 0
    }

    fn watch_network(&mut self, cx: &mut Context<'_>, now: Instant) {
        let Some(network) = &mut self.network else {
            return;
        };
        if network.poll_changed(cx).is_ready() {
            self.shared
                .look(|protocol| protocol.handle_network_change(now));
            cx.waker().wake_by_ref(); // To wait for the next one.
        }
    }

    /// Lets the protocol act, and takes what it wants to send.
    fn turn(&mut self, cx: &mut Context<'_>, scratch: &mut Scratch, now: Instant) -> Turn {
        let sockets = &mut self.sockets;
        let outbox = &mut scratch.outbox;
        self.shared.drive(cx.waker(), |protocol| {
            protocol.handle_timeout(now);
            let mut more = true;
            while !outbox.is_full() {
                let start = outbox.octets.len();
                let Some(transmit) = protocol.poll_transmit(now, &mut outbox.octets) else {
                    more = false;
                    break;
                };
                outbox.push(transmit, start);
            }
            while let Some(change) = protocol.poll_port() {
                match change {
                    PortChange::Open { port, peer } => sockets.open(port, peer),
                    PortChange::Close(port) => sockets.close(port),
                }
            }
            Turn {
                closed: protocol.is_closed(),
                more,
                timeout: protocol.poll_timeout(now),
            }
        })
    }

    /// Sends what was taken, as far as there is room for it.
    fn send(&mut self, cx: &mut Context<'_>, scratch: &mut Scratch) -> Poll<Sent> {
        let outbox = &mut scratch.outbox;
        let mut sent = Sent::All;
        while let Some((port, transmits)) = outbox.next_port() {
            match ready!(self.sockets.poll_send(cx, port, &transmits)) {
                Ok(count) => {
                    self.shared.set_path_error(None);
                    outbox.advance(count.max(1));
                }
                Err(err) => {
                    if let Some(transmit) = outbox.next_transmit() {
                        self.failed(transmit, &err);
                    }
                    sent = Sent::Failed;
                    outbox.advance(1);
                }
            }
        }
        Poll::Ready(sent)
    }

    /// Notes why a datagram has not gone.
    fn failed(&mut self, transmit: Transmit, err: &io::Error) {
        let error = PathError::new(transmit.to, err);
        let failure = if error.errno == EMSGSIZE {
            SendFailure::TooLong
        } else {
            SendFailure::Unreachable
        };
        self.shared.set_path_error(Some(error));
        let now = clock::now();
        self.shared
            .look(|protocol| protocol.handle_send_failure(now, transmit.port, failure));
    }

    /// Waits for the next time at which there is something to do.
    fn poll_timer(&mut self, cx: &mut Context<'_>, at: Option<Instant>) -> Poll<()> {
        let Some(at) = at else {
            self.timer = None;
            return Poll::Pending;
        };
        let timer = self.timer.get_or_insert_with(|| sleep_until(at));
        if timer.deadline() != Some(at) {
            timer.reset(at);
        }
        Pin::new(timer).poll(cx)
    }
}

/// The session is over for those who wait, also if the runtime goes or a `State` panics.
impl<P: Protocol> Drop for Driver<P> {
    fn drop(&mut self) {
        self.shared.abandon();
    }
}

impl<P: Protocol> Future for Driver<P> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = &mut *self;
        let mut scratch = Scratch::take();
        if let Some(backlog) = this.backlog.take() {
            scratch.outbox = *backlog;
        }
        let polled = this.run(cx, &mut scratch);
        if !scratch.outbox.is_empty() {
            this.backlog = Some(Box::new(mem::take(&mut scratch.outbox)));
        }
        scratch.leave();
        polled
    }
}
