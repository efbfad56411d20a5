//! What became of datagrams: the error queue.

use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr};

use gannet_sys::datagram::recv_report;
use gannet_sys::errno;

use crate::addr::unmapped;
use crate::error::Op;
use crate::udp::UdpSocket;

pub use gannet_sys::datagram::Origin;

/// An error that a datagram met on its way, with as much of the datagram as was sent back. Displays as
/// `127.0.0.1:9: connection refused`.
///
/// ```
/// # gannet_runtime::Builder::new_current_thread().build()?.block_on(async {
/// use gannet_net::UdpSocket;
/// use std::io;
///
/// let socket = UdpSocket::bind("127.0.0.1:0").await?;
/// socket.set_recv_errors(true)?;
/// let nobody = UdpSocket::bind("127.0.0.1:0").await?.local_addr()?;
/// socket.send_to(b"hello?", nobody).await?;
///
/// let mut buf = [0; 16];
/// let report = socket.recv_report(&mut buf).await?;
/// assert_eq!((report.to, &buf[..report.len]), (Some(nobody), &b"hello?"[..]));
/// assert_eq!(report.error().kind(), io::ErrorKind::ConnectionRefused);
/// # Ok::<_, std::io::Error>(()) })?;
/// # Ok::<_, std::io::Error>(())
/// ```
///
/// Reference: [`ip(7)`](https://man7.org/linux/man-pages/man7/ip.7.html), `IP_RECVERR`.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct DatagramReport {
    /// How many bytes of the datagram are in the buffer.
    pub len: usize,
    /// Where the datagram was sent to.
    pub to: Option<SocketAddr>,
    /// The error as an errno: `ECONNREFUSED`, `EHOSTUNREACH`, `EMSGSIZE`.
    pub errno: i32,
    /// Who found it.
    pub origin: Origin,
    /// Type and code of the ICMP message, if it was one.
    pub icmp: Option<(u8, u8)>,
    /// The longest packet that the path takes, in bytes with all headers, if the datagram was too
    /// long.
    pub mtu: Option<u32>,
    /// The router or host that sent the ICMP message.
    pub offender: Option<IpAddr>,
}

impl DatagramReport {
    /// Returns the error.
    pub fn error(&self) -> io::Error {
        io::Error::from_raw_os_error(self.errno)
    }
}

impl fmt::Display for DatagramReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(to) = self.to {
            write!(f, "{to}: ")?;
        }
        f.write_str(&errno::text(self.errno))
    }
}

impl From<gannet_sys::datagram::Report> for DatagramReport {
    fn from(report: gannet_sys::datagram::Report) -> Self {
        let is_icmp = matches!(report.origin, Origin::Icmp | Origin::Icmp6);
        DatagramReport {
            len: report.len,
            to: report.to.map(unmapped),
            errno: report.errno,
            origin: report.origin,
            icmp: is_icmp.then_some((report.kind, report.code)),
            mtu: (report.errno == errno::EMSGSIZE).then_some(report.info),
            offender: report.offender,
        }
    }
}

impl UdpSocket {
    /// Returns whether the errors that datagrams meet are queued.
    ///
    /// # Errors
    /// The closed error after close.
    ///
    /// Reference: [`ip(7)`](https://man7.org/linux/man-pages/man7/ip.7.html), `IP_RECVERR`.
    pub fn recv_errors(&self) -> io::Result<bool> {
        self.option("getsockopt", |raw| raw.recv_errors())
    }

    /// Queues the errors that datagrams meet, for [`recv_report`](Self::recv_report), or not. Off at
    /// first: then only a socket with a peer hears of them.
    ///
    /// While it is on, each error also fails one operation of the socket, sending or receiving,
    /// whatever destination that was for; the socket goes on working after that.
    ///
    /// # Errors
    /// The closed error after close.
    ///
    /// Reference: [`ip(7)`](https://man7.org/linux/man-pages/man7/ip.7.html), `IP_RECVERR`.
    pub fn set_recv_errors(&self, on: bool) -> io::Result<()> {
        self.option("setsockopt", |raw| raw.set_recv_errors(on))
    }

    /// Takes the report that has waited longest, with as much of its datagram as `buf` takes.
    ///
    /// Waits for one, the read deadline or close; meanwhile nobody else receives.
    ///
    /// # Cancel safety
    /// Dropping the future loses nothing.
    ///
    /// # Errors
    /// The deadline error after the read deadline, the closed error after close.
    ///
    /// Reference: [`recvmsg(2)`](https://man7.org/linux/man-pages/man2/recvmsg.2.html),
    /// `MSG_ERRQUEUE`.
    pub async fn recv_report(&self, buf: &mut [u8]) -> io::Result<DatagramReport> {
        let report = self.fd.read_with(|fd| recv_report(fd, buf)).await;
        let report = report.map_err(|err| self.failed(Op::Read, "recvmsg", err))?;
        Ok(report.into())
    }

    /// Takes a report as [`recv_report`](Self::recv_report) without waiting; `None` if there is none.
    /// It may be called while another task receives, such as when that has failed.
    ///
    /// # Errors
    /// The closed error after close.
    ///
    /// Reference: [`recvmsg(2)`](https://man7.org/linux/man-pages/man2/recvmsg.2.html),
    /// `MSG_ERRQUEUE`.
    pub fn try_recv_report(&self, buf: &mut [u8]) -> io::Result<Option<DatagramReport>> {
        let report = self
            .fd
            .with_fd(|fd| recv_report(fd, buf))
            .and_then(|report| report);
        match report {
            Ok(report) => Ok(Some(report.into())),
            Err(err) if err.kind() == io::ErrorKind::WouldBlock => Ok(None),
            Err(err) => Err(self.failed(Op::Read, "recvmsg", err)),
        }
    }
}
