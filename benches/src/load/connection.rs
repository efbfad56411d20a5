//! One client connection: sends a request, takes the echo, compares every byte.

use std::io;
use std::net::{SocketAddrV4, TcpStream};
use std::os::fd::{AsFd as _, BorrowedFd};
use std::time::Instant;

use crate::raw::socket::{self, Mode};

/// A connection with at most one request under way.
pub(super) struct Connection {
    stream: TcpStream,
    /// The request: a serial number, then a pattern of this connection's own.
    request: Vec<u8>,
    serial: u64,
    sent: usize,
    received: usize,
    /// The instant from which the latency of the request under way counts.
    started: Option<Instant>,
}

/// How far a request has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Progress {
    /// More must be sent or received, and the socket was left drained: an event will tell.
    Waiting,
    /// The whole echo is here, for a request that counts from this instant.
    Echoed(Instant),
}

impl Connection {
    /// Connects and makes the stream non-blocking. `tag` makes the pattern different from that of
    /// other connections, so that bytes gone astray are noticed.
    pub(super) fn open(
        source: SocketAddrV4,
        target: SocketAddrV4,
        size: usize,
        tag: usize,
    ) -> io::Result<Self> {
        let stream = socket::connect(source, target, Mode::Blocking)?;
        stream.set_nonblocking(true)?;
        Ok(Self::new(stream, size, tag))
    }

    /// Takes over a non-blocking stream, which may be connecting still.
    pub(super) fn new(stream: TcpStream, size: usize, tag: usize) -> Self {
        let request = (0..size).map(|at| (at * 7 + tag * 13) as u8).collect();
        Self {
            stream,
            request,
            serial: tag as u64,
            sent: 0,
            received: 0,
            started: None,
        }
    }

    /// Returns the descriptor, to watch it.
    pub(super) fn as_fd(&self) -> BorrowedFd<'_> {
        self.stream.as_fd()
    }

    /// Returns the error that the socket holds, if any.
    pub(super) fn take_error(&self) -> io::Result<Option<io::Error>> {
        self.stream.take_error()
    }

    /// Tells whether a request is under way.
    pub(super) fn is_busy(&self) -> bool {
        self.started.is_some()
    }

    /// Starts a request whose latency counts from `started`.
    pub(super) fn start(&mut self, started: Instant) -> io::Result<()> {
        assert!(self.started.is_none(), "one request at a time");
        self.serial = self.serial.wrapping_add(0x1_0001);
        let serial = self.serial.to_le_bytes();
        let head = serial.len().min(self.request.len());
        self.request[..head].copy_from_slice(&serial[..head]);
        self.sent = 0;
        self.received = 0;
        self.started = Some(started);
        self.send()
    }

    /// Sends and receives as far as the socket goes. `buffer` is scratch space.
    pub(super) fn advance(&mut self, buffer: &mut [u8]) -> io::Result<Progress> {
        self.send()?;
        let Some(started) = self.started else {
            return Ok(Progress::Waiting);
        };
        loop {
            let n = match socket::receive(self.stream.as_fd(), buffer) {
                Ok(0) => return Err(closed()),
                Ok(n) => n,
                Err(err) if err.kind() == io::ErrorKind::WouldBlock => {
                    return Ok(Progress::Waiting);
                }
                Err(err) => return Err(err),
            };
            if self.request.get(self.received..self.received + n) != Some(&buffer[..n]) {
                return Err(io::Error::new(
                    io::ErrorKind::InvalidData,
                    "not the bytes sent",
                ));
            }
            self.received += n;
            if self.received == self.request.len() {
                self.started = None;
                return Ok(Progress::Echoed(started));
            }
            if n < buffer.len() {
                return Ok(Progress::Waiting);
            }
        }
    }

    fn send(&mut self) -> io::Result<()> {
        while self.started.is_some() && self.sent < self.request.len() {
            match socket::send(self.stream.as_fd(), &self.request[self.sent..]) {
                Ok(n) => self.sent += n,
                Err(err) if err.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(err) => return Err(err),
            }
        }
        Ok(())
    }
}

/// Makes the error that tells of a server which gave up a connection.
pub(super) fn closed() -> io::Error {
    io::Error::new(
        io::ErrorKind::UnexpectedEof,
        "the server closed a connection",
    )
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};
    use std::net::{SocketAddr, TcpListener};

    use super::*;
    use crate::raw::epoll::{Epoll, Events, READABLE};

    fn pair(size: usize) -> (Connection, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let SocketAddr::V4(target) = listener.local_addr().unwrap() else {
            panic!("IPv4 asked")
        };
        let source = "127.0.0.1:0".parse().unwrap();
        let connection = Connection::open(source, target, size, 5).unwrap();
        (connection, listener.accept().unwrap().0)
    }

    /// Advances when bytes are there, or the end.
    fn advance(connection: &mut Connection) -> io::Result<Progress> {
        let epoll = Epoll::new()?;
        epoll.add(connection.as_fd(), READABLE, 0)?;
        let mut events = Events::with_capacity(1);
        epoll.wait(&mut events, 10_000)?;
        assert_eq!(events.len(), 1, "something arrives within 10 s");
        connection.advance(&mut [0; 256])
    }

    #[test]
    fn advance_with_the_echo_in_two_parts_ends_at_the_second() {
        let (mut connection, mut server) = pair(64);
        let started = Instant::now();
        connection.start(started).unwrap();
        let mut request = [0; 64];
        server.read_exact(&mut request).unwrap();
        assert_eq!(
            connection.advance(&mut [0; 256]).unwrap(),
            Progress::Waiting
        );
        server.write_all(&request[..10]).unwrap();
        assert_eq!(advance(&mut connection).unwrap(), Progress::Waiting);
        assert!(connection.is_busy());
        server.write_all(&request[10..]).unwrap();
        assert_eq!(advance(&mut connection).unwrap(), Progress::Echoed(started));
        assert!(!connection.is_busy());
    }

    #[test]
    fn advance_with_wrong_surplus_or_ended_bytes_fails() {
        let reply = |change: fn(&mut Vec<u8>)| {
            let (mut connection, mut server) = pair(16);
            connection.start(Instant::now()).unwrap();
            let mut request = vec![0; 16];
            server.read_exact(&mut request).unwrap();
            change(&mut request);
            server.write_all(&request).unwrap();
            (connection, server)
        };
        let (mut wrong, _server) = reply(|bytes| bytes[15] ^= 1);
        assert_eq!(
            advance(&mut wrong).unwrap_err().kind(),
            io::ErrorKind::InvalidData
        );
        let (mut surplus, _server) = reply(|bytes| bytes.push(0));
        assert_eq!(
            advance(&mut surplus).unwrap_err().kind(),
            io::ErrorKind::InvalidData
        );
        let (mut ended, server) = reply(|bytes| bytes.truncate(3));
        drop(server);
        assert_eq!(advance(&mut ended).unwrap(), Progress::Waiting);
        assert_eq!(
            advance(&mut ended).unwrap_err().kind(),
            io::ErrorKind::UnexpectedEof
        );
    }

    #[test]
    fn start_stamps_each_request_anew() {
        let (mut connection, mut server) = pair(8);
        let mut seen = [[0; 8]; 2];
        for request in &mut seen {
            connection.start(Instant::now()).unwrap();
            server.read_exact(request).unwrap();
            server.write_all(request).unwrap();
            assert!(matches!(
                advance(&mut connection).unwrap(),
                Progress::Echoed(_)
            ));
        }
        assert_ne!(seen[0], seen[1]);
    }
}
