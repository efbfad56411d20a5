//! Limits: lines of a file, lines of a function, folders below `src`.

use crate::paths;
use crate::scan::{Scan, closing, line, word_at, words};
use crate::violation;

const FILE_LINES_MAX: usize = 600;
const FUNCTION_LINES_MAX: usize = 70;
const FOLDERS_MAX: usize = 2;

/// A file holds at most 600 lines without its tests; one under `tests/` has nothing to take off.
pub(crate) fn file_lines(path: &str, text: &str) -> Vec<String> {
    let total = text.lines().count();
    let lines = match paths::role(path) {
        paths::Role::UnitTests => return Vec::new(),
        paths::Role::Suite => total,
        paths::Role::Product => {
            total
                - Scan::new(text)
                    .test_lines()
                    .iter()
                    .map(ExactSizeIterator::len)
                    .sum::<usize>()
        }
    };
    if lines <= FILE_LINES_MAX {
        return Vec::new();
    }
    let message = format!("{lines} lines without its tests; at most {FILE_LINES_MAX}");
    vec![violation(path, FILE_LINES_MAX + 1, &message)]
}

/// A function, test or not, holds at most 70 lines from `fn` to its closing brace.
pub(crate) fn function_lines(path: &str, text: &str) -> Vec<String> {
    let code = Scan::new(text).code;
    let too_long = |at: usize| {
        let name = word_at(code[at + "fn".len()..].trim_start().trim_start_matches('$'));
        if name.is_empty() {
            return None; // A function pointer's type.
        }
        let (first, last) = (line(&code, at), line(&code, body_end(&code, at)?));
        let lines = last + 1 - first;
        (lines > FUNCTION_LINES_MAX).then(|| {
            let message = format!("`{name}` has {lines} lines; at most {FUNCTION_LINES_MAX}");
            violation(path, first, &message)
        })
    };
    words(&code, "fn").filter_map(too_long).collect()
}

/// Where the body of the function at `at` ends; `None` if it is declared without one.
fn body_end(code: &str, at: usize) -> Option<usize> {
    let mut i = at;
    loop {
        match code.as_bytes().get(i)? {
            // The braces of a const argument, `Foo<{ N }>`, are not the body.
            b'{' if code[..i].trim_end().ends_with('<') => i = closing(code, i) + 1,
            b'{' => return Some(closing(code, i)),
            b';' => return None,
            b'(' | b'[' => i = closing(code, i) + 1,
            _ => i += 1,
        }
    }
}

/// Below a crate's `src`, a file stands in at most two folders.
pub(crate) fn folders(path: &str, _text: &str) -> Vec<String> {
    let Some(below) = paths::below_src(path) else {
        return Vec::new();
    };
    let depth = below.matches('/').count();
    if depth <= FOLDERS_MAX {
        return Vec::new();
    }
    let message = format!("{depth} folders below `src`; at most {FOLDERS_MAX}");
    vec![violation(path, 1, &message)]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn function_of(lines: usize) -> String {
        let body = "    let x = \"}\"; // }\n".repeat(lines - 2);
        format!("/// Doc.\nfn f<'a>(x: &'a [u8; 2]) -> char {{\n{body}}}\n")
    }

    #[test]
    fn file_over_600_lines_is_reported() {
        assert_eq!(file_lines("net/src/a.rs", &"x;\n".repeat(600)), [""; 0]);
        let over = file_lines("net/src/a.rs", &"x;\n".repeat(601));
        assert_eq!(
            over,
            ["net/src/a.rs:601: 601 lines without its tests; at most 600"]
        );
        assert_eq!(file_lines("tests/a.rs", &"x;\n".repeat(601)).len(), 1);
    }

    #[test]
    fn file_length_leaves_its_tests_out() {
        let tests = format!("#[cfg(test)]\nmod tests {{\n{}}}\n", "x;\n".repeat(300));
        let text = "x;\n".repeat(600) + &tests;
        assert_eq!(file_lines("net/src/a.rs", &text), [""; 0]);
        assert_eq!(
            file_lines("tests/a.rs", &text).len(),
            1,
            "all of a suite is tests"
        );
        assert_eq!(
            file_lines("net/src/a/tests.rs", &"x;\n".repeat(900)),
            [""; 0]
        );
        assert_eq!(
            file_lines("net/src/a/models.rs", &"x;\n".repeat(900)),
            [""; 0]
        );
    }

    #[test]
    fn function_over_70_lines_is_reported() {
        assert_eq!(function_lines("a.rs", &function_of(70)), [""; 0]);
        let over = function_lines("a.rs", &function_of(71));
        assert_eq!(over, ["a.rs:2: `f` has 71 lines; at most 70"]);
        // A limit that fires just above itself is no limit.
        assert_eq!(function_lines("a.rs", &function_of(4000)).len(), 1);
    }

    #[test]
    fn function_pointers_and_declarations_have_no_body() {
        let far = "\n".repeat(100);
        let text = format!("type F = fn(u8);\ntrait T {{\nfn f(&self);{far}}}\n// fn g() {{{far}");
        assert_eq!(function_lines("a.rs", &text), [""; 0]);
        let const_argument = format!("fn f() -> A<{{ 2 }}> {{{far}}}");
        assert_eq!(function_lines("a.rs", &const_argument).len(), 1);
    }

    #[test]
    fn third_folder_below_src_is_reported() {
        assert_eq!(folders("net/src/a/b/c.rs", ""), [""; 0]);
        assert_eq!(
            folders("src/a/b/c/d.rs", ""),
            ["src/a/b/c/d.rs:1: 3 folders below `src`; at most 2"]
        );
        assert_eq!(folders("net/src/a/b/c/d.rs", "").len(), 1);
        assert_eq!(folders("tests/a/b/c/d.rs", ""), [""; 0]);
    }
}
