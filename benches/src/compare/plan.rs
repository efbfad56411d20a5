//! What is done for one subject: its own settings, and what the command line puts in their place.

use std::fmt;
use std::thread;
use std::time::Duration;

use super::congestion;
use super::ground::Ground;
use super::subject::{Subject, Variant, Work};
use crate::args::{Args, Problem};
use crate::server::Rival;

/// Options of the command line.
pub(super) const OPTIONS: &[&str] = &[
    "--congestion",
    "--connections",
    "--open-rate",
    "--rivals",
    "--rounds",
    "--seconds",
    "--size",
    "--workers",
];
/// Switches of the command line.
pub(super) const SWITCHES: &[&str] = &[
    "--deadline",
    "--held",
    "--no-counts",
    "--no-pin",
    "--quick",
    "--record",
    "--same-cpu",
    "--talk",
];
/// What a generator may take beside its measurement: opening, warm-up, draining.
const SLACK: Duration = Duration::from_secs(60);
/// What `--quick` changes.
const QUICK_RIVALS: &[Rival] = &[Rival::Raw, Rival::Gannet, Rival::Tokio];
const QUICK_ROUNDS: u64 = 2;
const QUICK_SECONDS: f64 = 0.5;

/// The processors of server and generator.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Pins {
    server: usize,
    generator: usize,
}

impl Pins {
    fn choose(subject: &Subject, args: &Args, workers: u64) -> Result<Option<Self>, Problem> {
        let (same, free) = (args.has("--same-cpu"), args.has("--no-pin"));
        let free = free || (subject.unpinned && !same);
        if same && (free || workers != 1) {
            return Err("--same-cpu goes with one worker, and not with --no-pin".to_owned());
        }
        let processors = thread::available_parallelism().map_or(1, usize::from);
        if free || workers != 1 || processors < 2 {
            return Ok(same.then_some(Self {
                server: 0,
                generator: 0,
            }));
        }
        Ok(Some(Self {
            server: 0,
            generator: usize::from(!same),
        }))
    }
}

/// How one subject is measured.
pub(super) struct Plan {
    pub(super) subject: &'static Subject,
    pub(super) rivals: Vec<Rival>,
    pub(super) rounds: u64,
    /// Whether instructions and calls are counted.
    pub(super) counts: bool,
    connections: u64,
    workers: u64,
    seconds: f64,
    pins: Option<Pins>,
    deadline: bool,
    held: bool,
    open_rate: Option<f64>,
    /// Words for the generator.
    load: Vec<String>,
    ground: Ground,
}

impl Plan {
    /// Reads what `args` say about `subject`.
    pub(super) fn new(subject: &'static Subject, args: &Args) -> Result<Self, Problem> {
        let quick = args.has("--quick");
        let workers = args.count("--workers", subject.workers, 1..=64)?;
        let (rounds, seconds) = if quick {
            (QUICK_ROUNDS, QUICK_SECONDS)
        } else {
            (subject.rounds, subject.seconds)
        };
        let mut load = Vec::new();
        if let Some(size) = args.value::<String>("--size")? {
            load.extend(["--size".to_owned(), size]);
        }
        if args.has("--talk") {
            load.push("--talk".to_owned());
        }
        Ok(Self {
            subject,
            rivals: rivals(subject, args, workers)?,
            rounds: args.count("--rounds", rounds, 1..=1000)?,
            counts: !quick && !args.has("--no-counts"),
            connections: args.count("--connections", subject.connections, 1..=100_000)?,
            workers,
            seconds: args.seconds("--seconds", seconds)?.as_secs_f64(),
            pins: Pins::choose(subject, args, workers)?,
            deadline: args.has("--deadline"),
            held: args.has("--held"),
            open_rate: args.value("--open-rate")?,
            load,
            ground: Ground::default(),
        })
    }

    /// Sets what the loads need beside their servers, for as long as this plan is there.
    pub(super) fn stand_on(&mut self, ground: Ground) {
        self.ground = ground;
    }

    /// Tells whether the rate of requests must be found out first.
    pub(super) fn lacks_a_rate(&self) -> bool {
        self.open_rate.is_none() && self.subject.pace == super::subject::Pace::HalfOfRaw
    }

    /// Sets how many requests come a second, whatever the server does.
    pub(super) fn set_rate(&mut self, rate: f64) {
        self.open_rate = Some(rate.round());
    }

    /// Tells whether `rival` runs lazily.
    pub(super) fn is_lazy(&self, rival: Rival) -> bool {
        self.subject.lazy && !self.held && !self.deadline && rival.can_be_lazy()
    }

    /// Returns the words for the server, or for a process that works alone.
    pub(super) fn server_words(&self, variant: &Variant, rival: Rival) -> Vec<String> {
        let workers = variant.workers.unwrap_or(self.workers);
        let mut words = vec!["--workers".to_owned(), workers.to_string()];
        if let (Some(pins), Work::Load(_)) = (self.pins, self.subject.work) {
            words.extend(["--cpu".to_owned(), pins.server.to_string()]);
        }
        words.extend(variant.server.iter().map(|&word| word.to_owned()));
        if self.deadline && !variant.server.contains(&"--deadline") {
            words.push("--deadline".to_owned());
        }
        if self.is_lazy(rival) {
            words.push("--lazy".to_owned());
        }
        words.extend_from_slice(&self.ground.server);
        words
    }

    /// Returns the words for the generator that do not say how long it runs.
    pub(super) fn load_words(&self, variant: &Variant) -> Vec<String> {
        let mut words = [&self.load[..], &self.ground.load].concat();
        words.extend(["--connections".to_owned(), self.connections.to_string()]);
        words.extend(variant.load.iter().map(|&word| word.to_owned()));
        if let Some(pins) = self.pins {
            words.extend(["--cpu".to_owned(), pins.generator.to_string()]);
        }
        words
    }

    /// Returns the words for the generator that do.
    pub(super) fn span_words(&self) -> Vec<String> {
        let mut words = vec!["--seconds".to_owned(), self.seconds.to_string()];
        if let Some(rate) = self.open_rate {
            words.extend(["--open-rate".to_owned(), rate.to_string()]);
        }
        words
    }

    /// Returns the words for `roam`.
    pub(super) fn roam_words(&self) -> [String; 4] {
        let (seconds, count) = (self.seconds.to_string(), self.connections.to_string());
        [
            "--seconds".to_owned(),
            seconds,
            "--connections".to_owned(),
            count,
        ]
    }

    /// Returns how long a measurement may take.
    pub(super) fn limit(&self) -> Duration {
        SLACK + Duration::from_secs_f64(self.seconds)
    }
}

/// Chooses the rivals: those named, or the subject's that can run here and make use of `workers`.
fn rivals(subject: &Subject, args: &Args, workers: u64) -> Result<Vec<Rival>, Problem> {
    if let Some(names) = args.value::<String>("--rivals")? {
        return names.split(',').map(str::parse).collect();
    }
    let wanted = |rival: &Rival| {
        (workers == 1 || !rival.is_single_threaded() || matches!(subject.work, Work::Inside(_)))
            && (!args.has("--quick") || QUICK_RIVALS.contains(rival))
            && rival.missing().is_none()
    };
    Ok(subject.rivals.iter().copied().filter(wanted).collect())
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} round(s)", self.rounds)?;
        if let Work::Inside(_) = self.subject.work {
            return f.write_str(", one process, not pinned.");
        }
        if let Work::Roam(_) = self.subject.work {
            let (seconds, count) = (self.seconds, self.connections);
            return write!(
                f,
                ", {count} session(s), {seconds} s a stretch, not pinned."
            );
        }
        write!(f, ", {} worker(s)", self.workers)?;
        let (connections, seconds) = (self.connections, self.seconds);
        write!(f, ", {connections} connection(s) or sockets")?;
        write!(f, ", {seconds} s a measurement")?;
        match self.pins {
            Some(Pins { server, generator }) => {
                write!(f, ", server on CPU {server}, generator on CPU {generator}")?;
            }
            None => f.write_str(", not pinned")?,
        }
        if self.deadline {
            f.write_str(", a deadline on every read and write")?;
        }
        if let Some(rate) = self.open_rate {
            write!(f, ", {rate} requests a second by the clock")?;
        }
        for word in &self.load {
            write!(f, " {word}")?;
        }
        if let Work::Load("relay" | "file") = self.subject.work {
            write!(f, ", TCP by {}", congestion::current())?;
        }
        f.write_str(".")
    }
}

#[cfg(test)]
mod tests {
    use super::super::named_subjects;
    use super::*;

    fn plan(line: &str) -> Result<Plan, Problem> {
        let words: Vec<String> = line.split_ascii_whitespace().map(str::to_owned).collect();
        let args = Args::parse(&words, SWITCHES, OPTIONS)?;
        Plan::new(named_subjects(&[words[0].clone()]).unwrap()[0], &args)
    }

    #[test]
    fn rivals_are_those_named_in_their_order() {
        let plan = plan("echo --rivals tokio,raw").unwrap();
        assert_eq!(plan.rivals, [Rival::Tokio, Rival::Raw]);
        assert_eq!(self::plan("echo --quick").unwrap().rivals, QUICK_RIVALS);
    }

    #[test]
    fn two_workers_leave_out_single_threaded_rivals_and_pins() {
        let plan = plan("echo --workers 2").unwrap();
        assert!(!plan.rivals.contains(&Rival::TokioCt));
        assert!(!plan.rivals.contains(&Rival::GannetCt));
        assert!(plan.rivals.contains(&Rival::Tokio));
        assert_eq!(plan.pins, None);
    }

    #[test]
    fn pins_to_one_processor_are_for_one_worker() {
        let (server, generator) = (0, 0);
        let pins = plan("churn --same-cpu").unwrap().pins;
        assert_eq!(pins, Some(Pins { server, generator }));
        assert_eq!(plan("relay").unwrap().pins, None);
        assert!(plan("churn --same-cpu --workers 2").is_err());
        assert!(plan("churn --same-cpu --no-pin").is_err());
    }

    #[test]
    fn server_words_follow_subject_variant_and_rival() {
        let plan = plan("fds --no-pin --deadline").unwrap();
        let words = plan.server_words(&plan.subject.variants[0], Rival::Tokio);
        assert_eq!(
            words,
            ["--workers", "1", "--descriptors", "64", "--deadline"]
        );
        let with = self::plan("idle --no-pin --deadline").unwrap();
        assert!(!with.is_lazy(Rival::Tokio), "no deadlines there");
        let plan = self::plan("idle --no-pin").unwrap();
        assert!(plan.is_lazy(Rival::Tokio) && !plan.is_lazy(Rival::May));
        assert!(!self::plan("echo").unwrap().is_lazy(Rival::Tokio));
    }

    #[test]
    fn load_words_have_the_variant_and_span_words_the_rate() {
        let plan = plan("mixed --no-pin --size 9").unwrap();
        let words = plan.load_words(&plan.subject.variants[1]);
        let want = ["--size", "9", "--connections", "100", "--silent", "9900"];
        assert_eq!(words, want);
        let mut open = self::plan("open --seconds 2").unwrap();
        assert!(open.lacks_a_rate() && !self::plan("echo").unwrap().lacks_a_rate());
        open.set_rate(1234.4);
        assert!(!open.lacks_a_rate());
        let want = ["--seconds", "2", "--open-rate", "1234"];
        assert_eq!(open.span_words(), want);
    }
}
