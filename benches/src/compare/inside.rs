//! The subjects inside one process: tasks, wake-ups, channels and timers, without a socket.
//!
//! The raw loop is here one that polls its tasks in turns, with wakers that do nothing: what a subject
//! costs by itself, whatever the runtime.

use super::subject::{
    Against, Bar, Base, Bound, Column, Count, PLAIN, Pace, Subject, Variant, Work, column,
};
use crate::server::Rival::{self, Gannet, GannetCt, Raw, Smol, Tokio, TokioCt};

const NS: Column = column("ns each", "ns_each", 1);
const CPU: Column = column("CPU ns each", "cpu_ns", 1);
const USER: Column = column("user ns each", "user_ns", 1);
const SWITCHES: Column = column("switches each", "switches", 4);
const INSTRUCTIONS: Column = column("instructions each", "instructions", 0);

const RIVALS: &[Rival] = &[Gannet, GannetCt, Tokio, TokioCt, Smol];
/// With the raw loop, where each of its turns brings a task on.
const RAW_AND_RIVALS: &[Rival] = &[Raw, Gannet, GannetCt, Tokio, TokioCt, Smol];

/// All that have workers, first with one and then with two.
const ONE_AND_TWO: &[Variant] = &[
    Variant {
        note: ", 1 worker",
        workers: Some(1),
        ..PLAIN[0]
    },
    Variant {
        note: ", 2 workers",
        workers: Some(2),
        ..PLAIN[0]
    },
];

/// Bars on the time of one unit, with one worker and with two, as ratios to tokio's.
const fn times(bound: f64) -> [Bar; 2] {
    let one = Bar {
        text: "time of tokio's, 1 worker",
        figure: "ns_each",
        variant: 0,
        against: Against::Rival(Tokio),
        bound: Bound::AtMost(bound),
    };
    let two = Bar {
        text: "time of tokio's, 2 workers",
        variant: 1,
        ..one
    };
    [one, two]
}

const HALF: &[Bar] = &times(0.5);
const TENTH: &[Bar] = &times(0.1);

/// Where most of the time is not the runtime's, its share counts as well.
const SHARE: Bar = Bar {
    text: "share of what tokio needs beyond the raw loop, 1 worker",
    figure: "ns_each",
    variant: 0,
    against: Against::ShareOf(Tokio),
    bound: Bound::AtMost(0.5),
};
const HALF_OR_SHARE: &[Bar] = &[times(0.5)[0], times(0.5)[1], SHARE];

/// What most subjects have in common.
const USUAL: Subject = Subject {
    name: "",
    title: "",
    head: "",
    work: Work::Inside(""),
    rivals: RAW_AND_RIVALS,
    variants: ONE_AND_TWO,
    connections: 1,
    workers: 1,
    unpinned: false,
    rounds: 5,
    seconds: 1.0,
    pace: Pace::Closed,
    lazy: false,
    on_demand: false,
    counts: &[Count::Instructions],
    key: NS,
    more_is_better: false,
    bases: &[Base::Rival(Raw), Base::Rival(Tokio)],
    columns: &[CPU, USER, INSTRUCTIONS, SWITCHES],
    bars: &[],
};

const fn timed(
    name: &'static str,
    title: &'static str,
    head: &'static str,
    bars: &'static [Bar],
) -> Subject {
    Subject {
        name,
        title,
        head,
        work: Work::Inside(name),
        bars,
        ..USUAL
    }
}

/// Subjects in which it is chance who runs when, so that instructions say little.
const fn uncounted(subject: Subject) -> Subject {
    Subject {
        counts: &[],
        ..without_raw(subject)
    }
}

/// Subjects in which tasks wait while others run, so that the raw loop is no floor.
const fn without_raw(subject: Subject) -> Subject {
    Subject {
        rivals: RIVALS,
        ..subject
    }
}

/// The subjects, in the order of the tables.
pub(crate) const SUBJECTS: &[Subject] = &[
    SPAWN_JOIN,
    SPAWN_MANY,
    YIELD,
    YIELD_CROWD,
    PING_PONG,
    PING_PONG_MPSC,
    WAKE,
    CONTEND_2,
    CONTEND_64,
    HOLD_64,
    TIMER_DROP,
    TIMER_DROP_10K,
    TIMEOUT,
    DEADLINE_SET,
    SLEEPERS,
    IDLE_RUNTIME,
];

const SPAWN_JOIN: Subject = timed(
    "spawn-join",
    "Spawn a task and await it",
    "\
Measured: a task that returns a number is spawned and awaited, one after the other. Unit: nanoseconds
a task, so less is better. Floor: raw, two allocations. Rival: tokio. Noise: 5 %; 20 % with two
workers, where the other one may be woken up for it.",
    HALF,
);

const SPAWN_MANY: Subject = timed(
    "spawn-many",
    "Spawn a thousand detached tasks, wait for all",
    "\
Measured: detached tasks that end at once, spawned by the thousand, then waited for. Unit:
nanoseconds a task, so less is better. Floor: raw, an allocation. Rival: tokio. Noise: 5 %; 20 % with
two workers.",
    HALF,
);

const YIELD: Subject = timed(
    "yield",
    "Yield, one task",
    "\
Measured: one task lets others run, of which there are none. Unit: nanoseconds a yield, so less is
better. Floor: raw. Rival: tokio, which looks at the network each time. Noise: 5 %; with two workers,
20 %.",
    HALF,
);

const YIELD_CROWD: Subject = timed(
    "yield-crowd",
    "Yield, a thousand tasks",
    "\
Measured: a thousand tasks let each other run. Unit: nanoseconds a yield, so less is better. Floor:
raw. Rival: tokio. Noise: 5 %; with two workers, 20 %.",
    HALF,
);

const PING_PONG: Subject = timed(
    "ping-pong",
    "Ping-pong over two channels",
    "\
Measured: two tasks send each other a number over two bounded channels of async-channel, the same for
all rivals. Unit: nanoseconds there and back, so less is better. Floor: raw, the channels alone, which
are 3/4 of tokio's time, so that no runtime can halve it; what it adds to them it can. Rival: tokio.
Noise: 5 %; with two workers, 30 %: on one processor each, every message is a wake-up.",
    HALF_OR_SHARE,
);

const PING_PONG_MPSC: Subject = timed(
    "ping-pong-mpsc",
    "Ping-pong over two of tokio's channels",
    "\
Measured: as in ping-pong, over bounded channels of tokio's, which run on all rivals. Unit:
nanoseconds there and back, so less is better. Floor: raw, the channels alone. Rival: tokio. Noise:
5 %; with two workers, 30 %.",
    HALF_OR_SHARE,
);

const WAKE: Subject = timed(
    "wake",
    "A task wakes another",
    "\
Measured: two tasks wake each other in turn through cells of a flag and a mutex that holds a waker,
without a channel. Unit: nanoseconds a wake-up, from the call to where the woken task waits again, so
less is better. Floor: raw, the cells alone. Rival: tokio. Noise: 5 %; with two workers, 30 %.",
    &[SHARE],
);

const CONTEND_2: Subject = uncounted(timed(
    "contend-2",
    "A mutex, 2 tasks",
    "\
Measured: two tasks lock a mutex of async-lock, the same for all rivals, count and unlock; they wait
only where they meet, which takes two workers. Unit: nanoseconds a lock, so less is better. Floor: one
worker. A scheduler that moves each woken task to another worker pays for it (zio #574: nine times
the time of one). Rival: tokio. Noise: 30 %.",
    &[],
));

const CONTEND_64: Subject = uncounted(timed(
    "contend-64",
    "A mutex, 64 tasks",
    "\
Measured: as in contend-2, with 64 tasks. Unit: nanoseconds a lock, so less is better. Floor: one
worker. Rival: tokio. Noise: 30 %.",
    &[],
));

const HOLD_64: Subject = without_raw(timed(
    "hold-64",
    "A mutex held over an await, 64 tasks",
    "\
Measured: as in contend-64, with the mutex held while the task yields, so that every other one waits
for it. Unit: nanoseconds a lock, so less is better. Rival: tokio. Noise: 5 %; with two workers,
20 %.",
    &[],
));

const TIMER_DROP: Subject = timed(
    "timer-drop",
    "Set a timer of 30 s and drop it",
    "\
Measured: a sleep of 30 s is polled once and dropped, in one task a worker. Unit: nanoseconds a timer,
so less is better; two workers that do not hinder each other halve them. Floor: raw, which reads the
clock twice. Rival: tokio. Noise: 5 %.",
    TENTH,
);

const TIMER_DROP_10K: Subject = without_raw(timed(
    "timer-drop-10k",
    "Set a timer of 30 s and drop it, beside 10,000",
    "\
Measured: as in timer-drop, while 10,000 other timers are pending. Unit: nanoseconds a timer, so less
is better. Floor: reading the clock. Rival: tokio. Noise: 5 %.",
    TENTH,
));

const TIMEOUT: Subject = timed(
    "timeout",
    "A timeout around a future that yields once",
    "\
Measured: a timeout of 30 s around a future that yields once and is then ready. Unit: nanoseconds
each, so less is better. Floor: raw. Rival: tokio. Noise: 5 %.",
    &[],
);

const DEADLINE_SET: Subject = Subject {
    rivals: &[Gannet, GannetCt, Tokio, TokioCt],
    variants: &[Variant {
        note: "",
        workers: Some(1),
        ..PLAIN[0]
    }],
    bars: &[Bar {
        text: "time to move a deadline, ns",
        figure: "ns_each",
        variant: 0,
        against: Against::Nothing,
        bound: Bound::AtMost(15.0),
    }],
    ..timed(
        "deadline-set",
        "Move the read deadline of a stream",
        "\
Measured: the read deadline of a TCP stream is moved, to an instant at hand. Unit: nanoseconds each, so
less is better. Floor: a store, a fence and a load. Rival: none has it; beside it stands tokio's timeout
of 30 s, made, polled once and dropped, as around an operation that waits. Noise: 5 %.",
        &[],
    )
};

const SLEEPERS: Subject = Subject {
    rounds: 3,
    key: CPU,
    columns: &[
        USER,
        INSTRUCTIONS,
        SWITCHES,
        column("late p50 µs", "late_p50_us", 0),
        column("late p99 µs", "late_p99_us", 0),
        column("late max µs", "late_max_us", 0),
        column("last one late µs", "late_last_us", 0),
    ],
    bars: &[
        Bar {
            text: "CPU of tokio's, 1 worker",
            figure: "cpu_ns",
            variant: 0,
            against: Against::Rival(Tokio),
            bound: Bound::AtMost(0.1),
        },
        Bar {
            text: "lateness of the last one, µs",
            figure: "late_last_us",
            variant: 0,
            against: Against::Nothing,
            bound: Bound::AtMost(5_000.0),
        },
    ],
    ..uncounted(timed(
        "sleepers",
        "100,000 tasks that sleep for up to a second",
        "\
Measured: 100,000 tasks sleep until instants spread over one second; processor time of all, and how
late they wake up. Unit: nanoseconds of CPU a sleeper, so less is better. Floor: a task and a timer.
Rival: tokio. Noise: 10 %.",
        &[],
    ))
};

const IDLE_RUNTIME: Subject = Subject {
    rivals: &[Gannet, Tokio, Smol],
    variants: &[Variant {
        note: "",
        workers: Some(2),
        ..PLAIN[0]
    }],
    rounds: 1,
    key: column("wake-ups in 10 s", "wake_ups", 0),
    bases: &[],
    columns: &[],
    bars: &[Bar {
        text: "wake-ups of an idle runtime in 10 s",
        figure: "wake_ups",
        variant: 0,
        against: Against::Nothing,
        bound: Bound::AtMost(0.0),
    }],
    ..uncounted(timed(
        "idle-runtime",
        "Wake-ups of a runtime that has nothing to do",
        "\
Measured: how often the threads of a runtime with two workers wake up in 10 s of idling, after some
work and a timer. Unit: wake-ups, so less is better. Floor: none at all. Rivals: tokio, smol. Noise: none.",
        &[],
    ))
};
