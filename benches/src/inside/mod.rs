//! The benches inside one process: what tasks, wake-ups, channels and timers cost on gannet, tokio
//! and smol, and without a runtime. No sockets.
//!
//! `inside SUBJECT RIVAL` is one measurement in a process of its own: it starts the rival's runtime,
//! runs the subject in a task there (so on a worker), first a tenth of it to warm up, and prints a
//! report. `units` units of work took `ns_each` each by the clock; `cpu_ns` and `user_ns` are what
//! all threads together spent for one, `switches` their context switches. Each subject is written
//! once, over [`runtime::Runtime`], which names what the rivals have in common. With
//! `--instructions` the report has the instructions of one unit instead, by callgrind.

mod gannet;
mod idle;
mod instructions;
mod raw;
mod runtime;
mod signal;
mod smol;
mod subject;
mod tasks;
mod timers;
mod tokio;
mod wakes;

use std::fmt::Display;
use std::future::Future;
use std::io;
use std::process;
use std::thread;
use std::time::{Duration, Instant};

use self::runtime::Runtime;
pub(crate) use self::signal::Signal;
use self::subject::{Kind, RIVALS, SUBJECTS, Subject};
use crate::args::{Args, Problem};
use crate::procfs::Usage;
use crate::report::Report;
use crate::server::Rival;

/// How long a measurement may take; what takes longer hangs.
const LIMIT: Duration = Duration::from_secs(100);

/// How much work a measurement is.
#[derive(Clone, Copy, Debug)]
struct Plan {
    /// Units that are measured.
    units: u64,
    /// Units before that.
    warm_up: u64,
    /// Workers of the runtime.
    workers: usize,
}

/// Runs `inside SUBJECT RIVAL ...` and prints the report.
pub(crate) fn run(words: &[String]) -> Result<(), String> {
    let options = ["--count", "--warm-up", "--workers"];
    let args = Args::parse(words, &["--instructions"], &options)?;
    let (subject, rival) = named(args.free())?;
    let units = args.count("--count", subject.units, 1..=1_000_000_000)?;
    let plan = Plan {
        units,
        warm_up: args.count("--warm-up", units / 10, 0..=1_000_000_000)?,
        workers: args.count("--workers", 1, 1..=64)? as usize,
    };
    if plan.workers > 1 && is_single_threaded(rival) {
        return Err(format!("{} has one worker", rival.name()));
    }
    if args.has("--instructions") {
        print!("{}", instructions::count(subject, rival, plan.workers)?);
        return Ok(());
    }
    end_in(LIMIT)?;
    let report = measure(subject.kind, rival, plan).map_err(|err| err.to_string())?;
    print!("{report}");
    Ok(())
}

fn named(words: &[String]) -> Result<(&'static Subject, Rival), Problem> {
    let [subject, rival] = words else {
        return Err("SUBJECT and RIVAL are wanted".to_owned());
    };
    let names = SUBJECTS.iter().map(|subject| subject.name);
    let subject = SUBJECTS
        .iter()
        .find(|known| known.name == subject)
        .ok_or_else(|| format!("unknown subject {subject}; there are {}", listed(names)))?;
    let rival: Rival = rival.parse()?;
    if RIVALS.contains(&rival) {
        return Ok((subject, rival));
    }
    let rivals = listed(RIVALS.iter().map(|rival| rival.name()));
    Err(format!("{} is not one of {rivals}", rival.name()))
}

fn listed(names: impl Iterator<Item = impl Display>) -> String {
    let names: Vec<String> = names.map(|name| name.to_string()).collect();
    names.join(", ")
}

/// Tells whether `rival` has one thread here, as the raw loop has, which can serve on many.
pub(crate) fn is_single_threaded(rival: Rival) -> bool {
    rival == Rival::Raw || rival.is_single_threaded()
}

/// Ends this process with a failure after `limit`.
fn end_in(limit: Duration) -> Result<(), String> {
    let watch = move || {
        thread::sleep(limit);
        eprintln!("gannet-benches: not done after {limit:?}");
        process::exit(1);
    };
    let thread = thread::Builder::new().name("limit".to_owned()).spawn(watch);
    thread.map(drop).map_err(|err| err.to_string())
}

/// Measures in a runtime of `rival`.
fn measure(kind: Kind, rival: Rival, plan: Plan) -> io::Result<Report> {
    let workers = Some(plan.workers);
    match rival {
        Rival::Raw => raw::run(work(kind, raw::Raw, plan)),
        Rival::Gannet => gannet::run(workers, work(kind, gannet::Gannet, plan))?,
        Rival::GannetCt => gannet::run(None, work(kind, gannet::Gannet, plan))?,
        Rival::Tokio => tokio::run(workers, work(kind, tokio::Tokio, plan))?,
        Rival::TokioCt => tokio::run(None, work(kind, tokio::Tokio, plan))?,
        Rival::Smol => {
            let smol = smol::Smol::new();
            smol::run(smol, plan.workers, work(kind, smol, plan))?
        }
        _ => Err(io::ErrorKind::Unsupported.into()),
    }
}

/// Measures in a task of `runtime`.
async fn work<R: Runtime>(kind: Kind, runtime: R, plan: Plan) -> io::Result<Report> {
    let tasks = plan.workers as u64;
    match kind {
        Kind::SpawnJoin => timed(plan, |units| tasks::spawn_join(runtime, units)).await,
        Kind::SpawnMany => timed(plan, |units| tasks::spawn_many(runtime, units)).await,
        Kind::YieldAlone => timed(plan, |units| tasks::yield_alone(runtime, units)).await,
        Kind::YieldInCrowd => timed(plan, |units| tasks::yield_in_crowd(runtime, units)).await,
        Kind::PingPong => timed(plan, |units| wakes::ping_pong(runtime, units)).await,
        Kind::PingPongMpsc => timed(plan, |units| wakes::ping_pong_mpsc(runtime, units)).await,
        Kind::Wake => timed(plan, |units| wakes::wake(runtime, units)).await,
        Kind::Contend { tasks, held } => {
            timed(plan, |units| wakes::contend(runtime, tasks, held, units)).await
        }
        Kind::TimerDrop { pending } => {
            timers::leave_pending(runtime, pending);
            timed(plan, |units| timers::timer_drop(runtime, tasks, units)).await
        }
        Kind::Timeout => timed(plan, |units| timers::timeout(runtime, units)).await,
        Kind::Deadlines => {
            let set = |units| async move {
                let result = runtime.set_deadlines(units).await;
                result.expect("a stream on the loopback takes deadlines");
            };
            timed(plan, set).await
        }
        Kind::Sleepers => timers::sleepers(runtime, plan).await,
        Kind::Idle => idle::idle(runtime, plan).await,
    }
}

/// Has `work` do the plan's units and reports what one took.
async fn timed<F: Future<Output = ()>>(plan: Plan, work: impl Fn(u64) -> F) -> io::Result<Report> {
    if plan.warm_up > 0 {
        work(plan.warm_up).await;
    }
    let before = Usage::read(process::id())?;
    let start = Instant::now();
    work(plan.units).await;
    let elapsed = start.elapsed();
    let spent = Usage::read(process::id())?.since(&before);
    let mut report = Report::new();
    report.add("units", plan.units as f64);
    report.add("ns_each", nanos_each(elapsed, plan.units));
    report.add("cpu_ns", nanos_each(spent.user + spent.system, plan.units));
    report.add("user_ns", nanos_each(spent.user, plan.units));
    report.add("switches", spent.switches as f64 / plan.units as f64);
    Ok(report)
}

fn nanos_each(duration: Duration, units: u64) -> f64 {
    duration.as_nanos() as f64 / units as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Enough for every task of a crowd to have a turn.
    const FEW: u64 = 2_000;

    #[test]
    fn every_subject_runs_on_every_rival_with_one_worker_and_with_two() {
        for subject in SUBJECTS {
            for &rival in RIVALS {
                for workers in 1..=if is_single_threaded(rival) { 1 } else { 2 } {
                    let units = if subject.kind == Kind::Idle { 20 } else { FEW };
                    let plan = Plan {
                        units,
                        warm_up: units / 10,
                        workers,
                    };
                    let report = measure(subject.kind, rival, plan).unwrap();
                    let figure = match subject.kind {
                        Kind::Idle => "wake_ups",
                        _ => "cpu_ns",
                    };
                    let name = (subject.name, rival.name());
                    assert!(
                        report.figure(figure).is_some_and(f64::is_finite),
                        "{name:?}"
                    );
                }
            }
        }
    }

    #[test]
    fn named_wrong_words_are_told() {
        let words = |line: &str| -> Vec<String> {
            line.split_ascii_whitespace().map(str::to_owned).collect()
        };
        let (subject, rival) = named(&words("spawn-join smol")).unwrap();
        assert_eq!((subject.name, rival), ("spawn-join", Rival::Smol));
        for (line, want) in [
            ("spawn-join", "SUBJECT and RIVAL"),
            ("spawn-joint tokio", "there are spawn-join, "),
            ("spawn-join tokyo", "unknown rival"),
            ("spawn-join may", "not one of raw, "),
        ] {
            let problem = named(&words(line)).unwrap_err();
            assert!(problem.contains(want), "{problem}");
        }
    }
}
