//! `load volley`: peers that each have a window of datagrams on their way to one server and back.
//!
//! What came back is sent anew at once, cut out of one message by the kernel, so that the load costs
//! less than any server and is not what is measured. What does not come back within a time is lost:
//! it is counted, and the window is sent anew.

use std::error::Error;
use std::io;
use std::net::UdpSocket;
use std::os::fd::AsFd as _;
use std::time::{Duration, Instant};

use super::datagrams::{EVENTS_PER_WAIT, RESEND_AFTER, WAIT_MS, pattern};
use super::{Settings, Span, Stretch};
use crate::raw::datagrams::{Batch, set_segment};
use crate::raw::epoll::{Epoll, Events, READABLE};
use crate::report::Report;

/// Warms up, measures, and tells.
pub(super) fn run(settings: &Settings) -> Result<(), Box<dyn Error>> {
    let mut volley = Volley::new(settings)?;
    volley.run(Span::Time(settings.warmup))?;
    settings.gate.wait()?;
    let stretch = Stretch::start(settings)?;
    let echoes = volley.run(settings.span)?;
    let measured = stretch.stop(settings)?;
    let mut report = Report::new();
    report.add("peers", settings.connections as f64);
    report.add("window", settings.window as f64);
    report.add("datagram_bytes", settings.size as f64);
    measured.add_to(&mut report, "datagrams", echoes);
    report.add("lost", volley.lost as f64);
    Ok(settings.publish(&report)?)
}

struct Volley {
    epoll: Epoll,
    events: Events,
    peers: Vec<Peer>,
    batch: Batch,
    lost: u64,
    deadline: Duration,
}

/// A socket with datagrams under way.
struct Peer {
    socket: UdpSocket,
    /// As many datagrams as the window has, each the pattern of this peer.
    window: Vec<u8>,
    size: usize,
    /// Datagrams on their way.
    under_way: usize,
    stirred: Instant,
}

impl Volley {
    fn new(settings: &Settings) -> Result<Self, Box<dyn Error>> {
        let size = u16::try_from(settings.size)?;
        let bytes = settings.size * settings.window;
        if bytes > usize::from(u16::MAX) {
            return Err(format!("a window of {bytes} bytes is more than a message holds").into());
        }
        let epoll = Epoll::new()?;
        let mut peers = Vec::new();
        for index in 0..settings.connections {
            let socket = UdpSocket::bind(settings.source(index))?;
            socket.connect(settings.targets[index % settings.targets.len()])?;
            socket.set_nonblocking(true)?;
            set_segment(&socket, size)?;
            epoll.add(socket.as_fd(), READABLE, index as u64)?;
            peers.push(Peer {
                socket,
                window: pattern(index, settings.size).repeat(settings.window),
                size: settings.size,
                under_way: 0,
                stirred: Instant::now(),
            });
        }
        Ok(Self {
            epoll,
            events: Events::with_capacity(EVENTS_PER_WAIT),
            peers,
            batch: Batch::new(settings.window, settings.size + 1),
            lost: 0,
            deadline: settings.deadline,
        })
    }

    /// Plays over `span` and lets what is under way come back; returns the number of echoes.
    fn run(&mut self, span: Span) -> io::Result<u64> {
        self.lost = 0;
        let began = Instant::now();
        let mut sent = self.fill_windows()?;
        let (mut echoes, mut stirred, mut swept) = (0, began, began);
        loop {
            let over = match span {
                Span::Time(time) => began.elapsed() >= time,
                Span::Requests(count) => sent >= count,
            };
            if over && self.peers.iter().all(|peer| peer.under_way == 0) {
                return Ok(echoes);
            }
            self.epoll.wait(&mut self.events, WAIT_MS)?;
            for at in 0..self.events.len() {
                let peer = &mut self.peers[self.events.at(at).0 as usize];
                let came = peer.receive(&mut self.batch)?;
                echoes += came as u64;
                if !over && came > 0 {
                    sent += peer.send(came)?;
                }
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
                self.give_up(now);
                if !over {
                    sent += self.fill_windows()?;
                }
            }
        }
    }

    fn fill_windows(&mut self) -> io::Result<u64> {
        let idle = self.peers.iter_mut().filter(|peer| peer.under_way == 0);
        idle.map(|peer| peer.send(peer.window.len() / peer.size))
            .sum()
    }

    fn give_up(&mut self, now: Instant) {
        for peer in &mut self.peers {
            if now.saturating_duration_since(peer.stirred) > RESEND_AFTER {
                self.lost += std::mem::take(&mut peer.under_way) as u64;
            }
        }
    }
}

impl Peer {
    /// Sends `count` datagrams; returns how many.
    fn send(&mut self, count: usize) -> io::Result<u64> {
        self.stirred = Instant::now();
        match self.socket.send(&self.window[..count * self.size]) {
            // Sent anew with what is lost.
            Err(err) if err.kind() == io::ErrorKind::WouldBlock => return Ok(0),
            other => other?,
        };
        self.under_way += count;
        Ok(count as u64)
    }

    /// Receives what is there; returns how many datagrams.
    fn receive(&mut self, batch: &mut Batch) -> io::Result<usize> {
        let count = match batch.receive(self.socket.as_fd()) {
            Ok(count) => count,
            Err(err) if err.kind() == io::ErrorKind::WouldBlock => return Ok(0),
            Err(err) => return Err(err),
        };
        self.stirred = Instant::now();
        if (0..count).any(|index| batch.message(index) != &self.window[..self.size]) {
            let what = "not the bytes sent";
            return Err(io::Error::new(io::ErrorKind::InvalidData, what));
        }
        // One that was given up may come all the same, and is not to be replaced twice.
        let awaited = count.min(self.under_way);
        self.under_way -= awaited;
        Ok(awaited)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peer() -> (UdpSocket, Peer) {
        let server = UdpSocket::bind("127.0.0.1:0").unwrap();
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        socket.connect(server.local_addr().unwrap()).unwrap();
        socket.set_nonblocking(true).unwrap();
        set_segment(&socket, 8).unwrap();
        let peer = Peer {
            socket,
            window: pattern(3, 8).repeat(4),
            size: 8,
            under_way: 0,
            stirred: Instant::now(),
        };
        (server, peer)
    }

    #[test]
    fn a_window_goes_out_as_datagrams_and_comes_back_counted() {
        let (server, mut peer) = peer();
        assert_eq!(peer.send(4).unwrap(), 4);
        let mut buf = [0; 64];
        for _ in 0..4 {
            let (n, from) = server.recv_from(&mut buf).unwrap();
            assert_eq!(buf[..n], pattern(3, 8));
            server.send_to(&buf[..n], from).unwrap();
        }
        let mut batch = Batch::new(4, 9);
        assert_eq!(peer.receive(&mut batch).unwrap(), 4);
        assert_eq!(peer.under_way, 0);
    }

    #[test]
    fn what_was_given_up_is_not_counted_when_it_comes() {
        let (server, mut peer) = peer();
        let to = peer.socket.local_addr().unwrap();
        server.send_to(&pattern(3, 8), to).unwrap();
        assert_eq!(peer.receive(&mut Batch::new(4, 9)).unwrap(), 0);
    }

    #[test]
    fn foreign_bytes_are_refused() {
        let (server, mut peer) = peer();
        let to = peer.socket.local_addr().unwrap();
        for wrong in [&[0; 8][..], &pattern(3, 9)[..], &[]] {
            server.send_to(wrong, to).unwrap();
            let err = peer.receive(&mut Batch::new(4, 9)).unwrap_err();
            assert_eq!(err.kind(), io::ErrorKind::InvalidData);
        }
    }
}
