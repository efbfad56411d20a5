//! The numbers of mosh 1.4's protocol, each with the clause of `mosh-wire.md` that states it.
//!
//! Those that the wire fixes (lengths, version) cannot be changed without losing the peer; the
//! others are what a peer expects of our timing.

use std::ops::RangeInclusive;
use std::time::Duration;

/// The version in every instruction (§6).
pub const PROTOCOL_VERSION: u32 = 2;

/// Octets of the key (§3.1).
pub const KEY_LEN: usize = 16;

/// Octets of the cipher's nonce: four zeros, then the eight that are sent (§3.2).
pub const NONCE_LEN: usize = 12;

/// Octets of the nonce that stand in the datagram (§3.2).
pub const NONCE_SENT_LEN: usize = 8;

/// Octets of the tag (§3.3).
pub const TAG_LEN: usize = 16;

/// Blocks of 16 octets of plaintext that one side may encrypt with one key (§3.4).
pub const KEY_BLOCKS_MAX: u64 = 1 << 47;

/// Sequence numbers of one direction; the nonce's other bit is the direction (§3.2).
pub const SEQUENCE_NUMBERS: u64 = 1 << 63;

/// The state number that says "shut down", and the acknowledgement of it (§6).
pub const SHUTDOWN: u64 = u64::MAX;

/// Octets of the two timestamps before the payload (§3.5).
pub const TIMESTAMPS_LEN: usize = 4;

/// Octets of a fragment's header (§5).
pub const FRAGMENT_HEADER_LEN: usize = 10;

/// Octets of a datagram that are not contents of a fragment (§4.5).
pub const OVERHEAD: usize = NONCE_SENT_LEN + TIMESTAMPS_LEN + FRAGMENT_HEADER_LEN + TAG_LEN;

/// The most pieces that one instruction is cut into: their numbers have 15 bits (§5).
pub const FRAGMENTS_MAX: usize = 1 << 15;

/// The longest instruction, in octets before compression (§5).
pub const INFLATE_MAX: usize = 4 << 20;

/// The type of service of datagrams over IPv4: ECT(0), so that routers can say "congestion experienced"
/// instead of dropping (§4.4). mosh cannot see that on IPv6, so nothing is set there.
pub const TOS: u8 = 0x02;

/// The longest datagram sent from an IPv4 socket, in octets of UDP payload (§4.5).
pub const MTU_IPV4: usize = 1280 - 20 - 8;

/// The longest datagram sent from an IPv6 socket, in octets of UDP payload (§4.5).
pub const MTU_IPV6: usize = 1280 - 40 - 16 - 8;

/// The longest datagram after the kernel refused one as too long, in octets (§4.5).
pub const MTU_LAST_RESORT: usize = 500;

/// The longest datagram that is received, in octets (§3.5).
pub const RECEIVE_BUFFER: usize = 2048;

/// The smallest retransmission timeout (§4.2).
pub const RTO_MIN: Duration = Duration::from_millis(50);

/// The largest retransmission timeout (§4.2).
pub const RTO_MAX: Duration = Duration::from_millis(1000);

/// The smoothed round-trip time before the first sample (§4.2).
pub const SRTT_INITIAL: Duration = Duration::from_millis(1000);

/// The variation of the round-trip time before the first sample (§4.2).
pub const RTTVAR_INITIAL: Duration = Duration::from_millis(500);

/// A round-trip sample as long as this, or longer, is no sample (§4.2).
pub const RTT_SAMPLE_LIMIT: Duration = Duration::from_millis(5000);

/// A peer's timestamp held as long as this is answered no more (§4.1).
pub const TIMESTAMP_HOLD_LIMIT: Duration = Duration::from_millis(1000);

/// What a mark of congestion adds to the peer's next round-trip sample (§4.4).
pub const CE_PENALTY: Duration = Duration::from_millis(500);

/// The ports that a server tries by default (§4.7).
pub const SERVER_PORTS: RangeInclusive<u16> = 60001..=60999;

/// A server that has heard nothing for longer than this stops sending (§4.11).
pub const SERVER_ASSOCIATION_TIMEOUT: Duration = Duration::from_secs(40);

/// A client without a round trip for longer than this changes its port (§4.11).
pub const PORT_HOP_INTERVAL: Duration = Duration::from_secs(10);

/// The most ports that a client keeps open (§4.13).
pub const PORTS_OPEN_MAX: usize = 10;

/// A client keeps its old ports this long after the last hop (§4.13).
pub const OLD_SOCKET_AGE_MAX: Duration = Duration::from_secs(60);

/// How long a client collects changes before it sends them (§7).
pub const MINDELAY_CLIENT: Duration = Duration::from_millis(1);

/// The shortest time between two frames (§7).
pub const FRAME_INTERVAL_MIN: Duration = Duration::from_millis(20);

/// The longest time between two frames (§7).
pub const FRAME_INTERVAL_MAX: Duration = Duration::from_millis(250);

/// An idle side sends a heartbeat this long after its last instruction (§7).
pub const ACK_INTERVAL: Duration = Duration::from_millis(3000);

/// New data is acknowledged at latest after this (§7).
pub const ACK_DELAY: Duration = Duration::from_millis(100);

/// Changes are resent at frame rate for this long after the peer was heard (§7).
pub const ACTIVE_RETRY_TIMEOUT: Duration = Duration::from_secs(10);

/// Instructions that ask for the shutdown before it is given up (§8).
pub const SHUTDOWN_RETRIES: u32 = 16;

/// How long a shutdown is asked for before it is given up (§8).
pub const SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(10);

/// The most states in a sender's list (§7).
pub const SENT_STATES_MAX: usize = 32;

/// The entry, counted from the end, that leaves a sender's list which is too long (§7).
pub const SENT_STATES_DROPPED: usize = 16;

/// The most states in a receiver's list before it is quenched (§8).
pub const RECEIVED_STATES_MAX: usize = 1024;

/// How long a receiver with too many states takes no other (§8).
pub const QUENCH_TIME: Duration = Duration::from_secs(15);

/// A diff from the newest state known to be held is sent if it has fewer octets than this (§7) ...
pub const RESEND_LEN_MAX: usize = 1000;

/// ... and less than this longer than the diff from the assumed state (§7).
pub const RESEND_EXTRA_MAX: usize = 100;

/// The most random octets at the end of an instruction (§6).
pub const CHAFF_MAX: usize = 16;

/// How long a server waits for input to show in its output before it says so (§9).
pub const ECHO_ACK_DELAY: Duration = Duration::from_millis(50);

/// A server ends if no client has come after this (§10).
pub const SERVER_LONELY_TIMEOUT: Duration = Duration::from_secs(60);

/// A client ends if no server has answered after this (§10).
pub const CLIENT_LONELY_TIMEOUT: Duration = Duration::from_secs(15);

/// A client tells its user after this that nothing has come yet (§10).
pub const BANNER_FIRST: Duration = Duration::from_millis(250);

/// A client tells its user that no new state has come for this long (§10).
pub const BANNER_CONTACT: Duration = Duration::from_millis(6500);

/// A client tells its user that nothing was acknowledged for this long (§10).
pub const BANNER_REPLY: Duration = Duration::from_secs(10);

const _: () = assert!(OVERHEAD == 38);
const _: () = assert!(MTU_IPV4 == 1252 && MTU_IPV6 == 1216);
const _: () = assert!(SENT_STATES_DROPPED < SENT_STATES_MAX);
