//! Raw IP sockets.

use std::fmt;
use std::io;
use std::net::IpAddr;

use crate::addr::Addr;
use crate::listen::ListenConfig;
use crate::network::ToNetwork;
use crate::packet::PacketConn;
use crate::socket::built_on;

/// A raw IP socket: packets of one protocol below TCP and UDP, such as ICMP.
///
/// Dereferences to [`PacketConn`], which receives and sends, and through it to
/// [`Socket`](crate::Socket). What it sends is put behind a header that the kernel makes; of what it
/// receives, [`recv_from`](PacketConn::recv_from) takes off the IPv4 header, and
/// [`recv`](PacketConn::recv) leaves it on. IPv6 headers are never there.
///
/// Opening one takes the privilege `CAP_NET_RAW`:
///
/// ```
/// # gannet_runtime::Builder::new_current_thread().build()?.block_on(async {
/// use gannet_net::{Addr, IpSocket};
///
/// let socket = match IpSocket::bind("ip4:icmp", "127.0.0.1").await {
///     Ok(socket) => socket,
///     Err(err) if err.to_string().ends_with("(raw sockets take CAP_NET_RAW)") => return Ok(()),
///     Err(err) => return Err(err),
/// };
/// let echo_request = [8, 0, 0xf7, 0xfd, 0, 1, 0, 1];
/// socket.send_to(&echo_request, &Addr::Ip([127, 0, 0, 1].into(), 0)).await?;
/// let mut buf = [0; 64];
/// let (len, from) = socket.recv_from(&mut buf).await?;
/// assert_eq!((&buf[..len], from.to_string().as_str()), (&echo_request[..], "127.0.0.1"));
/// # Ok::<_, std::io::Error>(()) })?;
/// # Ok::<_, std::io::Error>(())
/// ```
///
/// Reference: [`raw(7)`](https://man7.org/linux/man-pages/man7/raw.7.html).
pub struct IpSocket {
    packet: PacketConn,
}

built_on!(IpSocket, PacketConn, packet);

impl IpSocket {
    pub(crate) fn new(packet: PacketConn) -> Self {
        IpSocket { packet }
    }

    /// Opens a socket for `network`, such as `ip4:icmp` or `ip6:58`, on a local address, or on all if
    /// that is empty, and receives what comes for it.
    ///
    /// Waits only if the address is a name.
    ///
    /// # Cancel safety
    /// Dropping the future leaves no socket behind.
    ///
    /// # Errors
    /// Those of [`ListenConfig::listen_packet`]; `EPERM` without `CAP_NET_RAW`.
    ///
    /// Reference: [`raw(7)`](https://man7.org/linux/man-pages/man7/raw.7.html).
    pub async fn bind(network: impl ToNetwork, address: impl fmt::Display) -> io::Result<Self> {
        let packet = ListenConfig::new().listen_packet(network, address).await?;
        Ok(IpSocket::try_from(packet)?)
    }

    /// Returns the local IP address, which is unspecified if it is every one.
    ///
    /// # Errors
    /// The closed error after close, if nobody asked before.
    ///
    /// Reference: [`getsockname(2)`](https://man7.org/linux/man-pages/man2/getsockname.2.html).
    pub fn local_ip(&self) -> io::Result<IpAddr> {
        match self.local_addr()? {
            Addr::Ip(ip, _) => Ok(ip),
            _ => Err(io::ErrorKind::InvalidData.into()),
        }
    }

    pub(crate) fn into_packet(self) -> PacketConn {
        self.packet
    }
}

/// Takes the IPv4 header off the first `len` bytes of `buf`; returns how many bytes are left. What is
/// no whole header stays.
pub(crate) fn strip_header(buf: &mut [u8], len: usize) -> usize {
    let header = match buf.first() {
        Some(first) if len >= 20 && first >> 4 == 4 => usize::from(first & 0x0f) * 4,
        _ => return len,
    };
    if !(20..=len).contains(&header) || len > buf.len() {
        return len;
    }
    buf.copy_within(header..len, 0);
    len - header
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn header_is_taken_off_only_if_it_is_whole() {
        let packet = |first: u8, len: usize| {
            let mut packet = vec![7; len];
            packet[0] = first;
            packet
        };
        for (first, len, left) in [
            (0x45, 28, 8),
            (0x45, 20, 0),
            (0x46, 28, 4),
            (0x46, 23, 23),
            (0x4f, 28, 28),
            (0x44, 28, 28),
            (0x60, 40, 40),
            (0x45, 19, 19),
        ] {
            let mut buf = packet(first, len);
            assert_eq!(strip_header(&mut buf, len), left, "{first:#x} {len}");
        }
        assert_eq!(strip_header(&mut [], 0), 0);
        let mut cut = packet(0x45, 24);
        assert_eq!(strip_header(&mut cut, 30), 30, "a length beyond the buffer");
    }
}
