//! Tests that change a network run in a namespace of their own, in a process of their own.

use std::process::Command;

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
    if std::env::var(INSIDE).is_ok_and(|inside| inside == name) {
        ip("link set lo up");
        return test();
    }
    if !programs::has("unshare") || !programs::has("ip") || !programs::has("tc") {
        return;
    }
    let binary = std::env::current_exe().expect("a test has a binary");
    let output = Command::new("unshare")
        .args(["--map-root-user", "--net"])
        .arg(binary)
        .args(["--exact", name, "--nocapture", "--test-threads=1"])
        .env(INSIDE, name)
        .output()
        .expect("unshare starts");
    let text = [output.stdout, output.stderr].concat();
    let text = String::from_utf8_lossy(&text);
    let ran = text.contains("1 passed");
    assert!(output.status.success() && ran, "in a namespace:\n{text}");
}

/// Runs `ip` with these arguments.
#[track_caller]
pub(crate) fn ip(arguments: &str) {
    run("ip", arguments);
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
