//! The folder that is served, and nothing outside of it.
//!
//! A path is not looked at first and opened then: between the two someone could put a link in its
//! place. The kernel opens it and refuses to leave the folder on the way (`openat2(2)`).

use std::ffi::OsStr;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use rustix::fs::{Mode, OFlags, ResolveFlags, openat, openat2};
use rustix::io::Errno;
use rustix::io::retry_on_intr;

/// A folder that is open, whatever becomes of its path.
#[derive(Clone)]
pub(crate) struct Folder {
    root: Arc<OwnedFd>,
}

/// A file that may be sent, and its length in bytes when it was opened.
pub(crate) struct Found {
    pub(crate) file: File,
    pub(crate) len: u64,
}

/// How often an opening is tried that somebody else's renaming disturbed.
const TRIES: usize = 8;

impl Folder {
    /// Opens a folder for serving.
    ///
    /// # Errors
    /// Those of `open(2)`; `NotADirectory`.
    pub(crate) fn open(root: &Path) -> io::Result<Self> {
        let named =
            |err: io::Error| io::Error::new(err.kind(), format!("{}: {err}", root.display()));
        let opened = OpenOptions::new().read(true).open(root).map_err(named)?;
        if !opened.metadata().map_err(named)?.is_dir() {
            return Err(named(io::ErrorKind::NotADirectory.into()));
        }
        Ok(Folder {
            root: Arc::new(opened.into()),
        })
    }

    /// Opens the file that a request's path names; for a folder, its `index.html`.
    ///
    /// # Errors
    /// Whatever the reason, the answer is 404: who asks learns nothing of what lies outside.
    pub(crate) fn find(&self, path: &[u8]) -> io::Result<Found> {
        let mut path = relative(path)?;
        let mut file = self.beneath(&path)?;
        let mut metadata = file.metadata()?;
        if metadata.is_dir() {
            path.push("index.html");
            file = self.beneath(&path)?;
            metadata = file.metadata()?;
        }
        if !metadata.is_file() {
            return Err(io::ErrorKind::NotFound.into());
        }
        Ok(Found {
            len: metadata.len(),
            file,
        })
    }

    /// Opens what lies beneath the folder. Links are followed as long as they stay there, absolute
    /// ones not at all.
    fn beneath(&self, path: &Path) -> io::Result<File> {
        let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS;
        for _ in 0..TRIES {
            match openat2(&self.root, path, FLAGS, Mode::empty(), resolve) {
                Ok(file) => return Ok(file.into()),
                // The kernel cannot tell where it is, since something was renamed meanwhile.
                Err(Errno::AGAIN | Errno::INTR) => {}
                // Before Linux 5.6, or where a filter does not know the call.
                Err(Errno::NOSYS | Errno::PERM) => return self.beneath_without_links(path),
                Err(err) => return Err(err.into()),
            }
        }
        Err(io::ErrorKind::NotFound.into())
    }

    /// Opens what lies beneath the folder, one component after the other. What is opened is never a
    /// link, so nothing leads outside.
    fn beneath_without_links(&self, path: &Path) -> io::Result<File> {
        let path = path.strip_prefix(".").unwrap_or(path);
        let mut folder: Option<OwnedFd> = None;
        let mut names = path.iter().peekable();
        while let Some(name) = names.next() {
            let within = folder.as_ref().map_or(self.root.as_fd(), AsFd::as_fd);
            let kind = match names.peek() {
                Some(_) => OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC,
                None => FLAGS,
            };
            let open = || openat(within, name, kind | OFlags::NOFOLLOW, Mode::empty());
            folder = Some(retry_on_intr(open)?);
        }
        match folder {
            Some(opened) => Ok(opened.into()),
            None => Ok(self.root.try_clone()?.into()),
        }
    }
}

/// A pipe without a writer would hold the opening up; so would a terminal.
const FLAGS: OFlags = OFlags::RDONLY
    .union(OFlags::NONBLOCK)
    .union(OFlags::NOCTTY)
    .union(OFlags::CLOEXEC);

/// The path of a request without its first slash, and without steps upwards: a link's parent is not
/// where the link stands.
fn relative(path: &[u8]) -> io::Result<PathBuf> {
    let mut relative = PathBuf::from(".");
    for component in Path::new(OsStr::from_bytes(path)).components() {
        match component {
            Component::RootDir | Component::CurDir => {}
            Component::Normal(name) => relative.push(name),
            Component::ParentDir | Component::Prefix(_) => {
                return Err(io::ErrorKind::NotFound.into());
            }
        }
    }
    Ok(relative)
}
