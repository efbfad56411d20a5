//! The subjects that move many bytes: through a relay, and out of a file. gannet is there by its
//! examples, as people run them.

use super::network::{GENERATOR_CPU, RSS, SERVER_CPU, USUAL, ratio};
use super::subject::{Against, Bar, Base, Bound, Column, Subject, Work, column};
use crate::server::Rival::{Gannet, Go, Nginx, Raw, Tokio};

/// The subjects, in the order of the tables.
pub(crate) const SUBJECTS: &[Subject] = &[RELAY, FILES];

const RATE: Column = column("MiB/s", "mib_per_second", 0);

/// Seconds a GiB are a thousandth of microseconds a MiB, or nearly.
const fn each_gib(title: &'static str, figure: &'static str) -> Column {
    Column {
        scale: 1024e-6,
        ..column(title, figure, 3)
    }
}

const RELAY: Subject = Subject {
    name: "relay",
    title: "Relay of one stream, 1 worker",
    head: "\
Measured: one stream of iperf3 through the server: gannet's example `proxy`, tokio's
`copy_bidirectional`, Go's `io.Copy` in both directions. Unit: MiB a second that arrive, so more is
better; costs are those of the server. Floor: raw, a loop on epoll that splices. Rivals: tokio, Go.
Noise: 15 %: sender, relay and receiver share two processors and are moved about, and the two ends are
the limit (generator CPU %), so that the costs tell more. Where the system's congestion control paces what it sends, as BBR does, its timers are a
good part of the cost (`--congestion reno` has none).",
    work: Work::Load("relay"),
    rivals: &[Raw, Gannet, Tokio, Go],
    connections: 1,
    unpinned: true,
    seconds: 2.0,
    key: RATE,
    bases: &[Base::Rival(Raw), Base::Rival(Tokio), Base::Rival(Go)],
    columns: &[
        each_gib("CPU s a GiB", "server_cpu_us"),
        each_gib("user s a GiB", "server_user_us"),
        each_gib("system s a GiB", "server_system_us"),
        column("wake-ups a MiB", "server_wakeups", 2),
        column("switches a MiB", "server_switches", 2),
        SERVER_CPU,
        GENERATOR_CPU,
        RSS,
    ],
    bars: &[
        ratio(
            "throughput of tokio",
            "mib_per_second",
            Tokio,
            Bound::AtLeast(1.4),
        ),
        ratio(
            "CPU a GiB of tokio's",
            "server_cpu_us",
            Tokio,
            Bound::AtMost(0.35),
        ),
        ratio(
            "throughput of Go's",
            "mib_per_second",
            Go,
            Bound::AtLeast(1.1),
        ),
    ],
    ..USUAL
};

const FILES: Subject = Subject {
    name: "files",
    title: "A file of 1 GiB by HTTP, 1 worker",
    head: "\
Measured: a file of 1 GiB in /dev/shm, fetched again and again on one connection by a client that
throws away what comes, from gannet's example `files` and from nginx with `sendfile on`, each one
process. Unit: MiB a second, so more is better; costs are those of the server, RSS is the most that it
had. Floor: none. Rival: nginx. Noise: the kernel does the receiver's work on the server's account, as
loopback does; 20 % while others work.",
    work: Work::Load("file"),
    rivals: &[Gannet, Nginx],
    connections: 1,
    seconds: 2.0,
    key: RATE,
    bases: &[Base::Rival(Nginx)],
    columns: &[
        each_gib("CPU s a GiB", "server_cpu_us"),
        each_gib("user s a GiB", "server_user_us"),
        each_gib("system s a GiB", "server_system_us"),
        column("wake-ups a MiB", "server_wakeups", 2),
        SERVER_CPU,
        GENERATOR_CPU,
        column("peak RSS MiB", "server_peak_mib", 1),
    ],
    bars: &[
        ratio(
            "throughput of nginx",
            "mib_per_second",
            Nginx,
            Bound::AtLeast(0.9),
        ),
        Bar {
            text: "peak RSS, MiB",
            variant: 0,
            figure: "server_peak_mib",
            against: Against::Nothing,
            bound: Bound::AtMost(16.0),
        },
    ],
    ..USUAL
};
