//! Real mosh across a real network: namespaces, a router between them, terminals at both ends.
//!
//! Not run by the usual harness, which starts as many tests at a time as there are processors: these
//! wait most of their time. Arguments are those of a usual test binary, and `--runs N`, which repeats
//! everything and prints the failures of each scenario, and `--at-once N`. With `--measure [FIGURE]...`
//! no scenario runs, but a table of figures is printed, see `measure.rs`.

mod support;

#[path = "roam_real/capture.rs"]
mod capture;
#[path = "roam_real/ending.rs"]
mod ending;
#[path = "roam_real/faults.rs"]
mod faults;
#[path = "roam_real/measure.rs"]
mod measure;
#[path = "roam_real/roaming.rs"]
mod roaming;
#[path = "roam_real/runner.rs"]
mod runner;
#[path = "roam_real/session.rs"]
mod session;
#[path = "roam_real/talk.rs"]
mod talk;
#[path = "roam_real/terminal.rs"]
mod terminal;
#[path = "roam_real/world.rs"]
mod world;

use std::env;
use std::path::PathBuf;
use std::process::ExitCode;

use runner::{Options, Scenario};
use session::Pair;
use support::process::example;

/// How many scenarios run at the same time, unless told otherwise.
const AT_ONCE: usize = 24;

/// The longest first, so that none of them is waited for alone.
const SCENARIOS: &[Scenario] = &[
    ("stopped_server", faults::stopped_server),
    ("wrong_key", faults::wrong_key),
    ("second_client", faults::second_client),
    (
        "client_after_a_killed_one",
        faults::client_after_a_killed_one,
    ),
    (
        "dead_translation_while_idle",
        roaming::dead_translation_while_idle,
    ),
    (
        "dead_translation_while_typing",
        roaming::dead_translation_while_typing,
    ),
    (
        "rebinding_by_a_translator",
        roaming::rebinding_by_a_translator,
    ),
    ("outage_to_the_server", faults::outage_to_the_server),
    ("outage_to_the_client", faults::outage_to_the_client),
    ("loss_of_a_quarter", faults::loss_of_a_quarter),
    (
        "address_change_while_idle",
        roaming::address_change_while_idle,
    ),
    (
        "address_change_while_idle_over_ipv6",
        roaming::address_change_while_idle_over_ipv6,
    ),
    (
        "address_change_while_typing",
        roaming::address_change_while_typing,
    ),
    ("large_screens", talk::large_screens),
    ("basic_over_ipv4", talk::basic_over_ipv4),
    ("basic_over_ipv6", talk::basic_over_ipv6),
    ("keystrokes", talk::keystrokes),
    ("resize", talk::resize),
    ("end_by_the_shell", ending::end_by_the_shell),
    ("end_by_the_escape_key", ending::end_by_the_escape_key),
    (
        "end_by_a_signal_to_the_client",
        ending::end_by_a_signal_to_the_client,
    ),
    (
        "end_by_a_signal_to_the_server",
        ending::end_by_a_signal_to_the_server,
    ),
    ("wrapper", ending::wrapper),
];

/// Who is tried with whom.
fn pairs() -> Vec<Pair> {
    let (shell, attach) = (example("roam_shell"), example("roam_attach"));
    let mosh = (PathBuf::from("mosh-server"), PathBuf::from("mosh-client"));
    [
        // Both of mosh: what fails with these is wrong in the tests.
        (&mosh.0, &mosh.1),
        (&shell, &mosh.1),
        (&mosh.0, &attach),
        (&shell, &attach),
    ]
    .map(|(server, client)| Pair {
        server: server.clone(),
        client: client.clone(),
        gives_up: if client == &attach {
            "the server was never heard"
        } else {
            "did not make a successful connection"
        },
    })
    .into()
}

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    match parse(&arguments) {
        Ok(options) if options.is_measured => measure::run(&options.filters, &pairs()),
        Ok(options) => runner::run(&options, SCENARIOS, &pairs()),
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn parse(arguments: &[String]) -> Result<Options, String> {
    let mut options = Options {
        filters: Vec::new(),
        skips: Vec::new(),
        runs: 1,
        at_once: AT_ONCE,
        list: false,
        is_measured: false,
    };
    let mut rest = arguments.iter();
    while let Some(word) = rest.next() {
        let mut number = || {
            let text = rest.next().ok_or(format!("{word} needs a number"))?;
            text.parse()
                .map_err(|_| format!("{word} takes a number, not `{text}`"))
        };
        match word.as_str() {
            "--runs" => options.runs = number()?,
            "--at-once" => options.at_once = number()?,
            "--measure" => options.is_measured = true,
            "--list" => options.list = true,
            "--skip" => options.skips.extend(rest.next().cloned()),
            // What the usual harness is told, and what is of no use here.
            "--test-threads" | "--format" | "--color" => drop(rest.next()),
            flag if flag.starts_with('-') => {}
            filter => options.filters.push(filter.to_owned()),
        }
    }
    Ok(options)
}
