//! Halves of a connection: one to read, one to write.

use std::error::Error;
use std::fmt;
use std::io::{self, IoSlice, IoSliceMut};
use std::net::Shutdown;
use std::ops::Deref;
use std::sync::Arc;
use std::time::Instant;

use crate::addr::Addr;
use crate::conn::Conn;

/// The half of a connection that reads: borrowed by [`Conn::split`], owned by [`Conn::into_split`].
///
/// Its methods are those of [`Conn`]; see there for what they wait for, their cancel safety and
/// their errors.
///
/// ```
/// # gannet_runtime::Builder::new_current_thread().build()?.block_on(async {
/// use gannet_net::UnixStream;
///
/// let (left, right) = UnixStream::pair()?;
/// let (mut reading, mut writing) = left.into_split();
/// writing.write_all(b"x").await?;
/// right.write_all(b"y").await?;
/// let mut buf = [0];
/// reading.read_exact(&mut buf).await?;
/// assert_eq!(&buf, b"y");
/// let _whole: UnixStream = reading.reunite(writing)?.try_into()?;
/// # Ok::<_, std::io::Error>(()) })?;
/// # Ok::<_, std::io::Error>(())
/// ```
pub struct ReadHalf<C> {
    conn: C,
}

/// The half of a connection that writes: borrowed by [`Conn::split`], owned by
/// [`Conn::into_split`].
///
/// Its methods are those of [`Conn`]; see there for what they wait for, their cancel safety and
/// their errors. Dropping it does not end the stream: [`shutdown`](Self::shutdown) does.
///
/// ```
/// # gannet_runtime::Builder::new_current_thread().build()?.block_on(async {
/// use gannet_net::UnixStream;
///
/// let (left, right) = UnixStream::pair()?;
/// let (_reading, mut writing) = left.split();
/// writing.write_all(b"last words").await?;
/// writing.shutdown()?;
/// let mut buf = [0; 32];
/// assert_eq!(right.read(&mut buf).await?, 10);
/// assert_eq!(right.read(&mut buf).await?, 0);
/// # Ok::<_, std::io::Error>(()) })?;
/// # Ok::<_, std::io::Error>(())
/// ```
pub struct WriteHalf<C> {
    conn: C,
}

/// The half of a connection that reads and owns it together with the other half.
pub type OwnedReadHalf = ReadHalf<Arc<Conn>>;

/// The half of a connection that writes and owns it together with the other half.
pub type OwnedWriteHalf = WriteHalf<Arc<Conn>>;

impl<C: Deref<Target = Conn>> ReadHalf<C> {
    pub(crate) fn new(conn: C) -> Self {
        ReadHalf { conn }
    }

    /// Receives as [`Conn::read`] does.
    ///
    /// # Cancel safety
    /// As there.
    ///
    /// # Errors
    /// As there.
    pub async fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        self.conn.read(buf).await
    }

    /// Receives as [`Conn::read_exact`] does.
    ///
    /// # Cancel safety
    /// As there.
    ///
    /// # Errors
    /// As there.
    pub async fn read_exact(&mut self, buf: &mut [u8]) -> io::Result<()> {
        self.conn.read_exact(buf).await
    }

    /// Receives as [`Conn::read_vectored`] does.
    ///
    /// # Cancel safety
    /// As there.
    ///
    /// # Errors
    /// As there.
    pub async fn read_vectored(&mut self, bufs: &mut [IoSliceMut<'_>]) -> io::Result<usize> {
        self.conn.read_vectored(bufs).await
    }

    /// Looks at what comes next as [`Conn::peek`] does.
    ///
    /// # Cancel safety
    /// As there.
    ///
    /// # Errors
    /// As there.
    pub async fn peek(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        self.conn.peek(buf).await
    }

    /// Receives without waiting as [`Conn::try_read`] does.
    ///
    /// # Errors
    /// As there.
    pub fn try_read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        self.conn.try_read(buf)
    }

    /// Waits for data as [`Conn::readable`] does.
    ///
    /// # Cancel safety
    /// As there.
    ///
    /// # Errors
    /// As there.
    pub async fn readable(&self) -> io::Result<()> {
        self.conn.readable().await
    }

    /// Sets the deadline as [`Socket::set_read_deadline`](crate::Socket::set_read_deadline) does.
    ///
    /// # Errors
    /// As there.
    pub fn set_read_deadline(&self, deadline: Option<Instant>) -> io::Result<()> {
        self.conn.set_read_deadline(deadline)
    }

    /// Returns the local address.
    ///
    /// # Errors
    /// As [`Socket::local_addr`](crate::Socket::local_addr).
    pub fn local_addr(&self) -> io::Result<Addr> {
        self.conn.local_addr()
    }

    /// Returns the address of the peer.
    ///
    /// # Errors
    /// As [`Socket::peer_addr`](crate::Socket::peer_addr).
    pub fn peer_addr(&self) -> io::Result<Addr> {
        self.conn.peer_addr()
    }
}

impl OwnedReadHalf {
    /// Puts the halves of one connection together again.
    ///
    /// # Errors
    /// [`ReuniteError`] with both halves if they are of different connections.
    pub fn reunite(self, other: OwnedWriteHalf) -> Result<Conn, ReuniteError> {
        if !Arc::ptr_eq(&self.conn, &other.conn) {
            return Err(ReuniteError {
                read: self,
                write: other,
            });
        }
        drop(other);
        // Each half held one reference, and neither can be cloned.
        Ok(Arc::into_inner(self.conn).expect("the halves are the only owners"))
    }
}

impl<C: Deref<Target = Conn>> WriteHalf<C> {
    pub(crate) fn new(conn: C) -> Self {
        WriteHalf { conn }
    }

    /// Sends as [`Conn::write`] does.
    ///
    /// # Cancel safety
    /// As there.
    ///
    /// # Errors
    /// As there.
    pub async fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        self.conn.write(buf).await
    }

    /// Sends as [`Conn::write_all`] does.
    ///
    /// # Cancel safety
    /// As there.
    ///
    /// # Errors
    /// As there.
    pub async fn write_all(&mut self, buf: &[u8]) -> io::Result<()> {
        self.conn.write_all(buf).await
    }

    /// Sends as [`Conn::write_vectored`] does.
    ///
    /// # Cancel safety
    /// As there.
    ///
    /// # Errors
    /// As there.
    pub async fn write_vectored(&mut self, bufs: &[IoSlice<'_>]) -> io::Result<usize> {
        self.conn.write_vectored(bufs).await
    }

    /// Sends as [`Conn::write_all_vectored`] does.
    ///
    /// # Cancel safety
    /// As there.
    ///
    /// # Errors
    /// As there.
    pub async fn write_all_vectored(&mut self, bufs: &mut [IoSlice<'_>]) -> io::Result<()> {
        self.conn.write_all_vectored(bufs).await
    }

    /// Sends without waiting as [`Conn::try_write`] does.
    ///
    /// # Errors
    /// As there.
    pub fn try_write(&mut self, buf: &[u8]) -> io::Result<usize> {
        self.conn.try_write(buf)
    }

    /// Waits for room as [`Conn::writable`] does.
    ///
    /// # Cancel safety
    /// As there.
    ///
    /// # Errors
    /// As there.
    pub async fn writable(&self) -> io::Result<()> {
        self.conn.writable().await
    }

    /// Ends the sending direction: the peer sees the end of the stream after what was sent.
    ///
    /// # Errors
    /// As [`Conn::shutdown`].
    pub fn shutdown(&self) -> io::Result<()> {
        self.conn.shutdown(Shutdown::Write)
    }

    /// Sets the deadline as [`Socket::set_write_deadline`](crate::Socket::set_write_deadline) does.
    ///
    /// # Errors
    /// As there.
    pub fn set_write_deadline(&self, deadline: Option<Instant>) -> io::Result<()> {
        self.conn.set_write_deadline(deadline)
    }

    /// Returns the local address.
    ///
    /// # Errors
    /// As [`Socket::local_addr`](crate::Socket::local_addr).
    pub fn local_addr(&self) -> io::Result<Addr> {
        self.conn.local_addr()
    }

    /// Returns the address of the peer.
    ///
    /// # Errors
    /// As [`Socket::peer_addr`](crate::Socket::peer_addr).
    pub fn peer_addr(&self) -> io::Result<Addr> {
        self.conn.peer_addr()
    }
}

impl<C: Deref<Target = Conn>> fmt::Debug for ReadHalf<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.conn.debug("ReadHalf", f)
    }
}

impl<C: Deref<Target = Conn>> fmt::Debug for WriteHalf<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.conn.debug("WriteHalf", f)
    }
}

/// Two halves that belong to different connections, both given back.
///
/// ```
/// # gannet_runtime::Builder::new_current_thread().build()?.block_on(async {
/// use gannet_net::UnixStream;
///
/// let (left, right) = UnixStream::pair()?;
/// let (left_read, _left_write) = left.into_split();
/// let (_right_read, right_write) = right.into_split();
/// let err = left_read.reunite(right_write).unwrap_err();
/// assert_eq!(err.to_string(), "the halves belong to different connections");
/// # Ok::<_, std::io::Error>(()) })?;
/// # Ok::<_, std::io::Error>(())
/// ```
#[derive(Debug)]
pub struct ReuniteError {
    /// The reading half of one connection.
    pub read: OwnedReadHalf,
    /// The writing half of another.
    pub write: OwnedWriteHalf,
}

impl fmt::Display for ReuniteError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the halves belong to different connections")
    }
}

impl Error for ReuniteError {}

impl From<ReuniteError> for io::Error {
    /// Keeps the text and drops both halves.
    fn from(err: ReuniteError) -> Self {
        io::Error::new(io::ErrorKind::InvalidInput, err.to_string())
    }
}
