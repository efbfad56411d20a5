//! A copy of the tree, and breaking it for a while.

use std::collections::HashSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::file::Edit;

/// Makes `to` hold what `from` holds, without build results and hidden files.
///
/// A file with the right content keeps its time of change, by which cargo decides what to build.
pub(crate) fn sync(from: &Path, to: &Path) -> Result<(), String> {
    let mut keep = HashSet::new();
    for path in walk(from)? {
        let text = fs::read(from.join(&path)).map_err(|error| said(&path, &error))?;
        let copy = to.join(&path);
        if fs::read(&copy).ok().as_ref() != Some(&text) {
            let folder = copy.parent().unwrap_or(to);
            fs::create_dir_all(folder).map_err(|error| said(folder, &error))?;
            fs::write(&copy, &text).map_err(|error| said(&copy, &error))?;
        }
        keep.insert(path);
    }
    for path in walk(to)?.into_iter().filter(|path| !keep.contains(path)) {
        fs::remove_file(to.join(&path)).map_err(|error| said(&path, &error))?;
    }
    Ok(())
}

fn said(path: &Path, error: &io::Error) -> String {
    format!("{}: {error}", path.display())
}

/// The files below `root`, by their paths from there.
fn walk(root: &Path) -> Result<Vec<PathBuf>, String> {
    let mut files = Vec::new();
    let mut folders = vec![root.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).map_err(|error| said(&folder, &error))? {
            let path = entry.map_err(|error| said(&folder, &error))?.path();
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            if name == "target" || (name.starts_with('.') && name != ".cargo") {
                continue;
            }
            if path.is_dir() {
                folders.push(path);
            } else if let Ok(short) = path.strip_prefix(root) {
                files.push(short.to_owned());
            }
        }
    }
    Ok(files)
}

/// A copy with edits made; dropping it takes them back.
pub(crate) struct Broken {
    whole: Vec<(PathBuf, String)>,
}

impl Broken {
    /// Makes `edits` in the copy `tree` of `source`. Several may go into one file.
    pub(crate) fn apply(edits: &[Edit], source: &Path, tree: &Path) -> Result<Self, String> {
        let mut broken = Self { whole: Vec::new() };
        for edit in edits {
            let path = tree.join(&edit.file);
            let text = fs::read_to_string(&path).map_err(|error| said(&path, &error))?;
            let changed = edit.apply(&text)?;
            if !broken.whole.iter().any(|(known, _)| *known == path) {
                let original = source.join(&edit.file);
                let whole =
                    fs::read_to_string(&original).map_err(|error| said(&original, &error))?;
                if whole != text {
                    return Err(format!("{} changed while mutants ran", edit.file));
                }
                broken.whole.push((path.clone(), whole));
            }
            fs::write(&path, changed).map_err(|error| said(&path, &error))?;
        }
        Ok(broken)
    }
}

impl Drop for Broken {
    fn drop(&mut self) {
        for (path, text) in &self.whole {
            if let Err(error) = fs::write(path, text) {
                // The next run's copy mends it; this run's later verdicts are worth nothing.
                panic!("{} stays broken: {error}", path.display());
            }
        }
    }
}
