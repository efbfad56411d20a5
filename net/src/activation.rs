//! Sockets that were opened by who started this process: systemd's socket activation.

use std::io;
use std::os::fd::OwnedFd;

use gannet_sys::fd::take_inherited;

/// A socket that this process was started with.
///
/// Becomes a [`Listener`](crate::Listener), [`PacketConn`](crate::PacketConn) or
/// [`Conn`](crate::Conn), or a type of one family, by `try_from(socket.fd)`, which makes it
/// non-blocking.
///
/// See [`inherited_sockets`] for an example.
#[derive(Debug)]
#[non_exhaustive]
pub struct InheritedSocket {
    /// Its name (`FileDescriptorName=` of the socket unit), empty without one.
    pub name: String,
    /// Its descriptor, close-on-exec from now on.
    pub fd: OwnedFd,
}

/// Takes the sockets that this process was started with, as `LISTEN_PID`, `LISTEN_FDS` and
/// `LISTEN_FDNAMES` tell; none if they are not for this process. A second call gets none: they have
/// owners by then.
///
/// Call it early: the descriptors are those from 3 on, and belong to nobody until then.
///
/// ```
/// # gannet_runtime::Builder::new_current_thread().build()?.block_on(async {
/// use gannet_net::{Listener, inherited_sockets, listen_stream};
///
/// let mut listener = None;
/// for socket in inherited_sockets()? {
///     if socket.name == "web" {
///         listener = Some(Listener::try_from(socket.fd)?);
///     }
/// }
/// let listener = match listener {
///     Some(listener) => listener,
///     None => listen_stream("tcp", "127.0.0.1:0").await?,
/// };
/// # drop(listener);
/// # Ok::<_, std::io::Error>(()) })?;
/// # Ok::<_, std::io::Error>(())
/// ```
///
/// # Errors
/// `InvalidInput` for variables that make no sense; `EBADF` if a descriptor that they tell of is not
/// open.
///
/// Reference: [`sd_listen_fds(3)`](https://man7.org/linux/man-pages/man3/sd_listen_fds.3.html).
pub fn inherited_sockets() -> io::Result<Vec<InheritedSocket>> {
    let variable = |name| std::env::var(name).ok();
    let (pid, count) = (variable("LISTEN_PID"), variable("LISTEN_FDS"));
    let Some(count) = announced(pid.as_deref(), count.as_deref(), std::process::id())? else {
        return Ok(Vec::new());
    };
    let names = variable("LISTEN_FDNAMES").unwrap_or_default();
    let mut names = names.split(':').map(str::to_owned);
    let fds = take_inherited(count)?;
    let sockets = fds.into_iter().map(|fd| InheritedSocket {
        name: names.next().unwrap_or_default(),
        fd,
    });
    Ok(sockets.collect())
}

/// Returns how many descriptors the variables announce for the process `own`.
fn announced(pid: Option<&str>, count: Option<&str>, own: u32) -> io::Result<Option<u32>> {
    let (Some(pid), Some(count)) = (pid, count) else {
        return Ok(None);
    };
    let number = |name: &str, text: &str| {
        let wrong = |_| {
            let text = format!("{name} is {text:?}, which is no number");
            io::Error::new(io::ErrorKind::InvalidInput, text)
        };
        text.parse::<u32>().map_err(wrong)
    };
    if number("LISTEN_PID", pid)? != own {
        return Ok(None);
    }
    number("LISTEN_FDS", count).map(Some)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn announcements_are_for_one_process() {
        for (pid, count, want) in [
            (None, None, None),
            (Some("7"), None, None),
            (None, Some("1"), None),
            (Some("7"), Some("2"), Some(2)),
            (Some("8"), Some("2"), None),
            (Some("7"), Some("0"), Some(0)),
        ] {
            assert_eq!(announced(pid, count, 7).unwrap(), want);
        }
        for (pid, count) in [("x", "1"), ("7", ""), ("7", "-1"), ("7", "4294967296")] {
            let err = announced(Some(pid), Some(count), 7).unwrap_err();
            assert_eq!(err.kind(), io::ErrorKind::InvalidInput);
        }
    }
}
