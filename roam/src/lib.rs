//! An encrypted UDP transport whose sessions survive a change of address.

#![forbid(unsafe_code)]

pub mod proto;

mod client;
mod connection;
mod driver;
mod error;
mod key;
mod network;
mod scratch;
mod server;
mod session;
mod shared;
mod sockets;
mod state;
mod sync;
mod waiters;

pub use client::Client;
pub use connection::Connection;
pub use error::PathError;
pub use key::generate_key;
pub use proto::{Event, Key, KeyError, LocalError, PeerError, State, Stats};
pub use server::{Bound, Server};
pub use session::Session;
pub use state::{Blob, Output, UserStream};
