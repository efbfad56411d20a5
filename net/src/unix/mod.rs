//! Unix sockets: what only they have.

mod datagram;
mod listener;
mod message;
mod queue;
mod seqpacket;
mod stream;

use gannet_sys::sockaddr::{SockAddr, UnixAddr};

pub use datagram::UnixDatagram;
pub use listener::UnixListener;
pub use message::{Credentials, UnixRecvMsg, UnixSendMsg};
pub use seqpacket::UnixSeqpacket;
pub use stream::UnixStream;

/// The name of a Unix socket. The kernel gives no other address for one.
fn name(addr: SockAddr) -> UnixAddr {
    match addr {
        SockAddr::Unix(name) => name,
        SockAddr::Inet(_) | SockAddr::Link(_) => UnixAddr::Unnamed,
    }
}
