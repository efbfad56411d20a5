//! Sessions in which nothing happens but heartbeats.

use std::io;
use std::process;
use std::thread;
use std::time::Duration;

use gannet::roam::Blob;

use super::{LIMIT, Values, client, line, reported, runtime, server};
use crate::children::Companion;
use crate::procfs::{Spent, Usage};
use crate::raw::process::raise_descriptor_limit;
use crate::report::Report;

/// Descriptors beside those of sessions, and those of a session at either end.
const DESCRIPTORS: u64 = 100;
const DESCRIPTORS_EACH: u64 = 2;
/// How long after their beginning sessions count as idle: more than a heartbeat.
const SETTLING: Duration = Duration::from_secs(5);

/// Begins `count` sessions, one end of each in this process and the other in another, and watches
/// both processes for a time.
pub(super) fn measure(count: u64, period: Duration) -> Result<Report, String> {
    raise(count)?;
    let text = |err: io::Error| err.to_string();
    let mut peer = Companion::start(&["roam".to_owned(), "roam-idle-clients".to_owned()])?;
    peer.hear(LIMIT)?;
    let usage = |peer: &Companion| -> io::Result<[Usage; 2]> {
        Ok([Usage::read(process::id())?, Usage::read(peer.pid())?])
    };
    let runtime = runtime()?;
    let empty = usage(&peer).map_err(text)?;
    peer.tell(&count.to_string())?;
    let mut sessions = Vec::new();
    for _ in 0..count {
        let (session, told) = runtime.block_on(server()).map_err(text)?;
        peer.tell(&told)?;
        sessions.push(session);
    }
    peer.hear(LIMIT)?;
    thread::sleep(SETTLING);
    let before = usage(&peer).map_err(text)?;
    thread::sleep(period);
    let after = usage(&peer).map_err(text)?;
    let memory = [0, 1].map(|at| {
        let more = after[at].rss_bytes.saturating_sub(empty[at].rss_bytes);
        more as f64 / count as f64 / 1024.0
    });
    let spent = [0, 1].map(|at| after[at].since(&before[at]));
    let session_seconds = count as f64 * period.as_secs_f64();
    let wakeups = spent.map(|spent| spent.wakeups as f64 / session_seconds);
    let cpu = spent.map(|spent| percent(spent, period));
    let alive = sessions.iter().filter(|session| !session.is_closed());
    Ok(reported(&[
        ("kib_each", memory[0].max(memory[1])),
        ("server_kib_each", memory[0]),
        ("client_kib_each", memory[1]),
        ("wakeups_each", wakeups[0].max(wakeups[1])),
        ("cpu_percent", cpu[0].max(cpu[1])),
        ("server_cpu_percent", cpu[0]),
        ("client_cpu_percent", cpu[1]),
        ("sessions", alive.count() as f64),
    ]))
}

fn percent(spent: Spent, period: Duration) -> f64 {
    (spent.user + spent.system).as_secs_f64() / period.as_secs_f64() * 100.0
}

fn raise(count: u64) -> Result<(), String> {
    let wanted = DESCRIPTORS + DESCRIPTORS_EACH * count;
    let given = raise_descriptor_limit(wanted).map_err(|err| err.to_string())?;
    if given < wanted {
        return Err(format!("{wanted} descriptors are needed, {given} allowed"));
    }
    Ok(())
}

/// The other process: begins the clients that it is told of, and waits.
pub(super) fn clients() -> io::Result<()> {
    println!("there");
    let count: u64 = line()?.parse().map_err(io::Error::other)?;
    raise(count).map_err(io::Error::other)?;
    let runtime = runtime().map_err(io::Error::other)?;
    let sessions = runtime.block_on(async {
        let mut sessions: Vec<Values> = Vec::new();
        for _ in 0..count {
            let session = client(&line()?)?;
            session.update(|value| *value = Blob::from("idle"));
            sessions.push(session);
        }
        for session in &sessions {
            if !session.confirmed().await {
                return Err(io::Error::other("a session has ended"));
            }
        }
        Ok(sessions)
    })?;
    println!("idle");
    // Until the end of standard input.
    line()?;
    drop(sessions);
    Ok(())
}
