//! The subjects: what each measures, how its rivals are started, and which figures it tells.

use crate::server::Rival;

/// Which of a column's figures over the rounds is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pick {
    /// The median.
    Median,
    /// The smallest, where one bad round is a failure.
    Smallest,
}

/// A column of a table.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Column {
    /// Its title, with the unit.
    pub(crate) title: &'static str,
    /// The figure of the generator's report.
    pub(crate) figure: &'static str,
    /// What the figure is multiplied by.
    pub(crate) scale: f64,
    /// Decimals.
    pub(crate) digits: usize,
    /// What is told of the rounds.
    pub(crate) pick: Pick,
}

const fn column(title: &'static str, figure: &'static str, digits: usize) -> Column {
    Column {
        title,
        figure,
        scale: 1.0,
        digits,
        pick: Pick::Median,
    }
}

const P50: Column = column("p50 µs", "p50_us", 1);
const P99: Column = column("p99 µs", "p99_us", 1);
const P999: Column = column("p99.9 µs", "p999_us", 1);
const MAX: Column = column("max µs", "max_us", 0);
const SERVER_CPU: Column = column("server CPU %", "server_cpu_percent", 0);
const GENERATOR_CPU: Column = column("generator CPU %", "generator_cpu_percent", 0);
const CPU: Column = column("CPU µs each", "server_cpu_us", 2);
const USER: Column = column("user µs each", "server_user_us", 3);
const SYSTEM: Column = column("system µs each", "server_system_us", 3);
const SWITCHES: Column = column("switches each", "server_switches", 4);
const MIB: f64 = 1.0 / (1024.0 * 1024.0);
const RSS: Column = Column {
    scale: MIB,
    ..column("RSS MiB", "server_rss_bytes", 1)
};

/// Something to compare the rivals in.
#[derive(Debug)]
pub(crate) struct Subject {
    /// Its name on the command line.
    pub(crate) name: &'static str,
    /// What is measured, unit, floor, rival and noise.
    pub(crate) head: &'static str,
    /// The kind of load.
    pub(crate) load: &'static str,
    /// Connections (clients) unless told otherwise.
    pub(crate) connections: u64,
    /// Rounds unless told otherwise.
    pub(crate) rounds: u64,
    /// Soft limit of the server's descriptors, where that is the subject.
    pub(crate) descriptors: Option<u64>,
    /// Starts rivals without a buffer for idle connections, where they can.
    pub(crate) lazy: bool,
    /// The figure that decides; it comes first, with its spread and the ratios.
    pub(crate) key: Column,
    /// Whom the key figure is compared with.
    pub(crate) bases: &'static [Rival],
    /// The other columns.
    pub(crate) columns: &'static [Column],
}

/// All subjects.
pub(crate) const SUBJECTS: &[Subject] = &[
    Subject {
        name: "echo",
        head: "\
Measured: echoes on settled connections in a closed loop: each sends its next request when it has
the last one's echo. Unit: echoes a second, so more is better; costs are those of the server, each
request. Floor: raw, a loop on epoll. Rival: tokio. Noise: absolute figures move by 10 % and more
from run to run on a shared machine; the ratios, taken within a round, by some 3 %. A generator
that is busier than the server (CPU %) hides differences: look at the costs then.",
        load: "echo",
        connections: 64,
        rounds: 5,
        descriptors: None,
        lazy: false,
        key: column("requests/s", "requests_per_second", 0),
        bases: &[Rival::Raw, Rival::Tokio],
        columns: &[
            P50,
            P99,
            P999,
            CPU,
            USER,
            SYSTEM,
            SWITCHES,
            SERVER_CPU,
            GENERATOR_CPU,
            RSS,
        ],
    },
    Subject {
        name: "tail",
        head: "\
Measured: the latency that 1 of 100 echoes exceeds (and 1 of 1,000), with 1,000 connections in a
closed loop, from the send to the last byte back. Unit: microseconds, so less is better. Floor: raw,
a loop on epoll, where a request waits for all others once. Rival: tokio. Noise: p99 by some 10 %,
p99.9 by more: it tells of a few thousand requests, and of the machine's other work.",
        load: "echo",
        connections: 1000,
        rounds: 5,
        descriptors: None,
        lazy: false,
        key: P99,
        bases: &[Rival::Raw, Rival::Tokio],
        columns: &[
            P50,
            P999,
            MAX,
            column("requests/s", "requests_per_second", 0),
            SERVER_CPU,
            RSS,
        ],
    },
    Subject {
        name: "churn",
        head: "\
Measured: connections that are made, exchange one request of 64 bytes and are closed by the client,
64 at once. Unit: connections a second, so more is better; latency is from the start of the connect
to the last byte of the echo; costs are those of the server, each connection. Floor: raw, a loop on
epoll. Rival: tokio. Noise: some 5 % in the ratios; the kernel's share is 9/10 of the cost. On two
processors the generator has the more to do, and a server that is done sooner goes idle and costs
it a wake-up: compare the costs there, or the throughput with --same-cpu.",
        load: "churn",
        connections: 64,
        rounds: 5,
        descriptors: None,
        lazy: false,
        key: column("connections/s", "connections_per_second", 0),
        bases: &[Rival::Raw, Rival::Tokio],
        columns: &[
            P50,
            P99,
            P999,
            CPU,
            USER,
            SYSTEM,
            SWITCHES,
            SERVER_CPU,
            GENERATOR_CPU,
        ],
    },
    Subject {
        name: "idle",
        head: "\
Measured: growth of the server's resident memory by connections on which nothing happens. Unit:
bytes a connection, so less is better; the kernel's memory is not in it. Rivals marked lazy allocate
a buffer when bytes arrive and free it after the echo; the others hold one of 4 KiB (all do with
--held). Floor: raw, which keeps 32 bytes. Rival: tokio. Noise: pages and growing tables, 10 %.",
        load: "idle",
        connections: 10_000,
        rounds: 3,
        descriptors: None,
        lazy: true,
        key: column("bytes each", "bytes_per_connection", 0),
        bases: &[Rival::Tokio],
        columns: &[
            Column {
                scale: MIB,
                ..column("RSS before MiB", "server_rss_before_bytes", 1)
            },
            Column {
                scale: MIB,
                ..column("RSS after MiB", "server_rss_after_bytes", 1)
            },
            column("opened in s", "open_seconds", 2),
            column("switches/s while idle", "idle_switches_per_second", 1),
        ],
    },
    Subject {
        name: "fds",
        head: "\
Measured: a server under `ulimit -n 64` to which 200 clients connect; they send a request and wait,
then those that were served leave one by one. Unit: the server's CPU in percent of a core while all
wait, so less is better; all clients must be served. Floor: raw, which stops listening until a
connection ends. Rivals whose accept fails pause 10 ms. Noise: the clock tick, about 0.3 %.",
        load: "fds",
        connections: 200,
        rounds: 3,
        descriptors: Some(64),
        lazy: false,
        key: column("CPU % while all wait", "waiting_server_cpu_percent", 2),
        bases: &[],
        columns: &[
            column("CPU % while they leave", "leaving_server_cpu_percent", 2),
            Column {
                pick: Pick::Smallest,
                ..column("served", "served", 0)
            },
            column("served while all wait", "served_while_all_wait", 0),
            column("dropped", "dropped", 0),
        ],
    },
];
