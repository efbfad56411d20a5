//! See `instructions` in the shared module.
#![no_main]
#![allow(dead_code, reason = "each target uses one function")]

#[path = "../../roam/tests/fuzz_corpus/targets.rs"]
mod targets;

libfuzzer_sys::fuzz_target!(|data: &[u8]| targets::instructions(data));
