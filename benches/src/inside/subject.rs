//! The subjects inside a process, and how much of each is measured.

use crate::server::Rival;

/// The rivals, in the order of the tables.
pub(crate) const RIVALS: &[Rival] = &[
    Rival::Raw,
    Rival::Gannet,
    Rival::GannetCt,
    Rival::Tokio,
    Rival::TokioCt,
    Rival::Smol,
];

/// Which code a subject runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    SpawnJoin,
    SpawnMany,
    YieldAlone,
    YieldInCrowd,
    PingPong,
    PingPongMpsc,
    Wake,
    /// With so many tasks; with `held`, over an await.
    Contend {
        tasks: u64,
        held: bool,
    },
    /// With so many other timers.
    TimerDrop {
        pending: u32,
    },
    Timeout,
    Deadlines,
    Sleepers,
    Idle,
}

/// Something to measure.
#[derive(Clone, Copy, Debug)]
pub(super) struct Subject {
    /// Its name on the command line.
    pub(super) name: &'static str,
    /// What it runs.
    pub(super) kind: Kind,
    /// Units that are measured, unless told otherwise.
    pub(super) units: u64,
    /// Units of the two runs of which instructions are counted, where they make sense.
    pub(super) counted: Option<(u64, u64)>,
}

/// A subject whose instructions can be counted.
const fn steady(name: &'static str, kind: Kind, units: u64) -> Subject {
    Subject {
        name,
        kind,
        units,
        counted: Some((2_000, 22_000)),
    }
}

/// A subject in which the clock or the other processor decides what is done.
const fn unsteady(name: &'static str, kind: Kind, units: u64) -> Subject {
    Subject {
        name,
        kind,
        units,
        counted: None,
    }
}

const fn contend(tasks: u64, held: bool) -> Kind {
    Kind::Contend { tasks, held }
}

/// Every subject; `compare` says what each is about.
pub(super) const SUBJECTS: &[Subject] = &[
    steady("spawn-join", Kind::SpawnJoin, 500_000),
    steady("spawn-many", Kind::SpawnMany, 1_000_000),
    steady("yield", Kind::YieldAlone, 1_000_000),
    steady("yield-crowd", Kind::YieldInCrowd, 2_000_000),
    steady("ping-pong", Kind::PingPong, 300_000),
    steady("ping-pong-mpsc", Kind::PingPongMpsc, 500_000),
    steady("wake", Kind::Wake, 1_000_000),
    unsteady("contend-2", contend(2, false), 2_000_000),
    unsteady("contend-64", contend(64, false), 1_000_000),
    steady("hold-64", contend(64, true), 300_000),
    steady("timer-drop", Kind::TimerDrop { pending: 0 }, 500_000),
    steady(
        "timer-drop-10k",
        Kind::TimerDrop { pending: 10_000 },
        500_000,
    ),
    steady("timeout", Kind::Timeout, 500_000),
    steady("deadline-set", Kind::Deadlines, 2_000_000),
    steady("sleepers", Kind::Sleepers, 100_000),
    // Its units are milliseconds.
    unsteady("idle-runtime", Kind::Idle, 10_000),
];
