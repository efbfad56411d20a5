//! What a file is, by its path from the workspace's root.

/// How the checks treat a file.
#[derive(Debug, PartialEq)]
pub(crate) enum Role {
    /// Code that is built into a library or a program.
    Product,
    /// Unit tests or models in a file of their own beside the code.
    UnitTests,
    /// Everything under a folder `tests`.
    Suite,
}

/// The role of the file at `path`.
pub(crate) fn role(path: &str) -> Role {
    let mut parts = path.rsplit('/');
    let name = parts.next().unwrap_or_default();
    if parts.any(|folder| folder == "tests") {
        Role::Suite
    } else if matches!(name, "tests.rs" | "models.rs") {
        Role::UnitTests
    } else {
        Role::Product
    }
}

/// The part of `path` below its crate's `src`.
pub(crate) fn below_src(path: &str) -> Option<&str> {
    path.strip_prefix("src/")
        .or_else(|| path.split_once("/src/").map(|(_, below)| below))
}

/// The last part of `path`.
pub(crate) fn name(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

/// Whether `path` is `entry`, or lies in the folder that `entry` names by a final `/`.
pub(crate) fn matches_entry(path: &str, entry: &str) -> bool {
    if entry.ends_with('/') {
        path.starts_with(entry)
    } else {
        path == entry
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn roles_follow_folders_and_names() {
        assert_eq!(role("net/src/listen.rs"), Role::Product);
        assert_eq!(role("net/src/tests.rs"), Role::UnitTests);
        assert_eq!(role("runtime/src/poll/models.rs"), Role::UnitTests);
        assert_eq!(role("tests/tidy.rs"), Role::Suite);
        assert_eq!(role("net/tests/deadline.rs"), Role::Suite);
    }

    #[test]
    fn entries_name_a_file_or_a_folder() {
        assert!(matches_entry("sys/src/a.rs", "sys/src/"));
        assert!(matches_entry("sys/src/a.rs", "sys/src/a.rs"));
        assert!(!matches_entry("sys/src/a.rs", "sys/src/a"));
        assert!(!matches_entry("sys/srcs/a.rs", "sys/src/"));
    }
}
