//! Numbers of services and of IP protocols by name: what Go knows by heart, and the system's files.

use std::fs;
use std::sync::OnceLock;

use gannet_runtime::spawn_blocking;

use crate::network::Protocol;

/// Longer names are not looked for, as in Go.
const NAME_MAX: usize = 25;

/// Returns the port of a service that Go knows without reading `/etc/services`.
pub(crate) fn service(protocol: Protocol, name: &str) -> Option<u16> {
    let table: &[(&str, u16)] = match protocol {
        Protocol::Tcp => &[
            ("domain", 53),
            ("ftp", 21),
            ("ftps", 990),
            ("gopher", 70),
            ("http", 80),
            ("https", 443),
            ("imap2", 143),
            ("imap3", 220),
            ("imaps", 993),
            ("pop3", 110),
            ("pop3s", 995),
            ("smtp", 25),
            ("ssh", 22),
            ("submissions", 465),
            ("telnet", 23),
        ],
        Protocol::Udp => &[("domain", 53)],
        _ => &[],
    };
    find(table, name)
}

/// Returns the port that `/etc/services` gives a service of `protocol`. The file is read once a
/// process, on the blocking pool.
pub(crate) async fn system_service(protocol: Protocol, name: &str) -> Option<u16> {
    static SERVICES: OnceLock<Vec<Entry>> = OnceLock::new();
    if !is_name(name) {
        return None;
    }
    let wanted = protocol.as_str();
    let found = read("/etc/services", &SERVICES).await.iter().find(|entry| {
        let of_protocol = entry.value.split_once('/').map(|(_, protocol)| protocol);
        of_protocol == Some(wanted) && entry.is(name)
    });
    let (port, _) = found?.value.split_once('/')?;
    port.parse().ok()
}

/// Returns the number of an IP protocol that is given as a number, or by a name that Go knows or
/// `/etc/protocols` does. The file is read once a process.
pub(crate) fn ip_protocol(text: &str) -> Option<u8> {
    static PROTOCOLS: OnceLock<Vec<Entry>> = OnceLock::new();
    const BUILT_IN: [(&str, u8); 5] = [
        ("icmp", 1),
        ("igmp", 2),
        ("tcp", 6),
        ("udp", 17),
        ("ipv6-icmp", 58),
    ];
    if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
        return text.parse().ok();
    }
    let known = find(&BUILT_IN, text);
    known.or_else(|| {
        let entries = PROTOCOLS.get_or_init(|| entries("/etc/protocols"));
        let entry = entries
            .iter()
            .find(|entry| is_name(text) && entry.is(text))?;
        entry.value.parse().ok()
    })
}

/// Returns the EtherType that is given as a number, decimal or with `0x`, or by a usual name; `all` is
/// what packet sockets call every one.
pub(crate) fn ether_type(text: &str) -> Option<u16> {
    const BUILT_IN: [(&str, u16); 6] = [
        ("all", 0x0003),
        ("ip", 0x0800),
        ("arp", 0x0806),
        ("vlan", 0x8100),
        ("ipv6", 0x86dd),
        ("lldp", 0x88cc),
    ];
    let (digits, radix) = match text.strip_prefix("0x") {
        Some(digits) => (digits, 16),
        None => (text, 10),
    };
    if !digits.is_empty() && digits.chars().all(|digit| digit.is_digit(radix)) {
        return u16::from_str_radix(digits, radix).ok();
    }
    find(&BUILT_IN, text)
}

fn is_name(name: &str) -> bool {
    let usual = |byte: u8| byte.is_ascii_graphic() && byte != b'/' && byte != b'#';
    !name.is_empty() && name.len() <= NAME_MAX && name.bytes().all(usual)
}

fn find<T: Copy>(table: &[(&str, T)], name: &str) -> Option<T> {
    let entry = table
        .iter()
        .find(|(known, _)| known.eq_ignore_ascii_case(name));
    entry.map(|&(_, value)| value)
}

/// A line of `/etc/services` or `/etc/protocols`.
#[derive(Debug, Eq, PartialEq)]
struct Entry {
    value: String,
    /// The name and its aliases.
    names: Vec<String>,
}

impl Entry {
    fn is(&self, name: &str) -> bool {
        self.names
            .iter()
            .any(|known| known.eq_ignore_ascii_case(name))
    }

    /// Parses `name value alias...`; what follows `#` is a comment.
    fn parse(line: &str) -> Option<Entry> {
        let mut fields = line.split('#').next()?.split_whitespace();
        let name = fields.next()?;
        let value = fields.next()?.to_owned();
        let names = std::iter::once(name).chain(fields).map(str::to_owned);
        Some(Entry {
            value,
            names: names.collect(),
        })
    }
}

/// Reads a file of entries, once. One that cannot be read has none.
async fn read(path: &'static str, once: &'static OnceLock<Vec<Entry>>) -> &'static [Entry] {
    if let Some(entries) = once.get() {
        return entries;
    }
    let entries = spawn_blocking(move || entries(path)).await;
    once.get_or_init(|| entries.unwrap_or_default())
}

fn entries(path: &str) -> Vec<Entry> {
    let text = fs::read(path).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    text.lines().filter_map(Entry::parse).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_have_aliases_and_comments() {
        let entry = Entry::parse("domain\t53/udp  nameserver dns # names").unwrap();
        assert_eq!(entry.value, "53/udp");
        assert_eq!(entry.names, ["domain", "nameserver", "dns"]);
        assert!(entry.is("NameServer") && !entry.is("names"));
        for line in ["", "# comment", "alone", "  ", "alone # 53/udp"] {
            assert_eq!(Entry::parse(line), None, "{line:?}");
        }
    }

    #[test]
    fn built_in_services_know_no_case_and_no_other_protocol() {
        assert_eq!(service(Protocol::Tcp, "HTTP"), Some(80));
        assert_eq!(service(Protocol::Udp, "domain"), Some(53));
        assert_eq!(service(Protocol::Udp, "http"), None);
        assert_eq!(service(Protocol::Unix, "http"), None);
    }

    #[test]
    fn odd_names_are_not_looked_for() {
        for name in ["", "☺", "a b", "tcp/80", &"x".repeat(26)] {
            assert!(!is_name(name), "{name:?}");
        }
        assert!(is_name("iso-tsap") && is_name("pop3s"));
    }
}
