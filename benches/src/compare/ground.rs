//! What some loads need beside their server: a file that is served, or a place that is relayed to.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::process;

use super::subject::{Subject, Work};
use crate::server::ROOT;

/// Where memory is a file system. A disk would go on writing while the servers are measured.
const IN_MEMORY: &str = "/dev/shm";
const FOLDER: &str = "gannet-benches-";
const FILE_MIB: usize = 1024;

/// The words that tell servers and loads of it; its folder goes with it.
#[derive(Default)]
pub(super) struct Ground {
    pub(super) server: Vec<String>,
    pub(super) load: Vec<String>,
    _folder: Option<Folder>,
}

impl Ground {
    /// Makes what `subject` needs, which is nothing for most.
    pub(super) fn prepare(subject: &Subject) -> Result<Self, String> {
        match subject.work {
            Work::Load("file") => Self::with_file().map_err(|err| format!("the file: {err}")),
            Work::Load("relay") => Self::with_upstream().map_err(|err| format!("a port: {err}")),
            _ => Ok(Self::default()),
        }
    }

    fn with_file() -> io::Result<Self> {
        let folder = Folder::make(Path::new(IN_MEMORY))?;
        let root = folder.0.join(ROOT);
        fs::create_dir(&root)?;
        let mut file = File::create(root.join("file"))?;
        let mib: Vec<u8> = (0..1 << 20).map(|at| (at % 251) as u8).collect();
        for _ in 0..FILE_MIB {
            file.write_all(&mib)?;
        }
        Ok(Self {
            server: vec!["--files".to_owned(), folder.0.display().to_string()],
            load: Vec::new(),
            _folder: Some(folder),
        })
    }

    /// A port that is free now, since iperf3 does not tell which one the kernel chose for it.
    fn with_upstream() -> io::Result<Self> {
        let free = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let addr = free.local_addr()?.to_string();
        Ok(Self {
            server: vec!["--relay".to_owned(), addr.clone()],
            load: vec!["--upstream".to_owned(), addr],
            _folder: None,
        })
    }
}

/// A folder that goes with its handle; or, if this process is killed, when another one is made.
struct Folder(PathBuf);

impl Folder {
    fn make(parent: &Path) -> io::Result<Self> {
        for entry in fs::read_dir(parent)?.flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            let maker = name.strip_prefix(FOLDER);
            if maker.is_some_and(|pid| !Path::new("/proc").join(pid).exists()) {
                fs::remove_dir_all(entry.path())?;
            }
        }
        let folder = parent.join(format!("{FOLDER}{}", process::id()));
        fs::create_dir(&folder)?;
        Ok(Self(folder))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        if let Err(err) = fs::remove_dir_all(&self.0) {
            eprintln!("{} stays: {err}", self.0.display());
        }
    }
}

#[cfg(test)]
mod tests {
    use std::env;

    use super::*;

    #[test]
    fn folder_goes_with_its_handle_and_takes_those_of_the_dead_along() {
        let parent = env::temp_dir().join(format!("gannet-ground-{}", process::id()));
        // No process has this number: it is above the kernel's limit, 2²².
        let left = parent.join(format!("{FOLDER}99999999"));
        fs::create_dir_all(left.join("root")).unwrap();
        let folder = Folder::make(&parent).unwrap();
        let path = folder.0.clone();
        assert!(path.is_dir() && !left.exists());
        drop(folder);
        assert!(!path.exists());
        fs::remove_dir(&parent).unwrap();
    }
}
