//! Options of TCP sockets.

use std::io;
use std::time::Duration;

use gannet_sys::option::{self, TcpInfo};

use crate::control::RawSocket;
use crate::keepalive::KeepAlive;

impl RawSocket<'_> {
    /// Returns the keep-alive settings of a TCP socket, or `None` if it sends no probes.
    pub fn keep_alive(&self) -> io::Result<Option<KeepAlive>> {
        if !option::keepalive(self.fd)? {
            return Ok(None);
        }
        Ok(Some(KeepAlive {
            idle: Some(option::keepalive_idle(self.fd)?),
            interval: Some(option::keepalive_interval(self.fd)?),
            count: Some(option::keepalive_count(self.fd)?),
        }))
    }

    /// Makes a TCP socket send keep-alive probes, or none. Stops at the first error.
    pub fn set_keep_alive(&self, config: Option<KeepAlive>) -> io::Result<()> {
        option::set_keepalive(self.fd, config.is_some())?;
        let Some(config) = config else { return Ok(()) };
        if let Some(idle) = config.idle {
            option::set_keepalive_idle(self.fd, idle)?;
        }
        if let Some(interval) = config.interval {
            option::set_keepalive_interval(self.fd, interval)?;
        }
        match config.count {
            Some(count) => option::set_keepalive_count(self.fd, count),
            None => Ok(()),
        }
    }

    /// Tells whether TCP sends small segments at once.
    pub fn nodelay(&self) -> io::Result<bool> {
        option::nodelay(self.fd)
    }

    /// Makes TCP send small segments at once (Nagle's algorithm off). On by default.
    pub fn set_nodelay(&self, on: bool) -> io::Result<()> {
        option::set_nodelay(self.fd, on)
    }

    /// Tells whether TCP is acknowledging at once.
    pub fn quickack(&self) -> io::Result<bool> {
        option::quickack(self.fd)
    }

    /// Makes TCP acknowledge at once. The kernel leaves this mode again by its own judgement.
    pub fn set_quickack(&self, on: bool) -> io::Result<()> {
        option::set_quickack(self.fd, on)
    }

    /// Returns how long sent data may stay unacknowledged before the connection ends; `None` is the
    /// kernel's choice.
    pub fn user_timeout(&self) -> io::Result<Option<Duration>> {
        option::tcp_user_timeout(self.fd)
    }

    /// Sets how long sent data may stay unacknowledged before the connection ends.
    pub fn set_user_timeout(&self, timeout: Option<Duration>) -> io::Result<()> {
        option::set_tcp_user_timeout(self.fd, timeout)
    }

    /// Tells whether TCP holds back segments that are not full.
    pub fn cork(&self) -> io::Result<bool> {
        option::cork(self.fd)
    }

    /// Makes TCP hold back segments that are not full, for 200 ms at most, or send what it held back.
    pub fn set_cork(&self, on: bool) -> io::Result<()> {
        option::set_cork(self.fd, on)
    }

    /// Returns the name of the congestion control.
    pub fn congestion(&self) -> io::Result<String> {
        option::congestion(self.fd)
    }

    /// Sets the congestion control, such as `cubic`.
    pub fn set_congestion(&self, name: &str) -> io::Result<()> {
        option::set_congestion(self.fd, name)
    }

    /// Returns how many connections that began with data a listener takes at once.
    pub fn fast_open(&self) -> io::Result<u32> {
        option::fast_open(self.fd)
    }

    /// Sets how many connections that began with data a listener takes at once.
    pub fn set_fast_open(&self, connections: u32) -> io::Result<()> {
        option::set_fast_open(self.fd, connections)
    }

    /// Tells whether connecting waits for data to send with it.
    pub fn fast_open_connect(&self) -> io::Result<bool> {
        option::fast_open_connect(self.fd)
    }

    /// Makes connecting wait for data to send with it, or not.
    pub fn set_fast_open_connect(&self, on: bool) -> io::Result<()> {
        option::set_fast_open_connect(self.fd, on)
    }

    /// Returns below how many unsent bytes the socket counts as writable.
    pub fn not_sent_low(&self) -> io::Result<u32> {
        option::not_sent_low(self.fd)
    }

    /// Sets below how many unsent bytes the socket counts as writable; `u32::MAX` is the system's
    /// default.
    pub fn set_not_sent_low(&self, bytes: u32) -> io::Result<()> {
        option::set_not_sent_low(self.fd, bytes)
    }

    /// Returns what the kernel knows of the connection.
    pub fn tcp_info(&self) -> io::Result<TcpInfo> {
        option::tcp_info(self.fd)
    }

    /// Tells whether the connection goes by multipath TCP.
    pub fn is_multipath(&self) -> io::Result<bool> {
        option::is_multipath(self.fd)
    }
}
