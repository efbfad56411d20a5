//! What the text of an address means.

use std::io;
use std::sync::{Arc, Mutex};

use gannet_net::Dialer;

use crate::common::run;

/// The addresses that dialling would try, in order, or why there are none.
fn candidates(network: &str, address: &str) -> Result<Vec<String>, String> {
    let asked = Arc::new(Mutex::new(Vec::new()));
    let dialer = Dialer::new().control({
        let asked = asked.clone();
        move |info, _| {
            asked.lock().unwrap().push(info.address.clone());
            Err(io::Error::other("asked, not dialled"))
        }
    });
    let err = run(dialer.dial(network, address)).unwrap_err().to_string();
    let asked = std::mem::take(&mut *asked.lock().unwrap());
    match asked.is_empty() {
        true => Err(err
            .split_once(": ")
            .map(|(_, why)| why.into())
            .unwrap_or(err)),
        false => Ok(asked),
    }
}

/// Host and port as written, the version of IP that the network asks for, and what is dialled.
const GOOD: [(&str, &str, &[&str]); 27] = [
    ("127.0.0.1:0", "", &["127.0.0.1:0"]),
    ("127.0.0.1:65535", "4", &["127.0.0.1:65535"]),
    ("[::1]:0", "", &["[::1]:0"]),
    ("[::1]:65535", "6", &["[::1]:65535"]),
    ("[::1%lo]:1", "", &["[::1%1]:1"]),
    ("[::1%lo]:2", "6", &["[::1%1]:2"]),
    ("[::1%1]:3", "", &["[::1%1]:3"]),
    ("[::1%911]:4", "6", &["[::1%911]:4"]),
    // An interface that is not there is none.
    ("[::1%gannet9]:5", "", &["[::1]:5"]),
    (":12345", "", &[":12345"]),
    (":12345", "4", &[":12345"]),
    (":12345", "6", &[":12345"]),
    (":", "", &[":0"]),
    ("127.0.0.1:", "", &["127.0.0.1:0"]),
    ("127.0.0.1:+80", "4", &["127.0.0.1:80"]),
    ("127.0.0.1:0080", "", &["127.0.0.1:80"]),
    ("[127.0.0.1]:80", "", &["127.0.0.1:80"]),
    ("[::ffff:127.0.0.1]:1", "", &["127.0.0.1:1"]),
    ("[::ffff:127.0.0.1]:2", "4", &["127.0.0.1:2"]),
    ("[::ffff:7f00:1]:3", "4", &["127.0.0.1:3"]),
    ("[2001:DB8::0:1]:80", "6", &["[2001:db8::1]:80"]),
    ("[::]:4", "", &["[::]:4", "0.0.0.0:4"]),
    ("[::]:4", "4", &["0.0.0.0:4"]),
    ("[::]:4", "6", &["[::]:4"]),
    ("0.0.0.0:5", "", &["0.0.0.0:5"]),
    ("0.0.0.0:5", "4", &["0.0.0.0:5"]),
    ("[]:80", "", &[":80"]),
];

#[test]
fn address_means_what_it_means_in_go() {
    for (address, version, want) in GOOD {
        for protocol in ["tcp", "udp"] {
            let network = format!("{protocol}{version}");
            let got = candidates(&network, address).unwrap();
            assert_eq!(got, want, "{network} {address}");
            let again = candidates(&network, &got[0]).unwrap();
            assert_eq!(again, want, "{network} {}", got[0]);
        }
    }
}

#[test]
fn address_that_does_not_fit_names_its_host() {
    for (network, address, rule) in [
        ("http", "127.0.0.1:80", "unknown network http"),
        ("TCP", "127.0.0.1:80", "unknown network TCP"),
        ("tcp4", "[::1]:80", "address ::1: no suitable address found"),
        (
            "udp4",
            "[2001:db8::1]:80",
            "address 2001:db8::1: no suitable address found",
        ),
        (
            "tcp6",
            "127.0.0.1:80",
            "address 127.0.0.1: no suitable address found",
        ),
        (
            "udp6",
            "0.0.0.0:0",
            "address 0.0.0.0: no suitable address found",
        ),
        (
            "udp6",
            "[::ffff:127.0.0.1]:80",
            "address ::ffff:127.0.0.1: no suitable address found",
        ),
    ] {
        assert_eq!(candidates(network, address), Err(rule.into()), "{network}");
    }
}

#[test]
fn service_has_its_port() {
    for (network, service, port) in [
        ("tcp", "0", "0"),
        ("tcp", "http", "80"),
        ("tcp", "HTTP", "80"),
        ("tcp4", "https", "443"),
        ("tcp6", "ssh", "22"),
        ("tcp", "smtp", "25"),
        ("tcp", "domain", "53"),
        ("udp", "domain", "53"),
        ("udp4", "domain", "53"),
    ] {
        let host = if network == "tcp6" {
            "[::1]"
        } else {
            "127.0.0.1"
        };
        let got = candidates(network, &format!("{host}:{service}"));
        assert_eq!(
            got,
            Ok(vec![format!("{host}:{port}")]),
            "{network} {service}"
        );
    }
    for (network, service, rule) in [
        ("tcp", "-1", "address -1: invalid port"),
        ("tcp4", "65536", "address 65536: invalid port"),
        ("udp", "123456789", "address 123456789: invalid port"),
        ("tcp", "gannet-none", "lookup tcp/gannet-none: unknown port"),
        ("udp", "gannet-none", "lookup udp/gannet-none: unknown port"),
        ("tcp", "\0", "lookup tcp/\0: unknown port"),
        ("tcp", "http\0", "lookup tcp/http\0: unknown port"),
        ("tcp", "ht tp", "lookup tcp/ht tp: unknown port"),
    ] {
        let got = candidates(network, &format!("127.0.0.1:{service}"));
        assert_eq!(got, Err(rule.into()), "{network} {service:?}");
    }
}
