//! Sessions that roam, whose system calls fail: what a datagram meets is a loss, and never the end.

use std::thread;

use crate::support::process::Process;
use crate::support::traced::Launched;
use crate::support::watchdog::Watchdog;
use crate::support::{LIMIT, TempDir, programs, until};

/// What fails at the device: the first calls of each thread, or every second one.
const ROWS: [&str; 14] = [
    // A segmented or marked send that the path or the kernel refuses.
    "sendmmsg:error=EIO:when=1..3",
    "sendmmsg:error=EINVAL:when=1..3",
    "sendmmsg:error=EMSGSIZE:when=1..3",
    // A firewall, a network that is gone for a while, a peer that is not there yet.
    "sendmmsg:error=EPERM:when=1..3",
    "sendmmsg:error=ENETUNREACH:when=1..3",
    "sendmmsg:error=EHOSTUNREACH:when=1..3",
    "sendmmsg:error=ECONNREFUSED:when=1..3",
    "sendmmsg:error=ENOBUFS:when=1..3",
    "sendmmsg:error=EINTR:when=1+2",
    "sendmmsg:error=EAGAIN:when=1+3",
    "recvmmsg:error=ECONNREFUSED:when=1..3",
    "recvmmsg:error=EHOSTUNREACH:when=1..3",
    "recvmmsg:error=EINTR:when=1+2",
    "recvmmsg,sendmmsg,epoll_wait:error=EINTR:when=1+2",
];

/// Has a device report while a call fails, until its collector has heard of several changes.
#[track_caller]
fn check(fault: &str) {
    let dir = TempDir::new();
    let list = dir.file("list");
    let mut collector = Process::example(
        "roam_sensor",
        &["collect", "--devices", "1", "--list", &list],
    );
    until("the list of devices", || {
        let text = std::fs::read_to_string(&list).ok()?;
        text.ends_with('\n').then_some(())
    });
    let args = ["report", &list, "--every", "0.1"];
    let mut device = Launched::start(fault, "roam_sensor", &args);
    device.is_injected();
    until(&format!("readings in spite of {fault}"), || {
        let told = String::from_utf8(collector.read(0)).expect("text");
        let last = told.lines().rfind(|line| line.starts_with("readings "))?;
        let readings: u32 = last.split(' ').nth(1)?.parse().ok()?;
        (readings >= 5).then_some(())
    });
    device.process.signal("TERM");
    device.process.succeeds();
    collector.signal("TERM");
    collector.succeeds();
    assert_eq!(collector.errors(), "", "{fault}");
}

#[test]
fn session_whose_datagrams_fail_goes_on() {
    if !programs::has("strace") {
        return;
    }
    let _watchdog = Watchdog::start(LIMIT * 8);
    // Side by side: they wait most of the time.
    thread::scope(|scope| {
        for fault in ROWS {
            scope.spawn(move || check(fault));
        }
    });
}
