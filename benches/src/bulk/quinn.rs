//! The ends of quinn-udp over tokio's sockets: GSO, one message a call, and GRO, several a call.

use std::io::{self, IoSliceMut};
use std::net::SocketAddr;
use std::sync::Arc;

use quinn_udp::{RecvMeta, Transmit, UdpSocketState};
use tokio::io::Interest;
use tokio::net::UdpSocket;

use super::{BUFFER_BYTES, BUFFERS, BYTES, Burst, Ledger, SEGMENTS, Tally};

pub(super) async fn send(socket: UdpSocket, to: SocketAddr, ledger: Arc<Ledger>) -> io::Result<()> {
    let state = UdpSocketState::new((&socket).into())?;
    let mut burst = Burst::new();
    loop {
        let serials = ledger.burst().await;
        let messages = burst.fill(serials.clone());
        for contents in messages.chunks(SEGMENTS.min(state.max_gso_segments()) * BYTES) {
            let transmit = Transmit {
                destination: to,
                ecn: None,
                contents,
                segment_size: Some(BYTES),
                src_ip: None,
            };
            let send = || state.try_send((&socket).into(), &transmit);
            socket.async_io(Interest::WRITABLE, send).await?;
        }
        ledger.sent_up_to(serials.end);
    }
}

pub(super) async fn receive(socket: UdpSocket, ledger: Arc<Ledger>) -> io::Result<()> {
    // Turns GRO on.
    let state = UdpSocketState::new((&socket).into())?;
    let mut memory = vec![0; BUFFERS * BUFFER_BYTES];
    let mut buffers: Vec<IoSliceMut<'_>> = (memory.chunks_exact_mut(BUFFER_BYTES))
        .map(IoSliceMut::new)
        .collect();
    let mut metas = [RecvMeta::default(); BUFFERS];
    loop {
        let receive = || state.recv((&socket).into(), &mut buffers, &mut metas);
        let n = socket.async_io(Interest::READABLE, receive).await?;
        let mut tally = Tally::default();
        for (buffer, meta) in buffers.iter().zip(&metas[..n]) {
            for datagram in buffer[..meta.len].chunks(meta.stride.max(1)) {
                tally.note(datagram);
            }
        }
        tally.enter(&ledger);
    }
}
