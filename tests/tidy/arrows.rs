//! Who may name whom: `examples, tests, benches → gannet → roam → net → runtime → sys → libc`, none back.
//!
//! Checked twice, because each misses something: the manifests say what a crate could use, the
//! sources say what it does use (an example sees every dependency of the facade's package).

use crate::paths;
use crate::scan::{Scan, attributes, line, word_at, words};
use crate::violation;

/// The product's crates from the ground up. One may use any that stands before it.
const LAYERS: [&str; 5] = [
    "gannet-sys",
    "gannet-runtime",
    "gannet-net",
    "gannet-roam",
    "gannet",
];

/// The names of the kernel's edge. `benches` has them for the rivals' side only.
const KERNEL: [&str; 2] = ["libc", "nix"];
const KERNEL_USERS: [&str; 2] = ["gannet-sys", "gannet-benches"];

/// Where the clock may be read: everything else gets its time from there.
const CLOCK: &str = "sys/src/clock.rs";

/// The protocol: all that happens to it comes in as an argument.
const SANS_IO: &str = "roam/src/proto/";

/// What the protocol must not name, each with what it would be reaching for.
const IO: [(&str, &str); 13] = [
    ("gannet_net", "a socket"),
    ("gannet_runtime", "a task"),
    ("gannet_sys", "the system"),
    ("net", "a socket"),
    ("UdpSocket", "a socket"),
    ("TcpStream", "a socket"),
    ("TcpListener", "a socket"),
    ("SystemTime", "a clock"),
    ("thread", "a task"),
    ("async", "a task"),
    ("getrandom", "randomness"),
    ("fs", "a file"),
    ("process", "a process"),
];

/// What of `std::net` is a plain value.
const ADDRESSES: [&str; 6] = [
    "IpAddr",
    "Ipv4Addr",
    "Ipv6Addr",
    "SocketAddr",
    "SocketAddrV4",
    "SocketAddrV6",
];

/// Whether the package or folder `user` may use the crate `used`, both by package name.
fn may_use(user: &str, used: &str) -> bool {
    let rank = |name: &str| LAYERS.iter().position(|&layer| layer == name);
    if KERNEL.contains(&used) {
        return KERNEL_USERS.contains(&user);
    }
    match (rank(user), rank(used)) {
        (Some(user), Some(used)) => used < user,
        (None, Some(_)) => match user {
            "examples" => used == "gannet", // They show what a user of the facade writes.
            _ => user != "xtask",
        },
        // A package of the project that is not a layer (benches, xtask) is used by nobody.
        (_, None) => !used.starts_with("gannet-"),
    }
}

/// Every dependency in a package's manifest follows the arrows, also one for tests or builds.
pub(crate) fn manifest(path: &str, text: &str) -> Vec<String> {
    let mut found = Vec::new();
    let (mut section, mut package) = (String::new(), String::new());
    for (at, row) in text.lines().enumerate() {
        let row = row.split('#').next().unwrap_or_default().trim();
        if let Some(header) = row.strip_prefix('[') {
            section = header.trim_end_matches(']').to_owned();
            // `[dependencies.NAME]` is a dependency by itself.
            let Some((table, used)) = section.rsplit_once('.') else {
                continue;
            };
            if is_dependencies(table) && !may_use(&package, used) {
                found.push(violation(
                    path,
                    at + 1,
                    &format!("`{package}` may not use `{used}`"),
                ));
            }
            continue;
        }
        let Some((key, value)) = row.split_once('=') else {
            continue;
        };
        let key = key.trim().trim_end_matches(".workspace");
        if section == "package" && key == "name" {
            package = value.trim().trim_matches('"').to_owned();
        }
        if !is_dependencies(&section) {
            continue;
        }
        // `alias = { package = "NAME" }` hides the name that counts.
        let renamed = value
            .split_once("package")
            .and_then(|(_, rest)| rest.split('"').nth(1));
        let used = renamed.unwrap_or(key.trim_matches('"'));
        if !may_use(&package, used) {
            found.push(violation(
                path,
                at + 1,
                &format!("`{package}` may not use `{used}`"),
            ));
        }
    }
    found
}

/// Whether a section lists dependencies of a package (those of the workspace bind nobody).
fn is_dependencies(section: &str) -> bool {
    let last = section.rsplit('.').next().unwrap_or_default();
    matches!(
        last,
        "dependencies" | "dev-dependencies" | "build-dependencies"
    ) && section != "workspace.dependencies"
}

/// The package that the source at `path` belongs to; the facade's folders stand for themselves.
fn package_of(path: &str) -> &str {
    match path.split('/').next().unwrap_or_default() {
        "sys" => "gannet-sys",
        "runtime" => "gannet-runtime",
        "net" => "gannet-net",
        "roam" => "gannet-roam",
        "benches" => "gannet-benches",
        "src" => "gannet",
        folder => folder,
    }
}

/// Sources name only crates below their own, and `libc` and `nix` only where they belong.
pub(crate) fn sources(path: &str, text: &str) -> Vec<String> {
    let code = Scan::new(text).code;
    let user = package_of(path);
    let mut found = Vec::new();
    let mut report = |at: usize, used: &str| {
        found.push(violation(
            path,
            line(&code, at),
            &format!("`{user}` may not use `{used}`"),
        ));
    };
    for used in LAYERS
        .into_iter()
        .chain(["gannet-benches", "xtask"])
        .chain(KERNEL)
    {
        // A package's own tests and examples name it as any user would.
        let is_own = used == user || (used == "gannet" && matches!(user, "tests" | "examples"));
        if is_own || may_use(user, used) {
            continue;
        }
        let name = used.replace('-', "_");
        words(&code, &name)
            .filter(|&at| names_a_crate(&code, at, &name))
            .for_each(|at| report(at, used));
    }
    found
}

/// Whether the word at `at` is a crate's name: short names serve as variables and modules too.
fn names_a_crate(code: &str, at: usize, name: &str) -> bool {
    if name.starts_with("gannet_") || KERNEL.contains(&name) {
        return true;
    }
    let before = code[..at].trim_end();
    code[at + name.len()..].trim_start().starts_with("::") && !before.ends_with("::")
        || ["use", "crate"].iter().any(|word| before.ends_with(word))
}

/// `cfg(loom)`, in whatever shape, stands only in a `sync.rs`.
pub(crate) fn loom(path: &str, text: &str) -> Vec<String> {
    if paths::name(path) == "sync.rs" {
        return Vec::new();
    }
    let code = Scan::new(text).code;
    let in_attribute = attributes(&code).into_iter().filter(|range| {
        let text = &code[range.clone()];
        text.contains("cfg") && words(text, "loom").next().is_some()
    });
    let in_macro = words(&code, "cfg").filter(|&at| {
        let rest = &code[at..];
        rest.starts_with("cfg!") && words(until_close(rest), "loom").next().is_some()
    });
    let mut lines: Vec<usize> = in_attribute
        .map(|range| range.start)
        .chain(in_macro)
        .map(|at| line(&code, at))
        .collect();
    lines.sort_unstable();
    lines.dedup();
    lines
        .iter()
        .map(|&at| violation(path, at, "`cfg(loom)` outside `sync.rs`"))
        .collect()
}

fn until_close(text: &str) -> &str {
    text.split_once(')').map_or(text, |(head, _)| head)
}

/// The product reads the clock in one place, so that a simulated one can stand in for it.
pub(crate) fn clock(path: &str, text: &str) -> Vec<String> {
    let is_product = ["sys/src/", "runtime/src/", "net/src/", "roam/src/", "src/"]
        .iter()
        .any(|p| path.starts_with(p));
    if !is_product || path == CLOCK || paths::role(path) != paths::Role::Product {
        return Vec::new();
    }
    let scan = Scan::new(text);
    let tests = scan.test_lines();
    let mut found = Vec::new();
    for (word, after, what) in [
        ("Instant", "now", "Instant::now"),
        ("SystemTime", "now", "SystemTime::now"),
        ("elapsed", "", "elapsed()"),
    ] {
        for at in words(&scan.code, word) {
            let at_line = line(&scan.code, at);
            if reads_clock(&scan.code, at, word, after)
                && !tests.iter().any(|r| r.contains(&at_line))
            {
                found.push(violation(
                    path,
                    at_line,
                    &format!("`{what}` outside `{CLOCK}`"),
                ));
            }
        }
    }
    found
}

/// The protocol names no socket, clock, randomness, task or file: it is tested on virtual time.
pub(crate) fn sans_io(path: &str, text: &str) -> Vec<String> {
    if !path.starts_with(SANS_IO) || paths::role(path) != paths::Role::Product {
        return Vec::new();
    }
    let scan = Scan::new(text);
    let tests = scan.test_lines();
    let mut found = Vec::new();
    for (word, what) in IO {
        for at in words(&scan.code, word) {
            let at_line = line(&scan.code, at);
            let counts = !tests.iter().any(|range| range.contains(&at_line));
            if counts && reaches_out(&scan.code, at, word) {
                let message = format!("`{word}` in the protocol: {what} enters as an argument");
                found.push(violation(path, at_line, &message));
            }
        }
    }
    found
}

/// Whether the word at `at` names what it says; short names of `std` also serve as variables, but
/// then nothing before them leads into a crate. Addresses are plain values.
fn reaches_out(code: &str, at: usize, word: &str) -> bool {
    let rest = code[at + word.len()..].trim_start();
    match word {
        "net" => {
            let names = rest.strip_prefix("::").unwrap_or_default().trim_start();
            let names = match names.strip_prefix('{') {
                Some(list) => list.split('}').next().unwrap_or_default(),
                None => word_at(names),
            };
            let is_address =
                |name: &str| name.trim().is_empty() || ADDRESSES.contains(&name.trim());
            let is_value = !names.trim().is_empty() && names.split(',').all(is_address);
            code[..at].ends_with("std::") && !is_value
        }
        "thread" | "fs" | "process" => code[..at].ends_with("std::") || rest.starts_with("::"),
        _ => true,
    }
}

/// `Type::now` as a call or as a function's name, or a call of the method `elapsed`.
fn reads_clock(code: &str, at: usize, word: &str, after: &str) -> bool {
    let rest = code[at + word.len()..].trim_start();
    if after.is_empty() {
        return code[..at].trim_end().ends_with('.') && rest.starts_with("()");
    }
    rest.strip_prefix("::")
        .is_some_and(|rest| word_at(rest.trim_start()) == after)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn manifest_of(name: &str, rest: &str) -> Vec<String> {
        manifest(
            "x/Cargo.toml",
            &format!("[package]\nname = \"{name}\"\n{rest}\n"),
        )
    }

    #[test]
    fn manifest_with_an_arrow_back_is_reported() {
        assert_eq!(
            manifest_of(
                "gannet-runtime",
                "[dependencies]\nslab = \"1\"\ngannet-net.workspace = true"
            ),
            ["x/Cargo.toml:5: `gannet-runtime` may not use `gannet-net`"]
        );
        for rest in [
            "[dev-dependencies]\ngannet = { path = \"..\" }",
            "[dependencies.gannet-net]\npath = \"net\"",
            "[target.'cfg(loom)'.dependencies]\ngannet-net.workspace = true",
            "[dependencies]\nother = { package = \"gannet-net\", path = \"net\" }",
            "[dependencies]\nlibc.workspace = true",
            "[build-dependencies]\nnix = \"0.31\"",
            "[dependencies]\ngannet-benches = { path = \"benches\" }",
            "[dependencies]\ngannet-runtime = { path = \"runtime\" }",
        ] {
            assert_eq!(manifest_of("gannet-runtime", rest).len(), 1, "{rest}");
        }
        assert_eq!(
            manifest_of("xtask", "[dependencies]\ngannet-sys.workspace = true").len(),
            1
        );
        assert_eq!(
            manifest_of("gannet", "[dev-dependencies]\nlibc = \"0.2\"").len(),
            1
        );
    }

    #[test]
    fn manifest_along_the_arrows_passes() {
        let all = "[dependencies]\ngannet-sys.workspace = true\nslab = \"0.4\" # libc = no\n";
        assert_eq!(manifest_of("gannet-net", all), [""; 0]);
        assert_eq!(
            manifest_of("gannet-sys", "[dependencies]\nlibc.workspace = true"),
            [""; 0]
        );
        assert_eq!(
            manifest_of(
                "gannet-benches",
                "[dependencies]\nlibc = \"1\"\ngannet = \"1\""
            ),
            [""; 0]
        );
        assert_eq!(
            manifest("Cargo.toml", "[workspace.dependencies]\nlibc = \"0.2\"\n"),
            [""; 0]
        );
    }

    #[test]
    fn source_that_names_a_crate_above_or_the_kernel_is_reported() {
        assert_eq!(
            sources("runtime/src/a.rs", "use std::io;\nuse gannet_net::Conn;\n"),
            ["runtime/src/a.rs:2: `gannet-runtime` may not use `gannet-net`"]
        );
        for (path, text) in [
            ("sys/src/a.rs", "fn f() -> gannet_runtime::Handle {}"),
            ("net/src/a.rs", "fn f() { gannet::spawn(x) }"),
            ("net/src/a.rs", "use gannet;"),
            ("net/src/a.rs", "use {libc, std::io};"),
            ("runtime/tests/a.rs", "fn f() { libc::getpid() }"),
            ("src/lib.rs", "extern crate nix;"),
            ("examples/echo.rs", "use gannet_runtime::Builder;"),
            ("tests/a.rs", "use gannet_benches::load;"),
            ("xtask/src/main.rs", "use gannet::net;"),
        ] {
            assert_eq!(sources(path, text).len(), 1, "{path}: {text}");
        }
    }

    #[test]
    fn source_along_the_arrows_passes() {
        for (path, text) in [
            ("sys/src/a.rs", "use libc::c_int;"),
            (
                "benches/src/raw/epoll.rs",
                "use libc::c_int; use gannet::net;",
            ),
            (
                "net/src/a.rs",
                "use gannet_runtime::AsyncFd; use gannet_sys::socket;",
            ),
            (
                "net/src/a.rs",
                "// libc::recv, gannet::spawn\nlet gannet = \"libc\"; gannet.x()",
            ),
            ("examples/echo.rs", "use gannet::net;"),
            (
                "tests/a.rs",
                "use gannet_runtime::AsyncFd; use gannet::net;",
            ),
        ] {
            assert_eq!(sources(path, text), [""; 0], "{path}: {text}");
        }
    }

    #[test]
    fn loom_outside_sync_is_reported() {
        let attribute = "#[cfg(all(test, loom))]\nmod models;\n";
        assert_eq!(
            loom("runtime/src/lib.rs", attribute),
            ["runtime/src/lib.rs:1: `cfg(loom)` outside `sync.rs`"]
        );
        for text in [
            "#![cfg(loom)]",
            "#[cfg_attr(not(loom), inline)]",
            "fn f() { if cfg!(loom) {} }",
        ] {
            assert_eq!(loom("runtime/src/a.rs", text).len(), 1, "{text}");
        }
        assert_eq!(loom("runtime/src/sync.rs", attribute), [""; 0]);
        for text in [
            "// cfg(loom)\n",
            "#[cfg(test)]\nlet loom = 1;",
            "let s = \"#[cfg(loom)]\";",
        ] {
            assert_eq!(loom("runtime/src/a.rs", text), [""; 0], "{text}");
        }
    }

    #[test]
    fn protocol_that_reaches_out_is_reported() {
        assert_eq!(
            sans_io(
                "roam/src/proto/a.rs",
                "use std::io;\nuse std::net::UdpSocket;\n"
            )[0],
            "roam/src/proto/a.rs:2: `net` in the protocol: a socket enters as an argument"
        );
        for text in [
            "use gannet_net::UdpConn;",
            "fn f() { gannet_runtime::spawn(x) }",
            "let now = gannet_sys::clock::now();",
            "let key = getrandom(&mut octets);",
            "std::thread::sleep(x);",
            "use std::{thread, io}; fn f() { thread::spawn(x) }",
            "async fn f() {}",
            "use std::net::*;",
            "use std::net::{SocketAddr, UdpSocket};",
            "use std::net;",
            "let now = SystemTime::UNIX_EPOCH;",
            "std::fs::read(x)",
        ] {
            assert!(!sans_io("roam/src/proto/a.rs", text).is_empty(), "{text}");
        }
    }

    #[test]
    fn protocol_of_values_passes() {
        for text in [
            "use std::net::SocketAddr;",
            "use std::net::{IpAddr, SocketAddr};",
            "fn f(at: std::net::Ipv4Addr) {}",
            "use std::time::{Duration, Instant};",
            "// std::thread, gannet_net, UdpSocket",
            "fn f(net: u8, process: u8) {}",
        ] {
            let path = "roam/src/proto/a.rs";
            assert_eq!(sans_io(path, text), [""; 0], "{text}");
        }
        let outside = "use gannet_net::UdpConn; use std::thread;";
        for path in ["roam/src/endpoint.rs", "roam/src/proto/seal/tests.rs"] {
            assert_eq!(sans_io(path, outside), [""; 0], "{path}");
        }
        let in_tests = "#[cfg(test)]\nmod tests {\n    use std::thread;\n}\n";
        assert_eq!(sans_io("roam/src/proto/a.rs", in_tests), [""; 0]);
    }

    #[test]
    fn clock_read_outside_its_file_is_reported() {
        assert_eq!(
            clock("net/src/a.rs", "let x = 1;\nlet now = Instant::now();"),
            ["net/src/a.rs:2: `Instant::now` outside `sys/src/clock.rs`"]
        );
        for text in [
            "std::time::SystemTime::now()",
            "x.map(Instant::now)",
            "start.elapsed()",
            "Instant :: now ()",
        ] {
            assert_eq!(clock("runtime/src/a.rs", text).len(), 1, "{text}");
        }
    }

    #[test]
    fn clock_read_in_its_file_or_in_tests_passes() {
        let text = "let now = Instant::now();";
        for path in [
            CLOCK,
            "net/src/tests.rs",
            "tests/a.rs",
            "examples/a.rs",
            "benches/src/a.rs",
        ] {
            assert_eq!(clock(path, text), [""; 0], "{path}");
        }
        let in_tests = "#[cfg(test)]\nmod tests {\n    fn f() { Instant::now(); }\n}\n";
        assert_eq!(clock("net/src/a.rs", in_tests), [""; 0]);
        for text in [
            "clock::now()",
            "// Instant::now()",
            "Instant::nowhere()",
            "fn elapsed() {}",
        ] {
            assert_eq!(clock("net/src/a.rs", text), [""; 0], "{text}");
        }
    }
}
