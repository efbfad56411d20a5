//! The networks by their Go names.

use std::fmt;
use std::str::FromStr;

use gannet_sys::socket::Kind;

use crate::database::{ether_type, ip_protocol};
use crate::error::UnknownNetworkError;
use crate::family::Family;

/// A network by its Go name: which protocol, and for IP which version.
///
/// `tcp` and `udp` speak IPv4 and IPv6, as the address asks; the names that end in 4 or 6 speak
/// only that one.
///
/// ```
/// use gannet_net::Network;
///
/// assert_eq!("udp6".parse(), Ok(Network::Udp6));
/// assert_eq!(Network::Unixgram.to_string(), "unixgram");
/// assert_eq!("udp7".parse::<Network>().unwrap_err().to_string(), "unknown network udp7");
/// ```
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum Network {
    /// TCP over IPv4 or IPv6.
    Tcp,
    /// TCP over IPv4.
    Tcp4,
    /// TCP over IPv6.
    Tcp6,
    /// UDP over IPv4 or IPv6.
    Udp,
    /// UDP over IPv4.
    Udp4,
    /// UDP over IPv6.
    Udp6,
    /// Unix stream sockets.
    Unix,
    /// Unix datagram sockets.
    Unixgram,
    /// Unix connections of packets.
    Unixpacket,
    /// The IP protocol with this number over IPv4 or IPv6, such as 1 for ICMP: `ip:1` or `ip:icmp`.
    Ip(u8),
    /// The IP protocol with this number over IPv4.
    Ip4(u8),
    /// The IP protocol with this number over IPv6.
    Ip6(u8),
    /// Whole packets of a link with this EtherType: `packet:0x806` or `packet:arp`; 3, `packet:all`, is
    /// every one.
    Packet(u16),
    /// What packets of a link with this EtherType carry: `packetgram:0x806` or `packetgram:arp`.
    Packetgram(u16),
}

/// The protocol of a network, its version of IP left out.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Protocol {
    Tcp,
    Udp,
    Unix,
    Unixgram,
    Unixpacket,
    Ip,
    Packet,
}

impl Network {
    /// Every network that is named by a word alone.
    const ALL: [Network; 9] = [
        Network::Tcp,
        Network::Tcp4,
        Network::Tcp6,
        Network::Udp,
        Network::Udp4,
        Network::Udp6,
        Network::Unix,
        Network::Unixgram,
        Network::Unixpacket,
    ];

    /// Returns the name: `"tcp"` for [`Network::Tcp`]; where a protocol belongs to it,
    /// that is left out.
    pub fn as_str(self) -> &'static str {
        match self {
            Network::Tcp => "tcp",
            Network::Tcp4 => "tcp4",
            Network::Tcp6 => "tcp6",
            Network::Udp => "udp",
            Network::Udp4 => "udp4",
            Network::Udp6 => "udp6",
            Network::Unix => "unix",
            Network::Unixgram => "unixgram",
            Network::Unixpacket => "unixpacket",
            Network::Ip(_) => "ip",
            Network::Ip4(_) => "ip4",
            Network::Ip6(_) => "ip6",
            Network::Packet(_) => "packet",
            Network::Packetgram(_) => "packetgram",
        }
    }

    /// The protocol, whatever the version of IP.
    #[inline]
    pub(crate) fn protocol(self) -> Protocol {
        match self {
            Network::Tcp | Network::Tcp4 | Network::Tcp6 => Protocol::Tcp,
            Network::Udp | Network::Udp4 | Network::Udp6 => Protocol::Udp,
            Network::Unix => Protocol::Unix,
            Network::Unixgram => Protocol::Unixgram,
            Network::Unixpacket => Protocol::Unixpacket,
            Network::Ip(_) | Network::Ip4(_) | Network::Ip6(_) => Protocol::Ip,
            Network::Packet(_) | Network::Packetgram(_) => Protocol::Packet,
        }
    }

    /// The EtherType, or 0 where there is none.
    pub(crate) fn ether_type(self) -> u16 {
        match self {
            Network::Packet(number) | Network::Packetgram(number) => number,
            _ => 0,
        }
    }

    /// How its sockets carry data.
    pub(crate) fn kind(self) -> Kind {
        match self.protocol() {
            Protocol::Tcp | Protocol::Unix => Kind::Stream,
            Protocol::Udp | Protocol::Unixgram => Kind::Datagram,
            Protocol::Unixpacket => Kind::SeqPacket,
            Protocol::Packet if matches!(self, Network::Packetgram(_)) => Kind::Datagram,
            Protocol::Ip | Protocol::Packet => Kind::Raw,
        }
    }

    /// The number to open sockets with: that of an IP protocol, 0 for what the kind implies.
    pub(crate) fn number(self) -> i32 {
        match self {
            Network::Ip(number) | Network::Ip4(number) | Network::Ip6(number) => number.into(),
            _ => 0,
        }
    }

    /// The version of IP that the name demands.
    pub(crate) fn version(self) -> Option<Family> {
        match self {
            Network::Tcp4 | Network::Udp4 | Network::Ip4(_) => Some(Family::V4),
            Network::Tcp6 | Network::Udp6 | Network::Ip6(_) => Some(Family::V6),
            _ => None,
        }
    }

    /// The name without doubt about the version of IP: what a control hook is told.
    pub(crate) fn resolved(self, family: Option<Family>) -> Network {
        match (self, family) {
            (Network::Tcp, Some(Family::V4)) => Network::Tcp4,
            (Network::Tcp, Some(Family::V6)) => Network::Tcp6,
            (Network::Udp, Some(Family::V4)) => Network::Udp4,
            (Network::Udp, Some(Family::V6)) => Network::Udp6,
            (Network::Ip(number), Some(Family::V4)) => Network::Ip4(number),
            (Network::Ip(number), Some(Family::V6)) => Network::Ip6(number),
            _ => self,
        }
    }
}

impl Protocol {
    /// Whether bytes have an order and an end, rather than coming in datagrams.
    #[inline]
    pub(crate) fn is_stream(self) -> bool {
        matches!(self, Protocol::Tcp | Protocol::Unix)
    }

    /// Whether there are listeners and connections.
    pub(crate) fn has_listeners(self) -> bool {
        self.is_stream() || self == Protocol::Unixpacket
    }

    /// Whether the addresses are IP addresses, with ports or without.
    pub(crate) fn is_inet(self) -> bool {
        matches!(self, Protocol::Tcp | Protocol::Udp | Protocol::Ip)
    }

    /// The network that Go names an address of this protocol after.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Protocol::Tcp => "tcp",
            Protocol::Udp => "udp",
            Protocol::Unix => "unix",
            Protocol::Unixgram => "unixgram",
            Protocol::Unixpacket => "unixpacket",
            Protocol::Ip => "ip",
            Protocol::Packet => "packet",
        }
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.protocol() {
            Protocol::Ip => f.pad(&format!("{}:{}", self.as_str(), self.number())),
            Protocol::Packet => f.pad(&format!("{}:{:#x}", self.as_str(), self.ether_type())),
            _ => f.pad(self.as_str()),
        }
    }
}

impl FromStr for Network {
    type Err = UnknownNetworkError;

    /// Parses a name; case matters.
    ///
    /// # Errors
    /// [`UnknownNetworkError`] with the text for everything else.
    fn from_str(name: &str) -> Result<Self, Self::Err> {
        let known = Self::ALL
            .into_iter()
            .find(|network| network.as_str() == name);
        let raw = || {
            let (network, protocol) = name.rsplit_once(':')?;
            match network {
                "ip" => ip_protocol(protocol).map(Network::Ip),
                "ip4" => ip_protocol(protocol).map(Network::Ip4),
                "ip6" => ip_protocol(protocol).map(Network::Ip6),
                "packet" => ether_type(protocol).map(Network::Packet),
                "packetgram" => ether_type(protocol).map(Network::Packetgram),
                _ => None,
            }
        };
        known
            .or_else(raw)
            .ok_or_else(|| UnknownNetworkError(name.to_owned()))
    }
}

/// What names a network: a [`Network`], or its name as text.
///
/// ```
/// use gannet_net::{Network, ToNetwork};
///
/// assert_eq!("tcp4".to_network(), Ok(Network::Tcp4));
/// assert_eq!(Network::Tcp4.to_network(), Ok(Network::Tcp4));
/// ```
pub trait ToNetwork {
    /// Returns the network.
    ///
    /// # Errors
    /// [`UnknownNetworkError`] if the text names none.
    fn to_network(&self) -> Result<Network, UnknownNetworkError>;
}

impl ToNetwork for Network {
    fn to_network(&self) -> Result<Network, UnknownNetworkError> {
        Ok(*self)
    }
}

impl ToNetwork for str {
    fn to_network(&self) -> Result<Network, UnknownNetworkError> {
        self.parse()
    }
}

impl ToNetwork for String {
    fn to_network(&self) -> Result<Network, UnknownNetworkError> {
        self.parse()
    }
}

impl<N: ToNetwork + ?Sized> ToNetwork for &N {
    fn to_network(&self) -> Result<Network, UnknownNetworkError> {
        (**self).to_network()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn network_names_round_trip() {
        for network in Network::ALL {
            assert_eq!(network.to_string().parse(), Ok(network));
        }
    }

    #[test]
    fn network_name_unknown_is_refused_with_its_text() {
        for name in [
            "",
            "TCP",
            "tcp ",
            "tcp5",
            "tcp:80",
            "ip",
            "ip:",
            "ip::",
            "ip4:",
            "ip4:256",
            "ip4:none-such",
            "ipx:1",
            "unixpackets",
            "packet",
            "packet:",
            "packet:nonesuch",
            "packet:0x10000",
            "packet:0x",
            "packetgram:0x+1",
            "packetgram:65536",
            "foo",
        ] {
            let err = name.to_network().unwrap_err();
            assert_eq!(err.to_string(), format!("unknown network {name}"));
        }
    }

    #[test]
    fn ip_protocols_are_named_or_numbered() {
        for (name, want) in [
            ("ip:icmp", Network::Ip(1)),
            ("ip4:ICMP", Network::Ip4(1)),
            ("ip6:ipv6-icmp", Network::Ip6(58)),
            ("ip4:47", Network::Ip4(47)),
            ("ip6:0", Network::Ip6(0)),
        ] {
            assert_eq!(name.parse(), Ok(want));
            assert_eq!(want.to_string().parse(), Ok(want));
        }
    }

    #[test]
    fn ether_types_are_named_or_numbered() {
        for (name, want) in [
            ("packet:all", Network::Packet(3)),
            ("packetgram:ARP", Network::Packetgram(0x806)),
            ("packet:ipv6", Network::Packet(0x86dd)),
            ("packet:0x88B5", Network::Packet(0x88b5)),
            ("packet:2048", Network::Packet(0x800)),
            ("packetgram:0", Network::Packetgram(0)),
        ] {
            assert_eq!(name.parse(), Ok(want));
            assert_eq!(want.to_string().parse(), Ok(want));
        }
        assert_eq!(Network::Packet(0x806).to_string(), "packet:0x806");
    }

    #[test]
    fn resolved_network_is_never_ambiguous() {
        for (network, family, want) in [
            (Network::Tcp, Some(Family::V4), "tcp4"),
            (Network::Tcp, Some(Family::V6), "tcp6"),
            (Network::Udp, Some(Family::V4), "udp4"),
            (Network::Udp, Some(Family::V6), "udp6"),
            (Network::Tcp4, Some(Family::V4), "tcp4"),
            (Network::Udp6, Some(Family::V6), "udp6"),
            (Network::Unix, None, "unix"),
            (Network::Unixgram, None, "unixgram"),
            (Network::Ip(1), Some(Family::V6), "ip6"),
            (Network::Unixpacket, None, "unixpacket"),
        ] {
            assert_eq!(network.resolved(family).as_str(), want);
        }
    }
}
