//! Processors, limits and signals of a process.

// `sched_setaffinity(2)`, `setrlimit(2)`, `kill(2)`, `prctl(2)` and `unshare(2)` have no safe form in
// `std`.
#![allow(unsafe_code)]

use std::io;
use std::mem;

use super::cvt;

/// Restricts the calling thread, and the threads it starts from now on, to processor `cpu`.
pub(crate) fn pin_to_cpu(cpu: usize) -> io::Result<()> {
    // SAFETY: `cpu_set_t` is an array of integers, for which all bits zero is a value.
    let mut set: libc::cpu_set_t = unsafe { mem::zeroed() };
    if cpu >= 8 * mem::size_of::<libc::cpu_set_t>() {
        return Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            format!("no processor {cpu}"),
        ));
    }
    // SAFETY: `set` is initialised, and `cpu` was just found to lie within it.
    unsafe { libc::CPU_SET(cpu, &mut set) };
    // SAFETY: `set` lives across the call, the size is its size, and the kernel only reads it.
    cvt(unsafe { libc::sched_setaffinity(0, mem::size_of::<libc::cpu_set_t>(), &set) })?;
    Ok(())
}

/// Raises the soft limit of open descriptors to `wanted`, and the hard one too where it is lower
/// and the process may; returns the soft limit then in force, which may be smaller.
pub(crate) fn raise_descriptor_limit(wanted: u64) -> io::Result<u64> {
    let limit = descriptor_limit()?;
    if limit.rlim_cur >= wanted {
        return Ok(limit.rlim_cur);
    }
    let raised = libc::rlimit {
        rlim_cur: wanted,
        rlim_max: limit.rlim_max.max(wanted),
    };
    if set_descriptor_limit_raw(&raised).is_err() {
        // Without the privilege to move the hard limit, the soft one may still go up to it.
        let capped = libc::rlimit {
            rlim_cur: limit.rlim_max,
            rlim_max: limit.rlim_max,
        };
        set_descriptor_limit_raw(&capped)?;
    }
    Ok(descriptor_limit()?.rlim_cur)
}

/// Sets the soft limit of open descriptors, as `ulimit -S -n` does.
pub(crate) fn set_descriptor_limit(soft: u64) -> io::Result<()> {
    let limit = descriptor_limit()?;
    set_descriptor_limit_raw(&libc::rlimit {
        rlim_cur: soft,
        rlim_max: limit.rlim_max.max(soft),
    })
}

fn descriptor_limit() -> io::Result<libc::rlimit> {
    let mut limit = libc::rlimit {
        rlim_cur: 0,
        rlim_max: 0,
    };
    // SAFETY: `limit` lives across the call, is of the type the kernel fills, and no one else
    // uses it meanwhile.
    cvt(unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &mut limit) })?;
    Ok(limit)
}

fn set_descriptor_limit_raw(limit: &libc::rlimit) -> io::Result<()> {
    // SAFETY: `limit` is a borrowed, initialised `rlimit`, and the kernel only reads it.
    cvt(unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, limit) })?;
    Ok(())
}

/// Sends SIGINT to a child process that has not been waited for yet.
pub(crate) fn interrupt(child: &std::process::Child) -> io::Result<()> {
    let pid = libc::pid_t::try_from(child.id()).map_err(io::Error::other)?;
    // SAFETY: `kill` takes no pointer. The child is not reaped while it is borrowed here, so its
    // id cannot have passed to another process.
    cvt(unsafe { libc::kill(pid, libc::SIGINT) })?;
    Ok(())
}

/// Lets the kernel kill this process when the thread that started it ends; what this process turns
/// into by `exec` inherits that.
pub(crate) fn end_with_parent() -> io::Result<()> {
    // SAFETY: `PR_SET_PDEATHSIG` takes a signal and no pointer.
    cvt(unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) })?;
    Ok(())
}

/// Gives this thread, and all that it starts from now on, a network of its own, in which nothing is
/// configured yet.
pub(crate) fn leave_network() -> io::Result<()> {
    // SAFETY: `unshare` takes no pointer; no memory and no descriptors are unshared.
    cvt(unsafe { libc::unshare(libc::CLONE_NEWNET) })?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pin_to_cpu_out_of_range_is_refused() {
        assert_eq!(
            pin_to_cpu(1 << 20).unwrap_err().kind(),
            io::ErrorKind::InvalidInput
        );
    }

    #[test]
    fn raise_descriptor_limit_below_the_current_keeps_it() {
        let now = raise_descriptor_limit(1).unwrap();
        assert!(now > 1, "a test process has more than one descriptor");
        assert_eq!(raise_descriptor_limit(now).unwrap(), now);
    }
}
