//! The protocol as state machines without sockets, clocks or randomness of their own.
