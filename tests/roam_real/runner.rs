//! Runs every scenario with every pair: at the same time, because most of them wait.

use std::collections::VecDeque;
use std::process::ExitCode;
use std::sync::Mutex;
use std::thread;
use std::time::Duration;

use crate::session::Pair;
use crate::support::watchdog::Watchdog;

/// How long one run of one scenario may take; every wait in it is bounded too.
const TRIAL_LIMIT: Duration = Duration::from_secs(300);

/// A scenario with its name.
pub(crate) type Scenario = (&'static str, fn(&Pair));

/// What the command line asks for: that of a test binary, and some more.
pub(crate) struct Options {
    /// Names, or parts of them; all if empty.
    pub(crate) filters: Vec<String>,
    /// Names, or parts of them, that are left out.
    pub(crate) skips: Vec<String>,
    /// How often each is run.
    pub(crate) runs: usize,
    /// How many run at the same time.
    pub(crate) at_once: usize,
    /// Whether to list the names only.
    pub(crate) list: bool,
    /// Whether to measure in place of testing.
    pub(crate) is_measured: bool,
}

/// One scenario with one pair.
struct Trial {
    name: String,
    scenario: fn(&Pair),
    pair: Pair,
    runs: usize,
    failures: usize,
}

/// Runs what is asked for, and prints it in the manner of the usual test binaries.
pub(crate) fn run(options: &Options, scenarios: &[Scenario], pairs: &[Pair]) -> ExitCode {
    let mut trials = trials(options, scenarios, pairs);
    if options.list {
        trials
            .iter()
            .for_each(|trial| println!("{}: test", trial.name));
        return ExitCode::SUCCESS;
    }
    println!("\nrunning {} tests", trials.len() * options.runs);
    let runs = 0..options.runs;
    let queue = runs
        .flat_map(|_| 0..trials.len())
        .collect::<VecDeque<usize>>();
    let queue = Mutex::new(queue);
    let trials_mutex = Mutex::new(&mut trials);
    thread::scope(|scope| {
        for _ in 0..options.at_once {
            scope.spawn(|| work(&queue, &trials_mutex));
        }
    });
    report(&trials)
}

fn trials(options: &Options, scenarios: &[Scenario], pairs: &[Pair]) -> Vec<Trial> {
    let is_among = |names: &[String], name: &str| names.iter().any(|part| name.contains(part));
    let is_wanted = |name: &str| {
        let is_asked_for = options.filters.is_empty() || is_among(&options.filters, name);
        is_asked_for && !is_among(&options.skips, name)
    };
    let all = scenarios.iter().flat_map(|(name, scenario)| {
        pairs.iter().map(move |pair| Trial {
            name: format!("{name}::{}", pair.name()),
            scenario: *scenario,
            pair: pair.clone(),
            runs: 0,
            failures: 0,
        })
    });
    all.filter(|trial| is_wanted(&trial.name)).collect()
}

/// Takes one trial after the other until none is left.
fn work(queue: &Mutex<VecDeque<usize>>, trials: &Mutex<&mut Vec<Trial>>) {
    loop {
        let Some(at) = queue.lock().expect("nobody panics here").pop_front() else {
            return;
        };
        let (name, scenario, pair) = {
            let trial = &trials.lock().expect("nobody panics here")[at];
            (trial.name.clone(), trial.scenario, trial.pair.clone())
        };
        // In a thread of this name, which messages of failures and skips bear.
        let body = move || {
            let _watchdog = Watchdog::start(TRIAL_LIMIT);
            if pair.can_be_used() {
                scenario(&pair);
            }
        };
        let started = thread::Builder::new().name(name.clone()).spawn(body);
        let has_failed = started.expect("a thread").join().is_err();
        println!(
            "test {name} ... {}",
            if has_failed { "FAILED" } else { "ok" }
        );
        let trial = &mut trials.lock().expect("nobody panics here")[at];
        trial.runs += 1;
        trial.failures += usize::from(has_failed);
    }
}

fn report(trials: &[Trial]) -> ExitCode {
    let runs: usize = trials.iter().map(|trial| trial.runs).sum();
    let failures: usize = trials.iter().map(|trial| trial.failures).sum();
    if runs > trials.len() {
        println!("\nfailures/runs");
        for trial in trials {
            println!("{:>6}/{:<6} {}", trial.failures, trial.runs, trial.name);
        }
    }
    let verdict = if failures == 0 { "ok" } else { "FAILED" };
    println!(
        "\ntest result: {verdict}. {} passed; {failures} failed; 0 ignored",
        runs - failures
    );
    if failures == 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}
