//! The terminal parts of the roaming examples, by the tests that stand beside their code.
#![allow(dead_code, reason = "the programs use what no test needs")]

#[path = "../examples/support/emulator.rs"]
mod emulator;
#[path = "../examples/support/paint.rs"]
mod paint;
#[path = "../examples/support/screen.rs"]
mod screen;
