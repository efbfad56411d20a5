//! Messages with descriptors and credentials.

use std::future::poll_fn;
use std::io;
use std::ops::ControlFlow;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::task::{Poll, ready};

use gannet_sys::rights;
use gannet_sys::sockaddr::{SockAddr, UnixAddr};

use crate::error::{Op, WriteToConnectedError};
use crate::network::Protocol;
use crate::socket::Socket;

pub use gannet_sys::rights::Credentials;

/// A message to send over a Unix socket: data, and what goes with it.
///
/// ```
/// # gannet_runtime::Builder::new_current_thread().build()?.block_on(async {
/// use gannet_net::{UnixSendMsg, UnixStream};
/// use std::fs::File;
/// use std::io::Read;
/// use std::os::fd::AsFd;
///
/// let (left, right) = UnixStream::pair()?;
/// let file = File::open("/proc/self/comm")?;
/// left.send_msg(&UnixSendMsg { fds: &[file.as_fd()], ..UnixSendMsg::new(b"a file") }).await?;
/// drop(file);
///
/// let mut buf = [0; 16];
/// let mut msg = right.recv_msg(&mut buf).await?;
/// assert_eq!(&buf[..msg.len], b"a file");
/// let mut file = File::from(msg.fds.remove(0));
/// assert!(file.read(&mut buf)? > 0);
/// # Ok::<_, std::io::Error>(()) })?;
/// # Ok::<_, std::io::Error>(())
/// ```
///
/// Reference: [`unix(7)`](https://man7.org/linux/man-pages/man7/unix.7.html), "Ancillary messages".
#[derive(Clone, Copy, Debug, Default)]
pub struct UnixSendMsg<'a> {
    /// The data. A stream sends a zero byte if there is none but descriptors.
    pub data: &'a [u8],
    /// Descriptors that the receiver gets duplicates of, at most 253. They stay open here.
    pub fds: &'a [BorrowedFd<'a>],
    /// Who says so. Without the privilege it must be this process, its user and its group; the
    /// receiver is told without being lied to, or not told. `None` leaves it to the kernel.
    pub credentials: Option<Credentials>,
    /// Where to, for a datagram socket that has no peer.
    pub to: Option<&'a UnixAddr>,
}

impl<'a> UnixSendMsg<'a> {
    /// Returns a message of nothing but data.
    pub fn new(data: &'a [u8]) -> Self {
        UnixSendMsg {
            data,
            ..Self::default()
        }
    }
}

/// What came with the data that a Unix socket received. See [`UnixSendMsg`] for an example.
#[derive(Debug)]
#[non_exhaustive]
pub struct UnixRecvMsg {
    /// How many bytes of data came. 0 is the end of a stream, or an empty datagram.
    pub len: usize,
    /// The descriptors that came: this process's own now, and close-on-exec.
    pub fds: Vec<OwnedFd>,
    /// Who sent it, if [`set_pass_credentials`](crate::UnixStream::set_pass_credentials) asked for
    /// it.
    pub credentials: Option<Credentials>,
    /// The sender of a datagram; unnamed for any other socket.
    pub from: UnixAddr,
    /// Whether the datagram was longer than the buffer, and its rest is lost.
    pub truncated: bool,
    /// Whether descriptors were lost, as when this process has as many as it may. Then
    /// [`fds`](Self::fds) is empty: those that did come were closed.
    pub fds_lost: bool,
}

impl From<rights::Received> for UnixRecvMsg {
    fn from(got: rights::Received) -> Self {
        UnixRecvMsg {
            len: got.len,
            fds: got.fds,
            credentials: got.credentials,
            from: super::name(got.addr),
            truncated: got.truncated,
            fds_lost: got.fds_lost,
        }
    }
}

impl Socket {
    /// Receives a message of a Unix socket.
    pub(super) fn recv_unix_msg(
        &self,
        buf: &mut [u8],
    ) -> impl Future<Output = io::Result<UnixRecvMsg>> {
        // A stream gives descriptors only with bytes.
        let is_dummy = buf.is_empty() && self.network().protocol() == Protocol::Unix;
        let mut guard = self.fd.begin_read();
        poll_fn(move |cx| {
            let received = ready!(guard.poll_read_with(cx, |fd| match is_dummy {
                true => rights::recv(fd, &mut [0]),
                false => rights::recv(fd, buf),
            }));
            Poll::Ready(match received {
                Ok(mut got) => {
                    got.len = if is_dummy { 0 } else { got.len };
                    Ok(got.into())
                }
                Err(err) => Err(self.failed(Op::Read, "recvmsg", err)),
            })
        })
    }

    /// Sends a message over a Unix socket.
    pub(super) async fn send_unix_msg(&self, msg: &UnixSendMsg<'_>) -> io::Result<usize> {
        let protocol = self.network().protocol();
        if msg.to.is_some() && self.is_connected() {
            return Err(self
                .op_error(Op::Write, WriteToConnectedError.into())
                .into());
        }
        let to = msg.to.map(|to| SockAddr::Unix(to.clone()));
        let is_dummy = msg.data.is_empty() && protocol == Protocol::Unix && !msg.fds.is_empty();
        let data: &[u8] = if is_dummy { &[0] } else { msg.data };
        let send =
            |fd: BorrowedFd<'_>| rights::send(fd, data, msg.fds, msg.credentials, to.as_ref());
        let sent = if protocol == Protocol::Unixgram && !self.is_connected() {
            // Boxed, because its pauses would make every sender's task bigger.
            Box::pin(self.send_to_queue(send)).await
        } else {
            let mut sender = self.sender();
            poll_fn(|cx| sender.poll(cx, |fd| send(fd).map(ControlFlow::Break))).await
        };
        match sent {
            Ok(_) if is_dummy => Ok(0),
            Ok(len) => Ok(len),
            Err(err) => Err(self.failed(Op::Write, "sendmsg", err)),
        }
    }
}

/// What every kind of Unix socket with a peer or datagrams has.
macro_rules! messages {
    ($own:ident) => {
        impl $own {
            /// Receives data into `buf`, with the descriptors and the credentials that came with it.
            ///
            /// Waits for data, the read deadline or close. What is received without this, by reading,
            /// loses its descriptors: the kernel closes them.
            ///
            /// # Cancel safety
            /// Dropping the future loses nothing: nothing is taken from the kernel before it
            /// completes.
            ///
            /// # Errors
            /// The deadline error after the read deadline, the closed error after close,
            /// `ECONNRESET`.
            ///
            /// Reference: [`recvmsg(2)`](https://man7.org/linux/man-pages/man2/recvmsg.2.html).
            pub fn recv_msg(
                &self,
                buf: &mut [u8],
            ) -> impl Future<Output = std::io::Result<$crate::unix::UnixRecvMsg>> {
                self.recv_unix_msg(buf)
            }

            /// Sends data with descriptors and credentials; returns how many bytes were taken. A
            /// stream may take a part of the data, and then has taken the descriptors too.
            ///
            /// Waits for room, the write deadline or close.
            ///
            /// # Cancel safety
            /// Dropping the future loses nothing: either nothing was sent or it has completed.
            ///
            /// # Errors
            /// `EINVAL` for more than 253 descriptors, `ETOOMANYREFS` if too many are under way,
            /// `EPERM` for credentials of others;
            /// [`WriteToConnectedError`](crate::error::WriteToConnectedError) for a destination on a
            /// socket that has its peer; `EPIPE`, `ENOENT`, `ECONNREFUSED` without a receiver; the
            /// deadline error, the closed error.
            ///
            /// Reference: [`sendmsg(2)`](https://man7.org/linux/man-pages/man2/sendmsg.2.html).
            pub async fn send_msg(
                &self,
                msg: &$crate::unix::UnixSendMsg<'_>,
            ) -> std::io::Result<usize> {
                self.send_unix_msg(msg).await
            }

            /// Returns which process, user and group made the other end. Where there is none it is
            /// process 0, user and group `u32::MAX`.
            ///
            /// # Errors
            /// The closed error after close.
            ///
            /// Reference: [`unix(7)`](https://man7.org/linux/man-pages/man7/unix.7.html),
            /// `SO_PEERCRED`.
            pub fn peer_credentials(&self) -> std::io::Result<$crate::unix::Credentials> {
                self.option("getsockopt", |raw| raw.peer_credentials())
            }

            /// Tells whether messages come with their sender's credentials.
            ///
            /// # Errors
            /// The closed error after close.
            ///
            /// Reference: [`unix(7)`](https://man7.org/linux/man-pages/man7/unix.7.html),
            /// `SO_PASSCRED`.
            pub fn pass_credentials(&self) -> std::io::Result<bool> {
                self.option("getsockopt", |raw| raw.pass_credentials())
            }

            /// Makes messages come with their sender's credentials, or not.
            ///
            /// ```
            /// # gannet_runtime::Builder::new_current_thread().build()?.block_on(async {
            /// use gannet_net::UnixStream;
            ///
            /// let (left, right) = UnixStream::pair()?;
            /// right.set_pass_credentials(true)?;
            /// left.write_all(b"it is me").await?;
            /// let got = right.recv_msg(&mut [0; 16]).await?;
            /// assert_eq!(got.credentials.map(|sender| sender.pid), Some(std::process::id()));
            /// assert_eq!(right.peer_credentials()?.pid, std::process::id());
            /// # Ok::<_, std::io::Error>(()) })?;
            /// # Ok::<_, std::io::Error>(())
            /// ```
            ///
            /// # Errors
            /// The closed error after close.
            ///
            /// Reference: [`unix(7)`](https://man7.org/linux/man-pages/man7/unix.7.html),
            /// `SO_PASSCRED`.
            pub fn set_pass_credentials(&self, on: bool) -> std::io::Result<()> {
                self.option("setsockopt", |raw| raw.set_pass_credentials(on))
            }
        }
    };
}

pub(super) use messages;
