//! `cargo xtask test`: what must hold before a change is in. CI runs the same, with `--no-skip`.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process;
use std::time::Duration;

use crate::report::{self, Outcome, Tally};
use crate::{loom, programs, tools};

/// A test that hangs ends the step, not the machine's patience.
const TESTS_LIMIT: Duration = Duration::from_secs(20 * 60);

/// Names the programs that tests must do without, separated by commas.
const SKIP: &str = "GANNET_SKIP";
/// Names the file to which a test that skips itself appends a line.
const SKIP_LOG: &str = "GANNET_SKIP_LOG";

/// How to run the steps.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Options {
    /// Whether a missing program or a skipped test is a failure.
    pub(crate) no_skip: bool,
    /// The steps to run; all if empty.
    pub(crate) only: Vec<&'static str>,
}

type Body = fn(&Options) -> Outcome;

const STEPS: [(&str, Body); 5] = [
    ("fmt", |_| fmt().into()),
    ("clippy", |_| clippy().into()),
    ("docs", |_| docs().into()),
    ("tests", tests),
    ("loom", |_| loom::run(None, loom::BOUND)),
];

/// The step of this name, or an error that lists them.
pub(crate) fn step_name(name: &str) -> Result<&'static str, String> {
    let names: Vec<&str> = STEPS.iter().map(|(name, _)| *name).collect();
    let found = STEPS
        .iter()
        .map(|(step, _)| *step)
        .find(|step| *step == name);
    found.ok_or_else(|| format!("no step `{name}`; there are {}", names.join(", ")))
}

/// Runs every step, also after one failed, and prints what they found.
pub(crate) fn run(options: &Options) -> Result<(), String> {
    let is_wanted = |name: &str| options.only.is_empty() || options.only.contains(&name);
    let wanted = STEPS.into_iter().filter(|(name, _)| is_wanted(name));
    let steps: Vec<_> = wanted
        .map(|(name, body)| report::step(name, || body(options)))
        .collect();
    report::finish(&steps)
}

fn fmt() -> Result<(), String> {
    tools::require_component("fmt", "rustfmt")?;
    tools::run(tools::cargo().args(["fmt", "--all", "--check"]))?;
    // Cargo does not find these: a macro declares them, in builds for loom only.
    let models = files_named("models.rs", &tools::root().join("runtime/src"))
        .map_err(|err| format!("look for models: {err}"))?;
    tools::run(
        tools::program("rustfmt")
            .args(["--edition", "2024", "--check"])
            .args(models),
    )
}

/// The files of this name in and below `folder`.
fn files_named(name: &str, folder: &Path) -> io::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            found.extend(files_named(name, &path)?);
        } else if path.ends_with(name) {
            found.push(path);
        }
    }
    Ok(found)
}

fn clippy() -> Result<(), String> {
    tools::require_component("clippy", "clippy")?;
    let arguments = [
        "clippy",
        "--workspace",
        "--all-targets",
        "--",
        "-D",
        "warnings",
    ];
    tools::run(tools::cargo().args(arguments))
}

fn docs() -> Result<(), String> {
    let mut command = tools::cargo();
    command
        .args(["doc", "--workspace", "--no-deps"])
        .env("RUSTDOCFLAGS", "-D warnings");
    tools::run(&mut command)
}

fn tests(options: &Options) -> Outcome {
    let missing = programs::prepare();
    let log = tools::target_dir().join(format!("skips-{}.log", process::id()));
    let mut command = tools::cargo();
    command.args(["test", "--workspace", "--no-fail-fast"]);
    command.env(SKIP, missing.join(",")).env(SKIP_LOG, &log);
    let mut command = tools::bounded_unless_watched(command, TESTS_LIMIT);

    let mut tests = Tally::default();
    let status = tools::stream(&mut command, &mut |line| tests.read(line));
    let verdict = status.and_then(|status| tools::judge(&command, status));
    let skips = take_skips(&log);
    for skip in &skips {
        println!("{skip}");
    }
    tests.skip(skips.len());
    let verdict = verdict.and_then(|()| refuse_skips(options.no_skip, &missing, tests));
    Outcome { tests, verdict }
}

/// The lines that tests left in the log, which goes.
fn take_skips(log: &Path) -> Vec<String> {
    let text = fs::read_to_string(log).unwrap_or_default();
    // There is none if no test skipped itself.
    let _ = fs::remove_file(log);
    text.lines()
        .filter(|line| !line.trim().is_empty())
        .map(str::to_owned)
        .collect()
}

/// An error if `no_skip` and something is missing or was skipped; also if nothing ran at all.
fn refuse_skips(no_skip: bool, missing: &[&str], tests: Tally) -> Result<(), String> {
    if tests.passed == 0 {
        return Err("no test ran".to_owned());
    }
    if !no_skip {
        return Ok(());
    }
    if !missing.is_empty() {
        return Err(format!("--no-skip, but missing: {}", missing.join(", ")));
    }
    match tests.skipped {
        0 => Ok(()),
        count => Err(format!("--no-skip, but {count} skipped")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_are_known_by_name() {
        assert_eq!(step_name("clippy"), Ok("clippy"));
        let error = step_name("lint").unwrap_err();
        assert!(error.contains("fmt, clippy, docs, tests, loom"), "{error}");
    }

    #[test]
    fn skips_and_missing_programs_fail_only_on_request() {
        let tally = |skipped| Tally {
            passed: 5,
            failed: 0,
            skipped,
        };
        assert_eq!(refuse_skips(false, &["nc"], tally(3)), Ok(()));
        assert_eq!(refuse_skips(true, &[], tally(0)), Ok(()));
        assert!(
            refuse_skips(true, &[], tally(3))
                .unwrap_err()
                .contains("3 skipped")
        );
        assert!(
            refuse_skips(true, &["nc"], tally(0))
                .unwrap_err()
                .contains("nc")
        );
        assert!(
            refuse_skips(false, &[], Tally::default()).is_err(),
            "an empty run proves nothing"
        );
    }

    #[test]
    fn skip_log_is_counted_by_lines_and_removed() {
        let log = std::env::temp_dir().join(format!("skips-test-{}", process::id()));
        fs::write(&log, "skipped: a needs nc\n\nskipped: b needs nc\n").unwrap();
        assert_eq!(
            take_skips(&log),
            ["skipped: a needs nc", "skipped: b needs nc"]
        );
        assert!(!log.exists());
        assert_eq!(take_skips(&log), [""; 0]);
    }
}
