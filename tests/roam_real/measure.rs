//! How fast sessions recover, how much they send meanwhile, and how long a key takes.
//!
//! Measured: with a capture on the router between client and server, on links without delay. Units
//! stand with the figures. Rival: the pair of real mosh, side by side in the same minute. Noise: up
//! to some 20 ms for what starts with a command of `ip` or `nft`, whose run is counted.

use std::process::ExitCode;
use std::thread;
use std::time::{Duration, Instant};

use crate::capture::{CLIENT_SIDE, Capture, Datagram, SERVER_SIDE};
use crate::session::{LIMIT, PROMPT, Pair, SERVER_4, Session, shell_words};
use crate::world::World;

/// After so long without a key, only heartbeats are sent.
const SETTLED: Duration = Duration::from_secs(7);
const OUTAGE: Duration = Duration::from_secs(4);
const KEYS: usize = 300;

/// Something to measure.
struct Figure {
    name: &'static str,
    /// What is measured, with its unit.
    text: &'static str,
    /// What ours is to reach.
    bar: &'static str,
    measure: fn(&Pair) -> String,
    /// Whether nothing else may run meanwhile.
    is_alone: bool,
}

const FIGURES: [Figure; 6] = [
    Figure {
        name: "move",
        text: "address change while idle, until the client is heard, and reached, s",
        bar: "-; 0.3",
        measure: moved,
        is_alone: false,
    },
    Figure {
        name: "dead",
        text: "translation dies while idle, from the last answer to the next, s",
        bar: "4",
        measure: dead,
        is_alone: false,
    },
    Figure {
        name: "up",
        text: "client's datagrams in 4 s of outage to the server, one key pending",
        bar: "10",
        measure: outage_up,
        is_alone: false,
    },
    Figure {
        name: "down",
        text: "server's datagrams in 4 s of outage to the client, one line pending",
        bar: "10",
        measure: outage_down,
        is_alone: false,
    },
    Figure {
        name: "stop",
        text: "client's datagrams in 4 s to a stopped server, one key pending",
        bar: "10",
        measure: stopped,
        is_alone: false,
    },
    Figure {
        name: "key",
        text: "echo of a key on loopback, 300 keys, ms: p50, p99",
        bar: "mosh-server's",
        measure: echo,
        is_alone: true,
    },
];

/// Measures the figures whose names are asked for, all without any, and prints a table.
pub(crate) fn run(names: &[String], pairs: &[Pair]) -> ExitCode {
    let is_wanted =
        |figure: &&Figure| names.is_empty() || names.iter().any(|name| name == figure.name);
    let figures: Vec<&Figure> = FIGURES.iter().filter(is_wanted).collect();
    let all = figures
        .iter()
        .flat_map(|&figure| pairs.iter().map(move |pair| (figure, pair)));
    let (alone, others): (Vec<_>, Vec<_>) = all.partition(|(figure, _)| figure.is_alone);
    // Those figures that are measured alone come last in the table too.
    let cells: Vec<String> = thread::scope(|scope| {
        let start = |(figure, pair)| scope.spawn(move || measure(figure, pair));
        let running: Vec<_> = others.into_iter().map(start).collect();
        let first = running.into_iter().map(cell);
        first
            .chain(alone.into_iter().map(start).map(cell))
            .collect()
    });
    print(&figures, pairs, &cells);
    match cells.iter().any(|cell| cell == FAILED) {
        true => ExitCode::FAILURE,
        false => ExitCode::SUCCESS,
    }
}

fn measure(figure: &Figure, pair: &Pair) -> String {
    match pair.can_be_used() {
        true => (figure.measure)(pair),
        false => "skipped".to_owned(),
    }
}

/// In the place of a figure that could not be measured.
const FAILED: &str = "failed";

fn cell(running: thread::ScopedJoinHandle<'_, String>) -> String {
    // The panic has told its message already.
    running.join().unwrap_or_else(|_| FAILED.to_owned())
}

/// Prints a Markdown table.
fn print(figures: &[&Figure], pairs: &[Pair], cells: &[String]) {
    let names: Vec<String> = pairs.iter().map(Pair::name).collect();
    println!("| | bar | {} |", names.join(" | "));
    println!("|---|---|{}", "---|".repeat(pairs.len()));
    for (figure, row) in figures.iter().zip(cells.chunks(pairs.len())) {
        println!(
            "| {}: {} | {} | {} |",
            figure.name,
            figure.text,
            figure.bar,
            row.join(" | ")
        );
    }
}

/// The middle and the largest of a few times, in seconds.
fn summary(times: &[Duration]) -> String {
    let mut seconds: Vec<f64> = times.iter().map(Duration::as_secs_f64).collect();
    seconds.sort_by(f64::total_cmp);
    let middle = seconds[seconds.len() / 2];
    format!("{middle:.2}, at most {:.2}", seconds[seconds.len() - 1])
}

fn moved(pair: &Pair) -> String {
    let session = Session::shell(pair);
    let capture = Capture::start(session.world(), CLIENT_SIDE);
    let (mut heard, mut reached) = (Vec::new(), Vec::new());
    for number in 2..9 {
        // Seven phases of the heartbeat, whatever its interval.
        thread::sleep(SETTLED + Duration::from_millis(430 * number));
        let next = format!("10.77.1.{}", number + 1);
        let start = Instant::now();
        session
            .world()
            .move_client(&format!("10.77.1.{number}"), &next);
        let is_next = |datagram: &Datagram| datagram.host == next;
        let up = capture.next(|datagram| datagram.is_up && is_next(datagram));
        heard.push(up.at - start);
        let down = capture.next(|datagram| !datagram.is_up && is_next(datagram));
        reached.push(down.at - start);
    }
    format!("{}; {}", summary(&heard), summary(&reached))
}

fn dead(pair: &Pair) -> String {
    let translate = |world: &World| world.translate();
    let session = Session::start_behind(pair, SERVER_4, &shell_words(), translate);
    session.client.shows(PROMPT, LIMIT);
    let capture = Capture::start(session.world(), CLIENT_SIDE);
    let mut times = Vec::new();
    for _ in 0..3 {
        let mut good = quiet(&capture);
        let dead = session.world().kill_flows();
        if let Some(later) = capture.seen().filter(|datagram| !datagram.is_up).last() {
            good = later;
        }
        let again = capture.next(|datagram| !datagram.is_up && !dead.contains(&datagram.port));
        times.push(again.at - good.at);
    }
    summary(&times)
}

/// Waits until only heartbeats are sent, and for a while after two of them. Returns the last that
/// the server sent.
fn quiet(capture: &Capture) -> Datagram {
    thread::sleep(SETTLED);
    capture.seen().for_each(drop);
    capture.next(|datagram| datagram.is_up);
    let last = capture.next(|datagram| !datagram.is_up);
    thread::sleep(Duration::from_millis(200));
    last
}

/// A session whose ends know the round trip's time from many samples.
fn experienced(pair: &Pair) -> Session {
    let mut session = Session::shell(pair);
    for number in 0..30 {
        session.answers(&format!("word{number}"));
    }
    session
}

fn outage_up(pair: &Pair) -> String {
    let mut session = experienced(pair);
    let capture = Capture::start(session.world(), CLIENT_SIDE);
    quiet(&capture);
    session.world().lose("udp dport 60001");
    session.client.write("x");
    count(&capture, true)
}

fn outage_down(pair: &Pair) -> String {
    let mut session = experienced(pair);
    let cue = session.cue("line");
    let capture = Capture::start(session.world(), SERVER_SIDE);
    quiet(&capture);
    session.world().lose("udp sport 60001");
    cue.give();
    count(&capture, false)
}

fn stopped(pair: &Pair) -> String {
    let mut session = experienced(pair);
    let capture = Capture::start(session.world(), CLIENT_SIDE);
    quiet(&capture);
    session.server.signal("STOP");
    session.client.write("x");
    count(&capture, true)
}

/// How many datagrams one side sends from now on, for as long as an outage lasts.
fn count(capture: &Capture, is_up: bool) -> String {
    capture.seen().for_each(drop);
    thread::sleep(OUTAGE);
    let sent = capture.seen().filter(|datagram| datagram.is_up == is_up);
    sent.count().to_string()
}

fn echo(pair: &Pair) -> String {
    let mut session = Session::on_loopback(pair, &["cat"]);
    session.client.write("k");
    session.client.shows("k", LIMIT);
    let mut times = Vec::new();
    for number in 0..KEYS {
        // Somebody who types fast, and at no phase of a frame's interval in particular.
        thread::sleep(Duration::from_millis(90 + (number as u64 * 7) % 20));
        let start = Instant::now();
        session.client.write("k");
        session
            .client
            .wait("the key", LIMIT, |lines| lines.concat().len() == number + 2);
        times.push(start.elapsed().as_secs_f64() * 1000.0);
    }
    times.sort_by(f64::total_cmp);
    format!("{:.1}, {:.1}", times[KEYS / 2], times[KEYS * 99 / 100])
}
