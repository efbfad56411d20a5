//! Shows a shell on another machine, wherever this one goes: a stand-in for `mosh-client`.
//!
//! Shows a session from its client's side, a terminal that does not block the runtime and is given
//! back as it was whatever happens, and signals as futures.
//!
//! ```text
//! MOSH_KEY=... cargo run --release --example roam_attach -- 127.0.0.1 60001
//! ```

#[path = "../support/emulator.rs"]
mod emulator;
#[path = "../support/paint.rs"]
mod paint;
#[path = "../support/program.rs"]
mod program;
#[path = "../support/screen.rs"]
mod screen;
#[path = "../support/select.rs"]
mod select;

mod attach;
mod banner;
mod keys;
mod options;
mod secret;
mod signals;
mod terminal;

use std::env;
use std::io::{self, Write};
use std::net::SocketAddr;
use std::process::ExitCode;

use gannet::Builder;
use gannet::roam::Key;

use attach::Attached;
use keys::Keys;
use options::Options;
use screen::Size;
use secret::{KEY_PIPE, take_key};
use terminal::Terminal;

fn main() -> ExitCode {
    program::run(options::command(), |matches| {
        if matches.get_flag("colors") {
            let term = env::var("TERM").unwrap_or_default();
            return writeln!(io::stdout(), "{}", options::colors(&term));
        }
        let key = take_key(matches.get_one(KEY_PIPE))?.parse();
        let key: Key = key.map_err(io::Error::other)?;
        let escape = env::var("MOSH_ESCAPE_KEY").ok();
        let keys = Keys::new(escape.as_deref()).map_err(io::Error::other)?;
        let options = Options::of(matches).ok_or(io::ErrorKind::InvalidInput)?;
        let runtime = Builder::new_current_thread().build()?;
        runtime.block_on(run(&options, key, keys))
    })
}

/// Runs the session until it ends.
async fn run(options: &Options, key: Key, keys: Keys) -> io::Result<()> {
    let server = SocketAddr::new(options.ip, options.port);
    let clean = match &options.command {
        Some(line) => {
            let session = attach::start(key, server, Size::default())?;
            attach::run_command(session, line).await?
        }
        None => {
            let other_screen = env::var_os("MOSH_NO_TERM_INIT").is_none();
            let terminal = Terminal::open(other_screen)?;
            Attached::new(key, server, keys, terminal)?.run().await?
        }
    };
    match clean {
        true => Ok(()),
        false => Err(io::Error::other(
            "the server did not confirm the end of the session",
        )),
    }
}
