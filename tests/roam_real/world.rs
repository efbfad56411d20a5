//! Three network namespaces for one test: a client's, a router's and a server's.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::support::process::Process;
use crate::support::programs;

/// Makes the namespaces, and then keeps them until the end of its input.
const SETUP: &str = include_str!("world.sh");
/// What `nft` and `ip` cannot do.
pub(crate) const PACKETS: &str = include_str!("packets.py");

/// The port that every server gets: each has a namespace of its own.
pub(crate) const PORT: &str = "60001";

/// The programs that a world is made with.
const NEEDED: [&str; 5] = ["ip", "nft", "nsenter", "python3", "unshare"];

/// One of the namespaces.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    Client,
    Router,
    Server,
}

impl Place {
    fn name(self) -> &'static str {
        match self {
            Place::Client => "client",
            Place::Router => "router",
            Place::Server => "server",
        }
    }
}

/// Whether this test can have a world; tells that it is skipped if not.
#[track_caller]
pub(crate) fn can_be_made() -> bool {
    NEEDED.iter().all(|program| programs::has(program))
}

/// The namespaces with their processes. All of it ends when this is dropped, and when the test's own
/// process ends in any other way.
pub(crate) struct World {
    keeper: Process,
    /// As `/proc/PID/ns/net` names them, in the order of [`Place`].
    namespaces: [String; 3],
}

impl World {
    /// Makes one, and waits until packets can pass.
    #[track_caller]
    pub(crate) fn new() -> Self {
        let mut command = Command::new("unshare");
        // As root of a user namespace, so that none is needed outside.
        command.args([
            "--map-root-user",
            "--net",
            "--pid",
            "--mount",
            "--mount-proc",
        ]);
        command.args(["--fork", "--kill-child", "sh", "-c", SETUP]);
        let keeper = Process::of(command);
        let text = keeper.text_before("ready\n");
        let names: Vec<String> = text.lines().map(str::to_owned).collect();
        let namespaces = names.try_into().expect("a line for each namespace");
        World { keeper, namespaces }
    }

    /// A command that runs `program` in one of the namespaces.
    pub(crate) fn command(&self, place: Place, program: impl AsRef<Path>) -> Command {
        let keeper = self.keeper.pid();
        let mut command = Command::new("nsenter");
        command.args([
            "--target",
            &keeper.to_string(),
            "--user",
            "--preserve-credentials",
            "--mount",
        ]);
        command.arg(format!("--pid=/proc/{keeper}/ns/pid_for_children"));
        command.args(["ip", "netns", "exec", place.name()]);
        command.arg(program.as_ref());
        command
    }

    /// Runs a program to its end, which must be a success; returns its standard output.
    #[track_caller]
    pub(crate) fn run(&self, place: Place, words: &[&str]) -> String {
        let output = self.command(place, words[0]).args(&words[1..]).output();
        let output = output.expect("nsenter starts");
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{words:?}: {errors}");
        String::from_utf8(output.stdout).expect("text")
    }

    /// Gives `nft` in the router a command.
    #[track_caller]
    pub(crate) fn rule(&self, command: &str) {
        self.run(Place::Router, &["nft", command]);
    }

    /// Has the router lose what `condition` matches, beside what it loses already.
    #[track_caller]
    pub(crate) fn lose(&self, condition: &str) {
        self.rule(&format!("add rule inet roam faults {condition} drop"));
    }

    /// Has the router lose nothing more, but for [`kill_flows`](Self::kill_flows).
    #[track_caller]
    pub(crate) fn heal(&self) {
        self.rule("flush chain inet roam faults");
    }

    /// Has the router give the client's IPv4 datagrams its own address, and a port by chance.
    #[track_caller]
    pub(crate) fn translate(&self) {
        self.rule(
            "add table ip nat; \
             add chain ip nat out { type nat hook postrouting priority 100; }; \
             add rule ip nat out oifname r1 masquerade random",
        );
    }

    /// Has the router forget its translations, so that the next datagram gets a new port.
    #[track_caller]
    pub(crate) fn forget_translations(&self) {
        self.run(Place::Router, &["python3", "-c", PACKETS, "flush"]);
    }

    /// Has the router lose everything from now on, both ways, on the client's ports so far. Returns
    /// these ports.
    #[track_caller]
    pub(crate) fn kill_flows(&self) -> Vec<String> {
        let ports = self.elements(Place::Router, "flows");
        let list = ports.join(", ");
        self.rule(&format!("add element inet roam dead {{ {list} }}"));
        ports
    }

    /// The client's ports that datagrams for the server came from, before any translation.
    #[track_caller]
    pub(crate) fn flows(&self) -> Vec<String> {
        self.elements(Place::Router, "flows")
    }

    /// The addresses, with ports, that the server's host has heard from.
    #[track_caller]
    pub(crate) fn peers(&self) -> Vec<String> {
        let mut peers = self.elements(Place::Server, "peers");
        peers.extend(self.elements(Place::Server, "peers6"));
        peers
    }

    /// The elements of a set of nft's.
    #[track_caller]
    fn elements(&self, place: Place, set: &str) -> Vec<String> {
        let text = self.run(place, &["nft", "list", "set", "inet", "roam", set]);
        let Some((_, list)) = text.split_once("elements = {") else {
            return Vec::new(); // Nothing is listed when there is none.
        };
        let list = list.split('}').next().unwrap_or_default();
        list.split(',').map(|item| item.trim().to_owned()).collect()
    }

    /// How many datagrams reached the router, `"up"` from the client or `"down"` from the server.
    #[track_caller]
    pub(crate) fn count(&self, direction: &str) -> u64 {
        self.counter(Place::Router, direction)
    }

    /// How many datagrams the server's host has got from 10.77.1.`host`.
    #[track_caller]
    pub(crate) fn heard_from(&self, host: u8) -> u64 {
        self.counter(Place::Server, &format!("host{host}"))
    }

    #[track_caller]
    fn counter(&self, place: Place, name: &str) -> u64 {
        let words = ["nft", "list", "counter", "inet", "roam", name];
        let text = self.run(place, &words);
        let mut words = text.split_whitespace();
        let count = words.find(|&word| word == "packets").and(words.next());
        count.and_then(|count| count.parse().ok()).expect("a count")
    }

    /// Replaces the address of the client's interface; all IPv4 routes or all IPv6 ones change with
    /// it.
    #[track_caller]
    pub(crate) fn move_client(&self, from: &str, to: &str) {
        let (prefix, gateway) = match from.contains(':') {
            true => ("64 nodad", "fd77:1::1"),
            false => ("24", "10.77.1.1"),
        };
        let script = format!(
            "ip address del {from}/{} dev c0; ip address add {to}/{prefix} dev c0; \
             ip route replace default via {gateway}",
            prefix.split(' ').next().unwrap_or_default()
        );
        self.run(Place::Client, &["sh", "-ec", &script]);
    }

    /// The processes with this name in a namespace, without those that only wait to be reaped.
    pub(crate) fn processes(&self, place: Place, name: &str) -> Vec<u32> {
        let namespace = Path::new(&self.namespaces[place as usize]);
        let is_there = |pid: &u32| {
            let folder = Path::new("/proc").join(pid.to_string());
            let comm = fs::read_to_string(folder.join("comm")).unwrap_or_default();
            // A zombie has no namespaces any more.
            let its = fs::read_link(folder.join("ns/net"));
            comm.trim() == name && its.is_ok_and(|its| its == namespace)
        };
        let entries = fs::read_dir("/proc").expect("/proc can be read");
        let names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
        let pids = names.filter_map(|name| name.parse().ok());
        pids.filter(is_there).collect()
    }
}
