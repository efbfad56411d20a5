//! Benchmarks of gannet: a load generator, echo servers of equal shape on gannet and its peers, the
//! raw epoll loop as the floor, and a runner that puts them side by side. `--help` tells the rest.

mod args;
mod bulk;
mod callgrind;
mod children;
mod compare;
mod histogram;
mod inside;
mod load;
mod procfs;
mod raw;
mod report;
mod roam;
mod server;
mod syscalls;

use std::env;
use std::error::Error;
use std::process::ExitCode;

use args::{Args, Problem};
use server::{Options, Rival};
use syscalls::Unit;

const HELP: &str = "\
usage: gannet-benches [SUBJECT]... [OPTION]...
           Compares the rivals and prints a Markdown table for each subject; all without a name,
           but for fds and those of sessions.
           SUBJECT: echo, single, tail, tail-2, echo-2, mixed, deadline, churn, idle, idle-18k, udp,
            udp-echo, udp-bulk, open, blocking, fds, relay, files, those of `inside`, and when they are named roam-idle, roam-forged,
           roam-seal
           --record (writes benches/RESULTS.md and its charts; other subjects' sections stay)
           --quick (raw, gannet and tokio, two short rounds, nothing counted)
           --congestion NAME (of TCP; in a network of their own, so as root)
           --no-counts (no instructions and system calls)
           --rivals A,B,...   --rounds N        --seconds S       --connections N
           --workers N        --size BYTES (64) --open-rate R     --deadline
           --no-pin | --same-cpu (both on CPU 0; else, with one worker, server 0, generator 1)
           --held (idle: a buffer each)         --talk (idle: one request first)
       gannet-benches syscalls RIVAL | syscalls-churn RIVAL
           Counts system calls a request, or a connection, by strace.
           --requests N (10000)   --connections N (64)   --workers N (1)
       gannet-benches inside SUBJECT RIVAL
           Tasks, wake-ups, channels and timers without a socket, in this process.
           SUBJECT: spawn-join, spawn-many, yield, yield-crowd, ping-pong, ping-pong-mpsc, wake,
           contend-2, contend-64, hold-64, timer-drop, timer-drop-10k, timeout, deadline-set,
           sleepers, idle-runtime;   RIVAL: raw, gannet, gannet-ct, tokio, tokio-ct, smol
           --workers N (1)   --count N (units)   --warm-up N (a tenth)
           --instructions (of one unit, by callgrind)
       gannet-benches roam SUBJECT
           Sessions: roam-idle, roam-forged, roam-seal.   --connections N (5000)   --seconds S (3)
       gannet-benches serve RIVAL
           Serves until SIGTERM or the end of standard input; prints `listening ADDR[,ADDR]...`.
           RIVAL: raw, gannet, gannet-ct, tokio, tokio-ct, smol, monoio, monoio-uring, may, go, nginx
           --addr IP:PORT (127.0.0.1:0)   --workers N (1)   --deadline   --cpu N
           --lazy (no buffer while idle)  --descriptors N (as ulimit -n)
           --datagrams N (N UDP sockets in place of connections)
           --bulk (datagrams from a socket of its own to another, as `load bulk` lets it)
           --batches (with --datagrams: as many datagrams a call as there are)
           --joined (with --datagrams or --bulk: and the kernel joins and cuts those of a peer)
           --blocker (a task beside the connections blocks its worker for 100 ms, and again)
           --relay IP:PORT (to there, both ways; gannet becomes its example proxy)
           --files DIR (those in its folder root; gannet becomes its example files; nginx)
       gannet-benches load KIND ADDR[,ADDR]...
           KIND: echo, churn (connect, one request, close), udp, volley (--window N datagrams
           a socket on their way), bulk (the server's own), idle (needs --pid), fds,
           relay (a stream of iperf3, needs --upstream), file (/file, again and again)
           --connections N (64)   --seconds S (3) or --requests N   --warmup S (0.3)
           --open-rate R          --size BYTES (64)   --hold S (1: idle, fds)   --talk (idle)
           --silent N (echo: so many more connections that never talk)
           --upstream IP:PORT (relay: where the server relays to)
           --deadline S (10: fails when nothing comes back for so long)
           --pid SERVER (adds its costs)   --cpu N
           --gate (prints `ready` after the warm-up, `done` at the end, waits for a line each time)
";

fn main() -> ExitCode {
    let words: Vec<String> = env::args().skip(1).collect();
    match run(&words) {
        Ok(()) => ExitCode::SUCCESS,
        Err(err) => {
            eprintln!("gannet-benches: {err}");
            ExitCode::FAILURE
        }
    }
}

fn run(words: &[String]) -> Result<(), Box<dyn Error>> {
    if words.iter().any(|word| word == "--help" || word == "-h") {
        print!("{HELP}");
        return Ok(());
    }
    match words.first().map(String::as_str) {
        Some("serve") => serve(&words[1..]),
        Some("load") => load::run(&words[1..]),
        Some("inside") => Ok(inside::run(&words[1..])?),
        Some("roam") => Ok(roam::run(&words[1..])?),
        Some("syscalls") => Ok(syscalls::run(&words[1..], Unit::Request)?),
        Some("syscalls-churn") => Ok(syscalls::run(&words[1..], Unit::Connection)?),
        _ => Ok(compare::run(words)?),
    }
}

fn serve(words: &[String]) -> Result<(), Box<dyn Error>> {
    let switches = [
        "--batches",
        "--blocker",
        "--bulk",
        "--deadline",
        "--joined",
        "--lazy",
    ];
    let args = Args::parse(
        words,
        &switches,
        &[
            "--addr",
            "--cpu",
            "--datagrams",
            "--descriptors",
            "--files",
            "--relay",
            "--workers",
        ],
    )?;
    let rival: Rival = args.only("RIVAL")?.parse()?;
    server::serve(rival, &server_options(&args)?)?;
    Ok(())
}

fn server_options(args: &Args) -> Result<Options, Problem> {
    let addr = args
        .value("--addr")?
        .unwrap_or_else(|| "127.0.0.1:0".to_owned());
    let options = Options {
        addr: addr
            .parse()
            .map_err(|err| format!("--addr {addr}: {err}"))?,
        workers: args.count("--workers", 1, 1..=64)? as usize,
        deadline: args.has("--deadline"),
        lazy: args.has("--lazy"),
        blocker: args.has("--blocker"),
        relay: args.value("--relay")?,
        files: args.value("--files")?,
        bulk: args.has("--bulk"),
        batches: args.has("--batches"),
        joined: args.has("--joined"),
        cpu: args.value("--cpu")?,
        datagrams: match args.value::<u64>("--datagrams")? {
            Some(_) => Some(args.count("--datagrams", 1, 1..=10_000)? as usize),
            None => None,
        },
        descriptors: args.value("--descriptors")?,
    };
    if !options.addr.ip().is_loopback() {
        return Err(format!(
            "{addr} is not a loopback address: benches stay on this machine"
        ));
    }
    if options.relay.is_some_and(|addr| !addr.ip().is_loopback()) {
        return Err("--relay must name a loopback address".to_owned());
    }
    if options.deadline && options.lazy {
        return Err("--deadline and --lazy cannot go together".to_owned());
    }
    Ok(options)
}
