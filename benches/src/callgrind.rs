//! Instructions of one unit of work, counted by `valgrind --tool=callgrind`.
//!
//! Measured: the instructions in user mode of this program, started again as a child that does a
//! fixed number of units and ends; once with few units and once with many. The difference over the
//! difference of units is free of start, warm-up and end. Unit: instructions, so less is better; the
//! kernel's are not in it. Noise: none that drifts; what depends on timing (how many events a wait
//! brings, who steals) moves it by a per cent or two, and more than one thread are run in turns.

use std::env;
use std::fs;
use std::path::PathBuf;
use std::process::{self, Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};

/// Tells whether there is a `valgrind` command.
pub(crate) fn is_installed() -> bool {
    let status = Command::new("valgrind")
        .arg("--version")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    status.is_ok_and(|status| status.success())
}

/// One child's run under callgrind. The profile is removed with this handle.
pub(crate) struct Count {
    profile: PathBuf,
}

impl Count {
    /// Makes room for a profile, which no other run uses.
    pub(crate) fn new() -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let serial = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("gannet-benches-callgrind.{}.{serial}", process::id());
        Self {
            profile: env::temp_dir().join(name),
        }
    }

    /// Returns the command that runs this program with `words` and counts. The child has to end by
    /// itself, or by a signal that valgrind sees (not SIGKILL), for there to be a count.
    pub(crate) fn command(&self, words: &[String]) -> Command {
        let mut command = Command::new("valgrind");
        command
            .args(["--quiet", "--tool=callgrind", "--fair-sched=try"])
            .arg(format!("--callgrind-out-file={}", self.profile.display()))
            // Not this program's path, at which there may be another by now; nor /proc/self/exe,
            // which is valgrind there.
            .arg(format!("/proc/{}/exe", process::id()))
            .args(words);
        command
    }

    /// Returns the instructions of a child that has ended.
    pub(crate) fn instructions(&self) -> Result<u64, String> {
        let profile = fs::read_to_string(&self.profile)
            .map_err(|err| format!("callgrind left no profile: {err}"))?;
        parse(&profile).ok_or_else(|| "callgrind left a profile without a total".to_owned())
    }
}

impl Drop for Count {
    fn drop(&mut self) {
        // There is none if the child did not start.
        let _ = fs::remove_file(&self.profile);
    }
}

/// Returns the instructions of a unit, from two runs as units and instructions.
pub(crate) fn each(few: (u64, u64), many: (u64, u64)) -> Option<f64> {
    let units = many.0.checked_sub(few.0).filter(|&units| units > 0)?;
    // A run of many units may take less: what the start did can differ by more than a cheap unit.
    Some((many.1 as f64 - few.1 as f64) / units as f64)
}

/// Reads the total of a profile, `summary: N` or `totals: N`.
fn parse(profile: &str) -> Option<u64> {
    let total = |name| profile.lines().find_map(|line| line.strip_prefix(name));
    let text = total("summary:").or_else(|| total("totals:"))?;
    text.split_ascii_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parse_takes_the_summary_or_the_totals() {
        let head = "# callgrind format\nversion: 1\nevents: Ir\n";
        assert_eq!(
            parse(&format!("{head}summary: 12345\nfn=(1)\n")),
            Some(12_345)
        );
        assert_eq!(parse(&format!("{head}fn=(1)\n1 7\n\ntotals: 7\n")), Some(7));
        assert_eq!(parse(head), None);
    }

    #[test]
    fn each_is_the_difference_over_the_difference() {
        assert_eq!(each((1_000, 50_000), (3_000, 90_000)), Some(20.0));
        assert_eq!(each((1_000, 50_000), (1_000, 50_000)), None);
    }

    #[test]
    fn counts_have_profiles_of_their_own() {
        let (one, other) = (Count::new(), Count::new());
        assert_ne!(one.profile, other.profile);
        assert!(one.instructions().unwrap_err().contains("no profile"));
    }
}
