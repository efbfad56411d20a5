//! What the examples do when system calls fail: each call and each errno of a table, by `strace`.
//!
//! `strace` counts per thread, so most servers run on one. An injected error means that the call was
//! not executed: a connection that was not accepted waits, bytes that were not read are there. Where
//! the kernel would have done otherwise (`EAGAIN` of a read while there is something to read), the row
//! says what follows from that. What splices and `sendfile` do when they fail is in
//! `tests/real_clients/relay.rs` and `files.rs`.

mod support;

#[path = "faults/datagrams.rs"]
mod datagrams;
#[path = "faults/dialling.rs"]
mod dialling;
#[path = "faults/roaming.rs"]
mod roaming;
#[path = "faults/serving.rs"]
mod serving;
#[path = "faults/single.rs"]
mod single;
#[path = "faults/starting.rs"]
mod starting;
