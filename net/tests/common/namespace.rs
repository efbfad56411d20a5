//! Tests that change a network run in a namespace of their own, in a process of their own.

use std::process::Command;
use std::time::{Duration, Instant};

#[path = "../../../tests/support/programs.rs"]
pub(crate) mod programs;

/// Names the test that runs in a namespace already.
const INSIDE: &str = "GANNET_TEST_NAMESPACE";

/// Runs `test`, which is the test called `name`, in a network namespace made for it: this binary is
/// started again in there. It has a loopback, up, and nothing else.
///
/// # Panics
/// If a namespace cannot be made, as without root, and `GANNET_SKIP` does not name `unshare`.
#[track_caller]
pub(crate) fn in_namespace(name: &str, test: impl FnOnce()) {
    again(name, &[], || {
        ip("link set lo up");
        test();
    });
}

/// Runs `test`, which is the test called `name`, in a namespace as [`in_namespace`] does, but without
/// `CAP_NET_RAW`.
///
/// # Panics
/// As [`in_namespace`].
#[track_caller]
pub(crate) fn without_raw_sockets(name: &str, test: impl FnOnce()) {
    if !programs::has("setpriv") {
        return;
    }
    again(name, &["setpriv", "--bounding-set=-net_raw"], test);
}

/// Starts this binary again for one test, in a namespace and by the program `by`; in there, runs it.
/// Returns whether it has run, as the one that started it is told.
#[track_caller]
pub(crate) fn again(name: &str, by: &[&str], test: impl FnOnce()) -> bool {
    if std::env::var(INSIDE).is_ok_and(|inside| inside == name) {
        test();
        return false;
    }
    if !programs::has("unshare") || !programs::has("ip") || !programs::has("tc") {
        return false;
    }
    let binary = std::env::current_exe().expect("a test has a binary");
    let output = Command::new("unshare")
        .args(["--map-root-user", "--net"])
        .args(by)
        .arg(binary)
        .args(["--exact", name, "--nocapture", "--test-threads=1"])
        .env(INSIDE, name)
        .output()
        .expect("unshare starts");
    let text = [output.stdout, output.stderr].concat();
    let text = String::from_utf8_lossy(&text);
    let ran = text.contains("1 passed");
    assert!(output.status.success() && ran, "in a namespace:\n{text}");
    true
}

/// Runs `ip` with these arguments.
#[track_caller]
pub(crate) fn ip(arguments: &str) {
    run("ip", arguments);
}

#[allow(dead_code, reason = "not every test that shares this file makes links")]
/// Makes an interface with an address, `address/bits`, and its peer `NAME-peer` without one.
///
/// The kernel goes on with both after `ip` has ended: it looks at the carrier, and adds the routes of
/// IPv6, some time later. This waits for these.
#[track_caller]
pub(crate) fn add_link(name: &str, address: &str) {
    let peer = format!("{name}-peer");
    ip(&format!("link add {name} type veth peer name {peer}"));
    ip(&format!("link set {peer} up"));
    ip(&format!("link set {name} up"));
    let is_v6 = address.contains(':');
    let how = if is_v6 { "nodad" } else { "brd +" };
    ip(&format!("addr add {address} dev {name} {how}"));
    for device in [name, &peer] {
        wait_for_route("multicast ff", device);
    }
    if let (true, Some((address, _))) = (is_v6, address.split_once('/')) {
        wait_for_route(&format!("local {address}"), name);
    }
}

/// Waits until the tables of IPv6 have a route that begins so.
#[track_caller]
fn wait_for_route(route: &str, device: &str) {
    let show = ["-6", "route", "show", "table", "all", "dev", device];
    let end = Instant::now() + Duration::from_secs(30);
    let is_there = || {
        let shown = Command::new("ip").args(show).output().expect("ip starts");
        let shown = String::from_utf8_lossy(&shown.stdout).into_owned();
        shown.lines().any(|line| line.starts_with(route))
    };
    while !is_there() {
        assert!(Instant::now() < end, "no route {route} on {device}");
        std::thread::yield_now();
    }
}

/// Runs `tc` with these arguments.
#[track_caller]
pub(crate) fn tc(arguments: &str) {
    run("tc", arguments);
}

#[track_caller]
fn run(program: &str, arguments: &str) {
    let status = Command::new(program)
        .args(arguments.split_whitespace())
        .status()
        .unwrap_or_else(|err| panic!("{program}: {err}"));
    assert!(status.success(), "{program} {arguments}: {status}");
}
