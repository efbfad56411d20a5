//! The command line, as the `mosh` script writes it for its client.

use std::net::IpAddr;

use clap::{Arg, ArgAction, ArgMatches, Command, value_parser};

use crate::secret::KEY_PIPE;

pub(crate) fn command() -> Command {
    Command::new("roam_attach")
        .about("Shows a shell on another machine, wherever this one goes: a stand-in for mosh-client.")
        .after_help("MOSH_KEY is the key that the server printed. Ctrl-^ . leaves; MOSH_ESCAPE_KEY names another key.")
        .arg(
            Arg::new("ip")
                .value_name("IP")
                .required_unless_present("colors")
                .value_parser(ip)
                .help("The server's address, no name"),
        )
        .arg(
            Arg::new("port")
                .value_name("PORT")
                .required_unless_present("colors")
                .value_parser(value_parser!(u16).range(1..))
                .help("The server's UDP port"),
        )
        .arg(
            Arg::new("command")
                .long("command")
                .value_name("TEXT")
                .help("Type TEXT and Enter, print the last screen as text, and end"),
        )
        .arg(
            Arg::new("colors")
                .short('c')
                .action(ArgAction::SetTrue)
                .help("Print how many colours the terminal has, and end"),
        )
        // What the script was called with, for those who look at the list of processes.
        .arg(Arg::new("shown").short('#').hide(true))
        .arg(
            Arg::new(KEY_PIPE)
                .long(KEY_PIPE)
                .value_parser(value_parser!(u32))
                .hide(true),
        )
}

/// What was asked for.
#[derive(Debug, PartialEq)]
pub(crate) struct Options {
    pub(crate) ip: IpAddr,
    pub(crate) port: u16,
    /// What to type instead of showing the screen to a user.
    pub(crate) command: Option<String>,
}

impl Options {
    pub(crate) fn of(matches: &ArgMatches) -> Option<Self> {
        Some(Options {
            ip: *matches.get_one("ip")?,
            port: *matches.get_one("port")?,
            command: matches.get_one("command").cloned(),
        })
    }
}

/// How many colours a terminal has, by its name: as much as a server asks for.
pub(crate) fn colors(term: &str) -> u32 {
    match term {
        "" | "dumb" => 0,
        _ if term.contains("256color") || term.contains("direct") => 256,
        _ => 8,
    }
}

fn ip(text: &str) -> Result<IpAddr, String> {
    text.parse().map_err(|_| format!("Bad IP address ({text})"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(line: &str) -> Option<Options> {
        let all = ["roam_attach"].into_iter().chain(line.split(' '));
        let matches = command().try_get_matches_from(all).ok()?;
        Options::of(&matches)
    }

    #[test]
    fn server_is_an_address_and_a_port() {
        for (line, ip, command) in [
            ("127.0.0.1 60001", "127.0.0.1", None),
            ("::1 60001", "::1", None),
            ("--command=exit 127.0.0.1 60001", "127.0.0.1", Some("exit")),
            ("--key-pipe=3 127.0.0.1 60001", "127.0.0.1", None),
        ] {
            let wanted = Options {
                ip: ip.parse().expect("an address"),
                port: 60001,
                command: command.map(str::to_owned),
            };
            assert_eq!(parsed(line), Some(wanted), "{line}");
        }
    }

    /// The line that `mosh` was seen to run.
    #[test]
    fn line_of_the_script_is_understood() {
        let line = [
            "roam_attach",
            "-# --ssh=x localhost -- true |",
            "127.0.0.1",
            "60001",
        ];
        let matches = command().try_get_matches_from(line).expect("its line");
        let options = Options::of(&matches).expect("an address and a port");
        assert_eq!((options.ip, options.port), ([127, 0, 0, 1].into(), 60001));
    }

    #[test]
    fn colors_go_by_the_name_of_the_terminal() {
        let line = command().try_get_matches_from(["roam_attach", "-c"]);
        assert!(line.expect("nothing else is needed").get_flag("colors"));
        for (term, count) in [("xterm-256color", 256), ("xterm", 8), ("dumb", 0), ("", 0)] {
            assert_eq!(colors(term), count, "{term}");
        }
    }

    #[test]
    fn wrong_line_is_refused() {
        for line in [
            "127.0.0.1",
            "localhost 60001",
            "127.0.0.1 0",
            "127.0.0.1 65536",
            "127.0.0.1 http",
            "127.0.0.1 1 2",
        ] {
            assert_eq!(parsed(line), None, "{line}");
        }
    }
}
