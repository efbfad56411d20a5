//! The subjects that need a network: a server in one process, the load generator in another.

use super::subject::{
    Against, Bar, Base, Bound, Column, Count, PLAIN, Pace, Pick, Subject, Variant, Work, column,
};
use crate::server::Rival::{
    self, Gannet, GannetCt, Go, May, Monoio, MonoioUring, Raw, Smol, Tokio, TokioCt,
};

const P50: Column = column("p50 µs", "p50_us", 1);
const P99: Column = column("p99 µs", "p99_us", 1);
const P999: Column = column("p99.9 µs", "p999_us", 1);
const MAX: Column = column("max µs", "max_us", 0);
const RATE: Column = column("requests/s", "requests_per_second", 0);
pub(super) const SERVER_CPU: Column = column("server CPU %", "server_cpu_percent", 0);
pub(super) const GENERATOR_CPU: Column = column("generator CPU %", "generator_cpu_percent", 0);
pub(super) const CPU: Column = column("CPU µs each", "server_cpu_us", 2);
pub(super) const USER: Column = column("user µs each", "server_user_us", 3);
pub(super) const SYSTEM: Column = column("system µs each", "server_system_us", 3);
pub(super) const SWITCHES: Column = column("switches each", "server_switches", 4);
const WAKEUPS: Column = column("wake-ups each", "server_wakeups", 4);
pub(super) const INSTRUCTIONS: Column = column("instructions each", "instructions", 0);
pub(super) const SYSTEM_CALLS: Column = column("system calls each", "system_calls", 3);
const WAKE_CALLS: Column = column("futex and eventfd calls each", "wake_calls", 4);
const MIB: f64 = 1.0 / (1024.0 * 1024.0);
pub(super) const RSS: Column = Column {
    scale: MIB,
    ..column("RSS MiB", "server_rss_bytes", 1)
};

/// All but nginx, which echoes nothing.
const ALL: &[Rival] = &[
    Raw,
    Gannet,
    GannetCt,
    Tokio,
    TokioCt,
    Smol,
    Monoio,
    MonoioUring,
    May,
    Go,
];
/// Those with more than one thread that share the work.
const THREADED: &[Rival] = &[Raw, Gannet, Tokio, Smol, Monoio, May, Go];
const RAW_AND_TOKIO: &[Base] = &[Base::Rival(Raw), Base::Rival(Tokio)];

/// Makes a bar on the ratio to a rival's figure.
pub(super) const fn ratio(
    text: &'static str,
    figure: &'static str,
    rival: Rival,
    bound: Bound,
) -> Bar {
    Bar {
        text,
        figure,
        variant: 0,
        against: Against::Rival(rival),
        bound,
    }
}

/// What most subjects have in common.
pub(super) const USUAL: Subject = Subject {
    name: "",
    title: "",
    head: "",
    work: Work::Load("echo"),
    rivals: ALL,
    variants: PLAIN,
    connections: 64,
    workers: 1,
    unpinned: false,
    rounds: 5,
    seconds: 1.0,
    pace: Pace::Closed,
    lazy: false,
    on_demand: false,
    counts: &[],
    key: RATE,
    more_is_better: true,
    bases: RAW_AND_TOKIO,
    columns: &[],
    bars: &[],
};

/// The subjects, in the order of the tables.
pub(crate) const SUBJECTS: &[Subject] = &[
    ECHO, SINGLE, TAIL, TAIL_2, ECHO_2, MIXED, DEADLINE, CHURN, IDLE, IDLE_18K, UDP, OPEN,
    BLOCKING, FDS,
];

const ECHO: Subject = Subject {
    name: "echo",
    title: "Echo of 64 B, 64 connections, 1 worker",
    head: "\
Measured: echoes on settled connections in a closed loop: each sends its next request when it has
the last one's echo. Unit: echoes a second, so more is better; costs are those of the server, each
request. Floor: raw, a loop on epoll. Rival: tokio. Noise: absolute figures move by 10 % and more
from run to run on a shared machine; the ratios, taken within a round, by some 3 %. A generator
that is busier than the server (CPU %) hides differences: look at the costs then. User and system
are the exact total split by the clock's ticks, so the user share is good to some 5 %; instructions
(of user mode, by callgrind) and system calls (by strace) do not drift.",
    seconds: 2.0,
    counts: &[Count::Instructions, Count::SystemCalls],
    columns: &[
        P50,
        P99,
        P999,
        CPU,
        USER,
        SYSTEM,
        INSTRUCTIONS,
        SYSTEM_CALLS,
        SWITCHES,
        WAKEUPS,
        SERVER_CPU,
        GENERATOR_CPU,
        RSS,
    ],
    bars: &[
        Bar {
            text: "throughput of the best peer",
            variant: 0,
            figure: "requests_per_second",
            against: Against::BestPeer,
            bound: Bound::AtLeast(1.0),
        },
        ratio(
            "throughput of the raw loop",
            "requests_per_second",
            Raw,
            Bound::AtLeast(0.98),
        ),
        ratio(
            "user CPU a request of tokio's",
            "server_user_us",
            Tokio,
            Bound::AtMost(0.7),
        ),
        Bar {
            text: "user CPU a request beyond the raw loop's, µs",
            variant: 0,
            figure: "server_user_us",
            against: Against::Beyond(Raw),
            bound: Bound::AtMost(0.08),
        },
    ],
    ..USUAL
};

const SINGLE: Subject = Subject {
    name: "single",
    title: "Latency of one connection's echo, 64 B",
    head: "\
Measured: the middle latency of an echo on the only connection, from the send to the last byte back.
Unit: microseconds, so less is better. Floor: raw. Rival: the best peer. Noise: 3 % and more: every
request wakes an idle processor twice, which is most of the figure.",
    connections: 1,
    key: P50,
    more_is_better: false,
    columns: &[P99, P999, RATE, CPU, USER, SYSTEM, WAKEUPS],
    bars: &[Bar {
        text: "p50 of the best peer",
        variant: 0,
        figure: "p50_us",
        against: Against::BestPeer,
        bound: Bound::AtMost(1.0),
    }],
    ..USUAL
};

const TAIL_BARS: &[Bar] = &[
    ratio("p99 of the raw loop", "p99_us", Raw, Bound::AtMost(1.1)),
    ratio("p99.9 of the raw loop", "p999_us", Raw, Bound::AtMost(1.1)),
    ratio("p99 of tokio's", "p99_us", Tokio, Bound::AtMost(0.2)),
    ratio("p99.9 of tokio's", "p999_us", Tokio, Bound::AtMost(0.2)),
];

const TAIL: Subject = Subject {
    name: "tail",
    title: "p99 of an echo at 1,000 connections, 1 worker",
    head: "\
Measured: the latency that 1 of 100 echoes exceeds (and 1 of 1,000), with 1,000 connections in a
closed loop, from the send to the last byte back. Unit: microseconds, so less is better. Floor: raw,
a loop on epoll, where a request waits for all others once. Rival: tokio. Noise: p99 by some 10 %,
p99.9 by more: it tells of a few hundred requests, and of the machine's other work.",
    connections: 1000,
    seconds: 1.5,
    key: P99,
    more_is_better: false,
    columns: &[P50, P999, MAX, RATE, CPU, USER, WAKEUPS, SERVER_CPU, RSS],
    bars: TAIL_BARS,
    ..USUAL
};

const TAIL_2: Subject = Subject {
    name: "tail-2",
    title: "p99 of an echo at 1,000 connections, 2 workers",
    head: "\
Measured: as in tail, with two workers, which share two processors with the generator. Unit:
microseconds, so less is better. Floor: raw with an epoll instance a thread. Rival: tokio. Noise:
20 %: the kernel's scheduler decides who of three threads runs.",
    rivals: THREADED,
    workers: 2,
    ..TAIL
};

const ECHO_2: Subject = Subject {
    name: "echo-2",
    title: "Echo of 64 B, 64 connections, 2 workers",
    head: "\
Measured: as in echo, with two workers, which share two processors with the generator. Unit: echoes
a second, so more is better. Floor: raw with an epoll instance a thread. Rival: tokio. Noise: 5 % in
the ratios. The calls to futex(2), and those to write(2) and read(2), which are those of the eventfd
where sockets are served by send(2) and recv(2), are counted by perf in a run of its own, which
slows nothing down as strace would; `-` for rivals whose sockets are served by read and write.",
    rivals: THREADED,
    workers: 2,
    seconds: 1.5,
    counts: &[Count::WakeCalls],
    columns: &[
        P50, P99, P999, CPU, USER, SYSTEM, WAKE_CALLS, SWITCHES, WAKEUPS, SERVER_CPU, RSS,
    ],
    bars: &[
        ratio(
            "throughput of tokio's",
            "requests_per_second",
            Tokio,
            Bound::AtLeast(1.05),
        ),
        Bar {
            text: "futex and eventfd calls a request",
            variant: 0,
            figure: "wake_calls",
            against: Against::Nothing,
            bound: Bound::AtMost(0.01),
        },
    ],
    ..USUAL
};

const MIXED: Subject = Subject {
    name: "mixed",
    title: "CPU a request: 100 connections alone, and among 10,000",
    head: "\
Measured: the server's processor time for an echo on 100 connections that talk in a closed loop:
alone, and when 9,900 more are open and silent, of which the talking ones are every hundredth. Unit:
microseconds, so less is better; the ratio to the same rival without the silent ones is the figure.
Floor: raw. Rival: tokio. Noise: 3 % in the ratios.",
    rivals: &[Raw, Gannet, Tokio, Smol, Go],
    variants: &[
        Variant {
            note: " alone",
            ..PLAIN[0]
        },
        Variant {
            note: " among 10,000",
            load: &["--silent", "9900"],
            ..PLAIN[0]
        },
    ],
    connections: 100,
    key: CPU,
    more_is_better: false,
    bases: &[Base::First, Base::Rival(Tokio)],
    columns: &[P50, P99, P999, RATE, USER, SYSTEM, RSS],
    bars: &[Bar {
        text: "cost of the same 100 alone",
        variant: 1,
        figure: "server_cpu_us",
        against: Against::First,
        bound: Bound::AtMost(1.15),
    }],
    ..USUAL
};

const DEADLINE: Subject = Subject {
    name: "deadline",
    title: "Echo with a deadline on every read and write, and without",
    head: "\
Measured: echoes as in echo, without deadlines and with one of 30 s set anew before every read and
every write. Unit: echoes a second, so more is better; the ratio to the same rival without is the
figure. gannet and Go move a deadline of the connection, tokio and monoio wrap each operation in a
timeout, smol races it against a timer, may has a timeout of the socket. Floor: the rival without.
Noise: 2 % in the ratios, which is as much as the bar allows: the instructions tell more.",
    rivals: &[Gannet, GannetCt, Tokio, TokioCt, Smol, Monoio, May, Go],
    variants: &[
        PLAIN[0],
        Variant {
            note: " with deadlines",
            server: &["--deadline"],
            ..PLAIN[0]
        },
    ],
    counts: &[Count::Instructions],
    bases: &[Base::First, Base::Rival(Tokio)],
    columns: &[P50, P99, P999, CPU, USER, SYSTEM, INSTRUCTIONS, SWITCHES],
    bars: &[Bar {
        text: "throughput of the same without deadlines",
        variant: 1,
        figure: "requests_per_second",
        against: Against::First,
        bound: Bound::AtLeast(0.985),
    }],
    ..USUAL
};

const CHURN: Subject = Subject {
    name: "churn",
    title: "Connect, one echo, close; 64 at once, 1 worker",
    head: "\
Measured: connections that are made, exchange one request of 64 bytes and are closed by the client,
64 at once. Unit: connections a second, so more is better; latency is from the start of the connect
to the last byte of the echo; costs are those of the server, each connection. Floor: raw, a loop on
epoll. Rival: tokio. Noise: some 5 % in the ratios; the kernel's share is 9/10 of the cost. On two
processors the generator has the more to do, and a server that is done sooner goes idle and costs
it a wake-up: compare the costs there, or the throughput with --same-cpu.",
    work: Work::Load("churn"),
    counts: &[Count::Instructions, Count::SystemCalls],
    key: column("connections/s", "connections_per_second", 0),
    columns: &[
        P50,
        P99,
        P999,
        CPU,
        USER,
        SYSTEM,
        INSTRUCTIONS,
        SYSTEM_CALLS,
        SWITCHES,
        WAKEUPS,
        SERVER_CPU,
        GENERATOR_CPU,
    ],
    bars: &[
        ratio(
            "connections a second of tokio's",
            "connections_per_second",
            Tokio,
            Bound::AtLeast(1.15),
        ),
        Bar {
            text: "system calls a connection",
            variant: 0,
            figure: "system_calls",
            against: Against::Nothing,
            bound: Bound::AtMost(5.0),
        },
    ],
    ..USUAL
};

const IDLE: Subject = Subject {
    name: "idle",
    title: "Memory of an idle connection, 10,000 of them",
    head: "\
Measured: growth of the server's resident memory by connections on which nothing happens. Unit:
bytes a connection, so less is better; the kernel's memory is not in it. Rivals marked lazy allocate
a buffer when bytes arrive and free it after the echo; the others hold one of 4 KiB (all do with
--held). Floor: raw, which keeps 32 bytes. Rival: tokio. Noise: pages and growing tables, 10 %.",
    work: Work::Load("idle"),
    connections: 10_000,
    rounds: 3,
    lazy: true,
    key: column("bytes each", "bytes_per_connection", 0),
    more_is_better: false,
    bases: &[Base::Rival(Tokio)],
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
    bars: &[Bar {
        text: "bytes of an idle connection",
        variant: 0,
        figure: "bytes_per_connection",
        against: Against::Nothing,
        bound: Bound::AtMost(300.0),
    }],
    ..USUAL
};

const IDLE_18K: Subject = Subject {
    name: "idle-18k",
    title: "Memory of an idle connection, 18,000 of them",
    head: "\
Measured: as in idle, with so many connections that a table which doubles has just done so. Unit:
bytes a connection, so less is better. Floor: raw. Rival: tokio. Noise: 10 %.",
    rivals: &[Raw, Gannet, GannetCt, Tokio, Smol, Go],
    connections: 18_000,
    ..IDLE
};

const UDP: Subject = Subject {
    name: "udp",
    title: "UDP echo of 64 B, 16 sockets, 1 worker",
    head: "\
Measured: datagrams of 64 bytes and their echoes on 16 sockets, a task each, one datagram a call, in
a closed loop: each client socket sends the next when it has the last one's echo, or after 200 ms
without one, which counts as lost. Unit: echoes a second, so more is better; costs are those of the
server, each datagram. Floor: raw, a loop on epoll. Rival: tokio. Noise: 3 % in the ratios.",
    work: Work::Load("udp"),
    variants: &[Variant {
        server: &["--datagrams", "16"],
        ..PLAIN[0]
    }],
    connections: 16,
    counts: &[Count::Instructions, Count::SystemCalls],
    key: column("datagrams/s", "datagrams_per_second", 0),
    columns: &[
        P50,
        P99,
        P999,
        CPU,
        USER,
        SYSTEM,
        INSTRUCTIONS,
        SYSTEM_CALLS,
        SWITCHES,
        WAKEUPS,
        column("lost", "lost", 0),
        SERVER_CPU,
        GENERATOR_CPU,
    ],
    bars: &[ratio(
        "datagrams a second of tokio's",
        "datagrams_per_second",
        Tokio,
        Bound::AtLeast(1.1),
    )],
    ..USUAL
};

const OPEN: Subject = Subject {
    name: "open",
    title: "p99 of an echo at half of the raw loop's rate",
    head: "\
Measured: latencies when requests come by the clock on 64 connections, at half of the rate that the
raw loop reaches in a closed loop here. A request's latency counts from the instant it was due, so
a server that stalls pays for all that came meanwhile. Unit: microseconds, so less is better. Floor:
raw. Rival: tokio. Noise: 10 % in p99, more in p99.9.",
    seconds: 1.5,
    pace: Pace::HalfOfRaw,
    key: P99,
    more_is_better: false,
    columns: &[
        P50,
        P999,
        MAX,
        column("offered/s", "offered_per_second", 0),
        RATE,
        CPU,
        USER,
        WAKEUPS,
        SERVER_CPU,
    ],
    ..USUAL
};

const BLOCKING: Subject = Subject {
    name: "blocking",
    title: "p99 of an echo beside a task that blocks its worker, 2 workers",
    head: "\
Measured: the latency that 1 of 100 echoes exceeds on 64 connections, while a task of the server
blocks its worker for 100 ms, sleeps for 10 ms, and so on. The requests come by the clock, 2,000 a
second: in a closed loop the other worker never rests, and nothing is to be seen. Unit: microseconds,
so less is better. Floor: none; one worker of two is left. Rival: tokio, where the worker that waits
for the network is the one that a timer's task then blocks. Noise: high: of 3 s
there are 30 blocks, and whether one meets that worker is chance.",
    rivals: &[Gannet, Tokio, Smol, Go],
    variants: &[Variant {
        server: &["--blocker"],
        load: &["--open-rate", "2000"],
        ..PLAIN[0]
    }],
    workers: 2,
    seconds: 3.0,
    key: P99,
    more_is_better: false,
    bases: &[Base::Rival(Tokio)],
    columns: &[P50, P999, MAX, RATE, CPU, WAKEUPS],
    bars: &[Bar {
        text: "p99 of the others, µs",
        variant: 0,
        figure: "p99_us",
        against: Against::Nothing,
        bound: Bound::AtMost(15_000.0),
    }],
    ..USUAL
};

const FDS: Subject = Subject {
    name: "fds",
    title: "CPU of a server without descriptors, 200 clients",
    head: "\
Measured: a server under `ulimit -n 64` to which 200 clients connect; they send a request and wait,
then those that were served leave one by one. Unit: the server's CPU in percent of a core while all
wait, so less is better; all clients must be served. Floor: raw, which stops listening until a
connection ends. Rivals whose accept fails pause 10 ms. Noise: the clock tick, about 0.3 %.",
    work: Work::Load("fds"),
    variants: &[Variant {
        server: &["--descriptors", "64"],
        ..PLAIN[0]
    }],
    connections: 200,
    rounds: 3,
    on_demand: true,
    key: column("CPU % while all wait", "waiting_server_cpu_percent", 2),
    more_is_better: false,
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
    ..USUAL
};
