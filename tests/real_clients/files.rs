//! `files` and curl: answers, ranges, connections, and what must not be served.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::os::unix::fs::symlink;
use std::process::{Command, Output};
use std::sync::atomic::{AtomicBool, Ordering};

use crate::support::process::Process;
use crate::support::sockets::{open_fds, resident};
use crate::support::traced::{Traced, count};
use crate::support::watchdog::Watchdog;
use crate::support::{LIMIT, TempDir, programs, until};

const BIG_LEN: usize = 3_000_001;

fn pattern(len: usize) -> Vec<u8> {
    (0..len).map(|at| (at % 65521 % 251) as u8).collect()
}

/// A server, and the folder that it serves.
struct Files {
    process: Process,
    addr: String,
    dir: TempDir,
}

impl Files {
    #[track_caller]
    fn start() -> Self {
        let dir = TempDir::new();
        let root = dir.path().join("root");
        let write = |name: &str, content: &[u8]| {
            std::fs::write(root.join(name), content).expect("a file is written");
        };
        std::fs::create_dir_all(root.join("folder")).expect("a folder is made");
        write("big", &pattern(BIG_LEN));
        write("empty", b"");
        write("index.html", b"the index");
        write("folder/a name", b"with a space");
        std::fs::write(dir.path().join("secret"), b"secret").expect("a file is written");
        symlink(dir.path(), root.join("out")).expect("a link is made");
        symlink("big", root.join("link")).expect("a link is made");
        symlink("../secret", root.join("stolen")).expect("a link is made");
        symlink(root.join("big"), root.join("absolute")).expect("a link is made");
        let root = root.to_str().expect("UTF-8").to_owned();
        let process = Process::example("files", &[&root, "127.0.0.1:0", "--workers", "2"]);
        let addr = process.line("listening tcp ");
        Files { process, addr, dir }
    }

    fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.addr)
    }

    #[track_caller]
    fn ends_well(mut self) {
        self.process.signal("TERM");
        self.process.succeeds();
        assert_eq!(self.process.errors(), "");
    }

    /// Runs curl; returns the status and the body.
    #[track_caller]
    fn curl(&self, args: &[&str], path: &str) -> (String, Vec<u8>) {
        let body = self.dir.file("body");
        let code = ["-s", "-w", "%{http_code}", "-o", &body, "--path-as-is"];
        let output = curl(&[&code[..], args, &[&self.url(path)]].concat());
        let status = String::from_utf8(output.stdout).expect("a number");
        let body = std::fs::read(&body).unwrap_or_default();
        (status, body)
    }

    #[track_caller]
    fn check(&self, args: &[&str], path: &str, status: &str, body: &[u8]) {
        let got = self.curl(args, path);
        assert_eq!(got.0, status, "{args:?} {path}");
        assert!(got.1 == body, "{args:?} {path}: {} bytes", got.1.len());
    }

    /// Sends bytes as they are, and reads the answer to its end.
    #[track_caller]
    fn talk(&self, request: &[u8]) -> String {
        let mut conn = TcpStream::connect(&self.addr).expect("it listens");
        conn.set_read_timeout(Some(LIMIT)).expect("an option");
        conn.write_all(request).expect("it takes them");
        conn.shutdown(Shutdown::Write).expect("it is connected");
        let mut answer = Vec::new();
        conn.read_to_end(&mut answer).expect("an end");
        String::from_utf8_lossy(&answer).into_owned()
    }
}

#[track_caller]
fn curl(args: &[&str]) -> Output {
    let output = Command::new("curl").args(args).output().expect("curl runs");
    assert!(output.status.success(), "curl {args:?}: {output:?}");
    output
}

#[test]
fn curl_gets_files_and_ranges() {
    if !programs::has("curl") {
        return;
    }
    let _watchdog = Watchdog::start(LIMIT * 4);
    let files = Files::start();
    let big = pattern(BIG_LEN);
    files.check(&[], "/big", "200", &big);
    files.check(&[], "/link", "200", &big);
    files.check(&[], "/big?query", "200", &big);
    files.check(&[], "/empty", "200", b"");
    files.check(&[], "/", "200", b"the index");
    files.check(&[], "/folder/a%20name", "200", b"with a space");
    files.check(&["-r", "0-0"], "/big", "206", &big[..1]);
    files.check(
        &["-r", "1000001-2000002"],
        "/big",
        "206",
        &big[1_000_001..2_000_003],
    );
    files.check(
        &["-r", "2999990-9999999999"],
        "/big",
        "206",
        &big[2_999_990..],
    );
    files.check(&["-r", "2999990-"], "/big", "206", &big[2_999_990..]);
    files.check(&["-r", "-7"], "/big", "206", &big[BIG_LEN - 7..]);
    files.check(&["-r", "-9999999999"], "/big", "206", &big);
    // Several ranges, and no range at all: the whole, as the specification allows.
    files.check(&["-r", "0-1,5-6"], "/big", "200", &big);
    files.check(&["-H", "Range: pages=1-2"], "/big", "200", &big);
    for range in ["3000001-", "99999999999999999999-", "-0"] {
        files.check(
            &["-r", range],
            "/big",
            "416",
            b"416 Range Not Satisfiable\n",
        );
    }
    files.check(
        &["-r", "0-"],
        "/empty",
        "416",
        b"416 Range Not Satisfiable\n",
    );
    files.ends_well();
}

#[test]
fn curl_head_has_the_length_and_no_body() {
    if !programs::has("curl") {
        return;
    }
    let _watchdog = Watchdog::start(LIMIT * 4);
    let files = Files::start();
    let output = curl(&["-s", "-I", &files.url("/big")]);
    let head = String::from_utf8(output.stdout).expect("text");
    assert!(head.starts_with("HTTP/1.1 200 OK\r\n"), "{head}");
    assert!(head.contains("\r\nContent-Length: 3000001\r\n"), "{head}");
    assert!(head.contains("\r\nAccept-Ranges: bytes\r\n"), "{head}");
}

#[test]
fn files_refuses_what_it_does_not_understand() {
    if !programs::has("curl") {
        return;
    }
    let _watchdog = Watchdog::start(LIMIT * 4);
    let files = Files::start();
    for (args, status) in [
        (&["-X", "DELETE"][..], "405 Method Not Allowed\n"),
        (&["-X", "GET", "-d", "body"], "413 Content Too Large\n"),
        (
            &["-X", "GET", "-H", "Transfer-Encoding: chunked"],
            "413 Content Too Large\n",
        ),
        (&["-H", "Content-Length: many"], "400 Bad Request\n"),
    ] {
        files.check(args, "/big", &status[..3], status.as_bytes());
    }
    let long = format!("X: {}", "x".repeat(9000));
    let (status, _) = files.curl(&["-H", &long], "/big");
    assert_eq!(status, "431");
    for (request, status) in [
        (&b"nonsense\r\n\r\n"[..], "400"),
        (b"GET /big HTTP/1.1\r\n\r\n", "400"),
        (b"GET /big HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", "400"),
        (b"GET big HTTP/1.0\r\n\r\n", "400"),
        (b"GET /%zz HTTP/1.0\r\n\r\n", "400"),
        (b"GET /\xff HTTP/1.0\r\n\r\n", "400"),
        (b"GET / HTTP/1.0\r\nno colon\r\n\r\n", "400"),
        (b"GET / HTTP/1.0\r\nName : x\r\n\r\n", "400"),
        (b"GET / HTTP/9.9\r\n\r\n", "505"),
        (b"GET / HTTP/1.0\r\n\r\n", "200"),
        (b"GET /%00 HTTP/1.0\r\n\r\n", "404"),
    ] {
        let answer = files.talk(request);
        let wanted = format!("HTTP/1.1 {status} ");
        let request = String::from_utf8_lossy(request);
        assert!(answer.starts_with(&wanted), "{request}: {answer}");
    }
    assert_eq!(files.talk(b"GET / HTTP/1.1\r\nHo"), "", "half a request");
    files.ends_well();
}

#[test]
fn files_serves_nothing_outside_of_its_folder() {
    if !programs::has("curl") {
        return;
    }
    let _watchdog = Watchdog::start(LIMIT * 4);
    let files = Files::start();
    for path in [
        "/../secret",
        "/folder/../../secret",
        "/%2e%2e/secret",
        "/..%2fsecret",
        "/out/secret",
        "//../secret",
        "/out",
        "/stolen",
        "/absolute",
        "/nothing",
        "/folder",
        "/index.html/x",
    ] {
        files.check(&[], path, "404", b"404 Not Found\n");
    }
    std::fs::remove_file(files.dir.path().join("root/link")).expect("it is there");
    let fifo = files.dir.file("root/fifo");
    let made = Command::new("mkfifo").arg(&fifo).status();
    assert!(made.expect("mkfifo runs").success());
    files.check(&[], "/fifo", "404", b"404 Not Found\n");
}

/// Somebody swaps a file for a link that leads outside, again and again: it is one or the other that
/// is opened, and never the link.
#[test]
fn files_follows_no_link_that_is_put_in_meanwhile() {
    let _watchdog = Watchdog::start(LIMIT * 4);
    let files = Files::start();
    let root = files.dir.path().join("root");
    let requests = "GET /door HTTP/1.1\r\nHost: x\r\n\r\n".repeat(99)
        + "GET /door HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
    std::fs::write(root.join("door"), b"public").expect("a file is written");
    assert_eq!(
        files.talk(requests.as_bytes()).matches("public").count(),
        100
    );
    let done = AtomicBool::new(false);
    let answers: Vec<String> = std::thread::scope(|scope| {
        scope.spawn(|| {
            let (next, door) = (root.join("next"), root.join("door"));
            while !done.load(Ordering::Relaxed) {
                symlink("../secret", &next).expect("a link is made");
                std::fs::rename(&next, &door).expect("it takes its place");
                std::fs::write(&next, b"public").expect("a file is written");
                std::fs::rename(&next, &door).expect("it takes its place");
            }
        });
        let answers = (0..20).map(|_| files.talk(requests.as_bytes())).collect();
        done.store(true, Ordering::Relaxed);
        answers
    });
    for answer in answers {
        assert_eq!(answer.matches("HTTP/1.1 ").count(), 100);
        assert!(!answer.contains("secret"), "what lies outside was served");
    }
    files.ends_well();
}

/// Where the kernel does not keep an opening inside the folder, no link is followed.
#[test]
fn files_without_openat2_follows_no_link() {
    if !programs::has("curl") || !programs::has("strace") {
        return;
    }
    let _watchdog = Watchdog::start(LIMIT * 4);
    for errno in ["ENOSYS", "EPERM"] {
        let files = Files::start();
        let inject = format!("inject=openat2:error={errno}");
        let traced = Traced::attach(&files.process, &["-e", "trace=openat2", "-e", &inject]);
        files.check(&[], "/big", "200", &pattern(BIG_LEN));
        files.check(&[], "/", "200", b"the index");
        files.check(&[], "/folder/a%20name", "200", b"with a space");
        for path in [
            "/link",
            "/stolen",
            "/absolute",
            "/out/secret",
            "/nothing",
            "/folder",
        ] {
            files.check(&[], path, "404", b"404 Not Found\n");
        }
        let trace = traced.detach();
        assert_eq!(count(&trace, "openat2", "(INJECTED)"), 11, "{trace}");
    }
}

#[test]
fn files_keeps_connections_and_serves_several_at_once() {
    if !programs::has("curl") {
        return;
    }
    let _watchdog = Watchdog::start(LIMIT * 4);
    let files = Files::start();
    let (url, other) = (files.url("/big"), files.url("/nothing"));
    let null = [
        "-s",
        "-w",
        "%{http_code} %{num_connects},",
        "-o",
        "/dev/null",
    ];
    let rest = [&url[..], "-o", "/dev/null", &other, "-o", "/dev/null", &url];
    let output = curl(&[&null[..], &rest].concat());
    let told = String::from_utf8(output.stdout).expect("numbers");
    assert_eq!(told, "200 1,404 0,200 0,");

    let requests = b"GET / HTTP/1.1\r\nHost: x\r\n\r\nGET /empty HTTP/1.1\r\nHost: x\r\n\r\n\
        GET /big HTTP/1.1\r\nHost: x\r\nRange: bytes=5-5\r\nConnection: close\r\n\r\n";
    let answer = files.talk(requests);
    assert_eq!(answer.matches("HTTP/1.1 200 OK").count(), 2, "{answer}");
    assert!(
        answer.ends_with("Connection: close\r\n\r\n\u{5}"),
        "{answer}"
    );

    let big = pattern(BIG_LEN);
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                let output = curl(&["-s", &files.url("/big")]);
                assert!(output.stdout == big, "{} bytes", output.stdout.len());
            });
        }
    });
    until("the connections to be closed", || {
        (open_fds(files.process.pid()) < 20).then_some(())
    });
}

/// The file goes through the kernel, and the program holds little of it; on a signal it is finished.
#[test]
fn files_streams_a_big_file_by_sendfile() {
    if !programs::has("curl") || !programs::has("strace") {
        return;
    }
    let _watchdog = Watchdog::start(LIMIT * 4);
    let mut files = Files::start();
    let huge = std::fs::File::create(files.dir.path().join("root/huge")).expect("a file");
    huge.set_len(256 << 20).expect("a file with a hole");
    let traced = Traced::attach(
        &files.process,
        &["-e", "trace=sendfile,sendto,read,pread64"],
    );
    let head = "%{http_code} %{size_download}";
    let args = [
        "-s",
        "-w",
        head,
        "-o",
        "/dev/null",
        "-r",
        "1-",
        &files.url("/huge"),
    ];
    let output = curl(&args);
    assert_eq!(String::from_utf8_lossy(&output.stdout), "206 268435455");
    let memory = resident(files.process.pid());
    assert!(memory < 16 << 20, "{memory} bytes");
    let trace = traced.detach();
    assert!(count(&trace, "sendfile", "= ") > 100, "{trace}");
    assert_eq!(count(&trace, "pread64", ""), 0, "{trace}");
    files.process.signal("TERM");
    files.process.succeeds();
}

#[test]
fn files_whose_sendfile_fails_sends_all_the_same() {
    if !programs::has("curl") || !programs::has("strace") {
        return;
    }
    let _watchdog = Watchdog::start(LIMIT * 4);
    for (inject, falls_back) in [
        ("inject=sendfile:error=EINVAL", true),
        ("inject=sendfile:error=ENOSYS:when=3+", true),
        ("inject=sendfile:error=EINTR:when=1+3", false),
        ("inject=sendfile:error=ENOBUFS:when=2+9", false),
    ] {
        let files = Files::start();
        let trace = "trace=sendfile,pread64";
        let traced = Traced::attach(&files.process, &["-e", trace, "-e", inject]);
        files.check(&[], "/big", "200", &pattern(BIG_LEN));
        let trace = traced.detach();
        assert!(trace.contains("(INJECTED)"), "{inject}: {trace}");
        assert_eq!(count(&trace, "pread64", "= ") > 0, falls_back, "{inject}");
    }
}
