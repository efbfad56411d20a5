//! Errors as Go prints them, inside `io::Error`.
//!
//! Every public operation that fails returns an [`io::Error`] around an [`OpError`], which says
//! what was tried, on which network, between which addresses, and why it failed. Kind and errno
//! survive the wrapping: `err.kind()` is that of the cause, and [`raw_os_error`] finds the number
//! that `io::Error::raw_os_error` loses once an error is wrapped.
//!
//! ```
//! use gannet_net::{Addr, error::{self, Op, OpError}};
//! use std::io;
//!
//! let refused = error::syscall("connect", io::Error::from_raw_os_error(111));
//! let peer = Addr::Tcp("127.0.0.1:1".parse().unwrap());
//! let err = io::Error::from(OpError::new(Op::Dial, "tcp", refused).to(peer));
//!
//! assert_eq!(err.to_string(), "dial tcp 127.0.0.1:1: connect: connection refused");
//! assert_eq!(err.kind(), io::ErrorKind::ConnectionRefused);
//! assert_eq!(error::raw_os_error(&err), Some(111));
//! ```
//!
//! Nothing here is touched by an operation that succeeds: an error allocates only when it is made.

use std::borrow::Cow;
use std::error::Error;
use std::fmt;
use std::io;

use gannet_sys::errno;

use crate::addr::Addr;

pub use gannet_runtime::error::{closed, deadline_exceeded, is_closed, is_deadline};

/// What an operation was doing when it failed: the first word of an [`OpError`].
///
/// See the [module documentation](self) for an example.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum Op {
    /// Accepting a connection.
    Accept,
    /// Closing or shutting down a socket.
    Close,
    /// Dialling, which includes resolving the address.
    Dial,
    /// Adopting a descriptor or giving one away.
    File,
    /// Opening a listener or a packet socket, which includes resolving the address.
    Listen,
    /// Running a closure on the raw socket.
    RawControl,
    /// Receiving by a closure on the raw socket.
    RawRead,
    /// Sending by a closure on the raw socket.
    RawWrite,
    /// Receiving.
    Read,
    /// Sending what comes from another descriptor.
    ReadFrom,
    /// Setting a deadline or an option, or asking for an option's value.
    Set,
    /// Sending.
    Write,
    /// Writing what was received to another descriptor.
    WriteTo,
}

impl Op {
    /// Returns the word that Go prints for this operation, `"dial"` for [`Op::Dial`].
    pub fn as_str(self) -> &'static str {
        match self {
            Op::Accept => "accept",
            Op::Close => "close",
            Op::Dial => "dial",
            Op::File => "file",
            Op::Listen => "listen",
            Op::RawControl => "raw-control",
            Op::RawRead => "raw-read",
            Op::RawWrite => "raw-write",
            Op::Read => "read",
            Op::ReadFrom => "readfrom",
            Op::Set => "set",
            Op::Write => "write",
            Op::WriteTo => "writeto",
        }
    }
}

impl fmt::Display for Op {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A failed operation on a socket. Displays as `dial tcp 127.0.0.1:1: connect: connection refused`.
///
/// Found inside an [`io::Error`] by [`op_error`]. See the [module documentation](self) for an
/// example.
#[derive(Debug)]
#[non_exhaustive]
pub struct OpError {
    /// What was tried.
    pub op: Op,
    /// The network as the caller named it: `"tcp"`, `"udp6"`, or text that names no network at all.
    pub network: Cow<'static, str>,
    /// The local address, for operations on an open connection and for a dial that asked for one.
    pub source_addr: Option<Addr>,
    /// The remote address for dial, read and write; the local one for listen and accept. `None` if
    /// it never parsed.
    pub addr: Option<Addr>,
    /// The cause: the closed error, the deadline error, an [`AddrError`], or a [`SyscallError`]
    /// with its errno.
    pub err: io::Error,
    /// Bytes moved before the failure, by the operations that move more than one piece.
    transferred: Option<usize>,
}

impl OpError {
    /// Returns an error of `op` on `network` caused by `err`, without addresses.
    pub fn new(op: Op, network: impl Into<Cow<'static, str>>, err: io::Error) -> Self {
        OpError {
            op,
            network: network.into(),
            source_addr: None,
            addr: None,
            err,
            transferred: None,
        }
    }

    /// Sets the address, for an operation that has only one.
    pub fn to(mut self, addr: impl Into<Option<Addr>>) -> Self {
        self.addr = addr.into();
        self
    }

    /// Sets the local and the remote address, which print as `local->remote`.
    pub fn between(
        mut self,
        local: impl Into<Option<Addr>>,
        remote: impl Into<Option<Addr>>,
    ) -> Self {
        self.source_addr = local.into();
        self.addr = remote.into();
        self
    }

    /// Records that `bytes` bytes were moved before the failure.
    pub(crate) fn after(mut self, bytes: usize) -> Self {
        self.transferred = Some(bytes);
        self
    }

    /// Returns the kind of the cause.
    pub fn kind(&self) -> io::ErrorKind {
        self.err.kind()
    }

    /// Returns the errno of the cause, if a system call failed.
    pub fn raw_os_error(&self) -> Option<i32> {
        raw_os_error(&self.err)
    }

    /// Tells whether a deadline or a timeout of the kernel ended the operation.
    pub fn is_timeout(&self) -> bool {
        is_timeout(&self.err)
    }

    /// Tells whether the same operation may succeed if it is tried again.
    ///
    /// As in Go: timeouts, `EINTR`, `EMFILE`, `ENFILE`, and for accept a connection that its peer
    /// gave up.
    pub fn is_temporary(&self) -> bool {
        let aborted = matches!(
            self.raw_os_error(),
            Some(errno::ECONNRESET | errno::ECONNABORTED)
        );
        (self.op == Op::Accept && aborted) || is_temporary(&self.err)
    }
}

impl fmt::Display for OpError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.op, self.network)?;
        match (&self.source_addr, &self.addr) {
            (Some(source), Some(addr)) => write!(f, " {source}->{addr}")?,
            (Some(only), None) | (None, Some(only)) => write!(f, " {only}")?,
            (None, None) => {}
        }
        write!(f, ": {}", self.err)
    }
}

impl Error for OpError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&self.err)
    }
}

impl From<OpError> for io::Error {
    fn from(err: OpError) -> Self {
        io::Error::new(err.kind(), err)
    }
}

/// A system call that failed. Displays as `connect: connection refused`.
///
/// ```
/// let err = gannet_net::error::SyscallError { name: "bind", errno: 98 };
/// assert_eq!(err.to_string(), "bind: address already in use");
/// ```
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct SyscallError {
    /// The name of the system call.
    pub name: &'static str,
    /// Its error number.
    pub errno: i32,
}

impl fmt::Display for SyscallError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.name, errno::text(self.errno))
    }
}

impl Error for SyscallError {}

/// A system call that is refused for want of a privilege. Displays as `socket: operation not permitted
/// (raw sockets take CAP_NET_RAW)`.
///
/// ```
/// # gannet_runtime::Builder::new_current_thread().build()?.block_on(async {
/// use gannet_net::error::{MissingPrivilegeError, op_error};
///
/// if let Err(err) = gannet_net::listen_packet("ip4:icmp", "127.0.0.1").await {
///     let cause = op_error(&err).and_then(|failed| failed.err.get_ref());
///     assert!(cause.is_some_and(|cause| cause.is::<MissingPrivilegeError>()), "{err}");
/// }
/// # Ok::<_, std::io::Error>(()) })?;
/// # Ok::<_, std::io::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct MissingPrivilegeError {
    call: SyscallError,
    wanted: &'static str,
}

impl MissingPrivilegeError {
    pub(crate) fn new(name: &'static str, errno: i32, wanted: &'static str) -> Self {
        let call = SyscallError { name, errno };
        MissingPrivilegeError { call, wanted }
    }
}

impl fmt::Display for MissingPrivilegeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.call, self.wanted)
    }
}

impl Error for MissingPrivilegeError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&self.call)
    }
}

impl From<MissingPrivilegeError> for io::Error {
    fn from(err: MissingPrivilegeError) -> Self {
        io::Error::new(io::ErrorKind::PermissionDenied, err)
    }
}

/// Names the system call that `err` came from, if it came from one; other errors pass unchanged.
///
/// The kind is kept, and [`raw_os_error`] still finds the errno.
pub fn syscall(name: &'static str, err: io::Error) -> io::Error {
    match err.raw_os_error() {
        Some(errno) => io::Error::new(err.kind(), SyscallError { name, errno }),
        None => err,
    }
}

/// Text that is no address, or an address that does not fit. Displays as `address 127.0.0.1: missing
/// port in address`.
///
/// ```
/// let err = gannet_net::split_host_port("127.0.0.1").unwrap_err();
/// assert_eq!(err.to_string(), "address 127.0.0.1: missing port in address");
/// ```
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct AddrError {
    /// The rule that was broken.
    pub err: &'static str,
    /// The input, or empty where there was none.
    pub addr: String,
}

impl AddrError {
    /// Returns the error that `addr` breaks the rule `err`.
    pub(crate) fn new(err: &'static str, addr: impl Into<String>) -> Self {
        AddrError {
            err,
            addr: addr.into(),
        }
    }
}

impl fmt::Display for AddrError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.addr.is_empty() {
            write!(f, "address {}: ", self.addr)?;
        }
        f.write_str(self.err)
    }
}

impl Error for AddrError {}

impl From<AddrError> for io::Error {
    fn from(err: AddrError) -> Self {
        io::Error::new(io::ErrorKind::InvalidInput, err)
    }
}

/// The name of no network that this crate knows. Displays as `unknown network foo`.
///
/// ```
/// let err = "TCP".parse::<gannet_net::Network>().unwrap_err();
/// assert_eq!(err.to_string(), "unknown network TCP");
/// ```
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct UnknownNetworkError(pub String);

impl fmt::Display for UnknownNetworkError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "unknown network {}", self.0)
    }
}

impl Error for UnknownNetworkError {}

impl From<UnknownNetworkError> for io::Error {
    fn from(err: UnknownNetworkError) -> Self {
        io::Error::new(io::ErrorKind::InvalidInput, err)
    }
}

/// A host or a service that has no address. Displays as `lookup nowhere.invalid: no such host`.
///
/// ```
/// use std::io;
/// let err = gannet_net::error::LookupError::new("tcp/gopherd", "unknown port", true);
/// assert_eq!(io::Error::from(err).kind(), io::ErrorKind::NotFound);
/// ```
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct LookupError {
    /// What was looked up: a host, or `tcp/` and a service.
    pub name: String,
    /// Why there is no answer.
    pub err: String,
    /// Whether the answer is that the name does not exist, rather than that nobody answered.
    pub is_not_found: bool,
}

impl LookupError {
    /// Returns the error that `name` could not be looked up because of `err`.
    pub fn new(name: impl Into<String>, err: impl Into<String>, is_not_found: bool) -> Self {
        LookupError {
            name: name.into(),
            err: err.into(),
            is_not_found,
        }
    }
}

impl fmt::Display for LookupError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "lookup {}: {}", self.name, self.err)
    }
}

impl Error for LookupError {}

impl From<LookupError> for io::Error {
    fn from(err: LookupError) -> Self {
        let kind = if err.is_not_found {
            io::ErrorKind::NotFound
        } else {
            io::ErrorKind::Other
        };
        io::Error::new(kind, err)
    }
}

/// A datagram with a destination on a socket that has its one peer already.
///
/// ```
/// let err = gannet_net::error::WriteToConnectedError;
/// assert_eq!(err.to_string(), "use of WriteTo with pre-connected connection");
/// ```
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct WriteToConnectedError;

impl fmt::Display for WriteToConnectedError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("use of WriteTo with pre-connected connection")
    }
}

impl Error for WriteToConnectedError {}

impl From<WriteToConnectedError> for io::Error {
    fn from(err: WriteToConnectedError) -> Self {
        io::Error::new(io::ErrorKind::InvalidInput, err)
    }
}

/// Returns the [`OpError`] inside `err`, if there is one.
pub fn op_error(err: &io::Error) -> Option<&OpError> {
    chain(err).find_map(|cause| cause.downcast_ref())
}

/// Returns the errno of the system call that failed, however deeply `err` wraps it.
pub fn raw_os_error(err: &io::Error) -> Option<i32> {
    chain(err).find_map(|cause| match cause.downcast_ref::<SyscallError>() {
        Some(call) => Some(call.errno),
        None => cause.downcast_ref::<io::Error>()?.raw_os_error(),
    })
}

/// Tells whether `err` is a deadline that passed or a timeout of the kernel.
pub fn is_timeout(err: &io::Error) -> bool {
    is_deadline(err) || matches!(raw_os_error(err), Some(errno::EAGAIN | errno::ETIMEDOUT))
}

/// Tells whether the failed operation may succeed if it is tried again.
pub fn is_temporary(err: &io::Error) -> bool {
    let transient = matches!(
        raw_os_error(err),
        Some(errno::EINTR | errno::EMFILE | errno::ENFILE)
    );
    let aborted = op_error(err).is_some_and(|op| {
        op.op == Op::Accept
            && matches!(
                op.raw_os_error(),
                Some(errno::ECONNRESET | errno::ECONNABORTED)
            )
    });
    transient || aborted || is_timeout(err)
}

/// Returns how many bytes were sent before a `write_all`, or the sending side of a copy, failed; `None`
/// for any other error.
///
/// The peer may not have received them; the kernel has taken them, so that sending can go on behind
/// them.
pub fn written(err: &io::Error) -> Option<usize> {
    op_error(err).filter(|op| op.op == Op::Write)?.transferred
}

/// Returns how many bytes a failed `read_exact` left in its buffer, or a copy passed on whose source
/// failed; `None` for any other error.
pub fn received(err: &io::Error) -> Option<usize> {
    op_error(err).filter(|op| op.op == Op::Read)?.transferred
}

/// Returns how many bytes an operation had passed on when it failed: those of
/// [`copy`](crate::copy()), [`send_file`](crate::Conn::send_file) and the like, of `write_all` and
/// `read_exact`. `None` for any other error.
pub fn moved(err: &io::Error) -> Option<usize> {
    op_error(err)?.transferred
}

/// Iterates over `err` and its causes, outermost first.
///
/// `io::Error::source` skips the error it wraps and returns that one's source, so it takes this
/// detour to see them all.
fn chain(err: &io::Error) -> impl Iterator<Item = &(dyn Error + 'static)> {
    let first: &(dyn Error + 'static) = err;
    std::iter::successors(Some(first), |&cause| {
        match cause.downcast_ref::<io::Error>() {
            Some(wrapper) => wrapper
                .get_ref()
                .map(|inner| inner as &(dyn Error + 'static)),
            None => cause.source(),
        }
    })
}

#[cfg(test)]
mod tests;
