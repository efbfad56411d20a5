//! The tables below `tests/` name tests, models and files that exist.

use crate::violation;

/// What `table` names in backticks and `tree` does not have: functions by `fn NAME`, files by
/// path, and a function of one file as `PATH::NAME`.
pub(crate) fn named(path: &str, table: &str, tree: &[(String, String)]) -> Vec<String> {
    let mut found = Vec::new();
    for (n, line) in table.lines().enumerate() {
        let quoted = line.split('`').skip(1).step_by(2);
        for name in quoted.filter(|name| !exists(name, tree)) {
            found.push(violation(
                path,
                n + 1,
                &format!("`{name}` is not in the tree"),
            ));
        }
    }
    found
}

fn exists(name: &str, tree: &[(String, String)]) -> bool {
    if name.ends_with(".rs") {
        return tree.iter().any(|(path, _)| path.ends_with(name));
    }
    if let Some((file, function)) = name.split_once(".rs::") {
        let file = format!("{file}.rs");
        let definition = format!("fn {function}(");
        let found = tree.iter().find(|(path, _)| *path == file);
        return found.is_some_and(|(_, text)| text.contains(&definition));
    }
    let is_test = name.matches('_').count() >= 2
        && name
            .chars()
            .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_');
    let definition = format!("fn {name}(");
    !is_test || tree.iter().any(|(_, text)| text.contains(&definition))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree() -> Vec<(String, String)> {
        vec![(
            "net/tests/dial.rs".to_owned(),
            "#[test]\nfn dial_is_refused() {}".to_owned(),
        )]
    }

    #[test]
    fn what_exists_passes() {
        let table = "| 1 | a `word` | `net/tests/dial.rs` `dial_is_refused`, `epoll_wait` |";
        assert_eq!(named("t.md", table, &tree()), [""; 0]);
    }

    #[test]
    fn function_is_looked_for_in_its_own_file() {
        let good = "`net/tests/dial.rs::dial_is_refused`";
        assert_eq!(named("t.md", good, &tree()), [""; 0]);
        for bad in [
            "`net/tests/dial.rs::dial`",
            "`tests/dial.rs::dial_is_refused`",
            "`net/tests/listen.rs::dial_is_refused`",
        ] {
            assert_eq!(named("t.md", bad, &tree()).len(), 1, "{bad}");
        }
    }

    #[test]
    fn what_is_gone_is_found() {
        let table = "| 1 |\n| 2 | `dial_is_not_refused`, `net/tests/gone.rs` |";
        let found = named("t.md", table, &tree());
        assert_eq!(found.len(), 2, "{found:?}");
        assert!(
            found[0].starts_with("t.md:2: `dial_is_not_refused`"),
            "{found:?}"
        );
    }
}
