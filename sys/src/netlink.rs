//! What the kernel announces of its network: addresses, routes and interfaces that come and go.
#![allow(unsafe_code, reason = "system calls")]

use std::io;
use std::ops::BitOr;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::ptr;

use libc::{c_int, socklen_t};

use crate::{cvt, cvt_len};

/// All that [`NetworkChange`] tells of.
const GROUPS: c_int = libc::RTMGRP_LINK
    | libc::RTMGRP_IPV4_IFADDR
    | libc::RTMGRP_IPV6_IFADDR
    | libc::RTMGRP_IPV4_ROUTE
    | libc::RTMGRP_IPV6_ROUTE;

/// The length of `nlmsghdr`: length, type, flags, sequence number, port.
const HEADER: usize = 16;
/// What messages are padded to.
const ALIGNMENT: usize = 4;
/// More than a message of these groups is long; of a longer one, its head is enough.
const DATAGRAM_MAX: usize = 4096;

/// What has changed in the network of this machine, or of this network namespace.
///
/// ```
/// use gannet_sys::netlink::NetworkChange;
///
/// let change = NetworkChange { routes: true, ..NetworkChange::default() };
/// assert!((change | NetworkChange::ALL).links);
/// assert!(NetworkChange::default().is_nothing());
/// ```
///
/// Reference: [`rtnetlink(7)`](https://man7.org/linux/man-pages/man7/rtnetlink.7.html).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct NetworkChange {
    /// An interface got or lost an address, or something about one changed, such as its lifetime.
    pub addresses: bool,
    /// A route came, went or changed.
    pub routes: bool,
    /// An interface came, went or changed, or went up or down.
    pub links: bool,
}

impl NetworkChange {
    /// Everything may have changed.
    pub const ALL: Self = Self {
        addresses: true,
        routes: true,
        links: true,
    };

    /// Returns whether nothing has changed.
    #[must_use]
    pub fn is_nothing(self) -> bool {
        self == Self::default()
    }

    /// What messages of this type are about.
    fn of_type(kind: u16) -> Self {
        let nothing = Self::default();
        match kind {
            libc::RTM_NEWADDR | libc::RTM_DELADDR => Self {
                addresses: true,
                ..nothing
            },
            libc::RTM_NEWROUTE | libc::RTM_DELROUTE => Self {
                routes: true,
                ..nothing
            },
            libc::RTM_NEWLINK | libc::RTM_DELLINK => Self {
                links: true,
                ..nothing
            },
            kind if c_int::from(kind) == libc::NLMSG_OVERRUN => Self::ALL,
            _ => nothing,
        }
    }
}

impl BitOr for NetworkChange {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        Self {
            addresses: self.addresses | other.addresses,
            routes: self.routes | other.routes,
            links: self.links | other.links,
        }
    }
}

/// `sockaddr_nl`.
#[repr(C)]
struct NetlinkAddr {
    family: u16,
    padding: u16,
    port: u32,
    groups: u32,
}

/// Makes a socket that receives every change of the network namespace of this thread from now on,
/// non-blocking and close-on-exec. Two system calls; no privilege is needed.
///
/// # Errors
/// `EMFILE`, `ENFILE`, `ENOBUFS`, `ENOMEM` when something ran out; `EPROTONOSUPPORT` or `EACCES` where
/// the kernel or a filter has no netlink.
///
/// ```
/// use gannet_sys::{errno, netlink};
/// use std::os::fd::AsFd;
///
/// let fd = netlink::watch_network()?;
/// if let Err(err) = netlink::recv_change(fd.as_fd()) {
///     assert_eq!(err.raw_os_error(), Some(errno::EAGAIN)); // Nothing has changed yet.
/// }
/// # Ok::<(), std::io::Error>(())
/// ```
///
/// Reference: [`netlink(7)`](https://man7.org/linux/man-pages/man7/netlink.7.html).
pub fn watch_network() -> io::Result<OwnedFd> {
    let kind = libc::SOCK_RAW | libc::SOCK_CLOEXEC | libc::SOCK_NONBLOCK;
    // SAFETY: the call takes three integers and no pointer.
    let fd = cvt(unsafe { libc::socket(libc::AF_NETLINK, kind, libc::NETLINK_ROUTE) })?;
    // SAFETY: the kernel has just returned `fd`, so it is open and nobody else owns it.
    let fd = unsafe { OwnedFd::from_raw_fd(fd) };
    let addr = NetlinkAddr {
        family: libc::AF_NETLINK as u16,
        padding: 0,
        port: 0, // The kernel chooses one.
        groups: GROUPS as u32,
    };
    let len = size_of::<NetlinkAddr>() as socklen_t;
    // SAFETY: `addr` is initialised for `len` bytes, has the alignment of the kernel's structure and
    // lives across the call, and the kernel only reads it.
    let ret = unsafe { libc::bind(fd.as_raw_fd(), (&raw const addr).cast(), len) };
    cvt(ret)?;
    Ok(fd)
}

/// Receives one announcement, and returns what it is about; nothing perhaps.
///
/// # Errors
/// `EAGAIN` if there is none; `EINTR`; `ENOBUFS`, once, if some were lost because nobody received them
/// in time: then anything may have changed.
///
/// Reference: [`netlink(7)`](https://man7.org/linux/man-pages/man7/netlink.7.html).
pub fn recv_change(fd: BorrowedFd<'_>) -> io::Result<NetworkChange> {
    let mut buf = [0; DATAGRAM_MAX];
    // SAFETY: `buf` is writable for its length, which the kernel does not exceed, and lives across the
    // call. No address is asked for: null and null.
    let ret = unsafe {
        libc::recvfrom(
            fd.as_raw_fd(),
            buf.as_mut_ptr().cast(),
            buf.len(),
            0,
            ptr::null_mut(),
            ptr::null_mut(),
        )
    };
    let len = cvt_len(ret)?;
    Ok(change_in(&buf[..len.min(DATAGRAM_MAX)]))
}

/// Reads the messages of a datagram. One whose length lies is the last.
fn change_in(mut rest: &[u8]) -> NetworkChange {
    let mut change = NetworkChange::default();
    while let Some(&[l0, l1, l2, l3, k0, k1, ..]) = rest.first_chunk::<HEADER>() {
        change = change | NetworkChange::of_type(u16::from_ne_bytes([k0, k1]));
        let len = u32::from_ne_bytes([l0, l1, l2, l3]) as usize;
        let next = len
            .checked_next_multiple_of(ALIGNMENT)
            .unwrap_or(usize::MAX);
        rest = match rest.get(next..) {
            Some(after) if len >= HEADER => after,
            _ => break,
        };
    }
    change
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsFd;

    use super::*;
    use crate::{errno, fd};

    const ADDRESSES: NetworkChange = NetworkChange {
        addresses: true,
        routes: false,
        links: false,
    };
    const ROUTES: NetworkChange = NetworkChange {
        addresses: false,
        routes: true,
        links: false,
    };
    const LINKS: NetworkChange = NetworkChange {
        addresses: false,
        routes: false,
        links: true,
    };

    /// A message that says that it is `len` bytes long, and has `body` bytes after its header.
    fn message(kind: u16, len: usize, body: usize) -> Vec<u8> {
        let mut bytes = (len as u32).to_ne_bytes().to_vec();
        bytes.extend(kind.to_ne_bytes());
        bytes.resize(HEADER + body, 0xa5);
        bytes
    }

    #[test]
    fn types_are_told_apart() {
        for (kind, change) in [
            (libc::RTM_NEWADDR, ADDRESSES),
            (libc::RTM_DELADDR, ADDRESSES),
            (libc::RTM_NEWROUTE, ROUTES),
            (libc::RTM_DELROUTE, ROUTES),
            (libc::RTM_NEWLINK, LINKS),
            (libc::RTM_DELLINK, LINKS),
            (libc::NLMSG_OVERRUN as u16, NetworkChange::ALL),
            (libc::NLMSG_DONE as u16, NetworkChange::default()),
            (libc::NLMSG_ERROR as u16, NetworkChange::default()),
            (u16::MAX, NetworkChange::default()),
        ] {
            assert_eq!(change_in(&message(kind, 20, 4)), change, "type {kind}");
        }
    }

    #[test]
    fn every_message_of_a_datagram_counts() {
        // The first ends one byte before a multiple of four.
        let mut datagram = message(libc::RTM_NEWADDR, 19, 4);
        datagram.extend(message(libc::RTM_DELROUTE, HEADER, 0));
        assert_eq!(change_in(&datagram), ADDRESSES | ROUTES);
        datagram.extend(message(libc::RTM_NEWLINK, 9000, 8));
        assert_eq!(change_in(&datagram), NetworkChange::ALL, "cut, but told");
    }

    #[test]
    fn lengths_that_lie_end_the_reading() {
        for len in [0, 1, HEADER - 1, 40, u32::MAX as usize] {
            let mut datagram = message(libc::RTM_NEWADDR, len, 4);
            datagram.extend(message(libc::RTM_NEWLINK, HEADER, 0));
            let change = change_in(&datagram);
            assert!(change.addresses, "length {len}");
            assert!(!change.links, "length {len}");
        }
        for cut in 0..HEADER {
            let datagram = &message(libc::RTM_NEWADDR, HEADER, 0)[..cut];
            assert!(change_in(datagram).is_nothing(), "cut at {cut}");
        }
    }

    #[test]
    fn socket_waits_without_blocking() {
        let watch = watch_network().expect("every kernel has it");
        assert!(fd::is_nonblocking(watch.as_fd()).expect("open"));
        // Others may change the network meanwhile; in the end there is nothing left.
        let end = std::iter::repeat_with(|| recv_change(watch.as_fd())).find_map(Result::err);
        let errno = end.and_then(|err| err.raw_os_error());
        assert!(
            matches!(errno, Some(errno::EAGAIN | errno::ENOBUFS)),
            "{errno:?}"
        );
    }
}
