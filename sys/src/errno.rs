//! The errno values that callers branch on, and their texts.
//!
//! They are constants and not an enum, because the kernel may return any number, and because they
//! are compared with [`std::io::Error::raw_os_error`].
//!
//! ```
//! use gannet_sys::errno;
//! use std::io;
//!
//! let err = io::Error::from_raw_os_error(errno::ECONNREFUSED);
//! assert_eq!(err.raw_os_error(), Some(errno::ECONNREFUSED));
//! assert_eq!(errno::text(errno::ECONNREFUSED), "connection refused");
//! ```
//!
//! Reference: [`errno(3)`](https://man7.org/linux/man-pages/man3/errno.3.html).
#![allow(unsafe_code, reason = "strerror_r(3) takes a pointer and a length")]

use std::ffi::CStr;

/// Permission denied, for example a port below 1024.
pub const EACCES: i32 = libc::EACCES;
/// The address is taken by another socket.
pub const EADDRINUSE: i32 = libc::EADDRINUSE;
/// The address belongs to no interface here, or no ephemeral port is free.
pub const EADDRNOTAVAIL: i32 = libc::EADDRNOTAVAIL;
/// The address family is not supported, or does not fit the socket.
pub const EAFNOSUPPORT: i32 = libc::EAFNOSUPPORT;
/// The call would have to wait.
pub const EAGAIN: i32 = libc::EAGAIN;
/// A connect is already under way.
pub const EALREADY: i32 = libc::EALREADY;
/// The descriptor is not open, or not open for this.
pub const EBADF: i32 = libc::EBADF;
/// The connection was gone before it could be accepted.
pub const ECONNABORTED: i32 = libc::ECONNABORTED;
/// Nobody listens at the address.
pub const ECONNREFUSED: i32 = libc::ECONNREFUSED;
/// The peer reset the connection.
pub const ECONNRESET: i32 = libc::ECONNRESET;
/// The socket has no peer and the call named none.
pub const EDESTADDRREQ: i32 = libc::EDESTADDRREQ;
/// It exists already, for example a descriptor on an epoll list.
pub const EEXIST: i32 = libc::EEXIST;
/// The memory cannot be read, or not be held.
pub const EFAULT: i32 = libc::EFAULT;
/// No route to the host.
pub const EHOSTUNREACH: i32 = libc::EHOSTUNREACH;
/// The connect goes on in the background; writability tells its end.
pub const EINPROGRESS: i32 = libc::EINPROGRESS;
/// A signal came before anything was done.
pub const EINTR: i32 = libc::EINTR;
/// An argument makes no sense to the kernel.
pub const EINVAL: i32 = libc::EINVAL;
/// Input or output failed below.
pub const EIO: i32 = libc::EIO;
/// The socket is connected already.
pub const EISCONN: i32 = libc::EISCONN;
/// This process has as many descriptors as it may.
pub const EMFILE: i32 = libc::EMFILE;
/// The datagram is longer than the path or the socket takes.
pub const EMSGSIZE: i32 = libc::EMSGSIZE;
/// The network interface is down.
pub const ENETDOWN: i32 = libc::ENETDOWN;
/// No route to the network.
pub const ENETUNREACH: i32 = libc::ENETUNREACH;
/// The whole system has as many open files as it may.
pub const ENFILE: i32 = libc::ENFILE;
/// The kernel has no buffer space left.
pub const ENOBUFS: i32 = libc::ENOBUFS;
/// There is no such device, for example a network interface.
pub const ENODEV: i32 = libc::ENODEV;
/// No such file, or not on an epoll list.
pub const ENOENT: i32 = libc::ENOENT;
/// The kernel has no memory left.
pub const ENOMEM: i32 = libc::ENOMEM;
/// The socket does not know the option.
pub const ENOPROTOOPT: i32 = libc::ENOPROTOOPT;
/// A quota is used up, for example of epoll watches.
pub const ENOSPC: i32 = libc::ENOSPC;
/// The kernel lacks the system call, or a filter hides it.
pub const ENOSYS: i32 = libc::ENOSYS;
/// The socket is not connected.
pub const ENOTCONN: i32 = libc::ENOTCONN;
/// The descriptor is no socket.
pub const ENOTSOCK: i32 = libc::ENOTSOCK;
/// The operation does not exist for this kind of socket.
pub const EOPNOTSUPP: i32 = libc::EOPNOTSUPP;
/// Not permitted: a privilege is missing, a filter refused it, or epoll cannot watch the file.
pub const EPERM: i32 = libc::EPERM;
/// Nobody will ever read what is written.
pub const EPIPE: i32 = libc::EPIPE;
/// The protocol failed.
pub const EPROTO: i32 = libc::EPROTO;
/// The protocol is not supported.
pub const EPROTONOSUPPORT: i32 = libc::EPROTONOSUPPORT;
/// No such process.
pub const ESRCH: i32 = libc::ESRCH;
/// The connection or the connect timed out.
pub const ETIMEDOUT: i32 = libc::ETIMEDOUT;

/// Returns the message of an errno as Go prints it: `connection refused`, without a number.
///
/// It is the C library's text with its first letter in lower case, unless the second letter is a
/// capital too (`RFS specific error`). A number that the C library does not know, and zero, give
/// `errno N`.
///
/// Reference: [`strerror_r(3)`](https://man7.org/linux/man-pages/man3/strerror.3.html).
pub fn text(errno: i32) -> String {
    let mut buf = [0u8; 128];
    // SAFETY: `buf` is writable for the length passed and outlives the call; the C library
    // writes at most that many bytes, a terminating NUL included.
    let rc = unsafe { libc::strerror_r(errno, buf.as_mut_ptr().cast(), buf.len()) };
    match CStr::from_bytes_until_nul(&buf) {
        Ok(message) if rc == 0 && errno > 0 => lower_first(&message.to_string_lossy()),
        _ => format!("errno {errno}"),
    }
}

/// Lowers the first letter of a sentence, but not of an abbreviation.
fn lower_first(message: &str) -> String {
    let mut chars = message.chars();
    match (chars.next(), chars.clone().next()) {
        (Some(_), Some(second)) if second.is_ascii_uppercase() => message.to_owned(),
        (Some(first), _) => format!("{}{}", first.to_ascii_lowercase(), chars.as_str()),
        (None, _) => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_what_go_prints() {
        let table = [
            (EACCES, "permission denied"),
            (EADDRINUSE, "address already in use"),
            (EADDRNOTAVAIL, "cannot assign requested address"),
            (EAFNOSUPPORT, "address family not supported by protocol"),
            (EAGAIN, "resource temporarily unavailable"),
            (ECONNREFUSED, "connection refused"),
            (ECONNRESET, "connection reset by peer"),
            (EHOSTUNREACH, "no route to host"),
            (EINVAL, "invalid argument"),
            (EMFILE, "too many open files"),
            (EMSGSIZE, "message too long"),
            (ENETUNREACH, "network is unreachable"),
            (ENOENT, "no such file or directory"),
            (ENOTCONN, "transport endpoint is not connected"),
            (EPERM, "operation not permitted"),
            (EPIPE, "broken pipe"),
            (ETIMEDOUT, "connection timed out"),
        ];
        for (errno, expected) in table {
            assert_eq!(text(errno), expected, "errno {errno}");
        }
    }

    #[test]
    fn text_unknown_number_is_named() {
        assert_eq!(text(9999), "errno 9999");
        assert_eq!(text(0), "errno 0");
        assert_eq!(text(-1), "errno -1");
    }

    #[test]
    fn lower_first_keeps_abbreviations() {
        assert_eq!(lower_first("RFS specific error"), "RFS specific error");
        assert_eq!(lower_first("Broken pipe"), "broken pipe");
        assert_eq!(lower_first(".lib section"), ".lib section");
        assert_eq!(lower_first(""), "");
    }

    #[test]
    fn values_are_the_kernels() {
        // The numbers of the generic table; a wrong pairing of name and value shows here.
        let generic = [
            (EPERM, 1),
            (ENOENT, 2),
            (EINTR, 4),
            (EBADF, 9),
            (EAGAIN, 11),
        ];
        for (errno, number) in generic {
            assert_eq!(errno, number);
        }
    }
}
