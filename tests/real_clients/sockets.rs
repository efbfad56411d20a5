//! The examples about single features of sockets, and Python at the other end.

use std::net::UdpSocket;
use std::os::unix::net::UnixStream;

use crate::support::process::Process;
use crate::support::{TempDir, programs};

#[test]
fn sockopts_share_a_port_and_tell_what_was_set() {
    let options = ["--tos", "0x10", "--count", "1", "127.0.0.1:0"];
    let mut first = Process::example("sockopts", &options);
    let line = first.line("listening on ");
    let (addr, told) = line.split_once(", ").expect("address and options");
    assert!(
        told.starts_with("reuse port true, tos 0x10, mark 0x0"),
        "{told}"
    );
    let mut second = Process::example("sockopts", &["--count", "1", addr]);
    let line = second.line("listening on ");
    assert!(line.starts_with(addr), "{line}");

    // Sockets of different ports go to one or to the other.
    let mut answered = 0;
    while answered < 2 {
        let client = UdpSocket::bind("127.0.0.1:0").expect("a port is free");
        let limit = std::time::Duration::from_millis(200);
        client.set_read_timeout(Some(limit)).expect("set");
        client.connect(addr).expect("connected");
        client.send(b"ping").expect("sent");
        // One that has ended no longer takes a share; what it was sent before is lost.
        answered += usize::from(matches!(client.recv(&mut [0; 8]), Ok(4)));
    }
    first.succeeds();
    second.succeeds();
}

#[test]
fn fdpass_hands_a_file_to_the_example_and_to_python() {
    let folder = TempDir::new();
    let (path, file) = (folder.file("sock"), folder.file("text"));
    std::fs::write(&file, "handed over").expect("written");
    let mut receiver = Process::example("fdpass", &["receive", &path]);
    receiver.error_line("listening on ");
    Process::example("fdpass", &["send", &path, &file]).succeeds();
    assert_eq!(receiver.read_to_end(), b"handed over");
    receiver.succeeds();
    assert!(
        UnixStream::connect(&path).is_err(),
        "the socket file is gone"
    );

    if !programs::has("python3") {
        return;
    }
    let script = "
import os, socket, sys
s = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
s.bind(sys.argv[1])
s.listen()
print('ready', flush=True)
data, fds, flags, addr = socket.recv_fds(s.accept()[0], 4096, 1)
assert data.decode() == sys.argv[2], data
print(os.read(fds[0], 100).decode(), flush=True)
";
    let mut python = Process::start("python3", &["-c", script, &path, &file]);
    python.line("ready");
    Process::example("fdpass", &["send", &path, &file]).succeeds();
    python.line("handed over");
    python.succeeds();
}

#[test]
fn multicast_reaches_the_members() {
    let options = ["--interface", "lo", "--count", "1", "233.252.0.7:0"];
    let mut member = Process::example("multicast", &options);
    let group = member.line("listening on ");
    let options = [
        "--interface",
        "lo",
        "--hops",
        "3",
        "--send",
        "hello all",
        &group,
    ];
    Process::example("multicast", &options).succeeds();
    let text = String::from_utf8(member.read_to_end()).expect("text");
    assert!(text.ends_with("(3 hops left): hello all\n"), "{text}");
    member.succeeds();
}
