//! Listeners, whatever their family: accepting, and surviving the shortage of descriptors.

use std::io;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use gannet_runtime::{AdoptOptions, AsyncFd, yield_now};
use gannet_sys::errno;
use gannet_sys::option;
use gannet_sys::sockaddr::{SockAddr, UnixAddr};
use gannet_sys::socket;

use crate::addr::Addr;
use crate::conn::Conn;
use crate::error::{Op, OpError, syscall};
use crate::network::Protocol;
use crate::pause::{Backoff, pause_reading};
use crate::socket::{Socket, built_on};

/// A socket that accepts connections: TCP or Unix stream.
///
/// Comes from [`ListenConfig::listen_stream`](crate::ListenConfig::listen_stream); converts to
/// [`TcpListener`](crate::TcpListener) or [`UnixListener`](crate::UnixListener) with `try_from`,
/// and back with `into`. Dereferences to [`Socket`], which has deadlines, the address and options.
///
/// ```
/// # gannet_runtime::Builder::new_current_thread().build()?.block_on(async {
/// use gannet_net as net;
///
/// let listener = net::listen_stream("tcp", "127.0.0.1:0").await?;
/// let client = net::dial("tcp", listener.local_addr()?).await?;
/// let (server, peer) = listener.accept().await?;
/// assert_eq!(peer, client.local_addr()?);
/// assert_eq!(server.local_addr()?, listener.local_addr()?);
/// # Ok::<_, std::io::Error>(()) })?;
/// # Ok::<_, std::io::Error>(())
/// ```
pub struct Listener {
    /// Before the socket: a file is unlinked before its socket closes, so that nobody finds a dead
    /// one.
    file: Option<SocketFile>,
    socket: Socket,
    pauses: AtomicU64,
    /// How many connections are thought to wait: 1 after an edge, 0 if the kernel is to be asked.
    /// Belongs to the holder of the read lock, as the next.
    waiting: AtomicU32,
    /// The kernel has told how many wait, so that it is believed when it says none.
    counts: AtomicBool,
}

built_on!(Listener, Socket, socket);

impl Listener {
    /// Makes a listener of a listening socket. Its socket file is unlinked in the end if
    /// `owns_file`.
    pub(crate) fn new(socket: Socket, owns_file: bool) -> Self {
        let file = match socket.local_sock_addr() {
            Ok(SockAddr::Unix(UnixAddr::Path(path))) => Some(SocketFile::new(path, owns_file)),
            _ => None,
        };
        Listener {
            file,
            socket,
            pauses: AtomicU64::new(0),
            waiting: AtomicU32::new(1),
            counts: AtomicBool::new(false),
        }
    }

    /// Accepts a connection; returns it with the address of its peer.
    ///
    /// Waits for a peer, the read deadline or close. When descriptors or memory run out (`EMFILE`,
    /// `ENFILE`, `ENOBUFS`, `ENOMEM`) the listener pauses, 5 ms at first and 1 s at most, and tries
    /// again, so that service resumes by itself when there are some;
    /// [`accept_pauses`](Self::accept_pauses) counts. Connections that ended before they were
    /// accepted are passed over.
    ///
    /// # Cancel safety
    /// Dropping the future loses nothing: a connection is taken from the kernel in the poll that
    /// completes it.
    ///
    /// # Errors
    /// The deadline error after the read deadline, even if a peer waits; the closed error after
    /// close.
    ///
    /// Reference: [`accept4(2)`](https://man7.org/linux/man-pages/man2/accept4.2.html).
    pub async fn accept(&self) -> io::Result<(Conn, Addr)> {
        let (socket, peer) = self.accept_socket().await?;
        Ok((
            Conn::new(socket),
            Addr::from_kernel(self.network().protocol(), peer),
        ))
    }

    /// Accepts a connection, and returns its peer's address as the kernel gave it.
    pub(crate) async fn accept_socket(&self) -> io::Result<(Socket, SockAddr)> {
        let (fd, peer) = self
            .accept_fd()
            .await
            .map_err(|err| self.accept_failed(err))?;
        let options = AdoptOptions {
            exclusive: true,
            fresh: true,
            lazy: true,
            ..AdoptOptions::default()
        };
        let fd =
            AsyncFd::with_options(fd, options).map_err(|err| self.accept_failed(err.into()))?;
        let socket = Socket::new(fd, self.network(), self.family(), Some(peer.clone()));
        if self.passes_linger_on() {
            // Without a descriptor to spare, closing this one is as blocking as the kernel has it.
            let _ = socket.follow_linger();
        }
        Ok((socket, peer))
    }

    /// Accepts until there is a connection or an error that ends this accept.
    ///
    /// The read lock is held throughout: when descriptors run out, all tasks that accept pause as
    /// one.
    async fn accept_fd(&self) -> io::Result<(OwnedFd, SockAddr)> {
        let mut guard = self.fd.begin_read();
        let mut backoff = Backoff::new(PAUSE_MIN, PAUSE_MAX);
        loop {
            let err = match guard.read_with(|fd| self.accept_known(fd)).await {
                Ok(accepted) => return Ok(accepted),
                Err(err) => err,
            };
            match AcceptFailure::of(&err) {
                AcceptFailure::Shortage => {
                    self.pauses.fetch_add(1, Ordering::Relaxed);
                    pause_reading(&mut guard, backoff.advance()).await?;
                }
                // One attempt at a time, so that a storm of dead connections starves nobody.
                AcceptFailure::Connection => yield_now().await,
                AcceptFailure::Listener => return Err(err),
            }
        }
    }

    /// Accepts one of the connections that are thought to wait. After the last of them the kernel is
    /// asked how many have come since, and if there are none, nothing is tried: an accept that finds
    /// none costs more than one that succeeds.
    fn accept_known(&self, fd: BorrowedFd<'_>) -> io::Result<(OwnedFd, SockAddr)> {
        let thought = self.waiting.swap(1, Ordering::Relaxed);
        let counts = self.counts.load(Ordering::Relaxed);
        let is_tcp = self.network().protocol() == Protocol::Tcp;
        let waiting = if is_tcp && (thought == 0 || !counts) {
            match option::accept_queue(fd) {
                // Whoever comes after this look has an edge of its own.
                Ok(0) if counts => return Err(io::ErrorKind::WouldBlock.into()),
                Ok(waiting) => {
                    self.counts.store(waiting > 0, Ordering::Relaxed);
                    waiting
                }
                Err(_) => 1,
            }
        } else {
            thought
        };
        let accepted = socket::accept(fd)?;
        self.waiting
            .store(waiting.saturating_sub(1), Ordering::Relaxed);
        Ok(accepted)
    }

    /// Returns how many times accepting has paused because descriptors or memory ran out.
    pub fn accept_pauses(&self) -> u64 {
        self.pauses.load(Ordering::Relaxed)
    }

    /// Waits until an accept would not wait: for a peer, the read deadline or close.
    ///
    /// # Cancel safety
    /// Dropping the future loses nothing.
    ///
    /// # Errors
    /// The deadline error after the read deadline, the closed error after close.
    ///
    /// Reference: [`poll(2)`](https://man7.org/linux/man-pages/man2/poll.2.html).
    pub async fn readable(&self) -> io::Result<()> {
        self.fd
            .readable()
            .await
            .map_err(|err| self.accept_failed(err))
    }

    /// Closes the listener as [`Socket::close`] does, and before that unlinks its socket file if it
    /// owns one.
    ///
    /// # Cancel safety
    /// Dropping the future stops the waiting, not the closing.
    ///
    /// # Errors
    /// The closed error if it was closed before.
    ///
    /// Reference: [`close(2)`](https://man7.org/linux/man-pages/man2/close.2.html).
    pub fn close(&self) -> impl Future<Output = io::Result<()>> + Send + '_ {
        if let Some(file) = &self.file {
            file.unlink();
        }
        let closing = self.fd.close();
        async move {
            let local = || self.known_local();
            closing
                .await
                .map_err(|err| self.listener_error(Op::Close, syscall("close", err), local()))
        }
    }

    /// Decides whether the socket file of a Unix listener, of streams or of packets, is unlinked when
    /// the listener is closed or dropped.
    ///
    /// On for a listener that was opened here, off for one that was adopted. An abstract name has
    /// no file, and neither has TCP: then nothing happens.
    ///
    /// ```
    /// # gannet_runtime::Builder::new_current_thread().build()?.block_on(async {
    /// let path = std::env::temp_dir().join(format!("gannet-left-{}.sock", std::process::id()));
    /// let listener = gannet_net::listen_stream("unixpacket", path.display()).await?;
    /// listener.set_unlink_on_close(false);
    /// drop(listener);
    /// std::fs::remove_file(&path)?; // It was left.
    /// # Ok::<_, std::io::Error>(()) })?;
    /// # Ok::<_, std::io::Error>(())
    /// ```
    ///
    /// Reference: [`unix(7)`](https://man7.org/linux/man-pages/man7/unix.7.html).
    pub fn set_unlink_on_close(&self, on: bool) {
        if let Some(file) = &self.file {
            file.enabled.store(on, Ordering::Relaxed);
        }
    }

    /// Gives the descriptor away; the file stays for whoever takes it.
    pub(crate) fn into_owned_fd(self) -> io::Result<OwnedFd> {
        self.set_unlink_on_close(false);
        self.socket.into_owned_fd()
    }

    fn accept_failed(&self, err: io::Error) -> io::Error {
        self.listener_error(Op::Accept, syscall("accept4", err), self.known_local())
    }

    /// Wraps an error as Go does for listeners: with their own address only.
    fn listener_error(&self, op: Op, err: io::Error, local: Option<Addr>) -> io::Error {
        OpError::new(op, self.network().as_str(), err)
            .to(local)
            .into()
    }
}

const PAUSE_MIN: Duration = Duration::from_millis(5);
const PAUSE_MAX: Duration = Duration::from_secs(1);

/// Whose failure an error of `accept4(2)` is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum AcceptFailure {
    /// Descriptors or memory ran out. The connection waits in the queue, and no edge will tell
    /// again.
    Shortage,
    /// The next connection ended before it was accepted: there may be another behind it.
    Connection,
    /// The listener cannot accept.
    Listener,
}

impl AcceptFailure {
    fn of(err: &io::Error) -> Self {
        use errno::{
            ECONNABORTED, EHOSTUNREACH, EMFILE, ENETDOWN, ENETUNREACH, ENFILE, ENOBUFS, ENOMEM,
            ENOPROTOOPT, EOPNOTSUPP, EPERM, EPROTO,
        };
        match err.raw_os_error() {
            Some(EMFILE | ENFILE | ENOBUFS | ENOMEM) => AcceptFailure::Shortage,
            Some(
                ECONNABORTED | EHOSTUNREACH | ENETDOWN | ENETUNREACH | ENOPROTOOPT | EOPNOTSUPP
                | EPERM | EPROTO,
            ) => AcceptFailure::Connection,
            _ => AcceptFailure::Listener,
        }
    }
}

/// The file of a Unix listener, unlinked at most once: whoever makes a new one of that name keeps
/// it.
#[derive(Debug)]
struct SocketFile {
    path: PathBuf,
    enabled: AtomicBool,
    done: AtomicBool,
}

impl SocketFile {
    fn new(path: PathBuf, enabled: bool) -> Self {
        SocketFile {
            path,
            enabled: AtomicBool::new(enabled),
            done: AtomicBool::new(false),
        }
    }

    /// Unlinks the file, unless that is switched off or was decided before.
    fn unlink(&self) {
        if !self.done.swap(true, Ordering::Relaxed) && self.enabled.load(Ordering::Relaxed) {
            // As in Go: a file that somebody else removed already is no reason to fail a close.
            let _ = socket::unlink(&self.path);
        }
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        self.unlink();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accept_failure_follows_table() {
        use AcceptFailure::{Connection, Listener, Shortage};
        for (errno, want) in [
            (errno::EMFILE, Shortage),
            (errno::ENFILE, Shortage),
            (errno::ENOBUFS, Shortage),
            (errno::ENOMEM, Shortage),
            (errno::ECONNABORTED, Connection),
            (errno::EPROTO, Connection),
            (errno::EPERM, Connection),
            (errno::ENETDOWN, Connection),
            (errno::EHOSTUNREACH, Connection),
            (errno::EINVAL, Listener),
            (errno::EBADF, Listener),
            (errno::ENOTSOCK, Listener),
        ] {
            let err = io::Error::from_raw_os_error(errno);
            assert_eq!(AcceptFailure::of(&err), want, "{err}");
        }
        assert_eq!(AcceptFailure::of(&crate::error::closed()), Listener);
        assert_eq!(
            AcceptFailure::of(&crate::error::deadline_exceeded()),
            Listener
        );
    }

    #[test]
    fn socket_file_is_unlinked_once() {
        let path = std::env::temp_dir().join(format!("gannet-net-file-{}", std::process::id()));
        let create = || std::fs::write(&path, "").unwrap();

        create();
        let file = SocketFile::new(path.clone(), true);
        file.unlink();
        assert!(!path.exists());

        create();
        file.unlink();
        drop(file);
        assert!(path.exists(), "somebody else's file");

        drop(SocketFile::new(path.clone(), false));
        assert!(path.exists(), "switched off");
        drop(SocketFile::new(path.clone(), true));
        assert!(!path.exists());
    }
}
