//! What `/proc/PID` tells of a process: processor time, context switches, memory, descriptors.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::PathBuf;
use std::time::Duration;

/// A reading of one process.
#[derive(Clone, Debug, Default)]
pub(crate) struct Usage {
    /// Time on a processor of each task (thread), which the kernel counts in nanoseconds.
    cpu_by_task: BTreeMap<u32, Duration>,
    /// Time in user mode, in clock ticks (of 10 ms as a rule).
    user_ticks: u64,
    /// Time in the kernel, in clock ticks.
    system_ticks: u64,
    /// Context switches of each task.
    switches_by_task: BTreeMap<u32, Switches>,
    /// Resident memory, in bytes.
    pub(crate) rss_bytes: u64,
    /// The most that it ever was, in bytes.
    pub(crate) peak_rss_bytes: u64,
}

/// Context switches of one task, by their cause.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Switches {
    /// It waited, and something woke it up again.
    voluntary: u64,
    /// It was made to give way.
    forced: u64,
}

impl Switches {
    fn since(self, earlier: Self) -> Self {
        Self {
            voluntary: self.voluntary.saturating_sub(earlier.voluntary),
            forced: self.forced.saturating_sub(earlier.forced),
        }
    }
}

/// What a process spent between two readings.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Spent {
    /// Time in user mode.
    pub(crate) user: Duration,
    /// Time in the kernel.
    pub(crate) system: Duration,
    /// Context switches of all its tasks.
    pub(crate) switches: u64,
    /// Those of them that were voluntary: its tasks waited so often, and were woken up.
    pub(crate) wakeups: u64,
}

impl Usage {
    /// Reads process `pid`.
    pub(crate) fn read(pid: u32) -> io::Result<Self> {
        let (user_ticks, system_ticks) = parse_stat(&read(pid, "stat")?).ok_or_else(malformed)?;
        let status = read(pid, "status")?;
        let kib = |name| status_field(&status, name).ok_or_else(malformed);
        let mut usage = Self {
            user_ticks,
            system_ticks,
            rss_bytes: kib("VmRSS")? * 1024,
            peak_rss_bytes: kib("VmHWM")? * 1024,
            ..Self::default()
        };
        for entry in fs::read_dir(path(pid, "task"))? {
            let Some(task) = entry?
                .file_name()
                .to_str()
                .and_then(|name| name.parse().ok())
            else {
                continue;
            };
            // A task may end between the listing and the reading; its time is then unknown.
            let Ok(schedstat) = read(pid, &format!("task/{task}/schedstat")) else {
                continue;
            };
            let Ok(status) = read(pid, &format!("task/{task}/status")) else {
                continue;
            };
            let ran_ns = parse_schedstat(&schedstat).ok_or_else(malformed)?;
            usage.cpu_by_task.insert(task, Duration::from_nanos(ran_ns));
            usage
                .switches_by_task
                .insert(task, parse_switches(&status).ok_or_else(malformed)?);
        }
        Ok(usage)
    }

    /// Returns what was spent since the `earlier` reading. The total is exact; its split between
    /// user and kernel is that of the clock ticks, so it needs a second or more to be good.
    pub(crate) fn since(&self, earlier: &Self) -> Spent {
        let cpu: Duration = self
            .cpu_by_task
            .iter()
            .map(|(task, now)| {
                now.saturating_sub(earlier.cpu_by_task.get(task).copied().unwrap_or_default())
            })
            .sum();
        let (mut switches, mut wakeups) = (0, 0);
        for (task, now) in &self.switches_by_task {
            let before = earlier.switches_by_task.get(task).copied();
            let since = now.since(before.unwrap_or_default());
            switches += since.voluntary + since.forced;
            wakeups += since.voluntary;
        }
        let user_ticks = self.user_ticks.saturating_sub(earlier.user_ticks);
        let ticks = user_ticks + self.system_ticks.saturating_sub(earlier.system_ticks);
        let user = if ticks == 0 {
            cpu / 2
        } else {
            cpu.mul_f64(user_ticks as f64 / ticks as f64)
        };
        Spent {
            user,
            system: cpu.saturating_sub(user),
            switches,
            wakeups,
        }
    }
}

/// Returns the time that all processors together were busy since the machine started, in whole
/// clock ticks; the time that the machine's host took away is in it.
pub(crate) fn busy() -> io::Result<Duration> {
    parse_busy(&fs::read_to_string("/proc/stat")?).ok_or_else(malformed)
}

/// Counts the open descriptors of process `pid`.
pub(crate) fn open_descriptors(pid: u32) -> io::Result<usize> {
    // Since Linux 6.2 the folder's size is that number; before, it is 0.
    match fs::metadata(path(pid, "fd"))?.len() {
        0 => Ok(fs::read_dir(path(pid, "fd"))?.count()),
        count => Ok(count as usize),
    }
}

fn path(pid: u32, name: &str) -> PathBuf {
    PathBuf::from(format!("/proc/{pid}/{name}"))
}

fn read(pid: u32, name: &str) -> io::Result<String> {
    fs::read_to_string(path(pid, name))
}

fn malformed() -> io::Error {
    io::Error::new(
        io::ErrorKind::InvalidData,
        "a file of /proc is not as proc(5) says",
    )
}

/// Returns user and system ticks, fields 14 and 15 of `/proc/PID/stat`. Field 2 is the program's
/// name in parentheses and may hold anything, so fields are counted from its last `)`.
fn parse_stat(text: &str) -> Option<(u64, u64)> {
    let (_, rest) = text.rsplit_once(')')?;
    let mut fields = rest.split_ascii_whitespace().skip(11);
    Some((fields.next()?.parse().ok()?, fields.next()?.parse().ok()?))
}

/// Returns the busy time in the first line of `/proc/stat`: user, nice, system, idle, iowait, irq,
/// softirq, steal, in ticks of `USER_HZ`, which is 100 wherever Rust runs.
fn parse_busy(text: &str) -> Option<Duration> {
    let mut fields = text.lines().next()?.split_ascii_whitespace();
    if fields.next() != Some("cpu") {
        return None;
    }
    let ticks: Vec<u64> = fields.map_while(|field| field.parse().ok()).collect();
    let busy = [0, 1, 2, 5, 6, 7].map(|at| ticks.get(at).copied().unwrap_or(0));
    Some(Duration::from_millis(10 * busy.iter().sum::<u64>()))
}

/// Returns the nanoseconds on a processor, the first field of `/proc/PID/task/TID/schedstat`.
fn parse_schedstat(text: &str) -> Option<u64> {
    text.split_ascii_whitespace().next()?.parse().ok()
}

/// Returns the context switches in `/proc/PID/task/TID/status`.
fn parse_switches(text: &str) -> Option<Switches> {
    Some(Switches {
        voluntary: status_field(text, "voluntary_ctxt_switches")?,
        forced: status_field(text, "nonvoluntary_ctxt_switches")?,
    })
}

/// Returns the number behind `name:` in a `status` file, without its unit.
fn status_field(text: &str, name: &str) -> Option<u64> {
    let value = text
        .lines()
        .find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
    value.split_ascii_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parse_stat_name_with_parenthesis_and_spaces_is_skipped() {
        let text = "4242 (a) b (c) S 1 4242 4242 0 -1 4194304 100 0 0 0 37 59 0 0 20 0 1 0 99\n";
        assert_eq!(parse_stat(text), Some((37, 59)));
        assert_eq!(parse_stat("no parenthesis"), None);
    }

    #[test]
    fn parse_busy_leaves_out_idle_and_waiting() {
        let text = "cpu  1 2 4 1000 2000 8 16 32 64 64\ncpu0 5 5 5 5 5 5 5 5 0 0\n";
        assert_eq!(parse_busy(text), Some(Duration::from_millis(630)));
        assert_eq!(parse_busy("intr 1 2\n"), None);
    }

    #[test]
    fn status_field_takes_the_whole_name() {
        let text = "VmRSSX:\t1 kB\nVmRSS:\t  5128 kB\nvoluntary_ctxt_switches:\t15\n\
                    nonvoluntary_ctxt_switches:\t7\n";
        assert_eq!(status_field(text, "VmRSS"), Some(5128));
        let (voluntary, forced) = (15, 7);
        assert_eq!(parse_switches(text), Some(Switches { voluntary, forced }));
        assert_eq!(status_field(text, "VmHWM"), None);
    }

    #[test]
    fn since_splits_the_exact_total_by_ticks_and_counts_new_tasks() {
        let switches = |voluntary| Switches {
            voluntary,
            forced: 1,
        };
        let reading = |tasks: &[(u32, u64, u64)], user_ticks, system_ticks| Usage {
            cpu_by_task: tasks
                .iter()
                .map(|t| (t.0, Duration::from_millis(t.1)))
                .collect(),
            switches_by_task: tasks.iter().map(|t| (t.0, switches(t.2))).collect(),
            user_ticks,
            system_ticks,
            rss_bytes: 0,
            peak_rss_bytes: 0,
        };
        let before = reading(&[(1, 10, 5)], 1, 0);
        let after = reading(&[(1, 90, 8), (2, 20, 4)], 3, 6);
        let spent = after.since(&before);
        assert_eq!(spent.user, Duration::from_millis(25));
        assert_eq!(spent.system, Duration::from_millis(75));
        assert_eq!((spent.switches, spent.wakeups), (8, 7));
    }

    #[test]
    fn read_of_this_process_finds_memory_and_descriptors() {
        let usage = Usage::read(std::process::id()).unwrap();
        assert!(usage.rss_bytes > 4096);
        assert!(usage.peak_rss_bytes >= usage.rss_bytes);
        assert!(!usage.cpu_by_task.is_empty());
        assert!(open_descriptors(std::process::id()).unwrap() >= 3);
    }
}
