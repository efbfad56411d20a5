//! Receiving datagrams in batches.

use std::fmt;
use std::future::poll_fn;
use std::io;
use std::net::{IpAddr, SocketAddr};

use gannet_sys::batch::{Received, RecvBuffers};

use crate::addr::unmapped;
use crate::ecn::Ecn;
use crate::error::Op;
use crate::udp::UdpSocket;

/// Buffers for many datagrams, filled by one system call and used again and again.
///
/// ```
/// # gannet_runtime::Builder::new_current_thread().build()?.block_on(async {
/// use gannet_net::{RecvBatch, Transmit, UdpSocket};
///
/// let server = UdpSocket::bind("127.0.0.1:0").await?;
/// let client = UdpSocket::bind("127.0.0.1:0").await?;
/// let to = server.local_addr()?;
/// client.send_batch(&[Transmit::new(b"one", to), Transmit::new(b"two", to)]).await?;
///
/// let mut batch = RecvBatch::new(32, 1500);
/// assert_eq!(server.recv_batch(&mut batch).await?, 2);
/// let mut seen = Vec::new();
/// for datagram in batch.datagrams() {
///     assert_eq!(datagram.from, client.local_addr()?);
///     seen.push(datagram.data.to_vec());
/// }
/// assert_eq!(seen, [b"one", b"two"]);
/// # Ok::<_, std::io::Error>(()) })?;
/// # Ok::<_, std::io::Error>(())
/// ```
pub struct RecvBatch {
    buffers: RecvBuffers,
}

impl RecvBatch {
    /// The most buffers that a batch has: what one system call is asked for.
    pub const DATAGRAMS_MAX: usize = gannet_sys::batch::RECV_MAX;

    /// The longest that a datagram, or several joined by the kernel, can be, in bytes.
    pub const BYTES_MAX: usize = u16::MAX as usize;

    /// Makes a batch of `datagrams` buffers, 1 to [`DATAGRAMS_MAX`](Self::DATAGRAMS_MAX), of
    /// `bytes_each` bytes.
    ///
    /// With [`set_gro`](UdpSocket::set_gro) a buffer takes several datagrams: make it
    /// [`BYTES_MAX`](Self::BYTES_MAX), or their rest is lost. Memory is taken as it is first written
    /// to, so long buffers cost no more than what arrives.
    ///
    /// # Panics
    /// If that is more memory than an allocation may have.
    pub fn new(datagrams: usize, bytes_each: usize) -> Self {
        RecvBatch {
            buffers: RecvBuffers::new(datagrams, bytes_each),
        }
    }

    /// Returns how many buffers there are.
    pub fn capacity(&self) -> usize {
        self.buffers.capacity()
    }

    /// Returns how many buffers the last receive filled; none if it failed. Where the kernel joins
    /// datagrams there are more of them than that.
    pub fn len(&self) -> usize {
        self.buffers.len()
    }

    /// Returns whether no buffer is filled.
    pub fn is_empty(&self) -> bool {
        self.buffers.is_empty()
    }

    /// Iterates over the datagrams of the last receive, in the order of their arrival, those that the
    /// kernel joined one by one.
    pub fn datagrams(&mut self) -> Datagrams<'_> {
        Datagrams {
            buffers: self.buffers.messages(),
            joined: None,
        }
    }

    /// Iterates over what is in the buffers of the last receive, one buffer after the other: datagrams
    /// that the kernel joined are one item, with their [`segment_size`](RecvDatagram::segment_size).
    ///
    /// As a [`Transmit`](crate::Transmit) it costs about as much to send on as one of them, where
    /// [`datagrams`](Self::datagrams) would be cut apart to be sent one by one.
    ///
    /// ```
    /// # gannet_runtime::Builder::new_current_thread().build()?.block_on(async {
    /// use gannet_net::{RecvBatch, Transmit, UdpSocket};
    ///
    /// let echo = UdpSocket::bind("127.0.0.1:0").await?;
    /// echo.set_gro(true)?;
    /// let client = UdpSocket::bind("127.0.0.1:0").await?;
    /// let mut transmit = Transmit::new(b"0123456789", echo.local_addr()?);
    /// transmit.segment_size = Some(4);
    /// client.send_batch(&[transmit]).await?;
    ///
    /// let mut batch = RecvBatch::new(8, RecvBatch::BYTES_MAX);
    /// echo.recv_batch(&mut batch).await?;
    /// for message in batch.messages() {
    ///     let mut answer = Transmit::new(message.data, message.from);
    ///     answer.segment_size = message.segment_size;
    ///     echo.send_batch(&[answer]).await?;
    /// }
    /// let mut buf = [0; 16];
    /// assert_eq!(client.recv(&mut buf).await?, 4);
    /// # Ok::<_, std::io::Error>(()) })?;
    /// # Ok::<_, std::io::Error>(())
    /// ```
    pub fn messages(&mut self) -> impl Iterator<Item = RecvDatagram<'_>> {
        self.buffers.messages().filter_map(|message| {
            let is_joined = |each: &usize| *each < message.data.len();
            let each = message.segment.filter(is_joined);
            Some(RecvDatagram {
                // A UDP socket knows no senders but these.
                from: unmapped(message.from?),
                local: message.local,
                interface: message.interface,
                ecn: message.tos.map(Ecn::from_tos),
                segment_size: each.and_then(|each| u16::try_from(each).ok()),
                truncated: message.truncated,
                data: message.data,
            })
        })
    }

    pub(crate) fn buffers(&mut self) -> &mut RecvBuffers {
        &mut self.buffers
    }
}

impl fmt::Debug for RecvBatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RecvBatch")
            .field("capacity", &self.capacity())
            .field("len", &self.len())
            .finish()
    }
}

/// A datagram in a [`RecvBatch`], or several of one sender that the kernel joined.
///
/// ```
/// # gannet_runtime::Builder::new_current_thread().build()?.block_on(async {
/// use gannet_net::{Ecn, RecvBatch, Transmit, UdpSocket};
///
/// let socket = UdpSocket::bind("127.0.0.1:0").await?;
/// socket.set_recv_ecn(true)?;
/// let mut transmit = Transmit::new(b"ping", socket.local_addr()?);
/// transmit.ecn = Some(Ecn::Ect0);
/// socket.send_batch(&[transmit]).await?;
///
/// let mut batch = RecvBatch::new(1, 1500);
/// socket.recv_batch(&mut batch).await?;
/// let datagram = batch.datagrams().next().unwrap();
/// assert_eq!((&*datagram.data, datagram.ecn), (&b"ping"[..], Some(Ecn::Ect0)));
/// # Ok::<_, std::io::Error>(()) })?;
/// # Ok::<_, std::io::Error>(())
/// ```
#[derive(Debug)]
#[non_exhaustive]
pub struct RecvDatagram<'a> {
    /// Its data, which may be changed in place.
    pub data: &'a mut [u8],
    /// The sender. An IPv4 sender is shown as IPv4, also by an IPv6 socket.
    pub from: SocketAddr,
    /// The local address that it was sent to, after [`set_recv_local`](UdpSocket::set_recv_local);
    /// a broadcast or multicast address perhaps.
    pub local: Option<IpAddr>,
    /// The number of the interface that it came in by, after
    /// [`set_recv_local`](UdpSocket::set_recv_local).
    pub interface: Option<u32>,
    /// Its congestion mark, after [`set_recv_ecn`](UdpSocket::set_recv_ecn).
    pub ecn: Option<Ecn>,
    /// If these are several datagrams, the length of each, the last one perhaps excepted. Only
    /// [`RecvBatch::messages`] leaves them together.
    pub segment_size: Option<u16>,
    /// Whether it was longer than the buffer, and its rest is lost.
    pub truncated: bool,
}

/// What a [`RecvBatch`] holds, one datagram after the other.
///
/// ```
/// # gannet_runtime::Builder::new_current_thread().build()?.block_on(async {
/// use gannet_net::{RecvBatch, Transmit, UdpSocket};
///
/// let socket = UdpSocket::bind("127.0.0.1:0").await?;
/// socket.set_gro(true)?; // The kernel may join datagrams; here they are single again.
/// let mut transmit = Transmit::new(b"0123456789", socket.local_addr()?);
/// transmit.segment_size = Some(4);
/// socket.send_batch(&[transmit]).await?;
///
/// let mut batch = RecvBatch::new(8, RecvBatch::BYTES_MAX);
/// socket.recv_batch(&mut batch).await?;
/// let lengths: Vec<usize> = batch.datagrams().map(|datagram| datagram.data.len()).collect();
/// assert_eq!(lengths, [4, 4, 2]);
/// # Ok::<_, std::io::Error>(()) })?;
/// # Ok::<_, std::io::Error>(())
/// ```
pub struct Datagrams<'a> {
    buffers: gannet_sys::batch::Messages<'a>,
    joined: Option<Joined<'a>>,
}

/// Datagrams in one buffer.
struct Joined<'a> {
    message: Received<'a>,
    from: SocketAddr,
    /// The length of each but the last.
    each: usize,
}

impl<'a> Iterator for Datagrams<'a> {
    type Item = RecvDatagram<'a>;

    fn next(&mut self) -> Option<RecvDatagram<'a>> {
        if let Some(datagram) = self.joined.as_mut().and_then(Joined::next) {
            return Some(datagram);
        }
        loop {
            let message = self.buffers.next()?;
            // A UDP socket knows no senders but these.
            let Some(from) = message.from else { continue };
            let each = message.segment.unwrap_or(message.data.len());
            let joined = self.joined.insert(Joined {
                message,
                from: unmapped(from),
                each,
            });
            return Some(joined.first());
        }
    }
}

impl<'a> Joined<'a> {
    /// Takes the first datagram, which may be empty.
    fn first(&mut self) -> RecvDatagram<'a> {
        let data = std::mem::take(&mut self.message.data);
        let (data, rest) = data.split_at_mut(self.each.min(data.len()));
        self.message.data = rest;
        // What the kernel cut off belongs to the last.
        let truncated = self.message.truncated && self.message.data.is_empty();
        RecvDatagram {
            data,
            from: self.from,
            local: self.message.local,
            interface: self.message.interface,
            ecn: self.message.tos.map(Ecn::from_tos),
            segment_size: None,
            truncated,
        }
    }

    /// Takes the next datagram, if there is more in the buffer.
    fn next(&mut self) -> Option<RecvDatagram<'a>> {
        (!self.message.data.is_empty()).then(|| self.first())
    }
}

impl fmt::Debug for Datagrams<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Datagrams").finish_non_exhaustive()
    }
}

impl UdpSocket {
    /// Receives as many datagrams as are there and as `batch` has buffers for, at least one, in place
    /// of those that it held. Returns how many buffers were filled. Nothing is allocated.
    ///
    /// Waits for a datagram, the read deadline or close. For futures made by hand, and to wait for
    /// many sockets with one batch, see [`UdpReceiver`](crate::UdpReceiver).
    ///
    /// # Cancel safety
    /// Dropping the future loses nothing: no datagram is taken from the kernel before it completes.
    ///
    /// # Errors
    /// Those of [`PacketConn::recv_from`](crate::PacketConn::recv_from). The batch is empty then.
    ///
    /// Reference: [`recvmmsg(2)`](https://man7.org/linux/man-pages/man2/recvmmsg.2.html).
    pub fn recv_batch(&self, batch: &mut RecvBatch) -> impl Future<Output = io::Result<usize>> {
        let mut guard = self.fd.begin_read();
        let buffers = batch.buffers();
        buffers.clear();
        let len = buffers.capacity();
        poll_fn(move |cx| {
            // A batch that is not full proves that the queue is empty, as a short read does.
            guard
                .poll_read_stream_with(cx, len, |fd| buffers.recv(fd))
                .map_err(|err| self.failed(Op::Read, "recvmmsg", err))
        })
    }

    /// Receives as [`recv_batch`](Self::recv_batch) without waiting.
    ///
    /// # Errors
    /// `WouldBlock` if there is no datagram or another task is receiving; otherwise those of
    /// `recv_batch`.
    ///
    /// Reference: [`recvmmsg(2)`](https://man7.org/linux/man-pages/man2/recvmmsg.2.html).
    pub fn try_recv_batch(&self, batch: &mut RecvBatch) -> io::Result<usize> {
        let buffers = batch.buffers();
        buffers.clear();
        let len = buffers.capacity();
        self.fd
            .try_read_stream_with(len, |fd| buffers.recv(fd))
            .map_err(|err| self.try_failed(Op::Read, "recvmmsg", err))
    }
}
