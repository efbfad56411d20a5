//! The examples against programs that people use: nc, ncat, socat, curl, iperf3, and sockets of
//! Python.
//!
//! Both roles, over TCP, UDP and Unix sockets, IPv4 and IPv6; many clients, slow ones, rude ones; a
//! gigabyte; signals, limits, bad arguments.

mod support;

#[path = "real_clients/bulk.rs"]
mod bulk;
#[path = "real_clients/chat.rs"]
mod chat;
#[path = "real_clients/echo.rs"]
mod echo;
#[path = "real_clients/ending.rs"]
mod ending;
#[path = "real_clients/files.rs"]
mod files;
#[path = "real_clients/load.rs"]
mod load;
#[path = "real_clients/netcat.rs"]
mod netcat;
#[path = "real_clients/peers.rs"]
mod peers;
#[path = "real_clients/relay.rs"]
mod relay;
#[path = "real_clients/sockets.rs"]
mod sockets;
