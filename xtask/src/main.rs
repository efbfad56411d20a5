//! `cargo xtask ...`: the one place for automation. `cargo xtask help` lists what there is.
//!
//! Standard library only, so that the first build of a fresh checkout waits for nothing else.

mod deep;
mod fuzz;
mod loom;
mod mutants;
mod programs;
mod report;
mod soak;
mod test;
mod tools;
mod vectors;

use std::env;
use std::process::ExitCode;

const USAGE: &str = "\
cargo xtask test [--no-skip] [--only STEP]...   fmt, clippy, docs, tests, loom, in this order
cargo xtask loom [MODEL] [--bound N]            the models; N = preemptions explored (default 2)
cargo xtask bench [SUBJECT [ARGUMENT...]]       the benchmarks, arguments passed through
cargo xtask bench roam [NAME]...                recovery times beside those of real mosh
cargo xtask deep                                valgrind and AddressSanitizer
cargo xtask soak roam_real [--runs N] [NAME]... the scenarios with real mosh, N times (default 20)
cargo xtask soak dials [--runs N]               dials of each kind, N times (default 100000): leaks?
cargo xtask fuzz [TARGET] [--seconds N]         libFuzzer, N seconds a target (default 25)
cargo xtask mutants [NAME]                      every named mutant must be killed by its test
cargo xtask verify-vectors [FILE...]            captured sessions of mosh, against our codecs
cargo xtask help                                this text

--no-skip makes a missing program or a skipped test a failure.";

/// What the command line asks for.
#[derive(Debug, PartialEq)]
enum Request {
    Test(test::Options),
    Loom {
        model: Option<String>,
        bound: u32,
    },
    Bench(Vec<String>),
    Deep,
    Soak(soak::Options),
    Mutants {
        name: Option<String>,
    },
    VerifyVectors(Vec<String>),
    Fuzz {
        target: Option<String>,
        seconds: u32,
    },
    Help,
}

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let request = match parse(&arguments) {
        Ok(request) => request,
        Err(error) => {
            eprintln!("{error}\n\n{USAGE}");
            return ExitCode::FAILURE;
        }
    };
    match run(request) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(request: Request) -> Result<(), String> {
    match request {
        Request::Test(options) => test::run(&options),
        Request::Loom { model, bound } => {
            report::finish(&[report::step("loom", || loom::run(model.as_deref(), bound))])
        }
        Request::Bench(arguments) => bench(&arguments),
        Request::Deep => deep::run(),
        Request::Soak(options) => soak::run(&options),
        Request::Fuzz { target, seconds } => fuzz::run(target.as_deref(), seconds),
        Request::Mutants { name } => mutants::run(name.as_deref()),
        Request::VerifyVectors(files) => vectors::run(&files),
        Request::Help => {
            println!("{USAGE}");
            Ok(())
        }
    }
}

/// Subjects of the benchmarks in which an example stands for gannet, and the program beside it.
const PROGRAM_SUBJECTS: [(&str, &str, &str); 2] =
    [("relay", "proxy", "iperf3"), ("files", "files", "nginx")];

fn bench(arguments: &[String]) -> Result<(), String> {
    match arguments {
        [subject, names @ ..] if subject == "roam" => return soak::measure(names),
        _ => {}
    }
    let is_measured = |subject: &str| {
        let all = arguments.first().is_none_or(|word| word.starts_with("--"));
        all || arguments.iter().any(|word| word == subject)
    };
    for (subject, example, program) in PROGRAM_SUBJECTS {
        if is_measured(subject) {
            // Without its program the subject, or a rival in it, is left out, which is told there.
            if let Err(error) = programs::need(program) {
                println!("{error}");
            }
            let mut command = tools::cargo();
            tools::run(command.args(["build", "--release", "--example", example]))?;
        }
    }
    let mut command = tools::cargo();
    command
        .args(["run", "--release", "-p", "gannet-benches", "--"])
        .args(arguments);
    tools::run(&mut command)
}

fn parse(arguments: &[String]) -> Result<Request, String> {
    let Some((name, rest)) = arguments.split_first() else {
        return Err("which task?".to_owned());
    };
    match name.as_str() {
        "test" => parse_test(rest),
        "loom" => parse_loom(rest),
        "bench" => Ok(Request::Bench(rest.to_vec())),
        "deep" if rest.is_empty() => Ok(Request::Deep),
        "soak" => soak::parse(rest).map(Request::Soak),
        "fuzz" => parse_fuzz(rest),
        "mutants" => Ok(Request::Mutants {
            name: parse_name(rest)?,
        }),
        "verify-vectors" => Ok(Request::VerifyVectors(rest.to_vec())),
        "help" | "-h" | "--help" => Ok(Request::Help),
        "deep" => Err(format!("`deep` takes no `{}`", rest[0])),
        _ => Err(format!("no task `{name}`")),
    }
}

fn parse_test(mut rest: &[String]) -> Result<Request, String> {
    let mut options = test::Options::default();
    loop {
        rest = match rest {
            [] => return Ok(Request::Test(options)),
            [flag, rest @ ..] if flag == "--no-skip" => {
                options.no_skip = true;
                rest
            }
            [flag, step, rest @ ..] if flag == "--only" => {
                options.only.push(test::step_name(step)?);
                rest
            }
            [other, ..] => return Err(format!("`test` takes no lone `{other}`")),
        }
    }
}

fn parse_loom(rest: &[String]) -> Result<Request, String> {
    let (model, bound) = parse_counted("loom", "--bound", rest)?;
    let bound = bound.unwrap_or(loom::BOUND);
    Ok(Request::Loom { model, bound })
}

fn parse_fuzz(rest: &[String]) -> Result<Request, String> {
    let (target, seconds) = parse_counted("fuzz", "--seconds", rest)?;
    let seconds = seconds.unwrap_or(fuzz::SECONDS);
    Ok(Request::Fuzz { target, seconds })
}

/// A name and a number behind its flag, each of which may be missing.
fn parse_counted(
    task: &str,
    flag: &str,
    mut rest: &[String],
) -> Result<(Option<String>, Option<u32>), String> {
    let (mut name, mut number) = (None, None);
    loop {
        rest = match rest {
            [] => return Ok((name, number)),
            [word, count, rest @ ..] if word == flag => {
                let count = count
                    .parse()
                    .map_err(|_| format!("{flag} takes a number, not `{count}`"))?;
                number = Some(count);
                rest
            }
            [word, rest @ ..] if !word.starts_with('-') && name.is_none() => {
                name = Some(word.clone());
                rest
            }
            [other, ..] => return Err(format!("`{task}` takes no lone `{other}`")),
        }
    }
}

fn parse_name(rest: &[String]) -> Result<Option<String>, String> {
    match rest {
        [] => Ok(None),
        [name] if !name.starts_with('-') => Ok(Some(name.clone())),
        _ => Err(format!(
            "`mutants` takes one name, not `{}`",
            rest.join(" ")
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(line: &str) -> Result<Request, String> {
        let words: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
        parse(&words)
    }

    #[test]
    fn command_lines_are_understood() {
        let options = test::Options {
            no_skip: true,
            only: vec!["fmt", "loom"],
        };
        assert_eq!(
            parsed("test --only fmt --no-skip --only loom"),
            Ok(Request::Test(options))
        );
        assert_eq!(parsed("test"), Ok(Request::Test(test::Options::default())));
        assert_eq!(
            parsed("loom"),
            Ok(Request::Loom {
                model: None,
                bound: 2
            })
        );
        let model = Some("fd_lock".to_owned());
        assert_eq!(
            parsed("loom fd_lock --bound 3"),
            Ok(Request::Loom { model, bound: 3 })
        );
        let echo = vec!["echo".to_owned(), "--rounds".to_owned(), "2".to_owned()];
        assert_eq!(parsed("bench echo --rounds 2"), Ok(Request::Bench(echo)));
        assert_eq!(parsed("deep"), Ok(Request::Deep));
        let files = vec!["a.jsonl".to_owned(), "-v".to_owned()];
        assert_eq!(
            parsed("verify-vectors a.jsonl -v"),
            Ok(Request::VerifyVectors(files))
        );
        let target = Some("f1_open".to_owned());
        let seconds = 600;
        assert_eq!(
            parsed("fuzz f1_open --seconds 600"),
            Ok(Request::Fuzz { target, seconds })
        );
        assert_eq!(
            parsed("mutants a"),
            Ok(Request::Mutants {
                name: Some("a".to_owned())
            })
        );
        assert_eq!(parsed("--help"), Ok(Request::Help));
    }

    #[test]
    fn bad_command_lines_are_refused_by_name() {
        for (line, culprit) in [
            ("", "which task"),
            ("tset", "`tset`"),
            ("test --only", "`--only`"),
            ("test --only nothing", "`nothing`"),
            ("test fmt", "`fmt`"),
            ("loom a b", "`b`"),
            ("loom --bound x", "`x`"),
            ("fuzz --seconds", "`--seconds`"),
            ("deep now", "`now`"),
            ("mutants a b", "`a b`"),
        ] {
            let error = parsed(line).expect_err(line);
            assert!(error.contains(culprit), "{line}: {error}");
        }
    }
}
