//! A gigabyte through `netcat` and `proxy`, and no byte wrong.

use std::io::{Read, Write};
use std::process::{Child, Command, Stdio};
use std::thread;

use crate::support::LIMIT;
use crate::support::process::{Echo, Process, example, port};
use crate::support::watchdog::Watchdog;

/// 1 GiB, as the pieces of a stream that repeats nowhere.
const PIECES: u64 = 1024;
const PIECE_LEN: usize = 1024 * 1024;

/// The bytes of a test, piece by piece: a pattern without order, stamped with the piece's number.
struct Stream {
    piece: Vec<u8>,
    number: u64,
}

impl Stream {
    fn new() -> Self {
        // xorshift64, Marsaglia 2003.
        let mut state: u64 = 0x9e37_79b9_7f4a_7c15;
        let next = || {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state.to_le_bytes()
        };
        let words = std::iter::repeat_with(next).take(PIECE_LEN / 8);
        Stream {
            piece: words.flatten().collect(),
            number: 0,
        }
    }

    /// The next piece; nothing once all were given.
    fn next(&mut self) -> Option<&[u8]> {
        if self.number == PIECES {
            return None;
        }
        self.number += 1;
        // Everywhere in it, so that no part of a piece can stand for that of another.
        for (at, place) in self.piece.chunks_mut(4096).enumerate() {
            place[..8].copy_from_slice(&(self.number << 16 | at as u64).to_le_bytes());
        }
        Some(&self.piece)
    }
}

/// Writes the stream.
fn feed(mut sink: impl Write) {
    let mut stream = Stream::new();
    while let Some(piece) = stream.next() {
        sink.write_all(piece).expect("the stream is taken");
    }
}

/// Reads to the end, which must come after the very same bytes.
#[track_caller]
fn check(mut source: impl Read) {
    let mut stream = Stream::new();
    let mut buf = vec![0; PIECE_LEN];
    while let Some(piece) = stream.next() {
        source.read_exact(&mut buf).expect("the stream goes on");
        assert!(buf == piece, "a wrong byte");
    }
    assert_eq!(
        source.read(&mut buf).expect("an end"),
        0,
        "bytes behind the end"
    );
}

/// `netcat` with bare pipes.
fn netcat(args: &[&str]) -> Child {
    let mut command = Command::new(example("netcat"));
    command
        .args(args)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped());
    command.spawn().expect("netcat starts")
}

/// Sends the stream through a netcat that connects to `port`; what comes back must be the same.
fn there_and_back(port: &str) {
    let mut netcat = netcat(&["127.0.0.1", port]);
    let stdin = netcat.stdin.take().expect("piped");
    let feeding = thread::spawn(move || feed(stdin));
    check(netcat.stdout.take().expect("piped"));
    feeding.join().expect("all was taken");
    assert!(netcat.wait().expect("it is ours").success());
}

#[test]
fn gigabyte_through_netcat_and_proxy_comes_back_unharmed() {
    let _watchdog = Watchdog::start(LIMIT * 10);
    let echo = Echo::start(&["--tcp", "127.0.0.1:0"]);
    let proxy = Process::example(
        "proxy",
        &["127.0.0.1:0", &echo.addr("tcp"), "--workers", "2"],
    );
    there_and_back(&port(&proxy.line("listening tcp ")));
}

/// Standard output and input are files: read and written by blocking threads.
#[test]
fn gigabyte_between_files_arrives_unharmed() {
    let _watchdog = Watchdog::start(LIMIT * 10);
    let dir = crate::support::TempDir::new();
    let path = dir.path().join("input");
    feed(std::fs::File::create(&path).expect("a file"));

    let copy = dir.path().join("output");
    let mut command = Command::new(example("netcat"));
    let output = std::fs::File::create(&copy).expect("a file");
    command
        .args(["-l", "127.0.0.1", "0"])
        .stdin(Stdio::null())
        .stdout(output);
    let mut listener = command
        .stderr(Stdio::piped())
        .spawn()
        .expect("netcat starts");
    let mut line = String::new();
    let stderr = listener.stderr.take().expect("piped");
    std::io::BufRead::read_line(&mut std::io::BufReader::new(stderr), &mut line).expect("a line");

    let mut command = Command::new(example("netcat"));
    let input = std::fs::File::open(&path).expect("it was written");
    command.args(["127.0.0.1", &port(line.trim())]).stdin(input);
    assert!(command.status().expect("netcat starts").success());
    assert!(listener.wait().expect("it is ours").success());
    check(std::fs::File::open(&copy).expect("it was written"));
}
