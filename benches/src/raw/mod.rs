//! The kernel's edge of this package: epoll, pipes, sockets and process limits behind safe functions.
//!
//! The load generator and the raw floor stand on these alone, so that no runtime's cost hides in
//! either of them. All `unsafe` of the package is in this folder.

pub(crate) mod datagrams;
pub(crate) mod epoll;
pub(crate) mod pipe;
pub(crate) mod process;
pub(crate) mod socket;

use std::io;

/// Turns the `-1` of a system call into the error that `errno` holds.
fn cvt(result: libc::c_int) -> io::Result<libc::c_int> {
    if result == -1 {
        Err(io::Error::last_os_error())
    } else {
        Ok(result)
    }
}
