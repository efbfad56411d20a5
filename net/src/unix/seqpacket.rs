//! Unix connections that keep the bounds of what is sent.

use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use gannet_sys::socket::Kind;

use crate::addr::{Addr, unix_addr};
use crate::conn::Conn;
use crate::dial::Dialer;
use crate::network::Network;
use crate::socket::built_on;

/// A Unix connection of packets (`unixpacket`): in order, none lost, and each read receives one
/// write.
///
/// Dereferences to [`Conn`], which receives and sends, and through it to
/// [`Socket`](crate::Socket). [`ListenConfig::listen_stream`](crate::ListenConfig::listen_stream) on
/// `unixpacket` gives its listener, a [`Listener`](crate::Listener), whose connections convert by
/// `try_from`. An empty packet cannot be told from the end.
///
/// ```
/// # gannet_runtime::Builder::new_current_thread().build()?.block_on(async {
/// use gannet_net::{self as net, UnixSeqpacket};
///
/// let listener = net::listen_stream("unixpacket", "").await?;
/// let client = net::dial("unixpacket", listener.local_addr()?).await?;
/// let (server, _peer) = listener.accept().await?;
/// let server = UnixSeqpacket::try_from(server)?;
///
/// client.write(b"one").await?;
/// client.write(b"two").await?;
/// let mut buf = [0; 16];
/// assert_eq!(server.read(&mut buf).await?, 3);
/// assert_eq!(&buf[..3], b"one");
/// # Ok::<_, std::io::Error>(()) })?;
/// # Ok::<_, std::io::Error>(())
/// ```
///
/// Reference: [`unix(7)`](https://man7.org/linux/man-pages/man7/unix.7.html), `SOCK_SEQPACKET`.
pub struct UnixSeqpacket {
    conn: Conn,
}

built_on!(UnixSeqpacket, Conn, conn);
super::message::messages!(UnixSeqpacket);

impl UnixSeqpacket {
    pub(crate) fn new(conn: Conn) -> Self {
        UnixSeqpacket { conn }
    }

    /// Connects to the listener called `path`: a file, or `@` and an abstract name.
    ///
    /// Does not wait.
    ///
    /// # Cancel safety
    /// Dropping the future closes the socket.
    ///
    /// # Errors
    /// Those of [`UnixStream::connect`](crate::UnixStream::connect), and `EPROTOTYPE` if the name is
    /// that of another kind of socket.
    ///
    /// Reference: [`connect(2)`](https://man7.org/linux/man-pages/man2/connect.2.html).
    pub async fn connect(path: impl AsRef<Path>) -> io::Result<Self> {
        let remote = Addr::Unixpacket(unix_addr(path.as_ref().as_os_str().as_bytes()));
        let conn = Dialer::new()
            .dial_addrs(Network::Unixpacket, vec![remote])
            .await?;
        Ok(UnixSeqpacket { conn })
    }

    /// Makes two connections that are each other's peers, without names.
    ///
    /// # Errors
    /// `EMFILE` and `ENFILE` when descriptors ran out.
    ///
    /// Reference: [`socketpair(2)`](https://man7.org/linux/man-pages/man2/socketpair.2.html).
    pub fn pair() -> io::Result<(Self, Self)> {
        let (left, right) = super::stream::pair(Network::Unixpacket, Kind::SeqPacket)?;
        let packets = |socket| UnixSeqpacket {
            conn: Conn::new(socket),
        };
        Ok((packets(left), packets(right)))
    }

    pub(crate) fn into_conn(self) -> Conn {
        self.conn
    }
}
