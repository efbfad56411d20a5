//! Where things are, and how programs are run: never with a terminal's input, never unwatched.

use std::env;
use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, IsTerminal};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::Duration;

/// How long output may still come after its process ended: a process that a failed test left
/// behind holds the pipe open and would keep us waiting for its end.
const DRAIN: Duration = Duration::from_secs(2);

/// What `timeout(1)` exits with when it had to end its command, politely or by force.
const TIMEOUT_CODES: [i32; 2] = [124, 137];

/// The words that [`bounded`] puts before the command's own.
const BOUND_WORDS: usize = 3;

/// The workspace's root.
pub(crate) fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("xtask stands in the workspace")
}

/// Where cargo builds this workspace.
pub(crate) fn target_dir() -> PathBuf {
    match env::var_os("CARGO_TARGET_DIR") {
        Some(dir) => env::current_dir().unwrap_or_default().join(dir),
        None => root().join("target"),
    }
}

/// The cargo that started us, at the workspace's root.
pub(crate) fn cargo() -> Command {
    let mut command = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    prepare(&mut command);
    command
}

/// `program` at the workspace's root.
pub(crate) fn program(program: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new(program);
    prepare(&mut command);
    command
}

fn prepare(command: &mut Command) {
    command
        .current_dir(root())
        .stdin(Stdio::null())
        .env("CARGO_TERM_COLOR", "never");
}

/// `command` under `timeout(1)`, which ends it and all its children after `limit`.
///
/// The children get a process group of their own, so an interrupt at the terminal reaches them no
/// more: only for what nobody watches, or what a mutant may hang.
pub(crate) fn bounded(command: &Command, limit: Duration) -> Command {
    let mut outer = program("timeout");
    outer.arg("--kill-after=5").arg(limit.as_secs().to_string());
    outer.arg(command.get_program()).args(command.get_args());
    inherit(&mut outer, command);
    outer
}

/// Gives `to` the environment and the folder that `from` was given.
pub(crate) fn inherit(to: &mut Command, from: &Command) {
    for (name, value) in from.get_envs() {
        match value {
            Some(value) => to.env(name, value),
            None => to.env_remove(name),
        };
    }
    if let Some(dir) = from.get_current_dir() {
        to.current_dir(dir);
    }
}

/// `command` with a limit if nobody is at a terminal to interrupt it.
pub(crate) fn bounded_unless_watched(command: Command, limit: Duration) -> Command {
    if io::stdin().is_terminal() {
        command
    } else {
        bounded(&command, limit)
    }
}

/// The command as one would type it: without its limit, and without the program's folder.
pub(crate) fn shown(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    let is_bounded = command.get_program() == "timeout";
    let mut words = words
        .skip(if is_bounded { BOUND_WORDS } else { 0 })
        .map(Path::new);
    let name = words.next().and_then(Path::file_name).unwrap_or_default();
    words.fold(Path::new(name).display().to_string(), |text, word| {
        format!("{text} {}", word.display())
    })
}

/// Runs `command` with our output; an error says what was run and how it ended.
pub(crate) fn run(command: &mut Command) -> Result<(), String> {
    let status = command
        .status()
        .map_err(|error| cannot_start(command, &error))?;
    judge(command, status)
}

/// An error unless `status` is success.
pub(crate) fn judge(command: &Command, status: ExitStatus) -> Result<(), String> {
    match status.code() {
        Some(0) => Ok(()),
        Some(code) if timed_out(command, status) => Err(format!(
            "`{}` took too long (exit status {code})",
            shown(command)
        )),
        _ => Err(format!("`{}` failed: {status}", shown(command))),
    }
}

/// Whether `status` is that of a [`bounded`] command that reached its limit.
pub(crate) fn timed_out(command: &Command, status: ExitStatus) -> bool {
    command.get_program() == "timeout"
        && status
            .code()
            .is_some_and(|code| TIMEOUT_CODES.contains(&code))
}

pub(crate) fn cannot_start(command: &Command, error: &io::Error) -> String {
    format!(
        "cannot start `{}`: {error}",
        Path::new(command.get_program()).display()
    )
}

/// Runs `command`, passes its standard output on, and shows each line of it to `on_line`.
pub(crate) fn stream(
    command: &mut Command,
    on_line: &mut dyn FnMut(&str),
) -> Result<ExitStatus, String> {
    command.stdout(Stdio::piped());
    let child = command
        .spawn()
        .map_err(|error| cannot_start(command, &error))?;
    let mut child = Running(child);
    let lines = lines_of(child.0.stdout.take().expect("piped above"));
    let mut ended = None;
    loop {
        match lines.recv_timeout(if ended.is_some() {
            DRAIN
        } else {
            Duration::from_millis(200)
        }) {
            Ok(line) => {
                println!("{line}");
                on_line(&line);
            }
            Err(RecvTimeoutError::Timeout) => {
                if let Some(status) = ended {
                    return Ok(status);
                }
                ended = child.0.try_wait().map_err(|error| error.to_string())?;
            }
            Err(RecvTimeoutError::Disconnected) => {
                return child.0.wait().map_err(|error| error.to_string());
            }
        }
    }
}

/// Reads lines in a thread of its own, so that the reader may stop waiting for them.
pub(crate) fn lines_of(stdout: ChildStdout) -> mpsc::Receiver<String> {
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || {
        let mut reader = BufReader::new(stdout);
        let mut line = Vec::new();
        while reader.read_until(b'\n', &mut line).is_ok_and(|n| n > 0) {
            let text = String::from_utf8_lossy(&line)
                .trim_end_matches('\n')
                .to_owned();
            if sender.send(text).is_err() {
                return;
            }
            line.clear();
        }
    });
    receiver
}

/// Runs `command` with all of its output in the file `log`.
pub(crate) fn logged(command: &mut Command, log: &Path) -> Result<ExitStatus, String> {
    let at_log = |error: io::Error| format!("{}: {error}", log.display());
    let file = File::create(log).map_err(at_log)?;
    command
        .stderr(file.try_clone().map_err(at_log)?)
        .stdout(file);
    command
        .status()
        .map_err(|error| cannot_start(command, &error))
}

/// A child that does not outlive its use.
pub(crate) struct Running(pub(crate) Child);

impl Drop for Running {
    fn drop(&mut self) {
        // Both fail only on a child that was waited for already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Whether `name` is an executable file in a directory of `PATH`.
pub(crate) fn on_path(name: &str) -> bool {
    use std::os::unix::fs::PermissionsExt;
    let path = env::var_os("PATH").unwrap_or_default();
    let is_program = |dir: PathBuf| {
        fs::metadata(dir.join(name))
            .is_ok_and(|m| m.is_file() && m.permissions().mode() & 0o111 != 0)
    };
    env::split_paths(&path).any(is_program)
}

/// Whether we may install packages.
pub(crate) fn is_root() -> bool {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let uids = status.lines().find_map(|line| line.strip_prefix("Uid:"));
    uids.and_then(|uids| uids.split_whitespace().nth(1)) == Some("0")
}

/// Asks cargo for the version of one of its subcommands, or says how to get it.
pub(crate) fn require_component(subcommand: &str, component: &str) -> Result<(), String> {
    let mut command = cargo();
    command
        .args([subcommand, "--version"])
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    match command.status() {
        Ok(status) if status.success() => Ok(()),
        _ => Err(format!(
            "cargo {subcommand} is missing; `rustup component add {component}` installs it"
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str) -> Command {
        let mut command = program("sh");
        command.args(["-c", script]);
        command
    }

    #[test]
    fn stream_shows_every_line_and_the_status() {
        let mut lines = Vec::new();
        let mut command = shell("echo one; printf 'two'; exit 3");
        let status = stream(&mut command, &mut |line| lines.push(line.to_owned())).unwrap();
        assert_eq!(lines, ["one", "two"]);
        assert_eq!(status.code(), Some(3));
        assert!(judge(&command, status).unwrap_err().contains("sh -c"));
    }

    #[test]
    fn stream_does_not_wait_for_a_process_left_behind() {
        // The background process inherits the pipe; it ends by itself once its input does.
        let mut lines = Vec::new();
        let started = std::time::Instant::now();
        let mut command = shell("sleep 30 & echo $!");
        let status = stream(&mut command, &mut |line| lines.push(line.to_owned())).unwrap();
        assert!(status.success());
        assert!(
            started.elapsed() < Duration::from_secs(20),
            "waited for the pipe's end"
        );
        run(&mut shell(&format!("kill {}", lines[0]))).unwrap();
    }

    #[test]
    fn bounded_command_is_ended_and_recognised() {
        let mut command = bounded(&shell("sleep 30"), Duration::from_secs(1));
        let status = command.status().unwrap();
        assert!(timed_out(&command, status), "{status}");
        let error = judge(&command, status).unwrap_err();
        assert!(
            error.starts_with("`sh -c sleep 30` took too long"),
            "{error}"
        );
        let mut quick = bounded(
            shell("test \"$A\" = b").env("A", "b"),
            Duration::from_secs(9),
        );
        assert!(
            quick.status().unwrap().success(),
            "the environment is handed on"
        );
    }

    #[test]
    fn missing_programs_are_noticed() {
        assert!(on_path("sh"));
        assert!(!on_path("no-such-program-anywhere"));
        assert!(
            run(&mut program("no-such-program-anywhere"))
                .unwrap_err()
                .contains("cannot start")
        );
        assert!(
            require_component("no-such-subcommand", "none")
                .unwrap_err()
                .contains("missing")
        );
    }
}
