//! Tests and examples talk to this machine only.
//!
//! Looks at string literals for anything that parses as an address, and at the constructors that
//! take one as numbers. A version such as `1.85.0` has three parts and is none.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::paths::{self, matches_entry};
use crate::scan::{Scan, closing, line, words};
use crate::violation;

/// Addresses that a file may name, without a port, although they are outside; each with its reason.
const EXCEPTIONS: &[(&str, &str, &str)] = &[(
    "net/src/resolve.rs",
    concat!("1.2", ".3.4"),
    "input refused for its missing port before any socket",
)];

/// No address but loopback, unspecified, documentation and the tests' own namespaces.
pub(crate) fn local(path: &str, text: &str) -> Vec<String> {
    let scan = Scan::new(text);
    let tests = scan.test_lines();
    let everywhere = path.starts_with("examples/") || paths::role(path) != paths::Role::Product;
    let mut found = literals(&scan.strings);
    found.extend(constructors(&scan.code));
    found.sort_unstable();
    let outside = found.into_iter().filter_map(|(at, address)| {
        let at_line = line(text, at);
        let counts = everywhere || tests.iter().any(|range| range.contains(&at_line));
        let passes = is_local(address) || is_excepted(path, &scan.strings[at..], address);
        let message = format!("address {address} is not this machine's");
        (counts && !passes).then(|| violation(path, at_line, &message))
    });
    let mut outside: Vec<String> = outside.collect();
    outside.dedup(); // A table's row often holds the input and the same as output.
    outside
}

/// Whether `rest` of a literal starts with `address`, which is an exception in this file, and no
/// port follows: with one it could be dialled.
fn is_excepted(path: &str, rest: &str, address: IpAddr) -> bool {
    let has_port = |rest: &str| {
        rest.strip_prefix(':')
            .is_some_and(|port| port.starts_with(|c: char| c.is_ascii_digit()))
    };
    EXCEPTIONS.iter().any(|&(entry, text, _)| {
        let bare = || rest.strip_prefix(text).is_some_and(|rest| !has_port(rest));
        matches_entry(path, entry) && text == address.to_string() && bare()
    })
}

/// Whether a packet to `address` stays on this machine or in a namespace of the tests.
fn is_local(address: IpAddr) -> bool {
    // Link-local means nothing without an interface, and tests have their own.
    if matches!(address, IpAddr::V6(v6) if v6.is_unicast_link_local()) {
        return true;
    }
    match address.to_canonical() {
        IpAddr::V4(v4) => {
            // RFC 5737: for parsing and printing, where loopback would prove too little.
            v4.is_loopback()
                || v4.is_unspecified()
                || v4.is_documentation()
                || v4.octets()[..2] == [10, 77]
                // RFC 6676: groups for documentation.
                || v4.octets()[..3] == [233, 252, 0]
        }
        IpAddr::V6(v6) => {
            let segments = v6.segments();
            // 2001:db8::/32 is the same of RFC 3849.
            let is_documentation = segments[..2] == [0x2001, 0xdb8];
            // FF0X::DB8:0:0/96 is the same of RFC 6676.
            let is_group = segments[0] & 0xfff0 == 0xff00 && segments[1..6] == [0, 0, 0, 0, 0xdb8];
            let is_local = v6.is_loopback() || v6.is_unspecified() || segments[0] == 0xfd77;
            is_local || is_documentation || is_group
        }
    }
}

/// The addresses inside string literals, with where each starts.
fn literals(strings: &str) -> Vec<(usize, IpAddr)> {
    let is_part = |c: char| c.is_ascii_hexdigit() || c == ':' || c == '.';
    let mut found = Vec::new();
    let mut at = 0;
    while let Some(start) = strings[at..].find(is_part).map(|i| at + i) {
        let len = strings[start..]
            .find(|c| !is_part(c))
            .unwrap_or(strings.len() - start);
        at = start + len;
        let is_word = |c: Option<char>| c.is_some_and(|c| c.is_alphanumeric() || c == '_');
        let (before, after) = (&strings[..start], &strings[at..]);
        if is_word(before.chars().next_back()) || is_word(after.chars().next()) {
            continue;
        }
        let mut token = strings[start..at].to_owned();
        if after.starts_with('{') && token.ends_with('.') {
            token.push('0'); // "10.0.0.{i}" is every address of a network.
        }
        found.extend(
            addresses(&token)
                .into_iter()
                .map(|address| (start, address)),
        );
    }
    found
}

/// The addresses in a run of digits, colons and dots: one IPv6, or IPv4 with ports or ranges.
///
/// A token without a digit is a path such as `a::b`: every global IPv6 address begins with 2 or 3.
fn addresses(token: &str) -> Vec<IpAddr> {
    if !token.contains(|c: char| c.is_ascii_digit()) {
        return Vec::new();
    }
    let token = token.trim_end_matches('.');
    let v6 = |text: &str| text.parse::<Ipv6Addr>().ok();
    let sentence = token.strip_suffix(':').filter(|text| !text.ends_with(':'));
    if let Some(address) = v6(token).or_else(|| v6(sentence?)) {
        return vec![address.into()];
    }
    let parts = token
        .split(':')
        .filter_map(|part| part.trim_matches('.').parse::<Ipv4Addr>().ok());
    parts.map(IpAddr::from).collect()
}

/// The addresses that code builds from literal numbers.
fn constructors(code: &str) -> Vec<(usize, IpAddr)> {
    let mut found = Vec::new();
    for name in [
        "Ipv4Addr",
        "Ipv6Addr",
        "IpAddr",
        "SocketAddr",
        "SocketAddrV4",
        "SocketAddrV6",
    ] {
        for at in words(code, name) {
            let rest = &code[at + name.len()..];
            let Some(call) = rest
                .strip_prefix("::new")
                .or_else(|| rest.strip_prefix("::from"))
            else {
                continue;
            };
            if !call.starts_with('(') {
                continue;
            }
            let arguments = call[1..closing(call, 0)].trim_start_matches(['(', '[', ' ', '\n']);
            let list = arguments.split([')', ']']).next().unwrap_or_default();
            found.extend(address_of(list).map(|address| (at, address)));
        }
    }
    found
}

/// The address that a list of four bytes or eight segments stands for.
fn address_of(list: &str) -> Option<IpAddr> {
    let number = |text: &str| {
        let text = text.trim().replace('_', "");
        let text = text.trim_end_matches("u8").trim_end_matches("u16");
        match text.strip_prefix("0x") {
            Some(hex) => u16::from_str_radix(hex, 16).ok(),
            None => text.parse().ok(),
        }
    };
    let items = list.trim().trim_end_matches(',').split(',');
    let numbers: Vec<u16> = items.map(number).collect::<Option<_>>()?;
    if let Ok(segments) = <[u16; 8]>::try_from(numbers.as_slice()) {
        return Some(IpAddr::from(segments));
    }
    let bytes = numbers
        .iter()
        .map(|&n| u8::try_from(n).ok())
        .collect::<Option<Vec<_>>>()?;
    <[u8; 4]>::try_from(bytes).ok().map(IpAddr::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Spelt in two halves so that this file passes its own check.
    const OUTSIDE: &str = concat!("8.8", ".8.8");
    const OUTSIDE_6: &str = concat!("2606", ":4700::1111");

    #[test]
    fn outside_address_in_a_test_is_reported() {
        let text = format!("\nlet a = \"{OUTSIDE}:53\";");
        let expected = format!("tests/a.rs:2: address {OUTSIDE} is not this machine's");
        assert_eq!(local("tests/a.rs", &text), [expected]);
        for literal in [
            format!("\"{OUTSIDE}\""),
            format!("\"tcp://{OUTSIDE}/\""),
            format!("r#\"dial {OUTSIDE}.\"#"),
            format!("\"[{OUTSIDE_6}]:80\""),
            format!("\"[{OUTSIDE_6}%eth0]:80\""),
            format!("\"dial {OUTSIDE_6}: refused\""),
            format!("\"::{}:{OUTSIDE}\"", "ffff"),
            format!("\"{}.{{i}}:80\"", OUTSIDE.rsplit_once('.').unwrap().0),
            format!("Ipv4Addr::new({})", OUTSIDE.replace('.', ", ")),
            format!("SocketAddr::from(([{}], 80))", OUTSIDE.replace('.', ", ")),
            "Ipv6Addr::new(0x2606, 0x4700, 0, 0, 0, 0, 0, 0x1111)".to_owned(),
        ] {
            assert_eq!(local("tests/a.rs", &literal).len(), 1, "{literal}");
        }
    }

    #[test]
    fn outside_address_counts_in_examples_and_unit_tests_only() {
        let text = format!("let a = \"{OUTSIDE}:53\";");
        assert_eq!(local("examples/a.rs", &text).len(), 1);
        assert_eq!(local("net/src/tests.rs", &text).len(), 1);
        assert_eq!(local("net/src/a.rs", &text), [""; 0]);
        let unit = format!("#[cfg(test)]\nmod tests {{\n{text}\n}}\n");
        assert_eq!(local("net/src/a.rs", &unit).len(), 1);
    }

    #[test]
    fn local_addresses_pass() {
        for literal in [
            "\"127.0.0.1:0\"",
            "\"127.3.2.1\"",
            "\"[::1]:80\"",
            "\"[::]:0\"",
            "\"0.0.0.0:7\"",
            "\"10.77.3.4:5\"",
            "\"fd77::2\"",
            "\"192.0.2.1\"",
            "\"2001:db8::1\"",
            "\"233.252.0.1\"",
            "\"ff02::db8:0:1\"",
            "\"::ffff:127.0.0.1\"",
            "\"127.0.0.{i}:0\"",
            "Ipv4Addr::new(127, 0, 0, 1)",
            "SocketAddr::from(([127, 0, 0, 1], 0))",
            "Ipv6Addr::new(0, 0, 0, 0, 0, 0, 0, 1)",
            "\"listening on ::1: yes\"",
        ] {
            assert_eq!(local("tests/a.rs", literal), [""; 0], "{literal}");
        }
    }

    #[test]
    fn versions_times_and_paths_are_not_addresses() {
        for literal in [
            "\"1.85.0\"",
            "\"v1.2.3.5\"",
            "\"12:30:00\"",
            "\"1.2.3.4.5\"",
            "\"std::fmt::Debug\"",
            "\"a::b\"",
            "\"256.1.1.1\"",
            "Ipv4Addr::new(a, b, c, d)",
            "Ipv4Addr::from(bits)",
        ] {
            assert_eq!(local("tests/a.rs", literal), [""; 0], "{literal}");
        }
        assert_eq!(local("tests/a.rs", &format!("// see {OUTSIDE}")), [""; 0]);
    }

    #[test]
    fn exception_covers_its_bare_address_in_its_file_only() {
        let (path, _, _) = EXCEPTIONS[0];
        let unit = |literal: &str| format!("#[cfg(test)]\nmod tests {{\n{literal}\n}}\n");
        let address = concat!("1.2", ".3.4");
        let bare = unit(&format!(
            "\"{address}\", \"address {address}: missing port\""
        ));
        assert_eq!(local(path, &bare), [""; 0]);
        assert_eq!(local("tests/a.rs", &bare).len(), 1);
        for dialled in [
            format!("\"{address}:80\""),
            "Ipv4Addr::new(1, 2, 3, 4)".to_owned(),
            format!("\"{OUTSIDE}\""),
        ] {
            assert_eq!(local(path, &unit(&dialled)).len(), 1, "{dialled}");
        }
    }
}
