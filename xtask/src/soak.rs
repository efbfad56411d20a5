//! `cargo xtask soak`: a suite of scenarios many times over, for what fails once in a hundred.

use std::num::NonZeroU32;

use crate::{programs, tools};

/// How often each scenario runs unless told otherwise.
const RUNS: NonZeroU32 = NonZeroU32::new(20).unwrap();

/// The suite that knows how to repeat itself, and to measure.
const SUITE: &str = "roam_real";

/// What to repeat, and how often.
#[derive(Debug, PartialEq)]
pub(crate) struct Options {
    pub(crate) runs: NonZeroU32,
    /// Parts of the scenarios' names; all if empty.
    pub(crate) names: Vec<String>,
}

pub(crate) fn parse(rest: &[String]) -> Result<Options, String> {
    let mut rest = match rest {
        [suite, rest @ ..] if suite == SUITE => rest,
        [other, ..] => return Err(format!("no suite `{other}`; there is {SUITE}")),
        [] => return Err(format!("`soak` takes a suite: {SUITE}")),
    };
    let mut options = Options {
        runs: RUNS,
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
            [name, rest @ ..] if !name.starts_with('-') => {
                options.names.push(name.clone());
                rest
            }
            [other, ..] => return Err(format!("`soak` takes no lone `{other}`")),
        };
    }
}

/// Repeats the scenarios; the suite prints failures and runs of each.
pub(crate) fn run(options: &Options) -> Result<(), String> {
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
    }

    #[test]
    fn bad_command_lines_are_refused_by_name() {
        for (line, culprit) in [
            ("", "roam_real"),
            ("echo", "`echo`"),
            ("roam_real --runs many", "`many`"),
            ("roam_real --runs 0", "`0`"),
            ("roam_real --walks 2", "`--walks`"),
        ] {
            let error = parsed(line).expect_err(line);
            assert!(error.contains(culprit), "{line}: {error}");
        }
    }
}
