//! Options of TCP connections beyond those that everybody sets.

use std::io;
use std::time::Duration;

use crate::tcp::TcpStream;

pub use gannet_sys::option::{TcpInfo, TcpState};

impl TcpStream {
    /// Tells whether segments that are not full are held back.
    ///
    /// # Errors
    /// The closed error after close.
    ///
    /// Reference: [`tcp(7)`](https://man7.org/linux/man-pages/man7/tcp.7.html), `TCP_CORK`.
    pub fn cork(&self) -> io::Result<bool> {
        self.option("getsockopt", |raw| raw.cork())
    }

    /// Holds back segments that are not full, for 200 ms at most, or sends what was held back.
    ///
    /// ```
    /// # gannet_runtime::Builder::new_current_thread().build()?.block_on(async {
    /// use gannet_net::{TcpListener, TcpStream};
    ///
    /// let listener = TcpListener::bind("127.0.0.1:0").await?;
    /// let stream = TcpStream::connect(listener.local_addr()?).await?;
    /// let (peer, _) = listener.accept().await?;
    /// stream.set_cork(true)?;
    /// stream.write_all(b"head").await?;
    /// stream.write_all(b"body").await?;
    /// stream.set_cork(false)?;
    /// let mut buf = [0; 8];
    /// peer.read_exact(&mut buf).await?;
    /// assert_eq!(&buf, b"headbody");
    /// # Ok::<_, std::io::Error>(()) })?;
    /// # Ok::<_, std::io::Error>(())
    /// ```
    ///
    /// # Errors
    /// The closed error after close.
    ///
    /// Reference: [`tcp(7)`](https://man7.org/linux/man-pages/man7/tcp.7.html), `TCP_CORK`.
    pub fn set_cork(&self, on: bool) -> io::Result<()> {
        self.option("setsockopt", |raw| raw.set_cork(on))
    }

    /// Tells whether what is received is acknowledged at once.
    ///
    /// # Errors
    /// The closed error after close.
    ///
    /// Reference: [`tcp(7)`](https://man7.org/linux/man-pages/man7/tcp.7.html), `TCP_QUICKACK`.
    pub fn quickack(&self) -> io::Result<bool> {
        self.option("getsockopt", |raw| raw.quickack())
    }

    /// Acknowledges at once what is received, or not. The kernel changes it by its own judgement, so it
    /// is to be set again after each read.
    ///
    /// # Errors
    /// The closed error after close.
    ///
    /// Reference: [`tcp(7)`](https://man7.org/linux/man-pages/man7/tcp.7.html), `TCP_QUICKACK`.
    pub fn set_quickack(&self, on: bool) -> io::Result<()> {
        self.option("setsockopt", |raw| raw.set_quickack(on))
    }

    /// Returns how long sent data may stay unacknowledged before the connection ends; `None` is the
    /// kernel's choice.
    ///
    /// # Errors
    /// The closed error after close.
    ///
    /// Reference: [`tcp(7)`](https://man7.org/linux/man-pages/man7/tcp.7.html), `TCP_USER_TIMEOUT`.
    pub fn user_timeout(&self) -> io::Result<Option<Duration>> {
        self.option("getsockopt", |raw| raw.user_timeout())
    }

    /// Sets how long sent data may stay unacknowledged before the connection ends (`ETIMEDOUT`), in
    /// whole milliseconds rounded up.
    ///
    /// # Errors
    /// The closed error after close.
    ///
    /// Reference: [`tcp(7)`](https://man7.org/linux/man-pages/man7/tcp.7.html), `TCP_USER_TIMEOUT`.
    pub fn set_user_timeout(&self, timeout: Option<Duration>) -> io::Result<()> {
        self.option("setsockopt", |raw| raw.set_user_timeout(timeout))
    }

    /// Returns below how many unsent bytes the connection counts as writable.
    ///
    /// # Errors
    /// The closed error after close.
    ///
    /// Reference: [`tcp(7)`](https://man7.org/linux/man-pages/man7/tcp.7.html), `TCP_NOTSENT_LOWAT`.
    pub fn not_sent_low(&self) -> io::Result<u32> {
        self.option("getsockopt", |raw| raw.not_sent_low())
    }

    /// Sets below how many unsent bytes the connection counts as writable, so that what is sent later is
    /// not stale by then; 0, as at first, is the system's figure, and `u32::MAX` is no bound.
    ///
    /// # Errors
    /// The closed error after close.
    ///
    /// Reference: [`tcp(7)`](https://man7.org/linux/man-pages/man7/tcp.7.html), `TCP_NOTSENT_LOWAT`.
    pub fn set_not_sent_low(&self, bytes: u32) -> io::Result<()> {
        self.option("setsockopt", |raw| raw.set_not_sent_low(bytes))
    }

    /// Returns what the kernel knows of the connection: times of a round trip, what is on its way,
    /// what was lost.
    ///
    /// # Errors
    /// The closed error after close.
    ///
    /// Reference: [`tcp(7)`](https://man7.org/linux/man-pages/man7/tcp.7.html), `TCP_INFO`.
    pub fn info(&self) -> io::Result<TcpInfo> {
        self.option("getsockopt", |raw| raw.tcp_info())
    }

    /// Tells whether the connection goes by multipath TCP, and has not fallen back to plain TCP.
    ///
    /// # Errors
    /// The closed error after close.
    ///
    /// Reference: [RFC 8684](https://www.rfc-editor.org/rfc/rfc8684).
    pub fn is_multipath(&self) -> io::Result<bool> {
        self.option("getsockopt", |raw| raw.is_multipath())
    }
}
