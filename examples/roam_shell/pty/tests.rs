use std::ffi::OsString;
use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;

use gannet::Builder;

use super::*;

/// The example beside these tests: what holds a command is the program itself.
fn holder() -> PathBuf {
    let test = std::env::current_exe().expect("the test knows its own path");
    // target/PROFILE/deps/TEST
    let profile = test.ancestors().nth(2).expect("two folders deep");
    let holder = profile.join("examples/roam_shell");
    assert!(holder.is_file(), "run `cargo build --example roam_shell`");
    holder
}

pub(crate) fn held(file: &str, args: &[&str]) -> Held {
    let program = Program {
        file: file.into(),
        name: "named".into(),
        args: args.iter().map(OsString::from).collect(),
        set: vec![("ROAM_SET".into(), "a b".into())],
        remove: vec!["PATH_NOT_THERE"],
        folder: Some("/".into()),
    };
    Held::start(&holder(), &program).expect("the holder starts")
}

/// Runs `test` with a shell that executes `script`, already released.
fn with_shell<F: Future<Output = ()>>(script: &str, test: impl FnOnce(Pty) -> F) {
    with_program("sh", &["-c", script], test);
}

fn with_program<F: Future<Output = ()>>(file: &str, args: &[&str], test: impl FnOnce(Pty) -> F) {
    let held = held(file, args);
    let runtime = Builder::new_current_thread().build().expect("a runtime");
    runtime.block_on(async {
        let pty = held.adopt().expect("a terminal can be polled");
        pty.write(RELEASE).await.expect("there is room for a line");
        test(pty).await;
    });
}

/// Reads until the text ends so, or to the end.
async fn read_until(pty: &Pty, end: &str) -> String {
    let mut text = String::new();
    let mut buf = [0; 100];
    loop {
        let len = pty.read(&mut buf).await.expect("a terminal is readable");
        text += &String::from_utf8_lossy(&buf[..len]);
        if len == 0 || (!end.is_empty() && text.ends_with(end)) {
            return text;
        }
    }
}

async fn status(pty: Pty) -> ExitStatus {
    pty.ended().await.expect("a child is waited for")
}

#[test]
fn command_runs_only_once_released() {
    let held = held("sh", &["-c", "echo out"]);
    let running = format!("/proc/{}/exe", held.child.id());
    let runtime = Builder::new_current_thread().build().expect("a runtime");
    runtime.block_on(async {
        let pty = held.adopt().expect("a terminal can be polled");
        // Whatever it has come to: no further than to be the holder.
        let file = fs::read_link(&running).expect("it runs");
        assert_eq!(file, fs::canonicalize(holder()).expect("it exists"));
        pty.write(RELEASE).await.expect("there is room for a line");
        assert_eq!(
            read_until(&pty, "").await,
            "out\r\n",
            "nothing but the output"
        );
        assert_eq!(status(pty).await.code(), Some(0));
    });
}

#[test]
fn command_has_the_terminal_and_its_surroundings() {
    let script =
        "echo $0; echo $ROAM_SET; pwd; stty size; : </dev/tty && echo own; test -t 2 && echo all";
    with_shell(script, |pty| async move {
        let wanted = "named\r\na b\r\n/\r\n24 80\r\nown\r\nall\r\n";
        assert_eq!(read_until(&pty, "").await, wanted);
    });
}

#[test]
fn terminal_echoes_once_the_command_runs() {
    with_shell("echo ready; cat", |pty| async move {
        assert_eq!(read_until(&pty, "ready\r\n").await, "ready\r\n");
        pty.write("typed é\n".as_bytes()).await.expect("room");
        let echoed = read_until(&pty, "é\r\ntyped é\r\n").await;
        assert_eq!(echoed, "typed é\r\ntyped é\r\n");
    });
}

#[test]
fn resize_is_told_and_seen() {
    let script = "trap 'stty size; exit 5' WINCH; echo ready; while :; do read line; done";
    with_shell(script, |pty| async move {
        read_until(&pty, "ready\r\n").await;
        pty.resize(Size::new(40, 100).expect("a size"))
            .expect("a terminal has a size");
        assert_eq!(read_until(&pty, "").await, "40 100\r\n");
        assert_eq!(status(pty).await.code(), Some(5));
    });
}

#[test]
fn resize_does_not_wait_for_a_write_that_does() {
    with_shell(
        "stty -icanon -echo; echo ready; read line; stty size",
        |pty| async move {
            read_until(&pty, "ready\r\n").await;
            let full = async {
                loop {
                    pty.write(&[b'x'; 4096])
                        .await
                        .expect("the terminal is open");
                }
            };
            let mut full = std::pin::pin!(full);
            // Polled once, it has filled the terminal and waits for room, with the lock.
            std::future::poll_fn(|cx| {
                assert!(full.as_mut().poll(cx).is_pending());
                std::task::Poll::Ready(())
            })
            .await;
            pty.resize(Size::new(33, 44).expect("a size"))
                .expect("a terminal has a size");
        },
    );
}

#[test]
fn interrupt_reaches_the_command() {
    with_shell("echo ready; exec cat", |pty| async move {
        read_until(&pty, "ready\r\n").await;
        pty.write(b"\x03").await.expect("room");
        // The kernel sends the signal before it echoes: a command that ends at once may take the echo
        // with it.
        let shown = read_until(&pty, "").await;
        assert!(["", "^C"].contains(&shown.as_str()), "{shown:?}");
        let interrupted = 2;
        assert_eq!(status(pty).await.signal(), Some(interrupted));
    });
}

#[test]
fn end_of_the_command_is_the_end_of_the_terminal() {
    with_shell("exit 3", |pty| async move {
        let mut buf = [0; 10];
        assert_eq!(pty.read(&mut buf).await.expect("an end"), 0);
        assert_eq!(pty.read(&mut buf).await.expect("an end again"), 0);
        assert_eq!(status(pty).await.code(), Some(3));
    });
}

#[test]
fn command_that_cannot_start_tells_so_on_the_terminal() {
    with_program("/no/such/command", &[], |pty| async move {
        let text = read_until(&pty, "").await;
        assert!(text.contains("/no/such/command: No such file"), "{text:?}");
        assert_eq!(status(pty).await.code(), Some(127));
    });
}

#[test]
fn program_that_waits_is_hung_up_with_its_terminal() {
    let held = held("sh", &["-c", "echo never"]);
    let runtime = Builder::new_current_thread().build().expect("a runtime");
    runtime.block_on(async {
        let Pty {
            master,
            control,
            ended,
            child,
            ..
        } = held.adopt().expect("a terminal");
        drop((master, control));
        let mut child = child.into_inner().expect("nobody panicked");
        let status = ended
            .read_with(|_| child.try_wait()?.ok_or(io::ErrorKind::WouldBlock.into()))
            .await
            .expect("a child is waited for");
        assert!(!status.success(), "{status}");
    });
}
