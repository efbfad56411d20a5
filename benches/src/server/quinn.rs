//! quinn-udp over tokio's sockets: several datagrams received a call, those of one sender joined by the
//! kernel, and sent back as they came, one message a call.

use std::io::{self, IoSliceMut};

use quinn_udp::{BATCH_SIZE, RecvMeta, Transmit, UdpSocketState};
use tokio::io::Interest;
use tokio::net::UdpSocket;

use super::JOINED_SIZE;

/// Sends everything back to where it came from.
pub(super) async fn echo_joined(socket: UdpSocket) -> io::Result<()> {
    let state = UdpSocketState::new((&socket).into())?;
    let mut memory = vec![0; BATCH_SIZE * JOINED_SIZE];
    let mut buffers: Vec<IoSliceMut<'_>> = (memory.chunks_exact_mut(JOINED_SIZE))
        .map(IoSliceMut::new)
        .collect();
    let mut metas = [RecvMeta::default(); BATCH_SIZE];
    loop {
        let receive = || state.recv((&socket).into(), &mut buffers, &mut metas);
        let n = socket.async_io(Interest::READABLE, receive).await?;
        for (buffer, meta) in buffers.iter().zip(&metas[..n]) {
            let transmit = Transmit {
                destination: meta.addr,
                ecn: None,
                contents: &buffer[..meta.len],
                segment_size: (meta.len > meta.stride).then_some(meta.stride),
                src_ip: None,
            };
            let send = || state.try_send((&socket).into(), &transmit);
            socket.async_io(Interest::WRITABLE, send).await?;
        }
    }
}
