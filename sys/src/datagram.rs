//! Single datagrams with all that the kernel tells of them, and the errors that they met.

use std::io::{self, IoSlice, IoSliceMut};
use std::net::{IpAddr, SocketAddr};
use std::os::fd::BorrowedFd;

use libc::c_int;

use crate::control::{Control, split_record};
use crate::message::{flagged_recv_msg, recv_msg, send_msg};
use crate::sockaddr::{RawAddr, SockAddr};

/// A datagram that [`recv`] received; what is not asked for by an option is `None`.
///
/// ```
/// use gannet_sys::datagram::{self, Outgoing};
/// use gannet_sys::option;
/// use gannet_sys::sockaddr::SockAddr;
/// use gannet_sys::socket::{self, Domain, Kind};
/// use std::os::fd::AsFd;
///
/// let fd = socket::socket(Domain::Inet, Kind::Datagram)?;
/// socket::bind(fd.as_fd(), &SockAddr::from(std::net::SocketAddr::from(([127, 0, 0, 1], 0))))?;
/// let SockAddr::Inet(to) = socket::local_addr(fd.as_fd())? else { panic!("a UDP socket") };
/// option::set_recv_ttl(fd.as_fd(), true)?;
///
/// let out = Outgoing { ttl: Some(7), ..Outgoing::new(b"hello", Some(to)) };
/// datagram::send(fd.as_fd(), &out)?;
/// let got = datagram::recv(fd.as_fd(), &mut [0; 16])?;
/// assert_eq!((got.len, got.from, got.ttl), (5, Some(to), Some(7)));
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Received {
    /// How many bytes of it are in the buffer.
    pub len: usize,
    /// The sender; `None` if it has no IP address.
    pub from: Option<SocketAddr>,
    /// The address that it was sent to; IPv4 is never in its IPv6 form.
    pub local: Option<IpAddr>,
    /// The number of the interface that it came in by.
    pub interface: Option<u32>,
    /// Its type of service or traffic class.
    pub tos: Option<u8>,
    /// Its time to live or hop limit when it arrived.
    pub ttl: Option<u8>,
    /// If several were joined, the length of each, the last one perhaps excepted.
    pub segment: Option<usize>,
    /// Whether it was longer than the buffer, and its rest is lost.
    pub truncated: bool,
}

/// Receives one datagram.
///
/// # Errors
/// Those of [`recv_msg`].
///
/// Reference: [`recvmsg(2)`](https://man7.org/linux/man-pages/man2/recv.2.html).
pub fn recv(fd: BorrowedFd<'_>, buf: &mut [u8]) -> io::Result<Received> {
    let mut control: Control = Control::EMPTY;
    let msg = recv_msg(fd, &mut [IoSliceMut::new(buf)], &mut control.bytes)?;
    control.len = msg.control_len;
    let told = control.told();
    let from = match msg.addr {
        SockAddr::Inet(from) => Some(from),
        SockAddr::Unix(_) | SockAddr::Link(_) => None,
    };
    Ok(Received {
        len: msg.len,
        from,
        local: told.local,
        interface: told.interface,
        tos: told.tos,
        ttl: told.ttl,
        segment: told.segment,
        truncated: msg.truncated,
    })
}

/// A datagram to be sent by [`send`].
#[derive(Clone, Copy, Debug)]
pub struct Outgoing<'a> {
    /// The data.
    pub data: &'a [u8],
    /// Where to, in the form of the socket's family; `None` is the peer.
    pub to: Option<SocketAddr>,
    /// The local address to send from.
    pub from: Option<IpAddr>,
    /// The number of the interface to send by.
    pub interface: Option<u32>,
    /// The type of service or traffic class.
    pub tos: Option<u8>,
    /// The time to live or hop limit.
    pub ttl: Option<u8>,
    /// The length in bytes of the datagrams that the kernel cuts the data into (`UDP_SEGMENT`).
    pub segment: Option<u16>,
    /// Whether it goes over IPv4, which decides how the rest is said.
    pub is_v4: bool,
}

impl<'a> Outgoing<'a> {
    /// A datagram about which nothing else is said; without a destination it is taken for IPv4.
    #[must_use]
    pub fn new(data: &'a [u8], to: Option<SocketAddr>) -> Self {
        Self {
            data,
            to,
            from: None,
            interface: None,
            tos: None,
            ttl: None,
            segment: None,
            is_v4: to.is_none_or(|to| to.ip().to_canonical().is_ipv4()),
        }
    }
}

/// Sends one datagram, and returns how much data was taken.
///
/// # Errors
/// Those of [`send_to`](crate::socket::send_to); `ENETUNREACH` or `EINVAL` for a local address or an
/// interface that is none of this machine's; `EIO`, `EINVAL` or `EMSGSIZE` if the data cannot be cut.
///
/// Reference: [`sendmsg(2)`](https://man7.org/linux/man-pages/man2/send.2.html).
pub fn send(fd: BorrowedFd<'_>, out: &Outgoing<'_>) -> io::Result<usize> {
    let mut control: Control = Control::EMPTY;
    if let Some(segment) = out.segment {
        control.put_segment(segment);
    }
    if let Some(tos) = out.tos {
        control.put_tos(out.is_v4, tos);
    }
    if let Some(ttl) = out.ttl {
        control.put_ttl(out.is_v4, ttl);
    }
    if out.from.is_some() || out.interface.is_some() {
        control.put_local(out.is_v4, out.from, out.interface.unwrap_or(0));
    }
    let to = out.to.map(SockAddr::Inet);
    let bufs = [IoSlice::new(out.data)];
    send_msg(fd, &bufs, &control.bytes[..control.len], to.as_ref())
}

/// Who reports an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Origin {
    /// This machine, such as about a datagram that is too long.
    Local,
    /// A router or the destination, by ICMP.
    Icmp,
    /// A router or the destination, by ICMPv6.
    Icmp6,
    /// Another source: what is told is no error, such as when something was sent.
    Other(u8),
}

/// An error that a datagram met on its way (`struct sock_extended_err`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Report {
    /// How many bytes of the datagram are in the buffer: as many as the reporter sent back.
    pub len: usize,
    /// Where the datagram was sent to.
    pub to: Option<SocketAddr>,
    /// The error as an errno.
    pub errno: i32,
    /// Who reports it.
    pub origin: Origin,
    /// The type of the ICMP message.
    pub kind: u8,
    /// The code of the ICMP message.
    pub code: u8,
    /// More: the path's MTU in bytes, with `EMSGSIZE`.
    pub info: u32,
    /// More than that, for an [`Origin::Other`].
    pub data: u32,
    /// The address of who reports it, if it is not this machine.
    pub offender: Option<IpAddr>,
}

/// Takes the report that has waited longest (`MSG_ERRQUEUE`). They are queued after
/// [`set_recv_errors`](crate::option::set_recv_errors).
///
/// # Errors
/// `EAGAIN` if there is none.
///
/// Reference: [`ip(7)`](https://man7.org/linux/man-pages/man7/ip.7.html), `IP_RECVERR`.
pub fn recv_report(fd: BorrowedFd<'_>, buf: &mut [u8]) -> io::Result<Report> {
    let mut control: Control = Control::EMPTY;
    let bufs = &mut [IoSliceMut::new(buf)];
    let msg = flagged_recv_msg(fd, bufs, &mut control.bytes, libc::MSG_ERRQUEUE)?;
    let to = match msg.addr {
        SockAddr::Inet(to) => Some(to),
        SockAddr::Unix(_) | SockAddr::Link(_) => None,
    };
    let mut rest = control.bytes.get(..msg.control_len).unwrap_or_default();
    while let Some((level, kind, data, after)) = split_record(rest) {
        match (level, kind) {
            (libc::IPPROTO_IP, libc::IP_RECVERR) | (libc::IPPROTO_IPV6, libc::IPV6_RECVERR) => {
                if let Some(report) = parse_report(msg.len, to, data) {
                    return Ok(report);
                }
            }
            _ => {}
        }
        rest = after;
    }
    // The kernel queues nothing without one of these records.
    Err(io::ErrorKind::InvalidData.into())
}

/// The length of `struct sock_extended_err`; the offender's address follows.
const EXTENDED: usize = 4 * size_of::<c_int>();

fn parse_report(len: usize, to: Option<SocketAddr>, data: &[u8]) -> Option<Report> {
    let (head, offender) = data.split_first_chunk::<EXTENDED>()?;
    let word = |at: usize| Some(u32::from_ne_bytes(*head.get(at..)?.first_chunk()?));
    let offender = match RawAddr::from_bytes(offender).decode() {
        Ok(SockAddr::Inet(addr)) => Some(addr.ip().to_canonical()),
        _ => None,
    };
    Some(Report {
        len,
        to,
        errno: i32::try_from(word(0)?).ok()?,
        origin: match i32::from(head[4]) {
            LOCAL => Origin::Local,
            ICMP => Origin::Icmp,
            ICMP6 => Origin::Icmp6,
            _ => Origin::Other(head[4]),
        },
        kind: head[5],
        code: head[6],
        info: word(8)?,
        data: word(12)?,
        offender,
    })
}

/// `SO_EE_ORIGIN_*` of `<linux/errqueue.h>`.
const LOCAL: i32 = 1;
const ICMP: i32 = 2;
const ICMP6: i32 = 3;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::errno;
    use crate::option;
    use crate::socket::{self, Domain, Kind};
    use std::os::fd::{AsFd, OwnedFd};

    fn bound(domain: Domain, ip: &str) -> (OwnedFd, SocketAddr) {
        let fd = socket::socket(domain, Kind::Datagram).expect("a descriptor is free");
        let any = SocketAddr::new(ip.parse().expect("an address"), 0);
        socket::bind(fd.as_fd(), &SockAddr::Inet(any)).expect("a port is free");
        match socket::local_addr(fd.as_fd()).expect("bound") {
            SockAddr::Inet(addr) => (fd, addr),
            SockAddr::Unix(_) | SockAddr::Link(_) => panic!("a UDP socket"),
        }
    }

    #[test]
    fn everything_that_is_set_is_told() {
        for (domain, ip) in [(Domain::Inet, "127.0.0.1"), (Domain::Inet6, "::1")] {
            let (fd, to) = bound(domain, ip);
            let fd = fd.as_fd();
            if domain == Domain::Inet {
                option::set_recv_ttl(fd, true).expect("exists");
                option::set_recv_tos(fd, true).expect("exists");
                option::set_recv_pktinfo(fd, true).expect("exists");
            } else {
                option::set_recv_hop_limit_v6(fd, true).expect("exists");
                option::set_recv_tclass_v6(fd, true).expect("exists");
                option::set_recv_pktinfo_v6(fd, true).expect("exists");
            }
            let lo = crate::interface::index("lo").expect("every namespace has lo");
            let out = Outgoing {
                from: Some(to.ip()),
                interface: Some(lo),
                tos: Some(0xb9),
                ttl: Some(3),
                ..Outgoing::new(b"hello", Some(to))
            };
            assert_eq!(send(fd, &out).expect("sent"), 5);
            let got = recv(fd, &mut [0; 3]).expect("received");
            assert_eq!((got.len, got.truncated, got.from), (3, true, Some(to)));
            assert_eq!((got.local, got.interface), (Some(to.ip()), Some(lo)));
            assert_eq!((got.tos, got.ttl), (Some(0xb9), Some(3)));
        }
    }

    #[test]
    fn refusal_is_reported_with_the_datagram() {
        for (domain, ip, kind) in [(Domain::Inet, "127.0.0.1", 3), (Domain::Inet6, "::1", 1)] {
            let (fd, _) = bound(domain, ip);
            let fd = fd.as_fd();
            if domain == Domain::Inet {
                option::set_recv_errors(fd, true).expect("exists");
            } else {
                option::set_recv_errors_v6(fd, true).expect("exists");
            }
            let (gone, to) = bound(domain, ip);
            drop(gone);
            let mut buf = [0; 8];
            let err = recv_report(fd, &mut buf).expect_err("nothing yet");
            assert_eq!(err.raw_os_error(), Some(errno::EAGAIN));
            send(fd, &Outgoing::new(b"hello", Some(to))).expect("sent");
            let report = recv_report(fd, &mut buf).expect("a report");
            assert_eq!(&buf[..report.len], b"hello");
            assert_eq!((report.to, report.errno), (Some(to), errno::ECONNREFUSED));
            let icmp = [Origin::Icmp6, Origin::Icmp][usize::from(kind == 3)];
            assert_eq!((report.origin, report.kind), (icmp, kind));
            assert_eq!(report.offender, Some(to.ip()));
        }
    }

    #[test]
    fn reports_that_are_cut_are_none() {
        for len in 0..EXTENDED {
            assert_eq!(parse_report(0, None, &[1; EXTENDED][..len]), None);
        }
        let report = parse_report(0, None, &[1; EXTENDED]).expect("whole");
        assert_eq!((report.origin, report.offender), (Origin::Local, None));
    }
}
