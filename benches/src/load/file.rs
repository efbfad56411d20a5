//! `load file`: fetches `/file` over HTTP/1.1 on one connection, again and again.
//!
//! The head of each answer is read and understood; what follows is thrown away inside the kernel, which
//! is the cheapest that a receiver can do, so that the server is what is measured.

use std::error::Error;
use std::io::{self, Write as _};
use std::net::TcpStream;
use std::os::fd::AsFd as _;
use std::thread;
use std::time::{Duration, Instant};

use super::{MIB, Settings, Span, Stretch};
use crate::raw::socket;
use crate::report::Report;

const REQUEST: &[u8] = b"GET /file HTTP/1.1\r\nHost: localhost\r\n\r\n";
/// The longest head of an answer.
const HEAD_LEN_MAX: usize = 4096;
/// How much is thrown away at once.
const PIECE_LEN: u64 = 1 << 20;
/// How long it waits between two attempts to connect.
const CONNECT_PAUSE: Duration = Duration::from_millis(5);

/// Warms up, measures, and tells.
pub(super) fn run(settings: &Settings) -> Result<(), Box<dyn Error>> {
    let mut stream = connect(settings)?;
    stream.set_read_timeout(Some(settings.deadline))?;
    stream.set_write_timeout(Some(settings.deadline))?;
    fetch(&mut stream)?;
    settings.gate.wait()?;
    let stretch = Stretch::start(settings)?;
    let (began, mut moved) = (Instant::now(), 0);
    loop {
        moved += fetch(&mut stream)?;
        let enough = match settings.span {
            Span::Time(time) => began.elapsed() >= time,
            Span::Requests(mib) => moved >= mib * MIB,
        };
        if enough {
            break;
        }
    }
    let measured = stretch.stop(settings)?;
    let mut report = Report::new();
    measured.add_to(&mut report, "mib", moved / MIB);
    Ok(settings.publish(&report)?)
}

/// Connects as soon as somebody listens, since not every server can tell when it does.
fn connect(settings: &Settings) -> io::Result<TcpStream> {
    let began = Instant::now();
    loop {
        match TcpStream::connect(settings.target) {
            Err(err)
                if err.kind() == io::ErrorKind::ConnectionRefused
                    && began.elapsed() < settings.deadline =>
            {
                thread::sleep(CONNECT_PAUSE);
            }
            result => return result,
        }
    }
}

/// Fetches the file once; returns its length.
fn fetch(stream: &mut TcpStream) -> io::Result<u64> {
    stream.write_all(REQUEST)?;
    let (mut received, mut buf) = (Vec::new(), [0; HEAD_LEN_MAX]);
    let head_len = loop {
        let len = socket::receive(stream.as_fd(), &mut buf)?;
        if len == 0 || received.len() > HEAD_LEN_MAX {
            return Err(wrong("no head of an answer"));
        }
        received.extend_from_slice(&buf[..len]);
        if let Some(end) = received.windows(4).position(|four| four == b"\r\n\r\n") {
            break end + 4;
        }
    };
    let len = content_len(&String::from_utf8_lossy(&received[..head_len]))
        .ok_or_else(|| wrong("no answer with a length"))?;
    let mut left = len.checked_sub((received.len() - head_len) as u64);
    while let Some(rest @ 1..) = left {
        let got = socket::discard(stream.as_fd(), rest.min(PIECE_LEN) as usize)?;
        if got == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        left = rest.checked_sub(got as u64);
    }
    left.ok_or_else(|| wrong("more than was promised"))?;
    Ok(len)
}

/// The length that the head of a successful answer promises.
fn content_len(head: &str) -> Option<u64> {
    let mut lines = head.lines();
    if !lines.next()?.starts_with("HTTP/1.1 200 ") {
        return None;
    }
    let fields = lines.filter_map(|line| line.split_once(':'));
    let mut named = fields.filter(|(name, _)| name.eq_ignore_ascii_case("content-length"));
    named.next()?.1.trim().parse().ok()
}

fn wrong(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;
    use std::net::{Ipv4Addr, TcpListener};

    use super::*;

    /// Fetches from a server that gives this answer.
    fn fetched(answer: &'static [u8]) -> io::Result<u64> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let mut client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let serving = thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            stream.read_exact(&mut [0; REQUEST.len()]).unwrap();
            stream.write_all(answer).unwrap();
        });
        let len = fetch(&mut client);
        serving.join().unwrap();
        len
    }

    #[test]
    fn fetch_takes_the_whole_of_an_answer_and_no_other() {
        let len = fetched(b"HTTP/1.1 200 OK\r\nServer: x\r\ncontent-LENGTH: 5\r\n\r\nhello");
        assert_eq!(len.unwrap(), 5);
        for answer in [
            &b"HTTP/1.1 404 Not Found\r\nContent-Length: 1\r\n\r\nx"[..],
            b"HTTP/1.1 200 OK\r\n\r\nhello",
            b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nhello",
            b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nhello",
            b"HTTP/1.1 200",
        ] {
            assert!(fetched(answer).is_err(), "{answer:?}");
        }
    }
}
