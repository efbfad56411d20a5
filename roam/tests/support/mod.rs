//! What the tests of the protocol share.
#![allow(dead_code, reason = "each test binary uses a part")]

pub(crate) mod net;
pub(crate) mod pair;
