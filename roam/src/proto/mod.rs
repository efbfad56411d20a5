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
//!
//! connection    order, timestamps, round trips                        (over seal, packet, rtt, replay)
//!   paths       where a server sends to, and how much
//!   ports       a client's sockets
//!   silence     whether the peer is heard
//! sender        which of our states go out, and when
//! receiver      which of the peer's states are held
//! session       a state in each direction                             (over all of these)
//! datagrams     the application's own payloads                        (over connection alone)
//! ```
//!
//! Whatever came from outside goes through a `decode`, `open`, `add` or `inflate` that answers
//! with a value or with a [`PeerError`], takes bounded memory and never panics.

mod connection;
pub mod constants;
mod datagrams;
mod deflate;
mod error;
mod event;
mod fragment;
mod instruction;
mod key;
mod message;
mod ocb;
mod pacer;
mod packet;
mod paths;
mod policy;
mod ports;
mod protocol;
mod receiver;
mod replay;
mod rtt;
mod seal;
mod sender;
mod session;
mod silence;
mod state;
mod stats;

pub use connection::{Arrival, Transmit};
pub use datagrams::Datagrams;
pub use deflate::{deflate, inflate};
pub use error::{LocalError, PeerError};
pub use event::Event;
pub use fragment::{Assembler, Fragment, Fragmenter, Fragments};
pub use instruction::Instruction;
pub use key::{Key, KeyError};
pub use message::{HostEvent, UserEvent};
pub use packet::{Header, Timestamp};
pub use ports::{Port, PortChange};
pub use protocol::{Protocol, SendFailure};
pub use rtt::Rtt;
pub use seal::{Opened, Seal, Side};
pub use session::{Random, Session};
pub use state::State;
pub use stats::{Rejected, Stats};
