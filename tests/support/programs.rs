//! Programs of others that tests talk to, and what happens when one is missing.

use std::fs::OpenOptions;
use std::io::Write;
use std::path::PathBuf;

/// Returns whether `program` can be used by this test; if not, tells that the test is skipped.
///
/// `GANNET_SKIP` names the programs, separated by commas, that could not be installed: a test that
/// needs one is skipped, and appends a line to the file that `GANNET_SKIP_LOG` names.
///
/// # Panics
/// If the program is missing and `GANNET_SKIP` does not say so: nothing is skipped unasked.
#[track_caller]
pub(crate) fn has(program: &str) -> bool {
    let skipped = std::env::var("GANNET_SKIP").unwrap_or_default();
    if skipped.split(',').any(|name| name.trim() == program) {
        tell(&format!("skipped: {}: no {program}", test_name()));
        return false;
    }
    assert!(
        find(program).is_some(),
        "this test needs {program}: install it, or skip what needs it with GANNET_SKIP={program}"
    );
    true
}

/// The first file of this name in `PATH`.
pub(crate) fn find(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path)
        .map(|folder| folder.join(program))
        .find(|file| file.is_file())
}

fn test_name() -> String {
    std::thread::current().name().unwrap_or("a test").to_owned()
}

fn tell(line: &str) {
    println!("{line}");
    let Some(log) = std::env::var_os("GANNET_SKIP_LOG") else {
        return;
    };
    let mut log = OpenOptions::new()
        .append(true)
        .create(true)
        .open(log)
        .expect("the skip log opens");
    // One write, so that lines of several processes do not mix.
    log.write_all(format!("{line}\n").as_bytes())
        .expect("the skip log takes a line");
}
