//! The datagrams that pass an interface of the router, as they pass.

use std::io::{BufRead, BufReader};
use std::process::{Child, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::Instant;

use crate::session::LIMIT;
use crate::world::{PACKETS, Place, World};

/// The router's interface on the client's side: what the client sent, and what will reach it.
pub(crate) const CLIENT_SIDE: &str = "r0";
/// The one on the server's side.
pub(crate) const SERVER_SIDE: &str = "r1";

/// A datagram between client and server.
#[derive(Debug)]
pub(crate) struct Datagram {
    /// When it was seen.
    pub(crate) at: Instant,
    /// Whether it is for the server.
    pub(crate) is_up: bool,
    /// The client's address.
    pub(crate) host: String,
    /// The client's port.
    pub(crate) port: String,
}

/// A capture that runs until it is dropped.
pub(crate) struct Capture {
    child: Child,
    datagrams: Receiver<Datagram>,
}

impl Capture {
    /// Starts one, and waits until it sees everything.
    #[track_caller]
    pub(crate) fn start(world: &World, interface: &str) -> Self {
        let mut command = world.command(Place::Router, "python3");
        command.args(["-c", PACKETS, "capture", interface]);
        command.stdin(Stdio::null()).stdout(Stdio::piped());
        let mut child = command.spawn().expect("nsenter starts");
        let mut lines = BufReader::new(child.stdout.take().expect("piped")).lines();
        let first = lines.next().and_then(Result::ok);
        assert_eq!(first.as_deref(), Some("ready"), "the capture's first line");
        let (sender, datagrams) = channel();
        thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                if sender.send(parse(&line)).is_err() {
                    return;
                }
            }
        });
        Capture { child, datagrams }
    }

    /// Waits for a datagram that `is_wanted`; those before it are forgotten.
    #[track_caller]
    pub(crate) fn next(&self, is_wanted: impl Fn(&Datagram) -> bool) -> Datagram {
        let end = Instant::now() + LIMIT;
        loop {
            let left = end.saturating_duration_since(Instant::now());
            let datagram = self.datagrams.recv_timeout(left).expect("a datagram");
            if is_wanted(&datagram) {
                return datagram;
            }
        }
    }

    /// Those that were seen and not asked for.
    pub(crate) fn seen(&self) -> impl Iterator<Item = Datagram> {
        self.datagrams.try_iter()
    }
}

impl Drop for Capture {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn parse(line: &str) -> Datagram {
    let at = Instant::now();
    let words: Vec<&str> = line.split(' ').collect();
    let &[direction, host, port] = words.as_slice() else {
        panic!("not a datagram: {line}");
    };
    Datagram {
        at,
        is_up: direction == "up",
        host: host.to_owned(),
        port: port.to_owned(),
    }
}
