//! The subjects about sessions, each measured by `roam`.

use super::subject::{Against, Bar, Bound, Column, PLAIN, Pace, Subject, Work, column};
use crate::server::Rival::Gannet;

/// What the subjects have in common.
const USUAL: Subject = Subject {
    name: "",
    title: "",
    head: "",
    work: Work::Roam(""),
    rivals: &[Gannet],
    variants: PLAIN,
    connections: 1,
    workers: 1,
    unpinned: false,
    rounds: 3,
    seconds: 3.0,
    pace: Pace::Closed,
    lazy: false,
    on_demand: true,
    counts: &[],
    key: KIB,
    more_is_better: false,
    bases: &[],
    columns: &[],
    bars: &[],
};

const KIB: Column = column("KiB a session", "kib_each", 1);

const fn bar(text: &'static str, figure: &'static str, bound: Bound) -> Bar {
    Bar {
        text,
        figure,
        variant: 0,
        against: Against::Nothing,
        bound,
    }
}

/// The subjects, in the order of the tables.
pub(crate) const SUBJECTS: &[Subject] = &[IDLE, FORGED, SEAL];

const IDLE: Subject = Subject {
    name: "roam-idle",
    title: "Idle sessions",
    head: "\
Measured: sessions in which nothing happens but heartbeats, the servers' ends in one process and the
clients' in another; where the two differ, the greater counts. Unit: KiB of resident memory a session,
so less is better; wake-ups are voluntary context switches a session and second. Noise: 1 %, of
processor time 20 %.",
    work: Work::Roam("roam-idle"),
    connections: 5_000,
    rounds: 1,
    seconds: 12.0,
    columns: &[
        column("server's", "server_kib_each", 1),
        column("client's", "client_kib_each", 1),
        column("wake-ups/s", "wakeups_each", 3),
        column("server's CPU %", "server_cpu_percent", 1),
        column("client's CPU %", "client_cpu_percent", 1),
        column("sessions alive", "sessions", 0),
    ],
    bars: &[
        bar("KiB an idle session", "kib_each", Bound::AtMost(64.0)),
        bar("wake-ups of a session a second", "wakeups_each", Bound::AtMost(1.0)),
        bar("CPU % of 5,000 idle sessions", "cpu_percent", Bound::AtMost(25.0)),
    ],
    ..USUAL
};

const FORGED: Subject = Subject {
    name: "roam-forged",
    title: "An honest session beside a flood of forgeries",
    head: "\
Measured: the time that a state takes to the server and back, while another session of the same process
gets 50,000 forged datagrams a second, and without; stretches of each by turns. Unit: milliseconds that
the 99th percentile is longer with the flood, so less is better. Noise: 10 ms on two processors.",
    work: Work::Roam("roam-forged"),
    key: column("ms more", "more_ms", 1),
    columns: &[
        column("p99 without, ms", "quiet_p99_ms", 1),
        column("p99 with, ms", "flood_p99_ms", 1),
        column("sent/s", "sent_per_second", 0),
        column("refused/s", "refused_per_second", 0),
        column("changes", "changes", 0),
    ],
    bars: &[
        bar("p99 beside a flood, ms more", "more_ms", Bound::AtMost(20.0)),
        bar("forgeries refused a second", "refused_per_second", Bound::AtLeast(45_000.0)),
        bar("changes that they brought about", "changes", Bound::AtMost(0.0)),
    ],
    ..USUAL
};

const SEAL: Subject = Subject {
    name: "roam-seal",
    title: "Seal and open 1,200 octets",
    head: "\
Measured: 1,200 octets are sealed and opened, by turns with OpenSSL's AES-128-OCB on the same octets.
Unit: OpenSSL's time as a multiple of ours, so more is better. Noise: 3 %.",
    work: Work::Roam("roam-seal"),
    rounds: 5,
    key: column("of OpenSSL's speed", "ratio", 2),
    more_is_better: true,
    columns: &[
        column("ns", "ns_each", 0),
        column("OpenSSL's ns", "openssl_ns_each", 0),
    ],
    bars: &[bar("speed of OpenSSL's", "ratio", Bound::AtLeast(1.0))],
    ..USUAL
};
