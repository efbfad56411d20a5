//! `host:port` text: splitting, joining, ports and hosts, by Go's rules and with Go's messages.
//!
//! Everything here is pure. Names that need a lookup are left to `resolve.rs`.

use std::net::{IpAddr, Ipv6Addr};

use crate::database::service;
use crate::error::{AddrError, LookupError};
use crate::network::Protocol;

/// Splits `host:port`, `[host]:port` or `[host%zone]:port` at its last colon; returns the host
/// without brackets and the port as it stands, which may be empty.
///
/// ```
/// use gannet_net::split_host_port;
///
/// assert_eq!(split_host_port("[::1]:80"), Ok(("::1", "80")));
/// assert_eq!(split_host_port(":http"), Ok(("", "http")));
/// assert!(split_host_port("::1:80").is_err());
/// ```
///
/// # Errors
/// [`AddrError`] with the input and the rule it breaks: `missing port in address`, `too many colons
/// in address`, `missing ']' in address`, `unexpected '[' in address`, `unexpected ']' in address`.
pub fn split_host_port(address: &str) -> Result<(&str, &str), AddrError> {
    let fail = |rule| Err(AddrError::new(rule, address));
    let Some((before, port)) = address.rsplit_once(':') else {
        return fail(MISSING_PORT);
    };

    let (host, bracketed) = match address.strip_prefix('[') {
        None => (before, false),
        Some(inside) => {
            let Some((host, rest)) = inside.split_once(']') else {
                return fail(MISSING_BRACKET);
            };
            // The closing bracket must be followed by the last colon, and by nothing before it.
            if rest.len() != port.len() + 1 {
                return fail(if rest.starts_with(':') {
                    TOO_MANY_COLONS
                } else {
                    MISSING_PORT
                });
            }
            (host, true)
        }
    };
    if !bracketed && host.contains(':') {
        return fail(TOO_MANY_COLONS);
    }
    if host.contains('[') || port.contains('[') {
        return fail("unexpected '[' in address");
    }
    if host.contains(']') || port.contains(']') {
        return fail("unexpected ']' in address");
    }
    Ok((host, port))
}

/// Joins a host and a port to `host:port`, with brackets around a host that holds a colon.
///
/// ```
/// assert_eq!(gannet_net::join_host_port("::1", "80"), "[::1]:80");
/// assert_eq!(gannet_net::join_host_port("localhost", "http"), "localhost:http");
/// ```
pub fn join_host_port(host: &str, port: &str) -> String {
    if host.contains(':') {
        format!("[{host}]:{port}")
    } else {
        format!("{host}:{port}")
    }
}

/// Why port text is no port.
#[derive(Debug)]
pub(crate) enum PortError {
    Addr(AddrError),
    Lookup(LookupError),
}

impl From<PortError> for std::io::Error {
    fn from(err: PortError) -> Self {
        match err {
            PortError::Addr(err) => err.into(),
            PortError::Lookup(err) => err.into(),
        }
    }
}

/// Parses a port: nothing is 0, a number must be at most 65535, and any other text names a service
/// of `protocol`.
pub(crate) fn parse_port(protocol: Protocol, text: &str) -> Result<u16, PortError> {
    let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
    if !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return service(protocol, text).ok_or_else(|| {
            let name = format!("{}/{text}", protocol.as_str());
            PortError::Lookup(LookupError::new(name, "unknown port", true))
        });
    }
    let negative = text.starts_with('-');
    // A sign or nothing at all leaves no digits, which is 0; a number too long to parse is too big
    // to be a port.
    let value = if digits.is_empty() {
        Some(0)
    } else {
        digits.parse::<u16>().ok()
    };
    match value {
        Some(port) if port == 0 || !negative => Ok(port),
        _ => Err(PortError::Addr(AddrError::new("invalid port", text))),
    }
}

/// What the host part of an address says.
#[derive(Debug, Eq, PartialEq)]
pub(crate) enum Host<'a> {
    /// Nothing: every local address to listen on, this machine to dial.
    Any,
    /// An IP address, with the number of its IPv6 zone or 0.
    Ip(IpAddr, u32),
    /// An IPv6 address in the zone of a named interface.
    Zoned(Ipv6Addr, &'a str),
    /// A name.
    Name(&'a str),
}

/// Tells what a host is, without looking anything up.
pub(crate) fn parse_host(host: &str) -> Host<'_> {
    if host.is_empty() {
        return Host::Any;
    }
    if let Ok(ip) = host.parse::<IpAddr>() {
        return Host::Ip(ip, 0);
    }
    let zoned = host.split_once('%').filter(|(_, zone)| !zone.is_empty());
    let Some((Ok(ip), zone)) = zoned.map(|(ip, zone)| (ip.parse::<Ipv6Addr>(), zone)) else {
        return Host::Name(host);
    };
    match zone.parse() {
        Ok(number) => Host::Ip(ip.into(), number),
        Err(_) => Host::Zoned(ip, zone),
    }
}

const MISSING_PORT: &str = "missing port in address";
const MISSING_BRACKET: &str = "missing ']' in address";
const TOO_MANY_COLONS: &str = "too many colons in address";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn split_host_port_good_input_is_split_at_last_colon() {
        for (input, host, port) in [
            ("localhost:http", "localhost", "http"),
            ("localhost:80", "localhost", "80"),
            ("localhost%lo0:http", "localhost%lo0", "http"),
            ("[localhost%lo0]:http", "localhost%lo0", "http"),
            ("127.0.0.1:80", "127.0.0.1", "80"),
            ("[::1]:http", "::1", "http"),
            ("[::1%lo0]:80", "::1%lo0", "80"),
            ("[fd77::1%lo0]:0", "fd77::1%lo0", "0"),
            ("golang.org:", "golang.org", ""),
            ("127.0.0.1:", "127.0.0.1", ""),
            ("[::1]:", "::1", ""),
            (":http", "", "http"),
            (":80", "", "80"),
            (":", "", ""),
            ("[]:80", "", "80"),
        ] {
            assert_eq!(split_host_port(input), Ok((host, port)), "{input}");
        }
    }

    #[test]
    fn split_host_port_bad_input_names_input_and_rule() {
        for (input, rule) in [
            ("", "missing port in address"),
            ("golang.org", "missing port in address"),
            ("127.0.0.1", "missing port in address"),
            ("[::1]", "missing port in address"),
            ("[fd77::1%lo0]", "missing port in address"),
            ("[localhost%lo0]", "missing port in address"),
            ("localhost%lo0", "missing port in address"),
            ("[foo]bar:80", "missing port in address"),
            ("[foo]bar", "missing port in address"),
            ("::1", "too many colons in address"),
            ("fd77::1%lo0", "too many colons in address"),
            ("fd77::1%lo0:80", "too many colons in address"),
            ("a:b:80", "too many colons in address"),
            ("[foo]:bar:80", "too many colons in address"),
            ("[foo:bar", "missing ']' in address"),
            ("[foo:bar:80", "missing ']' in address"),
            ("[f[oo]:80", "unexpected '[' in address"),
            ("foo[bar:80", "unexpected '[' in address"),
            ("[foo]:b[ar", "unexpected '[' in address"),
            ("foo]bar:80", "unexpected ']' in address"),
            ("[foo]:b]ar", "unexpected ']' in address"),
        ] {
            let err = split_host_port(input).unwrap_err();
            assert_eq!((err.err, err.addr.as_str()), (rule, input), "{input}");
        }
    }

    #[test]
    fn join_host_port_brackets_only_colons() {
        for (host, port, joined) in [
            ("localhost", "http", "localhost:http"),
            ("::1%lo0", "80", "[::1%lo0]:80"),
            ("", "80", ":80"),
            ("127.0.0.1%x", "", "127.0.0.1%x:"),
        ] {
            assert_eq!(join_host_port(host, port), joined);
        }
    }

    #[test]
    fn port_text_good_is_parsed() {
        for (protocol, text, port) in [
            (Protocol::Tcp, "", 0),
            (Protocol::Tcp, "+", 0),
            (Protocol::Tcp, "-0", 0),
            (Protocol::Tcp, "+80", 80),
            (Protocol::Udp, "00080", 80),
            (Protocol::Tcp, "65535", 65535),
            (Protocol::Tcp, "http", 80),
            (Protocol::Tcp, "HTTPS", 443),
            (Protocol::Udp, "domain", 53),
        ] {
            assert_eq!(parse_port(protocol, text).unwrap(), port, "{text}");
        }
    }

    #[test]
    fn port_text_bad_names_itself() {
        let text = |protocol, port| {
            std::io::Error::from(parse_port(protocol, port).unwrap_err()).to_string()
        };
        for port in ["-1", "65536", "99999", "123456789", "99999999999999999999"] {
            assert_eq!(
                text(Protocol::Tcp, port),
                format!("address {port}: invalid port")
            );
        }
        assert_eq!(text(Protocol::Tcp, "☺"), "lookup tcp/☺: unknown port");
        assert_eq!(text(Protocol::Udp, "http"), "lookup udp/http: unknown port");
        assert_eq!(text(Protocol::Tcp, "8o"), "lookup tcp/8o: unknown port");
    }

    #[test]
    fn host_literals_need_no_lookup() {
        let ip = |text: &str, zone| Host::Ip(text.parse().unwrap(), zone);
        for (text, host) in [
            ("", Host::Any),
            ("127.0.0.1", ip("127.0.0.1", 0)),
            ("::ffff:127.0.0.1", ip("::ffff:127.0.0.1", 0)),
            ("fd77::1%7", ip("fd77::1", 7)),
            ("fd77::1%lo", Host::Zoned("fd77::1".parse().unwrap(), "lo")),
            ("fd77::1%", Host::Name("fd77::1%")),
            ("127.0.0.1%7", Host::Name("127.0.0.1%7")),
            ("127.0.0.01", Host::Name("127.0.0.01")),
            ("1.2.3", Host::Name("1.2.3")),
            ("localhost", Host::Name("localhost")),
        ] {
            assert_eq!(parse_host(text), host, "{text}");
        }
    }
}
