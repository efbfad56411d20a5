//! House rules that no compiler and no linter holds: sizes, arrows, `unsafe`, words, addresses.
//!
//! Each check is a function of one file's path and text that returns `file:line: message` per
//! violation. It is tested beside its code on planted violations, and here it runs over the tree.

use std::fs;
use std::path::Path;

#[path = "tidy/addresses.rs"]
mod addresses;
#[path = "tidy/arrows.rs"]
mod arrows;
#[path = "tidy/docs.rs"]
mod docs;
#[path = "tidy/named.rs"]
mod named;
#[path = "tidy/paths.rs"]
mod paths;
#[path = "tidy/scan.rs"]
mod scan;
#[path = "tidy/size.rs"]
mod size;
#[path = "tidy/tally.rs"]
mod tally;
#[path = "tidy/unsafety.rs"]
mod unsafety;
#[path = "tidy/words.rs"]
mod words;

/// A violation in the form that editors and terminals turn into a link.
fn violation(path: &str, line: usize, message: &str) -> String {
    format!("{path}:{line}: {message}")
}

/// The workspace's root: where cargo found the manifest, or here if built without cargo.
fn root() -> &'static Path {
    Path::new(option_env!("CARGO_MANIFEST_DIR").unwrap_or("."))
}

/// Every file of the workspace that `is_wanted` by its path, as path from the root and text.
fn files(is_wanted: fn(&str) -> bool) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let mut folders = vec![root().to_path_buf()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).expect("the workspace is readable") {
            let path = entry.expect("the workspace is readable").path();
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            if name.starts_with('.') || name == "target" {
                continue;
            }
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let short = path.strip_prefix(root()).expect("found below the root");
            let short = short.to_string_lossy().into_owned();
            if is_wanted(&short) {
                found.push((
                    short,
                    fs::read_to_string(&path).expect("a source is UTF-8 text"),
                ));
            }
        }
    }
    found.sort();
    found
}

fn sources() -> Vec<(String, String)> {
    files(|path| path.ends_with(".rs"))
}

/// Runs `check` over `files`, and fails with everything it found.
#[track_caller]
fn hold(files: &[(String, String)], check: fn(&str, &str) -> Vec<String>) {
    let found = files.iter().flat_map(|(path, text)| check(path, text));
    hold_none(&found.collect::<Vec<_>>());
}

/// Fails with what a check over the whole tree found.
#[track_caller]
fn hold_none(found: &[String]) {
    assert!(
        found.is_empty(),
        "{} violations:\n{}",
        found.len(),
        found.join("\n")
    );
}

#[test]
fn tree_is_seen() {
    // A walk that finds nothing would let every check below pass.
    let sources = sources();
    for path in [
        "src/lib.rs",
        "sys/src/lib.rs",
        "tests/tidy.rs",
        "xtask/src/main.rs",
    ] {
        assert!(
            sources.iter().any(|(found, _)| found == path),
            "{path} was not found"
        );
    }
    let manifests = files(|path| paths::name(path) == "Cargo.toml");
    assert!(
        manifests.len() >= 6,
        "the workspace has six packages: {}",
        manifests.len()
    );
}

#[test]
fn tree_holds_file_lines() {
    hold(&sources(), size::file_lines);
}

#[test]
fn tree_holds_function_lines() {
    hold(&sources(), size::function_lines);
}

#[test]
fn tree_holds_folders() {
    hold(&sources(), size::folders);
}

#[test]
fn tree_holds_arrows_in_manifests() {
    hold(
        &files(|path| paths::name(path) == "Cargo.toml"),
        arrows::manifest,
    );
}

#[test]
fn tree_holds_arrows_in_sources() {
    hold(&sources(), arrows::sources);
}

#[test]
fn tree_holds_loom_in_sync() {
    hold(&sources(), arrows::loom);
}

#[test]
fn tree_holds_clock_in_sys() {
    hold(&sources(), arrows::clock);
}

#[test]
fn tree_holds_protocol_without_io() {
    hold(&sources(), arrows::sans_io);
}

#[test]
fn tree_holds_complete_pages() {
    let sources = sources();
    hold_none(&docs::complete(docs::OURS, &sources));
    hold_none(&docs::stale(docs::OURS, &sources));
}

#[test]
fn tree_holds_unsafe_list() {
    let sources = sources();
    hold(&sources, unsafety::listed);
    assert_eq!(unsafety::stale(unsafety::ALLOWED, &sources), [""; 0]);
}

#[test]
fn tree_holds_safety_comments() {
    hold(&sources(), unsafety::explained);
}

#[test]
fn tree_holds_banned_words() {
    hold(&sources(), words::banned);
}

#[test]
fn tree_holds_no_ignored_tests() {
    hold(&sources(), words::ignored);
}

#[test]
fn tree_holds_mutants_of_models() {
    hold(&sources(), words::mutants);
}

#[test]
fn tree_holds_local_addresses() {
    hold(&sources(), addresses::local);
}

#[test]
fn tree_holds_named_tests() {
    let tables = files(|path| path == "tests/BUGS.md" || path == "tests/GO.md");
    assert_eq!(tables.len(), 2, "both tables are there");
    let sources = sources();
    let found = tables
        .iter()
        .flat_map(|(path, text)| named::named(path, text, &sources));
    hold_none(&found.collect::<Vec<_>>());
}

#[test]
fn tree_holds_tally_of_gos_tests() {
    let tables = files(|path| path == "tests/GO.md");
    assert_eq!(tables.len(), 1, "tests/GO.md is there");
    hold(&tables, tally::counted);
}
