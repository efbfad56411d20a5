//! What the user types: keys for the server, and the escape that is for this program.

/// Ctrl-^.
const DEFAULT_ESCAPE: u8 = 0x1e;

/// Finds the escape in what is typed.
///
/// After the escape key, `.` ends the session; the escape key again, or `^`, sends it once; any
/// other key is sent after it, as typed. An escape key that prints counts at the beginning of a
/// line only, so that it can be typed elsewhere.
#[derive(Debug)]
pub(crate) struct Keys {
    escape: Option<u8>,
    is_line_start: bool,
    /// The escape key came last, and was not sent.
    is_escaped: bool,
}

/// What a piece of typing was.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Typed {
    /// For the server.
    pub(crate) keys: Vec<u8>,
    /// The user wants to leave. What came after is dropped.
    pub(crate) quit: bool,
}

impl Keys {
    /// Takes the variable `MOSH_ESCAPE_KEY`: one ASCII character, or empty for no escape.
    ///
    /// # Errors
    /// What is wrong with it, for the user.
    pub(crate) fn new(escape: Option<&str>) -> Result<Self, String> {
        let escape = match escape.map(str::as_bytes) {
            None => Some(DEFAULT_ESCAPE),
            Some([]) => None,
            Some(&[key @ 1..=127]) => Some(key),
            Some(_) => return Err("MOSH_ESCAPE_KEY must be a single ASCII character.".to_owned()),
        };
        Ok(Keys {
            escape,
            is_line_start: true,
            is_escaped: false,
        })
    }

    /// Takes what was typed since the last call.
    pub(crate) fn typed(&mut self, typed: &[u8]) -> Typed {
        let mut keys = Vec::with_capacity(typed.len() + 1);
        for &key in typed {
            if std::mem::take(&mut self.is_escaped) {
                let escape = self.escape.unwrap_or(DEFAULT_ESCAPE);
                match key {
                    b'.' => return Typed { keys, quit: true },
                    b'^' => keys.push(escape),
                    _ if key == escape => keys.push(escape),
                    _ => keys.extend([escape, key]),
                }
            } else if Some(key) == self.escape && (self.is_line_start || key.is_ascii_control()) {
                self.is_escaped = true;
                continue;
            } else {
                keys.push(key);
            }
            self.is_line_start = matches!(key, b'\r' | b'\n');
        }
        Typed { keys, quit: false }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escape_is_found_wherever_typing_is_cut() {
        for (escape, typed, keys, quit) in [
            (None, "plain", "plain", false),
            (None, "\x1e.", "", true),
            (None, "a\x1e.b", "a", true),
            (None, "a\x1e^b", "a\x1eb", false),
            (None, "a\x1e\x1eb", "a\x1eb", false),
            (None, "a\x1e\x1e.b", "a\x1e.b", false),
            (None, "a\x1ebc", "a\x1ebc", false),
            (None, "\x1ea.", "\x1ea.", false),
            (None, ".", ".", false),
            (Some(""), "\x1e.", "\x1e.", false),
            (Some("\x01"), "\x1e.x\x01.", "\x1e.x", true),
            (Some("~"), "~.", "", true),
            (Some("~"), "ls ~.\r", "ls ~.\r", false),
            (Some("~"), "ls\r~.", "ls\r", true),
            (Some("~"), "~~.", "~.", false),
            (Some("~"), "~x~.", "~x~.", false),
            (Some("."), "..", "", true),
        ] {
            for cut in 0..=typed.len() {
                let mut all = Keys::new(escape).expect("an escape");
                let mut found = all.typed(&typed.as_bytes()[..cut]);
                if !found.quit {
                    let rest = all.typed(&typed.as_bytes()[cut..]);
                    found.keys.extend(rest.keys);
                    found.quit = rest.quit;
                }
                let wanted = Typed {
                    keys: keys.as_bytes().to_vec(),
                    quit,
                };
                assert_eq!(found, wanted, "{escape:?} {typed:?} cut at {cut}");
            }
        }
    }

    #[test]
    fn escape_key_is_one_ascii_character() {
        for wrong in ["ab", "é", "\x1e\x1e", "\u{80}", "\0"] {
            assert!(Keys::new(Some(wrong)).is_err(), "{wrong:?}");
        }
    }
}
