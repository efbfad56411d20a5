//! The echo servers: one file a rival, all of one shape.
//!
//! Each accepts TCP connections, sets `TCP_NODELAY`, and writes back what it reads through a 4 KiB
//! buffer, with a task (coroutine, goroutine) a connection where the rival has such. With
//! `--datagrams N` it binds N UDP sockets instead, and a task a socket sends each datagram back to
//! where it came from, one datagram a call, or as many as are there (`--batches`, `--joined`). With
//! `--relay ADDR` and `--files DIR` it does that in place of echoes; gannet and nginx are programs of
//! their own there. All but Go share this program's allocator, the C
//! library's. When accept fails (for want of descriptors), a rival whose own accept does not wait pauses 10 ms and goes
//! on.

mod gannet;
mod go;
mod may;
mod monoio;
mod programs;
mod quinn;
mod raw;
mod raw_datagrams;
mod raw_relay;
mod smol;
mod tokio;

use std::io::{self, Read as _, Write as _};
use std::net::{SocketAddr, SocketAddrV4};
use std::path::PathBuf;
use std::process;
use std::str::FromStr;
use std::thread;
use std::time::Duration;

pub(crate) use self::programs::ROOT;
use crate::bulk;
use crate::raw::process::{pin_to_cpu, raise_descriptor_limit, set_descriptor_limit};

/// Size of a read buffer.
pub(crate) const BUFFER_SIZE: usize = 4096;
/// Datagrams that a batch holds.
const BATCH: usize = 64;
/// Size of a buffer for datagrams that the kernel joined.
const JOINED_SIZE: usize = u16::MAX as usize;
/// How far ahead `--deadline` sets the deadline of each read and write.
const DEADLINE: Duration = Duration::from_secs(30);
/// How long accept pauses after it failed.
const ACCEPT_PAUSE: Duration = Duration::from_millis(10);
/// How long the task of `--blocker` keeps its worker.
const BLOCK: Duration = Duration::from_millis(100);
/// How long it sleeps between, as a task should.
const BLOCK_PAUSE: Duration = Duration::from_millis(10);
/// Descriptors a server asks for; the limit may be lower.
const DESCRIPTORS_WANTED: u64 = 200_000;

/// A server to measure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rival {
    /// A loop on epoll without any runtime: the floor.
    Raw,
    /// gannet's multi-thread runtime.
    Gannet,
    /// gannet's current-thread runtime.
    GannetCt,
    /// tokio's multi-thread runtime.
    Tokio,
    /// tokio's current-thread runtime.
    TokioCt,
    /// smol: async-executor and async-io.
    Smol,
    /// monoio on its epoll driver.
    Monoio,
    /// monoio on io_uring.
    MonoioUring,
    /// may: stackful coroutines.
    May,
    /// Go, where a `go` command is found.
    Go,
    /// nginx, which serves files.
    Nginx,
}

impl Rival {
    /// Every rival, in the order of the tables.
    pub(crate) const ALL: [Self; 11] = [
        Self::Raw,
        Self::Gannet,
        Self::GannetCt,
        Self::Tokio,
        Self::TokioCt,
        Self::Smol,
        Self::Monoio,
        Self::MonoioUring,
        Self::May,
        Self::Go,
        Self::Nginx,
    ];

    /// Returns the name on the command line and in the tables.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Raw => "raw",
            Self::Gannet => "gannet",
            Self::GannetCt => "gannet-ct",
            Self::Tokio => "tokio",
            Self::TokioCt => "tokio-ct",
            Self::Smol => "smol",
            Self::Monoio => "monoio",
            Self::MonoioUring => "monoio-uring",
            Self::May => "may",
            Self::Go => "go",
            Self::Nginx => "nginx",
        }
    }

    /// Tells why this rival cannot run on this machine, if so.
    pub(crate) fn missing(self) -> Option<&'static str> {
        match self {
            Self::Go if !go::is_installed() => Some("no go command found"),
            Self::Nginx if !programs::has_nginx() => Some("no nginx command found"),
            Self::MonoioUring if !monoio::has_uring() => Some("the kernel gives no io_uring"),
            _ => None,
        }
    }

    /// Tells whether this rival uses one thread however many workers are asked for.
    pub(crate) fn is_single_threaded(self) -> bool {
        matches!(self, Self::GannetCt | Self::TokioCt | Self::Nginx)
    }

    /// Tells whether this rival has workers that a task could block.
    pub(crate) fn can_be_blocked(self) -> bool {
        matches!(self, Self::Gannet | Self::Tokio | Self::Smol | Self::Go)
    }

    /// Tells whether this rival has a relay of its own.
    pub(crate) fn can_relay(self) -> bool {
        matches!(
            self,
            Self::Raw | Self::Gannet | Self::Tokio | Self::TokioCt | Self::Go
        )
    }

    /// Tells whether this rival has a server of files.
    pub(crate) fn can_serve_files(self) -> bool {
        matches!(self, Self::Gannet | Self::Nginx)
    }

    /// Tells whether this rival takes part in a bulk transfer of datagrams.
    pub(crate) fn has_bulk(self) -> bool {
        self.can_join() || self == Self::Go
    }

    /// Tells whether this rival sends and receives many datagrams a call.
    pub(crate) fn can_batch(self) -> bool {
        matches!(self, Self::Raw | Self::Gannet | Self::GannetCt)
    }

    /// Tells whether this rival has the kernel join and cut datagrams; tokio by quinn-udp.
    pub(crate) fn can_join(self) -> bool {
        self.can_batch() || matches!(self, Self::Tokio | Self::TokioCt)
    }

    /// Tells whether an idle connection of this rival can do without a buffer.
    pub(crate) fn can_be_lazy(self) -> bool {
        matches!(
            self,
            Self::Raw
                | Self::Gannet
                | Self::GannetCt
                | Self::Tokio
                | Self::TokioCt
                | Self::Smol
                | Self::Go
        )
    }
}

impl FromStr for Rival {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let names = Self::ALL.map(Self::name);
        let found = Self::ALL.into_iter().find(|rival| rival.name() == text);
        found.ok_or_else(|| format!("unknown rival {text}; there are {}", names.join(", ")))
    }
}

/// How a server is to be.
#[derive(Clone, Debug)]
pub(crate) struct Options {
    /// Where to listen; port 0 lets the kernel choose.
    pub(crate) addr: SocketAddrV4,
    /// Threads that serve.
    pub(crate) workers: usize,
    /// Re-arms a deadline on every read and write.
    pub(crate) deadline: bool,
    /// Allocates the buffer when bytes are there and frees it after the echo.
    pub(crate) lazy: bool,
    /// Starts a task that blocks its worker again and again, beside the connections.
    pub(crate) blocker: bool,
    /// Relays to there, in place of echoes.
    pub(crate) relay: Option<SocketAddrV4>,
    /// Serves this folder's files over HTTP, in place of echoes.
    pub(crate) files: Option<PathBuf>,
    /// Sends datagrams from a socket to another, in place of connections.
    pub(crate) bulk: bool,
    /// Many datagrams a call.
    pub(crate) batches: bool,
    /// Those of a peer joined, received and sent as one.
    pub(crate) joined: bool,
    /// The one processor to run on.
    pub(crate) cpu: Option<usize>,
    /// Sockets that echo datagrams, in place of connections.
    pub(crate) datagrams: Option<usize>,
    /// Soft limit of descriptors, as after `ulimit -n`.
    pub(crate) descriptors: Option<u64>,
}

/// Serves until SIGTERM or the end of standard input; returns only on failure.
pub(crate) fn serve(rival: Rival, options: &Options) -> io::Result<()> {
    if let Some(why) = rival.missing() {
        return Err(io::Error::new(io::ErrorKind::Unsupported, why));
    }
    if let Some(why) = refusal(rival, options) {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, why));
    }
    if let Some(cpu) = options.cpu {
        pin_to_cpu(cpu)?;
    }
    match options.descriptors {
        Some(soft) => set_descriptor_limit(soft)?,
        None => {
            raise_descriptor_limit(DESCRIPTORS_WANTED)?;
        }
    }
    if rival == Rival::Go {
        // Replaces this process, so the program there watches standard input itself.
        return go::run(options);
    }
    match (rival, &options.files, options.relay) {
        (Rival::Nginx, Some(folder), _) => return programs::nginx(options, folder),
        (_, Some(folder), _) => return programs::files(options, folder),
        (Rival::Gannet, None, Some(upstream)) => return programs::proxy(options, upstream),
        _ => {}
    }
    exit_at_end_of_input()?;
    match rival {
        Rival::Raw if options.bulk => bulk::raw::run(options.joined),
        Rival::Raw => match (options.datagrams, options.relay) {
            (Some(sockets), _) => raw_datagrams::run(options, sockets),
            (None, Some(upstream)) => raw_relay::run(options, upstream),
            (None, None) => raw::run(options),
        },
        Rival::Gannet => gannet::run(options, gannet::Flavor::MultiThread),
        Rival::GannetCt => gannet::run(options, gannet::Flavor::CurrentThread),
        Rival::Tokio => tokio::run(options, tokio::Flavor::MultiThread),
        Rival::TokioCt => tokio::run(options, tokio::Flavor::CurrentThread),
        Rival::Smol => smol::run(options),
        Rival::Monoio => monoio::run(options, monoio::Driver::Epoll),
        Rival::MonoioUring => monoio::run(options, monoio::Driver::Uring),
        Rival::May => may::run(options),
        Rival::Go | Rival::Nginx => unreachable!("handled above"),
    }
}

/// Tells what `rival` cannot do of what it is asked to.
fn refusal(rival: Rival, options: &Options) -> Option<&'static str> {
    let (relay, files) = (options.relay.is_some(), options.files.is_some());
    [
        (
            options.lazy,
            rival.can_be_lazy(),
            "this rival cannot be --lazy",
        ),
        (
            options.blocker,
            rival.can_be_blocked(),
            "this rival has no --blocker",
        ),
        (relay, rival.can_relay(), "this rival has no --relay"),
        (files, rival.can_serve_files(), "this rival has no --files"),
        (!files, rival != Rival::Nginx, "this rival has only --files"),
        (options.bulk, rival.has_bulk(), "this rival has no --bulk"),
        (
            options.batches,
            rival.can_batch(),
            "this rival has no --batches",
        ),
        (
            options.joined,
            rival.can_join(),
            "this rival has no --joined",
        ),
    ]
    .into_iter()
    .find_map(|(is_asked, is_able, why)| (is_asked && !is_able).then_some(why))
}

/// Prints the line that who started this server waits for.
pub(crate) fn announce(addr: SocketAddr) -> io::Result<()> {
    announce_all(&[addr])
}

/// Prints the line that who started this server waits for, with a comma between addresses.
fn announce_all(addrs: &[SocketAddr]) -> io::Result<()> {
    let addrs: Vec<String> = addrs.iter().map(SocketAddr::to_string).collect();
    let mut out = io::stdout().lock();
    writeln!(out, "listening {}", addrs.join(","))?;
    out.flush()
}

/// Ends the process with its standard input, so that no server outlives who started it.
fn exit_at_end_of_input() -> io::Result<()> {
    thread::Builder::new()
        .name("stdin".to_owned())
        .stack_size(64 << 10)
        .spawn(|| {
            let mut buf = [0; 64];
            while !matches!(io::stdin().lock().read(&mut buf), Ok(0) | Err(_)) {}
            process::exit(0);
        })?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    #[test]
    fn serve_what_a_rival_cannot_do_is_refused() {
        let upstream = SocketAddrV4::new(Ipv4Addr::LOCALHOST, 1);
        let options = |blocker, lazy, relay: bool, files: bool| Options {
            addr: SocketAddrV4::new(Ipv4Addr::LOCALHOST, 0),
            workers: 1,
            deadline: false,
            lazy,
            blocker,
            relay: relay.then_some(upstream),
            files: files.then(|| "/tmp".into()),
            bulk: false,
            batches: false,
            joined: false,
            cpu: None,
            datagrams: None,
            descriptors: None,
        };
        for (rival, options) in [
            (Rival::GannetCt, options(true, false, false, false)),
            (Rival::May, options(false, true, false, false)),
            (Rival::Smol, options(false, false, true, false)),
            (Rival::Tokio, options(false, false, false, true)),
            (
                Rival::Smol,
                Options {
                    bulk: true,
                    ..options(false, false, false, false)
                },
            ),
            (
                Rival::Tokio,
                Options {
                    batches: true,
                    ..options(false, false, false, false)
                },
            ),
        ] {
            let err = serve(rival, &options).unwrap_err();
            assert_eq!(err.kind(), io::ErrorKind::InvalidInput, "{err}");
        }
        let no_files = options(false, false, false, false);
        assert!(refusal(Rival::Nginx, &no_files).is_some());
        assert!(refusal(Rival::Gannet, &options(true, true, true, true)).is_none());
    }

    #[test]
    fn every_rival_has_a_name_that_parses_back() {
        for rival in Rival::ALL {
            assert_eq!(rival.name().parse::<Rival>().unwrap(), rival);
        }
        assert!("nonsense".parse::<Rival>().unwrap_err().contains("raw, "));
    }
}
