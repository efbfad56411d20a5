//! `load churn`: connect, one request, its echo, close; so many at once, again and again.
//!
//! The latency is that of the whole: from the start of the connect to the last byte of the echo.

use std::error::Error;
use std::io;
use std::time::{Duration, Instant};

use super::connection::{Connection, Progress, closed};
use super::{REQUEST_SIZE, Settings, Span, Stretch};
use crate::histogram::Histogram;
use crate::raw::epoll::{EDGE, ENDED, Epoll, Events, PEER_SHUT, READABLE, WRITABLE};
use crate::raw::socket::{self, Mode};
use crate::report::Report;

const EVENTS_PER_WAIT: usize = 256;
const WAIT_MS: i32 = 20;

/// Warms up, measures, and tells.
pub(super) fn run(settings: &Settings) -> Result<(), Box<dyn Error>> {
    let mut churn = Churn::new(settings)?;
    churn.run(Span::Time(settings.warmup))?;
    settings.gate.wait()?;
    let stretch = Stretch::start(settings)?;
    let connections = churn.run(settings.span)?;
    let measured = stretch.stop(settings)?;
    let mut report = Report::new();
    report.add("at_once", settings.connections as f64);
    measured.add_to(&mut report, "connections", connections);
    report.add_latencies(&churn.latencies);
    Ok(settings.publish(&report)?)
}

struct Churn<'a> {
    settings: &'a Settings,
    epoll: Epoll,
    events: Events,
    slots: Vec<Option<Connection>>,
    started: Vec<Instant>,
    buffer: [u8; 2 * REQUEST_SIZE],
    latencies: Histogram,
    /// Connections opened since the beginning.
    opened: usize,
    /// Connections that may still be opened in this run.
    left: u64,
}

impl<'a> Churn<'a> {
    fn new(settings: &'a Settings) -> io::Result<Self> {
        Ok(Self {
            settings,
            epoll: Epoll::new()?,
            events: Events::with_capacity(EVENTS_PER_WAIT),
            slots: (0..settings.connections).map(|_| None).collect(),
            started: vec![Instant::now(); settings.connections],
            buffer: [0; 2 * REQUEST_SIZE],
            latencies: Histogram::new(),
            opened: 0,
            left: 0,
        })
    }

    /// Churns over `span` and lets what is under way then end; returns how many connections that
    /// made.
    fn run(&mut self, span: Span) -> io::Result<u64> {
        self.latencies = Histogram::new();
        let (time, count) = match span {
            Span::Time(time) => (time, u64::MAX),
            Span::Requests(count) => (Duration::MAX, count),
        };
        self.left = count;
        for index in 0..self.slots.len() {
            self.open(index)?;
        }
        let began = Instant::now();
        let mut stirred = began;
        while self.slots.iter().any(Option::is_some) {
            if began.elapsed() >= time {
                self.left = 0;
            }
            self.epoll.wait(&mut self.events, WAIT_MS)?;
            for at in 0..self.events.len() {
                let (key, readiness) = self.events.at(at);
                self.advance(key as usize, readiness)?;
            }
            if self.events.len() > 0 {
                stirred = Instant::now();
            } else if stirred.elapsed() > self.settings.deadline {
                let what = "no connection was served within the deadline";
                return Err(io::Error::new(io::ErrorKind::TimedOut, what));
            }
        }
        Ok(self.latencies.total())
    }

    fn open(&mut self, index: usize) -> io::Result<()> {
        if self.left == 0 {
            return Ok(());
        }
        self.left -= 1;
        self.opened += 1;
        self.started[index] = Instant::now();
        let source = self.settings.source(self.opened);
        let stream = socket::connect(source, self.settings.target, Mode::NonBlocking)?;
        let connection = Connection::new(stream, REQUEST_SIZE, self.opened);
        let interest = READABLE | WRITABLE | PEER_SHUT | EDGE;
        self.epoll.add(connection.as_fd(), interest, index as u64)?;
        self.slots[index] = Some(connection);
        Ok(())
    }

    fn advance(&mut self, index: usize, readiness: u32) -> io::Result<()> {
        let Some(connection) = &mut self.slots[index] else {
            return Ok(());
        };
        if readiness & ENDED != 0 {
            return Err(connection.take_error()?.unwrap_or_else(closed));
        }
        if !connection.is_busy() && readiness & WRITABLE != 0 {
            // The connect is over.
            connection.start(self.started[index])?;
        }
        if readiness & READABLE == 0 {
            return Ok(());
        }
        if let Progress::Echoed(started) = connection.advance(&mut self.buffer)? {
            self.latencies.record(started.elapsed());
            self.slots[index] = None;
            self.open(index)?;
        }
        Ok(())
    }
}
