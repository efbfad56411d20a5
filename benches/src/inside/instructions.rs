//! `--instructions`: the same measurement under callgrind, twice.

use std::process::Stdio;

use super::subject::Subject;
use crate::callgrind::{self, Count};
use crate::report::Report;
use crate::server::Rival;

/// Units that both runs do before those that differ: the first of many things costs more.
const WARM_UP: u64 = 2_000;

/// Counts the instructions of a unit of `subject`.
pub(super) fn count(subject: &Subject, rival: Rival, workers: usize) -> Result<Report, String> {
    let (few, many) = subject
        .counted
        .ok_or_else(|| format!("the instructions of {} depend on the clock", subject.name))?;
    if !callgrind::is_installed() {
        return Err("there is no valgrind".to_owned());
    }
    let run = |units| run(subject, rival, workers, units);
    let instructions = callgrind::each(run(few)?, run(many)?);
    let mut report = Report::new();
    report.add(
        "instructions",
        instructions.ok_or("the two runs are alike")?,
    );
    Ok(report)
}

/// Returns the units of one run and its instructions.
fn run(subject: &Subject, rival: Rival, workers: usize, units: u64) -> Result<(u64, u64), String> {
    let words = [
        "inside",
        subject.name,
        rival.name(),
        "--workers",
        &workers.to_string(),
        "--warm-up",
        &WARM_UP.to_string(),
        "--count",
        &units.to_string(),
    ];
    let count = Count::new();
    let output = count
        .command(&words.map(str::to_owned))
        .stdin(Stdio::null())
        .output()
        .map_err(|err| format!("valgrind: {err}"))?;
    if output.status.success() {
        Ok((units, count.instructions()?))
    } else {
        let why = String::from_utf8_lossy(&output.stderr);
        Err(format!("under valgrind: {}", why.trim()))
    }
}
