//! Many echo connections on one epoll, in a closed loop or at a fixed rate.
//!
//! Closed: each connection sends its next request as soon as it has the last one's echo. Open:
//! requests fall due by the clock, whether the server keeps up or not; one that finds no free
//! connection waits for one, and its latency counts from the instant it fell due. That keeps the
//! figures free of coordinated omission: a server that stalls pays for all that came meanwhile.

use std::collections::VecDeque;
use std::io;
use std::time::{Duration, Instant};

use super::connection::{Connection, Progress, closed};
use super::{Settings, Span};
use crate::histogram::Histogram;
use crate::raw::epoll::{EDGE, ENDED, Epoll, Events, PEER_SHUT, READABLE, WRITABLE};

const EVENTS_PER_WAIT: usize = 256;
const BUFFER_SIZE: usize = 64 << 10;
/// Connections opened at once; std, and so some rivals, listen with a backlog of 128.
const BATCH: usize = 100;
/// How long a wait may last before the clock is looked at again.
const WAIT_MS: i32 = 20;

/// The connections and what they found.
pub(super) struct Engine {
    epoll: Epoll,
    events: Events,
    connections: Vec<Connection>,
    /// One connection of so many talks, so that those that do lie scattered among the others.
    stride: usize,
    buffer: Vec<u8>,
    latencies: Histogram,
    busy: usize,
    pace: Pace,
    deadline: Duration,
    /// When something last came back.
    stirred: Instant,
}

enum Pace {
    /// No new requests.
    Stopped,
    /// Each connection goes on by itself, until this many more requests have been started.
    Closed { left: u64 },
    /// By the clock.
    Open(Arrivals),
}

struct Arrivals {
    /// When the next request falls due.
    next: Instant,
    interval: Duration,
    left: u64,
    /// When the requests that wait for a connection fell due.
    due: VecDeque<Instant>,
    /// The connections that wait for a request; used in turn, so that all of them take part.
    free: VecDeque<usize>,
}

impl Engine {
    /// Makes an engine without connections.
    pub(super) fn new(settings: &Settings) -> io::Result<Self> {
        Ok(Self {
            epoll: Epoll::new()?,
            events: Events::with_capacity(EVENTS_PER_WAIT),
            connections: Vec::with_capacity(settings.connections + settings.silent),
            stride: settings.silent / settings.connections + 1,
            buffer: vec![0; BUFFER_SIZE],
            latencies: Histogram::new(),
            busy: 0,
            pace: Pace::Stopped,
            deadline: settings.deadline,
            stirred: Instant::now(),
        })
    }

    /// Opens the next connections, but no more than a backlog holds: one that overflows costs its
    /// connect a second. The caller makes sure that they are accepted before it opens more.
    /// Returns how many there are now.
    pub(super) fn open_some(&mut self, settings: &Settings) -> io::Result<usize> {
        let all = settings.connections * self.stride;
        let end = all.min(self.connections.len() + BATCH);
        for index in self.connections.len()..end {
            let source = settings.source(index);
            let connection = Connection::open(source, settings.target, settings.size, index)?;
            let interest = READABLE | WRITABLE | PEER_SHUT | EDGE;
            self.epoll.add(connection.as_fd(), interest, index as u64)?;
            self.connections.push(connection);
        }
        Ok(end)
    }

    /// Opens all connections and exchanges one request on each, which shows it accepted.
    pub(super) fn open_and_greet(&mut self, settings: &Settings) -> io::Result<()> {
        while self.connections.len() < settings.connections * self.stride {
            let first = self.connections.len();
            let end = self.open_some(settings)?;
            self.begin(Pace::Closed {
                left: (end - first) as u64,
            });
            for index in first..end {
                self.start_next(index, Instant::now())?;
            }
            self.drain()?;
        }
        Ok(())
    }

    /// Runs a closed loop over `span`; returns the number of echoes in it.
    pub(super) fn run_closed(&mut self, span: Span) -> io::Result<u64> {
        let left = if let Span::Requests(count) = span {
            count
        } else {
            u64::MAX
        };
        self.begin(Pace::Closed { left });
        for index in (0..self.connections.len()).step_by(self.stride) {
            self.start_next(index, Instant::now())?;
        }
        self.run(span)
    }

    /// Runs `rate` requests a second over `span`; returns the number of echoes in it.
    pub(super) fn run_open(&mut self, rate: f64, span: Span) -> io::Result<u64> {
        let left = match span {
            Span::Requests(count) => count,
            Span::Time(time) => (time.as_secs_f64() * rate).ceil() as u64,
        };
        self.begin(Pace::Open(Arrivals {
            next: Instant::now(),
            interval: Duration::from_secs_f64(1.0 / rate),
            left,
            due: VecDeque::new(),
            free: (0..self.connections.len()).step_by(self.stride).collect(),
        }));
        self.run(span)
    }

    /// Waits for the echo of every request that was started or fell due. Their latencies count:
    /// the slowest requests are those that the end of the run would cut off.
    pub(super) fn drain(&mut self) -> io::Result<()> {
        let began = Instant::now();
        if let Pace::Open(arrivals) = &mut self.pace {
            arrivals.left = 0;
        } else {
            self.pace = Pace::Stopped;
        }
        while self.outstanding() > 0 {
            if began.elapsed() > self.deadline {
                let left = self.outstanding();
                return Err(timed_out(&format!("{left} requests were left at the end")));
            }
            self.turn()?;
        }
        Ok(())
    }

    /// Returns the latencies since the last run began.
    pub(super) fn latencies(&self) -> &Histogram {
        &self.latencies
    }

    fn begin(&mut self, pace: Pace) {
        self.latencies = Histogram::new();
        self.stirred = Instant::now();
        self.pace = pace;
    }

    fn run(&mut self, span: Span) -> io::Result<u64> {
        let began = Instant::now();
        loop {
            self.turn()?;
            let over = match span {
                Span::Time(time) => began.elapsed() >= time,
                Span::Requests(count) => self.latencies.total() >= count,
            };
            if over {
                return Ok(self.latencies.total());
            }
        }
    }

    fn outstanding(&self) -> usize {
        let due = if let Pace::Open(arrivals) = &self.pace {
            arrivals.due.len()
        } else {
            0
        };
        self.busy + due
    }

    /// Waits once, handles what came, and starts what fell due.
    fn turn(&mut self) -> io::Result<()> {
        // By the clock it spins: a timer's slack would count as the server's latency.
        let timeout_ms = if matches!(self.pace, Pace::Open(_)) {
            0
        } else {
            WAIT_MS
        };
        self.epoll.wait(&mut self.events, timeout_ms)?;
        for at in 0..self.events.len() {
            let (key, readiness) = self.events.at(at);
            self.advance(key as usize, readiness)?;
        }
        if self.events.len() > 0 {
            self.stirred = Instant::now();
        } else if self.outstanding() > 0 && self.stirred.elapsed() > self.deadline {
            return Err(timed_out("no echo came"));
        }
        self.start_due()
    }

    fn advance(&mut self, index: usize, readiness: u32) -> io::Result<()> {
        let connection = &mut self.connections[index];
        if readiness & ENDED != 0 {
            return Err(connection.take_error()?.unwrap_or_else(closed));
        }
        if !connection.is_busy() {
            return Ok(());
        }
        let Progress::Echoed(started) = connection.advance(&mut self.buffer)? else {
            return Ok(());
        };
        let now = Instant::now();
        self.latencies.record(now - started);
        self.busy -= 1;
        self.start_next(index, now)
    }

    /// Gives a free connection its next request, or puts it in line for one.
    fn start_next(&mut self, index: usize, now: Instant) -> io::Result<()> {
        match &mut self.pace {
            Pace::Stopped | Pace::Closed { left: 0 } => Ok(()),
            Pace::Closed { left } => {
                *left -= 1;
                self.busy += 1;
                self.connections[index].start(now)
            }
            Pace::Open(arrivals) => {
                arrivals.free.push_back(index);
                Ok(())
            }
        }
    }

    fn start_due(&mut self) -> io::Result<()> {
        let Pace::Open(arrivals) = &mut self.pace else {
            return Ok(());
        };
        arrivals.fall_due(Instant::now());
        while let Some((index, due)) = arrivals.pair() {
            self.busy += 1;
            self.connections[index].start(due)?;
        }
        Ok(())
    }
}

impl Arrivals {
    /// Puts in line what fell due until `now`.
    fn fall_due(&mut self, now: Instant) {
        while self.left > 0 && self.next <= now {
            self.due.push_back(self.next);
            self.next += self.interval;
            self.left -= 1;
        }
    }

    /// Takes the oldest request and a connection for it, if there are both.
    fn pair(&mut self) -> Option<(usize, Instant)> {
        let due = *self.due.front()?;
        let index = self.free.pop_front()?;
        self.due.pop_front();
        Some((index, due))
    }
}

fn timed_out(what: &str) -> io::Error {
    io::Error::new(
        io::ErrorKind::TimedOut,
        format!("{what} within the deadline"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arrivals_of_a_stalled_server_keep_the_instant_they_fell_due() {
        let began = Instant::now();
        let interval = Duration::from_millis(1);
        let (due, free) = (VecDeque::new(), VecDeque::from([4]));
        let mut arrivals = Arrivals {
            next: began,
            interval,
            left: 5,
            due,
            free,
        };
        arrivals.fall_due(began + Duration::from_millis(2));
        assert_eq!(arrivals.due.len(), 3);
        assert_eq!(arrivals.pair(), Some((4, began)));
        assert_eq!(arrivals.pair(), None, "no connection is free");
        arrivals.fall_due(began + Duration::from_secs(1));
        assert_eq!(
            (arrivals.due.len(), arrivals.left),
            (4, 0),
            "five in all, one of them taken"
        );
        arrivals.free.push_back(9);
        assert_eq!(arrivals.pair(), Some((9, began + interval)));
    }
}
