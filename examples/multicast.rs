//! Talk to everyone in a multicast group: each line of input goes to all, and what comes is shown.
//!
//! Shows `listen_multicast`, the loop, the hops, and what is told of a datagram.
//!
//! ```text
//! cargo run --release --example multicast -- 233.252.0.7:7011
//! cargo run --release --example multicast -- --send hello --interface lo 233.252.0.7:7011
//! ```

#[path = "support/program.rs"]
mod program;

use std::io::{self, Write};
use std::process::ExitCode;

use clap::{Arg, ArgMatches, Command};
use gannet::{Builder, net};

fn command() -> Command {
    let text =
        |name: &'static str, value: &'static str| Arg::new(name).long(name).value_name(value);
    Command::new("multicast")
        .about("Receives what is sent to a multicast group, or sends to it.")
        .arg(text("interface", "NAME").help("Join and send by this interface"))
        .arg(text("send", "TEXT").help("Send this to the group, and end"))
        .arg(
            text("hops", "NUMBER")
                .value_parser(clap::value_parser!(u8))
                .help("How many routers it may pass, less one; 1 at first"),
        )
        .arg(
            text("count", "DATAGRAMS")
                .value_parser(clap::value_parser!(u32))
                .help("End after so many"),
        )
        .arg(Arg::new("GROUP").required(true).help("GROUP:PORT"))
}

fn main() -> ExitCode {
    program::run(command(), |matches| {
        let runtime = Builder::new_current_thread().build()?;
        runtime.block_on(async {
            match matches.get_one::<String>("send") {
                Some(text) => send(matches, text).await,
                None => receive(matches).await,
            }
        })
    })
}

fn interface(matches: &ArgMatches) -> Option<&str> {
    matches.get_one::<String>("interface").map(String::as_str)
}

fn group(matches: &ArgMatches) -> &str {
    let group: &String = matches.get_one("GROUP").expect("clap requires it");
    group
}

async fn send(matches: &ArgMatches, text: &str) -> io::Result<()> {
    let config = net::ListenConfig::new();
    let socket = config
        .listen_multicast("udp", group(matches), interface(matches))
        .await?;
    if let Some(&hops) = matches.get_one::<u8>("hops") {
        socket.set_multicast_ttl(hops)?;
    }
    socket
        .send_to(text.as_bytes(), socket.local_addr()?)
        .await?;
    Ok(())
}

async fn receive(matches: &ArgMatches) -> io::Result<()> {
    let config = net::ListenConfig::new();
    let socket = config
        .listen_multicast("udp", group(matches), interface(matches))
        .await?;
    socket.set_recv_ttl(true)?;
    writeln!(io::stdout(), "listening on {}", socket.local_addr()?)?;
    let mut buf = vec![0; 65_536];
    let mut left = matches.get_one::<u32>("count").copied();
    while left != Some(0) {
        let msg = socket.recv_msg(&mut buf).await?;
        let text = String::from_utf8_lossy(&buf[..msg.len]);
        let hops = msg.ttl.unwrap_or(0);
        writeln!(
            io::stdout(),
            "{} ({hops} hops left): {}",
            msg.from,
            text.escape_debug()
        )?;
        left = left.map(|left| left.saturating_sub(1));
    }
    Ok(())
}
