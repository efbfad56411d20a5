//! `cargo xtask loom`: explores every model of the runtime and of sessions, and says how far it got.

use std::env;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use crate::report::{Outcome, Tally};
use crate::tools;

/// How many preemptions are explored unless told otherwise; a model may set its own.
pub(crate) const BOUND: u32 = 2;

const LIMIT: Duration = Duration::from_secs(20 * 60);

/// Those that have models.
const PACKAGES: [&str; 2] = ["gannet-runtime", "gannet-roam"];

/// Loom stops at these without a word, and would pass a model that it has not explored.
const CUT_OFFS: [&str; 3] = [
    "LOOM_MAX_PERMUTATIONS",
    "LOOM_MAX_DURATION",
    "LOOM_CHECKPOINT_FILE",
];

/// Runs the models whose path contains `model`, or all.
pub(crate) fn run(model: Option<&str>, bound: u32) -> Outcome {
    let filter = filter(model);
    let command = command(&filter, bound, &tools::target_dir().join("loom"));
    let mut command = tools::bounded_unless_watched(command, LIMIT);
    let mut tests = Tally::default();
    let mut counts = Vec::new();
    let status = tools::stream(&mut command, &mut |line| {
        tests.read(line);
        counts.extend(count(line));
    });
    println!("\n{}", table(&counts, bound));
    // A failing model may abort without a summary line, so the exit status decides.
    let verdict = status.and_then(|status| tools::judge(&command, status));
    let verdict = verdict.and_then(|()| match counts.len() {
        0 => Err(format!("no model matches `{filter}`")),
        _ => Ok(()),
    });
    Outcome { tests, verdict }
}

/// A model's name is looked up among the models; a path with `::` is taken as it is.
fn filter(model: Option<&str>) -> String {
    match model {
        None => "models".to_owned(),
        Some(path) if path.contains("::") => path.to_owned(),
        Some(name) => format!("models::{name}"),
    }
}

/// The command that explores the models that match `filter`, built in `target`.
pub(crate) fn command(filter: &str, bound: u32, target: &Path) -> Command {
    let mut flags = env::var_os("RUSTFLAGS").unwrap_or_default();
    flags.push(" --cfg loom");
    let mut command = tools::cargo();
    command.args(["test", "--release", "--lib"]);
    for package in PACKAGES {
        command.args(["-p", package]);
    }
    command.arg("--target-dir").arg(target);
    command.args([filter, "--", "--nocapture", "--test-threads=1"]);
    command
        .env("RUSTFLAGS", flags)
        .env("LOOM_MAX_PREEMPTIONS", bound.to_string());
    for name in CUT_OFFS {
        command.env_remove(name);
    }
    command
}

/// Reads `model NAME: N permutations`, which libtest may have put behind its own words.
fn count(line: &str) -> Option<(String, u64)> {
    let (at, word) = line.rmatch_indices("model ").next()?;
    let (name, rest) = line[at + word.len()..].split_once(": ")?;
    let (number, unit) = rest.trim().split_once(' ')?;
    unit.starts_with("permutation").then_some(())?;
    Some((name.to_owned(), number.parse().ok()?))
}

fn table(counts: &[(String, u64)], bound: u32) -> String {
    let width = counts
        .iter()
        .map(|(name, _)| name.len())
        .max()
        .unwrap_or(0)
        .max("model".len());
    let mut text = format!("{:<width$} {:>13}\n", "model", "permutations");
    for (name, number) in counts {
        text += &format!("{name:<width$} {number:>13}\n");
    }
    let total: u64 = counts.iter().map(|(_, number)| number).sum();
    let models = counts.len();
    text + &format!(
        "{:<width$} {total:>13}  ({models} models, preemptions: {bound} or a model's own)",
        "total"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_are_read_from_the_models_lines() {
        let read = |line| count(line).map(|(name, number)| format!("{name}={number}"));
        assert_eq!(
            read("model wake: 42 permutations").as_deref(),
            Some("wake=42")
        );
        let behind = "test poll::models::wake ... model wake: 1 permutations";
        assert_eq!(read(behind).as_deref(), Some("wake=1"));
        let misleading = "test poll::a_model ... model wake: 7 permutations";
        assert_eq!(read(misleading).as_deref(), Some("wake=7"));
        for line in [
            "test models::wake ... ok",
            "model wake: many permutations",
            "model wake: 3 s",
        ] {
            assert_eq!(read(line), None, "{line}");
        }
    }

    #[test]
    fn table_ends_in_the_total() {
        let counts = [("wake".to_owned(), 40), ("a_long_name".to_owned(), 2)];
        let text = table(&counts, 3);
        assert!(text.contains("wake                   40\n"), "{text}");
        let last = text.lines().last().unwrap();
        assert!(
            last.starts_with("total                  42  (2 models, preemptions: 3"),
            "{last}"
        );
    }

    #[test]
    fn names_are_looked_up_among_the_models() {
        assert_eq!(filter(None), "models");
        assert_eq!(filter(Some("wake")), "models::wake");
        assert_eq!(filter(Some("poll::desc")), "poll::desc");
    }

    #[test]
    fn command_sets_the_bound_and_lifts_every_silent_limit() {
        let command = command("models", 3, Path::new("/t"));
        let set: Vec<_> = command.get_envs().collect();
        let value = |name: &str| {
            set.iter()
                .find(|(n, _)| *n == name)
                .map(|(_, value)| *value)
        };
        assert_eq!(value("LOOM_MAX_PREEMPTIONS"), Some(Some("3".as_ref())));
        assert!(
            value("RUSTFLAGS")
                .flatten()
                .unwrap()
                .to_string_lossy()
                .ends_with("--cfg loom")
        );
        for name in CUT_OFFS {
            assert_eq!(value(name), Some(None), "{name} is removed");
        }
    }
}
