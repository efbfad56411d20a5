//! The processes that a measurement starts: servers, generators, strace, perf. Each is killed and reaped
//! when its handle goes, whatever ended the measurement.

use std::io::{self, BufRead as _, BufReader, Read, Write as _};
use std::process::{self, Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::{Duration, Instant};

use crate::callgrind::Count;
use crate::load::{DONE, READY};
use crate::raw::process::interrupt;
use crate::report::Report;
use crate::server::Rival;

/// How long a server may take to listen; Go's is built first.
const START_LIMIT: Duration = Duration::from_secs(120);
/// How long a server may take to end once its input did; callgrind writes its profile then.
const END_LIMIT: Duration = Duration::from_secs(30);
/// How long strace may take to attach, and to detach.
const STRACE_LIMIT: Duration = Duration::from_secs(10);

/// A child that does not outlive its handle.
pub(crate) struct Reaped(Child);

impl Drop for Reaped {
    fn drop(&mut self) {
        // Both fail only for a child that is gone already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Starts this program again with `words`.
fn start_self(words: &[String]) -> Result<Reaped, String> {
    // Not its path: the program at that may have been built anew since the measurement began.
    let program = "/proc/self/exe";
    start(Command::new(program).args(words).stdout(Stdio::piped()))
}

/// Starts another program, and passes on the lines that it prints.
pub(crate) fn start_told(command: &mut Command) -> Result<(Reaped, Receiver<String>), String> {
    let mut child = start(command.stdout(Stdio::piped()))?;
    let lines = lines_of(child.0.stdout.take());
    Ok((child, lines))
}

fn start(command: &mut Command) -> Result<Reaped, String> {
    let child = command.stdin(Stdio::piped()).spawn();
    child
        .map(Reaped)
        .map_err(|err| format!("{}: {err}", command.get_program().to_string_lossy()))
}

/// Passes on the lines of `source`, so that waiting for one can be bounded.
fn lines_of(source: Option<impl Read + Send + 'static>) -> Receiver<String> {
    let (sender, receiver) = mpsc::channel();
    if let Some(source) = source {
        thread::spawn(move || {
            for line in BufReader::new(source).lines() {
                let Ok(line) = line else { return };
                if sender.send(line).is_err() {
                    return;
                }
            }
        });
    }
    receiver
}

/// A rival that listens.
pub(crate) struct Server {
    child: Reaped,
    addr: String,
}

impl Server {
    /// Starts `rival` with more words for `serve`, and waits until it listens.
    pub(crate) fn start(rival: Rival, words: &[String]) -> Result<Self, String> {
        Self::listening(rival, start_self(&Self::words(rival, words))?)
    }

    /// Starts `rival` under callgrind, whose count is there after [`Self::end`].
    pub(crate) fn start_counted(
        rival: Rival,
        words: &[String],
        count: &Count,
    ) -> Result<Self, String> {
        let mut command = count.command(&Self::words(rival, words));
        let child = start(command.stdout(Stdio::piped()))?;
        Self::listening(rival, child)
    }

    fn words(rival: Rival, words: &[String]) -> Vec<String> {
        let mut command = vec!["serve".to_owned(), rival.name().to_owned()];
        command.extend_from_slice(words);
        command
    }

    fn listening(rival: Rival, mut child: Reaped) -> Result<Self, String> {
        let line = lines_of(child.0.stdout.take())
            .recv_timeout(START_LIMIT)
            .map_err(|_| format!("{} did not start", rival.name()))?;
        let addr = line
            .strip_prefix("listening ")
            .map(|addr| addr.strip_prefix("tcp ").unwrap_or(addr))
            .ok_or_else(|| format!("not an address: {line}"))?;
        Ok(Self {
            addr: addr.to_owned(),
            child,
        })
    }

    /// Closes its input, which ends it, and waits for that.
    pub(crate) fn end(mut self) -> Result<(), String> {
        drop(self.child.0.stdin.take());
        let began = Instant::now();
        while began.elapsed() < END_LIMIT {
            match self.child.0.try_wait().map_err(|err| err.to_string())? {
                Some(_) => return Ok(()),
                None => thread::sleep(Duration::from_millis(5)),
            }
        }
        Err("the server did not end".to_owned())
    }

    /// Returns where it listens.
    pub(crate) fn addr(&self) -> &str {
        &self.addr
    }

    /// Returns its process.
    pub(crate) fn pid(&self) -> u32 {
        self.child.0.id()
    }
}

/// A load generator.
pub(crate) struct Generator {
    child: Reaped,
    lines: Receiver<String>,
    limit: Duration,
}

impl Generator {
    /// Starts a `load` of `kind` on `server`, which may run for `limit` at most.
    pub(crate) fn start(
        kind: &str,
        server: &Server,
        words: &[String],
        limit: Duration,
    ) -> Result<Self, String> {
        let pid = server.pid().to_string();
        let mut command: Vec<String> = ["load", kind, server.addr(), "--pid", &pid]
            .map(str::to_owned)
            .to_vec();
        command.extend_from_slice(words);
        let mut child = start_self(&command)?;
        let lines = lines_of(child.0.stdout.take());
        Ok(Self {
            child,
            lines,
            limit,
        })
    }

    /// Waits for the end and returns the report.
    pub(crate) fn report(mut self) -> Result<Report, String> {
        let text = self.lines_until(None)?;
        let status = self.child.0.wait().map_err(|err| err.to_string())?;
        if !status.success() {
            return Err(format!("the load ended with {status}"));
        }
        Report::parse(&text)
    }

    /// With a gate: waits until the warm-up is over.
    pub(crate) fn wait_ready(&mut self) -> Result<(), String> {
        self.lines_until(Some(READY)).map(drop)
    }

    /// With a gate: opens it and waits for the report; the connections stay open.
    pub(crate) fn measure(&mut self) -> Result<Report, String> {
        let input = self.child.0.stdin.as_mut().ok_or("the load has no input")?;
        open_gate(input).map_err(|err| format!("the load is gone: {err}"))?;
        Report::parse(&self.lines_until(Some(DONE))?)
    }

    /// Collects lines until the one that is `end`, or the end of the output.
    fn lines_until(&self, end: Option<&str>) -> Result<String, String> {
        let mut text = String::new();
        loop {
            match self.lines.recv_timeout(self.limit) {
                Ok(line) if Some(line.as_str()) == end => return Ok(text),
                Ok(line) => text.extend([line.as_str(), "\n"]),
                Err(mpsc::RecvTimeoutError::Disconnected) if end.is_none() => return Ok(text),
                Err(mpsc::RecvTimeoutError::Disconnected) => return Err("the load failed".into()),
                Err(mpsc::RecvTimeoutError::Timeout) => {
                    return Err(format!("the load took longer than {:?}", self.limit));
                }
            }
        }
    }
}

fn open_gate(input: &mut ChildStdin) -> io::Result<()> {
    input.write_all(b"\n")?;
    input.flush()
}

/// Runs this program with `words` and returns the report that it prints.
pub(crate) fn report_of(words: &[String], limit: Duration) -> Result<Report, String> {
    let mut child = start_self(words)?;
    let lines = lines_of(child.0.stdout.take());
    let generator = Generator {
        child,
        lines,
        limit,
    };
    generator.report()
}

/// This program once more, which takes lines and answers with lines.
pub(crate) struct Companion {
    child: Reaped,
    lines: Receiver<String>,
}

impl Companion {
    /// Starts it with `words`.
    pub(crate) fn start(words: &[String]) -> Result<Self, String> {
        let mut child = start_self(words)?;
        let lines = lines_of(child.0.stdout.take());
        Ok(Self { child, lines })
    }

    /// Sends it a line.
    pub(crate) fn tell(&mut self, line: &str) -> Result<(), String> {
        let input = self.child.0.stdin.as_mut().ok_or("it takes no lines")?;
        writeln!(input, "{line}").map_err(|err| err.to_string())
    }

    /// Waits for a line of it.
    pub(crate) fn hear(&self, limit: Duration) -> Result<String, String> {
        let line = self.lines.recv_timeout(limit);
        line.map_err(|err| format!("the other process says nothing: {err}"))
    }

    /// Returns its process identifier.
    pub(crate) fn pid(&self) -> u32 {
        self.child.0.id()
    }
}

/// Runs a `load` of `kind` on `server` while `perf stat` counts `events` of the server; returns
/// what perf wrote.
pub(crate) fn perf_stat(
    events: &[&str],
    kind: &str,
    server: &Server,
    words: &[String],
    limit: Duration,
) -> Result<String, String> {
    let pid = server.pid().to_string();
    let mut command = Command::new("perf");
    command
        .args(["stat", "-x,", "-e", &events.join(","), "-p", &pid, "--"])
        .arg(format!("/proc/{}/exe", process::id()))
        .args(["load", kind, server.addr()])
        .args(words)
        .stdout(Stdio::null())
        .stderr(Stdio::piped());
    let mut child = start(&mut command)?;
    let lines = lines_of(child.0.stderr.take());
    let text = lines_before(&lines, limit)?;
    let status = child.0.wait().map_err(|err| err.to_string())?;
    if status.success() {
        Ok(text)
    } else {
        let why = text.lines().find(|line| !line.is_empty());
        Err(format!("perf: {}", why.unwrap_or("it failed")))
    }
}

/// Collects lines until their source ends.
pub(crate) fn lines_before(lines: &Receiver<String>, limit: Duration) -> Result<String, String> {
    let mut text = String::new();
    loop {
        match lines.recv_timeout(limit) {
            Ok(line) => text.extend([line.as_str(), "\n"]),
            Err(mpsc::RecvTimeoutError::Disconnected) => return Ok(text),
            Err(mpsc::RecvTimeoutError::Timeout) => return Err(format!("longer than {limit:?}")),
        }
    }
}

/// An strace that counts the system calls of a server.
pub(crate) struct Strace {
    child: Reaped,
    lines: Receiver<String>,
}

impl Strace {
    /// Attaches to all threads of `server`, present and future, and counts from then on.
    pub(crate) fn attach(server: &Server) -> Result<Self, String> {
        let pid = server.pid().to_string();
        let mut command = Command::new("strace");
        command
            .args(["-c", "-f", "-p", &pid])
            .stdout(Stdio::null())
            .stderr(Stdio::piped());
        let mut child = start(&mut command)?;
        let lines = lines_of(child.0.stderr.take());
        let line = lines
            .recv_timeout(STRACE_LIMIT)
            .map_err(|_| "strace did not attach")?;
        if line.contains(" attached") {
            Ok(Self { child, lines })
        } else {
            Err(line)
        }
    }

    /// Detaches and returns the table of counts.
    pub(crate) fn detach(self) -> Result<String, String> {
        interrupt(&self.child.0).map_err(|err| format!("strace is gone: {err}"))?;
        lines_before(&self.lines, STRACE_LIMIT)
    }
}
