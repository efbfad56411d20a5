//! Sending without a copy: the kernel sends from the caller's own memory, and tells when it is done.
//!
//! Each send that takes something gets the next number of its socket, from 0 on; a notification names a
//! range of them. Notifications may come out of order, and the kernel joins neighbours.

use std::io;
use std::os::fd::BorrowedFd;

use crate::datagram::{Origin, Report, recv_report};
use crate::socket;

/// `SO_EE_ORIGIN_ZEROCOPY` of `<linux/errqueue.h>`.
const ZEROCOPY: u8 = 5;
/// `SO_EE_CODE_ZEROCOPY_COPIED` of the same.
const COPIED: u8 = 1;

/// Sends from `buf` and returns how much was taken, without a copy if
/// [`set_zero_copy`](crate::option::set_zero_copy) has allowed that. Otherwise it is a send as any
/// other, without a number.
///
/// The kernel holds the pages of `buf` and sends from them, perhaps again and again, until
/// [`released`] tells that it is done. It never writes to them and never looks at what else becomes of
/// the memory: a caller that changes it or gives it back earlier sends *what is there then* to the
/// peer, whatever that is.
///
/// # Errors
/// `ENOBUFS` if too many sends are under way (`/proc/sys/net/core/optmem_max`), or the process may not
/// lock so much memory; `EFAULT` for memory that cannot be held; `EOPNOTSUPP`, `EINVAL` where
/// something between does not do it; those of [`send`](crate::socket::send).
///
/// ```
/// use gannet_sys::sockaddr::SockAddr;
/// use gannet_sys::socket::{self, Domain, Kind};
/// use gannet_sys::{option, zero_copy};
/// use std::io;
/// use std::os::fd::AsFd;
///
/// let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
/// let client = std::net::TcpStream::connect(listener.local_addr()?)?;
/// let (server, _) = listener.accept()?;
/// option::set_zero_copy(client.as_fd(), true)?;
///
/// let bytes = vec![7; 4096];
/// assert_eq!(zero_copy::send(client.as_fd(), &bytes)?, 4096);
/// socket::recv(server.as_fd(), &mut [0; 4096])?;
/// let released = loop {
///     match zero_copy::released(client.as_fd()) {
///         Err(err) if err.kind() == io::ErrorKind::WouldBlock => std::thread::yield_now(),
///         released => break released?,
///     }
/// };
/// assert_eq!((released.first, released.last), (0, 0));
/// assert!(released.copied, "as always between sockets of one machine");
/// drop(bytes);
/// # Ok::<(), std::io::Error>(())
/// ```
///
/// Reference: [`MSG_ZEROCOPY`](https://docs.kernel.org/networking/msg_zerocopy.html).
pub fn send(fd: BorrowedFd<'_>, buf: &[u8]) -> io::Result<usize> {
    socket::flagged_send(fd, buf, libc::MSG_ZEROCOPY)
}

/// Sends whose memory the kernel has done with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Released {
    /// The number of the first.
    pub first: u32,
    /// The number of the last, which is below `first` where the numbers wrap.
    pub last: u32,
    /// Whether the kernel copied the bytes after all. Of several ranges that it has joined it tells
    /// only what holds for the first.
    pub copied: bool,
}

/// Takes the notification that has waited longest (`MSG_ERRQUEUE`); drops what else is in that queue.
///
/// It is about memory, not about the peer: sends that a reset threw away are released as well.
///
/// # Errors
/// `EAGAIN` if there is none.
///
/// Reference: [`MSG_ZEROCOPY`](https://docs.kernel.org/networking/msg_zerocopy.html).
pub fn released(fd: BorrowedFd<'_>) -> io::Result<Released> {
    loop {
        if let Some(released) = released_by(&recv_report(fd, &mut [])?) {
            return Ok(released);
        }
    }
}

fn released_by(report: &Report) -> Option<Released> {
    let is_ours = report.origin == Origin::Other(ZEROCOPY) && report.errno == 0;
    is_ours.then_some(Released {
        first: report.info,
        last: report.data,
        copied: report.code & COPIED != 0,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{errno, option};
    use std::collections::BTreeSet;
    use std::io::{Read, Write};
    use std::net::{TcpListener, TcpStream};
    use std::os::fd::AsFd;

    fn pair(addr: &str) -> (TcpStream, TcpStream) {
        let listener = TcpListener::bind(addr).expect("a port is free");
        let addr = listener.local_addr().expect("bound");
        let client = TcpStream::connect(addr).expect("it listens");
        (client, listener.accept().expect("it has connected").0)
    }

    /// Waits for the next notification: the kernel gives it with the last reference to the bytes.
    fn next(fd: BorrowedFd<'_>) -> Released {
        loop {
            match released(fd) {
                Err(err) if err.kind() == io::ErrorKind::WouldBlock => std::thread::yield_now(),
                released => return released.expect("a notification"),
            }
        }
    }

    #[test]
    fn sends_are_numbered_and_released() {
        for addr in ["127.0.0.1:0", "[::1]:0", "[::ffff:127.0.0.1]:0"] {
            let (client, mut server) = pair(addr);
            let fd = client.as_fd();
            option::set_zero_copy(fd, true).expect("TCP has it");
            let none = released(fd).expect_err("nothing was sent");
            assert_eq!(none.raw_os_error(), Some(errno::EAGAIN));
            let bytes = [7; 3 << 12];
            let mut wanted = 0;
            for _ in 0..5 {
                let sent = send(fd, &bytes).expect("room");
                server.read_exact(&mut vec![0; sent]).expect("bytes");
                while wanted == 0 {
                    let got = next(fd);
                    assert_eq!((got.first, got.copied), (0, true));
                    wanted = got.last + 1;
                }
            }
            while wanted < 5 {
                let got = next(fd);
                assert_eq!((got.first, got.copied), (wanted, true));
                wanted = got.last + 1;
            }
        }
    }

    #[test]
    fn sends_without_the_option_have_no_number() {
        let (client, mut server) = pair("127.0.0.1:0");
        let fd = client.as_fd();
        assert_eq!(send(fd, b"plain").expect("room"), 5);
        server.read_exact(&mut [0; 5]).expect("bytes");
        option::set_zero_copy(fd, true).expect("TCP has it");
        assert_eq!(send(fd, b"first").expect("room"), 5);
        assert_eq!(next(fd).first, 0);
    }

    /// What a peer does not take stays in the sender's own memory, and is released by a disconnect.
    #[test]
    fn sends_thrown_away_are_released_uncopied() {
        let (client, server) = pair("127.0.0.1:0");
        let fd = client.as_fd();
        option::set_zero_copy(fd, true).expect("TCP has it");
        // The peer's kernel has no room for more than this.
        let room = option::recv_buffer_size(server.as_fd()).expect("a socket");
        let before = vec![7; 2 * room];
        (&client).write_all(&before).expect("room here");
        let mut pending: BTreeSet<_> = (0..5).collect();
        for _ in &pending {
            assert_eq!(send(fd, &before[..4096]).expect("room here"), 4096);
            socket::send(fd, &before[..1 << 16]).expect("room here");
        }
        let none = released(fd).expect_err("nothing of it has left");
        assert_eq!(none.raw_os_error(), Some(errno::EAGAIN));
        socket::disconnect(fd).expect("a connection");
        while !pending.is_empty() {
            let got = next(fd);
            assert!(!got.copied, "{got:?}");
            for number in got.first..=got.last {
                assert!(pending.remove(&number), "{number} is released once");
            }
        }
    }

    #[test]
    fn other_reports_are_no_releases() {
        let good = Report {
            len: 0,
            to: None,
            errno: 0,
            origin: Origin::Other(ZEROCOPY),
            kind: 0,
            code: COPIED,
            info: u32::MAX,
            data: 1,
            offender: None,
        };
        let released = Released {
            first: u32::MAX,
            last: 1,
            copied: true,
        };
        assert_eq!(released_by(&good), Some(released));
        for report in [
            Report {
                origin: Origin::Local,
                ..good
            },
            Report {
                errno: errno::ECONNREFUSED,
                ..good
            },
        ] {
            assert_eq!(released_by(&report), None);
        }
    }
}
