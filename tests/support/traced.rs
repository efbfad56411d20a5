//! System calls of a running example, seen and made to fail by `strace`.

use std::process::Command;

use super::process::{Process, example};
use super::{TempDir, until};

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

    /// Waits until what was seen contains a text.
    #[track_caller]
    pub(crate) fn sees(&self, text: &str) {
        self.sees_times(text, 1);
    }

    /// As [`sees`](Self::sees), so many times.
    #[track_caller]
    pub(crate) fn sees_times(&self, text: &str, times: usize) {
        until(&format!("{text:?} in the trace, {times} times"), || {
            (self.seen(text) >= times).then_some(())
        });
    }

    /// How many times what was seen so far contains a text.
    pub(crate) fn seen(&self, text: &str) -> usize {
        let log = std::fs::read_to_string(self.dir.file("log"));
        log.map_or(0, |log| log.matches(text).count())
    }

    /// Waits for the end of the traced process, and returns what was seen of it.
    ///
    /// To be preferred while faults are still to come: detached in the middle of one, the call fails
    /// with `ENOSYS`, as no call of the kernel's would.
    #[track_caller]
    pub(crate) fn finish(mut self) -> String {
        self.strace.wait();
        std::fs::read_to_string(self.dir.file("log")).expect("strace has written it")
    }

    /// Detaches, and returns what was seen.
    #[track_caller]
    pub(crate) fn detach(mut self) -> String {
        self.strace.signal("INT");
        self.strace.wait();
        std::fs::read_to_string(self.dir.file("log")).expect("strace has written it")
    }
}

/// An example that runs under `strace` from its first system call on.
pub(crate) struct Launched {
    /// The example itself: its streams, its status.
    pub(crate) process: Process,
    dir: TempDir,
}

impl Launched {
    /// Starts it with a fault, `CALL:error=E:when=N` say.
    #[track_caller]
    pub(crate) fn start(fault: &str, name: &str, args: &[&str]) -> Self {
        let dir = TempDir::new();
        let mut command = Command::new("strace");
        // -D: the tracer steps aside, and the child is the example.
        command.args(["-D", "-f", "-o", &dir.file("log"), "-e"]);
        command.arg(format!("inject={fault}"));
        command.arg(example(name)).args(args);
        Launched {
            process: Process::of(command),
            dir,
        }
    }

    /// Waits until the fault has been injected: the tracer may be behind.
    #[track_caller]
    pub(crate) fn is_injected(&self) {
        until("the fault to be injected", || {
            let log = std::fs::read_to_string(self.dir.file("log")).ok()?;
            log.contains("(INJECTED)").then_some(())
        });
    }
}

/// How many lines of a trace have the call and, after it, the text.
pub(crate) fn count(trace: &str, call: &str, text: &str) -> usize {
    let has = |line: &&str| line.contains(&format!("{call}(")) && line.contains(text);
    trace.lines().filter(has).count()
}
