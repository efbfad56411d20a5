//! Relaying streams inside the kernel.

use std::future::poll_fn;
use std::io;
use std::net::Shutdown;
use std::task::{Context, Poll};

use gannet_runtime::AsyncFd;

use crate::conn::Conn;
use crate::error::{Op, syscall};
use crate::network::Protocol;

mod file;
mod lane;
mod pipe;

use lane::{Ends, Failed, Lane};

/// Passes all that comes from `from` on to `to`, until `from` ends; returns how many bytes.
///
/// The bytes stay in the kernel (`splice(2)`, through a pipe that is held only while something is in
/// it); what cannot be spliced goes through a buffer. Waits for bytes or the read deadline of `from`,
/// for room or the write deadline of `to`, or until either is closed. Nothing more is read than `to`
/// takes, but for 1 MiB: a slow receiver slows the sender down. After each MiB other tasks run. The
/// end is not passed on; [`copy_bidirectional`] does that.
///
/// Descriptors that come with the bytes of a Unix stream are closed.
///
/// # Cancel safety
/// Not cancel safe: bytes on their way are lost with the future, and after an error. A [`Copier`]
/// keeps them.
///
/// # Errors
/// Those of [`Conn::read`] on `from` and of [`Conn::write`] on `to`;
/// [`error::moved`](crate::error::moved) tells how many bytes were passed on before. `InvalidInput` if
/// one of them is no stream.
///
/// ```
/// # gannet_runtime::Builder::new_current_thread().build()?.block_on(async {
/// use gannet_net::{UnixStream, copy};
///
/// let (client, from) = UnixStream::pair()?;
/// let (to, server) = UnixStream::pair()?;
/// client.write_all(b"hello").await?;
/// drop(client);
/// assert_eq!(copy(&from, &to).await?, 5);
/// let mut buf = [0; 16];
/// assert_eq!(server.read(&mut buf).await?, 5);
/// # Ok::<_, std::io::Error>(()) })?;
/// # Ok::<_, std::io::Error>(())
/// ```
///
/// Reference: [`splice(2)`](https://man7.org/linux/man-pages/man2/splice.2.html).
pub async fn copy(from: &Conn, to: &Conn) -> io::Result<u64> {
    Copier::new().run(from, to).await
}

/// Relays between two connections in both directions, until both have ended; returns how many bytes
/// went from `left` to `right`, and back.
///
/// As two [`copy`]s in one task. The end of one direction is passed on by `shutdown` while the other
/// goes on. The first error ends both, and the caller drops the connections, or goes on with one.
///
/// # Cancel safety
/// Not cancel safe: bytes on their way are lost with the future. A [`Relay`] keeps them.
///
/// # Errors
/// Those of [`copy`], of either direction; [`error::moved`](crate::error::moved) tells how many bytes
/// that direction has passed on.
///
/// ```
/// # gannet_runtime::Builder::new_current_thread().build()?.block_on(async {
/// use gannet_net::{UnixStream, copy_bidirectional};
/// use std::net::Shutdown;
///
/// let (client, left) = UnixStream::pair()?;
/// let (right, server) = UnixStream::pair()?;
/// let relay = gannet_runtime::spawn(async move { copy_bidirectional(&left, &right).await });
///
/// client.write_all(b"ping").await?;
/// client.shutdown(Shutdown::Write)?;
/// let mut buf = [0; 16];
/// server.read_exact(&mut buf[..4]).await?;
/// assert_eq!(server.read(&mut buf).await?, 0);
/// server.write_all(b"and goodbye").await?;
/// drop(server);
/// assert_eq!(client.read(&mut buf).await?, 11);
/// assert_eq!(relay.await.expect("no panic")?, (4, 11));
/// # Ok::<_, std::io::Error>(()) })?;
/// # Ok::<_, std::io::Error>(())
/// ```
///
/// Reference: [`splice(2)`](https://man7.org/linux/man-pages/man2/splice.2.html).
pub async fn copy_bidirectional(left: &Conn, right: &Conn) -> io::Result<(u64, u64)> {
    Relay::new().run(left, right).await
}

/// A copy from one stream to another that can be interrupted and goes on later.
///
/// It counts, and keeps what was taken from the one and not yet sent to the other. After a deadline,
/// or once the future of [`run`](Self::run) is dropped, another `run` sends that first.
///
/// ```
/// # gannet_runtime::Builder::new_current_thread().build()?.block_on(async {
/// use gannet_net::{Copier, UnixStream};
/// use gannet_runtime::time;
/// use std::time::Duration;
///
/// let (client, from) = UnixStream::pair()?;
/// let (to, server) = UnixStream::pair()?;
/// client.write_all(b"hello").await?;
///
/// let mut copier = Copier::new();
/// let some_time = Duration::from_millis(5);
/// assert!(time::timeout(some_time, copier.run(&from, &to)).await.is_err());
/// assert_eq!((copier.moved(), copier.in_flight()), (5, 0));
///
/// drop(client);
/// assert_eq!(copier.run(&from, &to).await?, 0);
/// # drop(server);
/// # Ok::<_, std::io::Error>(()) })?;
/// # Ok::<_, std::io::Error>(())
/// ```
#[derive(Debug, Default)]
pub struct Copier {
    lane: Lane,
}

impl Copier {
    /// Returns a copier that has nothing on its way. It takes no resource.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Passes what is on its way and all that comes from `from` on to `to`, until `from` ends; returns
    /// how many bytes this call has sent. See [`copy`].
    ///
    /// # Cancel safety
    /// Dropping the future loses nothing: what is on its way stays here for the next call, which may
    /// name other connections.
    ///
    /// # Errors
    /// Those of [`copy`]. Nothing is lost then, either.
    ///
    /// Reference: [`splice(2)`](https://man7.org/linux/man-pages/man2/splice.2.html).
    pub async fn run(&mut self, from: &Conn, to: &Conn) -> io::Result<u64> {
        let mut half = Half::new(&mut self.lane, from, to)?;
        poll_fn(|cx| half.poll(cx)).await?;
        Ok(half.sent())
    }

    /// Returns how many bytes were sent, by all calls.
    #[must_use]
    pub fn moved(&self) -> u64 {
        self.lane.moved()
    }

    /// Returns how many bytes were taken and not yet sent.
    #[must_use]
    pub fn in_flight(&self) -> usize {
        self.lane.loaded()
    }

    /// Takes out the bytes that were taken and not yet sent, for a receiver that is no connection.
    ///
    /// # Errors
    /// None that a caller can act on.
    ///
    /// Reference: [`read(2)`](https://man7.org/linux/man-pages/man2/read.2.html).
    pub fn take_in_flight(&mut self) -> io::Result<Vec<u8>> {
        self.lane.take_load()
    }
}

/// Both directions between two streams, as [`Copier`]s that can be interrupted and go on later.
///
/// ```
/// # gannet_runtime::Builder::new_current_thread().build()?.block_on(async {
/// use gannet_net::{Relay, UnixStream};
///
/// let (client, left) = UnixStream::pair()?;
/// let (right, server) = UnixStream::pair()?;
/// client.write_all(b"hello").await?;
/// drop((client, server));
/// let mut relay = Relay::new();
/// let failed = relay.run(&left, &right).await; // Nobody is there to take it.
/// assert!(failed.is_err());
/// assert_eq!(relay.forth.take_in_flight()?, b"hello");
/// # Ok::<_, std::io::Error>(()) })?;
/// # Ok::<_, std::io::Error>(())
/// ```
#[derive(Debug, Default)]
pub struct Relay {
    /// From left to right.
    pub forth: Copier,
    /// From right to left.
    pub back: Copier,
}

impl Relay {
    /// Returns a relay that has nothing on its way. It takes no resource.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Relays until both directions have ended; returns how many bytes this call has sent from `left`
    /// to `right`, and back. See [`copy_bidirectional`].
    ///
    /// Waits for either connection to have bytes, and for the other to have room for them; for the
    /// deadlines of both, and for close.
    ///
    /// # Cancel safety
    /// Dropping the future loses nothing: what is on its way stays here for the next call.
    ///
    /// # Errors
    /// Those of [`copy_bidirectional`]. Nothing is lost then, either.
    ///
    /// Reference: [`splice(2)`](https://man7.org/linux/man-pages/man2/splice.2.html).
    pub async fn run(&mut self, left: &Conn, right: &Conn) -> io::Result<(u64, u64)> {
        let mut halves = [
            Half::new(&mut self.forth.lane, left, right)?,
            Half::new(&mut self.back.lane, right, left)?,
        ];
        let mut first = 0;
        poll_fn(|cx| {
            // In turns, so that a direction that is always ready does not use up the other's budget.
            first ^= 1;
            for index in [first, first ^ 1] {
                let half = &mut halves[index];
                if !half.ended && half.poll(cx)?.is_ready() {
                    half.to.shutdown(Shutdown::Write)?;
                }
            }
            if halves.iter().all(|half| half.ended) {
                return Poll::Ready(Ok(()));
            }
            Poll::<io::Result<()>>::Pending
        })
        .await?;
        Ok((halves[0].sent(), halves[1].sent()))
    }
}

/// One direction at work.
struct Half<'a> {
    lane: &'a mut Lane,
    ends: Ends<'a>,
    from: &'a Conn,
    to: &'a Conn,
    before: u64,
    ended: bool,
}

impl<'a> Half<'a> {
    fn new(lane: &'a mut Lane, from: &'a Conn, to: &'a Conn) -> io::Result<Self> {
        for (conn, op) in [(from, Op::Read), (to, Op::Write)] {
            if !conn.is_stream() {
                return Err(conn.op_error(op, no_stream()).into());
            }
        }
        lane.heed_signals();
        Ok(Half {
            before: lane.moved(),
            lane,
            ends: Ends {
                from: from.fd.begin_read(),
                to: to.sender(),
                drains: from.network().protocol() == Protocol::Tcp,
            },
            from,
            to,
            ended: false,
        })
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let polled = self.lane.poll(cx, &mut self.ends);
        self.ended |= matches!(polled, Poll::Ready(Ok(())));
        polled.map_err(|failed| {
            let err = match failed {
                Failed::From(call, err) => self.from.op_error(Op::Read, syscall(call, err)),
                Failed::To(call, err) => self.to.op_error(Op::Write, syscall(call, err)),
            };
            err.after(bytes(self.sent())).into()
        })
    }

    /// How many bytes it has sent.
    fn sent(&self) -> u64 {
        self.lane.moved() - self.before
    }
}

impl Conn {
    /// Sends all that comes from another descriptor, such as a pipe or a terminal, until that ends;
    /// returns how many bytes.
    ///
    /// As [`copy`], with its waiting and its errors. For a regular file, which no poller takes, see
    /// [`send_file`](Self::send_file).
    ///
    /// # Cancel safety
    /// Not cancel safe: bytes on their way are lost with the future, and after an error.
    ///
    /// # Errors
    /// Those of reading from `source` and of [`write`](Self::write);
    /// [`error::moved`](crate::error::moved) tells how many bytes were sent before. `InvalidInput` if
    /// this connection is no stream.
    ///
    /// ```
    /// # gannet_runtime::Builder::new_current_thread().build()?.block_on(async {
    /// use gannet_net::UnixStream;
    /// use gannet_runtime::AsyncFd;
    /// use std::os::fd::AsFd;
    ///
    /// let (reader, writer) = gannet_sys::fd::pipe()?;
    /// gannet_sys::fd::write(writer.as_fd(), b"hello")?;
    /// drop(writer);
    /// let (left, right) = UnixStream::pair()?;
    /// assert_eq!(left.read_from(&AsyncFd::new(reader)?).await?, 5);
    /// let mut buf = [0; 16];
    /// assert_eq!(right.read(&mut buf).await?, 5);
    /// # Ok::<_, std::io::Error>(()) })?;
    /// # Ok::<_, std::io::Error>(())
    /// ```
    ///
    /// Reference: [`splice(2)`](https://man7.org/linux/man-pages/man2/splice.2.html).
    pub async fn read_from(&self, source: &AsyncFd) -> io::Result<u64> {
        if !self.is_stream() {
            return Err(self.op_error(Op::ReadFrom, no_stream()).into());
        }
        let mut lane = Lane::default();
        lane.heed_signals();
        let mut ends = Ends {
            from: source.begin_read(),
            to: self.sender(),
            drains: false,
        };
        let result = poll_fn(|cx| lane.poll(cx, &mut ends)).await;
        result.map_err(|failed| {
            let (Failed::From(call, err) | Failed::To(call, err)) = failed;
            self.op_error(Op::ReadFrom, syscall(call, err))
                .after(bytes(lane.moved()))
        })?;
        Ok(lane.moved())
    }
}

fn no_stream() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, "not a stream")
}

/// What an error can tell.
pub(crate) fn bytes(moved: u64) -> usize {
    usize::try_from(moved).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests;
