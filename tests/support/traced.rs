//! System calls of a running example, seen and made to fail by `strace`.

use crate::support::TempDir;
use crate::support::process::Process;

/// A `strace` that is attached to a process, until it is asked what it saw.
pub(crate) struct Traced {
    strace: Process,
    dir: TempDir,
}

impl Traced {
    /// Attaches to all threads of a process, with `args` that say what to trace and what to inject.
    #[track_caller]
    pub(crate) fn attach(process: &Process, args: &[&str]) -> Self {
        let dir = TempDir::new();
        let (log, pid) = (dir.file("log"), process.pid().to_string());
        let strace = Process::start(
            "strace",
            &[&["-f", "-o", &log, "-p", &pid][..], args].concat(),
        );
        strace.error_line("strace: Process ");
        Traced { strace, dir }
    }

    /// Detaches, and returns what was seen.
    #[track_caller]
    pub(crate) fn detach(mut self) -> String {
        self.strace.signal("INT");
        self.strace.wait();
        std::fs::read_to_string(self.dir.file("log")).expect("strace has written it")
    }
}

/// How many lines of a trace have the call and, after it, the text.
pub(crate) fn count(trace: &str, call: &str, text: &str) -> usize {
    let has = |line: &&str| line.contains(&format!("{call}(")) && line.contains(text);
    trace.lines().filter(has).count()
}
