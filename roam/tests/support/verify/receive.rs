//! What a datagram changes at the end where it arrives.

use gannet_roam::proto::constants::CE_PENALTY;
use gannet_roam::proto::{Instruction, Side, Timestamp, inflate};

use super::Verifier;
use super::decode::Decoded;
use super::end::{Held, SLACK_MS};
use super::line::index;

/// A datagram on its way.
pub(crate) struct Flight {
    pub(crate) to: Side,
    pub(crate) injected: bool,
    pub(crate) marked: bool,
    pub(crate) decoded: Decoded,
}

impl Verifier {
    /// Hands over what has arrived by `now`.
    pub(crate) fn deliver_until(&mut self, now: f64) {
        while let Some(first) = self.flights.first_entry() {
            let &(at, n) = first.key();
            let at = f64::from_bits(at);
            if at > now {
                return;
            }
            let flight = first.remove();
            self.arrive(&flight, at, n);
        }
    }

    fn arrive(&mut self, flight: &Flight, at: f64, n: u64) {
        let (decoded, to) = (&flight.decoded, index(flight.to));
        let end = &mut self.ends[to];
        if decoded.seq >= end.expected {
            end.expected = decoded.seq.saturating_add(1);
            if let Some(timestamp) = decoded.header.timestamp {
                end.held_before = end.held.filter(|held| at - held.at < SLACK_MS);
                let timestamp = match flight.marked {
                    true => timestamp.minus(CE_PENALTY),
                    false => timestamp,
                };
                end.held = Some(Held { timestamp, at });
            }
            if let Some(reply) = decoded.header.reply {
                end.rtt.sample(Timestamp::from_millis(at as u64), reply);
            }
            self.note("datagrams in order");
        } else {
            let is_known = flight.injected || self.session.reorder;
            self.check(
                "old sequence number is injected or reordered",
                is_known,
                || format!("packet {n} with number {}", decoded.seq),
            );
        }
        self.instruction_arrives(decoded, to, at);
    }

    /// The receiver's part of `mosh-wire.md` §8, as far as the checks need it.
    fn instruction_arrives(&mut self, decoded: &Decoded, to: usize, at: f64) {
        let end = &mut self.ends[to];
        let blob = decoded
            .fragment()
            .and_then(|piece| end.assembler.add(piece));
        let plain = match blob {
            Ok(None) => return,
            Ok(Some(blob)) => inflate(&blob),
            Err(error) => Err(error),
        };
        let Ok(inst) = plain.and_then(|plain| Instruction::decode(&plain)) else {
            return self.note("datagrams dropped by the receiver");
        };
        let known = end.known.newest();
        if end.sent.contains(&inst.ack_num) && inst.ack_num > known {
            end.known.push(at, inst.ack_num);
        }
        if end.received.contains(&inst.new_num) {
            return self.note("states that came again");
        }
        if !end.received.contains(&inst.old_num) {
            return self.note("states from an unknown one");
        }
        end.received.retain(|&number| number >= inst.throwaway_num);
        let is_newest = end.received.iter().all(|&number| number < inst.new_num);
        end.received.push(inst.new_num);
        if is_newest {
            end.acks.push(at, inst.new_num);
        }
    }
}
