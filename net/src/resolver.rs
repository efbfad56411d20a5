//! Looking names up: the trait, the C library behind it, and tables for tests and small networks.

use std::collections::HashMap;
use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::pin::Pin;
use std::sync::{Arc, LazyLock};

use gannet_runtime::{JoinHandle, spawn_blocking};

use crate::error::LookupError;

mod permits;

use permits::Permits;

/// The answer of a [`Resolver`] on its way.
pub type Lookup<'a> = Pin<Box<dyn Future<Output = io::Result<Vec<SocketAddr>>> + Send + 'a>>;

/// What finds the addresses of a host.
///
/// [`Dialer::resolver`](crate::Dialer::resolver) and
/// [`ListenConfig::resolver`](crate::ListenConfig::resolver) take one; without it they ask
/// [`SystemResolver`]. Literal addresses are never looked up. A function from host and port to a
/// future is a resolver too:
///
/// ```
/// # gannet_runtime::Builder::new_current_thread().build()?.block_on(async {
/// use gannet_net::{Dialer, TcpListener};
/// use std::io;
/// use std::net::SocketAddr;
///
/// let listener = TcpListener::bind("127.0.0.1:0").await?;
/// let everything_is_here = |_host: String, port: u16| async move {
///     Ok::<_, io::Error>(vec![SocketAddr::from(([127, 0, 0, 1], port))])
/// };
/// let dialer = Dialer::new().resolver(everything_is_here);
/// let port = listener.local_addr()?.port();
/// let conn = dialer.dial("tcp", format_args!("db.example:{port}")).await?;
/// assert_eq!(conn.peer_addr()?.port(), Some(port));
/// # Ok::<_, std::io::Error>(()) })?;
/// # Ok::<_, std::io::Error>(())
/// ```
pub trait Resolver: Send + Sync {
    /// Finds the addresses of `host`, with `port` in each, in the order in which they should be
    /// tried.
    ///
    /// # Cancel safety
    /// A caller that has seen enough drops the future, at any time.
    ///
    /// # Errors
    /// A [`LookupError`] says what is wrong with the name. No addresses at all are taken for "no such
    /// host".
    fn lookup<'a>(&'a self, host: &'a str, port: u16) -> Lookup<'a>;
}

impl<F, A> Resolver for F
where
    F: Fn(String, u16) -> A + Send + Sync,
    A: Future<Output = io::Result<Vec<SocketAddr>>> + Send + 'static,
{
    fn lookup<'a>(&'a self, host: &'a str, port: u16) -> Lookup<'a> {
        Box::pin(self(host.to_owned(), port))
    }
}

/// The resolver of a configuration.
#[derive(Clone)]
pub(crate) struct Names(Arc<dyn Resolver>);

impl Names {
    pub(crate) fn new(resolver: impl Resolver + 'static) -> Self {
        Names(Arc::new(resolver))
    }

    /// Finds the addresses of `host`. Never none.
    pub(crate) async fn lookup(&self, host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
        let found = self.0.lookup(host, port).await?;
        if found.is_empty() {
            return Err(LookupError::new(host, NO_SUCH_HOST, true).into());
        }
        Ok(found)
    }
}

impl Default for Names {
    /// The C library, under the limit that all share.
    fn default() -> Self {
        static SHARED: LazyLock<Names> = LazyLock::new(|| Names::new(SystemResolver::default()));
        SHARED.clone()
    }
}

impl fmt::Debug for Names {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("resolver")
    }
}

/// The C library's `getaddrinfo`: `/etc/hosts`, name servers, and what else this machine is
/// configured for; in the order of RFC 6724.
///
/// It blocks a thread of the runtime's blocking pool for each lookup, and so has a limit: further
/// lookups wait for their turn, first come first served. Dropping a lookup gives up its turn; one
/// that has begun goes on unheard and keeps its thread until the C library gives up.
///
/// ```
/// use gannet_net::{Dialer, SystemResolver};
///
/// let dialer = Dialer::new().resolver(SystemResolver::with_limit(4));
/// # drop(dialer);
/// ```
///
/// Reference: [`getaddrinfo(3)`](https://man7.org/linux/man-pages/man3/getaddrinfo.3.html).
#[derive(Clone, Debug)]
pub struct SystemResolver {
    permits: Permits,
}

impl SystemResolver {
    /// How many lookups go on at once by default, those of all default resolvers together.
    pub const LIMIT: usize = 128;

    /// Returns the resolver that dialers and listeners use by default, with a limit that all share.
    pub fn new() -> Self {
        static SHARED: LazyLock<Permits> = LazyLock::new(|| Permits::new(SystemResolver::LIMIT));
        SystemResolver {
            permits: SHARED.clone(),
        }
    }

    /// Returns a resolver that does at most `lookups` at once, at least one, whatever others do. Its
    /// clones share the limit.
    pub fn with_limit(lookups: usize) -> Self {
        SystemResolver {
            permits: Permits::new(lookups.max(1)),
        }
    }
}

impl Default for SystemResolver {
    fn default() -> Self {
        Self::new()
    }
}

impl Resolver for SystemResolver {
    fn lookup<'a>(&'a self, host: &'a str, port: u16) -> Lookup<'a> {
        Box::pin(async move {
            let permit = self.permits.acquire().await;
            let name = host.to_owned();
            let call = move || {
                let answer = (name.as_str(), port).to_socket_addrs().map(Vec::from_iter);
                // Only now, and not when the caller has lost interest, is the thread free.
                drop(permit);
                answer
            };
            let failed = |err: String, not_found| LookupError::new(host, err, not_found);
            match Unheard(spawn_blocking(call)).answer().await {
                Err(join) => Err(failed(join.to_string(), false).into()),
                Ok(Err(err)) => {
                    let (text, not_found) = words(&err.to_string());
                    Err(failed(text, not_found).into())
                }
                Ok(Ok(found)) => Ok(found),
            }
        })
    }
}

/// A call that is taken off the pool's queue when it is dropped before it began.
struct Unheard<T>(JoinHandle<T>);

impl<T> Unheard<T> {
    async fn answer(&mut self) -> Result<T, gannet_runtime::JoinError> {
        (&mut self.0).await
    }
}

impl<T> Drop for Unheard<T> {
    fn drop(&mut self) {
        self.0.abort();
    }
}

const NO_SUCH_HOST: &str = "no such host";

/// The C library's words for a name that does not exist, or exists without an address.
const NOT_FOUND: [&str; 3] = [
    "Name or service not known",
    "No address associated with hostname",
    "Address family for hostname not supported",
];

/// Returns what to say about a failed lookup, and whether there is no such name. The standard library
/// keeps the text of `gai_strerror(3)`, not its number.
fn words(text: &str) -> (String, bool) {
    let text = text.rsplit(": ").next().unwrap_or_default();
    match NOT_FOUND.contains(&text) {
        true => (NO_SUCH_HOST.to_owned(), true),
        false => (text.to_owned(), false),
    }
}

/// A table of hosts, for tests and for networks that have no name server. A name that is not in it
/// does not exist.
///
/// ```
/// # gannet_runtime::Builder::new_current_thread().build()?.block_on(async {
/// use gannet_net::{Dialer, StaticResolver};
///
/// let hosts = StaticResolver::new().host("db.example", ["127.0.0.1".parse().unwrap()]);
/// let dialer = Dialer::new().resolver(hosts);
/// let err = dialer.dial("tcp", "www.example:80").await.unwrap_err();
/// assert_eq!(err.to_string(), "dial tcp: lookup www.example: no such host");
/// # Ok::<_, std::io::Error>(()) })?;
/// # Ok::<_, std::io::Error>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct StaticResolver {
    /// By name in lower case, without the dot of the root.
    hosts: HashMap<String, Vec<IpAddr>>,
}

impl StaticResolver {
    /// Returns an empty table.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds addresses of `name`, behind those it has. Case and a final dot do not matter.
    #[must_use]
    pub fn host(mut self, name: &str, addresses: impl IntoIterator<Item = IpAddr>) -> Self {
        let known = self.hosts.entry(canonical(name)).or_default();
        known.extend(addresses);
        self
    }
}

impl Resolver for StaticResolver {
    fn lookup<'a>(&'a self, host: &'a str, port: u16) -> Lookup<'a> {
        let found = self.hosts.get(&canonical(host));
        let found = found.map(|ips| ips.iter().map(|&ip| SocketAddr::new(ip, port)).collect());
        Box::pin(std::future::ready(found.ok_or_else(|| {
            LookupError::new(host, NO_SUCH_HOST, true).into()
        })))
    }
}

fn canonical(name: &str) -> String {
    name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_of_the_c_library_tell_whether_a_name_exists() {
        let prefix = "failed to lookup address information: ";
        for (text, want, not_found) in [
            ("Name or service not known", "no such host", true),
            ("No address associated with hostname", "no such host", true),
            (
                "Temporary failure in name resolution",
                "Temporary failure in name resolution",
                false,
            ),
        ] {
            let got = words(&format!("{prefix}{text}"));
            assert_eq!(got, (want.to_owned(), not_found));
        }
    }
}
