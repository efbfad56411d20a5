//! What the kernel tells about the sockets of other processes.

use std::fs;

/// Waits until process `pid` has a socket of `network` (`tcp`, `udp6`, ...) that listens or is
/// bound, and returns its port.
#[track_caller]
pub(crate) fn port_of(pid: u32, network: &str) -> u16 {
    super::until(&format!("process {pid} to listen on {network}"), || {
        find_port(pid, network)
    })
}

/// Waits until a Unix socket is bound to `path`, and listens if it is one that can.
#[track_caller]
pub(crate) fn wait_for_path(path: &str) {
    super::until(&format!("a socket at {path}"), || {
        let table = fs::read_to_string("/proc/net/unix").ok()?;
        let row = table
            .lines()
            .find(|row| row.ends_with(&format!(" {path}")))?;
        let fields: Vec<&str> = row.split_whitespace().collect();
        // Num RefCount Protocol Flags Type St Inode Path; a stream listens once __SO_ACCEPTCON is set.
        let ready = fields.get(4)? != &"0001" || fields.get(3)? == &"00010000";
        ready.then_some(())
    });
}

fn find_port(pid: u32, network: &str) -> Option<u16> {
    let wanted = if network.starts_with("tcp") {
        "0A"
    } else {
        "07"
    };
    let table = fs::read_to_string(format!("/proc/net/{network}")).ok()?;
    let inodes = inodes_of(pid);
    table.lines().skip(1).find_map(|row| {
        let fields: Vec<&str> = row.split_whitespace().collect();
        let (local, state, inode) = (fields.get(1)?, fields.get(3)?, fields.get(9)?);
        let is_it = *state == wanted && inodes.iter().any(|own| own == inode);
        let port = u16::from_str_radix(local.rsplit(':').next()?, 16).ok()?;
        (is_it && port != 0).then_some(port)
    })
}

fn inodes_of(pid: u32) -> Vec<String> {
    let Ok(fds) = fs::read_dir(format!("/proc/{pid}/fd")) else {
        return Vec::new();
    };
    let target = |entry: fs::DirEntry| fs::read_link(entry.path()).ok();
    let names = fds.flatten().filter_map(target);
    names
        .filter_map(|name| {
            let name = name.to_str()?.strip_prefix("socket:[")?;
            Some(name.trim_end_matches(']').to_owned())
        })
        .collect()
}

/// Returns the resident memory of a process in bytes.
pub(crate) fn resident(pid: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).expect("the process lives");
    let row = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))
        .expect("it has memory");
    let kib = row
        .trim()
        .trim_end_matches("kB")
        .trim()
        .parse::<u64>()
        .expect("a number");
    kib * 1024
}

/// Returns how many descriptors a process has open.
pub(crate) fn open_fds(pid: u32) -> usize {
    fs::read_dir(format!("/proc/{pid}/fd"))
        .expect("the process lives")
        .count()
}

/// Returns the processor time that a process has used, in clock ticks of 10 ms.
pub(crate) fn cpu_ticks(pid: u32) -> u64 {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).expect("the process lives");
    // The name, in parentheses, may hold spaces; utime and stime are the 12th and 13th after it.
    let after = stat.rsplit(')').next().unwrap_or_default();
    let fields: Vec<&str> = after.split_whitespace().collect();
    fields[11].parse::<u64>().expect("utime") + fields[12].parse::<u64>().expect("stime")
}
