//! The protocol as state machines without sockets, clocks or randomness of their own.
//!
//! From the datagram upwards, as `mosh-wire.md` has it:
//!
//! ```text
//! seal          nonce, AES-128-OCB3, tag; sequence numbers            (over ocb, key)
//! packet        the two timestamps                                    (rtt makes sense of them)
//! fragment      one instruction in several datagrams
//! deflate       instructions as zlib streams
//! instruction   state numbers, acknowledgement, diff
//! message       diffs as mosh writes them
//! ```
//!
//! Whatever came from outside goes through a `decode`, `open`, `add` or `inflate` that answers
//! with a value or with a [`PeerError`], takes bounded memory and never panics.

pub mod constants;
mod deflate;
mod error;
mod fragment;
mod instruction;
mod key;
mod message;
mod ocb;
mod packet;
mod rtt;
mod seal;

pub use deflate::{deflate, inflate};
pub use error::{LocalError, PeerError};
pub use fragment::{Assembler, Fragment, Fragmenter, Fragments};
pub use instruction::Instruction;
pub use key::{Key, KeyError};
pub use message::{HostEvent, UserEvent};
pub use packet::{Header, Timestamp};
pub use rtt::Rtt;
pub use seal::{Opened, Seal, Side};
