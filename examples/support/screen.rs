//! The screen that both ends of a roaming session hold: what the user sees, as a value.

use std::num::NonZeroU16;
use std::sync::Arc;

use gannet::roam::proto::HostEvent;
use gannet::roam::{PeerError, State};

use crate::emulator::Emulator;
use crate::paint;

/// A terminal's contents, cursor, modes and title at one moment. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Screen {
    pub(crate) cells: Arc<vt100::Screen>,
    pub(crate) marks: Marks,
    /// The newest state of the user whose input has had time to show up here.
    pub(crate) echo_ack: u64,
}

/// What a terminal shows beside its cells.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Marks {
    pub(crate) title: Arc<str>,
    pub(crate) icon_name: Arc<str>,
    /// How often the bell rang. Several rings between two states are one.
    pub(crate) bells: u64,
}

/// Rows and columns of a screen, within what a peer may ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Size {
    pub(crate) rows: NonZeroU16,
    pub(crate) columns: NonZeroU16,
}

impl Size {
    /// The largest screen: some times the largest terminal that anyone has, and a memory of 8 MiB.
    const CELLS_MAX: u32 = 1 << 18;

    /// Returns a size in cells, or `None` if it is empty or larger than a screen may be.
    pub(crate) fn new(rows: impl TryInto<u16>, columns: impl TryInto<u16>) -> Option<Self> {
        let rows = NonZeroU16::new(rows.try_into().ok()?)?;
        let columns = NonZeroU16::new(columns.try_into().ok()?)?;
        let cells = u32::from(rows.get()) * u32::from(columns.get());
        (cells <= Self::CELLS_MAX).then_some(Size { rows, columns })
    }
}

impl Default for Size {
    /// Returns 24 rows of 80 columns, what a terminal has until it is told its size.
    fn default() -> Self {
        Size {
            rows: vt100::Parser::DEFAULT_ROWS,
            columns: vt100::Parser::DEFAULT_COLS,
        }
    }
}

impl Screen {
    /// Returns an empty screen: the state that both ends begin with.
    pub(crate) fn blank(size: Size) -> Self {
        Emulator::new(size).screen(0)
    }

    /// The number of cells in both directions.
    pub(crate) fn cells_size(&self) -> Size {
        let (rows, columns) = self.cells.size();
        Size { rows, columns }
    }

    /// The contents as lines of text, without what the terminal does to show them.
    #[allow(dead_code, reason = "only a client prints a screen")]
    pub(crate) fn text(&self) -> String {
        self.cells.contents()
    }

    /// The octets for a terminal that turn `base` into this screen: empty if they look the same.
    ///
    /// They never ask the terminal for an answer: all of them come from what the cells hold, and
    /// from titles from which control characters were taken.
    pub(crate) fn terminal_bytes(&self, base: &Screen) -> String {
        let mut bytes = match Arc::ptr_eq(&self.cells, &base.cells) {
            true => String::new(),
            false => paint::difference(&self.cells, &base.cells),
        };
        let (now, before) = (&self.marks, &base.marks);
        if now.icon_name != before.icon_name {
            bytes += &format!("\x1b]1;{}\x07", now.icon_name);
        }
        if now.title != before.title {
            bytes += &format!("\x1b]2;{}\x07", now.title);
        }
        if now.bells != before.bells {
            bytes.push('\x07');
        }
        bytes
    }
}

/// Screens are equal if they look the same and acknowledge the same input.
impl PartialEq for Screen {
    fn eq(&self, other: &Self) -> bool {
        self.echo_ack == other.echo_ack
            && self.cells_size() == other.cells_size()
            && self.terminal_bytes(other).is_empty()
    }
}

/// Sizes in one difference.
const RESIZES_MAX: usize = 16;

impl State for Screen {
    fn diff_from(&self, base: &Self) -> Vec<u8> {
        let mut events = Vec::new();
        if self.echo_ack != base.echo_ack {
            events.push(HostEvent::EchoAck(self.echo_ack));
        }
        let size = self.cells_size();
        if size != base.cells_size() {
            events.push(HostEvent::Resize {
                width: size.columns.get().into(),
                height: size.rows.get().into(),
            });
        }
        let bytes = self.terminal_bytes(base);
        if !bytes.is_empty() {
            events.push(HostEvent::Bytes(bytes.into_bytes()));
        }
        HostEvent::encode(&events)
    }

    fn apply(&mut self, diff: &[u8]) -> Result<(), PeerError> {
        let mut echo_ack = self.echo_ack;
        let mut emulator = None;
        let events = HostEvent::decode(diff)?;
        // A server sends one at most; each costs a new screen.
        let is_size = |event: &&HostEvent| matches!(event, HostEvent::Resize { .. });
        if events.iter().filter(is_size).count() > RESIZES_MAX {
            return Err(PeerError::TooMany);
        }
        for event in events {
            match event {
                HostEvent::Bytes(bytes) if bytes.is_empty() => {}
                HostEvent::Bytes(bytes) => {
                    let emulator = emulator.get_or_insert_with(|| Emulator::showing(self));
                    emulator.write(&bytes);
                }
                HostEvent::Resize { width, height } => {
                    let size = Size::new(height, width).ok_or(PeerError::Diff)?;
                    let emulator = emulator.get_or_insert_with(|| Emulator::showing(self));
                    emulator.resize(size);
                }
                // What was acknowledged once stays so.
                HostEvent::EchoAck(state) if state < echo_ack => return Err(PeerError::Diff),
                HostEvent::EchoAck(state) => echo_ack = state,
            }
        }
        match emulator {
            Some(mut emulator) => *self = emulator.screen(echo_ack),
            None => self.echo_ack = echo_ack,
        }
        Ok(())
    }

    /// No octets: mosh's client confirms them, and shows nothing.
    fn probe() -> Vec<u8> {
        HostEvent::encode(&[HostEvent::Bytes(Vec::new())])
    }

    fn size(&self) -> usize {
        let size = self.cells_size();
        let cells = usize::from(size.rows.get()) * usize::from(size.columns.get());
        // The other of the two screens may have been used.
        2 * cells * size_of::<vt100::Cell>() + self.marks.title.len() + self.marks.icon_name.len()
    }
}

#[cfg(test)]
#[path = "screen/tests.rs"]
mod tests;
