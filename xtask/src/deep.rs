//! `cargo xtask deep`: valgrind over the echo example under load, AddressSanitizer over the tests.
//!
//! Too slow for every change, so not in CI. A missing tool is an error that names it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::thread;
use std::time::{Duration, Instant};

use crate::programs;
use crate::report::{self, Outcome, Tally};
use crate::tools::{self, Running};

/// Valgrind runs the example some 20 to 50 times slower, and slower still where cores are few.
const START_LIMIT: Duration = Duration::from_secs(60);
const LOAD_LIMIT: Duration = Duration::from_secs(180);
const STOP_LIMIT: Duration = Duration::from_secs(60);
const ASAN_LIMIT: Duration = Duration::from_secs(45 * 60);

const LOAD: [&str; 4] = ["--connections", "64", "--seconds", "5"];
const TARGET: &str = "x86_64-unknown-linux-gnu";

/// Runs both and prints what they measured.
pub(crate) fn run() -> Result<(), String> {
    let valgrind = report::step("valgrind", valgrind);
    let asan = report::step("asan", asan);
    report::finish(&[valgrind, asan])
}

fn valgrind() -> Result<(), String> {
    require_valgrind()?;
    tools::run(tools::cargo().args(["build", "--release", "--example", "echo"]))?;
    tools::run(tools::cargo().args(["build", "--release", "-p", "gannet-benches"]))?;
    let release = tools::target_dir().join("release");
    let log = tools::target_dir().join("valgrind.log");
    serve_and_load(&release, &log)?;
    let text = fs::read_to_string(&log).map_err(|error| format!("{}: {error}", log.display()))?;
    let measured = Memcheck::read(&text)?;
    println!("{measured:?}");
    measured
        .judge()
        .map_err(|error| format!("{error}; see {}", log.display()))
}

fn require_valgrind() -> Result<(), String> {
    if tools::on_path("valgrind") {
        return Ok(());
    }
    let installed = programs::install(&["valgrind"]);
    if tools::on_path("valgrind") {
        return Ok(());
    }
    Err(format!(
        "valgrind is missing ({})",
        installed.err().unwrap_or_default()
    ))
}

/// Starts the example under memcheck, loads it, and ends it as a user would.
fn serve_and_load(release: &Path, log: &Path) -> Result<(), String> {
    let mut command = tools::program("valgrind");
    command.args([
        "--tool=memcheck",
        "--leak-check=full",
        "--show-leak-kinds=all",
        concat!(
            "--suppressions=",
            env!("CARGO_MANIFEST_DIR"),
            "/valgrind.supp"
        ),
    ]);
    command
        .arg("--errors-for-leak-kinds=definite,indirect,possible")
        .arg("--error-exitcode=99");
    command.arg(format!("--log-file={}", log.display()));
    command
        .arg(release.join("examples/echo"))
        .args(["--tcp", "127.0.0.1:0"]);
    let child = command.stdout(Stdio::piped()).spawn();
    let mut server = Running(child.map_err(|error| tools::cannot_start(&command, &error))?);

    let lines = tools::lines_of(server.0.stdout.take().expect("piped above"));
    let first = lines.recv_timeout(START_LIMIT);
    let first = first.map_err(|_| "echo did not say where it listens".to_owned())?;
    let address = first
        .strip_prefix("listening tcp ")
        .ok_or(format!("echo said `{first}`"))?;

    let mut load = tools::program(release.join("gannet-benches"));
    load.args(["load", "echo", address]).args(LOAD);
    tools::run(&mut tools::bounded(&load, LOAD_LIMIT))?;

    let pid = server.0.id().to_string();
    tools::run(tools::program("sh").args(["-c", "kill -TERM \"$0\"", &pid]))?;
    let stop = Instant::now();
    while stop.elapsed() < STOP_LIMIT {
        // Its verdict is in the log, and 99 is memcheck's own; any other status is the example's.
        match server.0.try_wait().map_err(|error| error.to_string())? {
            Some(status) if status.success() || status.code() == Some(99) => return Ok(()),
            Some(status) => return Err(format!("echo ended by {status}")),
            None => thread::sleep(Duration::from_millis(50)),
        }
    }
    Err("echo did not end after SIGTERM".to_owned())
}

/// What memcheck found. Bytes, but for errors.
#[derive(Debug, PartialEq)]
struct Memcheck {
    errors: u64,
    definitely_lost: u64,
    indirectly_lost: u64,
    possibly_lost: u64,
    /// Not a leak: statics hold it until the process ends.
    still_reachable: u64,
}

impl Memcheck {
    fn read(log: &str) -> Result<Self, String> {
        let number = |label: &str| {
            let rest = log
                .lines()
                .rev()
                .find_map(|line| Some(line.split_once(label)?.1))?;
            rest.split_whitespace()
                .next()?
                .replace(',', "")
                .parse()
                .ok()
        };
        let errors = number("ERROR SUMMARY: ").ok_or("valgrind's log has no summary")?;
        // Without the table of leaks, every block was freed, and the log says so.
        let is_clean = log.contains("no leaks are possible");
        let lost = |label: &str| match number(label) {
            Some(bytes) => Ok(bytes),
            None if is_clean => Ok(0),
            None => Err(format!("valgrind's log does not tell `{label}`")),
        };
        Ok(Self {
            errors,
            definitely_lost: lost("definitely lost: ")?,
            indirectly_lost: lost("indirectly lost: ")?,
            possibly_lost: lost("possibly lost: ")?,
            still_reachable: lost("still reachable: ")?,
        })
    }

    fn judge(&self) -> Result<(), String> {
        let leaked = self.definitely_lost + self.indirectly_lost + self.possibly_lost;
        match (self.errors, leaked) {
            (0, 0) => Ok(()),
            (errors, leaked) => Err(format!("{errors} errors, {leaked} bytes leaked")),
        }
    }
}

fn asan() -> Outcome {
    if let Err(error) = require_nightly() {
        return Err(error).into();
    }
    let mut command = tools::program("cargo");
    command.args(["+nightly", "test", "--target", TARGET, "--no-fail-fast"]);
    command.args([
        "-p",
        "gannet-sys",
        "-p",
        "gannet-runtime",
        "-p",
        "gannet-net",
        "--lib",
        "--tests",
    ]);
    command.arg("--target-dir").arg(asan_dir());
    // It limits its own address space, of which the sanitizer needs terabytes.
    command.args([
        "--",
        "--skip",
        "call_for_which_no_thread_can_be_made_says_so",
    ]);
    command
        .env("RUSTFLAGS", "-Zsanitizer=address")
        .env("ASAN_OPTIONS", "detect_leaks=1");
    let mut command = tools::bounded_unless_watched(command, ASAN_LIMIT);
    let mut tests = Tally::default();
    // A leak or an error ends the test program with a status of its own.
    let status = tools::stream(&mut command, &mut |line| tests.read(line));
    let verdict = status.and_then(|status| tools::judge(&command, status));
    let verdict = verdict.and_then(|()| match tests.passed {
        0 => Err("no test ran under AddressSanitizer".to_owned()),
        _ => Ok(()),
    });
    if verdict.is_ok() {
        println!(
            "AddressSanitizer: 0 errors, 0 leaks in {} tests",
            tests.passed
        );
    }
    Outcome { tests, verdict }
}

fn asan_dir() -> PathBuf {
    tools::target_dir().join("asan")
}

fn require_nightly() -> Result<(), String> {
    let mut command = tools::program("cargo");
    command
        .args(["+nightly", "--version"])
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    match command.status() {
        Ok(status) if status.success() => Ok(()),
        _ => Err(
            "Rust nightly is missing; `rustup toolchain install nightly` installs it".to_owned(),
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LEAKY: &str = "\
==7== LEAK SUMMARY:
==7==    definitely lost: 1,048 bytes in 2 blocks
==7==    indirectly lost: 0 bytes in 0 blocks
==7==      possibly lost: 304 bytes in 1 blocks
==7==    still reachable: 12 bytes in 3 blocks
==7== ERROR SUMMARY: 3 errors from 3 contexts (suppressed: 0 from 0)
";

    #[test]
    fn memcheck_log_with_leaks_fails() {
        let found = Memcheck::read(LEAKY).unwrap();
        let expected = Memcheck {
            errors: 3,
            definitely_lost: 1048,
            indirectly_lost: 0,
            possibly_lost: 304,
            still_reachable: 12,
        };
        assert_eq!(found, expected);
        assert_eq!(found.judge(), Err("3 errors, 1352 bytes leaked".to_owned()));
    }

    #[test]
    fn memcheck_log_without_leaks_passes() {
        let freed = "==7== All heap blocks were freed -- no leaks are possible\n\
                     ==7== ERROR SUMMARY: 0 errors from 0 contexts (suppressed: 0 from 0)\n";
        assert_eq!(Memcheck::read(freed).unwrap().judge(), Ok(()));
        let reachable = LEAKY
            .replace("1,048", "0")
            .replace("304", "0")
            .replace("3 errors", "0 errors");
        assert_eq!(Memcheck::read(&reachable).unwrap().judge(), Ok(()));
    }

    #[test]
    fn memcheck_log_that_was_cut_off_is_an_error() {
        assert!(Memcheck::read("==7== Memcheck, a memory error detector\n").is_err());
        assert!(Memcheck::read("==7== ERROR SUMMARY: 0 errors from 0 contexts\n").is_err());
    }
}
