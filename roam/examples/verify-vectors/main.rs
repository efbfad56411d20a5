//! Checks captured sessions of mosh 1.4 against this crate's codecs.
//!
//! ```text
//! verify-vectors [-v] FILE.jsonl...
//! ```
//!
//! Prints one line per file and a total; `-v` adds how often each check passed. Exits 1 if a check
//! failed, 2 if a file could not be checked. The captures that come with the crate are in
//! `tests/vectors`, and so is what a file consists of.

use std::env;
use std::fs;
use std::process::ExitCode;

#[path = "../../tests/support/verify.rs"]
mod verify;

/// Failures shown per file; one mistake often has hundreds.
const SHOWN: usize = 20;

fn main() -> ExitCode {
    let (options, files): (Vec<String>, Vec<String>) =
        env::args().skip(1).partition(|word| word.starts_with('-'));
    let is_verbose = options == ["-v"];
    if files.is_empty() || !(options.is_empty() || is_verbose) {
        eprintln!("usage: verify-vectors [-v] FILE.jsonl...");
        return ExitCode::from(2);
    }
    let (mut packets, mut checks, mut failed) = (0, 0, 0);
    for file in &files {
        let text = match fs::read_to_string(file) {
            Ok(text) => text,
            Err(error) => {
                eprintln!("{file}: {error}");
                return ExitCode::from(2);
            }
        };
        let report = match verify::verify(file, &text) {
            Ok(report) => report,
            Err(malformed) => {
                eprintln!("{malformed}");
                return ExitCode::from(2);
            }
        };
        println!("{file}: {report}");
        for failure in report.failures.iter().take(SHOWN) {
            println!("    {failure}");
        }
        if is_verbose {
            for (name, times) in report.passed.iter().chain(&report.notes) {
                println!("    {times:6}  {name}");
            }
        }
        packets += report.packets;
        checks += report.checks();
        failed += report.failures.len();
    }
    println!("total: {packets} packets, {checks} checks, {failed} failed");
    match failed {
        0 => ExitCode::SUCCESS,
        _ => ExitCode::FAILURE,
    }
}
