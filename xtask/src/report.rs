//! What happened: counts of tests, one row a step, and one plain line at the end.

use std::time::{Duration, Instant};

/// Tests by outcome.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Tally {
    pub(crate) passed: usize,
    pub(crate) failed: usize,
    pub(crate) skipped: usize,
}

impl Tally {
    /// Adds the counts of a line such as `test result: ok. 3 passed; 0 failed; 1 ignored; ...`.
    pub(crate) fn read(&mut self, line: &str) {
        let Some((_, counts)) = line.split_once("test result: ") else {
            return;
        };
        let counts = counts.split_once(". ").map_or(counts, |(_, counts)| counts);
        for item in counts.split(';') {
            let Some((number, what)) = item.trim().split_once(' ') else {
                continue;
            };
            let Ok(number) = number.parse::<usize>() else {
                continue;
            };
            match what {
                "passed" => self.passed += number,
                "failed" => self.failed += number,
                "ignored" => self.skipped += number,
                _ => {}
            }
        }
    }

    /// Moves `count` tests that skipped themselves from the passed: libtest can't tell.
    pub(crate) fn skip(&mut self, count: usize) {
        self.passed = self.passed.saturating_sub(count);
        self.skipped += count;
    }

    fn add(&mut self, other: Tally) {
        self.passed += other.passed;
        self.failed += other.failed;
        self.skipped += other.skipped;
    }
}

/// What a step found: its tests, and why it failed if it did.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) tests: Tally,
    pub(crate) verdict: Result<(), String>,
}

impl From<Result<(), String>> for Outcome {
    fn from(verdict: Result<(), String>) -> Self {
        Self {
            tests: Tally::default(),
            verdict,
        }
    }
}

/// A step that ran.
#[derive(Debug)]
pub(crate) struct Step {
    name: &'static str,
    took: Duration,
    outcome: Outcome,
}

/// Runs and times one step.
pub(crate) fn step<O: Into<Outcome>>(name: &'static str, body: impl FnOnce() -> O) -> Step {
    println!("\n== {name}");
    let start = Instant::now();
    let outcome = body().into();
    if let Err(error) = &outcome.verdict {
        println!("{name} failed: {error}");
    }
    Step {
        name,
        took: start.elapsed(),
        outcome,
    }
}

/// Prints the table and the last line; an error if a step failed.
pub(crate) fn finish(steps: &[Step]) -> Result<(), String> {
    println!("\n{}", summary(steps));
    let failed: Vec<&str> = steps
        .iter()
        .filter(|step| step.outcome.verdict.is_err())
        .map(|step| step.name)
        .collect();
    if failed.is_empty() {
        Ok(())
    } else {
        Err(format!("failed: {}", failed.join(", ")))
    }
}

fn summary(steps: &[Step]) -> String {
    let mut text = format!("{:<10} {:<7} {:>9}  tests", "step", "result", "time");
    let mut total = Tally::default();
    for Step {
        name,
        took,
        outcome,
    } in steps
    {
        let result = if outcome.verdict.is_ok() {
            "ok"
        } else {
            "FAILED"
        };
        let Tally {
            passed,
            failed,
            skipped,
        } = outcome.tests;
        let tests = match outcome.tests == Tally::default() {
            true => "-".to_owned(),
            false => format!("{passed} passed, {failed} failed, {skipped} skipped"),
        };
        let seconds = took.as_secs_f64();
        text += &format!("\n{name:<10} {result:<7} {seconds:>7.1} s  {tests}");
        if let Err(error) = &outcome.verdict {
            text += &format!("\n           {error}");
        }
        total.add(outcome.tests);
        // A step counts too: one that fails without a failed test must not end in `0 failed`.
        match outcome.verdict {
            Ok(()) => total.passed += 1,
            Err(_) => total.failed += 1,
        }
    }
    let Tally {
        passed,
        failed,
        skipped,
    } = total;
    text + &format!("\n\n{passed} passed, {failed} failed, {skipped} skipped")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn result_lines_are_added_up_and_others_left() {
        let mut tally = Tally::default();
        for line in [
            "running 3 tests",
            "test result: ok. 3 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.00s",
            "test a::b ... test result: FAILED. 2 passed; 4 failed; 0 ignored; 0 measured; 7 filtered out",
            "test result_is_kept ... ok",
            "9 passed",
        ] {
            tally.read(line);
        }
        assert_eq!(
            tally,
            Tally {
                passed: 5,
                failed: 4,
                skipped: 1
            }
        );
        tally.skip(2);
        assert_eq!(
            tally,
            Tally {
                passed: 3,
                failed: 4,
                skipped: 3
            }
        );
    }

    fn done(name: &'static str, tests: Tally, verdict: Result<(), String>) -> Step {
        Step {
            name,
            took: Duration::from_millis(1500),
            outcome: Outcome { tests, verdict },
        }
    }

    #[test]
    fn summary_counts_tests_and_steps() {
        let tests = Tally {
            passed: 10,
            failed: 1,
            skipped: 2,
        };
        let steps = [
            done("fmt", Tally::default(), Ok(())),
            done("tests", tests, Err("`cargo test` failed".to_owned())),
        ];
        let text = summary(&steps);
        assert_eq!(text.lines().last(), Some("11 passed, 2 failed, 2 skipped"));
        assert!(
            text.contains("tests      FAILED      1.5 s  10 passed, 1 failed, 2 skipped"),
            "{text}"
        );
        assert!(text.contains("`cargo test` failed"), "{text}");
        assert_eq!(finish(&steps), Err("failed: tests".to_owned()));
        assert_eq!(finish(&steps[..1]), Ok(()));
    }
}
