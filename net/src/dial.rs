//! Dialling: one address, or several that race, or one after the other with a share of the time each.

use std::fmt;
use std::io;
use std::time::{Duration, Instant};

use gannet_runtime::error::deadline_exceeded;
use gannet_runtime::time::{now, timeout_at};
use gannet_sys::errno;

use crate::addr::Addr;
use crate::conn::Conn;
use crate::connect::connect;
use crate::control::{Control, ControlInfo, RawSocket};
use crate::error::{AddrError, Op, OpError, raw_os_error};
use crate::family::Ends;
use crate::keepalive::KeepAlive;
use crate::network::{Network, Protocol, ToNetwork};
use crate::open::NewSocket;
use crate::race::{interleave, race};
use crate::resolve::{MISSING_ADDRESS, resolve_dial};
use crate::resolver::{Names, Resolver};
use crate::socket::Socket;

/// How to dial.
///
/// The order of system calls is a contract:
///
/// | kind | calls |
/// |---|---|
/// | TCP | `socket`, `IPV6_V6ONLY`, **hook**, (`bind`), `connect`, `TCP_NODELAY`, keep-alive |
/// | UDP | `socket`, `IPV6_V6ONLY`, `SO_BROADCAST`, **hook**, (`bind`), `connect` |
/// | Unix | `socket`, **hook**, (`bind`), `connect` |
///
/// `IPV6_V6ONLY` is set for IPv6. The socket is bound only if a local address was given. The TCP
/// addresses of a name race ([RFC 8305](https://www.rfc-editor.org/rfc/rfc8305)): see
/// [`fallback_delay`](Self::fallback_delay).
///
/// ```
/// # gannet_runtime::Builder::new_current_thread().build()?.block_on(async {
/// use gannet_net::{Dialer, TcpListener};
/// use std::time::Duration;
///
/// let listener = TcpListener::bind("127.0.0.1:0").await?;
/// let conn = Dialer::new()
///     .timeout(Duration::from_secs(5))
///     .control(|_info, socket| socket.set_tos(0x10))
///     .dial("tcp", listener.local_addr()?).await?;
/// assert_eq!(conn.tos()?, 0x10);
/// # Ok::<_, std::io::Error>(()) })?;
/// # Ok::<_, std::io::Error>(())
/// ```
#[derive(Clone, Debug)]
#[must_use = "a dialer dials nothing by itself"]
pub struct Dialer {
    control: Control,
    local: Option<Addr>,
    timeout: Option<Duration>,
    deadline: Option<Instant>,
    keep_alive: Option<KeepAlive>,
    fallback_delay: Option<Duration>,
    fast_open: bool,
    multipath: bool,
    names: Names,
}

impl Default for Dialer {
    fn default() -> Self {
        Dialer {
            control: Control::default(),
            local: None,
            timeout: None,
            deadline: None,
            keep_alive: Some(KeepAlive::default()),
            fallback_delay: Some(FALLBACK_DELAY),
            fast_open: false,
            multipath: false,
            names: Names::default(),
        }
    }
}

impl Dialer {
    /// Returns the defaults: no hook, no limit of time, a local address that the kernel chooses,
    /// keep-alive as [`KeepAlive::default`].
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets a hook that runs on each new socket before `bind` and `connect`.
    ///
    /// It is told the network with its version of IP decided (`tcp6`, never `tcp`) and the address
    /// to dial, and borrows the socket for the call only. It runs for each address that is tried.
    /// An error from it closes the socket and fails that address. It must not wait.
    pub fn control(
        mut self,
        hook: impl Fn(&ControlInfo, &RawSocket<'_>) -> io::Result<()> + Send + Sync + 'static,
    ) -> Self {
        self.control = Control::new(hook);
        self
    }

    /// Sets the local address to dial from, of the same network as the address to dial. Addresses
    /// of another version of IP are not tried.
    pub fn local_addr(mut self, local: impl Into<Option<Addr>>) -> Self {
        self.local = local.into();
        self
    }

    /// Sets how long a dial may take in all, lookup included; several addresses share it. Zero is
    /// over at once.
    pub fn timeout(mut self, timeout: impl Into<Option<Duration>>) -> Self {
        self.timeout = timeout.into();
        self
    }

    /// Sets when a dial must be over; with a timeout, too, the earlier one counts. The connection
    /// is not limited by it.
    pub fn deadline(mut self, deadline: impl Into<Option<Instant>>) -> Self {
        self.deadline = deadline.into();
        self
    }

    /// Sets the keep-alive probes of TCP connections; `None` leaves the kernel's default, which is
    /// none.
    pub fn keep_alive(mut self, config: impl Into<Option<KeepAlive>>) -> Self {
        self.keep_alive = config.into();
        self
    }

    /// Sets how long after one TCP address the next is tried, if none has failed meanwhile; 250 ms by
    /// default. `None` tries them one after the other, each for its share of the time.
    ///
    /// IPv6 and IPv4 take turns. The first to connect wins, and the others are closed.
    ///
    /// ```
    /// # gannet_runtime::Builder::new_current_thread().build()?.block_on(async {
    /// use gannet_net::{Dialer, TcpListener};
    /// use std::time::Duration;
    ///
    /// let listener = TcpListener::bind("127.0.0.1:0").await?;
    /// let port = listener.local_addr()?.port();
    /// let dialer = Dialer::new().fallback_delay(Duration::from_millis(50)).keep_alive(None);
    /// let conn = dialer.dial("tcp", format!("127.0.0.1:{port}")).await?;
    /// assert_eq!(conn.peer_addr()?.port(), Some(port));
    /// # Ok::<_, std::io::Error>(()) })?;
    /// # Ok::<_, std::io::Error>(())
    /// ```
    pub fn fallback_delay(mut self, delay: impl Into<Option<Duration>>) -> Self {
        self.fallback_delay = delay.into();
        self
    }

    /// Sends the first data of a TCP connection with its first packet, where the peer has allowed it
    /// before (TCP Fast Open), or not. Off by default.
    ///
    /// Then the dial does not wait for the peer, and does not tell that nobody is there: the first
    /// write begins the connection, and must come before the first read. What it sends may arrive
    /// twice. A kernel that does not do it is no error.
    ///
    /// Reference: [RFC 7413](https://www.rfc-editor.org/rfc/rfc7413).
    pub fn fast_open(mut self, on: bool) -> Self {
        self.fast_open = on;
        self
    }

    /// Asks TCP peers for several paths, or not. Off by default. Where this kernel does not do it,
    /// plain TCP does, as with a peer that does not.
    /// [`TcpStream::is_multipath`](crate::TcpStream::is_multipath) tells what has become of it.
    ///
    /// Reference: [RFC 8684](https://www.rfc-editor.org/rfc/rfc8684).
    pub fn multipath(mut self, on: bool) -> Self {
        self.multipath = on;
        self
    }

    /// Sets what finds the addresses of host names, in place of
    /// [`SystemResolver`](crate::SystemResolver).
    pub fn resolver(mut self, resolver: impl Resolver + 'static) -> Self {
        self.names = Names::new(resolver);
        self
    }

    /// Connects to `address`: `host:port` for `tcp`, `udp` and their versions; for `unix`,
    /// `unixpacket` and `unixgram` a path, or `@` and an abstract name. No host means this machine.
    ///
    /// Waits for the lookup of a name and for the peer's answer, within the dialer's limits of
    /// time. Several TCP addresses race. Otherwise a name's addresses are tried in order, and each gets
    /// an equal share of the time left, but 2 s at least. UDP exchanges no packet.
    ///
    /// # Cancel safety
    /// Dropping the future gives up; the socket is closed. A lookup in progress goes on unheard.
    ///
    /// # Errors
    /// The error of the first address that was tried, an [`OpError`]: `ECONNREFUSED`,
    /// `ENETUNREACH`, `EHOSTUNREACH`, `ENOENT` for a Unix path, `EAGAIN` if a Unix listener's queue
    /// is full; the deadline error; a [`LookupError`](crate::error::LookupError) for a name; an
    /// [`AddrError`] for an address that breaks a rule.
    ///
    /// Reference: [`connect(2)`](https://man7.org/linux/man-pages/man2/connect.2.html).
    pub async fn dial(
        &self,
        network: impl ToNetwork,
        address: impl fmt::Display,
    ) -> io::Result<Conn> {
        let (network, address) = (network.to_network(), address.to_string());
        let network = network.map_err(|err| OpError::new(Op::Dial, err.0.clone(), err.into()))?;
        let deadline = self.overall_deadline(now());
        let addrs = before(
            deadline,
            resolve_dial(network, &address, self.local.as_ref(), &self.names),
        )
        .await;
        let addrs = addrs.map_err(|err| OpError::new(Op::Dial, network.as_str(), err))?;
        self.dial_any(network, addrs, deadline).await
    }

    /// Connects to the first of `addrs` that answers.
    pub(crate) async fn dial_addrs(&self, network: Network, addrs: Vec<Addr>) -> io::Result<Conn> {
        self.dial_any(network, addrs, self.overall_deadline(now()))
            .await
    }

    /// Connects to one of `addrs`: TCP addresses race, if there are several.
    async fn dial_any(
        &self,
        network: Network,
        addrs: Vec<Addr>,
        deadline: Option<Instant>,
    ) -> io::Result<Conn> {
        match self.fallback_delay {
            Some(delay) if addrs.len() > 1 && network.protocol() == Protocol::Tcp => {
                // Boxed, because few dials have several addresses, and all would be bigger.
                Box::pin(self.dial_race(network, interleave(addrs), deadline, delay)).await
            }
            _ => self.dial_serial(network, &addrs, deadline).await,
        }
    }

    async fn dial_race(
        &self,
        network: Network,
        addrs: Vec<Addr>,
        deadline: Option<Instant>,
        delay: Duration,
    ) -> io::Result<Conn> {
        race(addrs.len(), delay, |number| {
            self.attempt(network, &addrs[number], deadline)
        })
        .await
        .map_err(|err| {
            OpError::new(Op::Dial, network.as_str(), err)
                .between(self.local.clone(), addrs.first().cloned())
                .into()
        })
    }

    /// The earlier of deadline and timeout. A timeout beyond what an `Instant` can hold is none.
    fn overall_deadline(&self, now: Instant) -> Option<Instant> {
        let timeout = self.timeout.and_then(|timeout| now.checked_add(timeout));
        match (timeout, self.deadline) {
            (Some(timeout), Some(deadline)) => Some(timeout.min(deadline)),
            (timeout, deadline) => timeout.or(deadline),
        }
    }

    /// Connects to one address of several, unless it is too late to begin.
    async fn attempt(
        &self,
        network: Network,
        remote: &Addr,
        deadline: Option<Instant>,
    ) -> io::Result<Conn> {
        if deadline.is_some_and(|deadline| deadline <= now()) {
            return Err(deadline_exceeded());
        }
        self.dial_addr(network, remote, deadline).await
    }

    async fn dial_serial(
        &self,
        network: Network,
        addrs: &[Addr],
        deadline: Option<Instant>,
    ) -> io::Result<Conn> {
        let mut first = None;
        for (tried, remote) in addrs.iter().enumerate() {
            let share = partial_deadline(now(), deadline, addrs.len() - tried);
            let over = share.is_err();
            let result = match share {
                Ok(share) => self.dial_addr(network, remote, share).await,
                Err(err) => Err(err),
            };
            match result {
                Ok(conn) => return Ok(conn),
                Err(err) => first.get_or_insert((err, remote)),
            };
            if over {
                break;
            }
        }
        let (err, remote) = match first {
            Some((err, remote)) => (err, Some(remote.clone())),
            None => (AddrError::new(MISSING_ADDRESS, "").into(), None),
        };
        Err(OpError::new(Op::Dial, network.as_str(), err)
            .between(self.local.clone(), remote)
            .into())
    }

    /// Connects to one address; again where the kernel chose the local port badly.
    ///
    /// A port on this machine may be dialled from that very port, which connects the socket to
    /// itself, and a choice that collides gives `EADDRNOTAVAIL`. Both are worth another try, with
    /// another port.
    async fn dial_addr(
        &self,
        network: Network,
        remote: &Addr,
        deadline: Option<Instant>,
    ) -> io::Result<Conn> {
        let port_is_chosen = self
            .local
            .as_ref()
            .is_none_or(|local| local.port() == Some(0));
        let mut retries = match network.protocol() {
            Protocol::Tcp if port_is_chosen => 2,
            _ => 0,
        };
        loop {
            let result = self.dial_once(network, remote, deadline).await;
            let unlucky = match &result {
                Ok(conn) => is_self_connected(conn),
                Err(err) => raw_os_error(err) == Some(errno::EADDRNOTAVAIL),
            };
            if !unlucky || retries == 0 {
                return result;
            }
            retries -= 1;
        }
    }

    async fn dial_once(
        &self,
        network: Network,
        remote: &Addr,
        deadline: Option<Instant>,
    ) -> io::Result<Conn> {
        let local = self.local.as_ref().filter(|local| !is_unnamed(local));
        let mut new = NewSocket::open(network, Ends::Dial { local, remote }, self.multipath)?;
        let family = new.family();
        let peer = new.sock_addr(remote)?;
        let bind = local.map(|local| new.sock_addr(local)).transpose()?;
        if self.fast_open && network.protocol() == Protocol::Tcp {
            let _ = new.raw().set_fast_open_connect(true);
        }
        new.control(&self.control, remote)?;
        if let Some(bind) = bind {
            new.bind(&bind)?;
        }
        let (fd, peer) = connect(new, &peer, deadline).await?;
        let socket = Socket::new(fd, network, family, Some(peer));
        let _ = socket.local_sock_addr();
        if network.protocol() == Protocol::Tcp {
            self.tcp_options(&socket);
            if self.control.is_set() {
                socket.follow_linger()?;
            }
        }
        Ok(Conn::new(socket))
    }

    /// Sets the options of a new TCP connection. As in Go, a connection without them is still a
    /// connection.
    fn tcp_options(&self, socket: &Socket) {
        let _ = socket.with_raw(|raw| {
            let _ = raw.set_nodelay(true);
            if self.keep_alive.is_some() {
                let _ = raw.set_keep_alive(self.keep_alive);
            }
            Ok(())
        });
    }
}

/// The pause between two attempts that RFC 8305 recommends.
const FALLBACK_DELAY: Duration = Duration::from_millis(250);

/// The least time for one of several addresses, if there is as much.
const SHARE_MIN: Duration = Duration::from_secs(2);

/// Returns the deadline for the next of `left` addresses: an equal share of the time left, but
/// [`SHARE_MIN`] at least.
///
/// # Errors
/// The deadline error if no time is left.
fn partial_deadline(
    now: Instant,
    deadline: Option<Instant>,
    left: usize,
) -> io::Result<Option<Instant>> {
    let Some(deadline) = deadline else {
        return Ok(None);
    };
    let remaining = deadline.saturating_duration_since(now);
    if remaining.is_zero() {
        return Err(deadline_exceeded());
    }
    let share = remaining / u32::try_from(left.max(1)).unwrap_or(u32::MAX);
    Ok(Some(now + share.max(SHARE_MIN).min(remaining)))
}

/// Waits for `future`, but not past `deadline`.
async fn before<T>(
    deadline: Option<Instant>,
    future: impl Future<Output = io::Result<T>>,
) -> io::Result<T> {
    match deadline {
        None => future.await,
        Some(deadline) => timeout_at(deadline, future)
            .await
            .unwrap_or_else(|_| Err(deadline_exceeded())),
    }
}

/// Whether both ends of a TCP connection are the same socket, or one of them is not known.
fn is_self_connected(conn: &Conn) -> bool {
    match (conn.local_sock_addr(), conn.peer_sock_addr()) {
        (Ok(local), Some(peer)) => local == peer,
        _ => true,
    }
}

/// Whether `addr` is the empty Unix name, which a dial takes for no address.
fn is_unnamed(addr: &Addr) -> bool {
    matches!(addr.unix_addr(), Some(crate::UnixAddr::Unnamed))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn partial_deadline_shares_the_time_left() {
        let now = Instant::now();
        let ms = Duration::from_millis;
        for (remaining, left, share) in [
            (ms(12_000), 1, ms(12_000)),
            (ms(12_000), 2, ms(6_000)),
            (ms(12_000), 3, ms(4_000)),
            (ms(12_000), 999, ms(2_000)),
            (ms(1_900), 999, ms(1_900)),
            (ms(1), 1, ms(1)),
        ] {
            let got = partial_deadline(now, Some(now + remaining), left).unwrap();
            assert_eq!(got, Some(now + share), "{remaining:?} for {left}");
        }
        assert_eq!(partial_deadline(now, None, 1).unwrap(), None);
        for late in [now, now - ms(1)] {
            let err = partial_deadline(now, Some(late), 1).unwrap_err();
            assert!(crate::error::is_deadline(&err));
        }
    }

    #[test]
    fn overall_deadline_is_the_earlier() {
        let now = Instant::now();
        let s = Duration::from_secs;
        let check = |dialer: Dialer, want| assert_eq!(dialer.overall_deadline(now), want);
        check(Dialer::new(), None);
        check(Dialer::new().timeout(s(5)), Some(now + s(5)));
        check(Dialer::new().deadline(now + s(3)), Some(now + s(3)));
        check(
            Dialer::new().timeout(s(5)).deadline(now + s(3)),
            Some(now + s(3)),
        );
        check(
            Dialer::new().timeout(s(1)).deadline(now + s(3)),
            Some(now + s(1)),
        );
        check(Dialer::new().timeout(Duration::MAX), None);
        check(
            Dialer::new().timeout(Duration::MAX).deadline(now + s(3)),
            Some(now + s(3)),
        );
    }
}
