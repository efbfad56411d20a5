//! The congestion control of TCP, which is the system's choice and part of what is measured.

use std::fs;
use std::io;
use std::process::Command;

use crate::raw::process::leave_network;

/// The choice of the network that this process is in.
const SETTING: &str = "/proc/sys/net/ipv4/tcp_congestion_control";

/// Makes `name` the choice for this process and all that it starts, in a network of their own, so that
/// the machine's stays as it is. That takes the privilege to make one.
pub(super) fn choose(name: &str) -> io::Result<()> {
    leave_network()?;
    let status = Command::new("ip")
        .args(["link", "set", "lo", "up"])
        .status()?;
    if !status.success() {
        return Err(io::Error::other("the loopback interface stays down"));
    }
    fs::write(SETTING, name)
}

/// The choice in force.
pub(super) fn current() -> String {
    let text = fs::read_to_string(SETTING).unwrap_or_else(|_| "unknown".to_owned());
    text.trim().to_owned()
}
