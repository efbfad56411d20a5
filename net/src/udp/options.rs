//! Options of UDP sockets: what is told of each datagram, and how long ones are treated.

use std::io;

use crate::udp::UdpSocket;

pub use gannet_sys::option::MtuDiscovery;

impl UdpSocket {
    /// Returns whether received datagrams come with their congestion mark.
    ///
    /// # Errors
    /// The closed error after close.
    ///
    /// Reference: [`ip(7)`](https://man7.org/linux/man-pages/man7/ip.7.html), `IP_RECVTOS`.
    pub fn recv_ecn(&self) -> io::Result<bool> {
        self.option("getsockopt", |raw| raw.recv_ecn())
    }

    /// Makes received datagrams come with their congestion mark
    /// ([`RecvDatagram::ecn`](crate::RecvDatagram::ecn)), or not. Off at first.
    ///
    /// # Errors
    /// The closed error after close.
    ///
    /// Reference: [`ip(7)`](https://man7.org/linux/man-pages/man7/ip.7.html), `IP_RECVTOS`.
    pub fn set_recv_ecn(&self, on: bool) -> io::Result<()> {
        self.option("setsockopt", |raw| raw.set_recv_ecn(on))
    }

    /// Returns whether received datagrams come with their time to live.
    ///
    /// # Errors
    /// The closed error after close.
    ///
    /// Reference: [`ip(7)`](https://man7.org/linux/man-pages/man7/ip.7.html), `IP_RECVTTL`.
    pub fn recv_ttl(&self) -> io::Result<bool> {
        self.option("getsockopt", |raw| raw.recv_ttl())
    }

    /// Makes received datagrams come with their time to live ([`RecvMsg::ttl`](crate::RecvMsg::ttl)),
    /// or not. Off at first.
    ///
    /// # Errors
    /// The closed error after close.
    ///
    /// Reference: [`ip(7)`](https://man7.org/linux/man-pages/man7/ip.7.html), `IP_RECVTTL`.
    pub fn set_recv_ttl(&self, on: bool) -> io::Result<()> {
        self.option("setsockopt", |raw| raw.set_recv_ttl(on))
    }

    /// Returns whether received datagrams come with the local address and the interface.
    ///
    /// # Errors
    /// The closed error after close.
    ///
    /// Reference: [`ip(7)`](https://man7.org/linux/man-pages/man7/ip.7.html), `IP_PKTINFO`.
    pub fn recv_local(&self) -> io::Result<bool> {
        self.option("getsockopt", |raw| raw.recv_local())
    }

    /// Makes received datagrams come with the address they were sent to and the interface they came in
    /// by ([`RecvDatagram::local`](crate::RecvDatagram::local)), or not. Off at first.
    ///
    /// # Errors
    /// The closed error after close.
    ///
    /// Reference: [`ip(7)`](https://man7.org/linux/man-pages/man7/ip.7.html), `IP_PKTINFO`.
    pub fn set_recv_local(&self, on: bool) -> io::Result<()> {
        self.option("setsockopt", |raw| raw.set_recv_local(on))
    }

    /// Returns whether the kernel may join received datagrams.
    ///
    /// # Errors
    /// The closed error after close.
    ///
    /// Reference: [`udp(7)`](https://man7.org/linux/man-pages/man7/udp.7.html), `UDP_GRO`.
    pub fn gro(&self) -> io::Result<bool> {
        self.option("getsockopt", |raw| raw.gro())
    }

    /// Lets the kernel join datagrams of one sender into one buffer, which makes many of them cheaper
    /// to receive, or not. Off at first.
    ///
    /// Only [`RecvBatch`](crate::RecvBatch) hands them out one by one again, and only buffers of 65,535
    /// bytes lose nothing: the methods that receive into one buffer should not be used then.
    ///
    /// # Errors
    /// `ENOPROTOOPT` before Linux 5.0, the closed error after close.
    ///
    /// Reference: [`udp(7)`](https://man7.org/linux/man-pages/man7/udp.7.html), `UDP_GRO`.
    pub fn set_gro(&self, on: bool) -> io::Result<()> {
        self.option("setsockopt", |raw| raw.set_gro(on))
    }

    /// Returns what the kernel does about sent datagrams that are longer than the path takes.
    ///
    /// # Errors
    /// Kind `Unsupported` for a mode that is none of [`MtuDiscovery`], the closed error after close.
    ///
    /// Reference: [`ip(7)`](https://man7.org/linux/man-pages/man7/ip.7.html), `IP_MTU_DISCOVER`.
    pub fn mtu_discovery(&self) -> io::Result<MtuDiscovery> {
        self.option("getsockopt", |raw| raw.mtu_discovery())
    }

    /// Sets what the kernel does about sent datagrams that are longer than the path takes. On a socket
    /// for both versions of IP it holds for both.
    ///
    /// ```
    /// # gannet_runtime::Builder::new_current_thread().build()?.block_on(async {
    /// use gannet_net::{MtuDiscovery, UdpSocket};
    ///
    /// let socket = UdpSocket::bind("127.0.0.1:0").await?;
    /// socket.set_mtu_discovery(MtuDiscovery::Probe)?;
    /// assert_eq!(socket.mtu_discovery()?, MtuDiscovery::Probe);
    /// # Ok::<_, std::io::Error>(()) })?;
    /// # Ok::<_, std::io::Error>(())
    /// ```
    ///
    /// # Errors
    /// The closed error after close.
    ///
    /// Reference: [`ip(7)`](https://man7.org/linux/man-pages/man7/ip.7.html), `IP_MTU_DISCOVER`.
    pub fn set_mtu_discovery(&self, mode: MtuDiscovery) -> io::Result<()> {
        self.option("setsockopt", |raw| raw.set_mtu_discovery(mode))
    }
}
