//! What is counted and not timed: instructions, system calls, calls that wake.
//!
//! Each takes runs of its own, of a fixed number of requests, apart from the timed rounds: every
//! one of these tools slows the server down.

use std::time::Duration;

use super::plan::Plan;
use super::subject::{Count, Variant, Work};
use super::table::Row;
use crate::callgrind;
use crate::children::{Generator, Server, perf_stat, report_of};
use crate::server::Rival;
use crate::syscalls;

/// Requests of the two runs under callgrind, whose difference counts.
const FEW: u64 = 2_000;
const MANY: u64 = 10_000;
/// Requests under strace.
const TRACED: u64 = 5_000;
/// Requests under perf, which costs little.
const WATCHED: u64 = 100_000;
const LIMIT: Duration = Duration::from_secs(60);
/// The system calls that perf counts; the last two show how echoes are received and sent.
const WATCHED_CALLS: [&str; 5] = ["futex", "write", "read", "recvfrom", "sendto"];

/// Counts what the subject asks for, into `row`.
pub(super) fn count(plan: &Plan, variant: &Variant, row: &mut Row) {
    let kind = match plan.subject.work {
        Work::Load(kind) => kind,
        Work::Roam(_) => return,
        Work::Inside(name) => return count_inside(plan, variant, row, name),
    };
    let run = Run {
        rival: row.rival,
        kind,
        server: plan.server_words(variant, row.rival),
        load: plan.load_words(variant),
    };
    for count in plan.subject.counts {
        let (figure, name, counted) = match count {
            Count::Instructions => ("instructions", "instructions", run.instructions()),
            Count::SystemCalls => ("system_calls", "system calls", run.system_calls()),
            Count::WakeCalls => ("wake_calls", "calls that wake", run.wake_calls()),
        };
        tell(plan, row, figure, name, counted);
    }
}

/// Counts the instructions of a process that works alone, where the first variant is: with more
/// workers, chance decides which of them look for work.
fn count_inside(plan: &Plan, variant: &Variant, row: &mut Row, name: &str) {
    if row.variant > 0 || !plan.subject.counts.contains(&Count::Instructions) {
        return;
    }
    let mut words = ["inside", name, row.rival.name(), "--instructions"]
        .map(str::to_owned)
        .to_vec();
    words.extend(plan.server_words(variant, row.rival));
    let report = report_of(&words, 2 * LIMIT);
    let counted = report.and_then(|report| {
        let counted = report.figure("instructions");
        counted.ok_or_else(|| "no figure".to_owned())
    });
    tell(plan, row, "instructions", "instructions", counted);
}

fn tell(plan: &Plan, row: &mut Row, figure: &str, name: &str, counted: Result<f64, String>) {
    eprintln!("{} {} {name}: {counted:?}", plan.subject.name, row.label());
    match counted {
        Ok(counted) => row.counted.add(figure, counted),
        Err(why) => row.remarks.push(format!("{name} not counted: {why}")),
    }
}

struct Run {
    rival: Rival,
    kind: &'static str,
    server: Vec<String>,
    load: Vec<String>,
}

impl Run {
    fn instructions(&self) -> Result<f64, String> {
        match self.rival {
            Rival::Go => return Err("callgrind does not follow into Go's program".to_owned()),
            Rival::MonoioUring => return Err("io_uring hangs under valgrind".to_owned()),
            _ => {}
        }
        if !callgrind::is_installed() {
            return Err("no valgrind command found".to_owned());
        }
        let (few, many) = (self.instructions_of(FEW)?, self.instructions_of(MANY)?);
        let each = callgrind::each((FEW, few), (MANY, many));
        each.ok_or_else(|| "no units".to_owned())
    }

    fn instructions_of(&self, requests: u64) -> Result<u64, String> {
        let count = callgrind::Count::new();
        let server = Server::start_counted(self.rival, &self.server, &count)?;
        let words = self.words(requests);
        Generator::start(self.kind, &server, &words, LIMIT)?.report()?;
        server.end()?;
        count.instructions()
    }

    fn system_calls(&self) -> Result<f64, String> {
        // A datagram of a bulk transfer is a fraction of a call.
        let requests = if self.kind == "bulk" {
            10 * TRACED
        } else {
            TRACED
        };
        let counts = syscalls::count(self.rival, &self.server, self.kind, &self.load, requests)?;
        let calls: u64 = counts.iter().map(|count| count.calls).sum();
        Ok(calls as f64 / requests as f64)
    }

    fn wake_calls(&self) -> Result<f64, String> {
        let events = WATCHED_CALLS.map(|call| format!("syscalls:sys_enter_{call}"));
        let events = events.each_ref().map(String::as_str);
        let server = Server::start(self.rival, &self.server)?;
        let words = self.words(WATCHED);
        let text = perf_stat(&events, self.kind, &server, &words, LIMIT)?;
        let [futex, write, read, recvfrom, sendto] = parse(&text)?;
        if recvfrom.min(sendto) < WATCHED / 2 {
            return Err("its sockets are served by the calls that serve an eventfd".to_owned());
        }
        Ok((futex + write + read) as f64 / WATCHED as f64)
    }

    fn words(&self, requests: u64) -> Vec<String> {
        let mut words = self.load.clone();
        words.extend(["--deadline", "30", "--warmup", "0", "--requests"].map(str::to_owned));
        words.push(requests.to_string());
        words
    }
}

/// Reads the counts of [`WATCHED_CALLS`] in the output of `perf stat -x,`.
fn parse(text: &str) -> Result<[u64; WATCHED_CALLS.len()], String> {
    let mut counts = [0; WATCHED_CALLS.len()];
    for (count, call) in counts.iter_mut().zip(WATCHED_CALLS) {
        let line = text
            .lines()
            .find(|line| line.contains(&format!("sys_enter_{call},")));
        let value = line.and_then(|line| line.split(',').next()?.parse().ok());
        *count = value.ok_or_else(|| format!("perf counted no {call}"))?;
    }
    Ok(counts)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parse_reads_counts_by_name_and_refuses_gaps() {
        let text = "\
12,,syscalls:sys_enter_futex,400213,100.00,,
3,,syscalls:sys_enter_write,400213,100.00,,
0,,syscalls:sys_enter_read,400213,100.00,,
100065,,syscalls:sys_enter_recvfrom,400213,100.00,,
100064,,syscalls:sys_enter_sendto,400213,100.00,,
";
        assert_eq!(parse(text), Ok([12, 3, 0, 100_065, 100_064]));
        let text = text.replace("12,,", "<not supported>,,");
        assert_eq!(parse(&text), Err("perf counted no futex".to_owned()));
        assert!(parse("event syntax error").is_err());
    }
}
