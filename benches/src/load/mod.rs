//! The load generator: one thread on raw epoll (but for files, where it blocks, and relays, where it is iperf3),
//! so that it costs the same whomever it talks to.
//!
//! Each kind of load has a file. All of them are bounded in time and count, talk to loopback only,
//! verify every byte that comes back, and read the server's cost from `/proc` when told its PID.

mod bulk;
mod churn;
mod connection;
mod datagrams;
mod descriptors;
mod echo;
mod engine;
mod file;
mod idle;
mod relay;
mod volley;

use std::error::Error;
use std::io::{self, Write as _};
use std::net::{Ipv4Addr, SocketAddrV4};
use std::time::{Duration, Instant};

use crate::args::{Args, Problem};
use crate::procfs::{Spent, Usage, busy};
use crate::raw::process::{pin_to_cpu, raise_descriptor_limit};
use crate::report::Report;

/// Options of every load.
const OPTIONS: &[&str] = &[
    "--connections",
    "--cpu",
    "--deadline",
    "--hold",
    "--open-rate",
    "--pid",
    "--requests",
    "--seconds",
    "--silent",
    "--size",
    "--upstream",
    "--warmup",
    "--window",
];
const SWITCHES: &[&str] = &["--gate", "--talk"];
/// Most connections at once: four sources of some 28,000 ports each.
const CONNECTIONS_MAX: u64 = 100_000;
const REQUESTS_MAX: u64 = 1_000_000_000;
/// Bytes of a request of the loads that do not let it be chosen.
const REQUEST_SIZE: usize = 64;
/// Bytes of a unit of the loads that move many.
const MIB: u64 = 1 << 20;

/// The line that tells of the end of the warm-up, where there is a gate.
pub(crate) const READY: &str = "ready";
/// The line that ends a report, where there is a gate.
pub(crate) const DONE: &str = "done";

/// Runs `load KIND ADDR ...`, which prints its report.
pub(crate) fn run(words: &[String]) -> Result<(), Box<dyn Error>> {
    let Some((kind, words)) = words.split_first() else {
        return Err(
            "load needs a kind: echo, churn, udp, volley, bulk, idle, fds, relay or file".into(),
        );
    };
    let args = Args::parse(words, SWITCHES, OPTIONS)?;
    let settings = Settings::parse(&args)?;
    let load = match kind.as_str() {
        "echo" => echo::run,
        "churn" => churn::run,
        "udp" => datagrams::run,
        "volley" => volley::run,
        "bulk" => bulk::run,
        "idle" => idle::run,
        "fds" => descriptors::run,
        "relay" => relay::run,
        "file" => file::run,
        _ => {
            let there = "echo, churn, udp, volley, bulk, idle, fds, relay, file";
            return Err(format!("unknown load {kind}; there are {there}").into());
        }
    };
    if let Some(cpu) = args.value("--cpu")? {
        pin_to_cpu(cpu)?;
    }
    // Some spare ones for epoll, /proc and the standard streams.
    let wanted = (settings.connections + settings.silent) as u64 + 32;
    let limit = raise_descriptor_limit(wanted)?;
    if limit < wanted {
        return Err(format!("{wanted} descriptors needed, the limit is {limit}").into());
    }
    load(&settings)
}

/// What the command line asks of a load.
#[derive(Clone, Debug)]
struct Settings {
    target: SocketAddrV4,
    /// All that the server listens on, where it is more than one; the first is `target`.
    targets: Vec<SocketAddrV4>,
    connections: usize,
    /// Further connections that are opened and never talk.
    silent: usize,
    /// Bytes of one request.
    size: usize,
    /// Datagrams that each peer has on their way.
    window: usize,
    span: Span,
    warmup: Duration,
    /// Arrivals a second, where they come by the clock and not by the replies.
    open_rate: Option<f64>,
    /// How long nothing may happen before the run has failed.
    deadline: Duration,
    /// How long idle or waiting connections are held.
    hold: Duration,
    /// Has each idle connection exchange one request first.
    talk: bool,
    pid: Option<u32>,
    /// Where the server relays to.
    upstream: Option<SocketAddrV4>,
    gate: Gate,
}

/// How much is measured.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Span {
    /// All that happens in a time.
    Time(Duration),
    /// A number of requests.
    Requests(u64),
}

impl Settings {
    fn parse(args: &Args) -> Result<Self, Problem> {
        let targets = parse_targets(args.only("ADDR")?)?;
        let open_rate = args.value::<f64>("--open-rate")?;
        if open_rate.is_some_and(|rate| !(1.0..=1e7).contains(&rate)) {
            return Err("--open-rate must be 1 to 10000000 a second".to_owned());
        }
        let span = match args.value::<u64>("--requests")? {
            Some(_) => Span::Requests(args.count("--requests", 1, 1..=REQUESTS_MAX)?),
            None => Span::Time(args.seconds("--seconds", 3.0)?),
        };
        Ok(Self {
            target: targets[0],
            targets,
            silent: args.count("--silent", 0, 0..=CONNECTIONS_MAX)? as usize,
            connections: args.count("--connections", 64, 1..=CONNECTIONS_MAX)? as usize,
            size: args.count("--size", REQUEST_SIZE as u64, 1..=1 << 20)? as usize,
            window: args.count("--window", 1, 1..=64)? as usize,
            span,
            warmup: args.seconds("--warmup", 0.3)?,
            open_rate,
            deadline: args.seconds("--deadline", 10.0)?,
            hold: args.seconds("--hold", 1.0)?,
            talk: args.has("--talk"),
            pid: args.value("--pid")?,
            upstream: match args.value::<String>("--upstream")? {
                Some(text) => Some(parse_targets(&text)?[0]),
                None => None,
            },
            gate: Gate {
                used: args.has("--gate"),
            },
        })
    }

    /// Returns the address that connection `index` comes from: 127.0.0.1 to 127.0.0.4 in turn,
    /// since one address has fewer than 30,000 ports to connect from.
    fn source(&self, index: usize) -> SocketAddrV4 {
        SocketAddrV4::new(Ipv4Addr::new(127, 0, 0, 1 + (index % 4) as u8), 0)
    }

    /// Prints the report. A gate then keeps the caller's connections open until told.
    fn publish(&self, report: &Report) -> io::Result<()> {
        print!("{report}");
        if self.gate.used {
            println!("{DONE}");
        }
        io::stdout().flush()?;
        self.gate.hold()
    }

    /// Reads the server's figures, if its PID was told.
    fn server(&self) -> io::Result<Option<Usage>> {
        self.pid.map(Usage::read).transpose()
    }
}

/// Reads addresses with commas between them, at least one, and all on this machine.
fn parse_targets(text: &str) -> Result<Vec<SocketAddrV4>, Problem> {
    let parse = |word: &str| word.parse().map_err(|_| "ADDR must be IP:PORT".to_owned());
    let targets: Vec<SocketAddrV4> = text.split(',').map(parse).collect::<Result<_, _>>()?;
    match targets.iter().find(|target| !target.ip().is_loopback()) {
        Some(target) => Err(format!(
            "{target} is not a loopback address: load stays on this machine"
        )),
        None => Ok(targets),
    }
}

/// Lets another program act between warm-up and measurement, and before connections close.
#[derive(Clone, Copy, Debug)]
struct Gate {
    used: bool,
}

impl Gate {
    /// Tells that the warm-up is over, and waits for a line.
    fn wait(self) -> io::Result<()> {
        if !self.used {
            return Ok(());
        }
        println!("{READY}");
        io::stdout().flush()?;
        self.hold()
    }

    /// Waits for a line, or for the end of standard input.
    fn hold(self) -> io::Result<()> {
        if self.used {
            io::stdin().read_line(&mut String::new())?;
        }
        Ok(())
    }
}

/// The measured stretch of a run: its clock, and what server and generator spend on it.
struct Stretch {
    started: Instant,
    server: Option<Usage>,
    generator: Usage,
    busy: Duration,
}

impl Stretch {
    /// Starts the clock.
    fn start(settings: &Settings) -> io::Result<Self> {
        let generator = Usage::read(std::process::id())?;
        let server = settings.server()?;
        Ok(Self {
            started: Instant::now(),
            server,
            generator,
            busy: busy()?,
        })
    }

    /// Stops the clock.
    fn stop(self, settings: &Settings) -> io::Result<Measured> {
        let elapsed = self.started.elapsed();
        let after = settings.server()?;
        let server = self
            .server
            .zip(after)
            .map(|(before, after)| (after.since(&before), after));
        let generator = Usage::read(std::process::id())?.since(&self.generator);
        Ok(Measured {
            elapsed,
            server,
            generator,
            busy: busy()?.saturating_sub(self.busy),
        })
    }
}

/// What a [`Stretch`] found.
struct Measured {
    elapsed: Duration,
    /// And the server's last reading.
    server: Option<(Spent, Usage)>,
    generator: Spent,
    /// What the machine as a whole spent, these two included.
    busy: Duration,
}

impl Measured {
    /// Adds time, rate and costs of `units` of work, called `name`.
    fn add_to(&self, report: &mut Report, name: &str, units: u64) {
        let seconds = self.elapsed.as_secs_f64();
        report.add(name, units as f64);
        report.add("seconds", seconds);
        report.add(
            &format!("{name}_per_second"),
            units as f64 / seconds.max(1e-9),
        );
        if let Some((spent, last)) = &self.server {
            report.add_spent("server", *spent, units, self.elapsed);
            report.add("server_rss_bytes", last.rss_bytes as f64);
            report.add("server_peak_mib", last.peak_rss_bytes as f64 / MIB as f64);
            let ours = [spent, &self.generator].map(|it| it.user + it.system);
            let others = self.busy.saturating_sub(ours.iter().sum());
            report.add("others_cpu_percent", others.as_secs_f64() / seconds * 100.0);
        }
        report.add_spent("generator", self.generator, units, self.elapsed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(line: &str) -> Result<Settings, Problem> {
        let words: Vec<String> = line.split_ascii_whitespace().map(str::to_owned).collect();
        Settings::parse(&Args::parse(&words, SWITCHES, OPTIONS)?)
    }

    #[test]
    fn settings_of_an_address_have_defaults() {
        let settings = settings("127.0.0.1:7007").unwrap();
        assert_eq!((settings.connections, settings.size), (64, 64));
        assert_eq!(settings.span, Span::Time(Duration::from_secs(3)));
        assert_eq!(settings.source(5).ip(), &Ipv4Addr::new(127, 0, 0, 2));
    }

    #[test]
    fn settings_outside_their_bounds_are_refused() {
        assert!(
            settings("0.0.0.0:1")
                .unwrap_err()
                .contains("not a loopback address")
        );
        assert!(settings("127.0.0.1").unwrap_err().contains("IP:PORT"));
        assert!(settings("127.0.0.1:1,").unwrap_err().contains("IP:PORT"));
        assert!(
            settings("127.0.0.1:1,0.0.0.0:1")
                .unwrap_err()
                .contains("not a loopback address")
        );
        assert!(
            settings("127.0.0.1:1 --open-rate 0")
                .unwrap_err()
                .contains("--open-rate")
        );
        assert!(
            settings("127.0.0.1:1 --requests 0")
                .unwrap_err()
                .contains("--requests")
        );
        assert!(
            settings("127.0.0.1:1 --connections 100001")
                .unwrap_err()
                .contains("100000")
        );
    }

    #[test]
    fn settings_requests_go_before_seconds() {
        let settings = settings("127.0.0.1:1 --requests 9 --seconds 5").unwrap();
        assert_eq!(settings.span, Span::Requests(9));
    }
}
