//! From the text of an address to addresses: ports first, then hosts, then the filters of the
//! network.
//!
//! Literal addresses are resolved on the spot. Names go to the [`Resolver`](crate::Resolver), and
//! services that are not well known to `/etc/services`.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6};

use gannet_sys::interface;

use crate::addr::{Addr, unix_addr};
use crate::database::system_service;
use crate::error::AddrError;
use crate::family::Family;
use crate::hostport::{Host, PortError, parse_host, parse_port, split_host_port};
use crate::network::{Network, Protocol};
use crate::resolver::Names;

pub(crate) const MISSING_ADDRESS: &str = "missing address";
const NO_SUITABLE_ADDRESS: &str = "no suitable address found";

/// Returns the address to listen on: the first IPv4 address that `address` means, else the first.
pub(crate) async fn resolve_listen(
    network: Network,
    address: &str,
    names: &Names,
) -> io::Result<Addr> {
    let mut addrs = resolve(network, address, names).await?;
    let chosen = addrs.iter().position(Addr::fits_v4).unwrap_or(0);
    Ok(addrs.swap_remove(chosen))
}

/// Returns the addresses to dial, in the order to try them, that go together with the local
/// address.
pub(crate) async fn resolve_dial(
    network: Network,
    address: &str,
    local: Option<&Addr>,
    names: &Names,
) -> io::Result<Vec<Addr>> {
    if address.is_empty() {
        return Err(AddrError::new(MISSING_ADDRESS, "").into());
    }
    let mut addrs = resolve(network, address, names).await?;
    if let Some(local) = local {
        retain_family(&mut addrs, network.protocol(), local)?;
    }
    Ok(addrs)
}

/// Keeps the addresses that a socket bound to `local` can reach. A wildcard goes with everything.
fn retain_family(addrs: &mut Vec<Addr>, protocol: Protocol, local: &Addr) -> Result<(), AddrError> {
    if local.protocol() != protocol {
        return Err(AddrError::new(
            "mismatched local address type",
            local.to_string(),
        ));
    }
    let fits = |addr: &Addr| {
        local.is_wildcard() || addr.is_wildcard() || addr.fits_v4() == local.fits_v4()
    };
    if protocol.is_inet() {
        addrs.retain(fits);
    }
    match addrs.is_empty() {
        true => Err(AddrError::new(NO_SUITABLE_ADDRESS, local.to_string())),
        false => Ok(()),
    }
}

/// Returns every address of `network` that `address` means. Never empty.
async fn resolve(network: Network, address: &str, names: &Names) -> io::Result<Vec<Addr>> {
    let protocol = network.protocol();
    match protocol {
        Protocol::Unix => return Ok(vec![Addr::Unix(unix_addr(address.as_bytes()))]),
        Protocol::Unixgram => return Ok(vec![Addr::Unixgram(unix_addr(address.as_bytes()))]),
        Protocol::Unixpacket => return Ok(vec![Addr::Unixpacket(unix_addr(address.as_bytes()))]),
        Protocol::Packet => return Ok(vec![Addr::packet(address)?]),
        Protocol::Tcp | Protocol::Udp | Protocol::Ip => {}
    }
    let (host, port) = if address.is_empty() {
        ("", "")
    } else if protocol == Protocol::Ip {
        (address, "")
    } else {
        split_host_port(address)?
    };
    let port = match parse_port(protocol, port) {
        Err(PortError::Lookup(unknown)) => {
            let known = system_service(protocol, port).await;
            known.ok_or(unknown)?
        }
        port => port?,
    };
    let found = match parse_host(host) {
        Host::Any if protocol == Protocol::Udp => return Ok(vec![Addr::UdpPort(port)]),
        Host::Any if protocol == Protocol::Ip => match network.version() {
            Some(Family::V6) => vec![(Ipv6Addr::UNSPECIFIED, 0).into()],
            _ => vec![(Ipv4Addr::UNSPECIFIED, 0).into()],
        },
        Host::Any => return Ok(vec![Addr::TcpPort(port)]),
        Host::Ip(IpAddr::V6(ip), zone) => vec![SocketAddrV6::new(ip, port, 0, zone).into()],
        Host::Ip(ip, _) => vec![SocketAddr::new(ip, port)],
        // An unknown zone is no zone: the kernel then says which address it cannot reach.
        Host::Zoned(ip, name) => {
            let zone = interface::index(name).unwrap_or(0);
            vec![SocketAddrV6::new(ip, port, 0, zone).into()]
        }
        Host::Name(name) => names.lookup(name, port).await?,
    };
    let found = suitable(network, found);
    if found.is_empty() {
        return Err(AddrError::new(NO_SUITABLE_ADDRESS, host).into());
    }
    Ok(found
        .into_iter()
        .map(|addr| Addr::inet(protocol, addr))
        .collect())
}

/// Drops the addresses of the version of IP that `network` excludes.
fn suitable(network: Network, mut found: Vec<SocketAddr>) -> Vec<SocketAddr> {
    // A machine may be able to listen on `::` and yet not to reach it, or be asked for it over
    // IPv4.
    if let [SocketAddr::V6(only)] = found[..] {
        if only.ip().is_unspecified() {
            found.push((Ipv4Addr::UNSPECIFIED, only.port()).into());
        }
    }
    match network.version() {
        Some(Family::V4) => found.retain(|addr| addr.ip().to_canonical().is_ipv4()),
        Some(Family::V6) => found.retain(|addr| addr.ip().to_canonical().is_ipv6()),
        None => {}
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Runs a future that never waits.
    fn now<T>(future: impl Future<Output = T>) -> T {
        let mut future = std::pin::pin!(future);
        let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
        match future.as_mut().poll(&mut cx) {
            std::task::Poll::Ready(output) => output,
            std::task::Poll::Pending => panic!("a literal address was looked up"),
        }
    }

    fn dial(network: Network, address: &str, local: Option<&Addr>) -> Result<Vec<String>, String> {
        now(resolve_dial(network, address, local, &Names::default()))
            .map(|addrs| addrs.iter().map(Addr::to_string).collect())
            .map_err(|err| err.to_string())
    }

    #[test]
    fn dial_literal_resolves_at_once() {
        for (network, address, want) in [
            (Network::Tcp, "127.0.0.1:http", &["127.0.0.1:80"][..]),
            (Network::Tcp, ":80", &[":80"]),
            (Network::Udp, "[::1]:53", &["[::1]:53"]),
            (Network::Tcp, "[::]:80", &["[::]:80", "0.0.0.0:80"]),
            (Network::Tcp4, "[::]:80", &["0.0.0.0:80"]),
            (Network::Tcp6, "[::]:80", &["[::]:80"]),
            (Network::Tcp4, "[::ffff:127.0.0.1]:1", &["127.0.0.1:1"]),
            (Network::Unix, "/tmp/a:b", &["/tmp/a:b"]),
            (Network::Unixgram, "@name", &["@name"]),
        ] {
            let want = want.iter().map(|text| (*text).to_owned()).collect();
            assert_eq!(
                dial(network, address, None),
                Ok(want),
                "{network} {address}"
            );
        }
    }

    #[test]
    fn dial_bad_address_names_input_and_rule() {
        for (network, address, want) in [
            (Network::Tcp, "", "missing address"),
            (Network::Unix, "", "missing address"),
            (
                Network::Tcp,
                "127.0.0.1",
                "address 127.0.0.1: missing port in address",
            ),
            (
                Network::Tcp,
                "127.0.0.1:65536",
                "address 65536: invalid port",
            ),
            (
                Network::Tcp,
                "nowhere.invalid:65536",
                "address 65536: invalid port",
            ),
            (Network::Udp, "127.0.0.1:☺", "lookup udp/☺: unknown port"),
            (
                Network::Tcp6,
                "127.0.0.1:1",
                "address 127.0.0.1: no suitable address found",
            ),
            (
                Network::Tcp6,
                "[::ffff:127.0.0.1]:1",
                "address ::ffff:127.0.0.1: no suitable address found",
            ),
            (
                Network::Udp4,
                "[::1]:1",
                "address ::1: no suitable address found",
            ),
        ] {
            assert_eq!(
                dial(network, address, None),
                Err(want.to_owned()),
                "{network} {address}"
            );
        }
    }

    #[test]
    fn dial_local_address_filters_families() {
        let tcp = |text: &str| Addr::Tcp(text.parse().unwrap());
        let ok = |text: &str| Ok(vec![text.to_owned()]);
        let check = |address, local: Addr, want| {
            assert_eq!(
                dial(Network::Tcp, address, Some(&local)),
                want,
                "{address} {local}"
            );
        };
        check("127.0.0.1:1", tcp("127.0.0.1:0"), ok("127.0.0.1:1"));
        check("127.0.0.1:1", tcp("[::]:0"), ok("127.0.0.1:1"));
        check(":1", tcp("[::1]:0"), ok(":1"));
        let unsuitable = "address [::1]:0: no suitable address found";
        check("127.0.0.1:1", tcp("[::1]:0"), Err(unsuitable.to_owned()));
        let mismatched = "address 127.0.0.1:0: mismatched local address type";
        let udp = Addr::Udp("127.0.0.1:0".parse().unwrap());
        check("127.0.0.1:1", udp, Err(mismatched.to_owned()));
    }

    #[test]
    fn listen_prefers_ipv4_and_names_nobody_for_empty() {
        let names = Names::default();
        let listen = |network, address| {
            let addr = now(resolve_listen(network, address, &names));
            addr.unwrap().to_string()
        };
        assert_eq!(listen(Network::Tcp, ""), ":0");
        assert_eq!(listen(Network::Udp, ":53"), ":53");
        assert_eq!(listen(Network::Tcp, "[::]:0"), "0.0.0.0:0");
        assert_eq!(listen(Network::Tcp6, "[::]:0"), "[::]:0");
        assert_eq!(listen(Network::Unix, ""), "@");
    }
}
