//! What a subject is made of: what it measures, how its rivals are started, which figures it tells,
//! and which bars they are held against.

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
    /// The figure of the report.
    pub(crate) figure: &'static str,
    /// What the figure is multiplied by.
    pub(crate) scale: f64,
    /// Decimals.
    pub(crate) digits: usize,
    /// What is told of the rounds.
    pub(crate) pick: Pick,
}

/// Makes a column of medians.
pub(crate) const fn column(title: &'static str, figure: &'static str, digits: usize) -> Column {
    Column {
        title,
        figure,
        scale: 1.0,
        digits,
        pick: Pick::Median,
    }
}

/// What does the work of a subject.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Work {
    /// A server, and a `load` of this kind in another process.
    Load(&'static str),
    /// One process alone: `inside` with this subject.
    Inside(&'static str),
    /// `roam` with this subject, in as many processes as it takes.
    Roam(&'static str),
}

/// When requests are sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pace {
    /// When the last one's echo is there.
    Closed,
    /// By the clock, at half the rate that the raw loop reaches in a closed loop.
    HalfOfRaw,
}

/// One of several ways in which each rival is measured, side by side.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Variant {
    /// Said behind the rival's name.
    pub(crate) note: &'static str,
    /// Workers in place of the subject's. Rivals with one thread are left out of more than one.
    pub(crate) workers: Option<u64>,
    /// More words for the server, or the process alone.
    pub(crate) server: &'static [&'static str],
    /// More words for the load.
    pub(crate) load: &'static [&'static str],
}

/// The one way of most subjects.
pub(crate) const PLAIN: &[Variant] = &[Variant {
    note: "",
    workers: None,
    server: &[],
    load: &[],
}];

/// What the key figure is compared with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Base {
    /// The same variant of this rival.
    Rival(Rival),
    /// The first variant of the same rival.
    First,
    /// The first variant of this rival.
    FirstOf(Rival),
}

/// What is counted besides, once: these figures do not drift.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Count {
    /// The server's instructions in user mode, each unit of work.
    Instructions,
    /// The server's system calls, each unit of work.
    SystemCalls,
    /// Its calls that wake a thread or are woken by one.
    WakeCalls,
}

/// What a subject was to reach.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bar {
    /// In words.
    pub(crate) text: &'static str,
    /// The figure of gannet's that counts.
    pub(crate) figure: &'static str,
    /// The variant in which it counts.
    pub(crate) variant: usize,
    /// What it is held against.
    pub(crate) against: Against,
    /// How far it must go.
    pub(crate) bound: Bound,
}

/// What gannet's figure is held against.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Against {
    /// Nothing: the figure itself counts.
    Nothing,
    /// The ratio to this rival's.
    Rival(Rival),
    /// The ratio to that of the best peer; neither the raw loop nor gannet itself is one.
    BestPeer,
    /// The ratio to its own first variant's.
    First,
    /// The ratio to this rival's first variant's.
    FirstOf(Rival),
    /// The difference to this rival's.
    Beyond(Rival),
    /// Of what this rival needs beyond the raw loop, the share that gannet needs.
    ShareOf(Rival),
}

/// The end of what is good enough.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Bound {
    /// More is better.
    AtLeast(f64),
    /// Less is better.
    AtMost(f64),
}

/// Something to compare the rivals in.
#[derive(Debug)]
pub(crate) struct Subject {
    /// Its name on the command line.
    pub(crate) name: &'static str,
    /// Its chart's title.
    pub(crate) title: &'static str,
    /// What is measured, unit, floor, rival and noise.
    pub(crate) head: &'static str,
    /// What does the work.
    pub(crate) work: Work,
    /// Who is compared, unless told otherwise; those that cannot run here are left out.
    pub(crate) rivals: &'static [Rival],
    /// In which ways.
    pub(crate) variants: &'static [Variant],
    /// Connections (clients) unless told otherwise.
    pub(crate) connections: u64,
    /// Workers unless told otherwise. One has a processor of its own; with more of them nothing is
    /// pinned, and server and generator share all processors.
    pub(crate) workers: u64,
    /// Leaves one worker and its generator unpinned as well.
    pub(crate) unpinned: bool,
    /// Rounds unless told otherwise.
    pub(crate) rounds: u64,
    /// Seconds a measurement unless told otherwise.
    pub(crate) seconds: f64,
    /// When requests are sent.
    pub(crate) pace: Pace,
    /// Starts rivals without a buffer for idle connections, where they can.
    pub(crate) lazy: bool,
    /// Measured only when it is named.
    pub(crate) on_demand: bool,
    /// What is counted besides.
    pub(crate) counts: &'static [Count],
    /// The figure that decides; it comes first, with its spread and the ratios, and is drawn.
    pub(crate) key: Column,
    /// Whether more of it is better.
    pub(crate) more_is_better: bool,
    /// What the key figure is compared with.
    pub(crate) bases: &'static [Base],
    /// The other columns.
    pub(crate) columns: &'static [Column],
    /// What it is held against.
    pub(crate) bars: &'static [Bar],
}
