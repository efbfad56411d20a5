//! Control data of datagrams: `cmsghdr` records, written and read byte by byte.
//!
//! The layout is the kernel's: a length of the width of a pointer, level and type, the data, and
//! padding to the width of a pointer. A C library may name the fields otherwise; the bytes agree.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use libc::c_int;

/// `UDP_SEGMENT` of `<linux/udp.h>`, which the C library's headers may lack.
const UDP_SEGMENT: c_int = 103;
/// `UDP_GRO` of the same.
const UDP_GRO: c_int = 104;

const WORD: usize = size_of::<usize>();
const INT: usize = size_of::<c_int>();
const LEVEL: usize = WORD;
const KIND: usize = LEVEL + INT;
const HEADER: usize = (KIND + INT).next_multiple_of(WORD);

/// Room for all that the options of [`option`](crate::option) make the kernel tell of a datagram:
/// both kinds of packet information, of service bytes and of hops, and the length of joined ones.
const ROOM: usize = 192;
const _: () = assert!(space(PKTINFO) + space(PKTINFO_V6) + 5 * space(INT) <= ROOM);

/// `in_pktinfo`: interface, local address, destination.
const PKTINFO: usize = 12;
/// `in6_pktinfo`: destination, interface.
const PKTINFO_V6: usize = 20;

/// What a record with `len` bytes of data takes.
pub(crate) const fn space(len: usize) -> usize {
    HEADER + len.next_multiple_of(WORD)
}

/// Records for one datagram, aligned as the kernel wants them.
#[repr(C, align(8))]
#[derive(Clone, Copy)]
pub(crate) struct Control<const N: usize = ROOM> {
    pub(crate) bytes: [u8; N],
    /// How many of the bytes count.
    pub(crate) len: usize,
}

impl<const N: usize> Control<N> {
    pub(crate) const EMPTY: Self = Self {
        bytes: [0; N],
        len: 0,
    };

    /// Appends a record.
    ///
    /// # Panics
    /// If there is no room for it.
    pub(crate) fn put(&mut self, level: c_int, kind: c_int, data: &[u8]) {
        let record = &mut self.bytes[self.len..self.len + space(data.len())];
        record[..WORD].copy_from_slice(&(HEADER + data.len()).to_ne_bytes());
        record[LEVEL..KIND].copy_from_slice(&level.to_ne_bytes());
        record[KIND..KIND + INT].copy_from_slice(&kind.to_ne_bytes());
        record[HEADER..HEADER + data.len()].copy_from_slice(data);
        self.len += space(data.len());
    }
}

impl Control {
    /// Asks for a service byte.
    pub(crate) fn put_tos(&mut self, is_v4: bool, tos: u8) {
        let tos = c_int::from(tos).to_ne_bytes();
        match is_v4 {
            true => self.put(libc::IPPROTO_IP, libc::IP_TOS, &tos),
            false => self.put(libc::IPPROTO_IPV6, libc::IPV6_TCLASS, &tos),
        }
    }

    /// Asks for a number of hops.
    pub(crate) fn put_ttl(&mut self, is_v4: bool, ttl: u8) {
        let ttl = c_int::from(ttl).to_ne_bytes();
        match is_v4 {
            true => self.put(libc::IPPROTO_IP, libc::IP_TTL, &ttl),
            false => self.put(libc::IPPROTO_IPV6, libc::IPV6_HOPLIMIT, &ttl),
        }
    }

    /// Asks for `from` as the local address, if it is of the packet's version of IP, and for an
    /// interface, if it is not 0.
    pub(crate) fn put_local(&mut self, is_v4: bool, from: Option<IpAddr>, interface: u32) {
        let from = from.map(|from| from.to_canonical());
        if is_v4 {
            let mut info = [0; PKTINFO];
            info[..4].copy_from_slice(&interface.to_ne_bytes());
            if let Some(IpAddr::V4(ip)) = from {
                info[4..8].copy_from_slice(&ip.octets());
            }
            self.put(libc::IPPROTO_IP, libc::IP_PKTINFO, &info);
        } else {
            let mut info = [0; PKTINFO_V6];
            if let Some(IpAddr::V6(ip)) = from {
                info[..16].copy_from_slice(&ip.octets());
            }
            info[16..].copy_from_slice(&interface.to_ne_bytes());
            self.put(libc::IPPROTO_IPV6, libc::IPV6_PKTINFO, &info);
        }
    }

    /// Asks for the data to be cut into datagrams of `len` bytes.
    pub(crate) fn put_segment(&mut self, len: u16) {
        self.put(libc::IPPROTO_UDP, UDP_SEGMENT, &len.to_ne_bytes());
    }

    /// Reads what the kernel told. A record that is unknown or too short tells nothing.
    pub(crate) fn told(&self) -> Told {
        let mut told = Told::default();
        let mut rest = &self.bytes[..self.len.min(ROOM)];
        while let Some((level, kind, data, after)) = split_record(rest) {
            told.take(level, kind, data);
            rest = after;
        }
        told
    }
}

/// Splits the first record off: its level, its type, its data; and what follows.
pub(crate) fn split_record(bytes: &[u8]) -> Option<(c_int, c_int, &[u8], &[u8])> {
    let len = usize::from_ne_bytes(*bytes.first_chunk()?);
    let level = c_int::from_ne_bytes(*bytes.get(LEVEL..)?.first_chunk()?);
    let kind = c_int::from_ne_bytes(*bytes.get(KIND..)?.first_chunk()?);
    let data = bytes.get(HEADER..len)?;
    let next = len.checked_next_multiple_of(WORD)?;
    // The last record may lack its padding.
    Some((level, kind, data, bytes.get(next..).unwrap_or_default()))
}

/// What the kernel told with a datagram.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Told {
    pub(crate) local: Option<IpAddr>,
    pub(crate) interface: Option<u32>,
    pub(crate) tos: Option<u8>,
    pub(crate) ttl: Option<u8>,
    /// The length of the datagrams that were joined.
    pub(crate) segment: Option<usize>,
}

impl Told {
    fn take(&mut self, level: c_int, kind: c_int, data: &[u8]) {
        match (level, kind) {
            // One byte for IPv4, an integer for IPv6.
            (libc::IPPROTO_IP, libc::IP_TOS) => self.tos = data.first().copied(),
            (libc::IPPROTO_IPV6, libc::IPV6_TCLASS) => {
                self.tos = int_of(data).map(|tos| tos as u8);
            }
            (libc::IPPROTO_IP, libc::IP_TTL) | (libc::IPPROTO_IPV6, libc::IPV6_HOPLIMIT) => {
                self.ttl = int_of(data).and_then(|ttl| u8::try_from(ttl).ok());
            }
            (libc::IPPROTO_IP, libc::IP_PKTINFO) => self.take_pktinfo(data),
            (libc::IPPROTO_IPV6, libc::IPV6_PKTINFO) => self.take_pktinfo_v6(data),
            (libc::IPPROTO_UDP, UDP_GRO) => {
                let len = int_of(data).and_then(|len| usize::try_from(len).ok());
                self.segment = len.filter(|&len| len > 0);
            }
            _ => {}
        }
    }

    fn take_pktinfo(&mut self, data: &[u8]) {
        if let Some(&[i0, i1, i2, i3, _, _, _, _, a, b, c, d]) = data.first_chunk::<PKTINFO>() {
            self.interface = Some(u32::from_ne_bytes([i0, i1, i2, i3]));
            self.local = Some(Ipv4Addr::new(a, b, c, d).into());
        }
    }

    fn take_pktinfo_v6(&mut self, data: &[u8]) {
        let Some((ip, interface)) = data.split_first_chunk::<16>() else {
            return;
        };
        if let Some(interface) = interface.first_chunk() {
            self.interface = Some(u32::from_ne_bytes(*interface));
            self.local = Some(Ipv6Addr::from(*ip).to_canonical());
        }
    }
}

fn int_of(data: &[u8]) -> Option<c_int> {
    data.first_chunk().map(|bytes| c_int::from_ne_bytes(*bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn control(bytes: &[u8]) -> Control {
        let mut control = Control::EMPTY;
        control.bytes[..bytes.len()].copy_from_slice(bytes);
        control.len = bytes.len();
        control
    }

    fn record(level: c_int, kind: c_int, data: &[u8]) -> Control {
        let mut control = Control::EMPTY;
        control.put(level, kind, data);
        control
    }

    #[test]
    fn records_are_the_kernels() {
        let mut control = Control::EMPTY;
        control.put_segment(1200);
        assert_eq!(control.len, space(2));
        let (level, kind, data, rest) =
            split_record(&control.bytes[..control.len]).expect("one record");
        assert_eq!((level, kind), (libc::IPPROTO_UDP, UDP_SEGMENT));
        assert_eq!(data, 1200_u16.to_ne_bytes());
        assert_eq!(rest, [0; 0]);
    }

    #[test]
    fn everything_that_can_be_told_fits_and_is_read() {
        let mut control = Control::EMPTY;
        let mut info = [0; PKTINFO];
        info[..4].copy_from_slice(&7_u32.to_ne_bytes());
        info[8..].copy_from_slice(&[127, 0, 0, 9]);
        control.put(libc::IPPROTO_IP, libc::IP_PKTINFO, &info);
        control.put(libc::IPPROTO_IP, libc::IP_TOS, &[3]);
        control.put(libc::IPPROTO_UDP, UDP_GRO, &1400_i32.to_ne_bytes());
        let told = control.told();
        assert_eq!(told.local, Some(IpAddr::from([127, 0, 0, 9])));
        assert_eq!((told.interface, told.tos), (Some(7), Some(3)));
        assert_eq!(told.segment, Some(1400));

        let mut info = [0; PKTINFO_V6];
        info[..16].copy_from_slice(&Ipv4Addr::LOCALHOST.to_ipv6_mapped().octets());
        info[16..].copy_from_slice(&1_u32.to_ne_bytes());
        control.put(libc::IPPROTO_IPV6, libc::IPV6_PKTINFO, &info);
        control.put(libc::IPPROTO_IPV6, libc::IPV6_TCLASS, &2_i32.to_ne_bytes());
        let told = control.told();
        assert_eq!(told.local, Some(Ipv4Addr::LOCALHOST.into()), "as IPv4");
        assert_eq!((told.interface, told.tos), (Some(1), Some(2)));
    }

    #[test]
    fn short_and_unknown_records_tell_nothing() {
        let nothing = Told::default();
        for control in [
            record(libc::IPPROTO_IP, libc::IP_TOS, &[]),
            record(libc::IPPROTO_IP, libc::IP_TTL, &[1; 3]),
            record(
                libc::IPPROTO_IPV6,
                libc::IPV6_HOPLIMIT,
                &256_i32.to_ne_bytes(),
            ),
            record(libc::IPPROTO_IP, libc::IP_PKTINFO, &[1; 11]),
            record(libc::IPPROTO_IPV6, libc::IPV6_PKTINFO, &[1; 19]),
            record(libc::IPPROTO_IPV6, libc::IPV6_PKTINFO, &[1; 15]),
            record(libc::IPPROTO_IPV6, libc::IPV6_TCLASS, &[1; 3]),
            record(libc::IPPROTO_UDP, UDP_GRO, &[0; 4]),
            record(libc::IPPROTO_UDP, UDP_GRO, &(-1_i32).to_ne_bytes()),
            record(12345, 6, &[1; 40]),
        ] {
            assert_eq!(control.told(), nothing);
        }
    }

    #[test]
    fn lengths_that_lie_end_the_reading() {
        let good = record(libc::IPPROTO_IP, libc::IP_TOS, &[3]);
        for len in [0, 1, HEADER - 1, good.len + 1, ROOM, usize::MAX] {
            let mut bytes = good.bytes[..good.len].to_vec();
            bytes[..WORD].copy_from_slice(&len.to_ne_bytes());
            assert_eq!(control(&bytes).told(), Told::default(), "length {len}");
        }
        for cut in 0..good.len {
            let told = control(&good.bytes[..cut]).told();
            let whole = cut > HEADER;
            assert_eq!(told.tos, whole.then_some(3), "cut at {cut}");
        }
        let mut wrong = good;
        wrong.len = usize::MAX;
        assert_eq!(wrong.told().tos, Some(3));
    }
}
