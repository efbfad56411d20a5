//! `syscalls` and `syscalls-churn`: what a server asks of the kernel for one unit of work.
//!
//! Measured: calls by name, of all its threads, counted by `strace -c` from after the warm-up.
//! Unit: calls a request on settled connections, or a connection that is accepted, served one
//! request and closed. Floor: the raw loop (`syscalls raw`); rival: tokio. Noise: the counts do not
//! drift, but strace slows the server down, so that one wait brings more events than it would; a
//! handful of calls comes from attaching.

use std::fmt::Write as _;
use std::time::Duration;

use crate::args::Args;
use crate::children::{Generator, Server, Strace};
use crate::server::Rival;

const LIMIT: Duration = Duration::from_secs(120);

/// What is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unit {
    /// Echoes on connections that stay.
    Request,
    /// Connections from accept to close.
    Connection,
}

/// Runs `syscalls RIVAL ...` or `syscalls-churn RIVAL ...` and prints the table.
pub(crate) fn run(words: &[String], unit: Unit) -> Result<(), String> {
    let args = Args::parse(words, &[], &["--connections", "--requests", "--workers"])?;
    let rival: Rival = args.only("RIVAL")?.parse()?;
    let connections = args.count("--connections", 64, 1..=1000)?;
    let requests = args.count("--requests", 10_000, 1..=1_000_000)?;
    let workers = args.count("--workers", 1, 1..=64)?;
    let server = ["--workers".to_owned(), workers.to_string()];
    let load = ["--connections".to_owned(), connections.to_string()];
    let (kind, name) = match unit {
        Unit::Request => ("echo", "request"),
        Unit::Connection => ("churn", "connection"),
    };
    let counts = count(rival, &server, kind, &load, requests)?;
    println!(
        "System calls of {} over {requests} {name}s, {connections} at once, {workers} worker(s)\n",
        rival.name()
    );
    print!("{}", table(&counts, requests, name));
    Ok(())
}

/// Counts the system calls of a server over `requests` of a `kind` of load.
pub(crate) fn count(
    rival: Rival,
    server: &[String],
    kind: &str,
    load: &[String],
    requests: u64,
) -> Result<Vec<Count>, String> {
    let server = Server::start(rival, server)?;
    let requests = requests.to_string();
    let mut words = ["--gate", "--deadline", "30", "--requests", &requests]
        .map(str::to_owned)
        .to_vec();
    words.extend_from_slice(load);
    let mut generator = Generator::start(kind, &server, &words, LIMIT)?;
    generator.wait_ready()?;
    let strace = Strace::attach(&server)?;
    generator.measure()?;
    // The connections are open still, so that their end is not counted among the requests.
    parse(&strace.detach()?)
}

/// How often one system call was made and how often it failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Count {
    /// Its name.
    pub(crate) name: String,
    /// How often it was made.
    pub(crate) calls: u64,
    /// How often it failed.
    pub(crate) errors: u64,
}

/// Reads the table of `strace -c`; lines before and after it are skipped.
fn parse(text: &str) -> Result<Vec<Count>, String> {
    let mut counts = Vec::new();
    for line in text.lines() {
        let fields: Vec<&str> = line.split_ascii_whitespace().collect();
        // % time, seconds, usecs/call, calls, [errors,] name
        let (calls, errors, name) = match fields[..] {
            [_, _, _, calls, name] => (calls, "0", name),
            [_, _, _, calls, errors, name] => (calls, errors, name),
            _ => continue,
        };
        if fields[0].parse::<f64>().is_err() || name == "total" {
            continue;
        }
        if let (Ok(calls), Ok(errors)) = (calls.parse(), errors.parse()) {
            counts.push(Count {
                name: name.to_owned(),
                calls,
                errors,
            });
        }
    }
    counts.sort_by(|a, b| b.calls.cmp(&a.calls).then_with(|| a.name.cmp(&b.name)));
    if counts.is_empty() {
        Err(format!("strace counted nothing: {text}"))
    } else {
        Ok(counts)
    }
}

fn table(counts: &[Count], units: u64, unit: &str) -> String {
    let mut text = format!("| system call | calls | per {unit} | failed (mostly EAGAIN) |\n");
    text.push_str("|---|---|---|---|\n");
    let each = |calls: u64| calls as f64 / units as f64;
    for count in counts {
        let Count {
            name,
            calls,
            errors,
        } = count;
        // Writing to a string cannot fail.
        let _ = writeln!(
            text,
            "| {name} | {calls} | {:.4} | {errors} |",
            each(*calls)
        );
    }
    let calls = counts.iter().map(|count| count.calls).sum();
    let errors: u64 = counts.iter().map(|count| count.errors).sum();
    let _ = writeln!(text, "| all | {calls} | {:.4} | {errors} |", each(calls));
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    const SUMMARY: &str = "\
strace: Process 4242 attached with 2 threads
strace: Process 4242 detached
% time     seconds  usecs/call     calls    errors syscall
------ ----------- ----------- --------- --------- ----------------
 51.20    0.025004           2     10000           sendto
 40.10    0.019580           1     10050        50 recvfrom
  8.70    0.004248           5       200           epoll_wait
------ ----------- ----------- --------- --------- ----------------
100.00    0.048832           2     20250        50 total
";

    #[test]
    fn parse_reads_calls_and_errors_without_the_total() {
        let counts = parse(SUMMARY).unwrap();
        let told: Vec<_> = counts
            .iter()
            .map(|c| (c.name.as_str(), c.calls, c.errors))
            .collect();
        let want = [
            ("recvfrom", 10_050, 50),
            ("sendto", 10_000, 0),
            ("epoll_wait", 200, 0),
        ];
        assert_eq!(told, want);
    }

    #[test]
    fn parse_of_a_refusal_is_an_error() {
        assert!(
            parse("strace: attach: ptrace(PTRACE_SEIZE, 1): Operation not permitted\n").is_err()
        );
    }

    #[test]
    fn table_divides_by_the_units() {
        let table = table(&parse(SUMMARY).unwrap(), 10_000, "request");
        assert!(
            table.contains("| recvfrom | 10050 | 1.0050 | 50 |"),
            "{table}"
        );
        assert!(table.contains("| all | 20250 | 2.0250 | 50 |"), "{table}");
    }
}
