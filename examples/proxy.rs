//! A TCP relay: what comes to one address goes to another, and back.
//!
//! The bytes stay in the kernel: `copy_bidirectional` splices both directions in one task. It keeps
//! back-pressure (no more is read than can be passed on, but for a pipe) and half-close: the end of
//! one direction is passed on while the other goes on. A connection that is reset ends its counterpart
//! at once.
//!
//! ```text
//! cargo run --release --example proxy -- 127.0.0.1:7009 127.0.0.1:7007
//! ```

#[path = "support/program.rs"]
mod program;
#[path = "support/report.rs"]
mod report;
#[path = "support/signals.rs"]
mod signals;

use std::io::{self, Write};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use clap::{Arg, Command, value_parser};
use gannet::net::{Conn, Listener, copy_bidirectional, dial, error, listen_stream};
use gannet::{Builder, time};

use report::Report;
use signals::StopSignal;

fn command() -> Command {
    Command::new("proxy")
        .about("Relays TCP connections to another address.")
        .arg(
            Arg::new("listen")
                .value_name("LISTEN")
                .required(true)
                .help("HOST:PORT to listen on"),
        )
        .arg(
            Arg::new("upstream")
                .value_name("UPSTREAM")
                .required(true)
                .help("HOST:PORT to connect to"),
        )
        .arg(
            Arg::new("workers")
                .long("workers")
                .value_name("N")
                .value_parser(value_parser!(usize))
                .help("Run N worker threads instead of one for each core"),
        )
}

fn main() -> ExitCode {
    program::run(command(), |matches| {
        let argument = |name| matches.get_one::<String>(name).cloned().unwrap_or_default();
        let mut builder = Builder::new_multi_thread();
        if let Some(&workers) = matches.get_one("workers") {
            builder = builder.worker_threads(workers);
        }
        builder
            .build()?
            .block_on(serve(&argument("listen"), argument("upstream")))
    })
}

/// Relays until a signal comes.
async fn serve(listen: &str, upstream: String) -> io::Result<()> {
    gannet::net::split_host_port(&upstream)?;
    let stop = StopSignal::catch()?;
    let listener = listen_stream("tcp", listen).await?;
    let mut stdout = io::stdout();
    writeln!(stdout, "listening tcp {}", listener.local_addr()?)?;
    stdout.flush()?;

    let proxy = Arc::new(Proxy {
        upstream,
        report: Report::new("proxy"),
    });
    gannet::spawn(accept_all(proxy, listener));
    stop.wait().await;
    Ok(())
}

/// What all connections share.
struct Proxy {
    upstream: String,
    report: Report,
}

async fn accept_all(proxy: Arc<Proxy>, listener: Listener) {
    loop {
        match listener.accept().await {
            Ok((client, _peer)) => {
                gannet::spawn(relay(proxy.clone(), client));
            }
            Err(err) => {
                proxy.report.error(&err);
                time::sleep(ACCEPT_ERROR_PAUSE).await;
            }
        }
    }
}

const ACCEPT_ERROR_PAUSE: Duration = Duration::from_millis(100);

/// Relays one connection until both directions have ended, or one has failed.
async fn relay(proxy: Arc<Proxy>, client: Conn) {
    let server = match dial("tcp", &proxy.upstream).await {
        Ok(server) => server,
        Err(err) => return proxy.report.error(&err),
    };
    match copy_bidirectional(&client, &server).await {
        // A reset, passed on by closing the other side.
        Err(err) if error::raw_os_error(&err).is_some() => {}
        Err(err) => proxy.report.error(&err),
        Ok(_bytes) => {}
    }
}
