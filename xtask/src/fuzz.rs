//! `cargo xtask fuzz`: libFuzzer over what peers send, from the committed corpora.
//!
//! Needs nightly and cargo-fuzz, so not in CI, which replays the corpora in `roam/tests/fuzz_corpus.rs`.
//! What a run finds to be new goes to the target folder; `fuzz/corpus` is changed by hand.

use std::fs;
use std::path::PathBuf;

use crate::tools;

/// The names of `fuzz/fuzz_targets`, in the order of the layers.
const TARGETS: [&str; 5] = [
    "f1_open",
    "f2_fragments",
    "f3_inflate",
    "f4_instructions",
    "f5_diffs",
];

/// How long each target runs by default.
pub(crate) const SECONDS: u32 = 25;

/// No input takes longer, and no run needs more.
const LIMITS: [&str; 3] = ["-timeout=10", "-rss_limit_mb=1024", "-max_len=4096"];

/// Runs one target, or all, each for so many seconds.
pub(crate) fn run(target: Option<&str>, seconds: u32) -> Result<(), String> {
    let wanted = chosen(target)?;
    require_cargo_fuzz()?;
    for target in wanted {
        let found = found(target);
        fs::create_dir_all(&found).map_err(|error| format!("{}: {error}", found.display()))?;
        let mut command = tools::program("rustup");
        command.args(["run", "nightly", "cargo", "fuzz", "run"]);
        command.args(["--fuzz-dir", "fuzz", target]);
        command.arg(&found).arg(format!("fuzz/corpus/{target}"));
        command.arg("--").args(LIMITS).arg("-print_final_stats=1");
        command.arg(format!("-max_total_time={seconds}"));
        tools::run(&mut command)?;
    }
    Ok(())
}

fn chosen(target: Option<&str>) -> Result<Vec<&'static str>, String> {
    let wanted = TARGETS.into_iter();
    let wanted: Vec<_> = wanted
        .filter(|name| target.is_none_or(|target| target == *name))
        .collect();
    match wanted.is_empty() {
        true => Err(format!("no such target; there are {}", TARGETS.join(", "))),
        false => Ok(wanted),
    }
}

/// Where a target's new inputs go.
fn found(target: &str) -> PathBuf {
    tools::target_dir().join("fuzz-found").join(target)
}

fn require_cargo_fuzz() -> Result<(), String> {
    let nightly = tools::run(tools::program("rustup").args(["run", "nightly", "rustc", "-V"]));
    nightly
        .map_err(|error| format!("fuzzing needs `rustup toolchain install nightly`: {error}"))?;
    if tools::on_path("cargo-fuzz") {
        return Ok(());
    }
    let mut install = tools::cargo();
    install.args(["install", "cargo-fuzz", "--locked"]);
    tools::run(&mut install).map_err(|error| format!("cargo-fuzz is missing: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_are_those_that_exist() {
        let folder = tools::root().join("fuzz");
        let mut sources: Vec<_> = fs::read_dir(folder.join("fuzz_targets"))
            .expect("the targets")
            .map(|entry| entry.expect("an entry").path())
            .map(|path| path.file_stem().expect("a name").to_owned())
            .collect();
        sources.sort();
        assert_eq!(sources, TARGETS);
        for target in TARGETS {
            assert!(folder.join("corpus").join(target).is_dir(), "{target}");
        }
    }

    #[test]
    fn one_target_or_all_are_chosen() {
        assert_eq!(chosen(None), Ok(TARGETS.to_vec()));
        assert_eq!(chosen(Some("f3_inflate")), Ok(vec!["f3_inflate"]));
        let error = chosen(Some("f9")).expect_err("no such");
        assert!(error.contains("f5_diffs"), "{error}");
    }
}
