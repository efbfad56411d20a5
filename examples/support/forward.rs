//! Moving bytes from one connection to another, or back to where they came from, at the cost of one
//! `recv(2)` and one `send(2)` and without a buffer of its own for each connection.

use std::io;

use gannet::net::{Conn, error};

/// What one attempt did.
pub(crate) enum Moved {
    /// Nothing was there to be read.
    Nothing,
    /// All that was read was sent. If `more`, there may be more to read at once.
    All {
        /// The buffer was filled.
        more: bool,
    },
    /// The receiver's buffer is full: this much was read and has still to be sent.
    Rest(Vec<u8>),
    /// The stream has ended.
    End,
}

/// Reads what is there from `from`, and sends it to `to`, without waiting for either.
///
/// The buffer lives on the stack of the thread that is here, so ten thousand connections that wait
/// need none. Only bytes that `to` does not take at once are kept, on the heap.
///
/// # Errors
/// Those of [`Conn::try_read`] and [`Conn::try_write`], except that nothing blocks.
pub(crate) fn forward(from: &Conn, to: &Conn) -> io::Result<Moved> {
    let mut buf = [0; BUFFER_LEN];
    let data = match from.try_read(&mut buf) {
        Ok(0) => return Ok(Moved::End),
        Ok(len) => &buf[..len],
        Err(err) if err.kind() == io::ErrorKind::WouldBlock => return Ok(Moved::Nothing),
        Err(err) => return Err(err),
    };
    let sent = match to.try_write(data) {
        Ok(sent) => sent,
        Err(err) if err.kind() == io::ErrorKind::WouldBlock => 0,
        // Memory is short: a write that waits pauses, and tries again.
        Err(err) if error::raw_os_error(&err) == Some(ENOBUFS) => 0,
        Err(err) => return Err(err),
    };
    if sent < data.len() {
        return Ok(Moved::Rest(data[sent..].to_vec()));
    }
    Ok(Moved::All {
        more: sent == BUFFER_LEN,
    })
}

/// `ENOBUFS` of Linux, on all processors that Rust's standard library supports but MIPS.
const ENOBUFS: i32 = 105;

/// Large enough for the system calls not to matter, small enough to clear at each attempt.
const BUFFER_LEN: usize = 16 * 1024;
