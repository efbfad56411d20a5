//! Replays the committed corpora of `fuzz/`: what the fuzzer has found to be different, once more.

use std::fs;
use std::path::Path;

#[path = "fuzz_corpus/targets.rs"]
mod targets;

/// Runs `target` over its corpus, which is not empty, and over nothing at all.
fn replay(name: &str, target: fn(&[u8])) {
    let corpora = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/corpus");
    let files = fs::read_dir(corpora.join(name)).expect("a corpus");
    let mut inputs = 0;
    for file in files {
        let octets = fs::read(file.expect("a file").path()).expect("octets");
        target(&octets);
        inputs += 1;
    }
    assert!(inputs > 0, "{name}: no inputs");
    target(&[]);
}

#[test]
fn f1_open() {
    replay("f1_open", targets::open);
}

#[test]
fn f2_fragments() {
    replay("f2_fragments", targets::fragments);
}

#[test]
fn f3_inflate() {
    replay("f3_inflate", targets::inflating);
}

#[test]
fn f4_instructions() {
    replay("f4_instructions", targets::instructions);
}

#[test]
fn f5_diffs() {
    replay("f5_diffs", targets::diffs);
}
