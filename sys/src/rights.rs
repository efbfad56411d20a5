//! Messages of Unix sockets: data with descriptors and credentials.
#![allow(unsafe_code, reason = "takes descriptors out of control data")]

use std::io::{self, IoSlice, IoSliceMut};
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

use libc::c_int;

use crate::control::{Control, space, split_record};
use crate::errno;
use crate::message::{RecvMsg, recv_msg, send_msg};
use crate::sockaddr::SockAddr;

/// The most descriptors that one message carries (`SCM_MAX_FD`).
pub const FDS_MAX: usize = 253;

const INT: usize = size_of::<c_int>();
const CREDENTIALS: usize = 3 * INT;
/// All descriptors, credentials, a security label and the handle of a process.
const ROOM: usize = space(FDS_MAX * INT) + space(CREDENTIALS) + space(256) + space(INT);

/// Who is, or was, at the other end of a Unix socket.
///
/// Reference: [`unix(7)`](https://man7.org/linux/man-pages/man7/unix.7.html), `SO_PEERCRED`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Credentials {
    /// The process, 0 if it is in a namespace that cannot be seen from here.
    pub pid: u32,
    /// Its user.
    pub uid: u32,
    /// Its group.
    pub gid: u32,
}

impl Credentials {
    /// Reads `struct ucred`.
    pub(crate) fn parse(bytes: &[u8]) -> Option<Self> {
        let field = |at: usize| Some(u32::from_ne_bytes(*bytes.get(at..)?.first_chunk()?));
        Some(Self {
            pid: field(0)?,
            uid: field(INT)?,
            gid: field(2 * INT)?,
        })
    }

    fn bytes(self) -> [u8; CREDENTIALS] {
        let mut bytes = [0; CREDENTIALS];
        bytes[..INT].copy_from_slice(&self.pid.to_ne_bytes());
        bytes[INT..2 * INT].copy_from_slice(&self.uid.to_ne_bytes());
        bytes[2 * INT..].copy_from_slice(&self.gid.to_ne_bytes());
        bytes
    }
}

/// What [`recv`] received.
///
/// ```
/// use gannet_sys::rights;
/// use gannet_sys::socket::{Kind, socketpair};
/// use std::os::fd::AsFd;
///
/// let (left, right) = socketpair(Kind::Datagram)?;
/// rights::send(left.as_fd(), b"take it", &[left.as_fd()], None, None)?;
///
/// let mut buf = [0; 16];
/// let received = rights::recv(right.as_fd(), &mut buf)?;
/// assert_eq!((received.len, received.fds.len()), (7, 1));
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Debug)]
pub struct Received {
    /// How many bytes of data came.
    pub len: usize,
    /// The sender; unnamed where none is told.
    pub addr: SockAddr,
    /// The descriptors that came, close-on-exec. None if any was lost.
    pub fds: Vec<OwnedFd>,
    /// The sender's credentials, if asked for.
    pub credentials: Option<Credentials>,
    /// Whether the datagram was longer than the buffer, and its rest is lost.
    pub truncated: bool,
    /// Whether descriptors were lost, as when this process has as many as it may. Those that came
    /// were closed.
    pub fds_lost: bool,
}

/// Receives one message, or bytes of a stream up to the next message's control data.
///
/// # Errors
/// Those of [`recv`](crate::socket::recv).
///
/// Reference: [`recvmsg(2)`](https://man7.org/linux/man-pages/man2/recv.2.html).
pub fn recv(fd: BorrowedFd<'_>, buf: &mut [u8]) -> io::Result<Received> {
    let mut control = Control::<ROOM>::EMPTY;
    let mut bufs = [IoSliceMut::new(buf)];
    let got = recv_msg(fd, &mut bufs, &mut control.bytes);
    let (fds, credentials) = match &got {
        Ok(msg) => take(&control.bytes[..msg.control_len.min(ROOM)]),
        // Nothing was received, but for an address that could not be read, which Unix sockets do not
        // have.
        Err(_) => (Vec::new(), None),
    };
    let RecvMsg {
        len,
        addr,
        truncated,
        control_truncated: fds_lost,
        ..
    } = got?;
    Ok(Received {
        len,
        addr,
        fds: if fds_lost { Vec::new() } else { fds },
        credentials,
        truncated,
        fds_lost,
    })
}

/// Takes descriptors and credentials out of control data that the kernel has just written.
fn take(mut rest: &[u8]) -> (Vec<OwnedFd>, Option<Credentials>) {
    let (mut fds, mut credentials) = (Vec::new(), None);
    while let Some((level, kind, data, after)) = split_record(rest) {
        match (level, kind) {
            (libc::SOL_SOCKET, libc::SCM_RIGHTS) => {
                for raw in data.chunks_exact(INT).filter_map(<[u8]>::first_chunk) {
                    let raw = c_int::from_ne_bytes(*raw);
                    // SAFETY: the kernel has just made this descriptor for this process and named it
                    // only here; it is read out once, so nobody else owns it.
                    fds.push(unsafe { OwnedFd::from_raw_fd(raw) });
                }
            }
            (libc::SOL_SOCKET, libc::SCM_CREDENTIALS) => credentials = Credentials::parse(data),
            _ => {}
        }
        rest = after;
    }
    (fds, credentials)
}

/// Sends `data` with descriptors, which stay open here, and credentials, to `addr` or to the peer.
/// Returns how much data was taken. A stream takes descriptors only with at least one byte.
///
/// # Errors
/// Those of [`send_msg`]; `EINVAL` for more than [`FDS_MAX`] descriptors; `ETOOMANYREFS` if too many
/// are under way; `EPERM` for credentials that are not those of this process, without the privilege.
///
/// Reference: [`unix(7)`](https://man7.org/linux/man-pages/man7/unix.7.html).
pub fn send(
    fd: BorrowedFd<'_>,
    data: &[u8],
    fds: &[BorrowedFd<'_>],
    credentials: Option<Credentials>,
    addr: Option<&SockAddr>,
) -> io::Result<usize> {
    if fds.len() > FDS_MAX {
        return Err(io::Error::from_raw_os_error(errno::EINVAL));
    }
    let mut control = Control::<ROOM>::EMPTY;
    if !fds.is_empty() {
        let mut raw = [0; FDS_MAX * INT];
        for (fd, place) in fds.iter().zip(raw.chunks_exact_mut(INT)) {
            place.copy_from_slice(&fd.as_raw_fd().to_ne_bytes());
        }
        let raw = &raw[..fds.len() * INT];
        control.put(libc::SOL_SOCKET, libc::SCM_RIGHTS, raw);
    }
    if let Some(credentials) = credentials {
        let bytes = credentials.bytes();
        control.put(libc::SOL_SOCKET, libc::SCM_CREDENTIALS, &bytes);
    }
    let bufs = [IoSlice::new(data)];
    send_msg(fd, &bufs, &control.bytes[..control.len], addr)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fd::is_cloexec;
    use crate::option;
    use crate::socket::{Kind, recv as recv_data, send as send_data, socketpair};
    use std::os::fd::AsFd;

    fn own() -> Credentials {
        // SAFETY: the call has no arguments.
        let uid = unsafe { libc::getuid() };
        // SAFETY: the call has no arguments.
        let gid = unsafe { libc::getgid() };
        Credentials {
            pid: std::process::id(),
            uid,
            gid,
        }
    }

    #[test]
    fn descriptors_come_as_new_ones_that_close_on_exec() {
        for kind in [Kind::Stream, Kind::Datagram, Kind::SeqPacket] {
            let (left, right) = socketpair(kind).expect("descriptors are free");
            let (gone, kept) = socketpair(Kind::Stream).expect("descriptors are free");
            let fds = [gone.as_fd(), left.as_fd()];
            send(left.as_fd(), b"two", &fds, None, None).expect("sent");
            drop(gone);
            let got = recv(right.as_fd(), &mut [0; 8]).expect("received");
            assert_eq!((got.len, got.fds.len(), got.fds_lost), (3, 2, false));
            for fd in &got.fds {
                assert!(is_cloexec(fd.as_fd()).expect("open"));
            }
            send_data(kept.as_fd(), b"x").expect("the other end lives");
            let len = recv_data(got.fds[0].as_fd(), &mut [0; 8]).expect("received");
            assert_eq!(len, 1);
        }
    }

    #[test]
    fn most_descriptors_go_and_one_more_is_refused() {
        let (left, right) = socketpair(Kind::Datagram).expect("descriptors are free");
        let fds = [left.as_fd(); FDS_MAX + 1];
        let err = send(left.as_fd(), b"x", &fds, None, None).expect_err("too many");
        assert_eq!(err.raw_os_error(), Some(errno::EINVAL));
        send(left.as_fd(), b"x", &fds[1..], Some(own()), None).expect("sent");
        option::set_pass_credentials(right.as_fd(), true).expect("exists");
        let got = recv(right.as_fd(), &mut [0; 8]).expect("received");
        assert_eq!((got.fds.len(), got.fds_lost), (FDS_MAX, false));
        assert_eq!(got.credentials, Some(own()));
    }

    #[test]
    fn credentials_are_told_if_asked_for() {
        let (left, right) = socketpair(Kind::SeqPacket).expect("descriptors are free");
        let fd = right.as_fd();
        assert_eq!(option::peer_credentials(fd).expect("connected"), own());
        assert!(!option::pass_credentials(fd).expect("exists"));
        send(left.as_fd(), b"x", &[], None, None).expect("sent");
        assert_eq!(recv(fd, &mut [0]).expect("received").credentials, None);
        option::set_pass_credentials(fd, true).expect("exists");
        assert!(option::pass_credentials(fd).expect("exists"));
        send(left.as_fd(), b"x", &[], None, None).expect("sent");
        let got = recv(fd, &mut [0]).expect("received");
        assert_eq!(got.credentials, Some(own()));
        let wrong = Credentials {
            pid: 1 << 30,
            ..own()
        };
        let err = send(left.as_fd(), b"x", &[], Some(wrong), None).expect_err("no process");
        assert!(matches!(
            err.raw_os_error(),
            Some(errno::EPERM | errno::ESRCH)
        ));
    }
}
