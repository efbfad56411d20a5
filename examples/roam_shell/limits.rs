//! When a server ends although neither its command nor its client does: mosh-wire §10.

use std::env;
use std::ffi::OsString;
use std::time::Duration;

/// How long the client may be silent.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Limits {
    /// The server ends once nothing was heard for so long.
    pub(crate) network: Option<Duration>,
    /// SIGUSR1 ends a server whose client was not heard for so long; any server, if it is not set.
    pub(crate) signal: Duration,
}

impl Limits {
    /// Those of the environment.
    pub(crate) fn of_environment() -> Self {
        Limits::new(|name| env::var_os(name))
    }

    fn new(variable: impl Fn(&str) -> Option<OsString>) -> Self {
        let seconds = |name| {
            let value = variable(name)?.into_string().ok()?.parse().ok()?;
            (value > 0).then(|| Duration::from_secs(value))
        };
        Limits {
            network: seconds("MOSH_SERVER_NETWORK_TMOUT"),
            signal: seconds("MOSH_SERVER_SIGNAL_TMOUT").unwrap_or_default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_are_positive_numbers_of_seconds() {
        let limits = |network: &'static str, signal: &'static str| {
            Limits::new(move |name| match name {
                "MOSH_SERVER_NETWORK_TMOUT" => Some(network.into()),
                "MOSH_SERVER_SIGNAL_TMOUT" => Some(signal.into()),
                _ => None,
            })
        };
        let seconds = Duration::from_secs;
        let expected = Limits {
            network: Some(seconds(60)),
            signal: seconds(5),
        };
        assert_eq!(limits("60", "5"), expected);
        assert_eq!(limits("0", "x"), Limits::default());
        assert_eq!(limits("-1", ""), Limits::default());
        assert_eq!(Limits::new(|_| None), Limits::default());
    }
}
