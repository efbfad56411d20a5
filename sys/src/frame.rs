//! Packets of a link, with all that the kernel tells of them.

use std::io::{self, IoSliceMut};
use std::os::fd::BorrowedFd;

use crate::control::{Control, space, split_record};
use crate::message::flagged_recv_msg;
use crate::sockaddr::{LinkAddr, SockAddr};

/// A packet that [`recv`] received.
///
/// ```
/// use gannet_sys::frame;
/// use gannet_sys::socket::{Kind, socketpair};
/// use std::os::fd::AsFd;
///
/// // What is no packet socket has no link's addresses.
/// let (left, right) = socketpair(Kind::Datagram)?;
/// gannet_sys::socket::send(left.as_fd(), b"datagram")?;
/// let got = frame::recv(right.as_fd(), &mut [0; 4])?;
/// assert_eq!((got.len, got.truncated, got.from), (4, true, None));
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Received {
    /// How many bytes of it are in the buffer.
    pub len: usize,
    /// Its sender, protocol and interface; `None` if the socket is none of packets.
    pub from: Option<LinkAddr>,
    /// Whether it was longer than the buffer, and its rest is lost.
    pub truncated: bool,
    /// How long it was, in bytes, after [`set_auxdata`](crate::option::set_auxdata).
    pub whole: Option<usize>,
    /// The tag of its virtual network, which the kernel takes off, after
    /// [`set_auxdata`](crate::option::set_auxdata).
    pub vlan: Option<u16>,
}

/// Receives one packet.
///
/// # Errors
/// Those of [`recv_msg`](crate::message::recv_msg); `ENETDOWN`, once, if the interface has gone down or away.
///
/// Reference: [`packet(7)`](https://man7.org/linux/man-pages/man7/packet.7.html).
pub fn recv(fd: BorrowedFd<'_>, buf: &mut [u8]) -> io::Result<Received> {
    let mut control: Control<{ space(AUXDATA) }> = Control::EMPTY;
    let msg = flagged_recv_msg(fd, &mut [IoSliceMut::new(buf)], &mut control.bytes, 0)?;
    let records = control.bytes.get(..msg.control_len).unwrap_or_default();
    let told = auxdata(records);
    Ok(Received {
        len: msg.len,
        from: match msg.addr {
            SockAddr::Link(from) => Some(from),
            SockAddr::Inet(_) | SockAddr::Unix(_) => None,
        },
        truncated: msg.truncated,
        whole: told.map(|told| told.whole),
        vlan: told.and_then(|told| told.vlan),
    })
}

/// The length of `struct tpacket_auxdata`: three words, and four of half the width.
const AUXDATA: usize = 20;
/// Its flag for "there was a tag".
const VLAN_VALID: u32 = 1 << 4;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Auxdata {
    whole: usize,
    vlan: Option<u16>,
}

/// Finds the record of a packet socket, and reads it.
fn auxdata(mut records: &[u8]) -> Option<Auxdata> {
    while let Some((level, kind, data, rest)) = split_record(records) {
        if (level, kind) == (libc::SOL_PACKET, libc::PACKET_AUXDATA) {
            let word = |at: usize| Some(u32::from_ne_bytes(*data.get(at..)?.first_chunk()?));
            let tag = u16::from_ne_bytes(*data.get(16..)?.first_chunk()?);
            let is_tagged = word(0)? & VLAN_VALID != 0;
            return Some(Auxdata {
                whole: usize::try_from(word(4)?).ok()?,
                vlan: is_tagged.then_some(tag),
            });
        }
        records = rest;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(status: u32, whole: u32, tag: u16, len: usize) -> Control<64> {
        let mut data = [0; AUXDATA];
        data[..4].copy_from_slice(&status.to_ne_bytes());
        data[4..8].copy_from_slice(&whole.to_ne_bytes());
        data[16..18].copy_from_slice(&tag.to_ne_bytes());
        let mut control = Control::EMPTY;
        control.put(libc::SOL_PACKET, libc::PACKET_AUXDATA, &data[..len]);
        control
    }

    #[test]
    fn auxdata_tells_length_and_tag() {
        for (status, vlan) in [(VLAN_VALID | 1, Some(5)), (1, None)] {
            let control = record(status, 1500, 5, AUXDATA);
            let told = auxdata(&control.bytes[..control.len]);
            assert_eq!(told, Some(Auxdata { whole: 1500, vlan }));
        }
        let mut control: Control<64> = Control::EMPTY;
        control.put(libc::SOL_SOCKET, libc::SCM_RIGHTS, &[0; 4]);
        assert_eq!(auxdata(&control.bytes[..control.len]), None);
        for len in 0..18 {
            let control = record(VLAN_VALID, 1500, 5, len);
            assert_eq!(auxdata(&control.bytes[..control.len]), None, "{len}");
        }
    }
}
