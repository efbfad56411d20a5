//! A UDP echo whose socket has options that must be set before it is bound.
//!
//! Shows the hook of `ListenConfig` between `socket(2)` and `bind(2)`, and what the kernel made of the
//! options. Several of these may run on one port, and share what comes.
//!
//! ```text
//! cargo run --release --example sockopts -- --tos 0x10 127.0.0.1:7010
//! ```

#[path = "support/program.rs"]
mod program;

use std::io::{self, Write};
use std::process::ExitCode;

use clap::{Arg, ArgMatches, Command};
use gannet::{Builder, net};
use net::{RawSocket, UdpSocket};

fn command() -> Command {
    let number = |name: &'static str| {
        Arg::new(name)
            .long(name)
            .value_name("NUMBER")
            .value_parser(parse_number)
    };
    Command::new("sockopts")
        .about("Echoes datagrams by a socket with options of its own.")
        .arg(number("tos").help("Type of service of what is sent, such as 0x10"))
        .arg(number("mark").help("Mark for routing and filters; takes CAP_NET_ADMIN"))
        .arg(
            Arg::new("count")
                .long("count")
                .value_name("DATAGRAMS")
                .value_parser(parse_number)
                .help("End after so many"),
        )
        .arg(
            Arg::new("ADDRESS")
                .required(true)
                .help("HOST:PORT to listen on"),
        )
}

fn main() -> ExitCode {
    program::run(command(), |matches| {
        let runtime = Builder::new_current_thread().build()?;
        runtime.block_on(echo(matches))
    })
}

/// Parses a number, decimal or with `0x`.
fn parse_number(text: &str) -> Result<u32, String> {
    let parsed = match text.strip_prefix("0x") {
        Some(digits) => u32::from_str_radix(digits, 16),
        None => text.parse(),
    };
    parsed.map_err(|err| err.to_string())
}

/// Sets the options of a socket that is not bound yet.
fn prepare(socket: &RawSocket<'_>, tos: Option<u32>, mark: Option<u32>) -> io::Result<()> {
    socket.set_reuse_port(true)?;
    if let Some(tos) = tos {
        let tos = u8::try_from(tos).map_err(|_| io::ErrorKind::InvalidInput)?;
        socket.set_tos(tos)?;
    }
    match mark {
        Some(mark) => socket.set_mark(mark),
        None => Ok(()),
    }
}

async fn echo(matches: &ArgMatches) -> io::Result<()> {
    let option = |name| matches.get_one::<u32>(name).copied();
    let (tos, mark) = (option("tos"), option("mark"));
    let address: &String = matches.get_one("ADDRESS").expect("clap requires it");
    let socket = net::ListenConfig::new()
        .control(move |_info, socket| prepare(socket, tos, mark))
        .listen_packet("udp", address)
        .await?;
    let socket = UdpSocket::try_from(socket)?;
    writeln!(
        io::stdout(),
        "listening on {}, reuse port {}, tos {:#x}, mark {:#x}",
        socket.local_addr()?,
        socket.control(|raw| raw.reuse_port())?,
        socket.tos()?,
        socket.control(|raw| raw.mark())?,
    )?;
    let mut buf = vec![0; 65_536];
    let mut left = option("count");
    while left != Some(0) {
        let (len, from) = socket.recv_from(&mut buf).await?;
        socket.send_to(&buf[..len], from).await?;
        left = left.map(|left| left.saturating_sub(1));
    }
    Ok(())
}
