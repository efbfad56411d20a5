//! Checks captured sessions of mosh 1.4 with the code of this crate.
//!
//! From key and octets alone everything else is made again: plaintext, timestamps, fragments,
//! instruction, diff. It is compared with what the file says, with what a model of both ends
//! expects at that time, and, where there is one, with the log of the server that sent it.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use gannet_roam::proto::constants::{
    CHAFF_MAX, MTU_IPV4, MTU_IPV6, OVERHEAD, SHUTDOWN, TIMESTAMP_HOLD_LIMIT,
};
use gannet_roam::proto::{
    Fragment, HostEvent, Instruction, Key, PeerError, Seal, Side, Timestamp, UserEvent, deflate,
    inflate,
};
use serde_json::{Value, json};

#[path = "verify/decode.rs"]
mod decode;
#[path = "verify/end.rs"]
mod end;
#[path = "verify/line.rs"]
mod line;
#[path = "verify/receive.rs"]
mod receive;

use decode::{Decoded, facts, host_facts, inst_facts, numbers, open, reseal, user_facts};
use end::{End, Held, SLACK_MS, deeds};
use line::{Line, Log, Malformed, Packet, Session, index};
use receive::Flight;

/// How far a reply may be from the model's, in milliseconds.
const REPLY_SLACK_MS: i64 = 25;

/// What came of checking one file.
#[derive(Default)]
pub(crate) struct Report {
    pub(crate) packets: u64,
    /// How often each check passed.
    pub(crate) passed: BTreeMap<&'static str, u64>,
    pub(crate) failures: Vec<Failure>,
    /// What is neither right nor wrong, counted.
    pub(crate) notes: BTreeMap<&'static str, u64>,
}

/// A check that did not pass.
pub(crate) struct Failure {
    pub(crate) packet: u64,
    pub(crate) check: &'static str,
    pub(crate) detail: String,
}

impl Report {
    pub(crate) fn checks(&self) -> u64 {
        self.passed.values().sum::<u64>() + self.failures.len() as u64
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (packets, checks) = (self.packets, self.checks());
        let failed = self.failures.len();
        write!(f, "{packets} packets, {checks} checks, {failed} failed")
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "packet {}: {}: {}", self.packet, self.check, self.detail)
    }
}

/// Checks the capture `text`, which came from `file`.
pub(crate) fn verify(file: &str, text: &str) -> Result<Report, Malformed> {
    let mut lines = (1..)
        .zip(text.lines())
        .filter(|(_, text)| !text.trim().is_empty());
    let Some((at, first)) = lines.next() else {
        let (file, message) = (file.to_owned(), "no line at all".to_owned());
        return Err(Malformed {
            file,
            line: 1,
            message,
        });
    };
    let session = Line::parse(file, at, first)?.session()?;
    let mut verifier = Verifier::new(session);
    for (at, text) in lines {
        let line = Line::parse(file, at, text)?;
        match line.kind()? {
            "event" => {}
            "pkt" => verifier.packet(line.packet()?),
            other => return Err(line.wrong(&format!("unknown `type`: {other}"))),
        }
    }
    verifier.deliver_until(f64::INFINITY);
    Ok(verifier.report)
}

struct Verifier {
    session: Session,
    report: Report,
    ends: [End; 2],
    /// By time of arrival, whose bits sort as it does because it is not negative.
    flights: BTreeMap<(u64, u64), Flight>,
    /// The packet being checked.
    n: u64,
}

impl Verifier {
    fn new(session: Session) -> Self {
        Self {
            session,
            report: Report::default(),
            ends: [End::new(), End::new()],
            flights: BTreeMap::new(),
            n: 0,
        }
    }

    fn check(&mut self, check: &'static str, passed: bool, detail: impl FnOnce() -> String) {
        if passed {
            *self.report.passed.entry(check).or_default() += 1;
            return;
        }
        let (packet, detail) = (self.n, detail());
        let failure = Failure {
            packet,
            check,
            detail,
        };
        self.report.failures.push(failure);
    }

    fn note(&mut self, note: &'static str) {
        *self.report.notes.entry(note).or_default() += 1;
    }

    fn packet(&mut self, packet: Packet) {
        self.report.packets += 1;
        self.n = packet.n;
        self.deliver_until(packet.t);
        for key in packet.bad_keys.iter().flatten() {
            let refused = Seal::new(key, packet.from.peer())
                .open(&mut packet.raw.clone())
                .err();
            self.check(
                "wrong key or forged datagram is refused",
                matches!(refused, Some(PeerError::Forged | PeerError::Short)),
                || format!("{refused:?}"),
            );
        }
        let Some(key) = &packet.key else {
            return;
        };
        let decoded = match open(key, &packet.raw) {
            Ok(decoded) => decoded,
            Err(error) => return self.check("opens and parses", false, || error.to_string()),
        };
        let Ok(fragment) = decoded.fragment() else {
            return self.check("opens and parses", false, || "no fragment".to_owned());
        };
        self.check("opens and parses", true, String::new);
        let again = reseal(key, &decoded);
        self.check(
            "sealed again it is the same octets",
            again.as_ref() == Some(&packet.raw),
            || format!("sequence number {}", decoded.seq),
        );
        self.annotation(&packet, &facts(&decoded, &fragment));
        self.direction(&packet, key, &decoded);
        if packet.injected.as_deref() == Some("reflect") {
            return;
        }
        if packet.injected.is_none() {
            self.sent(&packet, &decoded, &fragment);
        }
        if packet.delivered && packet.bad_keys.is_none() {
            let flight = Flight {
                to: packet.from.peer(),
                injected: packet.injected.is_some(),
                marked: packet.marked,
                decoded,
            };
            self.flights
                .insert((packet.t_rx.to_bits(), packet.n), flight);
        }
    }

    /// The receiver takes what the other side sealed, and nothing else.
    fn direction(&mut self, packet: &Packet, key: &Key, decoded: &Decoded) {
        let opened = Seal::new(key, packet.from.peer())
            .open(&mut packet.raw.clone())
            .err();
        if packet.injected.as_deref() == Some("reflect") {
            self.check(
                "reflected datagram is refused for its direction",
                opened == Some(PeerError::Direction),
                || format!("{opened:?}"),
            );
        } else {
            self.check(
                "direction bit",
                opened.is_none() && decoded.bit == packet.from,
                || format!("bit of the {:?} from the {:?}", decoded.bit, packet.from),
            );
        }
    }

    /// What the file says about the contents is what we found.
    fn annotation(&mut self, packet: &Packet, facts: &Value) {
        for (name, fact) in facts.as_object().into_iter().flatten() {
            let said = packet.all.get(name).unwrap_or(&Value::Null);
            self.check("annotation equals own decoding", said == fact, || {
                format!("{name}: the file has {said}, decoded {fact}")
            });
        }
    }

    /// Everything that the sender decided.
    fn sent(&mut self, packet: &Packet, decoded: &Decoded, fragment: &Fragment<'_>) {
        let from = index(packet.from);
        let family_mtu = if packet.ipv6 { MTU_IPV6 } else { MTU_IPV4 };
        let mtu = self.session.mtu(packet.from, family_mtu);
        let is_real = self.session.real[from];
        self.numbers(packet, decoded, fragment, mtu);
        if is_real {
            self.timestamps(packet, decoded);
        }
        if decoded.header.reply.is_some() {
            self.ends[from].held = None;
        }
        if let Some(log) = &packet.log {
            self.log(log, fragment, from);
        }
        let end = &mut self.ends[from];
        end.pieces.push(decoded.payload.clone());
        match end.sent_assembler.add(*fragment) {
            Ok(None) => {}
            Ok(Some(blob)) => self.transmission(packet, blob, mtu),
            Err(error) => self.check("fragments join", false, || error.to_string()),
        }
    }

    fn numbers(&mut self, packet: &Packet, decoded: &Decoded, piece: &Fragment<'_>, mtu: usize) {
        let (complete, end) = (self.session.complete, &mut self.ends[index(packet.from)]);
        let (expected, seq) = (end.next_seq, decoded.seq);
        let (id_before, id) = (end.fragment_id, piece.id);
        end.next_seq = seq.saturating_add(1);
        end.fragment_id = id;
        if id != id_before {
            end.pieces.clear();
        }
        if complete {
            self.check(
                "sequence number starts at 0 and grows by 1",
                seq == expected,
                || format!("{seq}, expected {expected}"),
            );
        } else {
            self.check("sequence number grows", seq >= expected, || {
                format!("{seq}, expected {expected} or more")
            });
        }
        let (len, room) = (packet.raw.len(), mtu.saturating_sub(OVERHEAD));
        self.check("datagram is within the MTU", len <= mtu, || {
            format!("{len} > {mtu}")
        });
        let len = piece.contents.len();
        let is_full = if piece.last {
            (1..=room).contains(&len)
        } else {
            len == room
        };
        self.check("fragment is full, or the final one", is_full, || {
            format!("{len} of {room}")
        });
        let follows = id == id_before || id == id_before.wrapping_add(1);
        self.check(
            "fragment id is the last one or one more",
            follows || (!complete && id > id_before),
            || format!("{id} after {id_before}"),
        );
    }

    fn timestamps(&mut self, packet: &Packet, decoded: &Decoded) {
        let Some(timestamp) = decoded.header.timestamp else {
            return self.check("timestamp is there", false, String::new);
        };
        self.check("timestamp is there", true, String::new);
        let age = centred(packet.t as i64 - i64::from(timestamp.as_millis()));
        self.check(
            "timestamp is the clock's milliseconds modulo 2^16",
            (-2..=SLACK_MS as i64).contains(&age),
            || format!("{age} ms old"),
        );
        if self.session.complete {
            let now = packet.t - age.max(0) as f64;
            self.reply(index(packet.from), decoded.header.reply, now);
        }
    }

    /// The reply follows from the newest timestamp held: once, below 1000 ms, and corrected by the
    /// time that it was held.
    fn reply(&mut self, from: usize, reply: Option<Timestamp>, now: f64) {
        let end = &self.ends[from];
        let (held, before) = (end.held, end.held_before);
        let limit = TIMESTAMP_HOLD_LIMIT.as_secs_f64() * 1e3;
        match (reply, held) {
            (None, None) => {
                self.check("no reply when nothing recent is held", true, String::new);
            }
            (None, Some(held)) => {
                let for_ms = now - held.at;
                let at_edge = (for_ms - limit).abs() < SLACK_MS || for_ms < 5.0;
                let is_right = for_ms >= limit || at_edge || before.is_some();
                self.check("no reply when nothing recent is held", is_right, || {
                    format!("held for {for_ms:.0} ms")
                });
            }
            (Some(_), None) => {
                self.check("one reply per timestamp", false, || {
                    "nothing was held".to_owned()
                });
            }
            (Some(reply), Some(held)) => {
                let error = |held: Held| centred(i64::from(reply.as_millis()) - held.reply(now));
                let fits = |held| error(held).abs() <= REPLY_SLACK_MS;
                self.check(
                    "reply is the newest timestamp and its hold time",
                    fits(held) || before.is_some_and(fits),
                    || format!("{} ms off", error(held)),
                );
            }
        }
    }

    /// What the server printed as it sent this very datagram.
    fn log(&mut self, log: &Log, piece: &Fragment<'_>, from: usize) {
        let fragment = [piece.id, piece.number.into(), piece.contents.len() as u64];
        let logged = [log.id, log.number, log.len];
        self.check("log: fragment", fragment == logged, || {
            format!("{logged:?}, decoded {fragment:?}")
        });
        let rtt = &self.ends[from].rtt;
        let millis = |time: std::time::Duration| time.as_secs_f64() * 1e3;
        let srtt = millis(rtt.srtt());
        let (rto, interval) = (millis(rtt.rto()), millis(rtt.frame_interval()));
        let off = |a: f64, b: f64| move || format!("{a:.1}, modelled {b:.1}");
        let logged = log.srtt_ms;
        self.check(
            "log: SRTT within 8 ms",
            (logged - srtt).abs() <= 8.0,
            off(logged, srtt),
        );
        let logged = log.timeout_ms;
        self.check(
            "log: RTO within 30 ms",
            (logged - rto).abs() <= 30.0,
            off(logged, rto),
        );
        let logged = 1e3 / log.hz;
        let is_near = (logged - interval).abs() <= 5.0;
        self.check(
            "log: frame interval within 5 ms",
            is_near,
            off(logged, interval),
        );
    }

    /// A whole instruction was sent.
    fn transmission(&mut self, packet: &Packet, blob: Vec<u8>, mtu: usize) {
        let pieces = std::mem::take(&mut self.ends[index(packet.from)].pieces);
        let plain = match inflate(&blob) {
            Ok(plain) => plain,
            Err(error) => return self.check("inflates", false, || error.to_string()),
        };
        self.check("inflates", true, String::new);
        let inst = match Instruction::decode(&plain) {
            Ok(inst) => inst,
            Err(error) => return self.check("instruction parses", false, || error.to_string()),
        };
        self.check("instruction parses", true, String::new);
        if self.session.real[index(packet.from)] {
            self.encoding(&inst, &plain, &blob);
            self.fragmenter(packet.from, &inst, blob, mtu, &pieces);
        }
        let version = inst.protocol_version;
        self.check("protocol version", inst.check_version().is_ok(), || {
            version.to_string()
        });
        let chaff = inst.chaff.len();
        self.check("chaff is 16 octets at most", chaff <= CHAFF_MAX, || {
            chaff.to_string()
        });
        self.states(packet, &inst);
        self.diff(packet, &inst);
        if let Some(log) = &packet.log {
            // The server prints the shutdown's number as -1.
            let numbers = numbers(&inst).map(u64::cast_signed);
            self.check("log: state numbers", numbers == log.numbers, || {
                format!("{:?}, decoded {numbers:?}", log.numbers)
            });
        }
    }

    fn encoding(&mut self, inst: &Instruction, plain: &[u8], blob: &[u8]) {
        self.check(
            "stream has zlib's default header",
            blob.starts_with(b"\x78\x9c"),
            || format!("{:?}", blob.get(..2)),
        );
        self.check(
            "instruction encoded again is the same octets",
            inst.encode() == plain,
            || format!("{} octets", plain.len()),
        );
        let again = deflate(plain).unwrap_or_default();
        let is_whole = inflate(&again).as_deref() == Ok(plain);
        self.check("deflated again it inflates to the same", is_whole, || {
            format!("{} octets", again.len())
        });
        // Another compressor than mosh's may choose other matches, but not much worse ones.
        let longest = blob.len() + blob.len() / 20 + 4;
        self.check(
            "deflated again it is as short, within 5 %",
            again.len() <= longest,
            || format!("{} octets, mosh has {}", again.len(), blob.len()),
        );
        self.note(match again == blob {
            true => "deflated again to the same octets",
            false => "deflated again to other octets",
        });
    }

    /// Our fragmenter makes of the same instruction the same id and the same pieces.
    fn fragmenter(
        &mut self,
        from: Side,
        inst: &Instruction,
        blob: Vec<u8>,
        mtu: usize,
        pieces: &[Vec<u8>],
    ) {
        let fragmenter = &mut self.ends[index(from)].fragmenter;
        let Ok(mut fragments) = fragmenter.split(inst, Arc::from(blob), mtu) else {
            return self.check("fragmented again it is the same", false, || {
                "too long".to_owned()
            });
        };
        let mut again = Vec::new();
        while !fragments.is_empty() {
            let mut piece = Vec::new();
            fragments.next_into(&mut piece);
            again.push(piece);
        }
        // Where datagrams are missing from the capture, so are ids.
        let skipped = if self.session.complete { 0 } else { 8 };
        let same = again.len() == pieces.len()
            && again
                .iter()
                .zip(pieces)
                .all(|(a, b)| a.get(skipped..) == b.get(skipped..));
        self.check("fragmented again it is the same", same, || {
            format!(
                "id {}, {} pieces, captured {}",
                fragments.id(),
                again.len(),
                pieces.len()
            )
        });
    }

    fn states(&mut self, packet: &Packet, inst: &Instruction) {
        let from = index(packet.from);
        let [old, new, ack, throwaway] = numbers(inst);
        let is_sent = self.ends[from].sent.contains(&old);
        self.check("old state was sent before", is_sent, || old.to_string());
        self.check(
            "throwaway <= old <= new",
            throwaway <= old && old <= new,
            || format!("{throwaway}, {old}, {new}"),
        );
        let newest = self.ends[from].newest_sent;
        let follows = new == newest || new == newest.wrapping_add(1) || new == SHUTDOWN;
        self.check(
            "new state is the last one, the next one or the shutdown",
            follows || (!self.session.complete && new > newest),
            || format!("{new} after {newest}"),
        );
        let end = &mut self.ends[from];
        end.newest_sent = new;
        if !end.sent.contains(&new) {
            end.sent.push(new);
        }
        if !(self.session.real[from] && self.session.complete) {
            return;
        }
        let (acks, known) = (end.acks.newest(), end.known.newest());
        let is_ack = end.acks.around(packet.t, ack);
        let is_known = end.known.around(packet.t, throwaway);
        self.check("ack is the newest state received", is_ack, || {
            format!("{ack}, modelled {acks}")
        });
        self.check(
            "throwaway is the newest state known to be held",
            is_known,
            || format!("{throwaway}, modelled {known}"),
        );
    }

    fn diff(&mut self, packet: &Packet, inst: &Instruction) {
        let decoded = match packet.from {
            Side::Client => UserEvent::decode(&inst.diff).map(|events| {
                self.stream(inst, &events);
                (UserEvent::encode(&events), user_facts(&events))
            }),
            Side::Server => HostEvent::decode(&inst.diff).map(|events| {
                self.echo(&events);
                (HostEvent::encode(&events), host_facts(&events))
            }),
        };
        let (again, events) = match decoded {
            Ok(decoded) => decoded,
            Err(error) => return self.check("diff parses", false, || error.to_string()),
        };
        self.check("diff parses", true, String::new);
        if self.session.real[index(packet.from)] {
            self.check(
                "diff encoded again is the same octets",
                again == inst.diff,
                || format!("{} octets", inst.diff.len()),
            );
        }
        let facts = json!({
            "inst": inst_facts(inst),
            "diff": events,
        });
        self.annotation(packet, &facts);
    }

    /// A state's number always means the same contents.
    fn stream(&mut self, inst: &Instruction, events: &[UserEvent]) {
        let stream = &mut self.ends[index(Side::Client)].stream;
        let Some(base) = stream.get(&inst.old_num) else {
            return;
        };
        let state = [&base[..], &deeds(events)].concat();
        let before = stream.insert(inst.new_num, state.clone());
        if let Some(before) = before.filter(|_| inst.new_num != SHUTDOWN) {
            self.check(
                "state always has the same contents",
                before == state,
                || inst.new_num.to_string(),
            );
        }
    }

    fn echo(&mut self, events: &[HostEvent]) {
        let newest = self.ends[index(Side::Server)]
            .received
            .iter()
            .max()
            .copied();
        for event in events {
            if let &HostEvent::EchoAck(number) = event {
                let is_known = newest.is_some_and(|newest| number <= newest);
                self.check("echo ack names a received state", is_known, || {
                    number.to_string()
                });
            }
        }
    }
}

/// A difference of two 16-bit clocks, from -32768 to 32767.
fn centred(difference: i64) -> i64 {
    (difference + 0x8000).rem_euclid(0x1_0000) - 0x8000
}
