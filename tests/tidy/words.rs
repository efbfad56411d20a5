//! Words that say nothing, tests that do not run, models without a mutant.

use crate::paths;
use crate::scan::{Scan, attributes, line, words};
use crate::violation;

/// Words that stand where a fact or finished work should, each with what to write instead.
const BANNED: [(&str, &str); 8] = [
    ("behaves", "say what it does"),
    ("obviously", "give the reason"),
    ("always valid", "say which fact makes it so"),
    ("for now", "say what holds and why"),
    ("hack", "say what it works around"),
    ("TODO", "finish it or open an issue"),
    ("FIXME", "fix it"),
    ("XXX", "say what is wrong"),
];

/// No comment holds a banned word, in whatever case and across whatever spaces.
pub(crate) fn banned(path: &str, text: &str) -> Vec<String> {
    let comments = Scan::new(text).comments;
    let mut found = Vec::new();
    for (at, comment) in comments.lines().enumerate() {
        let comment = comment.to_lowercase();
        for (word, instead) in BANNED {
            if words(&comment, &word.to_lowercase()).next().is_some() {
                found.push(violation(
                    path,
                    at + 1,
                    &format!("banned word `{word}`: {instead}"),
                ));
            }
        }
    }
    found
}

/// No test and no documentation example is switched off.
pub(crate) fn ignored(path: &str, text: &str) -> Vec<String> {
    let scan = Scan::new(text);
    let in_attributes = attributes(&scan.code)
        .into_iter()
        .filter(|range| words(&scan.code[range.clone()], "ignore").next().is_some())
        .map(|range| line(&scan.code, range.start));
    let in_examples = scan
        .comments
        .lines()
        .enumerate()
        .filter_map(|(at, comment)| {
            let fence = comment
                .trim()
                .trim_start_matches(['/', '!', '*'])
                .trim_start();
            let is_off = fence.starts_with("```") && words(fence, "ignore").next().is_some();
            is_off.then_some(at + 1)
        });
    let mut lines: Vec<usize> = in_attributes.chain(in_examples).collect();
    lines.sort_unstable();
    lines
        .iter()
        .map(|&at| violation(path, at, "an ignored test proves nothing"))
        .collect()
}

/// Every loom model of the runtime names the mutants that it kills.
pub(crate) fn mutants(path: &str, text: &str) -> Vec<String> {
    if !path.starts_with("runtime/src/") || paths::name(path) != "models.rs" {
        return Vec::new();
    }
    let scan = Scan::new(text);
    let is_test = |code: &str| code.split_whitespace().collect::<String>() == "#[test]";
    let tests = attributes(&scan.code)
        .into_iter()
        .filter(|range| is_test(&scan.code[range.clone()]));
    let at_lines = tests.map(|range| line(&scan.code, range.start));
    let names_none = |&at: &usize| {
        let doc = doc_around(&scan, at);
        !(doc.contains("Mutant:") || doc.contains("Mutants:"))
    };
    at_lines
        .filter(names_none)
        .map(|at| violation(path, at, "a model whose doc comment names no `Mutant:`"))
        .collect()
}

/// The doc comments that touch the attribute in line `at`, above it or between it and its function.
fn doc_around(scan: &Scan, at: usize) -> String {
    let code: Vec<&str> = scan.code.lines().collect();
    let comments: Vec<&str> = scan.comments.lines().collect();
    let belongs = |i: &usize| {
        let (code, comment) = (code[*i].trim(), comments[*i].trim());
        code.starts_with("#[") || (code.is_empty() && !comment.is_empty())
    };
    let above = (0..at).rev().take_while(belongs);
    let below = (at..code.len()).take_while(belongs);
    let docs = above
        .chain(below)
        .map(|i| comments[i].trim())
        .filter(|c| c.starts_with("///"));
    docs.collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn banned_word_in_a_comment_is_reported() {
        assert_eq!(
            banned("a.rs", "fn f() {}\n// SAFETY: `recv` behaves."),
            ["a.rs:2: banned word `behaves`: say what it does"]
        );
        for (word, _) in BANNED {
            assert_eq!(banned("a.rs", &format!("/// A {word}.")).len(), 1, "{word}");
            assert_eq!(
                banned("a.rs", &format!("/* x\n{word} */")).len(),
                1,
                "{word}"
            );
        }
    }

    #[test]
    fn banned_word_in_code_or_inside_another_passes() {
        for text in [
            "let s = \"TODO\";",
            "// hackney, behave, forebehaves",
            "fn todo() {}",
            "// for nowhere",
        ] {
            assert_eq!(banned("a.rs", text), [""; 0], "{text}");
        }
    }

    #[test]
    fn ignored_test_or_example_is_reported() {
        assert_eq!(
            ignored("a.rs", "#[test]\n#[ignore]\nfn f() {}"),
            ["a.rs:2: an ignored test proves nothing"]
        );
        for text in [
            "#[ignore = \"slow\"]",
            "#[cfg_attr(x, ignore)]",
            "/// ```ignore\n/// x\n/// ```",
            "//! ```rust,ignore",
        ] {
            assert_eq!(ignored("a.rs", text).len(), 1, "{text}");
        }
        for text in [
            "#[test]",
            "fn ignore() {}",
            "// #[ignore]",
            "/// ```no_run",
            "let s = \"#[ignore]\";",
        ] {
            assert_eq!(ignored("a.rs", text), [""; 0], "{text}");
        }
    }

    #[test]
    fn model_without_a_mutant_is_reported() {
        let path = "runtime/src/poll/models.rs";
        let bare = "/// Wakes.\n#[test]\nfn f() {}\n";
        assert_eq!(
            mutants(path, bare),
            [format!(
                "{path}:2: a model whose doc comment names no `Mutant:`"
            )]
        );
        let other = "/// Mutant: relaxed.\n#[test]\nfn f() {}\n\n#[test]\nfn g() {}\n";
        assert_eq!(
            mutants(path, other).len(),
            1,
            "a neighbour's mutant does not count"
        );
        assert_eq!(
            mutants(path, "// Mutant: x.\n#[test]\nfn f() {}\n").len(),
            1,
            "not a doc comment"
        );
    }

    #[test]
    fn model_with_a_mutant_passes() {
        let path = "runtime/src/poll/models.rs";
        for text in [
            "/// Wakes.\n///\n/// Mutant: relaxed.\n#[test]\nfn f() {}\n",
            "#[test]\n/// Mutants: a, b.\nfn f() {}\n",
            "fn helper() {}\n",
        ] {
            assert_eq!(mutants(path, text), [""; 0], "{text}");
        }
        assert_eq!(
            mutants("runtime/src/poll/tests.rs", "#[test]\nfn f() {}"),
            [""; 0]
        );
    }
}
