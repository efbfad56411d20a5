//! Keys from the system's random source.

use std::io;

use zeroize::Zeroize;

use crate::proto::Key;
use crate::proto::constants::KEY_LEN;

/// Makes a key.
///
/// # Errors
/// Those of [`getrandom(2)`](https://man7.org/linux/man-pages/man2/getrandom.2.html), which has none
/// once the system is up.
///
/// ```
/// let key = gannet_roam::generate_key()?;
/// assert_eq!(key.to_text().len(), 22);
/// # Ok::<_, std::io::Error>(())
/// ```
///
/// Reference: [`getrandom(2)`](https://man7.org/linux/man-pages/man2/getrandom.2.html).
pub fn generate_key() -> io::Result<Key> {
    let mut octets = [0; KEY_LEN];
    gannet_sys::random::fill(&mut octets)?;
    let key = Key::from_bytes(octets);
    octets.zeroize();
    Ok(key)
}
