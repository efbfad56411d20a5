//! Random bytes from the kernel.
#![allow(unsafe_code, reason = "system calls")]

use std::hash::{BuildHasher, RandomState};
use std::io;

use crate::cvt_len;

/// Fills `buf` with random bytes that are fit for keys.
///
/// It waits until the kernel's generator is seeded, which matters only early at boot, and takes as
/// many calls as `buf` needs. `EINTR` is retried here, unlike elsewhere in this crate: there is no
/// deadline to look at, and nobody wants half a key.
///
/// # Errors
/// `ENOSYS` where a filter hides the call: then there are no random bytes, and the caller must
/// refuse to make keys.
///
/// ```
/// let mut key = [0; 32];
/// gannet_sys::random::fill(&mut key)?;
/// assert_ne!(key, [0; 32]);
/// # Ok::<(), std::io::Error>(())
/// ```
///
/// Reference: [`getrandom(2)`](https://man7.org/linux/man-pages/man2/getrandom.2.html).
pub fn fill(buf: &mut [u8]) -> io::Result<()> {
    fill_from(buf, |rest| {
        // SAFETY: `rest` is borrowed mutably and writable for its length, and the kernel writes
        // at most that many bytes.
        cvt_len(unsafe { libc::getrandom(rest.as_mut_ptr().cast(), rest.len(), 0) })
    })
}

/// Fills `buf` from a source that may give a part, or be interrupted before it gives any.
fn fill_from(
    buf: &mut [u8],
    mut source: impl FnMut(&mut [u8]) -> io::Result<usize>,
) -> io::Result<()> {
    let mut rest = buf;
    while !rest.is_empty() {
        match source(rest) {
            // A signal cuts a request over 256 bytes short.
            Ok(len) => rest = &mut rest[len..],
            Err(err) if err.kind() == io::ErrorKind::Interrupted => {}
            Err(err) => return Err(err),
        }
    }
    Ok(())
}

/// Returns a random number to seed what needs no secrecy: victim selection, jitter, hash tables.
///
/// It cannot fail. Where the kernel gives no random bytes, the standard library's hash keys stand
/// in, which is why it must never become a key.
///
/// ```
/// assert_ne!(gannet_sys::random::seed(), gannet_sys::random::seed());
/// ```
///
/// Reference: [`getrandom(2)`](https://man7.org/linux/man-pages/man2/getrandom.2.html).
pub fn seed() -> u64 {
    let mut bytes = [0; 8];
    match fill(&mut bytes) {
        Ok(()) => u64::from_ne_bytes(bytes),
        Err(_) => RandomState::new().hash_one(bytes),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::errno;

    #[test]
    fn fill_covers_the_whole_buffer() {
        for len in [1, 256, 257, 1 << 20] {
            let mut buf = vec![0u8; len + 64];
            fill(&mut buf).expect("the kernel has random bytes");
            let tail = &buf[len..];
            assert!(
                tail.iter().any(|&byte| byte != 0),
                "the end of {len} bytes is untouched"
            );
        }
    }

    #[test]
    fn fill_from_short_and_interrupted_source_goes_on() {
        let mut buf = [0u8; 10];
        let mut calls = 0u8;
        let source = |rest: &mut [u8]| {
            calls += 1;
            if calls % 2 == 0 {
                return Err(io::Error::from_raw_os_error(errno::EINTR));
            }
            let len = rest.len().min(4);
            rest[..len].fill(calls);
            Ok(len)
        };
        fill_from(&mut buf, source).expect("interruption is no failure");
        assert_eq!(buf, [1, 1, 1, 1, 3, 3, 3, 3, 5, 5]);
    }

    #[test]
    fn fill_from_missing_source_is_an_error() {
        let err = fill_from(&mut [0; 4], |_| {
            Err(io::Error::from_raw_os_error(errno::ENOSYS))
        })
        .expect_err("no random bytes, no key");
        assert_eq!(err.raw_os_error(), Some(errno::ENOSYS));
    }

    #[test]
    fn fill_empty_buffer_is_success() {
        fill(&mut []).expect("nothing to fill");
    }

    #[test]
    fn seed_differs_from_call_to_call() {
        let seeds: std::collections::HashSet<u64> = (0..16).map(|_| seed()).collect();
        assert_eq!(seeds.len(), 16);
    }
}
