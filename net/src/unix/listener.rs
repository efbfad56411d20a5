//! Unix stream listeners.

use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use gannet_sys::sockaddr::UnixAddr;

use crate::addr::{Addr, unix_addr};
use crate::conn::Conn;
use crate::error::Op;
use crate::listen::ListenConfig;
use crate::listener::Listener;
use crate::network::Network;
use crate::socket::built_on;
use crate::unix::UnixStream;

/// A Unix stream listener.
///
/// Dereferences to [`Listener`], which says how accepting deals with errors, and through it to
/// [`Socket`](crate::Socket), which has the deadline of accepting. The socket file is unlinked when
/// the listener is closed or dropped, before its descriptor closes. A file that is there already,
/// even a dead one, makes [`bind`](Self::bind) fail.
///
/// ```
/// # gannet_runtime::Builder::new_current_thread().build()?.block_on(async {
/// use gannet_net::{UnixListener, UnixStream};
///
/// let path = std::env::temp_dir().join(format!("gannet-doc-{}.sock", std::process::id()));
/// let listener = UnixListener::bind(&path).await?;
/// let client = UnixStream::connect(&path).await?;
/// let (server, _peer) = listener.accept().await?;
/// drop(client);
/// assert_eq!(server.read(&mut [0; 1]).await?, 0);
///
/// listener.close().await?;
/// assert!(!path.exists());
/// # Ok::<_, std::io::Error>(()) })?;
/// # Ok::<_, std::io::Error>(())
/// ```
///
/// Reference: [`unix(7)`](https://man7.org/linux/man-pages/man7/unix.7.html).
pub struct UnixListener {
    listener: Listener,
}

built_on!(UnixListener, Listener, listener);

impl UnixListener {
    pub(crate) fn new(listener: Listener) -> Self {
        UnixListener { listener }
    }

    /// Listens under a name: a file, `@` and an abstract name, or empty for an abstract name that
    /// the kernel chooses.
    ///
    /// Does not wait.
    ///
    /// # Cancel safety
    /// Dropping the future leaves no socket behind.
    ///
    /// # Errors
    /// Those of [`ListenConfig::listen_stream`].
    ///
    /// Reference: [`bind(2)`](https://man7.org/linux/man-pages/man2/bind.2.html).
    pub async fn bind(path: impl AsRef<Path>) -> io::Result<Self> {
        let local = Addr::Unix(unix_addr(path.as_ref().as_os_str().as_bytes()));
        let listener = ListenConfig::new().listen_stream_addr(Network::Unix, &local)?;
        Ok(UnixListener { listener })
    }

    /// Accepts a connection; returns it with the name of its peer. See [`Listener::accept`].
    ///
    /// Waits for a peer, the read deadline or close.
    ///
    /// # Cancel safety
    /// Dropping the future loses nothing.
    ///
    /// # Errors
    /// Those of [`Listener::accept`].
    ///
    /// Reference: [`accept4(2)`](https://man7.org/linux/man-pages/man2/accept4.2.html).
    pub async fn accept(&self) -> io::Result<(UnixStream, UnixAddr)> {
        let (socket, peer) = self.accept_socket().await?;
        Ok((UnixStream::new(Conn::new(socket)), super::name(peer)))
    }

    /// Returns the name listened under, as the kernel knows it.
    ///
    /// # Errors
    /// The closed error after close, if nobody asked before.
    ///
    /// Reference: [`getsockname(2)`](https://man7.org/linux/man-pages/man2/getsockname.2.html).
    pub fn local_addr(&self) -> io::Result<UnixAddr> {
        let local = self.local_sock_addr();
        local
            .map(super::name)
            .map_err(|err| self.failed(Op::Set, "getsockname", err))
    }

    pub(crate) fn into_listener(self) -> Listener {
        self.listener
    }
}
