//! `tests/GO.md` says for each row what stands for it, and counts right.

use std::collections::BTreeMap;

use crate::violation;

/// What stands for one of Go's tests.
#[derive(Debug, Eq, PartialEq)]
enum Answer {
    /// A test, or several, named as `PATH::NAME`.
    Tests,
    /// Why it does not apply.
    Reason,
    /// What is still to be made.
    Missing,
}

/// The rows of `table` that are answered by nothing or twice, and a last line that counts wrong.
pub(crate) fn counted(path: &str, table: &str) -> Vec<String> {
    let mut found = Vec::new();
    let (mut tests, mut reasons, mut missing) = (0, 0, 0);
    let mut seen: BTreeMap<&str, usize> = BTreeMap::new();
    for (n, line) in table.lines().enumerate() {
        let Some((row, answer)) = row(line) else {
            continue;
        };
        if let Some(first) = seen.insert(row, n + 1) {
            let message = format!("{row} stands in line {first} already");
            found.push(violation(path, n + 1, &message));
        }
        match self::answer(answer) {
            Some(Answer::Tests) => tests += 1,
            Some(Answer::Reason) => reasons += 1,
            Some(Answer::Missing) => missing += 1,
            None => found.push(violation(path, n + 1, &format!("{row} has no answer"))),
        }
    }
    let foot = format!("Tests {tests}, reasoned {reasons}, missing {missing}.");
    if table.lines().last() != Some(&foot) {
        let last = table.lines().count();
        found.push(violation(
            path,
            last,
            &format!("the last line is not: {foot}"),
        ));
    }
    found
}

/// Go's test, and what stands for it, if `line` is a row of the table.
fn row(line: &str) -> Option<(&str, &str)> {
    let cells = line.strip_prefix("| ")?.strip_suffix(" |")?;
    let (row, answer) = cells.split_once(" | ")?;
    let is_head = row.starts_with("Go") || row.starts_with('-');
    (!is_head).then_some((row, answer.trim()))
}

fn answer(text: &str) -> Option<Answer> {
    if let Some(what) = text.strip_prefix("missing: ") {
        return (!what.is_empty()).then_some(Answer::Missing);
    }
    if text.contains(".rs::") {
        return Some(Answer::Tests);
    }
    // A reason is a sentence: one word explains nothing.
    (text.split_whitespace().count() >= 3).then_some(Answer::Reason)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: &str = "# Go\n\n| Go's test | here |\n|---|---|\n";

    #[test]
    fn right_count_passes() {
        let table = format!(
            "{HEAD}| TestA | `a.rs::b` |\n| TestB | it needs the internet |\n| TestC | missing: \
             sockets |\n\nTests 1, reasoned 1, missing 1."
        );
        assert_eq!(counted("t.md", &table), [""; 0]);
    }

    #[test]
    fn wrong_count_is_found() {
        let table = format!("{HEAD}| TestA | `a.rs::b` |\n\nTests 2, reasoned 0, missing 0.");
        let found = counted("t.md", &table);
        let want = "t.md:7: the last line is not: Tests 1, reasoned 0, missing 0.";
        assert_eq!(found, [want]);
    }

    #[test]
    fn row_without_an_answer_and_row_twice_are_found() {
        for answer in ["", "no", "missing:"] {
            let table = format!("{HEAD}| TestA | {answer} |\n\nTests 0, reasoned 0, missing 0.");
            let found = counted("t.md", &table);
            assert_eq!(found, ["t.md:5: TestA has no answer"], "{answer}");
        }
        let row = "| TestA | `a.rs::b` |\n";
        let table = format!("{HEAD}{row}{row}\nTests 2, reasoned 0, missing 0.");
        let found = counted("t.md", &table);
        assert_eq!(found, ["t.md:6: TestA stands in line 5 already"]);
    }
}
