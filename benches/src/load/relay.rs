//! `load relay`: one stream through the server, which relays it to a sink in this process.
//!
//! The first two bytes of the connection are the port of the sink, big-endian. What goes in repeats
//! every 256 KiB, and all that comes out is compared with it. Two threads that block, as a sender and a
//! receiver have.

use std::error::Error;
use std::io::{self, Read as _, Write as _};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use super::{Settings, Span, Stretch};
use crate::report::Report;

/// What goes in again and again.
const PATTERN_LEN: usize = 256 << 10;
const MIB: u64 = 1 << 20;
/// How often it is looked whether so many MiB have come.
const TICK: Duration = Duration::from_millis(1);

/// Warms up, measures, and tells.
pub(super) fn run(settings: &Settings) -> Result<(), Box<dyn Error>> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let mut source = TcpStream::connect(settings.target)?;
    source.set_write_timeout(Some(settings.deadline))?;
    source.write_all(&listener.local_addr()?.port().to_be_bytes())?;
    let (sink, _) = listener.accept()?;
    sink.set_read_timeout(Some(settings.deadline))?;

    let (received, stop) = (
        Arc::new(AtomicU64::new(0)),
        Arc::new(AtomicBool::new(false)),
    );
    let (counter, stopped) = (received.clone(), stop.clone());
    let feeding = thread::spawn(move || feed(source, &stopped));
    let checking = thread::spawn(move || check(sink, &counter));
    thread::sleep(settings.warmup);
    settings.gate.wait()?;
    let before = received.load(Ordering::Relaxed);
    let stretch = Stretch::start(settings)?;
    match settings.span {
        Span::Time(time) => thread::sleep(time),
        Span::Requests(mib) => {
            let enough = before + mib * MIB;
            while received.load(Ordering::Relaxed) < enough && !checking.is_finished() {
                thread::sleep(TICK);
            }
        }
    }
    let measured = stretch.stop(settings)?;
    let moved = received.load(Ordering::Relaxed) - before;
    stop.store(true, Ordering::Relaxed);
    let sent = feeding.join().map_err(|_| "the sender panicked")??;
    let arrived = checking.join().map_err(|_| "the receiver panicked")??;
    if sent != arrived {
        return Err(format!("{sent} bytes were sent, {arrived} arrived").into());
    }
    let mut report = Report::new();
    measured.add_to(&mut report, "mib", moved / MIB);
    Ok(settings.publish(&report)?)
}

fn pattern() -> Vec<u8> {
    (0..PATTERN_LEN).map(|at| (at % 251) as u8).collect()
}

/// Sends until told, and then the end; returns how many bytes.
fn feed(mut source: TcpStream, stop: &AtomicBool) -> io::Result<u64> {
    let (pattern, mut sent) = (pattern(), 0);
    while !stop.load(Ordering::Relaxed) {
        source.write_all(&pattern)?;
        sent += pattern.len() as u64;
    }
    Ok(sent)
}

/// Receives to the end; returns how many bytes.
fn check(mut sink: TcpStream, received: &AtomicU64) -> io::Result<u64> {
    let (pattern, mut buf, mut at) = (pattern(), vec![0; PATTERN_LEN], 0);
    loop {
        // Up to where the pattern begins anew.
        let len = sink.read(&mut buf[at..])?;
        if len == 0 {
            return Ok(received.load(Ordering::Relaxed));
        }
        if buf[at..at + len] != pattern[at..at + len] {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "a wrong byte"));
        }
        received.fetch_add(len as u64, Ordering::Relaxed);
        at = (at + len) % PATTERN_LEN;
    }
}
