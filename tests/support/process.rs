//! Child processes: the examples, and programs of others.

use std::io::{Read, Write};
use std::path::PathBuf;
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use super::LIMIT;

/// Returns the program of an example, as cargo built it for the tests.
///
/// # Panics
/// If it is missing: `cargo test` builds the examples, `cargo test --test NAME` does not.
pub(crate) fn example(name: &str) -> PathBuf {
    let test = std::env::current_exe().expect("the test knows its own path");
    // target/PROFILE/deps/TEST
    let profile = test
        .ancestors()
        .nth(2)
        .expect("cargo put the test two folders deep");
    let program = profile.join("examples").join(name);
    assert!(
        program.is_file(),
        "{} is missing: run `cargo build --examples`",
        program.display()
    );
    program
}

/// A child process with its standard streams, killed when dropped.
pub(crate) struct Process {
    name: String,
    child: Child,
    stdin: Option<ChildStdin>,
    stdout: Arc<Captured>,
    stderr: Arc<Captured>,
}

impl Process {
    /// Starts `program`.
    #[track_caller]
    pub(crate) fn start(program: impl Into<PathBuf>, args: &[&str]) -> Self {
        let mut command = Command::new(program.into());
        command.args(args);
        Self::of(command)
    }

    /// Starts an example.
    #[track_caller]
    pub(crate) fn example(name: &str, args: &[&str]) -> Self {
        Self::start(example(name), args)
    }

    /// Starts `program` with at most `fds` descriptors.
    #[track_caller]
    pub(crate) fn limited(fds: u32, program: impl Into<PathBuf>, args: &[&str]) -> Self {
        let mut command = Command::new("sh");
        command.args(["-c", r#"ulimit -n "$0" && exec "$@""#, &fds.to_string()]);
        command.arg(program.into()).args(args);
        Self::of(command)
    }

    /// Starts a command with all three streams piped.
    #[track_caller]
    pub(crate) fn of(mut command: Command) -> Self {
        command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let name = format!("{command:?}");
        let mut child = command
            .spawn()
            .unwrap_or_else(|err| panic!("{name}: {err}"));
        let stdin = child.stdin.take();
        let stdout = Captured::of(child.stdout.take().expect("piped"));
        let stderr = Captured::of(child.stderr.take().expect("piped"));
        Process {
            name,
            child,
            stdin,
            stdout,
            stderr,
        }
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Writes to its standard input.
    #[track_caller]
    pub(crate) fn write(&mut self, data: &[u8]) {
        let stdin = self.stdin.as_mut().expect("standard input is open");
        let written = stdin.write_all(data).and_then(|()| stdin.flush());
        let failed = |err| panic!("{}: standard input: {err}; {}", self.name, self.described());
        written.unwrap_or_else(failed);
    }

    /// Ends its standard input.
    pub(crate) fn close_stdin(&mut self) {
        self.stdin = None;
    }

    /// Takes its standard input.
    pub(crate) fn take_stdin(&mut self) -> ChildStdin {
        self.stdin.take().expect("standard input is open")
    }

    /// Waits until its standard output has `len` bytes, and returns what there is.
    #[track_caller]
    pub(crate) fn read(&self, len: usize) -> Vec<u8> {
        self.stdout
            .wait(|data, ended| (data.len() >= len || ended).then(|| data.to_vec()))
            .unwrap_or_else(|| {
                panic!(
                    "{}: waited for {len} bytes; {}",
                    self.name,
                    self.described()
                )
            })
    }

    /// Waits until its standard output ends, and returns all of it.
    #[track_caller]
    pub(crate) fn read_to_end(&self) -> Vec<u8> {
        self.read(usize::MAX)
    }

    /// Waits for a line of standard output that starts with `prefix`; returns what follows.
    #[track_caller]
    pub(crate) fn line(&self, prefix: &str) -> String {
        self.line_of(&self.stdout, prefix)
    }

    /// Waits for `end` on its standard output; returns what came before.
    #[track_caller]
    pub(crate) fn text_before(&self, end: &str) -> String {
        let find = |data: &[u8], _| {
            let text = String::from_utf8_lossy(data);
            text.split_once(end).map(|(before, _)| before.to_owned())
        };
        let found = self.stdout.wait(find);
        found.unwrap_or_else(|| panic!("{}: no {end:?}; {}", self.name, self.described()))
    }

    /// As [`line`](Self::line), of standard error.
    #[track_caller]
    pub(crate) fn error_line(&self, prefix: &str) -> String {
        self.line_of(&self.stderr, prefix)
    }

    #[track_caller]
    fn line_of(&self, stream: &Captured, prefix: &str) -> String {
        let find = |data: &[u8], _| {
            let text = String::from_utf8_lossy(data);
            let mut whole = text
                .split_inclusive('\n')
                .filter_map(|line| line.strip_suffix('\n'));
            whole.find_map(|line| line.strip_prefix(prefix).map(str::to_owned))
        };
        let found = stream.wait(find);
        found.unwrap_or_else(|| panic!("{}: no line {prefix:?}; {}", self.name, self.described()))
    }

    /// Sends a signal, `"TERM"` or `"INT"`.
    #[track_caller]
    pub(crate) fn signal(&self, name: &str) {
        send_signal(self.pid(), name);
    }

    /// Waits for its end.
    #[track_caller]
    pub(crate) fn wait(&mut self) -> ExitStatus {
        let end = Instant::now() + LIMIT;
        while Instant::now() < end {
            if let Some(status) = self.child.try_wait().expect("the child is ours") {
                return status;
            }
            thread::sleep(Duration::from_millis(2));
        }
        panic!(
            "{}: did not end in {LIMIT:?}; {}",
            self.name,
            self.described()
        );
    }

    /// Waits for its end, which must be with exit status 0.
    #[track_caller]
    pub(crate) fn succeeds(&mut self) {
        let status = self.wait();
        assert!(
            status.success(),
            "{}: {status}; {}",
            self.name,
            self.described()
        );
    }

    /// Everything that it wrote to standard error. Complete once it has ended.
    #[track_caller]
    pub(crate) fn errors(&self) -> String {
        let all = self.stderr.wait(|data, ended| ended.then(|| data.to_vec()));
        String::from_utf8(all.expect("standard error ends with the process")).expect("text")
    }

    fn described(&self) -> String {
        let text = |stream: &Captured| {
            let data = stream.state.lock().expect("no reader panics");
            let shown = &data.data[..data.data.len().min(2000)];
            String::from_utf8_lossy(shown).into_owned()
        };
        format!(
            "standard output {:?}, standard error {:?}",
            text(&self.stdout),
            text(&self.stderr)
        )
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Sends a signal, such as `"TERM"`, to a process.
#[track_caller]
pub(crate) fn send_signal(pid: u32, name: &str) {
    let kill = format!("kill -{name} {pid}");
    let status = Command::new("sh")
        .args(["-c", &kill])
        .status()
        .expect("sh runs");
    assert!(status.success(), "{kill}: {status}");
}

/// What a process wrote so far.
#[derive(Default)]
struct Captured {
    state: Mutex<CapturedState>,
    grown: Condvar,
}

#[derive(Default)]
struct CapturedState {
    data: Vec<u8>,
    ended: bool,
}

impl Captured {
    fn of(mut stream: impl Read + Send + 'static) -> Arc<Self> {
        let captured = Arc::new(Captured::default());
        let shared = captured.clone();
        thread::spawn(move || {
            let mut buf = vec![0; 64 * 1024];
            loop {
                let len = stream.read(&mut buf).unwrap_or(0);
                let mut state = shared.state.lock().expect("no reader panics");
                state.data.extend_from_slice(&buf[..len]);
                state.ended = len == 0;
                shared.grown.notify_all();
                if len == 0 {
                    return;
                }
            }
        });
        captured
    }

    /// Waits until `find` finds something in the data; it is told whether they are all.
    fn wait<T>(&self, find: impl Fn(&[u8], bool) -> Option<T>) -> Option<T> {
        let end = Instant::now() + LIMIT;
        let mut state = self.state.lock().expect("no reader panics");
        loop {
            let left = end.saturating_duration_since(Instant::now());
            match find(&state.data, state.ended) {
                Some(found) => return Some(found),
                None if state.ended || left.is_zero() => return None,
                None => {}
            }
            state = self
                .grown
                .wait_timeout(state, left)
                .expect("no reader panics")
                .0;
        }
    }
}

/// The example `echo`, ready to serve.
pub(crate) struct Echo {
    pub(crate) process: Process,
}

impl Echo {
    /// Starts it with these arguments.
    #[track_caller]
    pub(crate) fn start(args: &[&str]) -> Self {
        Echo {
            process: Process::example("echo", args),
        }
    }

    /// The address of its listener on `network`.
    #[track_caller]
    pub(crate) fn addr(&self, network: &str) -> String {
        self.process.line(&format!("listening {network} "))
    }

    /// The port of its listener on `network`.
    #[track_caller]
    pub(crate) fn port(&self, network: &str) -> String {
        port(&self.addr(network))
    }
}

/// The port at the end of an address.
pub(crate) fn port(addr: &str) -> String {
    addr.rsplit(':')
        .next()
        .expect("rsplit gives at least one")
        .to_owned()
}
