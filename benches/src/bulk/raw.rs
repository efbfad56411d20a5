//! The floor: one thread that sends a burst and receives it, and so on, without waiting for anything.

use std::io;
use std::net::UdpSocket;
use std::os::fd::AsFd as _;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use super::{
    BUFFER_BYTES, BUFFERS, BYTES, Burst, LOCAL, Ledger, MESSAGES, RECEIVE_BUFFER, SEGMENTS, Tally,
    answer, set_serial,
};
use crate::raw::datagrams::{Batch, To, set_gro, set_receive_buffer, set_segment};
use crate::server::announce;

/// How long it sleeps while the load lets nothing be sent.
const PAUSE: Duration = Duration::from_millis(1);

/// Transfers for ever.
pub(crate) fn run(joined: bool) -> io::Result<()> {
    let ledger = Arc::new(Ledger::default());
    let (sender, receiver) = (UdpSocket::bind(LOCAL)?, UdpSocket::bind(LOCAL)?);
    set_receive_buffer(&receiver, RECEIVE_BUFFER)?;
    sender.connect(receiver.local_addr()?)?;
    receiver.set_nonblocking(true)?;
    announce(answer(ledger.clone())?)?;
    if joined {
        set_segment(&sender, BYTES as u16)?;
        set_gro(&receiver)?;
        joined_messages(&sender, &receiver, &ledger)
    } else {
        one_a_call(&sender, &receiver, &ledger)
    }
}

fn one_a_call(sender: &UdpSocket, receiver: &UdpSocket, ledger: &Ledger) -> io::Result<()> {
    let mut burst = Burst::new();
    let mut buf = [0; BYTES + 1];
    loop {
        let Some(serials) = ledger.try_burst() else {
            thread::sleep(PAUSE);
            continue;
        };
        for datagram in burst.fill(serials.clone()).chunks(BYTES) {
            sender.send(datagram)?;
        }
        ledger.sent_up_to(serials.end);
        let mut tally = Tally::default();
        while let Some(n) = some(receiver.recv(&mut buf))? {
            tally.note(&buf[..n]);
        }
        tally.enter(ledger);
    }
}

fn joined_messages(sender: &UdpSocket, receiver: &UdpSocket, ledger: &Ledger) -> io::Result<()> {
    let mut out = Batch::new(MESSAGES, SEGMENTS * BYTES);
    let mut batch = Batch::new(BUFFERS, BUFFER_BYTES);
    loop {
        let Some(mut serials) = ledger.try_burst() else {
            thread::sleep(PAUSE);
            continue;
        };
        let (end, mut count) = (serials.end, 0);
        while !serials.is_empty() {
            let datagrams = out.buffer(count).chunks_exact_mut(BYTES);
            let filled = datagrams.zip(&mut serials);
            let filled = filled.map(|(datagram, serial)| set_serial(datagram, serial));
            let bytes = filled.count() * BYTES;
            out.set_len(count, bytes);
            count += 1;
        }
        let mut sent = 0;
        while sent < count {
            sent += out.send(sender.as_fd(), sent, count, To::Peer)?;
        }
        ledger.sent_up_to(end);
        let mut tally = Tally::default();
        while let Some(n) = some(batch.receive(receiver.as_fd()))? {
            for index in 0..n {
                for datagram in batch.message(index).chunks(BYTES) {
                    tally.note(datagram);
                }
            }
            if n < BUFFERS {
                break;
            }
        }
        tally.enter(ledger);
    }
}

/// Turns "would block" into nothing.
fn some(received: io::Result<usize>) -> io::Result<Option<usize>> {
    match received {
        Ok(n) => Ok(Some(n)),
        Err(err) if err.kind() == io::ErrorKind::WouldBlock => Ok(None),
        Err(err) => Err(err),
    }
}
