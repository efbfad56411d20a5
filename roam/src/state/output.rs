//! What a screen was told to show, from server to client.

use super::log::Log;
use crate::proto::{HostEvent, PeerError, State};

/// All output so far: a server without a terminal emulator of its own (mosh-wire §9).
///
/// A difference is the octets after those that the client has. So nothing is skipped: what a screen
/// would show for a moment only is sent, too. A client that comes back after a long time gets all of
/// it; `examples/roam_shell` shows how to keep the screen instead.
///
/// ```
/// use gannet_roam::Output;
/// use gannet_roam::proto::State;
///
/// let mut server = Output::new();
/// server.print(b"hello\r\n");
/// let mut client = Output::new();
/// client.apply(&server.diff_from(&client))?;
/// assert_eq!(client.since(0), b"hello\r\n");
/// # Ok::<_, gannet_roam::proto::PeerError>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Output {
    octets: Log,
    window: Option<(i32, i32)>,
    echo_ack: u64,
}

impl Output {
    /// Returns output of nothing, with which every session begins.
    pub fn new() -> Self {
        Self::default()
    }

    /// Appends octets for the client's terminal. They must not ask it anything (as `ESC [ c` does): a
    /// mosh client ends then.
    pub fn print(&mut self, octets: &[u8]) {
        self.octets.append(octets);
    }

    /// Sets the screen's size, in columns and rows, as the client asked for it.
    pub fn resize(&mut self, width: i32, height: i32) {
        self.window = Some((width, height));
    }

    /// The screen's size, if it was ever set.
    pub fn window(&self) -> Option<(i32, i32)> {
        self.window
    }

    /// Says that the input of the client's state `number` shows in the output, or would. Never goes
    /// back.
    pub fn set_echo_ack(&mut self, number: u64) {
        self.echo_ack = self.echo_ack.max(number);
    }

    /// The newest state of the client whose input shows.
    pub fn echo_ack(&self) -> u64 {
        self.echo_ack
    }

    /// The position after the newest octet.
    pub fn end(&self) -> u64 {
        self.octets.end()
    }

    /// Bytes that are kept, because the peer may not have them yet.
    ///
    /// Stop printing for a while when these are too many, a mebibyte say: a session whose difference
    /// passes four cannot go on ([`Event::Failed`](crate::Event::Failed)).
    pub fn kept(&self) -> usize {
        self.octets.len()
    }

    /// The octets from `position` on, as far as they are kept.
    pub fn since(&self, position: u64) -> Vec<u8> {
        self.octets.since(position)
    }
}

impl State for Output {
    fn diff_from(&self, base: &Self) -> Vec<u8> {
        let mut events = Vec::new();
        if self.echo_ack != base.echo_ack {
            events.push(HostEvent::EchoAck(self.echo_ack));
        }
        if let Some((width, height)) = self.window
            && self.window != base.window
        {
            events.push(HostEvent::Resize { width, height });
        }
        let octets = self.octets.since(base.octets.end());
        if !octets.is_empty() {
            events.push(HostEvent::Bytes(octets));
        }
        HostEvent::encode(&events)
    }

    fn apply(&mut self, diff: &[u8]) -> Result<(), PeerError> {
        for event in HostEvent::decode(diff)? {
            match event {
                HostEvent::Bytes(octets) => self.print(&octets),
                HostEvent::Resize { width, height } => self.resize(width, height),
                HostEvent::EchoAck(number) => self.set_echo_ack(number),
            }
        }
        Ok(())
    }

    /// No output: mosh's client confirms it, and shows nothing.
    fn probe() -> Vec<u8> {
        HostEvent::encode(&[HostEvent::Bytes(Vec::new())])
    }

    fn forget(&mut self, known: &Self) {
        self.octets.forget(known.octets.end());
    }

    fn size(&self) -> usize {
        size_of::<Self>() + self.octets.size()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn difference_carries_what_changed_in_mosh_s_order() {
        let base = Output::new();
        let mut output = base.clone();
        output.print(b"a");
        output.resize(80, 24);
        output.set_echo_ack(3);
        let events = HostEvent::decode(&output.diff_from(&base)).expect("events");
        let expected = [
            HostEvent::EchoAck(3),
            HostEvent::Resize {
                width: 80,
                height: 24,
            },
            HostEvent::Bytes(b"a".to_vec()),
        ];
        assert_eq!(events, expected);
        assert!(output.diff_from(&output).is_empty());
        assert_eq!(output.kept(), 1);
    }

    #[test]
    fn echo_ack_never_goes_back() {
        let mut output = Output::new();
        output.set_echo_ack(5);
        output.set_echo_ack(3);
        assert_eq!(output.echo_ack(), 5);
    }

    #[test]
    fn probe_changes_nothing() {
        let mut output = Output::new();
        output.apply(&Output::probe()).expect("a probe");
        assert_eq!(output, Output::new());
        assert!(!Output::probe().is_empty());
    }
}
