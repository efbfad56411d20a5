//! The runner: rivals side by side, in alternation, each in a process of its own.
//!
//! A round starts every rival once (A B C), and the rounds follow each other (A B C A B C), so
//! that what drifts on the machine falls on all of them. Ratios are taken within a round. With one
//! worker the server runs on processor 0 and the generator on processor 1; or both on processor 0,
//! where neither wakes an idle processor nor waits for the slower of the two, so that the
//! throughput tells of the work that both do.

mod stats;
mod subject;
mod table;

use std::fs;
use std::thread;
use std::time::Duration;

use self::subject::{SUBJECTS, Subject};
use self::table::{Row, render};
use crate::args::{Args, Problem};
use crate::children::{Generator, Server};
use crate::report::Report;
use crate::server::Rival;

const OPTIONS: &[&str] = &[
    "--connections",
    "--open-rate",
    "--rivals",
    "--rounds",
    "--seconds",
    "--size",
    "--workers",
];
const SWITCHES: &[&str] = &["--deadline", "--held", "--no-pin", "--same-cpu", "--talk"];
/// What a generator may take beside its measurement: opening, warm-up, draining.
const SLACK: Duration = Duration::from_secs(60);

/// Runs the named subjects, or all, and prints their tables.
pub(crate) fn run(words: &[String]) -> Result<(), String> {
    let args = Args::parse(words, SWITCHES, OPTIONS)?;
    let subjects = named_subjects(args.free())?;
    let settings = Settings::parse(&args)?;
    println!("{}\n", machine());
    let mut failed = false;
    for subject in subjects {
        let rows = measure(subject, &args, &settings)?;
        println!("## {}\n\n{}\n\n{}\n", subject.name, subject.head, settings);
        println!("{}", render(subject, &rows));
        failed |= rows.iter().any(|row| row.rounds.iter().any(Result::is_err));
    }
    for rival in Rival::ALL {
        if let Some(why) = rival.missing() {
            println!("{} was left out: {why}.", rival.name());
        }
    }
    if failed {
        Err("a rival failed".to_owned())
    } else {
        Ok(())
    }
}

fn named_subjects(names: &[String]) -> Result<Vec<&'static Subject>, Problem> {
    if names.is_empty() {
        return Ok(SUBJECTS.iter().collect());
    }
    names
        .iter()
        .map(|name| {
            let found = SUBJECTS.iter().find(|subject| subject.name == name);
            found.ok_or_else(|| format!("unknown subject {name}"))
        })
        .collect()
}

/// The processors of server and generator.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Pins {
    server: usize,
    generator: usize,
}

impl Pins {
    fn choose(args: &Args, workers: u64) -> Result<Option<Self>, Problem> {
        let (same, free) = (args.has("--same-cpu"), args.has("--no-pin"));
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

/// What all subjects of a run have in common.
struct Settings {
    rivals: Vec<Rival>,
    workers: u64,
    seconds: f64,
    pins: Option<Pins>,
    deadline: bool,
    held: bool,
    /// Words for the generator.
    load: Vec<String>,
}

impl Settings {
    fn parse(args: &Args) -> Result<Self, Problem> {
        let workers = args.count("--workers", 1, 1..=64)?;
        let rivals = match args.value::<String>("--rivals")? {
            Some(names) => names.split(',').map(str::parse).collect::<Result<_, _>>()?,
            None => Rival::ALL
                .into_iter()
                .filter(|rival| rival.missing().is_none())
                .filter(|rival| workers == 1 || !rival.is_single_threaded())
                .collect(),
        };
        let mut load = Vec::new();
        for option in ["--open-rate", "--size"] {
            if let Some(value) = args.value::<String>(option)? {
                load.extend([option.to_owned(), value]);
            }
        }
        if args.has("--talk") {
            load.push("--talk".to_owned());
        }
        Ok(Self {
            rivals,
            workers,
            seconds: args.seconds("--seconds", 3.0)?.as_secs_f64(),
            pins: Pins::choose(args, workers)?,
            deadline: args.has("--deadline"),
            held: args.has("--held"),
            load,
        })
    }

    /// Tells whether `rival` runs lazily in `subject`.
    fn is_lazy(&self, subject: &Subject, rival: Rival) -> bool {
        subject.lazy && !self.held && !self.deadline && rival.can_be_lazy()
    }

    fn server_words(&self, subject: &Subject, rival: Rival) -> Vec<String> {
        let mut words = vec!["--workers".to_owned(), self.workers.to_string()];
        if let Some(pins) = self.pins {
            words.extend(["--cpu".to_owned(), pins.server.to_string()]);
        }
        if let Some(descriptors) = subject.descriptors {
            words.extend(["--descriptors".to_owned(), descriptors.to_string()]);
        }
        if self.deadline {
            words.push("--deadline".to_owned());
        }
        if self.is_lazy(subject, rival) {
            words.push("--lazy".to_owned());
        }
        words
    }

    fn load_words(&self, connections: u64) -> Vec<String> {
        let mut words = self.load.clone();
        words.extend(["--connections".to_owned(), connections.to_string()]);
        words.extend(["--seconds".to_owned(), self.seconds.to_string()]);
        if let Some(pins) = self.pins {
            words.extend(["--cpu".to_owned(), pins.generator.to_string()]);
        }
        words
    }
}

impl std::fmt::Display for Settings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "{} worker(s), {} s a measurement",
            self.workers, self.seconds
        )?;
        match self.pins {
            Some(Pins { server, generator }) => {
                write!(f, ", server on CPU {server}, generator on CPU {generator}")?;
            }
            None => f.write_str(", not pinned")?,
        }
        f.write_str(if self.deadline {
            ", a deadline on every read and write"
        } else {
            ""
        })?;
        for word in &self.load {
            write!(f, " {word}")?;
        }
        f.write_str(".")
    }
}

fn measure(subject: &Subject, args: &Args, settings: &Settings) -> Result<Vec<Row>, Problem> {
    let connections = args.count("--connections", subject.connections, 1..=100_000)?;
    let rounds = args.count("--rounds", subject.rounds, 1..=1000)?;
    let rows = settings.rivals.iter().map(|&rival| {
        let note = if settings.is_lazy(subject, rival) {
            " (lazy)"
        } else {
            ""
        };
        Row {
            rival,
            note,
            rounds: Vec::new(),
        }
    });
    let mut rows: Vec<Row> = rows.collect();
    for round in 1..=rounds {
        for row in &mut rows {
            let result = measure_once(subject, settings, row.rival, connections);
            let told = match &result {
                Ok(report) => report
                    .figure(subject.key.figure)
                    .unwrap_or(f64::NAN)
                    .to_string(),
                Err(why) => format!("failed: {why}"),
            };
            let name = row.rival.name();
            eprintln!("{} round {round}/{rounds} {name}: {told}", subject.name);
            row.rounds.push(result);
        }
    }
    Ok(rows)
}

fn measure_once(
    subject: &Subject,
    settings: &Settings,
    rival: Rival,
    connections: u64,
) -> Result<Report, String> {
    let server = Server::start(rival, &settings.server_words(subject, rival))?;
    let limit = SLACK + Duration::from_secs_f64(settings.seconds);
    let words = settings.load_words(connections);
    Generator::start(subject.load, &server, &words, limit)?.report()
}

/// Names the machine, as far as `/proc` tells.
fn machine() -> String {
    let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
    let cpuinfo = read("/proc/cpuinfo");
    let model = cpuinfo
        .lines()
        .find_map(|line| line.strip_prefix("model name")?.split_once(':'))
        .map_or("unknown processor", |(_, model)| model.trim());
    let processors = thread::available_parallelism().map_or(1, usize::from);
    let kernel = read("/proc/sys/kernel/osrelease");
    format!("{processors} × {model}, Linux {}", kernel.trim())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(line: &str) -> Result<Settings, Problem> {
        let words: Vec<String> = line.split_ascii_whitespace().map(str::to_owned).collect();
        Settings::parse(&Args::parse(&words, SWITCHES, OPTIONS)?)
    }

    fn subject(name: &str) -> &'static Subject {
        named_subjects(&[name.to_owned()]).unwrap()[0]
    }

    #[test]
    fn named_subjects_of_nothing_are_all_and_a_wrong_name_is_told() {
        assert_eq!(named_subjects(&[]).unwrap().len(), SUBJECTS.len());
        assert_eq!(
            named_subjects(&["ehco".to_owned()]).unwrap_err(),
            "unknown subject ehco"
        );
    }

    #[test]
    fn settings_rivals_are_those_named_in_their_order() {
        let settings = settings("echo --rivals tokio,raw").unwrap();
        assert_eq!(settings.rivals, [Rival::Tokio, Rival::Raw]);
    }

    #[test]
    fn settings_of_two_workers_leave_out_single_threaded_rivals_and_pins() {
        let settings = settings("echo --workers 2").unwrap();
        assert!(!settings.rivals.contains(&Rival::TokioCt));
        assert!(!settings.rivals.contains(&Rival::GannetCt));
        assert!(settings.rivals.contains(&Rival::Tokio));
        assert_eq!(settings.pins, None);
    }

    #[test]
    fn settings_pins_to_one_processor_are_for_one_worker() {
        let pins = settings("churn --same-cpu").unwrap().pins;
        assert_eq!(
            pins,
            Some(Pins {
                server: 0,
                generator: 0
            })
        );
        assert!(settings("churn --same-cpu --workers 2").is_err());
        assert!(settings("churn --same-cpu --no-pin").is_err());
    }

    #[test]
    fn server_words_follow_subject_and_rival() {
        let settings = settings("--no-pin --deadline").unwrap();
        let words = settings.server_words(subject("fds"), Rival::Tokio);
        assert_eq!(
            words,
            ["--workers", "1", "--descriptors", "64", "--deadline"]
        );
        assert!(
            !settings.is_lazy(subject("idle"), Rival::Tokio),
            "no deadlines there"
        );
        let settings = self::settings("--no-pin").unwrap();
        assert!(settings.is_lazy(subject("idle"), Rival::Tokio));
        assert!(!settings.is_lazy(subject("idle"), Rival::May));
        assert!(!settings.is_lazy(subject("echo"), Rival::Tokio));
    }
}
