//! Lines of bounded length out of whatever a peer sends, and without what could harm a terminal.

use std::io;

use gannet::net::Conn;

/// The longest line in bytes, without its end.
pub(crate) const LINE_LEN_MAX: usize = 512;

/// How much is read at once.
const READ_LEN: usize = 4096;

/// One line of a peer.
#[derive(Debug, PartialEq)]
pub(crate) enum Line {
    /// Its text, fit for any terminal.
    Text(String),
    /// It was longer than [`LINE_LEN_MAX`], and is not kept.
    TooLong,
}

/// What has arrived and is no line yet. Holds no memory while its peer has nothing to say.
#[derive(Default)]
pub(crate) struct Lines {
    received: Vec<u8>,
    /// The beginning of this line was dropped already.
    is_too_long: bool,
    has_ended: bool,
}

impl Lines {
    /// Takes what has arrived, without waiting; at most 4 KiB more than it had.
    ///
    /// # Errors
    /// Those of [`Conn::try_read`]; `WouldBlock` is none.
    pub(crate) fn fill(&mut self, conn: &Conn) -> io::Result<()> {
        // On the stack, so that nobody who waits has a buffer.
        let mut buf = [0; READ_LEN];
        match conn.try_read(&mut buf) {
            Ok(0) => self.has_ended = true,
            Ok(len) => self.received.extend_from_slice(&buf[..len]),
            Err(err) if err.kind() == io::ErrorKind::WouldBlock => {}
            Err(err) => return Err(err),
        }
        Ok(())
    }

    /// Whether the peer will send no more.
    pub(crate) fn has_ended(&self) -> bool {
        self.has_ended
    }

    /// Takes the next line out. The last one need not have an end.
    pub(crate) fn next(&mut self) -> Option<Line> {
        let Some(len) = self.received.iter().position(|&byte| byte == b'\n') else {
            return self.without_end();
        };
        let line = self.finish(len);
        self.received.drain(..=len);
        if self.received.is_empty() {
            self.received = Vec::new();
        }
        Some(line)
    }

    fn without_end(&mut self) -> Option<Line> {
        let len = self.received.len();
        // One more, for a carriage return that is no part of the line.
        let is_too_long = self.is_too_long || len > LINE_LEN_MAX + 1;
        if self.has_ended && (len > 0 || self.is_too_long) {
            let line = self.finish(len);
            self.received = Vec::new();
            return Some(line);
        }
        if is_too_long {
            self.is_too_long = true;
            self.received = Vec::new();
        }
        None
    }

    fn finish(&mut self, len: usize) -> Line {
        let line = &self.received[..len];
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        if std::mem::take(&mut self.is_too_long) || line.len() > LINE_LEN_MAX {
            return Line::TooLong;
        }
        Line::Text(String::from_utf8_lossy(line).chars().map(tame).collect())
    }
}

/// Replaces what a terminal would obey rather than show, and what turns the text around it.
fn tame(c: char) -> char {
    match c {
        '\t' => ' ',
        // Controls, among them escape and those of eight bits.
        _ if c.is_control() => char::REPLACEMENT_CHARACTER,
        // Ends of lines and paragraphs; marks, embeddings, overrides and isolates of direction.
        '\u{2028}' | '\u{2029}' => char::REPLACEMENT_CHARACTER,
        '\u{061C}' | '\u{200E}' | '\u{200F}' => char::REPLACEMENT_CHARACTER,
        '\u{202A}'..='\u{202E}' | '\u{2066}'..='\u{2069}' => char::REPLACEMENT_CHARACTER,
        _ => c,
    }
}
