//! Sending datagrams in batches, with segmentation by the kernel or, where it refuses, here.

use std::future::poll_fn;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::ops::ControlFlow;
use std::os::fd::BorrowedFd;
use std::sync::atomic::{AtomicU16, Ordering};
use std::task::{Context, Poll};

use gannet_sys::batch::{self, Outgoing};
use gannet_sys::errno;
use gannet_sys::sockaddr::SockAddr;

use crate::addr::{Addr, unmapped};
use crate::ecn::Ecn;
use crate::error::{AddrError, Op, WriteToConnectedError, syscall};
use crate::family;
use crate::pause::{Sender, WriteLock};
use crate::udp::UdpSocket;

/// The most datagrams that the kernel is asked to cut one message into: older kernels take no more.
const SEGMENTS_MAX: usize = 64;

/// The longest message that the kernel is asked to cut: that of an IPv4 datagram.
const CUT_BYTES_MAX: usize = 65_507;

/// Something to send: a datagram, or several of equal length one behind the other.
///
/// ```
/// # gannet_runtime::Builder::new_current_thread().build()?.block_on(async {
/// use gannet_net::{Ecn, Transmit, UdpSocket};
///
/// let socket = UdpSocket::bind("127.0.0.1:0").await?;
/// let mut transmit = Transmit::new(b"0123456789", socket.local_addr()?);
/// transmit.segment_size = Some(4); // Three datagrams: of 4, 4 and 2 bytes.
/// transmit.ecn = Some(Ecn::Ect0);
/// transmit.from = Some(socket.local_addr()?.ip());
/// assert_eq!(socket.send_batch(&[transmit]).await?, 1);
///
/// let mut buf = [0; 16];
/// assert_eq!(socket.recv(&mut buf).await?, 4);
/// # Ok::<_, std::io::Error>(()) })?;
/// # Ok::<_, std::io::Error>(())
/// ```
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Transmit<'a> {
    /// The data. Empty is an empty datagram.
    pub data: &'a [u8],
    /// Where to: the one peer, if the socket has one.
    pub to: SocketAddr,
    /// The length in bytes of the datagrams that `data` consists of, all but the last, which may be
    /// shorter. `None` and zero mean that it is one.
    ///
    /// The kernel cuts them (`UDP_SEGMENT`, Linux 4.18), which costs little more than one datagram.
    /// What it does not take is cut here: see [`UdpSocket::send_batch`].
    pub segment_size: Option<u16>,
    /// The congestion mark; the upper six bits of the type of service are zero then. `None` sends
    /// with the socket's [`tos`](crate::Socket::set_tos).
    pub ecn: Option<Ecn>,
    /// The local address to send from, one of this machine's; `None` is the kernel's choice or what
    /// the socket is bound to.
    pub from: Option<IpAddr>,
}

impl<'a> Transmit<'a> {
    /// One datagram with the socket's own settings.
    pub fn new(data: &'a [u8], to: SocketAddr) -> Self {
        Transmit {
            data,
            to,
            segment_size: None,
            ecn: None,
            from: None,
        }
    }

    /// The length of the datagrams, if there are several.
    fn segment(&self) -> Option<u16> {
        self.segment_size
            .filter(|&len| len > 0 && self.data.len() > usize::from(len))
    }

    /// Whether these are several datagrams, and not for the kernel to cut if it cuts segments up to
    /// `longest` bytes.
    fn is_cut_here(&self, longest: u16) -> bool {
        self.segment().is_some_and(|len| {
            len > longest
                || self.data.len() > CUT_BYTES_MAX
                || self.data.len().div_ceil(usize::from(len)) > SEGMENTS_MAX
        })
    }

    fn outgoing(&self, socket: &UdpSocket, to: SocketAddr) -> Outgoing<'a> {
        Outgoing {
            is_connected: socket.peer_sock_addr().is_some(),
            from: self.from,
            tos: self.ecn.map(Ecn::bits),
            segment: self.segment(),
            ..Outgoing::new(self.data, to)
        }
    }
}

/// The longest segments that the kernel is still asked to cut. It falls when the kernel or the path
/// refuses, and never rises.
#[derive(Debug)]
pub(super) struct SegmentLimit(AtomicU16);

impl SegmentLimit {
    pub(super) fn new() -> Self {
        SegmentLimit(AtomicU16::new(u16::MAX))
    }

    // Relaxed: a hint that orders nothing; who sees an old one finds out by himself.
    fn get(&self) -> u16 {
        self.0.load(Ordering::Relaxed)
    }

    fn lower(&self, to: u16) {
        self.0.fetch_min(to, Ordering::Relaxed);
    }
}

/// What is left of the limit if the kernel refuses with `err` to cut segments of `len` bytes; `None`
/// if `err` is about something else.
///
/// `EMSGSIZE` is about this length. `EIO` (the device, or the socket's options) and `EINVAL` (the
/// kernel) are about segmentation, or perhaps about the message: what happens to the pieces tells.
fn limit_after(err: &io::Error, len: u16) -> Option<u16> {
    match err.raw_os_error() {
        Some(errno::EIO | errno::EINVAL) => Some(0),
        Some(errno::EMSGSIZE) => Some(len.saturating_sub(1)),
        _ => None,
    }
}

/// The first of some transmits, which is being cut here.
#[derive(Debug)]
struct Cut {
    /// Its length, by which it is known again.
    len: usize,
    /// How many bytes of it have gone.
    sent: usize,
    /// The limit to be, once its pieces have been taken after the whole was refused.
    limit: Option<u16>,
}

/// How far sending has got with the first of its transmits.
#[derive(Debug, Default)]
pub(super) struct Progress {
    cut: Option<Cut>,
}

impl Progress {
    /// Makes one system call on `transmits`; breaks off with how many are done, at least one.
    fn step(
        &mut self,
        socket: &UdpSocket,
        fd: BorrowedFd<'_>,
        transmits: &[Transmit<'_>],
    ) -> io::Result<ControlFlow<usize>> {
        let Some(first) = transmits.first() else {
            return Ok(ControlFlow::Break(0));
        };
        let to = socket.destination(first)?;
        let longest = socket.segments.get();
        self.cut.take_if(|cut| cut.len != first.data.len());
        if self.cut.is_none() && first.is_cut_here(longest) {
            self.begin_cut(first, None);
        }
        if let (Some(cut), Some(segment)) = (&mut self.cut, first.segment()) {
            let flow = cut.step(socket, fd, first, usize::from(segment), to)?;
            if flow.is_break() {
                self.cut = None;
            }
            return Ok(flow);
        }
        let whole = transmits
            .iter()
            .take_while(|next| !next.is_cut_here(longest));
        // An address that cannot be reached ends the batch, and is the first of the next.
        let messages =
            whole.map_while(|next| Some(next.outgoing(socket, socket.destination(next).ok()?)));
        let err = match batch::send(fd, messages) {
            Ok(sent) => return Ok(ControlFlow::Break(sent)),
            Err(err) => err,
        };
        match first.segment().and_then(|len| limit_after(&err, len)) {
            Some(limit) => {
                self.begin_cut(first, Some(limit));
                Ok(ControlFlow::Continue(()))
            }
            None => Err(err),
        }
    }

    #[cold]
    fn begin_cut(&mut self, first: &Transmit<'_>, limit: Option<u16>) {
        self.cut = Some(Cut {
            len: first.data.len(),
            sent: 0,
            limit,
        });
    }

    /// Polls for some of `transmits` to be sent. The lock is given back with the answer.
    pub(super) fn poll<G: WriteLock>(
        &mut self,
        socket: &UdpSocket,
        sender: &mut Sender<G>,
        cx: &mut Context<'_>,
        transmits: &[Transmit<'_>],
    ) -> Poll<io::Result<usize>> {
        let polled = sender.poll(cx, |fd| self.step(socket, fd, transmits));
        if polled.is_ready() {
            self.cut = None;
        }
        polled.map_err(|err| socket.batch_failed(err, transmits))
    }

    /// Sends some of `transmits`, until it would have to wait.
    pub(super) fn attempt(
        &mut self,
        socket: &UdpSocket,
        fd: BorrowedFd<'_>,
        transmits: &[Transmit<'_>],
    ) -> io::Result<usize> {
        loop {
            if let ControlFlow::Break(sent) = self.step(socket, fd, transmits)? {
                return Ok(sent);
            }
        }
    }

    /// Forgets about a transmit that was refused.
    pub(super) fn give_up(&mut self) {
        self.cut = None;
    }
}

impl Cut {
    /// Sends some of the datagrams that `transmit` consists of.
    fn step(
        &mut self,
        socket: &UdpSocket,
        fd: BorrowedFd<'_>,
        transmit: &Transmit<'_>,
        segment: usize,
        to: SocketAddr,
    ) -> io::Result<ControlFlow<usize>> {
        let rest = transmit.data.get(self.sent..).unwrap_or_default();
        let pieces = rest.chunks(segment).map(|data| Outgoing {
            data,
            segment: None,
            ..transmit.outgoing(socket, to)
        });
        let pieces_sent = batch::send(fd, pieces)?;
        if let Some(limit) = self.limit.take() {
            socket.segments.lower(limit);
        }
        self.sent += pieces_sent * segment;
        Ok(if self.sent >= self.len {
            ControlFlow::Break(1)
        } else {
            ControlFlow::Continue(())
        })
    }
}

impl UdpSocket {
    /// Sends the first of `transmits`, and as many of those behind it as one system call takes.
    /// Returns how many: at least one, unless there are none. Nothing is allocated.
    ///
    /// Waits for room in the kernel's buffer, the write deadline or close, as long as nothing was
    /// sent. The contract is that of the system call: an error is always that of the first, and
    /// nothing was sent then. If fewer are sent than there are, the next was refused, or would have to
    /// wait, or there are more than 32: send the rest to find out.
    ///
    /// ```
    /// # gannet_runtime::Builder::new_current_thread().build()?.block_on(async {
    /// use gannet_net::{Transmit, UdpSocket};
    ///
    /// let socket = UdpSocket::bind("127.0.0.1:0").await?;
    /// let near = socket.local_addr()?;
    /// let far = "[2001:db8::1]:9".parse().unwrap(); // Not to be reached from an IPv4 socket.
    /// let all = [near, far, near].map(|to| Transmit::new(b"news", to));
    ///
    /// let mut rest = &all[..];
    /// let mut refused = Vec::new();
    /// while let [first, others @ ..] = rest {
    ///     match socket.send_batch(rest).await {
    ///         Ok(sent) => rest = &rest[sent..],
    ///         Err(_) => {
    ///             refused.push(first.to);
    ///             rest = others;
    ///         }
    ///     }
    /// }
    /// assert_eq!(refused, [far]);
    /// # Ok::<_, std::io::Error>(()) })?;
    /// # Ok::<_, std::io::Error>(())
    /// ```
    ///
    /// # Segments
    /// Datagrams of one [`Transmit`] that the kernel or the path refuses to cut (`EIO`, `EINVAL`,
    /// `EMSGSIZE`) are cut here and sent at once, and if they are taken so, the socket remembers:
    /// [`segment_size_max`](Self::segment_size_max). Those that are more than 64 or longer than 65,507
    /// bytes are cut here as well.
    ///
    /// # Cancel safety
    /// Dropping the future loses nothing: either nothing was sent or it has completed. Only where
    /// datagrams of one transmit are cut here, some of them may be on their way: that is also the one
    /// case in which something of a transmit was sent that fails.
    ///
    /// # Errors
    /// Those of [`PacketConn::send_to`](crate::PacketConn::send_to), with the address of the first;
    /// [`WriteToConnectedError`] if the socket has another peer; `ENETUNREACH` or `EINVAL` if
    /// [`from`](Transmit::from) is no address of this machine,
    /// [`AddrError`] if it is of another version of IP.
    ///
    /// Reference: [`sendmmsg(2)`](https://man7.org/linux/man-pages/man2/sendmmsg.2.html).
    pub fn send_batch(
        &self,
        transmits: &[Transmit<'_>],
    ) -> impl Future<Output = io::Result<usize>> {
        let mut sender = self.sender();
        let mut progress = Progress::default();
        poll_fn(move |cx| progress.poll(self, &mut sender, cx, transmits))
    }

    /// Returns the length in bytes of the longest segments that the kernel is still asked to cut:
    /// 65,535 at first, less than what the path refused, zero once the kernel refused altogether.
    ///
    /// Longer ones are cut by [`send_batch`](Self::send_batch), at the price of a message each.
    pub fn segment_size_max(&self) -> u16 {
        self.segments.get()
    }

    /// Where a transmit goes, as this socket's family writes it.
    fn destination(&self, transmit: &Transmit<'_>) -> io::Result<SocketAddr> {
        let is_v4 = |ip: IpAddr| ip.to_canonical().is_ipv4();
        if let Some(from) = transmit
            .from
            .filter(|&from| is_v4(from) != is_v4(transmit.to.ip()))
        {
            // The kernel would take no notice of it.
            return Err(AddrError::new("mismatched local address type", from.to_string()).into());
        }
        match self.peer_sock_addr() {
            None => {
                let family = self.family().ok_or_else(|| self.not_inet(Op::Write))?;
                Ok(family::socket_addr(&Addr::Udp(transmit.to), family)?)
            }
            Some(SockAddr::Inet(peer)) if is_same(peer, transmit.to) => Ok(peer),
            Some(_) => Err(WriteToConnectedError.into()),
        }
    }

    /// Wraps an error of the first of `transmits`.
    #[cold]
    pub(super) fn batch_failed(&self, err: io::Error, transmits: &[Transmit<'_>]) -> io::Error {
        let err = self.op_error(Op::Write, syscall("sendmmsg", err));
        match transmits.first() {
            Some(first) => err.to(Addr::Udp(first.to)).into(),
            None => err.into(),
        }
    }
}

/// Whether two addresses are one, whatever form IPv4 has in them.
fn is_same(a: SocketAddr, b: SocketAddr) -> bool {
    let (a, b) = (unmapped(a), unmapped(b));
    a.ip() == b.ip() && a.port() == b.port()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn transmit(data: &[u8], segment_size: Option<u16>) -> Transmit<'_> {
        Transmit {
            segment_size,
            ..Transmit::new(data, SocketAddr::from(([127, 0, 0, 1], 9)))
        }
    }

    #[test]
    fn one_datagram_is_never_segmented() {
        for (len, size) in [
            (0, Some(1)),
            (4, Some(4)),
            (4, None),
            (4, Some(0)),
            (4, Some(9)),
        ] {
            let data = vec![0; len];
            assert_eq!(transmit(&data, size).segment(), None, "{len} by {size:?}");
            assert!(!transmit(&data, size).is_cut_here(0));
        }
        assert_eq!(transmit(&[0; 5], Some(4)).segment(), Some(4));
    }

    #[test]
    fn kernel_cuts_up_to_its_limits() {
        let data = vec![0; CUT_BYTES_MAX + 1];
        for (len, size, longest, here) in [
            (64, 1, u16::MAX, false),
            (65, 1, u16::MAX, true),
            (2400, 1200, 1200, false),
            (2400, 1200, 1199, true),
            (2400, 1200, 0, true),
            (CUT_BYTES_MAX, 1400, u16::MAX, false),
            (CUT_BYTES_MAX + 1, 1400, u16::MAX, true),
        ] {
            let transmit = transmit(&data[..len], Some(size));
            assert_eq!(transmit.is_cut_here(longest), here, "{len} by {size}");
        }
    }

    #[test]
    fn refusals_lower_the_limit_and_other_errors_do_not() {
        let after = |errno| limit_after(&io::Error::from_raw_os_error(errno), 1400);
        assert_eq!(after(errno::EIO), Some(0));
        assert_eq!(after(errno::EINVAL), Some(0));
        assert_eq!(after(errno::EMSGSIZE), Some(1399));
        for other in [errno::EAGAIN, errno::EINTR, errno::ENOBUFS, errno::EPERM] {
            assert_eq!(after(other), None);
        }
        assert_eq!(limit_after(&io::ErrorKind::WouldBlock.into(), 1), None);
        let limit = SegmentLimit::new();
        limit.lower(1399);
        limit.lower(1500);
        assert_eq!(limit.get(), 1399, "it never rises");
    }
}
