//! Which version of IP a socket speaks: Go's table, as a pure function.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};
use std::os::fd::AsFd;
use std::sync::OnceLock;

use gannet_sys::errno;
use gannet_sys::option;
use gannet_sys::sockaddr::SockAddr;
use gannet_sys::socket::{self, Domain, Kind};

use crate::addr::Addr;
use crate::error::AddrError;
use crate::network::Network;

/// A version of IP.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Family {
    V4,
    V6,
}

/// The addresses that a socket is opened for.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Ends<'a> {
    /// A listener or an unconnected packet socket on a local address.
    Listen(&'a Addr),
    /// A connection to `remote`, perhaps from a chosen local address.
    Dial {
        local: Option<&'a Addr>,
        remote: &'a Addr,
    },
}

/// What this machine's kernel can do.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Support {
    pub(crate) ipv4: bool,
    /// Whether an IPv6 socket can also carry IPv4.
    pub(crate) mapped: bool,
}

/// Returns the family for a socket of `network`, and whether IPv6 must keep to itself.
///
/// The first row that fits wins:
///
/// | condition | family | v6 only |
/// |---|---|---|
/// | the network ends in 4 | V4 | no |
/// | the network ends in 6 | V6 | yes |
/// | listen on a wildcard, IPv6 sockets carry IPv4 or there is no IPv4 | V6 | no |
/// | listen on a wildcard | that of the address | no |
/// | all addresses fit an IPv4 socket | V4 | no |
/// | otherwise | V6 | no |
///
/// So `:80`, `0.0.0.0:80` and `[::]:80` are one socket that serves both versions.
pub(crate) fn favorite(
    network: Network,
    ends: Ends<'_>,
    support: impl FnOnce() -> Support,
) -> (Family, bool) {
    let natural = |fits_v4| if fits_v4 { Family::V4 } else { Family::V6 };
    match (network.version(), ends) {
        (Some(Family::V4), _) => (Family::V4, false),
        (Some(Family::V6), _) => (Family::V6, true),
        (None, Ends::Listen(local)) if local.is_wildcard() => {
            let support = support();
            let dual = support.mapped || !support.ipv4;
            (
                if dual {
                    Family::V6
                } else {
                    natural(local.fits_v4())
                },
                false,
            )
        }
        (None, Ends::Listen(local)) => (natural(local.fits_v4()), false),
        (None, Ends::Dial { local, remote }) => (
            natural(local.is_none_or(Addr::fits_v4) && remote.fits_v4()),
            false,
        ),
    }
}

/// Returns `addr` in the form that a socket of `family` takes.
///
/// # Errors
/// [`AddrError`] for a Unix name, and for an IPv6 address on an IPv4 socket.
pub(crate) fn socket_addr(addr: &Addr, family: Family) -> Result<SocketAddr, AddrError> {
    let port = addr
        .port()
        .or(addr.socket_addr().map(|addr| addr.port()))
        .ok_or_else(|| AddrError::new("unexpected address type", addr.to_string()))?;
    let given = addr.socket_addr();
    let any = given.is_none_or(|given| given.ip().to_canonical() == Ipv4Addr::UNSPECIFIED);
    match (family, given) {
        (Family::V4, None) => Ok((Ipv4Addr::UNSPECIFIED, port).into()),
        (Family::V6, _) if any => Ok((Ipv6Addr::UNSPECIFIED, port).into()),
        (Family::V4, Some(given)) => match given.ip().to_canonical() {
            IpAddr::V4(ip) => Ok(SocketAddrV4::new(ip, port).into()),
            IpAddr::V6(ip) => Err(AddrError::new("non-IPv4 address", ip.to_string())),
        },
        (Family::V6, Some(SocketAddr::V4(given))) => {
            Ok(SocketAddrV6::new(given.ip().to_ipv6_mapped(), port, 0, 0).into())
        }
        (Family::V6, Some(given)) => Ok(given),
        (Family::V6, None) => Ok((Ipv6Addr::UNSPECIFIED, port).into()),
    }
}

/// Asks the kernel, once a process, what it supports. Takes two sockets, closed at once.
pub(crate) fn support() -> Support {
    static SUPPORT: OnceLock<Support> = OnceLock::new();
    *SUPPORT.get_or_init(|| Support {
        ipv4: socket::socket(Domain::Inet, Kind::Stream).is_ok(),
        mapped: mapped(),
    })
}

/// Tries to bind an IPv6 socket to an IPv4 address.
fn mapped() -> bool {
    let Ok(fd) = socket::socket(Domain::Inet6, Kind::Stream) else {
        return false;
    };
    let loopback = SocketAddr::from((Ipv4Addr::LOCALHOST.to_ipv6_mapped(), 0));
    let bound = option::set_ipv6_only(fd.as_fd(), false)
        .and_then(|()| socket::bind(fd.as_fd(), &SockAddr::Inet(loopback)));
    // A filter that forbids the bind says nothing about the kernel's ability.
    !matches!(bound, Err(err) if !matches!(err.raw_os_error(), Some(errno::EPERM | errno::EACCES)))
}

#[cfg(test)]
mod tests {
    use super::*;

    const DUAL: Support = Support {
        ipv4: true,
        mapped: true,
    };
    const V4_ONLY: Support = Support {
        ipv4: true,
        mapped: false,
    };
    const V6_ONLY: Support = Support {
        ipv4: false,
        mapped: false,
    };

    fn tcp(text: &str) -> Addr {
        match text {
            "" => Addr::TcpPort(0),
            ip => Addr::Tcp(SocketAddr::new(ip.parse().unwrap(), 0)),
        }
    }

    #[test]
    fn listen_family_follows_table() {
        use Family::{V4, V6};
        use Network::{Tcp, Tcp4, Tcp6, Udp};
        for (support, network, local, want) in [
            (DUAL, Tcp, "", (V6, false)),
            (DUAL, Udp, "", (V6, false)),
            (DUAL, Tcp, "0.0.0.0", (V6, false)),
            (DUAL, Tcp, "::", (V6, false)),
            (DUAL, Tcp, "::ffff:0.0.0.0", (V6, false)),
            (DUAL, Tcp, "127.0.0.1", (V4, false)),
            (DUAL, Tcp, "::ffff:127.0.0.1", (V4, false)),
            (DUAL, Tcp, "::1", (V6, false)),
            (DUAL, Tcp4, "", (V4, false)),
            (DUAL, Tcp4, "::1", (V4, false)),
            (DUAL, Tcp6, "", (V6, true)),
            (DUAL, Tcp6, "::1", (V6, true)),
            (V4_ONLY, Tcp, "", (V4, false)),
            (V4_ONLY, Tcp, "0.0.0.0", (V4, false)),
            (V4_ONLY, Tcp, "::", (V6, false)),
            (V6_ONLY, Tcp, "", (V6, false)),
            (V6_ONLY, Tcp, "0.0.0.0", (V6, false)),
            (V6_ONLY, Tcp, "127.0.0.1", (V4, false)),
        ] {
            let got = favorite(network, Ends::Listen(&tcp(local)), || support);
            assert_eq!(got, want, "{support:?} {network} {local:?}");
        }
    }

    #[test]
    fn dial_family_follows_table() {
        use Family::{V4, V6};
        use Network::{Tcp, Tcp4, Tcp6};
        for (network, local, remote, want) in [
            (Tcp, None, "127.0.0.1", (V4, false)),
            (Tcp, None, "", (V4, false)),
            (Tcp, Some("127.0.0.1"), "127.0.0.1", (V4, false)),
            (Tcp, Some("::ffff:127.0.0.1"), "127.0.0.1", (V4, false)),
            (Tcp, Some("0.0.0.0"), "::1", (V6, false)),
            (Tcp, None, "::1", (V6, false)),
            (Tcp, None, "::", (V6, false)),
            (Tcp, Some("::1"), "127.0.0.1", (V6, false)),
            (Tcp, Some("::1"), "::1", (V6, false)),
            (Tcp4, Some("::1"), "::1", (V4, false)),
            (Tcp6, None, "127.0.0.1", (V6, true)),
        ] {
            let (local, remote) = (local.map(tcp), tcp(remote));
            let ends = Ends::Dial {
                local: local.as_ref(),
                remote: &remote,
            };
            let got = favorite(network, ends, || {
                unreachable!("only a wildcard listener asks")
            });
            assert_eq!(got, want, "{network} {local:?} {remote}");
        }
    }

    #[test]
    fn socket_addr_takes_the_form_of_the_family() {
        for (addr, family, want) in [
            ("", Family::V4, "0.0.0.0:0"),
            ("", Family::V6, "[::]:0"),
            ("0.0.0.0", Family::V4, "0.0.0.0:0"),
            ("0.0.0.0", Family::V6, "[::]:0"),
            ("::ffff:0.0.0.0", Family::V4, "0.0.0.0:0"),
            ("::ffff:0.0.0.0", Family::V6, "[::]:0"),
            ("127.0.0.1", Family::V6, "[::ffff:127.0.0.1]:0"),
            ("::ffff:127.0.0.1", Family::V4, "127.0.0.1:0"),
            ("::ffff:127.0.0.1", Family::V6, "[::ffff:127.0.0.1]:0"),
            ("::1", Family::V6, "[::1]:0"),
        ] {
            assert_eq!(
                socket_addr(&tcp(addr), family),
                Ok(want.parse().unwrap()),
                "{addr:?}"
            );
        }
        let err = socket_addr(&tcp("::1"), Family::V4).unwrap_err();
        assert_eq!(err.to_string(), "address ::1: non-IPv4 address");
        let err = socket_addr(&Addr::unix("x"), Family::V4).unwrap_err();
        assert_eq!(err.to_string(), "address x: unexpected address type");
    }
}
