//! The devices of a list.

use std::fs;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use clap::ArgMatches;
use gannet::roam::{Blob, Client, Key, Session};
use gannet::{JoinSet, time};
use zeroize::Zeroizing;

use crate::reading::Reading;
use crate::select::{First, first};
use crate::signals::StopSignal;

/// One line of the list.
struct Entry {
    name: String,
    addr: SocketAddr,
    key: Key,
}

/// How a device goes about.
#[derive(Clone, Copy)]
struct Habits {
    every: Duration,
    roam: Option<Duration>,
}

/// Runs every device of the list, which is removed, until the end, then says how many ended cleanly.
pub(crate) async fn report(matches: &ArgMatches) -> io::Result<()> {
    let stop = StopSignal::catch()?;
    let path: &PathBuf = matches.get_one("list").ok_or(io::ErrorKind::InvalidInput)?;
    // Wiped once the keys are read out of it; what the file system keeps of the file is not.
    let text = fs::read_to_string(path)
        .map(Zeroizing::new)
        .map_err(|err| io::Error::new(err.kind(), format!("{}: {err}", path.display())))?;
    // The keys are good for one session each: nobody is to begin another with them.
    fs::remove_file(path)
        .map_err(|err| io::Error::new(err.kind(), format!("{}: {err}", path.display())))?;
    let habits = Habits {
        every: *matches.get_one("every").unwrap_or(&Duration::from_secs(1)),
        roam: matches.get_one("roam").copied(),
    };
    let mut sessions = Vec::new();
    for (at, line) in text.lines().enumerate() {
        let entry = Entry::parse(line).map_err(|what| {
            let text = format!("{}:{}: {what}", path.display(), at + 1);
            io::Error::new(io::ErrorKind::InvalidData, text)
        })?;
        let session =
            Client::new(entry.key, entry.addr).session(Reading::default(), Blob::new())?;
        sessions.push((entry.name, Arc::new(session)));
    }
    drop(text);
    let mut devices = JoinSet::new();
    for (_, session) in &sessions {
        devices.spawn(run(session.clone(), habits));
    }
    crate::ended(&stop, matches.get_one("for").copied()).await;
    drop(devices);
    end(sessions).await
}

impl Entry {
    /// Reads `NAME ADDRESS KEY`.
    fn parse(line: &str) -> Result<Self, String> {
        let mut words = line.split_whitespace();
        // Without the line, which may hold a key.
        let mut word = |what: &str| words.next().ok_or(format!("no {what}"));
        let (name, addr, key) = (word("name")?, word("address")?, word("key")?);
        Ok(Entry {
            name: name.to_owned(),
            addr: addr
                .parse()
                .map_err(|err| format!("address `{addr}`: {err}"))?,
            key: key.parse().map_err(|err| format!("key of {name}: {err}"))?,
        })
    }
}

/// Measures, and now and then moves to a fresh port.
async fn run(session: Arc<Session<Reading, Blob>>, habits: Habits) {
    let mut measure = time::interval(habits.every);
    let mut roam = habits.roam.map(time::interval);
    if let Some(roam) = &mut roam {
        roam.tick().await; // The first is at once, before there is anything to move.
    }
    loop {
        let moved = async {
            match &mut roam {
                Some(roam) => roam.tick().await,
                None => std::future::pending().await,
            }
        };
        match first(measure.tick(), moved).await {
            First::Left(_) => session.update(|reading| {
                reading.count += 1;
                // A day's course, as seen by a device in a hurry.
                let phase = f64::from(reading.count % 360).to_radians();
                reading.millidegrees = 20_000 + (phase.sin() * 5_000.0) as i32;
            }),
            First::Right(_) => session.hop(),
        }
    }
}

/// Ends all sessions at the same time.
async fn end(sessions: Vec<(String, Arc<Session<Reading, Blob>>)>) -> io::Result<()> {
    let mut endings = JoinSet::new();
    let count = sessions.len();
    for (name, session) in sessions {
        endings.spawn(async move { (name, session.shut_down().await) });
    }
    let mut clean = 0;
    while let Some(ended) = endings.join_next().await {
        match ended {
            Ok((_, true)) => clean += 1,
            Ok((name, false)) => eprintln!("{name}: the collector did not answer"),
            Err(err) => eprintln!("{err}"),
        }
    }
    println!("{clean} of {count} devices ended cleanly");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A word that is missing may have the key in the place of another.
    #[test]
    fn line_that_is_too_short_is_not_shown() {
        let secret = "GHe3rr+vIkWSshPEDJebSQ";
        for (line, error) in [
            ("", "no name"),
            (secret, "no address"),
            ("sensor-1 127.0.0.1:60001", "no key"),
        ] {
            assert_eq!(Entry::parse(line).err().as_deref(), Some(error));
        }
    }
}
