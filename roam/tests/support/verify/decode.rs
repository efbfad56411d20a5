//! A datagram taken apart and put together again, and how a file describes its parts.

use gannet_roam::proto::{
    Fragment, Header, HostEvent, Instruction, Key, PeerError, Seal, Side, Timestamp, UserEvent,
};
use serde_json::{Value, json};

use super::line::index;

/// Captures are short; a number above this is no capture's and would take long to reach.
const SEQ_MAX: u64 = 1 << 20;

/// A datagram that was opened, in its parts.
#[derive(Clone)]
pub(crate) struct Decoded {
    pub(crate) nonce: String,
    /// The side whose direction bit it bears.
    pub(crate) bit: Side,
    pub(crate) seq: u64,
    pub(crate) header: Header,
    /// The fragment with its header.
    pub(crate) payload: Vec<u8>,
}

impl Decoded {
    pub(crate) fn fragment(&self) -> Result<Fragment<'_>, PeerError> {
        Fragment::decode(&self.payload)
    }
}

/// Opens `raw` as whichever side its direction bit is meant for.
pub(crate) fn open(key: &Key, raw: &[u8]) -> Result<Decoded, PeerError> {
    let is_server = raw.first().is_some_and(|first| first & 0x80 != 0);
    let bit = if is_server {
        Side::Server
    } else {
        Side::Client
    };
    let mut copy = raw.to_vec();
    let opened = Seal::new(key, bit.peer()).open(&mut copy)?;
    let (header, payload) = Header::decode(opened.payload)?;
    Ok(Decoded {
        nonce: hex(&raw[..8]),
        bit,
        seq: opened.seq,
        header,
        payload: payload.to_vec(),
    })
}

/// Seals the same again: all numbers below are spent first, since each can be had once only.
pub(crate) fn reseal(key: &Key, decoded: &Decoded) -> Option<Vec<u8>> {
    let mut seal = Seal::new(key, decoded.bit);
    if decoded.seq > SEQ_MAX {
        return None;
    }
    let mut out = Vec::new();
    for _ in 0..decoded.seq {
        seal.seal(&[], &mut out).ok()?;
        out.clear();
    }
    let plain = [&decoded.header.encode()[..], &decoded.payload].concat();
    seal.seal(&plain, &mut out).ok()?;
    Some(out)
}

/// Old, new, acknowledged and throwaway state.
pub(crate) fn numbers(inst: &Instruction) -> [u64; 4] {
    [inst.old_num, inst.new_num, inst.ack_num, inst.throwaway_num]
}

/// What a file says about a datagram, in its own words.
pub(crate) fn facts(decoded: &Decoded, piece: &Fragment<'_>) -> Value {
    json!({
        "nonce": decoded.nonce,
        "direction": index(decoded.bit),
        "seq": decoded.seq,
        "ts": decoded.header.timestamp.map_or(u16::MAX, Timestamp::as_millis),
        "tsr": decoded.header.reply.map(Timestamp::as_millis),
        "frag": {
            "id": piece.id,
            "num": piece.number,
            "final": piece.last,
            "len": piece.contents.len(),
        },
    })
}

/// What a file says about an instruction, but for its diff.
pub(crate) fn inst_facts(inst: &Instruction) -> Value {
    json!({
        "ver": inst.protocol_version,
        "old": inst.old_num,
        "new": inst.new_num,
        "ack": inst.ack_num,
        "throwaway": inst.throwaway_num,
        "chaff": hex(&inst.chaff),
    })
}

/// What a file says about a user's diff.
pub(crate) fn user_facts(events: &[UserEvent]) -> Vec<Value> {
    let fact = |event: &UserEvent| match event {
        UserEvent::Keys(keys) => json!({ "keys": hex(keys) }),
        UserEvent::Resize { width, height } => json!({ "resize": [width, height] }),
    };
    events.iter().map(fact).collect()
}

/// What a file says about a screen's diff.
pub(crate) fn host_facts(events: &[HostEvent]) -> Vec<Value> {
    let fact = |event: &HostEvent| match event {
        HostEvent::Bytes(bytes) => json!({ "bytes": hex(bytes) }),
        HostEvent::Resize { width, height } => json!({ "resize": [width, height] }),
        HostEvent::EchoAck(number) => json!({ "echo_ack": number }),
    };
    events.iter().map(fact).collect()
}

fn hex(octets: &[u8]) -> String {
    octets.iter().map(|octet| format!("{octet:02x}")).collect()
}
