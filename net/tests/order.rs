//! The system calls of opening a socket, in their order, as `strace` sees them: a contract, because
//! hooks run among them.
//!
//! It is Go's order but for these:
//!
//! | where | Go | here | why |
//! |---|---|---|---|
//! | first use | three sockets find out what the kernel can do | two | a kernel without IPv6 says so at `socket` |
//! | first listen | `somaxconn` before `SO_REUSEADDR` | before `listen`, and only without a backlog | it may be set |
//! | TCP listener | of MPTCP first, again with TCP if that fails | of TCP, unless asked | hooks would run twice, and some options do not exist for MPTCP |
//! | TCP listener | sets nothing for its connections | no delay and keep-alive, before the hook | connections inherit both |
//! | accepting TCP | `accept4`, `epoll_ctl`, `getsockname`, five options | how many wait, `accept4` | registered and asked when that is first wanted |
//! | registering | for reading and writing | for reading, for writing only while connecting | most sockets never wait to write |
//! | after a hook | nothing | `F_GETFL`; of TCP, `SO_LINGER` | it had the descriptor: is it non-blocking, does closing it wait |
//! | connected at once | `epoll_ctl`, `getsockname`, `getpeername` | `getpeername` first | one that is refused was never registered |
//! | raw IP, listening | `getpeername`, which fails | not asked | it has no peer |
//! | multicast | bound to the wildcard; `IP_MULTICAST_LOOP` off; `IP_ADD_MEMBERSHIP` | bound to the group; left on; `MCAST_JOIN_GROUP` | receives its group only; members on this machine hear it; one option for both versions |
//! | packets of a link | there are none | without a protocol until bound | nothing of other interfaces is received |

mod common;

use std::collections::BTreeMap;
use std::fs;
use std::io;

use common::namespace::{again, ip, programs};
use common::{fresh_path, run};
use gannet_net::{Addr, ControlInfo, Dialer, KeepAlive, ListenConfig, RawSocket};

const CALLS: &str = "trace=socket,bind,listen,connect,accept4,setsockopt,getsockopt,getsockname,\
    getpeername,epoll_ctl,fcntl,close,statx,openat";

/// A file that there is not: asking for it shows in the trace.
const MARK: &str = "/gannet-mark/";

fn mark(what: &str) {
    let found = fs::metadata(format!("{MARK}{what}"));
    assert!(found.is_err(), "nobody makes such a file");
}

/// Runs `test` under `strace`, and returns the calls of each of its [`step`]s; nothing where it does
/// run.
#[track_caller]
fn traced(name: &str, test: impl Future<Output = ()>) -> Option<BTreeMap<String, Vec<String>>> {
    if !programs::has("strace") {
        return None;
    }
    let log = std::env::temp_dir().join(format!("gannet-{name}-{}", std::process::id()));
    let path = log.to_str().expect("text");
    let by = ["strace", "-f", "-s", "200", "-o", path, "-e", CALLS];
    let has_run = again(name, &by, || {
        ip("link set lo up");
        run(test);
    });
    has_run.then(|| {
        let text = fs::read_to_string(&log).expect("strace has written it");
        fs::remove_file(&log).expect("it is ours");
        steps(&text)
    })
}

/// Opens a socket between two marks.
async fn step<T>(name: &str, opening: impl Future<Output = io::Result<T>>) -> T {
    mark(&format!("begin/{name}"));
    let opened = opening.await;
    mark("end");
    opened.unwrap_or_else(|err| panic!("{name}: {err}"))
}

fn hook(_: &ControlInfo, _: &RawSocket<'_>) -> io::Result<()> {
    mark("hook");
    Ok(())
}

/// What was called between each two marks.
fn steps(trace: &str) -> BTreeMap<String, Vec<String>> {
    let mut steps = BTreeMap::new();
    let mut current: Option<(&str, &str, Vec<String>)> = None;
    for line in trace.lines() {
        let (pid, call) = line.split_once(' ').expect("a thread and a call");
        let call = call.trim_start();
        let marked = call
            .split_once(MARK)
            .and_then(|(_, rest)| rest.split_once('"'));
        if let Some(("end", _)) = marked {
            let (_, name, calls) = current.take().expect("one has begun");
            steps.insert(name.to_owned(), calls);
        } else if let Some(name) = marked.and_then(|(what, _)| what.strip_prefix("begin/")) {
            current = Some((pid, name, Vec::new()));
        } else if let Some((by, _, calls)) = &mut current {
            if *by == pid {
                calls.extend(brief(call));
            }
        }
    }
    steps
}

/// A call with the arguments that matter. A plus stands for `SOCK_CLOEXEC|SOCK_NONBLOCK`.
fn brief(line: &str) -> Option<String> {
    let (name, rest) = line.split_once('(')?;
    let arguments = split_arguments(rest);
    let argument = |at: usize| arguments.get(at).copied().unwrap_or_default();
    let short = |text: &str| {
        let prefixes = ["AF_", "SOCK_", "IPPROTO_", "EPOLL_CTL_", "EPOLL"];
        prefixes
            .iter()
            .fold(text.to_owned(), |text, prefix| text.replace(prefix, ""))
    };
    Some(match name {
        "socket" => {
            let protocol = match argument(2) {
                "0" | "IPPROTO_IP" => "",
                other if other.contains("ETH_P_") => "",
                other => other.split(' ').next().unwrap_or_default(),
            };
            let flags = argument(1).replace("|SOCK_CLOEXEC|SOCK_NONBLOCK", "+");
            short(format!("socket {} {flags} {protocol}", argument(0)).trim_end())
        }
        "setsockopt" => {
            let value = argument(3);
            let number = value
                .strip_prefix('[')
                .and_then(|value| value.strip_suffix(']'));
            format!("{} {}", argument(2), number.unwrap_or_default())
                .trim_end()
                .to_owned()
        }
        "getsockopt" => format!("get {}", argument(2)),
        "bind" | "connect" => format!("{name} {}", place(argument(1))),
        "listen" | "fcntl" => format!("{name} {}", argument(1)),
        "accept4" => short(&format!("accept4 {}", argument(3))),
        "epoll_ctl" => {
            let events = argument(3)
                .trim_start_matches("{events=")
                .split(',')
                .next()?;
            short(&format!("epoll_ctl {} {events}", argument(1)))
        }
        "openat" => format!("openat {}", argument(1)),
        "statx" if argument(1).contains(MARK) => "HOOK".to_owned(),
        "statx" => return None,
        name => name.to_owned(),
    })
}

/// Splits arguments at the commas that are in no bracket and no quote.
fn split_arguments(text: &str) -> Vec<&str> {
    let (mut depth, mut is_quoted, mut start, mut found) = (0, false, 0, Vec::new());
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            b'"' => is_quoted = !is_quoted,
            _ if is_quoted => {}
            b'(' | b'[' | b'{' => depth += 1,
            b')' if depth == 0 => {
                found.push(text[start..at].trim());
                break;
            }
            b')' | b']' | b'}' => depth -= 1,
            b',' if depth == 0 => {
                found.push(text[start..at].trim());
                start = at + 1;
            }
            _ => {}
        }
    }
    found
}

/// What an address is, without a port or a name that the kernel chose.
fn place(addr: &str) -> String {
    let after = |text: &str| {
        let (_, rest) = addr.split_once(text)?;
        rest.split_once('"').map(|(ip, _)| ip.to_owned())
    };
    let inet = after("inet_addr(\"").or_else(|| after("inet_pton(AF_INET6, \""));
    let chosen = [
        "sun_path=@",
        "sun_path=",
        "AF_UNIX",
        "sll_protocol=htons(ETH_P_802_EX1)",
    ];
    let names = ["abstract", "path", "unnamed", "protocol"];
    let known = chosen
        .iter()
        .zip(names)
        .find(|(text, _)| addr.contains(**text));
    inet.or(known.map(|(_, name)| name.to_owned()))
        .unwrap_or_else(|| panic!("no address: {addr}"))
}

/// Checks the calls of steps. A line of `wanted` has the name of one, a colon, and its calls; words of
/// [`SHORT`] stand for several.
#[track_caller]
fn check(steps: &BTreeMap<String, Vec<String>>, wanted: &str) {
    let lines = wanted.lines().filter(|line| !line.is_empty());
    let mut count = 0;
    for line in lines {
        let (name, calls) = line.split_once(": ").expect("a name and calls");
        // Without multipath TCP in the kernel, plain TCP does.
        let calls = match (has_multipath(), calls.split_once(" MPTCP")) {
            (false, Some((socket, rest))) => format!("{socket} MPTCP, {socket}{rest}"),
            _ => calls.to_owned(),
        };
        let calls = calls.split(", ").flat_map(|call| {
            let short = SHORT.iter().find(|(word, _)| *word == call);
            short.map_or(call, |(_, calls)| calls).split(", ")
        });
        let got = steps.get(name).unwrap_or_else(|| panic!("no step {name}"));
        assert_eq!(got, &calls.collect::<Vec<_>>(), "{name}");
        count += 1;
    }
    assert_eq!(steps.len(), count, "a step was not checked");
}

fn has_multipath() -> bool {
    let enabled = fs::read_to_string("/proc/sys/net/mptcp/enabled");
    enabled.is_ok_and(|text| text.trim() == "1")
}

const SHORT: [(&str, &str); 5] = [
    (
        "KEEP_ALIVE",
        "SO_KEEPALIVE 1, TCP_KEEPIDLE 15, TCP_KEEPINTVL 15, TCP_KEEPCNT 9",
    ),
    ("REGISTER", "epoll_ctl ADD IN|PRI|RDHUP|ET"),
    // What is connecting waits for that, too; then it is asked how that went.
    (
        "ARRIVE",
        "epoll_ctl ADD IN|PRI|OUT|RDHUP|ET, get SO_ERROR, getpeername",
    ),
    // The C library asks for an interface's number by a socket of its own.
    ("INDEX", "socket UNIX DGRAM|CLOEXEC, close"),
    (
        "BACKLOG",
        r#"openat "/proc/sys/net/core/somaxconn", close, openat "/proc/sys/kernel/osrelease", close"#,
    ),
];

const FIRST: &str = "
first: socket INET STREAM+, socket INET6 STREAM+, IPV6_V6ONLY 0, bind ::ffff:127.0.0.1, close, close, socket INET6 STREAM+, IPV6_V6ONLY 0, SO_REUSEADDR 1, TCP_NODELAY 1, KEEP_ALIVE, bind ::, BACKLOG, listen, REGISTER, getsockname
second: socket INET6 STREAM+, IPV6_V6ONLY 0, SO_REUSEADDR 1, TCP_NODELAY 1, KEEP_ALIVE, bind ::, listen, REGISTER, getsockname
";

#[test]
fn first_listener_asks_what_the_kernel_can_do() {
    let name = "first_listener_asks_what_the_kernel_can_do";
    let traced = traced(name, async {
        step("first", ListenConfig::new().listen_stream("tcp", ":0")).await;
        step("second", ListenConfig::new().listen_stream("tcp", ":0")).await;
    });
    let Some(mut steps) = traced else { return };
    for calls in steps.values_mut() {
        // Without optimisation the standard library looks whether there is what it closes.
        calls.retain(|call| call != "fcntl F_GETFD");
        for call in calls {
            // How long a backlog may be is this machine's affair.
            if call.starts_with("listen ") {
                "listen".clone_into(call);
            }
        }
    }
    check(&steps, FIRST);
}

const LISTENING: &str = "
tcp: socket INET6 STREAM+, IPV6_V6ONLY 0, SO_REUSEADDR 1, TCP_NODELAY 1, KEEP_ALIVE, HOOK, bind ::, listen 7, fcntl F_GETFL, REGISTER, getsockname, get SO_LINGER
tcp4: socket INET STREAM+, SO_REUSEADDR 1, TCP_NODELAY 1, KEEP_ALIVE, HOOK, bind 0.0.0.0, listen 7, fcntl F_GETFL, REGISTER, getsockname, get SO_LINGER
tcp6: socket INET6 STREAM+, IPV6_V6ONLY 1, SO_REUSEADDR 1, TCP_NODELAY 1, KEEP_ALIVE, HOOK, bind ::, listen 7, fcntl F_GETFL, REGISTER, getsockname, get SO_LINGER
plain: socket INET STREAM+, SO_REUSEADDR 1, TCP_NODELAY 1, KEEP_ALIVE, bind 127.0.0.1, listen 7, REGISTER, getsockname
own: socket INET STREAM+, SO_REUSEADDR 1, TCP_NODELAY 1, SO_KEEPALIVE 1, TCP_KEEPIDLE 15, TCP_FASTOPEN 16, bind 127.0.0.1, listen 7, REGISTER, getsockname
paths: socket INET STREAM+ MPTCP, SO_REUSEADDR 1, TCP_NODELAY 1, bind 127.0.0.1, listen 7, REGISTER, getsockname
unix: socket UNIX STREAM+, SO_REUSEADDR 1, HOOK, bind path, listen 7, fcntl F_GETFL, REGISTER, getsockname
unixpacket: socket UNIX SEQPACKET+, SO_REUSEADDR 1, HOOK, bind path, listen 7, fcntl F_GETFL, REGISTER, getsockname
";

async fn listen() {
    let config = || ListenConfig::new().backlog(7);
    let first = config().listen_stream("tcp", ":0").await;
    first.expect("what only the first one does is done");
    let with_hook = config().control(hook);
    for network in ["tcp", "tcp4", "tcp6"] {
        step(network, with_hook.listen_stream(network, ":0")).await;
    }
    let local = "127.0.0.1:0";
    step("plain", config().listen_stream("tcp4", local)).await;
    let idle = KeepAlive {
        interval: None,
        count: None,
        ..KeepAlive::default()
    };
    let own = config().keep_alive(idle).fast_open(16);
    step("own", own.listen_stream("tcp4", local)).await;
    let paths = config().keep_alive(None).multipath(true);
    step("paths", paths.listen_stream("tcp4", local)).await;
    for network in ["unix", "unixpacket"] {
        let path = fresh_path();
        step(network, with_hook.listen_stream(network, path.display())).await;
    }
}

#[test]
fn listening_is_in_order() {
    if let Some(steps) = traced("listening_is_in_order", listen()) {
        check(&steps, LISTENING);
    }
}

const BINDING: &str = "
udp: socket INET6 DGRAM+, IPV6_V6ONLY 0, SO_BROADCAST 1, HOOK, bind ::, fcntl F_GETFL, REGISTER, getsockname
udp4: socket INET DGRAM+, SO_BROADCAST 1, HOOK, bind 0.0.0.0, fcntl F_GETFL, REGISTER, getsockname
udp6: socket INET6 DGRAM+, IPV6_V6ONLY 1, SO_BROADCAST 1, HOOK, bind ::, fcntl F_GETFL, REGISTER, getsockname
plain: socket INET DGRAM+, SO_BROADCAST 1, bind 127.0.0.1, REGISTER, getsockname
unixgram: socket UNIX DGRAM+, HOOK, bind unnamed, fcntl F_GETFL, REGISTER, getsockname
ip4: socket INET RAW+ 0xfd, SO_BROADCAST 1, HOOK, bind 127.0.0.1, fcntl F_GETFL, REGISTER, getsockname
ip6: socket INET6 RAW+ 0xfd, SO_BROADCAST 1, bind ::1, REGISTER, getsockname
packet: socket PACKET RAW+, HOOK, bind protocol, fcntl F_GETFL, REGISTER, getsockname
packetgram: INDEX, socket PACKET DGRAM+, bind protocol, REGISTER, getsockname
group4: socket INET DGRAM+, SO_BROADCAST 1, SO_REUSEADDR 1, HOOK, bind 233.252.0.7, fcntl F_GETFL, REGISTER, getsockname, INDEX, IP_MULTICAST_IF, MCAST_JOIN_GROUP
group6: INDEX, socket INET6 DGRAM+, IPV6_V6ONLY 1, SO_BROADCAST 1, SO_REUSEADDR 1, bind ff02::db8:0:114, REGISTER, getsockname, INDEX, IPV6_MULTICAST_IF 1, IP_MULTICAST_IF, MCAST_JOIN_GROUP
";

async fn bind() {
    let plain = ListenConfig::new();
    let first = plain.listen_packet("udp", ":0").await;
    first.expect("what only the first one does is done");
    let with_hook = ListenConfig::new().control(hook);
    for network in ["udp", "udp4", "udp6"] {
        step(network, with_hook.listen_packet(network, ":0")).await;
    }
    step("plain", plain.listen_packet("udp", "127.0.0.1:0")).await;
    step("unixgram", with_hook.listen_packet("unixgram", "")).await;
    step("ip4", with_hook.listen_packet("ip4:253", "127.0.0.1")).await;
    step("ip6", plain.listen_packet("ip6:253", "::1")).await;
    step("packet", with_hook.listen_packet("packet:0x88b5", "")).await;
    step("packetgram", plain.listen_packet("packetgram:0x88b5", "lo")).await;
    let (group, lo) = ("233.252.0.7:0", Some("lo"));
    step("group4", with_hook.listen_multicast("udp4", group, lo)).await;
    let group = "[ff02::db8:0:114%lo]:0";
    step("group6", plain.listen_multicast("udp6", group, lo)).await;
}

#[test]
fn opening_packet_sockets_is_in_order() {
    if let Some(steps) = traced("opening_packet_sockets_is_in_order", bind()) {
        check(&steps, BINDING);
    }
}

const DIALLING: &str = "
tcp4: socket INET STREAM+, HOOK, connect 127.0.0.1, fcntl F_GETFL, ARRIVE, getsockname, TCP_NODELAY 1, KEEP_ALIVE, get SO_LINGER
accept tcp4: get TCP_INFO, accept4 CLOEXEC|NONBLOCK
tcp6: socket INET6 STREAM+, IPV6_V6ONLY 1, HOOK, bind ::1, connect ::1, fcntl F_GETFL, ARRIVE, getsockname, TCP_NODELAY 1, KEEP_ALIVE, get SO_LINGER
accept tcp6: get TCP_INFO, accept4 CLOEXEC|NONBLOCK
tcp: socket INET6 STREAM+, IPV6_V6ONLY 0, connect ::1, ARRIVE, getsockname, TCP_NODELAY 1, KEEP_ALIVE
own: socket INET6 STREAM+ MPTCP, IPV6_V6ONLY 0, TCP_FASTOPEN_CONNECT 1, connect ::1, ARRIVE, getsockname, TCP_NODELAY 1
unix: socket UNIX STREAM+, HOOK, bind path, connect abstract, getpeername, fcntl F_GETFL, REGISTER, getsockname
accept unix: accept4 CLOEXEC|NONBLOCK
unixpacket: socket UNIX SEQPACKET+, HOOK, connect abstract, getpeername, fcntl F_GETFL, REGISTER, getsockname
accept unixpacket: accept4 CLOEXEC|NONBLOCK
unixgram: socket UNIX DGRAM+, connect abstract, getpeername, REGISTER, getsockname
udp4: socket INET DGRAM+, SO_BROADCAST 1, HOOK, connect 127.0.0.1, getpeername, fcntl F_GETFL, REGISTER, getsockname
udp: socket INET6 DGRAM+, IPV6_V6ONLY 0, SO_BROADCAST 1, HOOK, bind ::1, connect ::1, getpeername, fcntl F_GETFL, REGISTER, getsockname
ip6: socket INET6 RAW+ 0xfd, SO_BROADCAST 1, HOOK, connect ::1, getpeername, fcntl F_GETFL, REGISTER, getsockname
";

/// Dials over `network`, with a hook, from a local address if there is one, and accepts.
async fn dial_and_accept(network: &str, at: &str, local: Option<Addr>) {
    let config = ListenConfig::new().backlog(7);
    let listener = config.listen_stream(network, at).await.expect("a listener");
    let to = listener.local_addr().expect("an address");
    let dialer = Dialer::new().control(hook).local_addr(local);
    let _client = step(network, dialer.dial(network, to)).await;
    step(&format!("accept {network}"), listener.accept()).await;
}

async fn dial() {
    let own_port = Addr::Tcp("[::1]:0".parse().expect("an address"));
    let path = fresh_path();
    let own_name = Addr::unix(path.to_str().expect("text"));
    dial_and_accept("tcp4", "127.0.0.1:0", None).await;
    dial_and_accept("tcp6", "[::1]:0", Some(own_port)).await;
    dial_and_accept("unix", "", Some(own_name)).await;
    fs::remove_file(path).expect("a dialler's file is not unlinked");
    dial_and_accept("unixpacket", "", None).await;

    let plain = Dialer::new();
    let config = ListenConfig::new().backlog(7);
    let listener = config.listen_stream("tcp", "[::1]:0").await;
    let listener = listener.expect("a listener");
    let to = listener.local_addr().expect("an address");
    step("tcp", plain.dial("tcp", &to)).await;
    let own = Dialer::new().keep_alive(None).fast_open(true);
    step("own", own.multipath(true).dial("tcp", &to)).await;

    let peer = config.listen_packet("unixgram", "").await.expect("a peer");
    let to = peer.local_addr().expect("an address");
    step("unixgram", plain.dial("unixgram", to)).await;
    let with_hook = Dialer::new().control(hook);
    step("udp4", with_hook.dial("udp4", "127.0.0.1:9")).await;
    step("ip6", with_hook.dial("ip6:253", "::1")).await;
    let own_port = Addr::Udp("[::1]:0".parse().expect("an address"));
    step("udp", with_hook.local_addr(own_port).dial("udp", "[::1]:9")).await;
}

#[test]
fn dialling_and_accepting_are_in_order() {
    if let Some(steps) = traced("dialling_and_accepting_are_in_order", dial()) {
        check(&steps, DIALLING);
    }
}
