//! The folder that is served, and nothing outside of it.

use std::ffi::OsStr;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

/// A folder by its real path.
#[derive(Clone)]
pub(crate) struct Folder {
    root: Arc<Path>,
}

/// A file that may be sent, and its length in bytes when it was opened.
pub(crate) struct Found {
    pub(crate) file: File,
    pub(crate) len: u64,
}

impl Folder {
    /// Opens a folder for serving.
    ///
    /// # Errors
    /// Those of `realpath(3)`; `NotADirectory`.
    pub(crate) fn open(root: &Path) -> io::Result<Self> {
        let named =
            |err: io::Error| io::Error::new(err.kind(), format!("{}: {err}", root.display()));
        let real = root.canonicalize().map_err(named)?;
        if !real.is_dir() {
            return Err(named(io::ErrorKind::NotADirectory.into()));
        }
        Ok(Folder { root: real.into() })
    }

    /// Opens the file that a request's path names; for a folder, its `index.html`.
    ///
    /// # Errors
    /// Whatever the reason, the answer is 404: who asks learns nothing of what lies outside.
    pub(crate) fn find(&self, path: &[u8]) -> io::Result<Found> {
        let mut real = self.real(path)?;
        if real.is_dir() {
            real = self.inside(&real.join("index.html"))?;
        }
        // A pipe without a writer would hold the open up; so would a terminal.
        let file = OpenOptions::new()
            .read(true)
            .custom_flags(O_NONBLOCK)
            .open(real)?;
        let metadata = file.metadata()?;
        if !metadata.is_file() {
            return Err(io::ErrorKind::NotFound.into());
        }
        Ok(Found {
            len: metadata.len(),
            file,
        })
    }

    fn real(&self, path: &[u8]) -> io::Result<PathBuf> {
        if path.contains(&0) {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        let mut real = self.root.to_path_buf();
        for component in Path::new(OsStr::from_bytes(path)).components() {
            match component {
                Component::RootDir | Component::CurDir => {}
                Component::Normal(name) => real.push(name),
                // Not resolved: a link's parent is not where it stands.
                Component::ParentDir | Component::Prefix(_) => {
                    return Err(io::ErrorKind::NotFound.into());
                }
            }
        }
        self.inside(&real)
    }

    /// Follows links, and refuses what leads outside.
    fn inside(&self, path: &Path) -> io::Result<PathBuf> {
        let real = path.canonicalize()?;
        if real.starts_with(&self.root) {
            Ok(real)
        } else {
            Err(io::ErrorKind::NotFound.into())
        }
    }
}

/// `O_NONBLOCK` of Linux, on all processors that Rust's standard library supports but MIPS and SPARC.
const O_NONBLOCK: i32 = 0o4000;
