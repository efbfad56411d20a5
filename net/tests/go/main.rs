//! What Go's own tests check of sockets, where no test of another subject shows it already.
//!
//! `tests/GO.md` tells for each of Go's tests which one stands for it here.

#[path = "../common/mod.rs"]
mod common;

mod addresses;
mod control;
mod dial;
mod errors;
mod files;
mod ip;
mod listen;
mod methods;
mod multicast;
mod names;
mod race;
mod raw;
mod relays;
mod scoped;
mod servers;
mod streams;
mod udp;
mod unix;
