//! The floor for datagrams: one epoll instance and one thread a worker, sockets dealt out in turn.
//!
//! Readiness is level-triggered: one receive an event, and none that fails to prove a queue empty.

use std::io;
use std::net::UdpSocket;
use std::os::fd::AsFd as _;
use std::thread;

use super::{BATCH, BUFFER_SIZE, JOINED_SIZE, Options, announce_all};
use crate::raw::datagrams::{Batch, To, set_gro, set_segment};
use crate::raw::epoll::{Epoll, Events, READABLE};

const EVENTS_PER_WAIT: usize = 256;
/// How long joined datagrams are each: the floor need not look.
const JOINED_EACH: u16 = 64;

/// Serves on `count` sockets for ever.
pub(super) fn run(options: &Options, count: usize) -> io::Result<()> {
    let mut addrs = Vec::new();
    let mut workers: Vec<Vec<UdpSocket>> = (0..options.workers).map(|_| Vec::new()).collect();
    for index in 0..count {
        let socket = UdpSocket::bind(options.addr)?;
        socket.set_nonblocking(true)?;
        if options.joined {
            set_gro(&socket)?;
            set_segment(&socket, JOINED_EACH)?;
        }
        addrs.push(socket.local_addr()?);
        workers[index % options.workers].push(socket);
    }
    announce_all(&addrs)?;
    let echo = if options.joined || options.batches {
        echo_batches
    } else {
        echo
    };
    let start = |sockets| thread::Builder::new().spawn(move || echo(sockets));
    let threads = workers.into_iter().map(start);
    for thread in threads.collect::<io::Result<Vec<_>>>()? {
        let ended = thread.join();
        ended.unwrap_or_else(|_| Err(io::Error::other("a worker panicked")))?;
    }
    Ok(())
}

fn echo(sockets: Vec<UdpSocket>) -> io::Result<()> {
    let epoll = Epoll::new()?;
    for (key, socket) in sockets.iter().enumerate() {
        epoll.add(socket.as_fd(), READABLE, key as u64)?;
    }
    let mut events = Events::with_capacity(EVENTS_PER_WAIT);
    let mut buf = [0; BUFFER_SIZE];
    loop {
        epoll.wait(&mut events, -1)?;
        for at in 0..events.len() {
            let socket = &sockets[events.at(at).0 as usize];
            match socket.recv_from(&mut buf) {
                Ok((n, from)) => drop(socket.send_to(&buf[..n], from)?),
                Err(err) if err.kind() == io::ErrorKind::WouldBlock => {}
                Err(err) => return Err(err),
            }
        }
    }
}

fn echo_batches(sockets: Vec<UdpSocket>) -> io::Result<()> {
    let epoll = Epoll::new()?;
    for (key, socket) in sockets.iter().enumerate() {
        epoll.add(socket.as_fd(), READABLE, key as u64)?;
    }
    let mut events = Events::with_capacity(EVENTS_PER_WAIT);
    let mut batch = Batch::new(BATCH, JOINED_SIZE);
    loop {
        epoll.wait(&mut events, -1)?;
        for at in 0..events.len() {
            let socket = sockets[events.at(at).0 as usize].as_fd();
            let count = match batch.receive(socket) {
                Ok(count) => count,
                Err(err) if err.kind() == io::ErrorKind::WouldBlock => continue,
                Err(err) => return Err(err),
            };
            let mut sent = 0;
            while sent < count {
                sent += batch.send(socket, sent, count, To::Senders)?;
            }
        }
    }
}
