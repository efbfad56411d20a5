//! Diffs as mosh writes them: what a user did, and what a screen shows.
//!
//! A diff is a message whose field 1 comes once per event. The events are read one after the
//! other, because a list of all of them, as the schema would have it, takes up to fifty times the
//! octets on the wire.

use prost::Message;

use super::error::PeerError;

/// The most events in one diff. Without a limit, 4 MiB of them would fill 32.
const EVENTS_MAX: usize = 1 << 16;

/// The tag of field 1 with a length: what precedes each event.
const EVENT_TAG: u64 = 1 << 3 | 2;

/// Something that a user did, in a diff from client to server.
///
/// ```
/// use gannet_roam::proto::UserEvent;
///
/// let diff = UserEvent::encode(&[UserEvent::Resize { width: 80, height: 24 }]);
/// assert_eq!(diff, b"\x0a\x06\x1a\x04\x28\x50\x30\x18");
/// let events = UserEvent::decode(&diff)?;
/// assert_eq!(events, [UserEvent::Resize { width: 80, height: 24 }]);
/// # Ok::<(), gannet_roam::proto::PeerError>(())
/// ```
///
/// Reference: `mosh-wire.md` §9.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum UserEvent {
    /// Octets typed.
    Keys(Vec<u8>),
    /// The window's size from here on.
    Resize {
        /// In columns.
        width: i32,
        /// In rows.
        height: i32,
    },
}

/// Something that a screen shows, in a diff from server to client.
///
/// ```
/// use gannet_roam::proto::HostEvent;
///
/// let shown = [HostEvent::EchoAck(7), HostEvent::Bytes(b"$ ".to_vec())];
/// assert_eq!(HostEvent::decode(&HostEvent::encode(&shown))?, shown);
/// # Ok::<(), gannet_roam::proto::PeerError>(())
/// ```
///
/// Reference: `mosh-wire.md` §9.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum HostEvent {
    /// Octets for a terminal.
    Bytes(Vec<u8>),
    /// The screen's size from here on.
    Resize {
        /// In columns.
        width: i32,
        /// In rows.
        height: i32,
    },
    /// The newest state of the user whose input shows on the screen.
    EchoAck(u64),
}

impl UserEvent {
    /// Reads a diff of a user's states. Unknown events are skipped.
    ///
    /// # Errors
    /// [`PeerError::Diff`] for what is no such message, [`PeerError::TooMany`] above 65,536
    /// events.
    pub fn decode(diff: &[u8]) -> Result<Vec<Self>, PeerError> {
        let mut events = Vec::new();
        for octets in Events(diff) {
            let wire = UserWire::decode(octets?).map_err(|_| PeerError::Diff)?;
            let keys = wire
                .keystroke
                .map(|k| Self::Keys(k.keys.unwrap_or_default()));
            let resize = wire.resize.map(|r| Self::Resize {
                width: r.width.unwrap_or_default(),
                height: r.height.unwrap_or_default(),
            });
            keep(&mut events, keys.into_iter().chain(resize))?;
        }
        Ok(events)
    }

    /// Returns the diff that consists of `events`.
    #[must_use]
    pub fn encode(events: &[Self]) -> Vec<u8> {
        let mut diff = Vec::new();
        for event in events {
            let wire = match event {
                Self::Keys(keys) => UserWire {
                    keystroke: Some(KeystrokeWire {
                        keys: Some(keys.clone()),
                    }),
                    resize: None,
                },
                &Self::Resize { width, height } => UserWire {
                    keystroke: None,
                    resize: Some(ResizeWire::new(width, height)),
                },
            };
            append(&mut diff, &wire);
        }
        diff
    }
}

impl HostEvent {
    /// Reads a diff of a screen's states. Unknown events are skipped.
    ///
    /// # Errors
    /// [`PeerError::Diff`] for what is no such message, [`PeerError::TooMany`] above 65,536
    /// events.
    pub fn decode(diff: &[u8]) -> Result<Vec<Self>, PeerError> {
        let mut events = Vec::new();
        for octets in Events(diff) {
            let wire = HostWire::decode(octets?).map_err(|_| PeerError::Diff)?;
            let bytes = wire
                .bytes
                .map(|b| Self::Bytes(b.hoststring.unwrap_or_default()));
            let resize = wire.resize.map(|r| Self::Resize {
                width: r.width.unwrap_or_default(),
                height: r.height.unwrap_or_default(),
            });
            let echo = wire
                .echo_ack
                .map(|e| Self::EchoAck(e.echo_ack_num.unwrap_or_default()));
            keep(&mut events, bytes.into_iter().chain(resize).chain(echo))?;
        }
        Ok(events)
    }

    /// Returns the diff that consists of `events`.
    #[must_use]
    pub fn encode(events: &[Self]) -> Vec<u8> {
        let mut diff = Vec::new();
        for event in events {
            let mut wire = HostWire::default();
            match event {
                Self::Bytes(bytes) => {
                    let hoststring = Some(bytes.clone());
                    wire.bytes = Some(BytesWire { hoststring });
                }
                &Self::Resize { width, height } => {
                    wire.resize = Some(ResizeWire::new(width, height));
                }
                &Self::EchoAck(number) => {
                    let echo_ack_num = Some(number);
                    wire.echo_ack = Some(EchoAckWire { echo_ack_num });
                }
            }
            append(&mut diff, &wire);
        }
        diff
    }
}

fn keep<T>(events: &mut Vec<T>, new: impl Iterator<Item = T>) -> Result<(), PeerError> {
    events.extend(new);
    match events.len() > EVENTS_MAX {
        true => Err(PeerError::TooMany),
        false => Ok(()),
    }
}

fn append(diff: &mut Vec<u8>, event: &impl Message) {
    diff.push(EVENT_TAG as u8);
    event
        .encode_length_delimited(diff)
        .expect("a vector has room for whatever is encoded into it");
}

/// The octets of each event of a diff. Ends after the first error.
struct Events<'a>(&'a [u8]);

impl<'a> Events<'a> {
    /// Takes the next field; `None` in it if it is no event.
    fn field(&mut self) -> Result<Option<&'a [u8]>, PeerError> {
        let key = self.varint()?;
        // Field numbers have 29 bits and start at 1.
        if key >> 3 == 0 || key >> 32 != 0 {
            return Err(PeerError::Diff);
        }
        match key & 7 {
            0 => self.varint().map(|_| None),
            1 => self.take(8).map(|_| None),
            2 => {
                let len = usize::try_from(self.varint()?).map_err(|_| PeerError::Diff)?;
                let octets = self.take(len)?;
                Ok((key == EVENT_TAG).then_some(octets))
            }
            5 => self.take(4).map(|_| None),
            _ => Err(PeerError::Diff),
        }
    }

    fn take(&mut self, len: usize) -> Result<&'a [u8], PeerError> {
        let (octets, rest) = self.0.split_at_checked(len).ok_or(PeerError::Diff)?;
        self.0 = rest;
        Ok(octets)
    }

    fn varint(&mut self) -> Result<u64, PeerError> {
        let mut value = 0;
        for shift in (0..64).step_by(7) {
            let [octet] = *self.take(1)? else {
                return Err(PeerError::Diff);
            };
            let bits = u64::from(octet & 0x7F);
            if bits << shift >> shift != bits {
                return Err(PeerError::Diff);
            }
            value |= bits << shift;
            if octet & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(PeerError::Diff)
    }
}

impl<'a> Iterator for Events<'a> {
    type Item = Result<&'a [u8], PeerError>;

    fn next(&mut self) -> Option<Self::Item> {
        while !self.0.is_empty() {
            match self.field() {
                Ok(None) => {}
                Ok(Some(octets)) => return Some(Ok(octets)),
                Err(error) => {
                    self.0 = &[];
                    return Some(Err(error));
                }
            }
        }
        None
    }
}

#[derive(Message)]
struct UserWire {
    #[prost(message, optional, tag = "2")]
    keystroke: Option<KeystrokeWire>,
    #[prost(message, optional, tag = "3")]
    resize: Option<ResizeWire>,
}

#[derive(Message)]
struct HostWire {
    #[prost(message, optional, tag = "2")]
    bytes: Option<BytesWire>,
    #[prost(message, optional, tag = "3")]
    resize: Option<ResizeWire>,
    #[prost(message, optional, tag = "7")]
    echo_ack: Option<EchoAckWire>,
}

#[derive(Message)]
struct KeystrokeWire {
    #[prost(bytes = "vec", optional, tag = "4")]
    keys: Option<Vec<u8>>,
}

#[derive(Message)]
struct BytesWire {
    #[prost(bytes = "vec", optional, tag = "4")]
    hoststring: Option<Vec<u8>>,
}

#[derive(Message)]
struct ResizeWire {
    #[prost(int32, optional, tag = "5")]
    width: Option<i32>,
    #[prost(int32, optional, tag = "6")]
    height: Option<i32>,
}

impl ResizeWire {
    fn new(width: i32, height: i32) -> Self {
        Self {
            width: Some(width),
            height: Some(height),
        }
    }
}

#[derive(Message)]
struct EchoAckWire {
    #[prost(uint64, optional, tag = "8")]
    echo_ack_num: Option<u64>,
}

#[cfg(test)]
mod tests;
