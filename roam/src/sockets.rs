//! The sockets of a session: as mosh makes them (mosh-wire §4.6).

use std::future::Future;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use gannet_net::{
    ListenConfig, MtuDiscovery, RecvBatch, Transmit, UdpReceiver, UdpSender, UdpSocket,
};

use crate::proto::Port;
use crate::proto::constants::TOS;
use gannet_net::error::raw_os_error;

/// A socket that is open or being opened.
enum State {
    Opening(Pin<Box<dyn Future<Output = io::Result<UdpSocket>> + Send>>),
    Open(UdpReceiver, UdpSender),
    /// The number of the error for which it could not be opened.
    Failed(i32),
}

struct Socket {
    port: Port,
    state: State,
}

/// All sockets of a session: one for a server, up to ten for a client.
#[derive(Default)]
pub(crate) struct Sockets {
    sockets: Vec<Socket>,
}

impl Sockets {
    /// Those of a server.
    pub(crate) fn bound(socket: UdpSocket) -> Self {
        let mut sockets = Sockets::default();
        sockets.add(Port::FIRST, socket);
        sockets
    }

    fn add(&mut self, port: Port, socket: UdpSocket) {
        let state = State::open(socket);
        self.sockets.push(Socket { port, state });
    }

    /// Starts to open a socket that can reach `peer`, with a port that the kernel chooses.
    pub(crate) fn open(&mut self, port: Port, peer: SocketAddr) {
        let any = match peer {
            SocketAddr::V4(_) => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
            SocketAddr::V6(_) => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
        };
        let state = State::Opening(Box::pin(bind(SocketAddr::new(any, 0))));
        self.sockets.push(Socket { port, state });
    }

    pub(crate) fn close(&mut self, port: Port) {
        self.sockets.retain(|socket| socket.port != port);
    }

    /// Goes on opening. What one that cannot be opened should send fails for the same reason. True if one is
    /// open now, and has to be asked for what it received.
    pub(crate) fn poll_open(&mut self, cx: &mut Context<'_>) -> bool {
        let mut opened_one = false;
        for socket in &mut self.sockets {
            let State::Opening(opening) = &mut socket.state else {
                continue;
            };
            socket.state = match opening.as_mut().poll(cx) {
                Poll::Pending => continue,
                Poll::Ready(Ok(opened)) => {
                    opened_one = true;
                    State::open(opened)
                }
                Poll::Ready(Err(err)) => State::Failed(raw_os_error(&err).unwrap_or(0)),
            };
        }
        opened_one
    }

    /// Receives on the next socket after `from` that has something. The index to go on with, and the
    /// port.
    pub(crate) fn poll_recv(
        &mut self,
        cx: &mut Context<'_>,
        from: usize,
        batch: &mut RecvBatch,
    ) -> Option<(usize, Port)> {
        for (index, socket) in self.sockets.iter_mut().enumerate().skip(from) {
            let State::Open(receiver, _) = &mut socket.state else {
                continue;
            };
            match receiver.poll_recv(cx, batch) {
                Poll::Ready(Ok(_)) => return Some((index + 1, socket.port)),
                // An error is over with this report, and nobody is woken for what comes after it.
                Poll::Ready(Err(_)) => cx.waker().wake_by_ref(),
                Poll::Pending => {}
            }
        }
        None
    }

    /// Sends on `port`: how many of the datagrams have gone, or why the first has not.
    pub(crate) fn poll_send(
        &mut self,
        cx: &mut Context<'_>,
        port: Port,
        transmits: &[Transmit<'_>],
    ) -> Poll<io::Result<usize>> {
        let socket = self.sockets.iter_mut().find(|socket| socket.port == port);
        match socket.map(|socket| &mut socket.state) {
            Some(State::Open(_, sender)) => sender.poll_send(cx, transmits),
            Some(State::Opening(_)) => Poll::Pending,
            Some(State::Failed(errno)) => Poll::Ready(Err(io::Error::from_raw_os_error(*errno))),
            None => Poll::Ready(Err(io::ErrorKind::NotConnected.into())),
        }
    }
}

impl State {
    fn open(socket: UdpSocket) -> Self {
        let socket = Arc::new(socket);
        State::Open(UdpReceiver::new(socket.clone()), UdpSender::new(socket))
    }
}

/// Opens a socket at `addr` with the options that mosh sets.
pub(crate) async fn bind(addr: SocketAddr) -> io::Result<UdpSocket> {
    let config = ListenConfig::new().control(move |_, socket| {
        // Without it the kernel would set "don't fragment", and drop what a path calls too long.
        socket.set_mtu_discovery(MtuDiscovery::Dont)?;
        // As with mosh, a socket that refuses these is one without congestion marks.
        if addr.is_ipv4() {
            let _ = socket.set_tos(TOS);
        }
        let _ = socket.set_recv_ecn(true);
        Ok(())
    });
    let network = if addr.is_ipv4() { "udp4" } else { "udp" };
    let conn = config.listen_packet(network, addr).await?;
    UdpSocket::try_from(conn).map_err(|_| io::ErrorKind::Unsupported.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What `strace` shows of mosh (mosh-wire §4.6), read back from the kernel.
    #[test]
    fn sockets_have_the_options_that_mosh_sets() {
        let runtime = gannet_runtime::Builder::new_current_thread().build();
        runtime.expect("a runtime").block_on(async {
            for (addr, tos) in [("127.0.0.1:0", TOS), ("[::1]:0", 0), ("[::]:0", 0)] {
                let socket = bind(addr.parse().expect("an address")).await;
                let socket = socket.expect("a port");
                assert_eq!(socket.mtu_discovery().expect("open"), MtuDiscovery::Dont);
                assert_eq!(socket.tos().expect("open"), tos, "{addr}");
                assert!(socket.recv_ecn().expect("open"), "{addr}");
            }
        });
    }
}
