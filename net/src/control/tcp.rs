//! Options of TCP sockets.

use std::io;
use std::time::Duration;

use gannet_sys::option::{self, TcpInfo};

use crate::control::RawSocket;
use crate::keepalive::KeepAlive;

impl RawSocket<'_> {
    /// Returns the keep-alive settings of a TCP socket, or `None` if it sends no probes.
    ///
    /// # Errors
    /// `ENOPROTOOPT` or `EOPNOTSUPP` on a socket that is not TCP but has `SO_KEEPALIVE` on.
    ///
    /// Reference: [`tcp(7)`](https://man7.org/linux/man-pages/man7/tcp.7.html), `TCP_KEEPIDLE`.
    pub fn keep_alive(&self) -> io::Result<Option<KeepAlive>> {
        if !option::keepalive(self.fd)? {
            return Ok(None);
        }
        Ok(Some(KeepAlive {
            idle: Some(option::keepalive_idle(self.fd)?),
            interval: Some(option::keepalive_interval(self.fd)?),
            count: Some(option::keepalive_count(self.fd)?),
        }))
    }

    /// Makes a TCP socket send keep-alive probes, or none. A connection that is dialled is given those
    /// of [`Dialer::keep_alive`](crate::Dialer::keep_alive) when it is there, after the hook.
    ///
    /// What is `None` in [`KeepAlive`] stays as it is: by the kernel's default 2 hours of silence,
    /// probes 75 s apart, and 9 of them.
    ///
    /// ```
    /// # gannet_runtime::Builder::new_current_thread().build()?.block_on(async {
    /// use gannet_net::{KeepAlive, ListenConfig};
    /// use std::time::Duration;
    ///
    /// let patient = KeepAlive { idle: Some(Duration::from_secs(300)), ..KeepAlive::default() };
    /// let config = ListenConfig::new().control(move |_info, socket| {
    ///     socket.set_keep_alive(Some(patient))?;
    ///     socket.set_user_timeout(Some(Duration::from_secs(30)))?;
    ///     socket.set_not_sent_low(16 * 1024)?;
    ///     socket.set_quickack(true)
    /// });
    /// let listener = config.listen_stream("tcp", "127.0.0.1:0").await?;
    /// // What is accepted inherits them.
    /// assert_eq!(listener.control(|socket| socket.keep_alive())?, Some(patient));
    /// assert_eq!(listener.control(|socket| socket.not_sent_low())?, 16 * 1024);
    /// # Ok::<_, std::io::Error>(()) })?;
    /// # Ok::<_, std::io::Error>(())
    /// ```
    ///
    /// # Errors
    /// `EINVAL` if a setting is out of range, `ENOPROTOOPT` or `EOPNOTSUPP` on a socket that is not
    /// TCP. What was set before the first error stays.
    ///
    /// Reference: [`tcp(7)`](https://man7.org/linux/man-pages/man7/tcp.7.html), `TCP_KEEPIDLE`.
    pub fn set_keep_alive(&self, config: Option<KeepAlive>) -> io::Result<()> {
        option::set_keepalive(self.fd, config.is_some())?;
        let Some(config) = config else { return Ok(()) };
        if let Some(idle) = config.idle {
            option::set_keepalive_idle(self.fd, idle)?;
        }
        if let Some(interval) = config.interval {
            option::set_keepalive_interval(self.fd, interval)?;
        }
        match config.count {
            Some(count) => option::set_keepalive_count(self.fd, count),
            None => Ok(()),
        }
    }

    /// Tells whether TCP sends small segments at once.
    ///
    /// # Errors
    /// `ENOPROTOOPT` or `EOPNOTSUPP` on a socket that is not TCP.
    ///
    /// Reference: [`tcp(7)`](https://man7.org/linux/man-pages/man7/tcp.7.html), `TCP_NODELAY`.
    pub fn nodelay(&self) -> io::Result<bool> {
        option::nodelay(self.fd)
    }

    /// Makes TCP send small segments at once, or gather them (Nagle's algorithm). At once by
    /// default; a connection that is dialled is given that default when it is there, after the
    /// hook.
    ///
    /// # Errors
    /// `ENOPROTOOPT` or `EOPNOTSUPP` on a socket that is not TCP.
    ///
    /// Reference: [`tcp(7)`](https://man7.org/linux/man-pages/man7/tcp.7.html), `TCP_NODELAY`.
    pub fn set_nodelay(&self, on: bool) -> io::Result<()> {
        option::set_nodelay(self.fd, on)
    }

    /// Tells whether TCP is acknowledging at once, as it does at first.
    ///
    /// # Errors
    /// `ENOPROTOOPT` or `EOPNOTSUPP` on a socket that is not TCP.
    ///
    /// Reference: [`tcp(7)`](https://man7.org/linux/man-pages/man7/tcp.7.html), `TCP_QUICKACK`.
    pub fn quickack(&self) -> io::Result<bool> {
        option::quickack(self.fd)
    }

    /// Makes TCP acknowledge at once, or not. The kernel leaves this mode again by its own
    /// judgement.
    ///
    /// # Errors
    /// `ENOPROTOOPT` or `EOPNOTSUPP` on a socket that is not TCP.
    ///
    /// Reference: [`tcp(7)`](https://man7.org/linux/man-pages/man7/tcp.7.html), `TCP_QUICKACK`.
    pub fn set_quickack(&self, on: bool) -> io::Result<()> {
        option::set_quickack(self.fd, on)
    }

    /// Returns how long sent data may stay unacknowledged before the connection ends, in
    /// milliseconds; `None`, as at first, is the kernel's choice, some 15 minutes.
    ///
    /// # Errors
    /// `ENOPROTOOPT` or `EOPNOTSUPP` on a socket that is not TCP.
    ///
    /// Reference: [`tcp(7)`](https://man7.org/linux/man-pages/man7/tcp.7.html), `TCP_USER_TIMEOUT`.
    pub fn user_timeout(&self) -> io::Result<Option<Duration>> {
        option::tcp_user_timeout(self.fd)
    }

    /// Sets how long sent data may stay unacknowledged before the connection ends, rounded up to
    /// whole milliseconds and at least one; `None` leaves it to the kernel again.
    ///
    /// # Errors
    /// `EINVAL` over `i32::MAX` milliseconds (24.8 days), `ENOPROTOOPT` or `EOPNOTSUPP` on a socket
    /// that is not TCP.
    ///
    /// Reference: [`tcp(7)`](https://man7.org/linux/man-pages/man7/tcp.7.html), `TCP_USER_TIMEOUT`.
    pub fn set_user_timeout(&self, timeout: Option<Duration>) -> io::Result<()> {
        option::set_tcp_user_timeout(self.fd, timeout)
    }

    /// Tells whether TCP holds back segments that are not full.
    ///
    /// # Errors
    /// `ENOPROTOOPT` or `EOPNOTSUPP` on a socket that is not TCP.
    ///
    /// Reference: [`tcp(7)`](https://man7.org/linux/man-pages/man7/tcp.7.html), `TCP_CORK`.
    pub fn cork(&self) -> io::Result<bool> {
        option::cork(self.fd)
    }

    /// Makes TCP hold back segments that are not full, for 200 ms at most, or send what it held
    /// back. Off at first.
    ///
    /// # Errors
    /// `ENOPROTOOPT` or `EOPNOTSUPP` on a socket that is not TCP.
    ///
    /// Reference: [`tcp(7)`](https://man7.org/linux/man-pages/man7/tcp.7.html), `TCP_CORK`.
    pub fn set_cork(&self, on: bool) -> io::Result<()> {
        option::set_cork(self.fd, on)
    }

    /// Returns the name of the congestion control; at first that of
    /// `/proc/sys/net/ipv4/tcp_congestion_control`.
    ///
    /// # Errors
    /// `ENOPROTOOPT` or `EOPNOTSUPP` on a socket that is not TCP.
    ///
    /// Reference: [`tcp(7)`](https://man7.org/linux/man-pages/man7/tcp.7.html), `TCP_CONGESTION`.
    pub fn congestion(&self) -> io::Result<String> {
        option::congestion(self.fd)
    }

    /// Sets the congestion control, such as `cubic`.
    ///
    /// # Errors
    /// `ENOENT` for a name that the kernel does not know, `EPERM` without `CAP_NET_ADMIN` for one
    /// that is not in `/proc/sys/net/ipv4/tcp_allowed_congestion_control`, `EINVAL` for an empty
    /// one, `ENOPROTOOPT` or `EOPNOTSUPP` on a socket that is not TCP.
    ///
    /// Reference: [`tcp(7)`](https://man7.org/linux/man-pages/man7/tcp.7.html), `TCP_CONGESTION`.
    pub fn set_congestion(&self, name: &str) -> io::Result<()> {
        option::set_congestion(self.fd, name)
    }

    /// Returns how many connections that began with data a listener takes at once; 0, as at first,
    /// is none.
    ///
    /// # Errors
    /// `ENOPROTOOPT` or `EOPNOTSUPP` on a socket that is not TCP.
    ///
    /// Reference: [`tcp(7)`](https://man7.org/linux/man-pages/man7/tcp.7.html), `TCP_FASTOPEN`; RFC
    /// 7413.
    pub fn fast_open(&self) -> io::Result<u32> {
        option::fast_open(self.fd)
    }

    /// Sets how many connections that began with data a listener takes at once. The system must
    /// allow it, too: bit 1 of `/proc/sys/net/ipv4/tcp_fastopen`.
    ///
    /// # Errors
    /// `EINVAL` on a connection or over `i32::MAX`, `ENOPROTOOPT` or `EOPNOTSUPP` on a socket that
    /// is not TCP.
    ///
    /// Reference: [`tcp(7)`](https://man7.org/linux/man-pages/man7/tcp.7.html), `TCP_FASTOPEN`; RFC
    /// 7413.
    pub fn set_fast_open(&self, connections: u32) -> io::Result<()> {
        option::set_fast_open(self.fd, connections)
    }

    /// Tells whether connecting waits for data to send with it.
    ///
    /// # Errors
    /// `ENOPROTOOPT` or `EOPNOTSUPP` on a socket that is not TCP.
    ///
    /// Reference: [`tcp(7)`](https://man7.org/linux/man-pages/man7/tcp.7.html),
    /// `TCP_FASTOPEN_CONNECT`; RFC 7413.
    pub fn fast_open_connect(&self) -> io::Result<bool> {
        option::fast_open_connect(self.fd)
    }

    /// Makes connecting wait for data to send with it, if the peer is known to take it, or not. Off
    /// at first.
    ///
    /// # Errors
    /// `EOPNOTSUPP` if the system does not allow it (bit 0 of `/proc/sys/net/ipv4/tcp_fastopen`),
    /// `EINVAL` on a connection, `ENOPROTOOPT` or `EOPNOTSUPP` on a socket that is not TCP.
    ///
    /// Reference: [`tcp(7)`](https://man7.org/linux/man-pages/man7/tcp.7.html),
    /// `TCP_FASTOPEN_CONNECT`; RFC 7413.
    pub fn set_fast_open_connect(&self, on: bool) -> io::Result<()> {
        option::set_fast_open_connect(self.fd, on)
    }

    /// Returns below how many unsent bytes the socket counts as writable; 0, as at first, is the
    /// system's figure, `/proc/sys/net/ipv4/tcp_notsent_lowat`, which has no bound by default.
    ///
    /// # Errors
    /// `ENOPROTOOPT` or `EOPNOTSUPP` on a socket that is not TCP.
    ///
    /// Reference: [`tcp(7)`](https://man7.org/linux/man-pages/man7/tcp.7.html),
    /// `TCP_NOTSENT_LOWAT`.
    pub fn not_sent_low(&self) -> io::Result<u32> {
        option::not_sent_low(self.fd)
    }

    /// Sets below how many unsent bytes the socket counts as writable; 0 is the system's figure
    /// again, and `u32::MAX` has no bound.
    ///
    /// # Errors
    /// `ENOPROTOOPT` or `EOPNOTSUPP` on a socket that is not TCP.
    ///
    /// Reference: [`tcp(7)`](https://man7.org/linux/man-pages/man7/tcp.7.html),
    /// `TCP_NOTSENT_LOWAT`.
    pub fn set_not_sent_low(&self, bytes: u32) -> io::Result<()> {
        option::set_not_sent_low(self.fd, bytes)
    }

    /// Returns what the kernel knows of the connection.
    ///
    /// # Errors
    /// `ENOPROTOOPT` or `EOPNOTSUPP` on a socket that is not TCP.
    ///
    /// Reference: [`tcp(7)`](https://man7.org/linux/man-pages/man7/tcp.7.html), `TCP_INFO`.
    pub fn tcp_info(&self) -> io::Result<TcpInfo> {
        option::tcp_info(self.fd)
    }

    /// Tells whether the connection goes by multipath TCP; `false` once it fell back to plain TCP,
    /// and for any other socket.
    ///
    /// # Errors
    /// None that a socket gives.
    ///
    /// Reference: RFC 8684; [`mptcp`](https://docs.kernel.org/networking/mptcp.html), `MPTCP_INFO`.
    pub fn is_multipath(&self) -> io::Result<bool> {
        option::is_multipath(self.fd)
    }
}
