//! The session's key and the 22 characters in which it travels from server to client.

use std::error::Error;
use std::fmt;
use std::str::FromStr;

use base64::Engine;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use zeroize::{Zeroize, Zeroizing};

use super::constants::KEY_LEN;

/// Characters of a key's text.
const TEXT_LEN: usize = 22;

/// The key of one session, which both directions share. Wiped when it is dropped.
///
/// One key serves one session and one run of it: sequence numbers start at 0, and a second run
/// under the same key would use each nonce twice.
///
/// ```
/// use gannet_roam::proto::Key;
///
/// let key: Key = "GHe3rr+vIkWSshPEDJebSQ".parse()?;
/// assert_eq!(*key.to_text(), "GHe3rr+vIkWSshPEDJebSQ");
/// assert_eq!(format!("{key:?}"), "Key(..)");
/// # Ok::<(), gannet_roam::proto::KeyError>(())
/// ```
///
/// Reference: `mosh-wire.md` §3.1.
#[derive(Clone)]
pub struct Key([u8; KEY_LEN]);

impl Key {
    /// Makes a key of 16 octets from a random source fit for secrets.
    #[must_use]
    pub fn from_bytes(octets: [u8; KEY_LEN]) -> Self {
        Self(octets)
    }

    /// Returns the octets, for the cipher.
    pub(crate) fn as_bytes(&self) -> &[u8; KEY_LEN] {
        &self.0
    }

    /// Returns the 22 characters of the key, wiped when they are dropped.
    #[must_use]
    pub fn to_text(&self) -> Zeroizing<String> {
        let mut text = Zeroizing::new(String::with_capacity(TEXT_LEN));
        STANDARD_NO_PAD.encode_string(self.0, &mut text);
        text
    }
}

impl Drop for Key {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

/// Shows that it is a key, never which.
impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Key(..)")
    }
}

impl FromStr for Key {
    type Err = KeyError;

    /// Reads the 22 characters of a key.
    ///
    /// # Errors
    /// One kind per thing that can be wrong with the text.
    fn from_str(text: &str) -> Result<Self, KeyError> {
        if text.len() != TEXT_LEN {
            return Err(KeyError::Length);
        }
        // A last character with bits that belong to no octet is told apart from a foreign one.
        let is_foreign = |c: u8| !(c.is_ascii_alphanumeric() || c == b'+' || c == b'/');
        if text.bytes().any(is_foreign) {
            return Err(KeyError::Alphabet);
        }
        let mut key = Self([0; KEY_LEN]);
        match STANDARD_NO_PAD.decode_slice(text, &mut key.0) {
            Ok(KEY_LEN) => Ok(key),
            _ => Err(KeyError::NotCanonical),
        }
    }
}

/// Why a text is no key. The messages are those of mosh.
///
/// ```
/// use gannet_roam::{Key, KeyError};
///
/// assert_eq!("too short".parse::<Key>().err(), Some(KeyError::Length));
/// assert_eq!("GHe3rr+vIkWSshPEDJebS.".parse::<Key>().err(), Some(KeyError::Alphabet));
/// assert_eq!("GHe3rr+vIkWSshPEDJebSR".parse::<Key>().err(), Some(KeyError::NotCanonical));
/// ```
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum KeyError {
    /// Not 22 characters.
    Length,
    /// A character outside A-Z, a-z, 0-9, `+` and `/`.
    Alphabet,
    /// A last character that stands for more than the two bits left.
    NotCanonical,
}

impl fmt::Display for KeyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Length => "Key must be 22 letters long.",
            Self::Alphabet => "Key must be well-formed base64.",
            Self::NotCanonical => "Base64 key was not encoded 128-bit key.",
        })
    }
}

impl Error for KeyError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn key_text_round_trips() {
        for text in [
            "GHe3rr+vIkWSshPEDJebSQ",
            "4NeCCgvZFe2RnPgrcU1PQw",
            "AAAAAAAAAAAAAAAAAAAAAA",
            "/////////////////////w",
        ] {
            let key: Key = text.parse().expect("a key");
            assert_eq!(*key.to_text(), text);
        }
        let key: Key = "GHe3rr+vIkWSshPEDJebSQ".parse().expect("a key");
        assert_eq!(
            u128::from_be_bytes(*key.as_bytes()),
            0x1877_b7ae_bfaf_2245_92b2_13c4_0c97_9b49
        );
    }

    #[test]
    fn key_text_that_is_wrong_is_refused_by_kind() {
        for (text, error) in [
            ("", KeyError::Length),
            ("GHe3rr+vIkWSshPEDJebS", KeyError::Length),
            ("GHe3rr+vIkWSshPEDJebSQ=", KeyError::Length),
            ("GHe3rr+vIkWSshPEDJeb==", KeyError::Alphabet),
            ("GHe3rr-vIkWSshPEDJebSQ", KeyError::Alphabet),
            ("GHe3rr+vIkWSshPEDJebé", KeyError::Alphabet),
            ("GHe3rr+vIkWSshPEDJebSB", KeyError::NotCanonical),
            ("GHe3rr+vIkWSshPEDJebSR", KeyError::NotCanonical),
        ] {
            assert_eq!(text.parse::<Key>().err(), Some(error), "{text}");
        }
    }

    #[test]
    fn key_last_character_is_one_of_four() {
        let alphabet = (b'A'..=b'Z').chain(b'a'..=b'z').chain(b'0'..=b'9');
        let taken: String = alphabet
            .chain(*b"+/")
            .map(char::from)
            .filter(|last| {
                format!("GHe3rr+vIkWSshPEDJebS{last}")
                    .parse::<Key>()
                    .is_ok()
            })
            .collect();
        assert_eq!(taken, "AQgw");
    }
}
