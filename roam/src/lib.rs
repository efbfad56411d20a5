//! An encrypted UDP transport whose sessions survive a change of address.

#![forbid(unsafe_code)]

pub mod proto;
mod state;

pub use state::{Blob, Output, UserStream};
