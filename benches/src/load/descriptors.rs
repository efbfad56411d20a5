//! `load fds`: more clients than the server has descriptors for.
//!
//! All connect, send one request and wait; the kernel's backlog holds those that the server cannot
//! accept, and those that it has no room for try again each second. After a while those that were
//! served leave, one every 10 ms, and each makes room for another. A good server serves all of
//! them, and burns no processor while it must wait.

use std::collections::VecDeque;
use std::error::Error;
use std::io;
use std::time::{Duration, Instant};

use super::connection::{Connection, Progress};
use super::{REQUEST_SIZE, Settings, Stretch};
use crate::raw::epoll::{EDGE, ENDED, Epoll, Events, PEER_SHUT, READABLE, WRITABLE};
use crate::raw::socket::{self, Mode};
use crate::report::Report;

const LEAVE_EVERY: Duration = Duration::from_millis(10);
const WAIT_MS: i32 = 2;

/// Connects all, lets them wait, lets them leave, and tells.
pub(super) fn run(settings: &Settings) -> Result<(), Box<dyn Error>> {
    let mut crowd = Crowd::open(settings)?;
    let waiting = Stretch::start(settings)?;
    let began = Instant::now();
    while began.elapsed() < settings.hold {
        crowd.turn()?;
    }
    let waiting = waiting.stop(settings)?;
    let served_at_first = crowd.served;
    let leaving = Stretch::start(settings)?;
    crowd.leave_one_by_one(settings.deadline)?;
    let leaving = leaving.stop(settings)?;
    let mut report = Report::new();
    report.add("clients", settings.connections as f64);
    report.add("served_while_all_wait", served_at_first as f64);
    report.add("served", crowd.served as f64);
    report.add("dropped", crowd.dropped as f64);
    for (name, measured) in [("waiting", waiting), ("leaving", leaving)] {
        report.add(&format!("{name}_seconds"), measured.elapsed.as_secs_f64());
        if let Some((spent, _)) = measured.server {
            let busy = (spent.user + spent.system).as_secs_f64() / measured.elapsed.as_secs_f64();
            report.add(&format!("{name}_server_cpu_percent"), busy * 100.0);
        }
    }
    Ok(settings.publish(&report)?)
}

struct Client {
    /// Gone when the client has left.
    connection: Option<Connection>,
    stage: Stage,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Connecting,
    /// The request is sent.
    Asked,
    /// The echo is here.
    Served,
}

struct Crowd {
    epoll: Epoll,
    events: Events,
    clients: Vec<Client>,
    buffer: [u8; 2 * REQUEST_SIZE],
    /// Those that have their echo and have not left, in the order they got it.
    ready_to_leave: VecDeque<usize>,
    served: usize,
    /// Those whose connection the server closed before it had served them.
    dropped: usize,
}

impl Crowd {
    fn open(settings: &Settings) -> io::Result<Self> {
        let mut crowd = Self {
            epoll: Epoll::new()?,
            events: Events::with_capacity(256),
            clients: Vec::new(),
            buffer: [0; 2 * REQUEST_SIZE],
            ready_to_leave: VecDeque::new(),
            served: 0,
            dropped: 0,
        };
        for index in 0..settings.connections {
            let source = settings.source(index);
            let stream = socket::connect(source, settings.target, Mode::NonBlocking)?;
            let connection = Connection::new(stream, REQUEST_SIZE, index);
            let interest = READABLE | WRITABLE | PEER_SHUT | EDGE;
            crowd
                .epoll
                .add(connection.as_fd(), interest, index as u64)?;
            crowd.clients.push(Client {
                connection: Some(connection),
                stage: Stage::Connecting,
            });
        }
        Ok(crowd)
    }

    /// Waits for a moment and takes what echoes came.
    fn turn(&mut self) -> io::Result<()> {
        self.epoll.wait(&mut self.events, WAIT_MS)?;
        for at in 0..self.events.len() {
            let (key, readiness) = self.events.at(at);
            self.advance(key as usize, readiness)?;
        }
        Ok(())
    }

    fn advance(&mut self, index: usize, readiness: u32) -> io::Result<()> {
        let client = &mut self.clients[index];
        let Some(connection) = &mut client.connection else {
            return Ok(());
        };
        if client.stage == Stage::Connecting && readiness & (WRITABLE | ENDED) == WRITABLE {
            connection.start(Instant::now())?;
            client.stage = Stage::Asked;
        }
        match connection.advance(&mut self.buffer) {
            Ok(Progress::Echoed(_)) => {
                client.stage = Stage::Served;
                self.served += 1;
                self.ready_to_leave.push_back(index);
            }
            Ok(Progress::Waiting) if readiness & ENDED == 0 => {}
            Ok(Progress::Waiting) | Err(_) => {
                self.dropped += usize::from(client.stage != Stage::Served);
                client.connection = None;
            }
        }
        Ok(())
    }

    /// Lets served clients leave until none is left, or nothing happens for `patience`.
    fn leave_one_by_one(&mut self, patience: Duration) -> io::Result<()> {
        let mut left_at = Instant::now();
        while self
            .clients
            .iter()
            .any(|client| client.connection.is_some())
            && left_at.elapsed() < patience
        {
            self.turn()?;
            if left_at.elapsed() >= LEAVE_EVERY
                && let Some(index) = self.ready_to_leave.pop_front()
            {
                self.clients[index].connection = None;
                left_at = Instant::now();
            }
        }
        Ok(())
    }
}
