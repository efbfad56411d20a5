//! Names and numbers of network interfaces: the zones of IPv6 link-local addresses.
#![allow(unsafe_code, reason = "C strings cross the edge as pointers")]

use std::ffi::{CStr, CString, c_char};
use std::io;

/// Returns the number of the interface called `name`, which an IPv6 scope id carries.
///
/// The C library opens and closes a socket for it, so this belongs on no hot path.
///
/// # Errors
/// `ENODEV` if there is none of this name, kind `InvalidInput` if the name holds a NUL byte,
/// `EMFILE`, `ENFILE` when descriptors ran out.
///
/// ```
/// let index = gannet_sys::interface::index("lo")?;
/// assert_eq!(gannet_sys::interface::name(index)?, "lo");
/// # Ok::<(), std::io::Error>(())
/// ```
///
/// Reference: [`if_nametoindex(3)`](https://man7.org/linux/man-pages/man3/if_nametoindex.3.html).
pub fn index(name: &str) -> io::Result<u32> {
    let name = CString::new(name)?;
    // SAFETY: `name` is a NUL-terminated string that lives across the call and is only read.
    match unsafe { libc::if_nametoindex(name.as_ptr()) } {
        0 => Err(io::Error::last_os_error()),
        index => Ok(index),
    }
}

/// Returns the name of interface number `index`.
///
/// # Errors
/// `ENXIO` if there is none of this number, `EMFILE`, `ENFILE` when descriptors ran out.
///
/// Reference: [`if_indextoname(3)`](https://man7.org/linux/man-pages/man3/if_nametoindex.3.html).
pub fn name(index: u32) -> io::Result<String> {
    let mut buf = [0u8; libc::IF_NAMESIZE];
    // SAFETY: `buf` is writable and has the `IF_NAMESIZE` bytes that the function may write.
    let found = unsafe { libc::if_indextoname(index, buf.as_mut_ptr().cast::<c_char>()) };
    if found.is_null() {
        return Err(io::Error::last_os_error());
    }
    let name = CStr::from_bytes_until_nul(&buf)
        .map_err(|_| io::Error::new(io::ErrorKind::InvalidData, "interface name without end"))?;
    Ok(name.to_string_lossy().into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loopback_has_a_number_and_a_name() {
        let lo = index("lo").expect("every network namespace has lo");
        assert!(lo > 0);
        assert_eq!(name(lo).expect("the number was just given"), "lo");
    }

    #[test]
    fn unknown_interfaces_are_errors() {
        let err = index("gannet-none").expect_err("no such interface");
        assert_eq!(err.raw_os_error(), Some(libc::ENODEV));
        let err = index("l\0o").expect_err("a NUL is in no name");
        assert_eq!(err.kind(), io::ErrorKind::InvalidInput);
        let err = name(u32::MAX).expect_err("no such number");
        assert_eq!(err.raw_os_error(), Some(libc::ENXIO));
        assert_eq!(
            name(0).expect_err("zero is no interface").raw_os_error(),
            Some(libc::ENXIO)
        );
    }
}
