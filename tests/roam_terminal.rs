//! The terminal parts of the roaming examples, by the tests that stand beside their code.
#![allow(dead_code, reason = "the programs use what no test needs")]

#[path = "../examples/support/emulator.rs"]
mod emulator;
#[path = "../examples/support/paint.rs"]
mod paint;
#[path = "../examples/support/program.rs"]
mod program;
#[path = "../examples/support/screen.rs"]
mod screen;
#[path = "../examples/support/select.rs"]
mod select;

#[path = "../examples/roam_shell/args.rs"]
mod args;
#[path = "../examples/roam_shell/command.rs"]
mod command;
#[path = "../examples/roam_shell/echo_ack.rs"]
mod echo_ack;
#[path = "../examples/roam_shell/hold.rs"]
mod hold;
#[path = "../examples/roam_shell/limits.rs"]
mod limits;
#[path = "../examples/roam_shell/pty.rs"]
mod pty;
#[path = "../examples/roam_shell/shell.rs"]
mod shell;

#[path = "../examples/roam_attach/banner.rs"]
mod banner;
#[path = "../examples/roam_attach/keys.rs"]
mod keys;
#[path = "../examples/roam_attach/options.rs"]
mod options;
#[path = "../examples/roam_attach/secret.rs"]
mod secret;
#[path = "../examples/roam_attach/terminal.rs"]
mod terminal;
