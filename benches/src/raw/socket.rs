//! IPv4 stream sockets with everything set at birth, which `std` cannot express: a source address,
//! a non-blocking connect, and an accept that costs one system call.

// `socket(2)`, `bind(2)`, `connect(2)` and `accept4(2)` with these flags have no safe form in
// `std`.
#![allow(unsafe_code)]

use std::io;
use std::mem;
use std::net::{SocketAddrV4, TcpListener, TcpStream};
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::ptr;
use std::time::Duration;

use super::cvt;

/// How long a blocking connect may take before it fails.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// Whether a call on a socket waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    /// Calls wait in the kernel.
    Blocking,
    /// Calls fail with `EAGAIN` or `EINPROGRESS` instead of waiting.
    NonBlocking,
}

/// Connects from `source` (port 0: any) to `target`. In non-blocking mode the stream may still be
/// connecting when this returns: it is writable once that is over.
pub(crate) fn connect(
    source: SocketAddrV4,
    target: SocketAddrV4,
    mode: Mode,
) -> io::Result<TcpStream> {
    let fd = stream_socket(mode)?;
    // The port is then chosen at connect, by the full four-tuple, and not used up by the bind.
    set_option(&fd, libc::IPPROTO_IP, libc::IP_BIND_ADDRESS_NO_PORT, 1)?;
    set_option(&fd, libc::IPPROTO_TCP, libc::TCP_NODELAY, 1)?;
    bind(&fd, source)?;
    if mode == Mode::NonBlocking {
        match connect_fd(&fd, target) {
            Err(err) if err.raw_os_error() == Some(libc::EINPROGRESS) => {}
            other => other?,
        }
        return Ok(TcpStream::from(fd));
    }
    // SO_SNDTIMEO bounds a blocking connect too, and std's setter needs only the descriptor.
    let stream = TcpStream::from(fd);
    stream.set_write_timeout(Some(CONNECT_TIMEOUT))?;
    connect_fd(&stream, target).map_err(|err| match err.raw_os_error() {
        // What the kernel says when the time is over.
        Some(libc::EINPROGRESS) => io::Error::new(
            io::ErrorKind::TimedOut,
            format!("connect took longer than {CONNECT_TIMEOUT:?}"),
        ),
        _ => err,
    })?;
    stream.set_write_timeout(None)?;
    Ok(stream)
}

/// Listens on `addr` with `TCP_NODELAY` set, which accepted sockets inherit.
pub(crate) fn listen(addr: SocketAddrV4, backlog: i32) -> io::Result<TcpListener> {
    let fd = stream_socket(Mode::NonBlocking)?;
    set_option(&fd, libc::SOL_SOCKET, libc::SO_REUSEADDR, 1)?;
    set_option(&fd, libc::IPPROTO_TCP, libc::TCP_NODELAY, 1)?;
    bind(&fd, addr)?;
    // SAFETY: `listen` takes no pointer; `fd` is open until the end of this function at least.
    cvt(unsafe { libc::listen(fd.as_raw_fd(), backlog) })?;
    Ok(TcpListener::from(fd))
}

/// Accepts one connection, non-blocking and closed on exec from birth.
pub(crate) fn accept(listener: BorrowedFd<'_>) -> io::Result<OwnedFd> {
    let flags = libc::SOCK_NONBLOCK | libc::SOCK_CLOEXEC;
    // SAFETY: both pointers may be null, which asks for no peer address; `listener` is borrowed,
    // so it stays open during the call.
    let raw = cvt(unsafe {
        libc::accept4(
            listener.as_raw_fd(),
            ptr::null_mut(),
            ptr::null_mut(),
            flags,
        )
    })?;
    // SAFETY: `raw` was just returned by the kernel, is ≥ 0, and no one else owns it.
    Ok(unsafe { OwnedFd::from_raw_fd(raw) })
}

/// Receives into `buf`; 0 is the end of the stream.
pub(crate) fn receive(fd: BorrowedFd<'_>, buf: &mut [u8]) -> io::Result<usize> {
    // SAFETY: `buf` is exclusively borrowed for the call and the kernel writes at most its length;
    // `fd` is borrowed, so it stays open during the call.
    let result = unsafe { libc::recv(fd.as_raw_fd(), buf.as_mut_ptr().cast(), buf.len(), 0) };
    usize::try_from(result).map_err(|_| io::Error::last_os_error())
}

/// Receives up to `len` bytes and throws them away inside the kernel; 0 is the end of the stream.
pub(crate) fn discard(fd: BorrowedFd<'_>, len: usize) -> io::Result<usize> {
    let (nowhere, flags) = (ptr::null_mut(), libc::MSG_TRUNC);
    // SAFETY: with `MSG_TRUNC` TCP writes to no buffer, so none need be there, see `tcp(7)`; `fd` is
    // borrowed, so it stays open during the call.
    let result = unsafe { libc::recv(fd.as_raw_fd(), nowhere, len, flags) };
    usize::try_from(result).map_err(|_| io::Error::last_os_error())
}

/// Sends from `buf` without SIGPIPE.
pub(crate) fn send(fd: BorrowedFd<'_>, buf: &[u8]) -> io::Result<usize> {
    let flags = libc::MSG_NOSIGNAL;
    // SAFETY: `buf` is borrowed for the call and the kernel only reads its `len` bytes; `fd` is
    // borrowed, so it stays open during the call.
    let result = unsafe { libc::send(fd.as_raw_fd(), buf.as_ptr().cast(), buf.len(), flags) };
    usize::try_from(result).map_err(|_| io::Error::last_os_error())
}

/// Tells whether `err` says that the process or the system has no descriptor left.
pub(crate) fn is_out_of_descriptors(err: &io::Error) -> bool {
    matches!(err.raw_os_error(), Some(libc::EMFILE | libc::ENFILE))
}

fn stream_socket(mode: Mode) -> io::Result<OwnedFd> {
    let wait = if mode == Mode::NonBlocking {
        libc::SOCK_NONBLOCK
    } else {
        0
    };
    let kind = libc::SOCK_STREAM | libc::SOCK_CLOEXEC | wait;
    // SAFETY: `socket` takes no pointer.
    let raw = cvt(unsafe { libc::socket(libc::AF_INET, kind, 0) })?;
    // SAFETY: `raw` was just returned by the kernel, is ≥ 0, and no one else owns it.
    Ok(unsafe { OwnedFd::from_raw_fd(raw) })
}

/// Sets an option that is an integer.
pub(super) fn set_option(
    fd: &impl AsRawFd,
    level: i32,
    name: i32,
    value: libc::c_int,
) -> io::Result<()> {
    let size = mem::size_of::<libc::c_int>() as libc::socklen_t;
    let value = ptr::from_ref(&value).cast();
    // SAFETY: `value` points to a `c_int` of this frame that lives across the call, `size` is its
    // size, and the kernel only reads it. `fd` owns its descriptor, which stays open meanwhile.
    cvt(unsafe { libc::setsockopt(fd.as_raw_fd(), level, name, value, size) })?;
    Ok(())
}

fn bind(fd: &impl AsRawFd, addr: SocketAddrV4) -> io::Result<()> {
    let addr = sockaddr(addr);
    let pointer = ptr::from_ref(&addr).cast();
    // SAFETY: `pointer` leads to an initialised `sockaddr_in` of this frame and the size is its
    // size; the kernel only reads it. `fd` owns its descriptor, which stays open meanwhile.
    cvt(unsafe { libc::bind(fd.as_raw_fd(), pointer, SOCKADDR_SIZE) })?;
    Ok(())
}

fn connect_fd(fd: &impl AsRawFd, addr: SocketAddrV4) -> io::Result<()> {
    let addr = sockaddr(addr);
    let pointer = ptr::from_ref(&addr).cast();
    // SAFETY: `pointer` leads to an initialised `sockaddr_in` of this frame and the size is its
    // size; the kernel only reads it. `fd` owns its descriptor, which stays open meanwhile.
    cvt(unsafe { libc::connect(fd.as_raw_fd(), pointer, SOCKADDR_SIZE) })?;
    Ok(())
}

const SOCKADDR_SIZE: libc::socklen_t = mem::size_of::<libc::sockaddr_in>() as libc::socklen_t;

fn sockaddr(addr: SocketAddrV4) -> libc::sockaddr_in {
    libc::sockaddr_in {
        sin_family: libc::AF_INET as libc::sa_family_t,
        sin_port: addr.port().to_be(),
        sin_addr: libc::in_addr {
            s_addr: u32::from(*addr.ip()).to_be(),
        },
        sin_zero: [0; 8],
    }
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, SocketAddr};
    use std::os::fd::AsFd as _;

    use super::*;

    #[test]
    fn connect_binds_the_source_and_both_ends_have_nodelay() {
        let listener = listen(SocketAddrV4::new(Ipv4Addr::LOCALHOST, 0), 8).unwrap();
        let SocketAddr::V4(target) = listener.local_addr().unwrap() else {
            panic!("IPv4 was asked")
        };
        let source = SocketAddrV4::new(Ipv4Addr::new(127, 0, 0, 3), 0);
        let client = connect(source, target, Mode::Blocking).unwrap();
        assert_eq!(
            client.local_addr().unwrap().ip(),
            Ipv4Addr::new(127, 0, 0, 3)
        );
        assert!(client.nodelay().unwrap());
        listener.set_nonblocking(false).unwrap();
        let server = TcpStream::from(accept(listener.as_fd()).unwrap());
        assert!(server.nodelay().unwrap(), "inherited from the listener");
        let err = receive(server.as_fd(), &mut [0; 8]).unwrap_err();
        assert_eq!(
            err.kind(),
            io::ErrorKind::WouldBlock,
            "non-blocking from birth"
        );
        assert_eq!(send(client.as_fd(), b"abc").unwrap(), 3);
        server.set_nonblocking(false).unwrap();
        let mut buf = [0; 8];
        assert_eq!(receive(server.as_fd(), &mut buf).unwrap(), 3);
        assert_eq!(&buf[..3], b"abc");
        assert_eq!(send(client.as_fd(), b"abcde").unwrap(), 5);
        assert_eq!(discard(server.as_fd(), 4).unwrap(), 4);
        assert_eq!(receive(server.as_fd(), &mut buf).unwrap(), 1);
        assert_eq!(buf[0], b'e');
    }
}
