//! A shell for one client that may change its address: a stand-in for `mosh-server`.
//!
//! Shows a session that outlives the addresses of its client, a terminal as the object that both
//! ends hold, descriptors of other kinds in the runtime (`AsyncFd` for a pseudoterminal and for a
//! process), and a program that goes into the background.
//!
//! ```text
//! mosh --server=target/release/examples/roam_shell HOST
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
#[path = "../support/signals.rs"]
mod signals;

mod args;
mod command;
mod detach;
mod echo_ack;
mod hold;
mod limits;
mod pty;
mod serve;
mod shell;

use std::env;
use std::process::ExitCode;

use gannet::Builder;

use args::Arguments;
use command::Program;
use detach::{Role, detach};
use pty::Held;
use serve::serve;

fn main() -> ExitCode {
    if let Some(status) = hold::hold_if_asked() {
        return status;
    }
    program::run(args::command(), |matches| {
        let ssh_connection = env::var("SSH_CONNECTION").ok();
        let arguments = Arguments::of(matches, ssh_connection.as_deref());
        let Role::Serve(announcement) = detach(&arguments)? else {
            return Ok(());
        };
        let program = Program::new(
            &arguments.command,
            arguments.colors,
            &arguments.locale,
            |name| env::var_os(name),
        );
        // Before the runtime: a process with threads should start no others that it holds.
        let held = Held::start(&env::current_exe()?, &program)?;
        let runtime = Builder::new_current_thread().build()?;
        runtime.block_on(serve(&arguments, held, announcement))
    })
}
