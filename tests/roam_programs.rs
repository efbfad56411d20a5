//! The roaming examples as programs: how they begin and end, and what they leave behind.

mod support;

use std::fs;
use std::process::Command;

use support::process::{Process, example};

/// A roam_shell in the background, as `mosh` starts one.
struct Server {
    port: String,
    key: String,
    pid: String,
}

/// Starts a server that runs `script`, and waits until the program that was called has ended.
#[track_caller]
fn serve(script: &str) -> Server {
    let args = [
        "new",
        "-i",
        "127.0.0.1",
        "-p",
        "0",
        "-c",
        "256",
        "--",
        "sh",
        "-c",
        script,
    ];
    let mut called = Process::example("roam_shell", &args);
    let announced = called.line("MOSH CONNECT ");
    called.succeeds();
    let (port, key) = announced.split_once(' ').expect("a port and a key");
    let pid = called.error_line("[roam_shell detached, pid = ");
    Server {
        port: port.to_owned(),
        key: key.to_owned(),
        pid: pid.trim_end_matches(']').to_owned(),
    }
}

impl Server {
    /// A client that types `line` and prints the last screen.
    fn attach(&self, line: &str) -> Process {
        let mut command = Command::new(example("roam_attach"));
        command.args(["127.0.0.1", &self.port, "--command", line]);
        command.env("MOSH_KEY", &self.key);
        Process::of(command)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended, and it would wait for its client for ever.
        let _ = Command::new("kill").args(["-KILL", &self.pid]).output();
    }
}

#[test]
fn server_in_the_background_has_let_go_of_its_caller() {
    let server = serve("read line; echo got $line");
    for stream in 0..3 {
        let file = fs::read_link(format!("/proc/{}/fd/{stream}", server.pid)).expect("it runs");
        assert_eq!(file.to_str(), Some("/dev/null"), "stream {stream}");
    }
    let stat = fs::read_to_string(format!("/proc/{}/stat", server.pid)).expect("it runs");
    let fields = stat.rsplit(") ").next().expect("a name").split(' ');
    // State, parent, group, session: see proc_pid_stat(5).
    let session = fields.into_iter().nth(3);
    assert_eq!(session, Some(server.pid.as_str()), "a session of its own");

    let mut client = server.attach("that");
    let screen = String::from_utf8(client.read_to_end()).expect("text");
    assert!(screen.ends_with("got that\n"), "{screen:?}");
    client.succeeds();
}

#[test]
fn key_is_not_to_be_found_in_the_environment() {
    let server = serve("echo ready; read line; stty -echo; cat >/dev/null");
    let client = server.attach("typed");
    let process = format!("/proc/{}", client.pid());
    // It becomes itself again, without the key, before it opens its first socket.
    let begun = || {
        let links = fs::read_dir(format!("{process}/fd"))
            .expect("it runs")
            .flatten();
        let mut files = links.filter_map(|link| fs::read_link(link.path()).ok());
        files.any(|file| file.to_string_lossy().starts_with("socket:"))
    };
    while !begun() {
        std::thread::yield_now();
    }
    for file in ["environ", "cmdline"] {
        let text = fs::read(format!("{process}/{file}")).expect("it runs");
        let text = String::from_utf8_lossy(&text);
        assert!(
            !text.contains(&server.key) && !text.contains("MOSH_KEY"),
            "{file}: {text:?}"
        );
    }
}

#[test]
fn signal_ends_the_server_and_its_client() {
    // The command runs once a client came, and its parent is the server.
    let server = serve("echo last words; kill -TERM $PPID; cat");
    let mut client = server.attach("typed");
    client.succeeds();
    let gone = format!("/proc/{}", server.pid);
    while fs::exists(&gone).expect("/proc is readable") {
        std::thread::yield_now();
    }
}

#[test]
fn wrong_call_ends_with_a_message() {
    let exits = [
        (
            "roam_shell",
            &["-p", "5:2"][..],
            None,
            "Bad UDP port range (5:2)",
        ),
        (
            "roam_attach",
            &["localhost", "60001"],
            None,
            "Bad IP address (localhost)",
        ),
        (
            "roam_attach",
            &["127.0.0.1", "60001"],
            None,
            "MOSH_KEY environment variable not found.",
        ),
        (
            "roam_attach",
            &["127.0.0.1", "60001"],
            Some("short"),
            "Key must be 22 letters long.",
        ),
    ];
    for (name, args, key, message) in exits {
        let mut command = Command::new(example(name));
        command.args(args).env_remove("MOSH_KEY");
        if let Some(key) = key {
            command.env("MOSH_KEY", key);
        }
        let mut process = Process::of(command);
        assert_eq!(process.wait().code(), Some(1), "{name} {args:?}");
        let errors = process.errors();
        assert!(errors.contains(message), "{name} {args:?}: {errors:?}");
    }
}
