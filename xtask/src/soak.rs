//! `cargo xtask soak`: a suite of scenarios many times over, for what fails once in a hundred; or dials,
//! for what leaks a little each time.

use std::num::NonZeroU32;

use crate::{programs, tools};

/// How often each scenario runs unless told otherwise.
const RUNS: NonZeroU32 = NonZeroU32::new(20).unwrap();

/// How often each kind of dial is done unless told otherwise.
const DIALS: NonZeroU32 = NonZeroU32::new(100_000).unwrap();

/// The suite that knows how to repeat itself, and to measure.
const SUITE: &str = "roam_real";
/// The test that counts what dials leave behind, and the variable that tells it how many to make.
const DIALS_TEST: &str = "dials";
const DIALS_COUNT: &str = "GANNET_DIALS";

/// What to repeat, and how often.
#[derive(Debug, PartialEq)]
pub(crate) struct Options {
    suite: Suite,
    pub(crate) runs: NonZeroU32,
    /// Parts of the scenarios' names; all if empty.
    pub(crate) names: Vec<String>,
}

/// What can be repeated.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Suite {
    Scenarios,
    Dials,
}

pub(crate) fn parse(rest: &[String]) -> Result<Options, String> {
    let (suite, runs, mut rest) = match rest {
        [suite, rest @ ..] if suite == SUITE => (Suite::Scenarios, RUNS, rest),
        [suite, rest @ ..] if suite == DIALS_TEST => (Suite::Dials, DIALS, rest),
        [other, ..] => {
            return Err(format!(
                "no suite `{other}`; there are {SUITE} and {DIALS_TEST}"
            ));
        }
        [] => return Err(format!("`soak` takes a suite: {SUITE} or {DIALS_TEST}")),
    };
    let mut options = Options {
        suite,
        runs,
        names: Vec::new(),
    };
    loop {
        rest = match rest {
            [] => return Ok(options),
            [flag, count, rest @ ..] if flag == "--runs" => {
                let runs = count.parse();
                options.runs =
                    runs.map_err(|_| format!("--runs takes a number from 1, not `{count}`"))?;
                rest
            }
            [name, rest @ ..] if !name.starts_with('-') && suite == Suite::Scenarios => {
                options.names.push(name.clone());
                rest
            }
            [other, ..] => return Err(format!("`soak` takes no lone `{other}`")),
        };
    }
}

/// Repeats the scenarios, whose suite prints failures and runs of each; or the dials, whose test prints
/// what each kind has left.
pub(crate) fn run(options: &Options) -> Result<(), String> {
    if options.suite == Suite::Dials {
        let mut command = tools::cargo();
        command.args([
            "test",
            "--release",
            "--test",
            DIALS_TEST,
            "--",
            "--nocapture",
        ]);
        return tools::run(command.env(DIALS_COUNT, options.runs.to_string()));
    }
    require_programs()?;
    tools::run(tools::cargo().args(["build", "--examples"]))?;
    let mut command = tools::cargo();
    command.args(["test", "--test", SUITE, "--"]);
    command.arg("--runs").arg(options.runs.to_string());
    tools::run(command.args(&options.names))
}

/// Measures what the suite can: as users build it, and with nothing else running.
pub(crate) fn measure(names: &[String]) -> Result<(), String> {
    require_programs()?;
    tools::run(tools::cargo().args(["build", "--release", "--examples"]))?;
    let mut command = tools::cargo();
    command.args(["test", "--release", "--test", SUITE, "--", "--measure"]);
    tools::run(command.args(names))
}

fn require_programs() -> Result<(), String> {
    match programs::prepare() {
        missing if missing.is_empty() => Ok(()),
        missing => Err(format!("missing: {}", missing.join(", "))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(line: &str) -> Result<Options, String> {
        let words: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
        parse(&words)
    }

    #[test]
    fn command_lines_are_understood() {
        let options = parsed("roam_real resize --runs 3").unwrap();
        assert_eq!(options.runs.get(), 3);
        assert_eq!(options.names, ["resize"]);
        assert_eq!(parsed("roam_real").unwrap().runs, RUNS);
        assert_eq!(parsed("dials").unwrap().runs, DIALS);
        assert_eq!(parsed("dials --runs 7").unwrap().runs.get(), 7);
    }

    #[test]
    fn bad_command_lines_are_refused_by_name() {
        for (line, culprit) in [
            ("", "roam_real"),
            ("echo", "`echo`"),
            ("roam_real --runs many", "`many`"),
            ("roam_real --runs 0", "`0`"),
            ("roam_real --walks 2", "`--walks`"),
            ("dials accepted", "`accepted`"),
        ] {
            let error = parsed(line).expect_err(line);
            assert!(error.contains(culprit), "{line}: {error}");
        }
    }
}
