//! Addresses of packet sockets: an interface, a protocol, a hardware address (`sockaddr_ll`).

use std::fmt;
use std::io;
use std::mem::{offset_of, size_of};

use libc::sockaddr_ll;

use super::{RawAddr, invalid_data};
use crate::interface;

const PROTOCOL: usize = offset_of!(sockaddr_ll, sll_protocol);
const INTERFACE: usize = offset_of!(sockaddr_ll, sll_ifindex);
const HARDWARE_TYPE: usize = offset_of!(sockaddr_ll, sll_hatype);
const PACKET_TYPE: usize = offset_of!(sockaddr_ll, sll_pkttype);
const LEN: usize = offset_of!(sockaddr_ll, sll_halen);
const ADDRESS: usize = offset_of!(sockaddr_ll, sll_addr);

/// The address of an interface's hardware, such as the six bytes of Ethernet.
///
/// Displays as its bytes in hexadecimal, with colons between them; empty if there is none.
///
/// ```
/// use gannet_sys::sockaddr::HardwareAddr;
///
/// let addr = HardwareAddr::parse("02:00:5e:00:53:af").unwrap();
/// assert_eq!(addr.bytes(), [0x02, 0, 0x5e, 0, 0x53, 0xaf]);
/// assert_eq!(addr.to_string(), "02:00:5e:00:53:af");
/// assert_eq!(HardwareAddr::new(&[0xff; 6]), Some(HardwareAddr::BROADCAST));
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct HardwareAddr {
    bytes: [u8; Self::MAX],
    len: u8,
}

impl HardwareAddr {
    /// The most bytes that one may have. Of a longer one, as InfiniBand has, the kernel's structure
    /// holds the first.
    pub const MAX: usize = 8;
    /// No address, as that of a tunnel.
    pub const NONE: Self = Self {
        bytes: [0; Self::MAX],
        len: 0,
    };
    /// Everybody on an Ethernet.
    pub const BROADCAST: Self = Self {
        bytes: [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0, 0],
        len: 6,
    };

    /// Makes an address of these bytes, unless they are too many.
    #[must_use]
    pub fn new(bytes: &[u8]) -> Option<Self> {
        (bytes.len() <= Self::MAX).then(|| Self::cut(bytes))
    }

    /// Reads an address from its text: pairs of hexadecimal digits with colons between them.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let byte = |pair: &str| {
            let is_pair = pair.len() == 2 && pair.bytes().all(|byte| byte.is_ascii_hexdigit());
            is_pair.then(|| u8::from_str_radix(pair, 16).ok()).flatten()
        };
        let bytes: Option<Vec<u8>> = text.split(':').map(byte).collect();
        Self::new(&bytes?)
    }

    /// Returns the bytes.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes[..usize::from(self.len)]
    }

    fn cut(bytes: &[u8]) -> Self {
        let mut addr = Self::NONE;
        let len = bytes.len().min(Self::MAX);
        addr.bytes[..len].copy_from_slice(&bytes[..len]);
        addr.len = len as u8;
        addr
    }
}

impl fmt::Display for HardwareAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let pairs: Vec<String> = self.bytes().iter().map(|b| format!("{b:02x}")).collect();
        f.pad(&pairs.join(":"))
    }
}

/// For whom a packet is, as the kernel tells of one that was received.
///
/// ```
/// use gannet_sys::sockaddr::{HardwareAddr, LinkAddr, PacketType};
///
/// assert_eq!(LinkAddr::new(1, HardwareAddr::NONE).packet_type, PacketType::Host);
/// ```
///
/// Reference: [`packet(7)`](https://man7.org/linux/man-pages/man7/packet.7.html), `sll_pkttype`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum PacketType {
    /// For this machine.
    #[default]
    Host,
    /// For everybody.
    Broadcast,
    /// For a group.
    Multicast,
    /// For another machine, seen because the interface takes everything.
    OtherHost,
    /// From this machine.
    Outgoing,
    /// Of another kind.
    Other(u8),
}

impl PacketType {
    const KNOWN: [(u8, Self); 5] = [
        (0, Self::Host),
        (1, Self::Broadcast),
        (2, Self::Multicast),
        (3, Self::OtherHost),
        (4, Self::Outgoing),
    ];

    fn from_raw(raw: u8) -> Self {
        let known = Self::KNOWN.into_iter().find(|&(number, _)| number == raw);
        known.map_or(Self::Other(raw), |(_, known)| known)
    }

    fn to_raw(self) -> u8 {
        let known = Self::KNOWN.into_iter().find(|&(_, known)| known == self);
        match (known, self) {
            (Some((number, _)), _) => number,
            (None, Self::Other(raw)) => raw,
            (None, _) => 0,
        }
    }
}

/// The address of a packet socket, or of the sender of a packet.
///
/// ```
/// use gannet_sys::sockaddr::{HardwareAddr, LinkAddr, SockAddr};
///
/// let everybody = LinkAddr::new(2, HardwareAddr::BROADCAST);
/// assert!(matches!(SockAddr::from(everybody), SockAddr::Link(addr) if addr.interface == 2));
/// ```
///
/// Reference: [`packet(7)`](https://man7.org/linux/man-pages/man7/packet.7.html).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct LinkAddr {
    /// The number of the interface; 0 is every one.
    pub interface: u32,
    /// The protocol, an EtherType such as 0x0806 for ARP. To bind, 3 is every one and 0 none.
    pub protocol: u16,
    /// The hardware address: the sender's, or where to send to.
    pub hardware: HardwareAddr,
    /// What hardware it is (`ARPHRD_*`): 1 for Ethernet. The kernel tells it, and does not take it.
    pub hardware_type: u16,
    /// For whom a received packet was. The kernel tells it, and does not take it.
    pub packet_type: PacketType,
}

impl LinkAddr {
    /// The address of a machine on an interface, without a protocol.
    #[must_use]
    pub fn new(interface: u32, hardware: HardwareAddr) -> Self {
        Self {
            interface,
            hardware,
            ..Self::default()
        }
    }

    /// Returns the name of the interface now, which may change, unlike the number.
    ///
    /// # Errors
    /// `ENXIO` if there is none, or if every one is meant; those of
    /// [`interface::name`](crate::interface::name).
    ///
    /// Reference: [`if_indextoname(3)`](https://man7.org/linux/man-pages/man3/if_nametoindex.3.html).
    pub fn interface_name(&self) -> io::Result<String> {
        interface::name(self.interface)
    }

    /// Writes the address in the kernel's form.
    pub(super) fn encode(&self) -> RawAddr {
        let mut raw = RawAddr::with_family(libc::AF_PACKET, size_of::<sockaddr_ll>());
        raw.put(PROTOCOL, &self.protocol.to_be_bytes());
        raw.put(INTERFACE, &self.interface.to_ne_bytes());
        raw.put(HARDWARE_TYPE, &self.hardware_type.to_ne_bytes());
        raw.put(PACKET_TYPE, &[self.packet_type.to_raw()]);
        raw.put(LEN, &[self.hardware.len]);
        raw.put(ADDRESS, &self.hardware.bytes);
        raw
    }

    /// Reads what the kernel wrote, which is as long as its hardware address.
    pub(super) fn decode(bytes: &[u8]) -> io::Result<Self> {
        let Some((head, tail)) = bytes.split_at_checked(ADDRESS) else {
            let len = bytes.len();
            let text = format!("address of a packet socket has only {len} bytes");
            return Err(invalid_data(text));
        };
        let pair = |at: usize| [head[at], head[at + 1]];
        let len = usize::from(head[LEN]).min(tail.len());
        let interface = [
            head[INTERFACE],
            head[INTERFACE + 1],
            head[INTERFACE + 2],
            head[INTERFACE + 3],
        ];
        Ok(Self {
            interface: u32::from_ne_bytes(interface),
            protocol: u16::from_be_bytes(pair(PROTOCOL)),
            hardware: HardwareAddr::cut(&tail[..len]),
            hardware_type: u16::from_ne_bytes(pair(HARDWARE_TYPE)),
            packet_type: PacketType::from_raw(head[PACKET_TYPE]),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::SockAddr;
    use super::*;

    fn sample() -> LinkAddr {
        LinkAddr {
            interface: 0x0102_0304,
            protocol: 0x88b5,
            hardware: HardwareAddr::parse("02:00:5e:00:53:af").expect("an address"),
            hardware_type: 1,
            packet_type: PacketType::Outgoing,
        }
    }

    #[test]
    fn link_address_survives_the_round_trip() {
        for addr in [sample(), LinkAddr::default()] {
            let addr = SockAddr::Link(addr);
            let raw = RawAddr::new(&addr).expect("any is valid");
            assert_eq!(raw.len, 20);
            assert_eq!(raw.decode().expect("what was written can be read"), addr);
        }
        let raw = sample().encode();
        assert_eq!(raw.bytes[2..4], [0x88, 0xb5]);
        assert_eq!(raw.bytes[4..8], 0x0102_0304_u32.to_ne_bytes());
        assert_eq!(raw.bytes[11..19], [6, 2, 0, 0x5e, 0, 0x53, 0xaf, 0]);
    }

    #[test]
    fn reported_lengths_are_respected() {
        let mut raw = sample().encode();
        for len in 2..12 {
            raw.len = len;
            let err = raw.decode().expect_err("too short");
            assert_eq!(err.kind(), io::ErrorKind::InvalidData, "{len}");
        }
        let hardware = |raw: &RawAddr| match raw.decode() {
            Ok(SockAddr::Link(addr)) => addr.hardware.to_string(),
            other => panic!("a link address was expected, not {other:?}"),
        };
        raw.len = 12;
        assert_eq!(hardware(&raw), "");
        raw.len = 15;
        assert_eq!(hardware(&raw), "02:00:5e");
        // InfiniBand's twenty bytes.
        raw.bytes[11] = 20;
        raw.len = 32;
        assert_eq!(hardware(&raw).split(':').count(), HardwareAddr::MAX);
    }

    #[test]
    fn packet_types_are_the_kernels_numbers() {
        for raw in 0..=u8::MAX {
            assert_eq!(PacketType::from_raw(raw).to_raw(), raw);
        }
        assert_eq!(PacketType::from_raw(3), PacketType::OtherHost);
        assert_eq!(PacketType::from_raw(5), PacketType::Other(5));
    }

    #[test]
    fn hardware_text_is_pairs_of_digits() {
        for text in ["", "02", "02:00:5e:00:53:af", "00:11:22:33:44:55:66"] {
            let addr = HardwareAddr::parse(text);
            assert_eq!(
                addr.map(|addr| addr.to_string()).as_deref(),
                match text {
                    "" => None,
                    text => Some(text),
                }
            );
        }
        for text in [
            "2:0",
            "02:",
            "+2:00",
            "02-00",
            "0g",
            "00:11:22:33:44:55:66:77:88",
        ] {
            assert_eq!(HardwareAddr::parse(text), None, "{text}");
        }
        assert_eq!(HardwareAddr::NONE.to_string(), "");
    }
}
