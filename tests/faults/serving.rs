//! Servers of streams whose system calls fail while they serve.

use std::fs;
use std::io::{self, Read, Write};
use std::net::TcpStream;

use crate::support::process::{Echo, Process};
use crate::support::sockets::open_fds;
use crate::support::traced::Traced;
use crate::support::watchdog::Watchdog;
use crate::support::{LIMIT, TempDir, programs, until};

/// What the peers of a server notice of a fault.
#[derive(Clone, Copy, Debug)]
enum Expected {
    /// Nothing: the call is made again, now or later, or was not needed.
    Nothing,
    /// Nothing, but the server has told of this on standard error.
    Told(&'static str),
    /// One connection has ended; others, older and younger, are served.
    Ends,
    /// As `Ends`, and told.
    EndsTold(&'static str),
}
use Expected::{Ends, EndsTold, Nothing, Told};

type Row = (&'static str, Expected);

/// What has no descriptor or no memory pauses, and is tried again by a timer; connections that were
/// dead before they were accepted are passed over at once.
const ACCEPTING: [Row; 10] = [
    ("accept4:error=EMFILE:when=1..3", Nothing),
    ("accept4:error=ENFILE:when=1..3", Nothing),
    ("accept4:error=ENOBUFS:when=1..3", Nothing),
    ("accept4:error=ENOMEM:when=1..3", Nothing),
    ("accept4:error=ECONNABORTED:when=1..30", Nothing),
    ("accept4:error=EINTR:when=1..30", Nothing),
    ("accept4:error=EPROTO:when=1..30", Nothing),
    ("accept4:error=EPERM:when=1..30", Nothing),
    ("accept4:error=ENETDOWN:when=1..30", Nothing),
    ("accept4:error=EHOSTUNREACH:when=1..30", Nothing),
];

/// Calls that were interrupted are made again, by each thread, every second time that it makes one.
const STORMS: [Row; 4] = [
    ("accept4:error=EINTR:when=1+2", Nothing),
    ("epoll_wait:error=EINTR:when=1+2", Nothing),
    ("recvfrom:error=EINTR:when=1+2", Nothing),
    ("sendto:error=EINTR:when=1+2", Nothing),
];

/// The same of the eventfd that wakes a worker. An `EAGAIN` says that nobody has rung.
const BELL: [Row; 3] = [
    ("write:error=EINTR:when=1+2", Nothing),
    ("read:error=EINTR:when=1+2", Nothing),
    ("read:error=EAGAIN:when=1+2", Nothing),
];

/// The same happens, later.
const DELAYS: [Row; 3] = [
    (
        "accept4,recvfrom,sendto,epoll_wait:delay_enter=20ms",
        Nothing,
    ),
    ("epoll_ctl,close,shutdown,splice:delay_exit=20ms", Nothing),
    ("accept4,recvfrom,sendto,epoll_wait:signal=SIGCHLD", Nothing),
];

const ECHO: [Row; 15] = [
    (
        "accept4:error=EINVAL:when=1",
        Told("accept4: invalid argument"),
    ),
    (
        "accept4:error=EBADF:when=1",
        Told("accept4: bad file descriptor"),
    ),
    // The connection's registration.
    ("epoll_ctl:error=ENOMEM:when=1", Ends),
    ("epoll_ctl:error=ENOSPC:when=1", Ends),
    ("epoll_ctl:error=EPERM:when=1", Ends),
    ("recvfrom:error=ECONNRESET:when=1", Ends),
    ("recvfrom:error=ETIMEDOUT:when=1", Ends),
    ("recvfrom:error=EHOSTUNREACH:when=1", Ends),
    ("recvfrom:error=EIO:when=1", Ends),
    // Waits for room, which there is: writability is registered then, and reported at once.
    ("sendto:error=EAGAIN:when=1", Nothing),
    ("sendto:error=EPIPE:when=1", Ends),
    ("sendto:error=ECONNRESET:when=1", Ends),
    ("sendto:error=ETIMEDOUT:when=1", Ends),
    ("sendto:error=ENOBUFS:when=1..3", Nothing),
    ("getsockopt:error=ENOBUFS", Nothing),
];

const PROXY: [Row; 12] = [
    (
        "socket:error=EMFILE:when=1",
        EndsTold("socket: too many open files"),
    ),
    (
        "socket:error=EACCES:when=1",
        EndsTold("socket: permission denied"),
    ),
    (
        "connect:error=ECONNREFUSED:when=1",
        EndsTold("connect: connection refused"),
    ),
    (
        "connect:error=ENETUNREACH:when=1",
        EndsTold("connect: network is unreachable"),
    ),
    // The port that the kernel chose was taken meanwhile: it is to choose another.
    ("connect:error=EADDRNOTAVAIL:when=1", Nothing),
    (
        "connect:error=EADDRNOTAVAIL:when=1..3",
        EndsTold("connect: cannot assign requested address"),
    ),
    ("epoll_ctl:error=ENOSPC:when=1", EndsTold("ENOSPC")),
    ("splice:error=ECONNRESET:when=1", Ends),
    ("splice:error=ETIMEDOUT:when=1", Ends),
    ("splice:error=EPIPE:when=2", Ends),
    ("setsockopt:error=ENOBUFS:when=1", Nothing),
    ("accept4:error=EINVAL:when=1", Nothing),
];

const FILES: [Row; 8] = [
    ("accept4:error=EBADF:when=1", Nothing),
    ("recvfrom:error=ECONNRESET:when=1", Ends),
    ("sendto:error=EPIPE:when=1", Ends),
    ("sendto:error=EAGAIN:when=1", Nothing),
    ("sendto:error=ENOBUFS:when=1..3", Nothing),
    ("epoll_ctl:error=ENOMEM:when=1", Ends),
    ("openat2:error=EINTR:when=1", Nothing),
    ("openat2:error=EAGAIN:when=1..3", Nothing),
];

const CHAT: [Row; 8] = [
    ("accept4:error=EINVAL:when=1", Nothing),
    ("recvfrom:error=ECONNRESET:when=1", Ends),
    ("recvfrom:error=EHOSTUNREACH:when=1", Ends),
    ("sendto:error=EAGAIN:when=1", Nothing),
    ("sendto:error=ENOBUFS:when=1..3", Nothing),
    ("setsockopt:error=ENOBUFS:when=1", Ends),
    ("epoll_ctl:error=ENOSPC:when=1", Ends),
    ("shutdown:error=ENOTCONN", Nothing),
];

/// A server that is tried.
struct Subject {
    name: &'static str,
    server: Process,
    addr: String,
    /// What a client says, again and again, and how the answer ends.
    talk: (&'static str, &'static str),
    /// Descriptors that it may keep for later: pipes.
    kept: usize,
    _behind: Option<Echo>,
    _dir: Option<TempDir>,
}

const TALK: (&str, &str) = ("to and fro\n", "to and fro\n");

impl Subject {
    fn echo(flavor: &[&str]) -> Self {
        let args = [&["--tcp", "127.0.0.1:0"], flavor].concat();
        Self::start("echo", &args, TALK)
    }

    fn proxy() -> Self {
        let behind = Echo::start(&["--tcp", "127.0.0.1:0"]);
        let args = ["127.0.0.1:0", &behind.addr("tcp"), "--workers", "1"];
        Subject {
            kept: 8,
            _behind: Some(behind),
            ..Self::start("proxy", &args, TALK)
        }
    }

    fn files() -> Self {
        let dir = TempDir::new();
        fs::write(dir.file("index.html"), "the index").expect("a file is written");
        let root = dir.path().to_str().expect("UTF-8").to_owned();
        let talk = ("GET / HTTP/1.1\r\nHost: x\r\n\r\n", "\r\n\r\nthe index");
        Subject {
            _dir: Some(dir),
            ..Self::start("files", &[&root, "127.0.0.1:0", "--workers", "1"], talk)
        }
    }

    fn chat() -> Self {
        let talk = ("/dance\n", "no such command; /help for help\n");
        let args = ["127.0.0.1:0", "--workers", "1", "--rate", "1000000"];
        Self::start("chat", &args, talk)
    }

    #[track_caller]
    fn start(name: &'static str, args: &[&str], talk: (&'static str, &'static str)) -> Self {
        let server = Process::example(name, args);
        let addr = server.line("listening tcp ");
        Subject {
            name,
            server,
            addr,
            talk,
            kept: 0,
            _behind: None,
            _dir: None,
        }
    }

    #[track_caller]
    fn connect(&self) -> TcpStream {
        let conn = TcpStream::connect(&self.addr).expect("it listens");
        conn.set_read_timeout(Some(LIMIT)).expect("an option");
        conn
    }

    /// Has a client say something and wait for the answer; an error is the end of the connection.
    fn talk(&self, conn: &mut TcpStream) -> io::Result<()> {
        let (said, end) = self.talk;
        conn.write_all(said.as_bytes())?;
        let mut answer = Vec::new();
        while !answer.ends_with(end.as_bytes()) {
            let mut byte = [0];
            // Not `read`, which may be interrupted.
            conn.read_exact(&mut byte)?;
            answer.extend(byte);
        }
        Ok(())
    }

    /// Tries a row: an old connection and one that meets the fault, and one that comes after.
    #[track_caller]
    fn check(mut self, (fault, expected): Row) {
        let row = format!("{} with {fault}", self.name);
        println!("{row}: {expected:?}");
        let mut old = self.connect();
        self.talk(&mut old).expect("no fault yet");
        let fds = open_fds(self.server.pid());
        let calls = fault.split(':').next().unwrap_or_default();
        let (trace, inject) = (format!("trace={calls}"), format!("inject={fault}"));
        let traced = Traced::attach(&self.server, &["-e", &trace, "-e", &inject]);
        let mut new = self.connect();
        let mark = mark(fault);
        // Some calls are not made each time, and some only at the end.
        let mut rounds = (0..200).take_while(|&round| round < 10 || traced.seen(mark) == 0);
        let served: io::Result<()> = rounds.try_for_each(|_| self.talk(&mut new));
        if let Err(err) = &served {
            let is_end = err.kind() != io::ErrorKind::WouldBlock;
            assert!(is_end, "{row}: waited {LIMIT:?} for an answer");
        }
        let ends = matches!(expected, Ends | EndsTold(_));
        assert_eq!(served.is_err(), ends, "{row}: {served:?}");
        let older = self.talk(&mut old);
        assert!(older.is_ok(), "{row}: the older connection: {older:?}");
        drop(new);
        traced.sees(mark);
        let mut next = self.connect();
        let younger = self.talk(&mut next);
        assert!(
            younger.is_ok(),
            "{row}: the younger connection: {younger:?}"
        );
        drop(next);
        until(&format!("{row}: the descriptors to be closed"), || {
            (open_fds(self.server.pid()) <= fds + self.kept).then_some(())
        });
        drop(old);
        let end = || self.server.signal("TERM");
        let trace = if fault.starts_with("sendto:error") {
            // The handler of the signal sends a byte too, and once only: of that nothing fails.
            let trace = traced.detach();
            end();
            trace
        } else {
            end();
            traced.finish()
        };
        self.server.succeeds();
        let marked = trace.lines().filter(|line| line.contains(mark)).count();
        // One that is not handled but repeated would fill pages.
        assert!(marked < 1000, "{row}: {trace}");
        let errors = self.server.errors();
        match expected {
            Told(text) | EndsTold(text) => {
                assert!(errors.contains(text), "{row}: {errors}");
                assert_eq!(errors.lines().count(), 1, "{row}: {errors}");
            }
            Nothing | Ends => assert_eq!(errors, "", "{row}"),
        }
    }
}

/// What a trace says of a fault.
fn mark(fault: &str) -> &'static str {
    match fault.split_once(':') {
        Some((_, what)) if what.starts_with("delay") => "(DELAYED)",
        Some((_, what)) if what.starts_with("signal") => "--- SIG",
        _ => "(INJECTED)",
    }
}

#[track_caller]
fn check(start: impl Fn() -> Subject, rows: &[Row]) {
    if !programs::has("strace") {
        return;
    }
    let _watchdog = Watchdog::start(LIMIT * 8);
    rows.iter().for_each(|&row| start().check(row));
}

#[test]
fn echo_that_cannot_accept_goes_on() {
    check(|| Subject::echo(&["--current-thread"]), &ACCEPTING);
}

#[test]
fn echo_whose_calls_fail_goes_on() {
    check(|| Subject::echo(&["--current-thread"]), &ECHO);
}

#[test]
fn echo_whose_calls_are_interrupted_goes_on() {
    check(|| Subject::echo(&["--current-thread"]), &STORMS);
    check(|| Subject::echo(&["--workers", "2"]), &STORMS);
}

#[test]
fn servers_whose_calls_take_long_do_the_same() {
    check(|| Subject::echo(&["--current-thread"]), &DELAYS);
    check(Subject::proxy, &DELAYS);
}

#[test]
fn proxy_whose_calls_fail_goes_on() {
    check(Subject::proxy, &PROXY);
}

#[test]
fn files_whose_calls_fail_goes_on() {
    check(Subject::files, &FILES);
    check(Subject::files, &STORMS);
    check(Subject::files, &BELL);
}

#[test]
fn chat_whose_calls_fail_goes_on() {
    check(Subject::chat, &CHAT);
    check(Subject::chat, &STORMS);
}
