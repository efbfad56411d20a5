//! The captured sessions of mosh 1.4 pass every check, and what is wrong with one is found.

use gannet_roam::proto::{
    Fragment, Fragmenter, Header, Instruction, Key, Seal, Side, Timestamp, deflate, inflate,
};
use serde_json::{Value, json};

#[path = "support/verify.rs"]
mod verify;

/// Each capture, with its datagrams: a file that is cut short must not pass.
const VECTORS: [(&str, &str, u64); 10] = [
    ("basic", include_str!("vectors/basic.jsonl"), 25),
    ("client-quit", include_str!("vectors/client-quit.jsonl"), 25),
    (
        "fragments-ipv4",
        include_str!("vectors/fragments-ipv4.jsonl"),
        31,
    ),
    (
        "idle-heartbeat",
        include_str!("vectors/idle-heartbeat.jsonl"),
        21,
    ),
    ("no-contact", include_str!("vectors/no-contact.jsonl"), 21),
    ("port-hop", include_str!("vectors/port-hop.jsonl"), 129),
    ("replay", include_str!("vectors/replay.jsonl"), 31),
    ("roam", include_str!("vectors/roam.jsonl"), 33),
    (
        "server-stopped",
        include_str!("vectors/server-stopped.jsonl"),
        230,
    ),
    ("wrong-key", include_str!("vectors/wrong-key.jsonl"), 21),
];

fn vector(name: &str) -> &'static str {
    let found = VECTORS.iter().find(|(known, ..)| *known == name);
    found.expect("a capture of this name").1
}

#[test]
fn every_capture_passes() {
    for (name, text, packets) in VECTORS {
        let report = verify::verify(name, text).unwrap_or_else(|malformed| panic!("{malformed}"));
        let failures: Vec<String> = report.failures.iter().map(ToString::to_string).collect();
        assert_eq!(failures, [""; 0], "{name}");
        assert_eq!(report.packets, packets, "{name}");
        assert!(report.checks() > 20 * packets, "{name}: {report}");
        assert!(
            !report.passed.is_empty() && !report.notes.is_empty(),
            "{name}"
        );
    }
}

/// The octets of a datagram's plaintext, and the side that sealed it.
fn opened(line: &Value) -> (Key, Side, u64, Vec<u8>) {
    let key: Key = line["key"].as_str().expect("a key").parse().expect("a key");
    let from = if line["dir"] == "c2s" {
        Side::Client
    } else {
        Side::Server
    };
    let raw = line["raw"].as_str().expect("octets");
    let digits = |at| u8::from_str_radix(&raw[at..at + 2], 16).expect("hexadecimal");
    let mut raw: Vec<u8> = (0..raw.len()).step_by(2).map(digits).collect();
    let opened = Seal::new(&key, from.peer())
        .open(&mut raw)
        .expect("authentic");
    let (seq, plain) = (opened.seq, opened.payload.to_vec());
    (key, from, seq, plain)
}

/// Puts another plaintext under the same number into `line`.
fn seal_again(line: &mut Value, (key, from, seq): (Key, Side, u64), plain: &[u8]) {
    let mut seal = Seal::new(&key, from);
    let mut out = Vec::new();
    for _ in 0..seq {
        seal.seal(&[], &mut out).expect("few");
    }
    out.clear();
    seal.seal(plain, &mut out).expect("short");
    let hex: String = out.iter().map(|octet| format!("{octet:02x}")).collect();
    line["raw"] = json!(hex);
}

/// Changes the timestamps under the seal.
fn with_header(line: &mut Value, change: impl FnOnce(&mut Header)) {
    let (key, from, seq, plain) = opened(line);
    let (mut header, rest) = Header::decode(&plain).expect("timestamps");
    change(&mut header);
    let plain = [&header.encode()[..], rest].concat();
    seal_again(line, (key, from, seq), &plain);
}

/// Changes the fragment's header under the seal.
fn with_fragment(line: &mut Value, change: impl FnOnce(&mut Fragment<'_>)) {
    let (key, from, seq, plain) = opened(line);
    let mut fragment = Fragment::decode(&plain[4..]).expect("a fragment");
    change(&mut fragment);
    let plain = [&plain[..4], &fragment.encode_header(), fragment.contents].concat();
    seal_again(line, (key, from, seq), &plain);
}

/// Changes the instruction of a datagram that holds all of it, under seal and compression.
fn with_instruction(line: &mut Value, change: impl FnOnce(&mut Instruction)) {
    let (key, from, seq, plain) = opened(line);
    let blob = inflate(&plain[14..]).expect("one fragment");
    let mut instruction = Instruction::decode(&blob).expect("an instruction");
    change(&mut instruction);
    let blob = deflate(&instruction.encode()).expect("short");
    let mut plain = plain[..14].to_vec();
    plain.extend(blob);
    seal_again(line, (key, from, seq), &plain);
}

type Change = fn(&mut Value);

/// What is done to packet `n` of a capture, and the check that must notice.
struct Corruption {
    capture: &'static str,
    n: u64,
    change: Change,
    caught_by: &'static str,
}

const fn corruption(
    capture: &'static str,
    n: u64,
    change: Change,
    caught_by: &'static str,
) -> Corruption {
    Corruption {
        capture,
        n,
        change,
        caught_by,
    }
}

const ANNOTATION: &str = "annotation equals own decoding";

/// What a file says wrongly about its datagrams.
const IN_THE_FILE: &[Corruption] = &[
    corruption(
        "basic",
        1,
        |l| l["nonce"] = json!("0000000000000001"),
        ANNOTATION,
    ),
    corruption("basic", 2, |l| l["direction"] = json!(0), ANNOTATION),
    corruption("basic", 3, |l| l["seq"] = json!(2), ANNOTATION),
    corruption("basic", 3, |l| l["ts"] = json!(1), ANNOTATION),
    corruption("basic", 2, |l| l["tsr"] = json!(null), ANNOTATION),
    corruption("basic", 3, |l| l["frag"]["id"] = json!(3), ANNOTATION),
    corruption("basic", 3, |l| l["frag"]["len"] = json!(54), ANNOTATION),
    corruption("basic", 3, |l| l["inst"]["old"] = json!(1), ANNOTATION),
    corruption("basic", 3, |l| l["inst"]["chaff"] = json!(""), ANNOTATION),
    corruption(
        "basic",
        5,
        |l| l["diff"][0]["keys"] = json!("6563"),
        ANNOTATION,
    ),
    corruption("basic", 2, |l| l["dir"] = json!("c2s"), "direction bit"),
    corruption(
        "basic",
        2,
        |l| l["key"] = json!("AAAAAAAAAAAAAAAAAAAAAA"),
        "opens and parses",
    ),
    corruption(
        "basic",
        3,
        |l| l["mosh_log"]["ack"] = json!(2),
        "log: state numbers",
    ),
    corruption(
        "basic",
        3,
        |l| l["mosh_log"]["len"] = json!(54),
        "log: fragment",
    ),
    corruption(
        "basic",
        3,
        |l| l["mosh_log"]["srtt"] = json!(991.0),
        "log: SRTT within 8 ms",
    ),
    corruption(
        "basic",
        3,
        |l| l["mosh_log"]["timeout"] = json!(960),
        "log: RTO within 30 ms",
    ),
    corruption(
        "basic",
        3,
        |l| l["mosh_log"]["hz"] = json!(5.0),
        "log: frame interval within 5 ms",
    ),
    corruption(
        "fragments-ipv4",
        0,
        |l| l["v"] = json!(6),
        "datagram is within the MTU",
    ),
    corruption(
        "fragments-ipv4",
        0,
        |l| l["v"] = json!(6),
        "fragment is full, or the final one",
    ),
    corruption(
        "replay",
        0,
        |l| l["injected"] = json!(null),
        "sequence number starts at 0 and grows by 1",
    ),
    corruption(
        "wrong-key",
        1,
        |l| l["bad_keys"] = json!([l["key"]]),
        "wrong key or forged datagram is refused",
    ),
];

/// What mosh would not have sent, in order from the seal to the diff.
const IN_THE_DATAGRAM: &[Corruption] = &[
    corruption(
        "basic",
        3,
        |l| l["raw"] = json!(l["raw"].as_str().map(|raw| &raw[..raw.len() - 2])),
        "opens and parses",
    ),
    corruption(
        "basic",
        3,
        |l| with_header(l, |h| h.timestamp = Some(Timestamp::from_millis(9_000))),
        "timestamp is the clock's milliseconds modulo 2^16",
    ),
    corruption(
        "basic",
        3,
        |l| with_header(l, |h| h.timestamp = None),
        "timestamp is there",
    ),
    corruption(
        "basic",
        3,
        |l| with_header(l, |h| h.reply = h.timestamp),
        "one reply per timestamp",
    ),
    corruption(
        "basic",
        2,
        |l| {
            with_header(l, |h| {
                h.reply = h
                    .timestamp
                    .map(|t| t.minus(std::time::Duration::from_secs(1)))
            })
        },
        "reply is the newest timestamp and its hold time",
    ),
    corruption(
        "basic",
        3,
        |l| with_fragment(l, |f| f.id += 5),
        "fragment id is the last one or one more",
    ),
    corruption(
        "basic",
        3,
        |l| with_fragment(l, |f| f.id -= 1),
        "fragmented again it is the same",
    ),
    corruption(
        "basic",
        3,
        |l| with_fragment(l, |f| f.last = false),
        "fragment is full, or the final one",
    ),
    corruption(
        "basic",
        3,
        |l| with_fragment(l, |f| f.contents = &f.contents[..20]),
        "inflates",
    ),
    corruption(
        "basic",
        3,
        |l| with_instruction(l, |i| i.protocol_version = 3),
        "protocol version",
    ),
    corruption(
        "basic",
        3,
        |l| with_instruction(l, |i| i.old_num = 9),
        "old state was sent before",
    ),
    corruption(
        "basic",
        3,
        |l| with_instruction(l, |i| i.throwaway_num = 1),
        "throwaway <= old <= new",
    ),
    corruption(
        "basic",
        3,
        |l| with_instruction(l, |i| i.new_num = 7),
        "new state is the last one, the next one or the shutdown",
    ),
    corruption(
        "basic",
        3,
        |l| with_instruction(l, |i| i.ack_num = 0),
        "ack is the newest state received",
    ),
    corruption(
        "basic",
        5,
        |l| with_instruction(l, |i| i.throwaway_num = 0),
        "throwaway is the newest state known to be held",
    ),
    corruption(
        "basic",
        3,
        |l| with_instruction(l, |i| i.chaff = vec![0; 17]),
        "chaff is 16 octets at most",
    ),
    corruption(
        "basic",
        3,
        |l| with_instruction(l, |i| i.diff.push(0x0A)),
        "diff parses",
    ),
    corruption(
        "basic",
        3,
        // An unknown event, which is skipped when it is read and so missing when it is written.
        |l| with_instruction(l, |i| i.diff.extend(b"\x0a\x02\x4a\x00")),
        "diff encoded again is the same octets",
    ),
    corruption(
        "basic",
        3,
        |l| with_instruction(l, |i| i.diff[5] = 9),
        "echo ack names a received state",
    ),
    corruption(
        "server-stopped",
        150,
        |l| with_instruction(l, |i| *i.diff.last_mut().expect("not empty") ^= 1),
        "state always has the same contents",
    ),
];

/// The line of the capture that a corruption means: the packet of its number, or for 0 the last
/// one that can be used.
fn target(lines: &[Value], corruption: &Corruption) -> usize {
    let is_meant = |line: &Value| match (corruption.n, corruption.capture) {
        (0, "fragments-ipv4") => line["frag"]["final"] == false,
        (0, _) => line["injected"] == "replay",
        (n, _) => line["n"] == n,
    };
    lines.iter().rposition(is_meant).expect("such a packet")
}

#[test]
fn every_corruption_is_caught_by_name() {
    assert!(IN_THE_FILE.len() + IN_THE_DATAGRAM.len() >= 40);
    for corruption in IN_THE_FILE.iter().chain(IN_THE_DATAGRAM) {
        let mut lines: Vec<Value> = vector(corruption.capture)
            .lines()
            .map(|line| serde_json::from_str(line).expect("an object"))
            .collect();
        let at = target(&lines, corruption);
        (corruption.change)(&mut lines[at]);
        let text: Vec<String> = lines.iter().map(ToString::to_string).collect();
        let report = verify::verify(corruption.capture, &text.join("\n"))
            .unwrap_or_else(|malformed| panic!("{malformed}"));
        let n = lines[at]["n"].as_u64().expect("a number");
        let is_caught = |f: &verify::Failure| f.check == corruption.caught_by && f.packet == n;
        let failures: Vec<String> = report.failures.iter().map(ToString::to_string).collect();
        assert!(
            report.failures.iter().any(is_caught),
            "{} {n}: not caught by `{}` but by {failures:#?}",
            corruption.capture,
            corruption.caught_by,
        );
    }
}

#[test]
fn datagram_that_is_missing_is_noticed() {
    let text: Vec<&str> = vector("basic").lines().collect();
    let at = text
        .iter()
        .position(|line| line.contains("\"n\":3,"))
        .expect("packet 3");
    let without = [&text[..at], &text[at + 1..]].concat().join("\n");
    let report =
        verify::verify("basic", &without).unwrap_or_else(|malformed| panic!("{malformed}"));
    let checks: Vec<&str> = report
        .failures
        .iter()
        .map(|failure| failure.check)
        .collect();
    assert!(
        checks.contains(&"sequence number starts at 0 and grows by 1"),
        "{checks:?}"
    );
}

#[test]
fn reflected_datagram_is_recognised_by_its_direction() {
    let text = vector("replay");
    let line = text
        .lines()
        .find(|line| line.contains("\"injected\":\"reflect\""));
    let mut reflected: Value = serde_json::from_str(line.expect("one")).expect("an object");
    reflected["injected"] = json!(null);
    let session = text.lines().next().expect("a session");
    let report = verify::verify("replay", &format!("{session}\n{reflected}"));
    let report = report.unwrap_or_else(|malformed| panic!("{malformed}"));
    assert!(
        report
            .failures
            .iter()
            .any(|failure| failure.check == "direction bit")
    );
}

#[test]
fn malformed_file_is_refused_with_file_and_line() {
    let session = vector("basic").lines().next().expect("a session");
    let packet = vector("basic").lines().nth(3).expect("a packet");
    for (line, message) in [
        (
            "{",
            "x.jsonl:2: EOF while parsing an object at line 1 column 1".to_owned(),
        ),
        ("[1]", "x.jsonl:2: not an object".to_owned()),
        ("{}", "x.jsonl:2: no `type` in the line".to_owned()),
        (
            r#"{"type":7}"#,
            "x.jsonl:2: `type` is not a text".to_owned(),
        ),
        (r#"{"type":"x"}"#, "x.jsonl:2: unknown `type`: x".to_owned()),
        (
            r#"{"type":"pkt"}"#,
            "x.jsonl:2: `t` is not a number from 0".to_owned(),
        ),
        (
            &packet.replace("c2s", "up"),
            "x.jsonl:2: `dir` is neither c2s nor s2c".to_owned(),
        ),
        (
            &packet.replace("\"raw\":\"", "\"raw\":\"é"),
            "x.jsonl:2: `raw` is not octets in hexadecimal".to_owned(),
        ),
        (
            &packet.replace("\"key\":\"", "\"key\":\"A"),
            "x.jsonl:2: bad key: Key must be 22 letters long.".to_owned(),
        ),
    ] {
        let refused = verify::verify("x.jsonl", &format!("{session}\n{line}")).err();
        assert_eq!(
            refused.map(|malformed| malformed.to_string()),
            Some(message),
            "{line}"
        );
    }
    let empty = verify::verify("x.jsonl", "")
        .err()
        .map(|malformed| malformed.to_string());
    assert_eq!(empty.as_deref(), Some("x.jsonl:1: no line at all"));
    let headless = verify::verify("x.jsonl", packet)
        .err()
        .map(|malformed| malformed.to_string());
    assert_eq!(
        headless.as_deref(),
        Some("x.jsonl:1: the first line is not the session's")
    );
}

/// What the codecs write, they read: all layers in one go, for lengths around each cut.
#[test]
fn instruction_survives_all_layers() {
    let key: Key = "GHe3rr+vIkWSshPEDJebSQ".parse().expect("a key");
    let (mut client, server) = (Seal::new(&key, Side::Client), Seal::new(&key, Side::Server));
    let mut fragmenter = Fragmenter::new();
    let mut assembler = gannet_roam::proto::Assembler::new();
    for len in [0, 1, 1100, 1214, 1215, 5000, 40_000] {
        let instruction = Instruction {
            new_num: len as u64,
            diff: (0..len).map(|i: usize| (i * i % 251) as u8).collect(),
            ..Instruction::new()
        };
        let blob = deflate(&instruction.encode()).expect("short");
        let split = fragmenter.split(&instruction, blob.into(), 1252);
        let mut fragments = split.expect("few");
        let mut whole = None;
        while !fragments.is_empty() {
            let header = Header {
                timestamp: Some(Timestamp::from_millis(1)),
                reply: None,
            };
            let mut plain = header.encode().to_vec();
            fragments.next_into(&mut plain);
            let mut datagram = Vec::new();
            client
                .seal(&plain, &mut datagram)
                .expect("far from the limit");
            assert!(datagram.len() <= 1252);
            let opened = server.open(&mut datagram).expect("authentic");
            let (_, rest) = Header::decode(opened.payload).expect("timestamps");
            let fragment = Fragment::decode(rest).expect("a fragment");
            whole = assembler.add(fragment).expect("in order");
        }
        let blob = whole.expect("complete after the last piece");
        let plain = inflate(&blob).expect("one stream");
        assert_eq!(Instruction::decode(&plain), Ok(instruction), "{len}");
    }
}
