//! Which socket of several on one address gets what comes.
#![allow(unsafe_code, reason = "system calls")]

use std::io;
use std::mem::size_of;
use std::os::fd::{AsRawFd, BorrowedFd};

use crate::{cvt, errno};

/// Gives what comes to the sockets that share an address (`SO_REUSEPORT`) by the processor that
/// received it: number modulo `sockets`, in the order in which they were bound, or for streams began
/// to listen.
///
/// `fd` is any of them, and the rule is for all. If there are fewer sockets, a hash of the addresses
/// chooses, as it does without this. When one is closed, the last takes its place in the order.
///
/// # Errors
/// `EINVAL` if the socket does not share its address, or for no sockets at all; `ENOPROTOOPT` before
/// Linux 4.5.
///
/// ```
/// use gannet_sys::option::set_reuse_port;
/// use gannet_sys::reuseport;
/// use gannet_sys::sockaddr::SockAddr;
/// use gannet_sys::socket::{self, Domain, Kind};
/// use std::os::fd::AsFd;
///
/// let socket = socket::socket(Domain::Inet, Kind::Datagram)?;
/// set_reuse_port(socket.as_fd(), true)?;
/// let any = std::net::SocketAddr::from(([127, 0, 0, 1], 0));
/// socket::bind(socket.as_fd(), &SockAddr::from(any))?;
/// reuseport::steer_by_cpu(socket.as_fd(), 1)?;
/// # Ok::<(), std::io::Error>(())
/// ```
///
/// Reference: [`socket(7)`](https://man7.org/linux/man-pages/man7/socket.7.html),
/// `SO_ATTACH_REUSEPORT_CBPF`.
pub fn steer_by_cpu(fd: BorrowedFd<'_>, sockets: u32) -> io::Result<()> {
    if sockets == 0 {
        return Err(io::Error::from_raw_os_error(errno::EINVAL));
    }
    let step = |code: u32, k: u32| libc::sock_filter {
        code: code as u16,
        jt: 0,
        jf: 0,
        k,
    };
    // Load the processor's number, take the remainder, return it.
    let mut program = [
        step(
            libc::BPF_LD | libc::BPF_W | libc::BPF_ABS,
            (libc::SKF_AD_OFF + libc::SKF_AD_CPU) as u32,
        ),
        step(libc::BPF_ALU | libc::BPF_MOD | libc::BPF_K, sockets),
        step(libc::BPF_RET | libc::BPF_A, 0),
    ];
    let program = libc::sock_fprog {
        len: program.len() as u16,
        filter: program.as_mut_ptr(),
    };
    // SAFETY: `program` is as long as the length given, and the steps it points to are as many as it
    // says; both are initialised and live across the call, and the kernel only reads them.
    let ret = unsafe {
        libc::setsockopt(
            fd.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_ATTACH_REUSEPORT_CBPF,
            (&raw const program).cast(),
            size_of::<libc::sock_fprog>() as libc::socklen_t,
        )
    };
    cvt(ret).map(drop)
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsFd;

    use super::*;
    use crate::socket::{Domain, Kind, socket};

    #[test]
    fn steering_needs_sockets_that_share() {
        let alone = socket(Domain::Inet, Kind::Stream).expect("a socket");
        for sockets in [0, 2] {
            let err = steer_by_cpu(alone.as_fd(), sockets).expect_err("it is alone");
            assert_eq!(err.raw_os_error(), Some(errno::EINVAL));
        }
    }
}
