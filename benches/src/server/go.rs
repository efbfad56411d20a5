//! Go's runtime, where a `go` command is found: builds `src/go/echo.go` beside this program and
//! becomes it, so that the process measured is the Go program alone.

use std::env;
use std::fs;
use std::io;
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use super::{ACCEPT_PAUSE, BLOCK, BLOCK_PAUSE, BUFFER_SIZE, DEADLINE, Options};

use crate::bulk;

const SOURCE: &str = include_str!("../go/echo.go");

/// Tells whether a `go` command is on the path.
pub(super) fn is_installed() -> bool {
    let status = Command::new("go")
        .arg("version")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    status.is_ok_and(|status| status.success())
}

/// Builds the server if need be and turns into it; returns only on failure.
pub(super) fn run(options: &Options) -> io::Result<()> {
    let program = build()?;
    let mut command = Command::new(program);
    command
        .arg(format!("-addr={}", options.addr))
        .arg(format!("-buffer={BUFFER_SIZE}"))
        .arg(format!("-pause={ACCEPT_PAUSE:?}"));
    if options.deadline {
        command.arg(format!("-deadline={DEADLINE:?}"));
    }
    if options.lazy {
        command.arg("-lazy");
    }
    if options.blocker {
        command
            .arg(format!("-block={BLOCK:?}"))
            .arg(format!("-block-pause={BLOCK_PAUSE:?}"));
    }
    if options.bulk {
        command
            .arg("-bulk")
            .arg(format!("-bytes={}", bulk::BYTES))
            .arg(format!("-burst={}", bulk::BURST))
            .arg(format!("-window={}", bulk::WINDOW))
            .arg(format!("-receive-buffer={}", bulk::RECEIVE_BUFFER));
    }
    if let Some(sockets) = options.datagrams {
        command.arg(format!("-datagrams={sockets}"));
    }
    if let Some(upstream) = options.relay {
        command.arg(format!("-relay={upstream}"));
    }
    command.env("GOMAXPROCS", options.workers.to_string());
    Err(command.exec())
}

/// Returns the path of the built program, which lives beside this one in Cargo's target folder.
fn build() -> io::Result<PathBuf> {
    let beside = env::current_exe()?;
    let source = beside.with_file_name("gannet-benches-echo.go");
    let program = beside.with_file_name("gannet-benches-echo-go");
    if fs::read_to_string(&source).is_ok_and(|built| built == SOURCE) && program.exists() {
        return Ok(program);
    }
    fs::write(&source, SOURCE)?;
    let status = Command::new("go")
        .args(["build", "-o"])
        .arg(&program)
        .arg(&source)
        .stdin(Stdio::null())
        .status()?;
    if status.success() {
        return Ok(program);
    }
    // The source is what tells that the program is current, so it must not stay.
    fs::remove_file(&source)?;
    Err(io::Error::other("go build failed"))
}
