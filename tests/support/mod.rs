//! What the tests share: programs of others, the examples as processes, a limit for everything.
#![allow(dead_code, reason = "each test binary uses what it needs")]

pub(crate) mod net;
pub(crate) mod process;
pub(crate) mod programs;
pub(crate) mod sockets;
pub(crate) mod traced;
pub(crate) mod watchdog;

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

/// How long anything may take that should be there at once. Generous: the machine may be busy.
pub(crate) const LIMIT: Duration = Duration::from_secs(30);

/// Looks until `look` finds something, for what cannot be waited for: files of `/proc`.
#[track_caller]
pub(crate) fn until<T>(what: &str, look: impl FnMut() -> Option<T>) -> T {
    let end = Instant::now() + LIMIT;
    let found = std::iter::repeat_with(look).find_map(|found| {
        if found.is_none() && Instant::now() < end {
            std::thread::sleep(Duration::from_millis(2));
            return None;
        }
        Some(found)
    });
    found
        .flatten()
        .unwrap_or_else(|| panic!("waited {LIMIT:?} for {what}"))
}

/// A folder of its own for a test, removed with all that is in it.
pub(crate) struct TempDir(PathBuf);

impl TempDir {
    /// Makes one with a short name, because a socket's path has at most 107 bytes.
    pub(crate) fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("gannet-{}-{number}", std::process::id()));
        std::fs::create_dir(&path).expect("a fresh name in the folder for temporary files");
        TempDir(path)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    /// The path of a file in it, as text.
    pub(crate) fn file(&self, name: &str) -> String {
        self.0
            .join(name)
            .to_str()
            .expect("the path is UTF-8")
            .to_owned()
    }
}

impl Drop for TempDir {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
