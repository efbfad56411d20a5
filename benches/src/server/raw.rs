//! The floor: a loop on epoll, one instance and one thread a worker, no runtime.
//!
//! The first worker also accepts, and deals connections out in turn, so that all workers carry the
//! same load. Readiness is edge-triggered; a short read proves the queue drained and saves the read
//! that would fail. An idle connection owns no buffer. There are no deadlines here: with
//! `--deadline` the floor still shows what the echo costs without them.

use std::collections::VecDeque;
use std::io;
use std::net::TcpListener;
use std::os::fd::{AsFd as _, AsRawFd as _, OwnedFd};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use super::{BUFFER_SIZE, Options, announce};
use crate::raw::epoll::{EDGE, ENDED, Epoll, Events, PEER_SHUT, READABLE, WRITABLE};
use crate::raw::socket;

const BACKLOG: i32 = 1024;
/// What is asked of a connection as long as its peer reads.
const INTEREST: u32 = READABLE | PEER_SHUT | EDGE;
const EVENTS_PER_WAIT: usize = 256;
/// Key of the listener; a connection's key is its descriptor's number, which is smaller.
const LISTENER: u64 = u64::MAX;

/// Serves for ever.
pub(super) fn run(options: &Options) -> io::Result<()> {
    let listener = socket::listen(options.addr, BACKLOG)?;
    announce(listener.local_addr()?)?;
    let doors = (0..options.workers)
        .map(|_| Door::new())
        .collect::<io::Result<Vec<_>>>()?;
    for door in doors.iter().skip(1) {
        let mut worker = Worker::new(Arc::clone(door), None);
        thread::Builder::new().spawn(move || {
            let err = worker.run();
            eprintln!("a worker ended: {err:?}");
            std::process::exit(1);
        })?;
    }
    doors[0].epoll.add(listener.as_fd(), READABLE, LISTENER)?;
    let acceptor = Acceptor {
        listener,
        listening: true,
        doors: doors.clone(),
        turn: 0,
    };
    Worker::new(Arc::clone(&doors[0]), Some(acceptor)).run()
}

/// Where the accepting worker leaves connections for another.
struct Door {
    epoll: Epoll,
    arrivals: Mutex<VecDeque<OwnedFd>>,
}

impl Door {
    fn new() -> io::Result<Arc<Self>> {
        Ok(Arc::new(Self {
            epoll: Epoll::new()?,
            arrivals: Mutex::new(VecDeque::new()),
        }))
    }

    /// Hands `fd` in. The lock is held from before the kernel can tell of it until it lies here,
    /// so that the worker that hears of an unknown descriptor finds it.
    fn hand_in(&self, fd: OwnedFd) -> io::Result<()> {
        let key = fd.as_raw_fd() as u64;
        let mut arrivals = self.arrivals.lock().unwrap_or_else(PoisonError::into_inner);
        self.epoll.add(fd.as_fd(), INTEREST, key)?;
        arrivals.push_back(fd);
        Ok(())
    }
}

struct Connection {
    fd: OwnedFd,
    /// Bytes read but not yet taken by the socket; empty unless the peer reads too slowly.
    unsent: Vec<u8>,
}

struct Acceptor {
    listener: TcpListener,
    listening: bool,
    doors: Vec<Arc<Door>>,
    turn: usize,
}

struct Worker {
    door: Arc<Door>,
    acceptor: Option<Acceptor>,
    /// Indexed by descriptor.
    connections: Vec<Option<Connection>>,
    buffer: Box<[u8; BUFFER_SIZE]>,
}

impl Worker {
    fn new(door: Arc<Door>, acceptor: Option<Acceptor>) -> Self {
        let buffer = Box::new([0; BUFFER_SIZE]);
        Self {
            door,
            acceptor,
            connections: Vec::new(),
            buffer,
        }
    }

    fn run(&mut self) -> io::Result<()> {
        let mut events = Events::with_capacity(EVENTS_PER_WAIT);
        loop {
            self.door.epoll.wait(&mut events, -1)?;
            for index in 0..events.len() {
                let (key, readiness) = events.at(index);
                if key == LISTENER {
                    self.accept()?;
                } else {
                    self.serve(key as usize, readiness)?;
                }
            }
        }
    }

    /// Accepts one connection: the listener is level-triggered, so the next wait tells of the
    /// rest, which costs less than the accept that finds none. Without a descriptor left, the
    /// listener rests until a connection ends.
    fn accept(&mut self) -> io::Result<()> {
        let Some(acceptor) = &mut self.acceptor else {
            return Ok(());
        };
        match socket::accept(acceptor.listener.as_fd()) {
            Ok(fd) => {
                let door = acceptor.turn % acceptor.doors.len();
                acceptor.turn += 1;
                acceptor.doors[door].hand_in(fd)
            }
            Err(err) if socket::is_out_of_descriptors(&err) => {
                acceptor.listen_for(&self.door, false)
            }
            // The connection was reset while it waited.
            Err(_) => Ok(()),
        }
    }

    fn serve(&mut self, key: usize, readiness: u32) -> io::Result<()> {
        if self.connections.get(key).is_none_or(Option::is_none) {
            self.take_arrivals();
        }
        let Some(connection) = self.connections.get_mut(key).and_then(Option::as_mut) else {
            return Ok(());
        };
        if connection.advance(&self.door.epoll, &mut self.buffer[..], readiness)? {
            return Ok(());
        }
        self.connections[key] = None;
        match &mut self.acceptor {
            Some(acceptor) if !acceptor.listening => acceptor.listen_for(&self.door, true),
            _ => Ok(()),
        }
    }

    fn take_arrivals(&mut self) {
        let mut arrivals = self
            .door
            .arrivals
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        for fd in arrivals.drain(..) {
            let key = fd.as_raw_fd() as usize;
            if self.connections.len() <= key {
                self.connections.resize_with(key + 1, || None);
            }
            self.connections[key] = Some(Connection {
                fd,
                unsent: Vec::new(),
            });
        }
    }
}

impl Acceptor {
    /// Turns the interest in new connections on or off.
    fn listen_for(&mut self, door: &Door, listening: bool) -> io::Result<()> {
        self.listening = listening;
        let interest = if listening { READABLE } else { 0 };
        door.epoll.modify(self.listener.as_fd(), interest, LISTENER)
    }
}

impl Connection {
    /// Echoes what can be; tells whether the connection goes on.
    fn advance(&mut self, epoll: &Epoll, buffer: &mut [u8], readiness: u32) -> io::Result<bool> {
        let blocked = !self.unsent.is_empty();
        if !self.flush() || !self.echo(buffer, readiness & ENDED != 0) {
            return Ok(false);
        }
        if !blocked && !self.unsent.is_empty() {
            let key = self.fd.as_raw_fd() as u64;
            epoll.modify(self.fd.as_fd(), INTEREST | WRITABLE, key)?;
        }
        Ok(true)
    }

    /// Reads and writes until the input is drained or the output is full. A short read proves the
    /// first, but only `to_the_end` reads the end of the stream, whose edge may be this one.
    fn echo(&mut self, buffer: &mut [u8], to_the_end: bool) -> bool {
        while self.unsent.is_empty() {
            match socket::receive(self.fd.as_fd(), buffer) {
                Ok(0) => return false,
                Ok(n) => {
                    self.unsent
                        .extend_from_slice(&buffer[self.send(&buffer[..n])..n]);
                    if n < buffer.len() && !to_the_end {
                        break;
                    }
                }
                Err(err) if err.kind() == io::ErrorKind::WouldBlock => break,
                Err(_) => return false,
            }
        }
        true
    }

    /// Returns how many of `bytes` were sent; a failed socket tells so at the next read.
    fn send(&self, bytes: &[u8]) -> usize {
        socket::send(self.fd.as_fd(), bytes).unwrap_or(0)
    }

    fn flush(&mut self) -> bool {
        while !self.unsent.is_empty() {
            match socket::send(self.fd.as_fd(), &self.unsent) {
                Ok(n) => drop(self.unsent.drain(..n)),
                Err(err) if err.kind() == io::ErrorKind::WouldBlock => return true,
                Err(_) => return false,
            }
        }
        true
    }
}
