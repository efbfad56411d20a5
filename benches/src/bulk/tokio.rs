//! tokio's ends: `send` and `recv_from`, or what `quinn` makes of them.

use std::io;
use std::sync::Arc;

use tokio::net::UdpSocket;

use super::{BYTES, Burst, LOCAL, Ledger, RECEIVE_BUFFER, Tally, answer, quinn};
use crate::raw::datagrams::set_receive_buffer;
use crate::server::announce;

/// Transfers for ever, from a task to a task.
pub(crate) async fn run(joined: bool) -> io::Result<()> {
    let ledger = Arc::new(Ledger::default());
    let (sender, receiver) = (UdpSocket::bind(LOCAL).await?, UdpSocket::bind(LOCAL).await?);
    set_receive_buffer(&receiver, RECEIVE_BUFFER)?;
    let (to, theirs) = (receiver.local_addr()?, ledger.clone());
    announce(answer(ledger.clone())?)?;
    let (receiving, sending) = if joined {
        (
            tokio::spawn(quinn::receive(receiver, theirs)),
            tokio::spawn(quinn::send(sender, to, ledger)),
        )
    } else {
        sender.connect(to).await?;
        (
            tokio::spawn(receive(receiver, theirs)),
            tokio::spawn(send(sender, ledger)),
        )
    };
    sending.await??;
    receiving.await?
}

async fn send(socket: UdpSocket, ledger: Arc<Ledger>) -> io::Result<()> {
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
