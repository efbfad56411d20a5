//! gannet's ends: `send` and `recv_from`, or `send_batch` and `recv_batch` with GSO and GRO.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use gannet::net::{RecvBatch, Transmit, UdpSocket};

use super::{
    BUFFER_BYTES, BUFFERS, BYTES, Burst, LOCAL, Ledger, MESSAGES, RECEIVE_BUFFER, SEGMENTS, Tally,
    answer,
};
use crate::server::announce;

/// Transfers for ever, from a task to a task.
pub(crate) async fn run(joined: bool) -> io::Result<()> {
    let ledger = Arc::new(Ledger::default());
    let (receiver, theirs) = (UdpSocket::bind(LOCAL).await?, ledger.clone());
    receiver.set_recv_buffer_size(RECEIVE_BUFFER as usize)?;
    let to = receiver.local_addr()?;
    let sender = UdpSocket::connect(to).await?;
    announce(answer(ledger.clone())?)?;
    let (receiving, sending) = if joined {
        receiver.set_gro(true)?;
        (
            gannet::spawn(receive_joined(receiver, theirs)),
            gannet::spawn(async move { send_joined(sender, to, &ledger).await }),
        )
    } else {
        (
            gannet::spawn(receive(receiver, theirs)),
            gannet::spawn(async move { send(sender, &ledger).await }),
        )
    };
    sending.await.map_err(io::Error::other)??;
    receiving.await.map_err(io::Error::other)?
}

async fn send(socket: UdpSocket, ledger: &Ledger) -> io::Result<()> {
    let mut burst = Burst::new();
    loop {
        let serials = ledger.burst().await;
        for datagram in burst.fill(serials.clone()).chunks(BYTES) {
            socket.send(datagram).await?;
        }
        ledger.sent_up_to(serials.end);
    }
}

async fn receive(socket: UdpSocket, ledger: Arc<Ledger>) -> io::Result<()> {
    let mut buf = [0; BYTES + 1];
    loop {
        let (n, _) = socket.recv_from(&mut buf).await?;
        let mut tally = Tally::default();
        tally.note(&buf[..n]);
        tally.enter(&ledger);
    }
}

async fn send_joined(socket: UdpSocket, to: SocketAddr, ledger: &Ledger) -> io::Result<()> {
    let mut burst = Burst::new();
    loop {
        let serials = ledger.burst().await;
        let mut messages = burst.fill(serials.clone()).chunks(SEGMENTS * BYTES);
        let transmits: [Transmit<'_>; MESSAGES] = std::array::from_fn(|_| {
            let mut transmit = Transmit::new(messages.next().unwrap_or_default(), to);
            transmit.segment_size = Some(BYTES as u16);
            transmit
        });
        // A transfer's last burst may be shorter.
        let count = transmits.iter().take_while(|it| !it.data.is_empty());
        let mut rest = &transmits[..count.count()];
        while !rest.is_empty() {
            let sent = socket.send_batch(rest).await?;
            rest = &rest[sent..];
        }
        ledger.sent_up_to(serials.end);
    }
}

async fn receive_joined(socket: UdpSocket, ledger: Arc<Ledger>) -> io::Result<()> {
    let mut batch = RecvBatch::new(BUFFERS, BUFFER_BYTES);
    loop {
        socket.recv_batch(&mut batch).await?;
        let mut tally = Tally::default();
        for message in batch.messages() {
            let each = message.segment_size.map_or(BUFFER_BYTES, usize::from);
            message.data.chunks(each).for_each(|it| tally.note(it));
        }
        tally.enter(&ledger);
    }
}
