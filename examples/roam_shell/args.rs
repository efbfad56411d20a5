//! The command line, as the `mosh` script writes it for its server.

use std::ffi::OsString;
use std::ops::RangeInclusive;

use clap::{Arg, ArgAction, ArgMatches, Command, value_parser};
use gannet::roam::proto::constants::SERVER_PORTS;

/// The flag of the process that serves, see [`detach`](crate::detach).
pub(crate) const DETACHED: &str = "detached";

pub(crate) fn command() -> Command {
    let flag = |name: &'static str| Arg::new(name).action(ArgAction::SetTrue);
    Command::new("roam_shell")
        .about("Serves a shell to one client that may change its address: a stand-in for mosh-server.")
        .override_usage("roam_shell [new] [-s] [-v] [-i IP] [-p PORT[:PORT2]] [-c COLORS] [-l NAME=VALUE]... [--foreground] [-- CMD [ARG]...]")
        .after_help("Use it as `mosh --server=PATH/roam_shell HOST`. Prints MOSH CONNECT, the port and the key, and goes on in the background.")
        .arg(Arg::new("new").value_parser(["new"]).hide(true))
        .arg(flag("ssh").short('s').help("Listen on the address that SSH_CONNECTION names"))
        .arg(
            Arg::new("verbose")
                .short('v')
                .action(ArgAction::Count)
                .help("Keep standard error, and report there"),
        )
        .arg(
            Arg::new("ip")
                .short('i')
                .value_name("IP")
                .help("Listen on this address if possible, else on any"),
        )
        .arg(
            Arg::new("ports")
                .short('p')
                .value_name("PORT[:PORT2]")
                .value_parser(ports)
                .help("Take the first free port; 0 lets the kernel choose [default: 60001:60999]"),
        )
        .arg(
            Arg::new("colors")
                .short('c')
                .value_name("COLORS")
                .value_parser(value_parser!(u32))
                .help("How many colours the user's terminal has; TERM goes by it"),
        )
        .arg(
            Arg::new("locale")
                .short('l')
                .value_name("NAME=VALUE")
                .action(ArgAction::Append)
                .value_parser(variable)
                .help("Set a variable if the locale here is not a UTF-8 one"),
        )
        .arg(flag("foreground").long("foreground").help("Stay in the foreground"))
        .arg(flag(DETACHED).long(DETACHED).hide(true))
        .arg(
            Arg::new("command")
                .value_names(["CMD", "ARG"])
                .value_parser(value_parser!(OsString))
                .num_args(1..)
                .last(true)
                .help("What to run instead of the login shell"),
        )
}

/// What was asked for.
#[derive(Debug, PartialEq)]
pub(crate) struct Arguments {
    /// The local address that is wanted. A wish, not a condition, and not checked.
    pub(crate) ip: Option<String>,
    pub(crate) ports: RangeInclusive<u16>,
    pub(crate) colors: u32,
    pub(crate) locale: Vec<(String, String)>,
    /// Empty for the login shell.
    pub(crate) command: Vec<OsString>,
    pub(crate) verbose: bool,
    pub(crate) foreground: bool,
    /// This process is the one that serves in the background.
    pub(crate) detached: bool,
}

impl Arguments {
    /// Takes what was parsed; `ssh_connection` is the variable `SSH_CONNECTION`.
    pub(crate) fn of(matches: &ArgMatches, ssh_connection: Option<&str>) -> Self {
        let by_ssh = match matches.get_flag("ssh") {
            true => ssh_connection.and_then(server_address),
            false => None,
        };
        let many = |name: &str| matches.get_many(name).into_iter().flatten();
        Arguments {
            ip: matches.get_one::<String>("ip").cloned().or(by_ssh),
            ports: matches.get_one("ports").cloned().unwrap_or(SERVER_PORTS),
            colors: matches.get_one("colors").copied().unwrap_or(0),
            locale: many("locale").cloned().collect(),
            command: matches
                .get_many("command")
                .into_iter()
                .flatten()
                .cloned()
                .collect(),
            verbose: matches.get_count("verbose") > 0,
            foreground: matches.get_flag("foreground"),
            detached: matches.get_flag(DETACHED),
        }
    }
}

/// The server's own address in `SSH_CONNECTION`: the third of its four words.
fn server_address(connection: &str) -> Option<String> {
    let address = connection.split_whitespace().nth(2)?;
    let plain = address.strip_prefix("::ffff:").unwrap_or(address);
    Some(plain.to_owned())
}

/// Parses `PORT` or `LOW:HIGH`.
fn ports(text: &str) -> Result<RangeInclusive<u16>, String> {
    let wrong = |why: &str| format!("Bad UDP port range ({text}): {why}");
    let port = |text: &str| {
        // `+5` is a number to Rust, and no port.
        let digits = text.bytes().all(|byte| byte.is_ascii_digit());
        text.parse::<u16>().ok().filter(|_| digits)
    };
    let Some((low, high)) = text.split_once(':') else {
        let port = port(text).ok_or_else(|| wrong("a port is a number up to 65535"))?;
        return Ok(port..=port);
    };
    match (port(low), port(high)) {
        (Some(0), _) => Err(wrong("port 0 stands for no range")),
        (Some(low), Some(high)) if low <= high => Ok(low..=high),
        (Some(_), Some(_)) => Err(wrong("the first port is above the second")),
        _ => Err(wrong("a port is a number up to 65535")),
    }
}

fn variable(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err("NAME=VALUE is needed".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(line: &[&str], ssh_connection: Option<&str>) -> Result<Arguments, String> {
        let all = ["roam_shell"].iter().chain(line);
        let matches = command().try_get_matches_from(all);
        let matches = matches.map_err(|err| err.to_string())?;
        Ok(Arguments::of(&matches, ssh_connection))
    }

    fn plain() -> Arguments {
        Arguments {
            ip: None,
            ports: 60001..=60999,
            colors: 0,
            locale: Vec::new(),
            command: Vec::new(),
            verbose: false,
            foreground: false,
            detached: false,
        }
    }

    /// The lines that `mosh` was seen to run.
    #[test]
    fn line_of_the_script_is_understood() {
        let locale = vec![("LANG".to_owned(), "C.UTF-8".to_owned())];
        let ssh = Some("10.77.0.1 50022 10.77.0.2 22");
        let by_ssh = || Arguments {
            ip: Some("10.77.0.2".to_owned()),
            colors: 8,
            locale: locale.clone(),
            ..plain()
        };
        let words = |text: &'static str| text.split(' ').collect::<Vec<_>>();
        let mut with_command = words("new -c 8 -s -p 60010:60020 -l LANG=C.UTF-8 -- ls -la");
        with_command.push("a b");
        for (line, wanted) in [
            (words("new -c 8 -s -l LANG=C.UTF-8"), by_ssh()),
            (
                with_command,
                Arguments {
                    ports: 60010..=60020,
                    command: ["ls", "-la", "a b"].map(OsString::from).into(),
                    ..by_ssh()
                },
            ),
            (
                words("new -c 256 -i 127.0.0.1 -l LANG=C.UTF-8 -l LC_ALL=x=y"),
                Arguments {
                    ip: Some("127.0.0.1".to_owned()),
                    colors: 256,
                    locale: vec![locale[0].clone(), ("LC_ALL".to_owned(), "x=y".to_owned())],
                    ..plain()
                },
            ),
        ] {
            assert_eq!(parsed(&line, ssh), Ok(wanted), "{line:?}");
        }
    }

    #[test]
    fn everything_may_be_left_out() {
        assert_eq!(parsed(&[], None), Ok(plain()));
        assert_eq!(parsed(&["new"], None), Ok(plain()));
    }

    #[test]
    fn flags_stand_alone() {
        let flags = parsed(&["-vv", "--foreground"], None).expect("flags");
        assert!(flags.verbose && flags.foreground && !flags.detached);
        assert!(parsed(&["--detached"], None).expect("a flag").detached);
    }

    #[test]
    fn address_is_the_one_that_ssh_reached() {
        for (line, ssh_connection, ip) in [
            ("-s", Some("fd77::1 5 fd77::2 22"), Some("fd77::2")),
            (
                "-s",
                Some("::ffff:10.77.0.1 5 ::ffff:10.77.0.2 22"),
                Some("10.77.0.2"),
            ),
            ("-s", Some("two words"), None),
            ("-s", None, None),
            ("-v", Some("10.77.0.1 5 10.77.0.2 22"), None),
            (
                "-si10.77.0.9",
                Some("10.77.0.1 5 10.77.0.2 22"),
                Some("10.77.0.9"),
            ),
        ] {
            let found = parsed(&[line], ssh_connection).expect(line).ip;
            assert_eq!(found.as_deref(), ip, "{line} {ssh_connection:?}");
        }
    }

    #[test]
    fn ports_are_one_or_a_range() {
        for (text, wanted) in [
            ("0", Some(0..=0)),
            ("7", Some(7..=7)),
            ("65535", Some(65535..=65535)),
            ("60000:60010", Some(60000..=60010)),
            ("5:5", Some(5..=5)),
            ("0:5", None),
            ("6:5", None),
            ("65536", None),
            ("1:65536", None),
            ("+5", None),
            ("-5", None),
            ("", None),
            (":", None),
            ("5:", None),
            ("a", None),
            ("1:2:3", None),
        ] {
            assert_eq!(ports(text).ok(), wanted, "{text:?}");
        }
    }

    #[test]
    fn wrong_line_is_refused() {
        for line in [
            &["old"][..],
            &["-c", "many"],
            &["-l", "NAME"],
            &["-l", "=VALUE"],
            &["-p", "70000"],
            &["ls", "-la"],
            &["-x"],
        ] {
            assert!(parsed(line, None).is_err(), "{line:?}");
        }
    }
}
