//! An honest session beside one that is flooded with forgeries.

use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use gannet::roam::{Blob, Stats};

use super::{LIMIT, Values, client, line, reported, runtime, server};
use crate::children::Companion;
use crate::histogram::Histogram;
use crate::report::Report;

/// Forgeries a second, in bursts a millisecond.
const RATE: u64 = 50_000;
const BURST: u64 = RATE / 1_000;
/// Their length: that of a heartbeat.
const LENGTH: usize = 80;
/// How often a quiet stretch and a flooded one follow each other.
const ROUNDS: usize = 3;
/// Words between the processes.
const QUIET: &str = "quiet";
const FLOOD: &str = "flood";

/// Serves two sessions in this process, and has another flood one of them while the other echoes.
pub(super) fn measure(seconds: Duration) -> Result<Report, String> {
    let words = ["roam", "roam-forged-clients", "--seconds"].map(str::to_owned);
    let words = [&words[..], &[seconds.as_secs_f64().to_string()]].concat();
    let mut peer = Companion::start(&words)?;
    let runtime = runtime()?;
    let begin = || runtime.block_on(server()).map_err(|err| err.to_string());
    let ((victim, to_victim), (honest, to_honest)) = (begin()?, begin()?);
    drop(runtime.spawn(echo(honest)));
    peer.tell(&to_victim)?;
    peer.tell(&to_honest)?;
    peer.hear(LIMIT)?;
    let before = (victim.stats(), victim.remote(), victim.peer_addr());
    let mut worst = [Vec::new(), Vec::new()];
    let mut sent = 0.0;
    for _ in 0..ROUNDS {
        for (at, word) in [QUIET, FLOOD].into_iter().enumerate() {
            peer.tell(word)?;
            let answer = peer.hear(LIMIT)?;
            let mut numbers = answer.split(' ').map(str::parse::<f64>);
            let mut next = || numbers.next().and_then(Result::ok).ok_or("no number");
            worst[at].push(next()?);
            sent += next()?;
        }
    }
    let (stats, flooded) = (victim.stats(), seconds.as_secs_f64() * ROUNDS as f64);
    let changes = changes(&before.0, &stats)
        + u64::from(before.1.1 != victim.remote().1)
        + u64::from(before.2 != victim.peer_addr());
    let [quiet, flood] = worst.map(median);
    let refused = stats.rejected.forged - before.0.rejected.forged;
    Ok(reported(&[
        ("more_ms", (flood - quiet) / 1e3),
        ("quiet_p99_ms", quiet / 1e3),
        ("flood_p99_ms", flood / 1e3),
        ("sent_per_second", sent / flooded),
        ("refused_per_second", refused as f64 / flooded),
        ("changes", changes as f64),
    ]))
}

/// What forgeries must not bring about.
fn changes(before: &Stats, after: &Stats) -> u64 {
    let changes = |stats: &Stats| {
        stats.roams + stats.rejected.replayed + stats.rejected.malformed + stats.congestion_marks
    };
    changes(after) - changes(before)
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

async fn echo(session: Values) {
    while let Some(value) = session.recv().await {
        session.update(|local| *local = value);
    }
}

/// The other process: both clients, and the forger.
pub(super) fn clients(seconds: Duration) -> io::Result<()> {
    let runtime = runtime().map_err(io::Error::other)?;
    let told = line()?;
    let _entered = runtime.enter();
    let (victim, honest) = (client(&told)?, client(&line()?)?);
    runtime.block_on(async {
        for session in [&victim, &honest] {
            session.update(|value| *value = Blob::from("begun"));
            session.confirmed().await;
        }
    });
    println!("there");
    let to = victim.peer_addr().ok_or(io::ErrorKind::NotConnected)?;
    loop {
        let flood = match line()?.as_str() {
            QUIET => false,
            FLOOD => true,
            _ => return Ok(()),
        };
        let over = Arc::new(AtomicBool::new(false));
        let forger = flood.then(|| {
            let over = Arc::clone(&over);
            thread::spawn(move || forge(to, &over))
        });
        let times = runtime.block_on(ask(&honest, seconds));
        over.store(true, Ordering::Relaxed);
        let sent = match forger.map(thread::JoinHandle::join) {
            Some(Ok(sent)) => sent?,
            Some(Err(_)) => return Err(io::Error::other("the forger panicked")),
            None => 0,
        };
        println!("{} {sent}", times.quantile(0.99).as_nanos() as f64 / 1e3);
    }
}

/// Changes the state, and waits until it comes back, again and again.
async fn ask(session: &Values, seconds: Duration) -> Histogram {
    let (mut times, start) = (Histogram::new(), Instant::now());
    let mut number = 0u64;
    while start.elapsed() < seconds {
        number += 1;
        let (asked, question) = (Instant::now(), start.elapsed().as_nanos().to_be_bytes());
        let question = [&question[..], &number.to_be_bytes()].concat();
        session.update(|value| *value = Blob::from(question.clone()));
        while let Some(value) = session.recv().await {
            if value.as_ref() == question {
                break;
            }
        }
        times.record(asked.elapsed());
    }
    times
}

/// Sends what looks like datagrams of the session, by the clock, and says how many.
fn forge(to: SocketAddr, over: &AtomicBool) -> io::Result<u64> {
    let socket = UdpSocket::bind("127.0.0.1:0")?;
    let (mut datagram, mut sent, start) = ([0xa5; LENGTH], 0u64, Instant::now());
    while !over.load(Ordering::Relaxed) {
        while sent / BURST < start.elapsed().as_millis() as u64 {
            for _ in 0..BURST {
                datagram[..8].copy_from_slice(&sent.to_be_bytes());
                socket.send_to(&datagram, to)?;
                sent += 1;
            }
        }
        thread::sleep(Duration::from_micros(200));
    }
    Ok(sent)
}
