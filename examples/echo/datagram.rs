//! UDP and Unix datagram sockets.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use gannet::net::{Addr, PacketConn, UnixAddr, error};
use gannet::time;

use crate::server::Server;

/// Sends each datagram back to its sender until the server stops.
pub(crate) async fn echo_all(server: Arc<Server>, socket: Arc<PacketConn>) {
    // One for the socket, as long as the longest datagram.
    let mut buf = vec![0; DATAGRAM_LEN_MAX];
    // A peer is forgotten between datagrams, so no read can take too long: only the stop ends one.
    while !server.is_stopping() {
        let answered = match socket.recv_from(&mut buf).await {
            Ok((len, peer)) => answer(&server, &socket, &buf[..len], &peer).await,
            Err(err) if error::is_deadline(&err) || error::is_closed(&err) => return,
            Err(err) => Err(err),
        };
        if let Err(err) = answered {
            server.report.error(&err);
            // What fails for ever should let others run in between.
            gannet::yield_now().await;
        }
    }
}

/// Sends a datagram back, if its sender can be answered.
async fn answer(
    server: &Server,
    socket: &PacketConn,
    datagram: &[u8],
    peer: &Addr,
) -> io::Result<()> {
    server.arm_write(socket)?;
    let sent = match peer.unix_addr() {
        // It was not bound.
        Some(UnixAddr::Unnamed) => return Ok(()),
        // The queue that may be full is the peer's, and all others would wait for it.
        Some(_) => match time::timeout(PATIENCE, socket.send_to(datagram, peer)).await {
            Ok(sent) => sent,
            Err(_) => return Ok(()),
        },
        // The queue that may be full is our own.
        None => socket.send_to(datagram, peer).await,
    };
    match sent {
        Err(err) if !error::is_deadline(&err) => Err(err),
        _ => Ok(()),
    }
}

/// The socket file of a Unix datagram socket, removed when this is dropped.
pub(crate) struct SocketFile(PathBuf);

impl SocketFile {
    /// Returns the file of `socket`, if it has one.
    pub(crate) fn of(socket: &PacketConn) -> Option<Self> {
        match socket.local_addr().ok()?.unix_addr()? {
            UnixAddr::Path(path) => Some(SocketFile(path.clone())),
            _ => None,
        }
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        // Somebody else may have removed it already.
        let _ = std::fs::remove_file(&self.0);
    }
}

const DATAGRAM_LEN_MAX: usize = 64 * 1024;
/// How long a Unix peer with a full queue can hold up the others.
const PATIENCE: Duration = Duration::from_millis(20);
