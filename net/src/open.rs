//! A socket between `socket(2)` and its registration: default options, the control hook, `bind(2)`.
//!
//! The order of the system calls is a contract that users see through their hooks: `socket`, the
//! defaults of the kind, the hook, `bind`, and then `listen` or `connect`.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use gannet_runtime::{AdoptOptions, AsyncFd};
use gannet_sys::sockaddr::SockAddr;
use gannet_sys::socket::{self, Domain, Kind};
use gannet_sys::{errno, option};

use crate::addr::Addr;
use crate::control::{Control, RawSocket};
use crate::error::{MissingPrivilegeError, syscall};
use crate::family::{self, Ends, Family, favorite};
use crate::link;
use crate::network::{Network, Protocol};

/// A socket that no poller knows yet. Dropping it closes it.
pub(crate) struct NewSocket {
    fd: OwnedFd,
    network: Network,
    family: Option<Family>,
    /// Somebody may have duplicated the descriptor.
    lent: bool,
}

impl NewSocket {
    /// Creates a socket of `network` of the family that suits `ends`, with Go's default options; for
    /// TCP with several paths, if they are wanted and the kernel has them.
    ///
    /// # Errors
    /// That of `socket(2)`, or of setting `SO_BROADCAST`.
    pub(crate) fn open(network: Network, ends: Ends<'_>, multipath: bool) -> io::Result<Self> {
        let protocol = network.protocol();
        let kind = network.kind();
        if !protocol.is_inet() {
            // One of packets has no protocol yet: it would receive what comes before it is bound.
            let domain = match protocol {
                Protocol::Packet => Domain::Packet,
                _ => Domain::Unix,
            };
            let fd = create_of(domain, kind, 0)?;
            return Ok(NewSocket {
                fd,
                network,
                family: None,
                lent: false,
            });
        }
        let (family, v6_only) = favorite(network, ends, family::support);
        let domain = match family {
            Family::V4 => Domain::Inet,
            Family::V6 => Domain::Inet6,
        };
        let fd = match multipath && protocol == Protocol::Tcp {
            // Without support in the kernel, or where the administrator forbids it, plain TCP does.
            true => socket::socket_of(domain, kind, socket::MULTIPATH)
                .or_else(|_| create(domain, kind))?,
            false => create_of(domain, kind, network.number())?,
        };
        if family == Family::V6 && protocol != Protocol::Ip {
            // A kernel without the option serves IPv6 only; then IPv4 peers just do not come.
            let _ = option::set_ipv6_only(fd.as_fd(), v6_only);
        }
        if protocol != Protocol::Tcp {
            option::set_broadcast(fd.as_fd(), true).map_err(|err| syscall("setsockopt", err))?;
        }
        Ok(NewSocket {
            fd,
            network,
            family: Some(family),
            lent: false,
        })
    }

    /// The version of IP, if there is one.
    pub(crate) fn family(&self) -> Option<Family> {
        self.family
    }

    /// The socket with its options.
    pub(crate) fn raw(&self) -> RawSocket<'_> {
        RawSocket::new(self.fd.as_fd(), self.family)
    }

    /// Returns `addr` in the form that this socket takes.
    pub(crate) fn sock_addr(&self, addr: &Addr) -> io::Result<SockAddr> {
        sock_addr(addr, self.network, self.family)
    }

    /// Runs the hook, and tells it that the socket is for `addr`.
    pub(crate) fn control(&mut self, control: &Control, addr: &Addr) -> io::Result<()> {
        self.lent |= control.is_set();
        control.run(self.network, addr, &self.raw())
    }

    /// Binds the socket.
    pub(crate) fn bind(&self, addr: &SockAddr) -> io::Result<()> {
        socket::bind(self.fd.as_fd(), addr).map_err(|err| syscall("bind", err))
    }

    /// Registers the socket with the poller. A failure closes it.
    pub(crate) fn register(self, state: State) -> io::Result<AsyncFd> {
        let options = AdoptOptions {
            exclusive: !self.lent,
            writable: state == State::Connecting,
            fresh: state != State::Bound,
            lazy: false,
        };
        Ok(AsyncFd::with_options(self.fd, options)?)
    }
}

impl AsFd for NewSocket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

/// How far a socket is when the poller gets to know it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum State {
    /// Listening or bound: a peer may have come already.
    Bound,
    /// Connected.
    Connected,
    /// On its way: writability will tell that it has arrived.
    Connecting,
}

/// Returns `addr` in the form that a socket of `network` and `family` takes.
pub(crate) fn sock_addr(
    addr: &Addr,
    network: Network,
    family: Option<Family>,
) -> io::Result<SockAddr> {
    match (addr, addr.unix_addr(), family) {
        (_, Some(name), _) => Ok(SockAddr::Unix(name.clone())),
        (Addr::Packet(addr), ..) => Ok(link::sock_addr(addr, network.ether_type())),
        (_, None, Some(family)) => Ok(SockAddr::Inet(family::socket_addr(addr, family)?)),
        (_, None, None) => {
            Err(crate::error::AddrError::new("unexpected address type", addr.to_string()).into())
        }
    }
}

fn create_of(domain: Domain, kind: Kind, number: i32) -> io::Result<OwnedFd> {
    socket::socket_of(domain, kind, number).map_err(|err| match err.raw_os_error() {
        Some(errno @ (errno::EPERM | errno::EACCES)) if domain == Domain::Packet => {
            MissingPrivilegeError::new("socket", errno, "packet sockets take CAP_NET_RAW").into()
        }
        Some(errno @ (errno::EPERM | errno::EACCES)) if kind == Kind::Raw => {
            MissingPrivilegeError::new("socket", errno, "raw sockets take CAP_NET_RAW").into()
        }
        _ => syscall("socket", err),
    })
}

fn create(domain: Domain, kind: Kind) -> io::Result<OwnedFd> {
    socket::socket(domain, kind).map_err(|err| syscall("socket", err))
}
