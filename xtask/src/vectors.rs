//! Captured sessions of mosh, checked by the example program of `gannet-roam`.

use std::env;
use std::fs;
use std::path::Path;

use crate::tools;

/// The captures that come with the crate.
const CAPTURES: &str = "roam/tests/vectors";

/// Checks `words`, which are files and options of the program; without a file, all that we have.
pub(crate) fn run(words: &[String]) -> Result<(), String> {
    let (options, files): (Vec<&String>, Vec<&String>) =
        words.iter().partition(|word| word.starts_with('-'));
    let files = match files.is_empty() {
        true => captures()?,
        false => files.into_iter().map(|file| from_here(file)).collect(),
    };
    let mut command = tools::cargo();
    command
        .args(["run", "--quiet", "--package", "gannet-roam"])
        .args(["--example", "verify-vectors", "--"])
        .args(options)
        .args(files);
    tools::run(&mut command)
}

/// `file` as it is found from the workspace's root, where the program runs.
fn from_here(file: &str) -> String {
    let here = env::current_dir().unwrap_or_default();
    here.join(file).to_string_lossy().into_owned()
}

fn captures() -> Result<Vec<String>, String> {
    let cannot = |error| format!("cannot list {CAPTURES}: {error}");
    let entries = fs::read_dir(tools::root().join(CAPTURES)).map_err(cannot)?;
    let mut files = Vec::new();
    for entry in entries {
        let name = entry.map_err(cannot)?.file_name();
        if Path::new(&name)
            .extension()
            .is_some_and(|end| end == "jsonl")
        {
            files.push(format!("{CAPTURES}/{}", name.to_string_lossy()));
        }
    }
    files.sort();
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn captures_are_found_in_order() {
        let files = captures().expect("the workspace is readable");
        assert_eq!(files.len(), 10, "{files:?}");
        assert!(files.is_sorted());
        assert_eq!(files[0], "roam/tests/vectors/basic.jsonl");
    }

    #[test]
    fn file_named_from_elsewhere_is_found() {
        assert_eq!(from_here("/a/b.jsonl"), "/a/b.jsonl");
        assert!(from_here("b.jsonl").ends_with("/b.jsonl"));
    }
}
