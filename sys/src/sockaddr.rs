//! Socket addresses, to and from the bytes that the kernel reads and writes.
//!
//! The kernel's structures are written and read byte by byte at their documented offsets. Nothing
//! is cast from the standard library's types, whose layout is nobody's promise
//! (RUSTSEC-2020-0079), and no byte beyond the length that the kernel reported is looked at.

use std::io;
use std::mem::{offset_of, size_of};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::PathBuf;

use libc::{sa_family_t, sockaddr_in, sockaddr_in6, sockaddr_storage, sockaddr_un, socklen_t};

mod link;

pub use link::{HardwareAddr, LinkAddr, PacketType};

const FAMILY_LEN: usize = size_of::<sa_family_t>();
const V4_PORT: usize = offset_of!(sockaddr_in, sin_port);
const V4_IP: usize = offset_of!(sockaddr_in, sin_addr);
const V6_PORT: usize = offset_of!(sockaddr_in6, sin6_port);
const V6_FLOW: usize = offset_of!(sockaddr_in6, sin6_flowinfo);
const V6_IP: usize = offset_of!(sockaddr_in6, sin6_addr);
const V6_SCOPE: usize = offset_of!(sockaddr_in6, sin6_scope_id);
const UNIX_NAME: usize = offset_of!(sockaddr_un, sun_path);

/// The address of a socket.
///
/// ```
/// use gannet_sys::sockaddr::{SockAddr, UnixAddr};
///
/// let inet = SockAddr::from(std::net::SocketAddr::from(([127, 0, 0, 1], 80)));
/// assert!(matches!(inet, SockAddr::Inet(addr) if addr.port() == 80));
/// let unix = SockAddr::from(UnixAddr::Abstract(b"bus".to_vec()));
/// assert!(matches!(unix, SockAddr::Unix(_)));
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum SockAddr {
    /// IPv4 or IPv6. The scope id is an interface's number, and the flow information has the bytes
    /// in the kernel's order, as everywhere in the standard library.
    Inet(SocketAddr),
    /// Unix. [`UnixAddr::Unnamed`] also stands for "no address": what a stream socket tells as the
    /// source of received data.
    Unix(UnixAddr),
    /// Of packets below IP: an interface, a protocol, a hardware address.
    Link(LinkAddr),
}

impl From<SocketAddr> for SockAddr {
    fn from(addr: SocketAddr) -> Self {
        Self::Inet(addr)
    }
}

impl From<UnixAddr> for SockAddr {
    fn from(addr: UnixAddr) -> Self {
        Self::Unix(addr)
    }
}

impl From<LinkAddr> for SockAddr {
    fn from(addr: LinkAddr) -> Self {
        Self::Link(addr)
    }
}

/// The address of a Unix socket.
///
/// ```
/// use gannet_sys::sockaddr::UnixAddr;
///
/// assert_eq!(UnixAddr::from_path("")?, UnixAddr::Unnamed);
/// let err = UnixAddr::from_path("x".repeat(108)).unwrap_err();
/// assert_eq!(err.to_string(), "unix socket path of 108 bytes is over the limit of 107");
/// # Ok::<(), std::io::Error>(())
/// ```
///
/// Reference: [`unix(7)`](https://man7.org/linux/man-pages/man7/unix.7.html).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum UnixAddr {
    /// No name. Binding to it lets the kernel choose an abstract name of five hexadecimal digits.
    Unnamed,
    /// A file: 1 to [`NAME_MAX`](Self::NAME_MAX) bytes, none of them NUL. An empty path is taken
    /// for [`Unnamed`](Self::Unnamed).
    Path(PathBuf),
    /// A name in the abstract namespace, without the leading NUL byte: at most
    /// [`NAME_MAX`](Self::NAME_MAX) bytes of any value. It may be empty.
    Abstract(Vec<u8>),
}

impl UnixAddr {
    /// The most bytes that a path or an abstract name may have: 108, less the NUL that ends the
    /// one and starts the other.
    pub const NAME_MAX: usize = size_of::<sockaddr_un>() - UNIX_NAME - 1;

    /// Makes the address of a file; an empty path is [`Unnamed`](Self::Unnamed).
    ///
    /// # Errors
    /// Those of [`check`](Self::check).
    ///
    /// Reference: [`unix(7)`](https://man7.org/linux/man-pages/man7/unix.7.html).
    pub fn from_path(path: impl Into<PathBuf>) -> io::Result<Self> {
        let path = path.into();
        let addr = if path.as_os_str().is_empty() {
            Self::Unnamed
        } else {
            Self::Path(path)
        };
        addr.check()?;
        Ok(addr)
    }

    /// Tells whether the kernel could take this address.
    ///
    /// # Errors
    /// Kind `InvalidInput` for a path or a name that is too long, or a path that holds a NUL byte;
    /// the text names the rule, the length and the limit.
    ///
    /// Reference: [`unix(7)`](https://man7.org/linux/man-pages/man7/unix.7.html).
    pub fn check(&self) -> io::Result<()> {
        let (what, name) = match self {
            Self::Unnamed => return Ok(()),
            Self::Path(path) => ("path", path.as_os_str().as_bytes()),
            Self::Abstract(name) => ("abstract name", name.as_slice()),
        };
        let (len, max) = (name.len(), Self::NAME_MAX);
        if len > max {
            return Err(invalid_input(format!(
                "unix socket {what} of {len} bytes is over the limit of {max}"
            )));
        }
        match name.iter().position(|&byte| byte == 0) {
            Some(at) if matches!(self, Self::Path(_)) => Err(invalid_input(format!(
                "unix socket path of {len} bytes (limit {max}) has a NUL byte at offset {at}"
            ))),
            _ => Ok(()),
        }
    }
}

fn invalid_input(text: String) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, text)
}

fn invalid_data(text: String) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, text)
}

/// An address as the kernel sees it: the bytes, and how many count.
///
/// The alignment is that of `sockaddr_storage`, so a pointer to `bytes` may go where the kernel
/// wants a pointer to any `sockaddr`.
#[repr(C, align(8))]
pub(crate) struct RawAddr {
    pub(crate) bytes: [u8; size_of::<sockaddr_storage>()],
    pub(crate) len: socklen_t,
}

impl RawAddr {
    /// An all-zero address with its full length, for the kernel to write to.
    pub(crate) const EMPTY: Self = Self {
        bytes: [0; size_of::<sockaddr_storage>()],
        len: size_of::<sockaddr_storage>() as socklen_t,
    };

    /// Makes an all-zero address with its full length, for the kernel to write to.
    #[inline]
    pub(crate) fn empty() -> Self {
        Self::EMPTY
    }

    /// Takes an address that the kernel wrote elsewhere, such as in control data.
    pub(crate) fn from_bytes(bytes: &[u8]) -> Self {
        let mut raw = Self::EMPTY;
        let len = bytes.len().min(raw.bytes.len());
        raw.put(0, &bytes[..len]);
        raw.len = len as socklen_t;
        raw
    }

    /// Writes `addr` in the kernel's form.
    pub(crate) fn new(addr: &SockAddr) -> io::Result<Self> {
        Ok(match addr {
            SockAddr::Inet(SocketAddr::V4(addr)) => Self::from_v4(addr),
            SockAddr::Inet(SocketAddr::V6(addr)) => Self::from_v6(addr),
            SockAddr::Unix(addr) => Self::from_unix(addr)?,
            SockAddr::Link(addr) => addr.encode(),
        })
    }

    /// Returns a pointer for a call that reads an address.
    pub(crate) fn as_ptr(&self) -> *const libc::sockaddr {
        self.bytes.as_ptr().cast()
    }

    fn with_family(family: i32, len: usize) -> Self {
        let mut raw = Self::empty();
        raw.put(0, &(family as sa_family_t).to_ne_bytes());
        raw.len = len as socklen_t;
        raw
    }

    fn from_v4(addr: &SocketAddrV4) -> Self {
        let mut raw = Self::with_family(libc::AF_INET, size_of::<sockaddr_in>());
        raw.put(V4_PORT, &addr.port().to_be_bytes());
        raw.put(V4_IP, &addr.ip().octets());
        raw
    }

    fn from_v6(addr: &SocketAddrV6) -> Self {
        let mut raw = Self::with_family(libc::AF_INET6, size_of::<sockaddr_in6>());
        raw.put(V6_PORT, &addr.port().to_be_bytes());
        raw.put(V6_FLOW, &addr.flowinfo().to_ne_bytes());
        raw.put(V6_IP, &addr.ip().octets());
        raw.put(V6_SCOPE, &addr.scope_id().to_ne_bytes());
        raw
    }

    fn from_unix(addr: &UnixAddr) -> io::Result<Self> {
        addr.check()?;
        let (at, name, len) = match addr {
            UnixAddr::Path(path) if !path.as_os_str().is_empty() => {
                let name = path.as_os_str().as_bytes();
                // The NUL that ends the path counts.
                (UNIX_NAME, name, UNIX_NAME + name.len() + 1)
            }
            UnixAddr::Abstract(name) => {
                // A NUL comes first and nothing ends the name: the length alone tells.
                (UNIX_NAME + 1, name.as_slice(), UNIX_NAME + 1 + name.len())
            }
            UnixAddr::Unnamed | UnixAddr::Path(_) => (UNIX_NAME, [].as_slice(), UNIX_NAME),
        };
        let mut raw = Self::with_family(libc::AF_UNIX, len);
        raw.put(at, name);
        Ok(raw)
    }

    /// Reads what the kernel wrote.
    pub(crate) fn decode(&self) -> io::Result<SockAddr> {
        // The kernel reports the length that it would have liked to write, which may be longer.
        let len = (self.len as usize).min(self.bytes.len());
        if len < FAMILY_LEN {
            return Ok(SockAddr::Unix(UnixAddr::Unnamed));
        }
        match i32::from(sa_family_t::from_ne_bytes(self.get(0))) {
            libc::AF_INET if len >= V4_IP + 4 => Ok(SockAddr::Inet(self.decode_v4().into())),
            // Shorter by the scope id is the form of RFC 2133: the bytes left out are zero here.
            libc::AF_INET6 if len >= V6_IP + 16 => Ok(SockAddr::Inet(self.decode_v6().into())),
            libc::AF_UNIX => Ok(SockAddr::Unix(decode_unix(&self.bytes[FAMILY_LEN..len]))),
            libc::AF_PACKET => Ok(SockAddr::Link(LinkAddr::decode(&self.bytes[..len])?)),
            family @ (libc::AF_INET | libc::AF_INET6) => Err(invalid_data(format!(
                "socket address of family {family} has only {len} bytes"
            ))),
            family => Err(invalid_data(format!(
                "socket address of family {family}, which is not IPv4, IPv6, Unix or of packets"
            ))),
        }
    }

    fn decode_v4(&self) -> SocketAddrV4 {
        let ip = Ipv4Addr::from(self.get::<4>(V4_IP));
        SocketAddrV4::new(ip, u16::from_be_bytes(self.get(V4_PORT)))
    }

    fn decode_v6(&self) -> SocketAddrV6 {
        SocketAddrV6::new(
            Ipv6Addr::from(self.get::<16>(V6_IP)),
            u16::from_be_bytes(self.get(V6_PORT)),
            u32::from_ne_bytes(self.get(V6_FLOW)),
            u32::from_ne_bytes(self.get(V6_SCOPE)),
        )
    }

    fn put(&mut self, at: usize, bytes: &[u8]) {
        self.bytes[at..at + bytes.len()].copy_from_slice(bytes);
    }

    fn get<const N: usize>(&self, at: usize) -> [u8; N] {
        let mut out = [0; N];
        out.copy_from_slice(&self.bytes[at..at + N]);
        out
    }
}

/// Reads the name of a Unix address: `name` is what follows the family, as long as was reported.
fn decode_unix(name: &[u8]) -> UnixAddr {
    match name {
        [] => UnixAddr::Unnamed,
        [0, rest @ ..] => UnixAddr::Abstract(rest.to_vec()),
        // A path of the full 108 bytes has no NUL inside the structure; shorter ones end at it.
        _ => {
            let end = name
                .iter()
                .position(|&byte| byte == 0)
                .unwrap_or(name.len());
            UnixAddr::Path(std::ffi::OsString::from_vec(name[..end].to_vec()).into())
        }
    }
}

#[cfg(test)]
mod tests;
