//! What the measurements ran on.

use std::fmt;
use std::fs;
use std::process::{Command, Stdio};
use std::thread;

/// Processor, kernel, compiler and C library, as far as they tell.
pub(super) struct Machine {
    processors: usize,
    model: String,
    kernel: String,
    rustc: String,
    libc: String,
    go: Option<String>,
}

impl Machine {
    /// Looks at this machine.
    pub(super) fn here() -> Self {
        let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
        let told = |program: &str, words: &[&str]| {
            output(program, words).unwrap_or_else(|| format!("unknown {program}"))
        };
        Self {
            processors: thread::available_parallelism().map_or(1, usize::from),
            model: model(&read("/proc/cpuinfo")),
            kernel: read("/proc/sys/kernel/osrelease").trim().to_owned(),
            rustc: told("rustc", &["--version"]),
            libc: told("getconf", &["GNU_LIBC_VERSION"]),
            go: output("go", &["env", "GOVERSION"]),
        }
    }
}

impl fmt::Display for Machine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Machine: {} × {}", self.processors, self.model)?;
        write!(f, ", Linux {}, {}, {}", self.kernel, self.rustc, self.libc)?;
        match &self.go {
            Some(go) => write!(f, ", {go}."),
            None => f.write_str("."),
        }
    }
}

fn model(cpuinfo: &str) -> String {
    cpuinfo
        .lines()
        .find_map(|line| line.strip_prefix("model name")?.split_once(':'))
        .map_or("unknown processor", |(_, model)| model.trim())
        .to_owned()
}

/// Returns what a program prints, without the space around it, if there is one and it succeeds.
pub(super) fn output(program: &str, words: &[&str]) -> Option<String> {
    let mut command = Command::new(program);
    command.args(words).stdin(Stdio::null());
    let output = command.stderr(Stdio::null()).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    output.status.success().then(|| text.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn model_is_the_first_processors_or_unknown() {
        let cpuinfo = "processor\t: 0\nmodel name\t: AMD EPYC\nmodel name\t: other\n";
        assert_eq!(model(cpuinfo), "AMD EPYC");
        assert_eq!(model(""), "unknown processor");
    }

    #[test]
    fn output_of_what_fails_or_is_not_there_is_nothing() {
        assert_eq!(output("echo", &["a", "b"]), Some("a b".to_owned()));
        assert_eq!(output("false", &[]), None);
        assert_eq!(output("no-such-program-here", &[]), None);
    }
}
