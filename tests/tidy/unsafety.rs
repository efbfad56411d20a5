//! `unsafe` only in listed files, and each use with the facts that make it sound right above it.

use crate::paths::matches_entry;
use crate::scan::{Scan, attributes, line, word_at, words};
use crate::violation;

/// The files (or folders, with a final `/`) that may hold `unsafe`, each with its reason.
pub(crate) const ALLOWED: &[(&str, &str)] = &[
    ("sys/src/", "calls the kernel"),
    (
        "runtime/src/task/raw.rs",
        "one allocation a task: vtable and header behind one pointer",
    ),
    (
        "runtime/src/task/list.rs",
        "the registry's links between task cells, guarded by its locks",
    ),
    (
        "runtime/src/sched/queue.rs",
        "ring slots that the owner writes while thieves read",
    ),
    (
        "runtime/src/sched/next.rs",
        "a runnable as a pointer in an atomic slot",
    ),
    (
        "runtime/src/task/join.rs",
        "takes the output out of the task's cell, as its only JoinHandle",
    ),
    ("runtime/tests/fork.rs", "runs code between fork and exec"),
    ("roam/tests/fork.rs", "runs code between fork and exec"),
    ("sys/tests/fork.rs", "forks a child, to see what it sees"),
    (
        "net/tests/allocations.rs",
        "a global allocator that counts, as no safe code can be one",
    ),
    (
        "runtime/src/poll/slots.rs",
        "a pointer to a slot, which stays where it is while its storage lives",
    ),
    (
        "runtime/src/poll/direction.rs",
        "a waiter's cell, guarded by the direction's word",
    ),
    (
        "runtime/src/waker_slot.rs",
        "a waker's cell, guarded by its own state word",
    ),
    (
        "runtime/src/waker_slot/models.rs",
        "a waker that panics when cloned, which no safe constructor makes",
    ),
    (
        "runtime/src/time/timer.rs",
        "a waker's cell, guarded by the deadline's word",
    ),
    (
        "benches/src/roam/openssl.rs",
        "calls OpenSSL, which is measured beside",
    ),
    (
        "benches/src/raw/",
        "the floor: a loop on the kernel itself, without the runtime",
    ),
];

/// `unsafe`, and the lint level that admits it, stand only in files on [`ALLOWED`].
pub(crate) fn listed(path: &str, text: &str) -> Vec<String> {
    if ALLOWED.iter().any(|(entry, _)| matches_entry(path, entry)) {
        return Vec::new();
    }
    let code = Scan::new(text).code;
    let admits = attributes(&code).into_iter().filter(|range| {
        let text = &code[range.clone()];
        let lowers = ["allow", "expect", "warn"]
            .iter()
            .any(|level| words(text, level).next().is_some());
        lowers && words(text, "unsafe_code").next().is_some()
    });
    let uses =
        words(&code, "unsafe").map(|at| (at, "`unsafe` in a file that is not on tidy's list"));
    let mut found: Vec<_> = admits
        .map(|range| {
            (
                range.start,
                "admits `unsafe` in a file that is not on tidy's list",
            )
        })
        .chain(uses)
        .collect();
    found.sort_unstable();
    found
        .iter()
        .map(|&(at, what)| violation(path, line(&code, at), what))
        .collect()
}

/// The entries of `allowed` that no longer cover any `unsafe`: a stale permission is a gap.
pub(crate) fn stale(allowed: &[(&str, &str)], files: &[(String, String)]) -> Vec<String> {
    let covers = |entry: &str| {
        files
            .iter()
            .filter(|(path, _)| matches_entry(path, entry))
            .any(|(_, text)| words(&Scan::new(text).code, "unsafe").next().is_some())
    };
    let gone = allowed.iter().filter(|(entry, _)| !covers(entry));
    gone.map(|(entry, _)| format!("{entry}: on tidy's list, but holds no `unsafe`"))
        .collect()
}

/// Every `unsafe` block and implementation has a `SAFETY:` comment in the lines right above it, and
/// that comment states facts.
pub(crate) fn explained(path: &str, text: &str) -> Vec<String> {
    let scan = Scan::new(text);
    let uses = words(&scan.code, "unsafe").filter(|at| {
        let next = scan.code[at + "unsafe".len()..].trim_start();
        next.starts_with('{') || word_at(next) == "impl"
    });
    let fault = |at: usize| {
        let at_line = line(&scan.code, at);
        let message = match safety_comment(&scan, at_line) {
            None => "`unsafe` without a `SAFETY:` comment right above",
            Some(comment) if comment.contains("is safe") => "`SAFETY:` comment names no fact",
            Some(_) => return None,
        };
        Some(violation(path, at_line, message))
    };
    uses.filter_map(fault).collect()
}

/// The comment above the statement that reaches into line `at`, if it is a safety comment.
fn safety_comment(scan: &Scan, at: usize) -> Option<String> {
    let code: Vec<&str> = scan.code.lines().collect();
    let comments: Vec<&str> = scan.comments.lines().collect();
    let is_comment = |i: usize| code[i].trim().is_empty() && !comments[i].trim().is_empty();
    let mut first = at - 1;
    // To the top of the statement: a line belongs to it unless the one above ends something.
    while let Some(above) = first.checked_sub(1) {
        let text = code[above].trim_end();
        if is_comment(above) || text.is_empty() || text.ends_with([';', '{', '}', ',']) {
            break;
        }
        first = above;
    }
    let end = first;
    while first > 0 && is_comment(first - 1) {
        first -= 1;
    }
    let comment = comments[first..end].join("\n");
    comment.contains("SAFETY:").then_some(comment)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unsafe_in_an_unlisted_file_is_reported() {
        assert_eq!(
            listed("net/src/a.rs", "fn f() {\n    unsafe { g() }\n}"),
            ["net/src/a.rs:2: `unsafe` in a file that is not on tidy's list"]
        );
        for text in [
            "unsafe impl Send for A {}",
            "#![allow(unsafe_code)]",
            "#[expect(unsafe_code)]",
        ] {
            assert_eq!(listed("runtime/src/lib.rs", text).len(), 1, "{text}");
        }
    }

    #[test]
    fn unsafe_in_a_listed_file_or_in_words_passes() {
        assert_eq!(
            listed("sys/src/epoll.rs", "#![allow(unsafe_code)]\nunsafe { g() }"),
            [""; 0]
        );
        for text in [
            "#![forbid(unsafe_code)]",
            "// unsafe { g() }",
            "let s = \"unsafe\";",
        ] {
            assert_eq!(listed("net/src/a.rs", text), [""; 0], "{text}");
        }
    }

    #[test]
    fn list_entry_without_unsafe_is_reported() {
        let files = [("sys/src/a.rs".to_owned(), "unsafe { x() }".to_owned())];
        let allowed = [("sys/src/", "kernel"), ("sys/src/b.rs", "gone")];
        assert_eq!(
            stale(&allowed, &files),
            ["sys/src/b.rs: on tidy's list, but holds no `unsafe`"]
        );
        assert_eq!(stale(&allowed[..1], &files), [""; 0]);
    }

    #[test]
    fn unsafe_without_safety_comment_is_reported() {
        let bare = "fn f() {\n    unsafe { g() }\n}";
        assert_eq!(
            explained("a.rs", bare),
            ["a.rs:2: `unsafe` without a `SAFETY:` comment right above"]
        );
        for text in [
            "unsafe impl Send for A {}",
            "// Explains nothing.\nlet x = unsafe { g() };",
            "// SAFETY: `g` needs an open descriptor, and `fd` is borrowed.\nlet y = 1;\nunsafe { g() }",
            "// SAFETY: `g` needs an open descriptor, and `fd` is borrowed.\n\nunsafe { g() }",
            "// SAFETY: this is safe.\nunsafe { g() }",
            "let s = \"SAFETY: x\";\nunsafe { g() }",
        ] {
            assert_eq!(explained("a.rs", text).len(), 1, "{text}");
        }
    }

    #[test]
    fn unsafe_under_its_safety_comment_passes() {
        for text in [
            "// SAFETY: `fd` is borrowed, so it stays open.\nunsafe { g() }",
            "// SAFETY: `fd` is borrowed,\n// so it stays open.\nlet x =\n    cvt(\n        unsafe { g() },\n    );",
            "// SAFETY: the pointer is never shared.\n#[rustfmt::skip]\nunsafe impl Send for A {}",
            "/// # Safety\nunsafe fn f() {}",
            "unsafe extern \"C\" { fn f(); }",
            "// unsafe { g() }",
        ] {
            assert_eq!(explained("a.rs", text), [""; 0], "{text}");
        }
    }
}
