//! `load relay`: one stream of iperf3, through the server to an iperf3 that it relays to.

use std::error::Error;
use std::process::Command;
use std::sync::mpsc::Receiver;
use std::time::Duration;

use super::{MIB, Settings, Span, Stretch};
use crate::children::{lines_before, start_told};
use crate::procfs::Spent;
use crate::report::Report;

/// Measures, and tells. There is no warm-up: both ends end with the stream.
pub(super) fn run(settings: &Settings) -> Result<(), Box<dyn Error>> {
    let upstream = settings.upstream.ok_or("the load relay needs --upstream")?;
    let (ip, port) = (upstream.ip().to_string(), upstream.port().to_string());
    let words = ["-s", "-1", "-B", &ip, "-p", &port, "--forceflush"];
    // What it says later is read by nobody, but it must be able to say it.
    let (_server, said) = start_told(Command::new("iperf3").args(words))?;
    wait_listening(&said, settings.deadline)?;
    settings.gate.wait()?;

    let stretch = Stretch::start(settings)?;
    let (span, limit) = match settings.span {
        // It counts in whole seconds, and takes 0 for no end.
        Span::Time(time) => {
            let seconds = time.as_secs_f64().ceil().max(1.0);
            (["-t".to_owned(), seconds.to_string()], time)
        }
        // As long as it may take where bytes hardly move.
        Span::Requests(mib) => {
            let limit = Duration::from_millis(mib.saturating_mul(10));
            (["-n".to_owned(), format!("{mib}M")], limit)
        }
    };
    let (ip, port) = (
        settings.target.ip().to_string(),
        settings.target.port().to_string(),
    );
    let words = ["-c", &ip, "-p", &port, "-J", "-l", "128K"];
    let (_client, said) = start_told(Command::new("iperf3").args(words).args(span))?;
    let said = lines_before(&said, settings.deadline + limit)?;
    let mut measured = stretch.stop(settings)?;
    let ended = Ended::parse(&said).ok_or_else(|| format!("iperf3 failed: {said}"))?;
    // Its own clock leaves out how it begins and ends.
    measured.elapsed = ended.elapsed;
    measured.generator = ended.spent;
    let mut report = Report::new();
    measured.add_to(&mut report, "mib", ended.bytes / MIB);
    Ok(settings.publish(&report)?)
}

/// Waits until an iperf3 says that it listens.
fn wait_listening(said: &Receiver<String>, limit: Duration) -> Result<(), Box<dyn Error>> {
    loop {
        if said.recv_timeout(limit)?.starts_with("Server listening") {
            return Ok(());
        }
    }
}

/// What an iperf3 client says at its end.
#[derive(Debug, PartialEq)]
struct Ended {
    bytes: u64,
    elapsed: Duration,
    /// Processor time of both ends.
    spent: Spent,
}

impl Ended {
    fn parse(json: &str) -> Option<Self> {
        let (_, end) = json.split_once("\"end\":")?;
        let elapsed = Duration::try_from_secs_f64(field(end, "sum_received", "seconds")?).ok()?;
        let percent = |name: &str| field(end, "cpu_utilization_percent", name);
        let time = |name: &str| {
            let both = percent(&format!("host_{name}"))? + percent(&format!("remote_{name}"))?;
            Some(elapsed.mul_f64((both / 100.0).clamp(0.0, 100.0)))
        };
        Some(Self {
            bytes: field(end, "sum_received", "bytes")? as u64,
            elapsed,
            spent: Spent {
                user: time("user")?,
                system: time("system")?,
                ..Spent::default()
            },
        })
    }
}

/// A number of an object that is named in JSON.
fn field(json: &str, object: &str, name: &str) -> Option<f64> {
    let (_, object) = json.split_once(&format!("\"{object}\":"))?;
    let (_, value) = object[..object.find('}')?].split_once(&format!("\"{name}\":"))?;
    value.split([',', '\n', '}']).next()?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ended_takes_what_arrived_and_what_both_ends_spent() {
        let json = r#"{"start": {"sum_received": {"bytes": 1, "seconds": 9}}, "end": {
            "sum_sent": {"bytes": 7, "seconds": 2.5},
            "sum_received": {
                "start": 0,
                "seconds": 2.0,
                "bytes": 4096,
                "sender": true
            },
            "cpu_utilization_percent": {"host_total": 60, "host_user": 10, "host_system": 50.0,
                "remote_total": 30, "remote_user": 5.0, "remote_system": 25}}}"#;
        let want = Ended {
            bytes: 4096,
            elapsed: Duration::from_secs(2),
            spent: Spent {
                user: Duration::from_millis(300),
                system: Duration::from_millis(1500),
                ..Spent::default()
            },
        };
        assert_eq!(Ended::parse(json), Some(want));
        assert_eq!(
            Ended::parse(r#"{"start": {}, "end": {}, "error": "x"}"#),
            None
        );
    }
}
