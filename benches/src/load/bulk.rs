//! `load bulk`: a transfer of datagrams whose both ends are the server's, which sends as long as it is
//! let, and tells what was sent and what arrived (`bulk`).

use std::error::Error;
use std::io;
use std::net::{Ipv4Addr, UdpSocket};
use std::thread;
use std::time::{Duration, Instant};

use super::{Settings, Span, Stretch};
use crate::bulk::{Counts, WINDOW};
use crate::report::Report;

/// How often the server is asked while it transfers. What does not come in so long is lost.
const INTERVAL: Duration = Duration::from_millis(100);
/// How often where a number of datagrams is waited for.
const SHORT_INTERVAL: Duration = Duration::from_millis(1);

/// Warms up, measures, and tells.
pub(super) fn run(settings: &Settings) -> Result<(), Box<dyn Error>> {
    let mut transfer = Transfer::new(settings)?;
    transfer.run(Span::Time(settings.warmup))?;
    settings.gate.wait()?;
    let stretch = Stretch::start(settings)?;
    let moved = transfer.run(settings.span)?;
    let measured = stretch.stop(settings)?;
    let mut report = Report::new();
    measured.add_to(&mut report, "datagrams", moved.arrived);
    report.add("lost_percent", lost_percent(moved));
    Ok(settings.publish(&report)?)
}

/// Returns how much of what was sent did not arrive. Some that did may have been on their way before.
fn lost_percent(moved: Counts) -> f64 {
    let lost = moved.sent.saturating_sub(moved.arrived);
    lost as f64 / moved.sent.max(1) as f64 * 100.0
}

struct Transfer {
    socket: UdpSocket,
    deadline: Duration,
}

impl Transfer {
    fn new(settings: &Settings) -> io::Result<Self> {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
        socket.connect(settings.target)?;
        socket.set_read_timeout(Some(settings.deadline))?;
        Ok(Self {
            socket,
            deadline: settings.deadline,
        })
    }

    /// Transfers over `span`, until nothing is on its way any more; returns what was moved.
    fn run(&mut self, span: Span) -> io::Result<Counts> {
        let (began, before) = (Instant::now(), self.settled()?);
        let limit = match span {
            Span::Time(_) => u64::MAX,
            Span::Requests(count) => before.sent + count,
        };
        self.ask(limit)?;
        let (mut counts, mut stirred) = (before, began);
        loop {
            let left = match span {
                Span::Time(time) => time.saturating_sub(began.elapsed()),
                Span::Requests(_) if counts.sent >= limit => Duration::ZERO,
                Span::Requests(_) => SHORT_INTERVAL,
            };
            if left.is_zero() {
                break;
            }
            thread::sleep(left.min(INTERVAL));
            let now = self.ask(limit)?;
            if now != counts {
                stirred = Instant::now();
            } else if stirred.elapsed() > self.deadline {
                return Err(stuck());
            }
            counts = now;
        }
        let after = self.settled()?;
        Ok(Counts {
            sent: after.sent - before.sent,
            arrived: after.arrived - before.arrived,
        })
    }

    /// Lets nothing more be sent, and waits until all has arrived, or nothing more comes.
    fn settled(&mut self) -> io::Result<Counts> {
        let mut counts = self.ask(0)?;
        let began = Instant::now();
        loop {
            if counts.sent == counts.arrived {
                return Ok(counts);
            }
            thread::sleep(SHORT_INTERVAL);
            let now = self.ask(0)?;
            if now == counts && began.elapsed() > INTERVAL {
                return Ok(now);
            }
            if began.elapsed() > self.deadline {
                return Err(stuck());
            }
            counts = now;
        }
    }

    /// Sets how much may be sent in all.
    fn ask(&mut self, limit: u64) -> io::Result<Counts> {
        self.socket.send(&limit.to_le_bytes())?;
        let mut answer = [0; 64];
        let n = self.socket.recv(&mut answer)?;
        let counts = Counts::from_bytes(answer.get(..n).unwrap_or_default());
        counts
            .filter(|it| it.arrived <= it.sent + WINDOW)
            .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "not an answer"))
    }
}

fn stuck() -> io::Error {
    io::Error::new(
        io::ErrorKind::TimedOut,
        "nothing was sent within the deadline",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lost_percent_is_of_what_was_sent() {
        let lost = |sent, arrived| lost_percent(Counts { sent, arrived });
        assert_eq!(lost(200, 150).to_string(), "25");
        assert_eq!(lost(0, 0).to_string(), "0");
        assert_eq!(lost(100, 101).to_string(), "0", "from before");
    }
}
