//! `load udp`: a datagram and its echo on each of some sockets, in a closed loop.
//!
//! One socket a connection asked for, dealt out over the server's sockets. A datagram whose echo
//! does not come is lost: it is counted and sent anew, so that a loss slows one socket and stops
//! none. Level-triggered: one receive an event.

use std::error::Error;
use std::io;
use std::net::UdpSocket;
use std::os::fd::AsFd as _;
use std::time::{Duration, Instant};

use super::{Settings, Span, Stretch};
use crate::histogram::Histogram;
use crate::raw::epoll::{Epoll, Events, READABLE};
use crate::report::Report;

pub(super) const EVENTS_PER_WAIT: usize = 256;
pub(super) const WAIT_MS: i32 = 20;
/// How long an echo may take before its datagram counts as lost.
pub(super) const RESEND_AFTER: Duration = Duration::from_millis(200);

/// Warms up, measures, and tells.
pub(super) fn run(settings: &Settings) -> Result<(), Box<dyn Error>> {
    let mut volley = Volley::new(settings)?;
    volley.run(Span::Time(settings.warmup))?;
    settings.gate.wait()?;
    let stretch = Stretch::start(settings)?;
    let echoes = volley.run(settings.span)?;
    let measured = stretch.stop(settings)?;
    let mut report = Report::new();
    report.add("sockets", settings.connections as f64);
    report.add("datagram_bytes", settings.size as f64);
    measured.add_to(&mut report, "datagrams", echoes);
    report.add("lost", volley.lost as f64);
    report.add_latencies(&volley.latencies);
    Ok(settings.publish(&report)?)
}

struct Volley {
    epoll: Epoll,
    events: Events,
    players: Vec<Player>,
    buffer: Vec<u8>,
    latencies: Histogram,
    lost: u64,
    deadline: Duration,
}

/// A socket with one datagram under way.
struct Player {
    socket: UdpSocket,
    /// A serial number, then a pattern of this socket's own.
    datagram: Vec<u8>,
    serial: u64,
    sent: Instant,
}

impl Volley {
    fn new(settings: &Settings) -> io::Result<Self> {
        let epoll = Epoll::new()?;
        let mut players = Vec::new();
        for index in 0..settings.connections {
            let socket = UdpSocket::bind(settings.source(index))?;
            socket.connect(settings.targets[index % settings.targets.len()])?;
            socket.set_nonblocking(true)?;
            epoll.add(socket.as_fd(), READABLE, index as u64)?;
            players.push(Player {
                socket,
                datagram: pattern(index, settings.size),
                serial: 0,
                sent: Instant::now(),
            });
        }
        Ok(Self {
            epoll,
            events: Events::with_capacity(EVENTS_PER_WAIT),
            players,
            buffer: vec![0; settings.size + 1],
            latencies: Histogram::new(),
            lost: 0,
            deadline: settings.deadline,
        })
    }

    /// Plays over `span`; returns the number of echoes in it.
    fn run(&mut self, span: Span) -> io::Result<u64> {
        self.latencies = Histogram::new();
        self.lost = 0;
        for player in &mut self.players {
            player.send()?;
        }
        let began = Instant::now();
        let (mut stirred, mut swept) = (began, began);
        loop {
            self.epoll.wait(&mut self.events, WAIT_MS)?;
            for at in 0..self.events.len() {
                self.advance(self.events.at(at).0 as usize)?;
            }
            let now = Instant::now();
            if self.events.len() > 0 {
                stirred = now;
            } else if now - stirred > self.deadline {
                let what = "no echo came within the deadline";
                return Err(io::Error::new(io::ErrorKind::TimedOut, what));
            }
            if now - swept > RESEND_AFTER {
                swept = now;
                self.resend(now)?;
            }
            let over = match span {
                Span::Time(time) => now - began >= time,
                Span::Requests(count) => self.latencies.total() >= count,
            };
            if over {
                return Ok(self.latencies.total());
            }
        }
    }

    fn advance(&mut self, index: usize) -> io::Result<()> {
        let player = &mut self.players[index];
        let n = match player.socket.recv(&mut self.buffer) {
            Ok(n) => n,
            Err(err) if err.kind() == io::ErrorKind::WouldBlock => return Ok(()),
            Err(err) => return Err(err),
        };
        match player.judge(&self.buffer[..n]) {
            Verdict::Echo => {
                self.latencies.record(player.sent.elapsed());
                player.send()
            }
            // What was taken for lost, or belongs to the run before.
            Verdict::Late => Ok(()),
            Verdict::Foreign => Err(io::Error::new(
                io::ErrorKind::InvalidData,
                "not the bytes sent",
            )),
        }
    }

    fn resend(&mut self, now: Instant) -> io::Result<()> {
        for player in &mut self.players {
            if now.saturating_duration_since(player.sent) > RESEND_AFTER {
                self.lost += 1;
                player.send()?;
            }
        }
        Ok(())
    }
}

/// What a datagram that arrives is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    Echo,
    Late,
    Foreign,
}

impl Player {
    /// Sends the next datagram; the one under way, if any, is given up.
    fn send(&mut self) -> io::Result<()> {
        self.serial += 1;
        let head = self.head();
        self.datagram[..head].copy_from_slice(&self.serial.to_le_bytes()[..head]);
        self.sent = Instant::now();
        match self.socket.send(&self.datagram) {
            // Lost like one that the network drops.
            Err(err) if err.kind() == io::ErrorKind::WouldBlock => Ok(()),
            other => other.map(drop),
        }
    }

    fn judge(&self, bytes: &[u8]) -> Verdict {
        let head = self.head();
        if bytes == self.datagram {
            Verdict::Echo
        } else if bytes.get(head..) == self.datagram.get(head..) {
            Verdict::Late
        } else {
            Verdict::Foreign
        }
    }

    fn head(&self) -> usize {
        size_of::<u64>().min(self.datagram.len())
    }
}

/// The bytes that socket `index` sends, which no other does.
pub(super) fn pattern(index: usize, size: usize) -> Vec<u8> {
    (0..size).map(|at| (at * 7 + index * 13) as u8).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn judge_tells_echo_late_and_foreign_apart() {
        let server = UdpSocket::bind("127.0.0.1:0").unwrap();
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        socket.connect(server.local_addr().unwrap()).unwrap();
        let mut player = Player {
            socket,
            datagram: vec![7; 64],
            serial: 0,
            sent: Instant::now(),
        };
        player.send().unwrap();
        let first = player.datagram.clone();
        assert_eq!(player.judge(&first), Verdict::Echo);
        player.send().unwrap();
        assert_eq!(player.judge(&first), Verdict::Late);
        assert_eq!(player.judge(&first[..63]), Verdict::Foreign);
        assert_eq!(player.judge(&[7; 65]), Verdict::Foreign);
        assert_eq!(player.judge(&[]), Verdict::Foreign);
    }
}
