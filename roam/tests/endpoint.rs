//! Sessions over real sockets: on loopback, and in network namespaces made for a test.

#[path = "endpoint/address.rs"]
mod address;
#[path = "endpoint/ending.rs"]
mod ending;
#[path = "endpoint/handles.rs"]
mod handles;
#[path = "endpoint/hostile.rs"]
mod hostile;
#[path = "../../net/tests/common/namespace.rs"]
#[allow(dead_code, reason = "the crates' tests share it")]
mod namespace;
#[path = "endpoint/pair.rs"]
mod pair;
#[path = "endpoint/roaming.rs"]
mod roaming;
#[path = "../../examples/support/select.rs"]
mod select;
#[path = "endpoint/states.rs"]
mod states;
