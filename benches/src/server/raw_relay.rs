//! The floor of relays: one thread, epoll, and a pipe for each direction; no runtime.
//!
//! A pipe is filled only when it is empty, as gannet does it, so that "would block" has one meaning on
//! each side. Readiness is edge-triggered: either side's event tries both directions until each has
//! nothing to do.

use std::collections::HashMap;
use std::io;
use std::net::{Shutdown, SocketAddrV4, TcpListener, TcpStream};
use std::os::fd::{AsFd as _, OwnedFd};

use super::{Options, announce};
use crate::raw::epoll::{EDGE, Epoll, Events, PEER_SHUT, READABLE, WRITABLE};
use crate::raw::pipe::{pipe, splice};
use crate::raw::socket::{self, Mode};

const BACKLOG: i32 = 1024;
const EVENTS_PER_WAIT: usize = 64;
const LISTENER: u64 = 0;
/// As much as gannet's and Go's pipes hold.
const PIPE_LEN: usize = 1 << 20;

/// Serves for ever.
pub(super) fn run(options: &Options, upstream: SocketAddrV4) -> io::Result<()> {
    let listener = socket::listen(options.addr, BACKLOG)?;
    announce(listener.local_addr()?)?;
    let epoll = Epoll::new()?;
    epoll.add(listener.as_fd(), READABLE, LISTENER)?;
    let (mut relays, mut next) = (HashMap::new(), LISTENER);
    let mut events = Events::with_capacity(EVENTS_PER_WAIT);
    loop {
        epoll.wait(&mut events, -1)?;
        for index in 0..events.len() {
            let (mut key, _) = events.at(index);
            if key == LISTENER {
                next += 1;
                key = next;
                relays.insert(key, Relay::accept(&listener, upstream, &epoll, key)?);
            }
            if relays.get_mut(&key).is_some_and(Relay::has_ended) {
                relays.remove(&key);
            }
        }
    }
}

/// Two connections and what is on its way between them.
struct Relay {
    streams: [TcpStream; 2],
    lanes: [Lane; 2],
}

impl Relay {
    fn accept(
        listener: &TcpListener,
        upstream: SocketAddrV4,
        epoll: &Epoll,
        key: u64,
    ) -> io::Result<Self> {
        let client = TcpStream::from(socket::accept(listener.as_fd())?);
        let any_port = SocketAddrV4::new(*upstream.ip(), 0);
        let server = socket::connect(any_port, upstream, Mode::Blocking)?;
        server.set_nonblocking(true)?;
        let relay = Self {
            streams: [client, server],
            lanes: [Lane::new()?, Lane::new()?],
        };
        for stream in &relay.streams {
            epoll.add(stream.as_fd(), READABLE | WRITABLE | PEER_SHUT | EDGE, key)?;
        }
        Ok(relay)
    }

    /// Moves what can be moved; tells whether both directions have ended, or one has failed.
    fn has_ended(&mut self) -> bool {
        let [left, right] = &self.streams;
        let [forth, back] = &mut self.lanes;
        let moved = forth.run(left, right).and(back.run(right, left));
        moved.is_err() || self.lanes.iter().all(|lane| lane.ended)
    }
}

struct Lane {
    read_end: OwnedFd,
    write_end: OwnedFd,
    load: usize,
    ended: bool,
}

impl Lane {
    fn new() -> io::Result<Self> {
        let (read_end, write_end) = pipe(PIPE_LEN)?;
        Ok(Self {
            read_end,
            write_end,
            load: 0,
            ended: false,
        })
    }

    /// Moves bytes until it would have to wait, or the end, which it passes on.
    fn run(&mut self, from: &TcpStream, to: &TcpStream) -> io::Result<()> {
        match self.run_to_the_end(from, to) {
            Ok(()) if self.ended => Ok(()),
            Ok(()) => {
                self.ended = true;
                to.shutdown(Shutdown::Write)
            }
            Err(err) if err.kind() == io::ErrorKind::WouldBlock => Ok(()),
            Err(err) => Err(err),
        }
    }

    fn run_to_the_end(&mut self, from: &TcpStream, to: &TcpStream) -> io::Result<()> {
        while !self.ended {
            while self.load > 0 {
                self.load -= splice(self.read_end.as_fd(), to.as_fd(), self.load)?;
            }
            self.load = splice(from.as_fd(), self.write_end.as_fd(), PIPE_LEN)?;
            if self.load == 0 {
                break;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};
    use std::net::Ipv4Addr;

    use super::*;

    #[test]
    fn lane_passes_bytes_and_the_end_on() {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let pair = || {
            let far = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
            (far, listener.accept().unwrap().0)
        };
        let ((mut client, left), (mut server, right)) = (pair(), pair());
        let mut lane = Lane::new().unwrap();
        client.write_all(b"hello").unwrap();
        client.shutdown(Shutdown::Write).unwrap();
        // They block, so this goes on to the end.
        lane.run(&left, &right).unwrap();
        assert!(lane.ended && lane.load == 0);
        let mut got = Vec::new();
        server.read_to_end(&mut got).unwrap();
        assert_eq!(got, b"hello");
    }
}
