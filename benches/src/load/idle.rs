//! `load idle`: many connections on which nothing happens, and what they cost the server.
//!
//! The figure is resident memory of the server's process, so user memory only: what the kernel
//! keeps for a socket is not in it.

use std::error::Error;
use std::io;
use std::thread;
use std::time::{Duration, Instant};

use super::engine::Engine;
use super::{Settings, Stretch};
use crate::procfs::{Usage, open_descriptors};
use crate::report::Report;

/// Opens all connections, waits until the server has accepted them, holds them, and tells.
pub(super) fn run(settings: &Settings) -> Result<(), Box<dyn Error>> {
    let pid = settings
        .pid
        .ok_or("load idle needs --pid, to read the server's memory")?;
    let descriptors_before = open_descriptors(pid)?;
    let before = Usage::read(pid)?;
    let began = Instant::now();
    let mut engine = Engine::new(settings)?;
    if settings.talk {
        engine.open_and_greet(settings)?;
    } else {
        let mut open = 0;
        while open < settings.connections {
            open = engine.open_some(settings)?;
            wait_for_accepts(settings, pid, descriptors_before + open)?;
        }
    }
    let opened = began.elapsed();
    let stretch = Stretch::start(settings)?;
    thread::sleep(settings.hold);
    let held = stretch.stop(settings)?;
    let after = Usage::read(pid)?;
    let grown = after.rss_bytes.saturating_sub(before.rss_bytes);
    let mut report = Report::new();
    report.add("connections", settings.connections as f64);
    report.add("open_seconds", opened.as_secs_f64());
    report.add("server_rss_before_bytes", before.rss_bytes as f64);
    report.add("server_rss_after_bytes", after.rss_bytes as f64);
    report.add(
        "bytes_per_connection",
        grown as f64 / settings.connections as f64,
    );
    if let Some((spent, _)) = held.server {
        report.add(
            "idle_switches_per_second",
            spent.switches as f64 / held.elapsed.as_secs_f64(),
        );
    }
    Ok(settings.publish(&report)?)
}

/// Waits until the server owns `wanted` descriptors: a connection that still sits in the backlog
/// costs the server nothing.
fn wait_for_accepts(settings: &Settings, pid: u32, wanted: usize) -> io::Result<()> {
    let began = Instant::now();
    loop {
        let open = open_descriptors(pid)?;
        if open >= wanted {
            return Ok(());
        }
        if began.elapsed() > settings.deadline {
            let what = format!("the server holds {open} descriptors, {wanted} expected");
            return Err(io::Error::new(io::ErrorKind::TimedOut, what));
        }
        thread::sleep(Duration::from_millis(1));
    }
}
