//! What a page must say, as far as its item's signature tells: a future says what it waits for and what
//! dropping it loses, a `Result` says which errors it brings, what asked the kernel says where the
//! kernel's answer is explained, and a type is shown in use.
//!
//! `pub` means reachable here, because the compiler refuses it where nothing exports the item
//! (`unreachable_pub`). Implementations of traits are not looked at: their pages are the traits'.

use std::collections::HashSet;

use crate::paths::{self, Role};
use crate::scan::{Scan, attributes, closing, line, word_at, words};
use crate::violation;

/// The crates whose pages a user reads.
const CRATES: [&str; 3] = ["net/src/", "roam/src/", "runtime/src/"];

/// The kernel's edge. Its errors and its waiting are a contract of the whole crate, which
/// `sys/src/lib.rs` states once, so only the reference is left to each page.
const EDGE: &str = "sys/src/";

const CANCEL_SAFETY: &str = "# Cancel safety";

/// Words behind which a link leads to a page that says the rest.
const LEADS: [&str; 6] = ["As", "as", "See", "see", "Those of", "Reference:"];

/// Functions, by file and name, whose `io::Result` is not the kernel's, each with what it is.
pub(crate) const OURS: &[(&str, &str, &str)] = &[
    (
        "runtime/src/poll/fd.rs",
        "lock_read",
        "tells that the descriptor was closed",
    ),
    (
        "runtime/src/poll/fd.rs",
        "lock_write",
        "tells that the descriptor was closed",
    ),
    (
        "runtime/src/runtime.rs",
        "try_current",
        "tells that this thread has no runtime",
    ),
];

/// What each page of `tree` lacks, except for the reference of those on `ours`.
pub(crate) fn complete(ours: &[(&str, &str, &str)], tree: &[(String, String)]) -> Vec<String> {
    let pages: Vec<Page> = tree
        .iter()
        .filter(|(path, _)| is_edge(path) || CRATES.iter().any(|folder| path.starts_with(folder)))
        .filter(|(path, _)| paths::role(path) == Role::Product)
        .flat_map(|(path, text)| pages(path, text))
        .collect();
    let sayings = Sayings::of(&pages);
    let is_ours = |page: &Page| {
        let is_it = |(path, name, _): &(&str, &str, &str)| *path == page.path && *name == page.name;
        ours.iter().any(is_it)
    };
    let lacks = |page: &Page| page.lacks(&sayings, is_ours(page));
    pages.iter().flat_map(lacks).collect()
}

/// The entries of `ours` without which nothing would be found: a stale permission is a gap.
pub(crate) fn stale(ours: &[(&str, &str, &str)], tree: &[(String, String)]) -> Vec<String> {
    let found = complete(&[], tree);
    let is_stale = |(path, name, _): &&(&str, &str, &str)| {
        let name = format!("`{name}`");
        !found
            .iter()
            .any(|found| found.starts_with(path) && found.contains(&name))
    };
    let gone = ours.iter().filter(is_stale);
    gone.map(|(path, name, _)| format!("{path}: `{name}` is on tidy's list, but lacks nothing"))
        .collect()
}

fn is_edge(path: &str) -> bool {
    path.starts_with(EDGE)
}

/// A public function or type, and what stands above it.
struct Page {
    path: String,
    line: usize,
    name: String,
    item: Item,
    /// The doc comment, its slashes taken off.
    text: String,
}

/// What a signature promises.
enum Item {
    Function {
        is_future: bool,
        output: String,
    },
    /// A structure, an enumeration, a union or a trait.
    Type {
        is_future: bool,
    },
}

/// The names of those whose own page says a thing, so that others may lead to it.
struct Sayings<'a> {
    waits: HashSet<&'a str>,
    refers: HashSet<&'a str>,
    shows: HashSet<&'a str>,
}

impl<'a> Sayings<'a> {
    fn of(pages: &'a [Page]) -> Self {
        let names = |says: fn(&str) -> bool| {
            let pages = pages.iter().filter(|page| says(&page.text));
            pages.map(|page| page.name.as_str()).collect()
        };
        Sayings {
            waits: names(has_waiting),
            refers: names(has_reference),
            shows: names(has_example),
        }
    }
}

impl Page {
    /// What is missing, the reference perhaps excepted.
    fn lacks(&self, sayings: &Sayings, is_ours: bool) -> Vec<String> {
        let (is_function, is_future, output) = match &self.item {
            Item::Function { is_future, output } => (true, *is_future, output.as_str()),
            Item::Type { is_future } => (false, *is_future, ""),
        };
        let text = self.text.as_str();
        let is_edge = is_edge(&self.path);
        let fails = words(output, "Result").next().is_some();
        let waits = has_waiting(text) || leads_to(text, &sayings.waits);
        let refers = is_ours || has_reference(text) || leads_to(text, &sayings.refers);
        let shows = has_example(text) || leads_to(text, &sayings.shows);
        let duties = [
            (
                is_function && is_future && !waits,
                "a future, but its page does not say what it waits for",
            ),
            (
                is_future && !text.contains(CANCEL_SAFETY),
                "a future, but its page has no `# Cancel safety`",
            ),
            (
                fails && !is_edge && !text.contains("# Errors"),
                "may fail, but its page has no `# Errors`",
            ),
            (
                output.contains("io::Result") && !refers,
                "asks the kernel, but its page has no reference",
            ),
            (
                !is_function && !is_edge && !shows,
                "a type, but its page has no example",
            ),
        ];
        let lacking = duties.iter().filter(|(lacks, _)| *lacks);
        let message = |what: &str| format!("`{}`: {what}", self.name);
        lacking
            .map(|(_, what)| violation(&self.path, self.line, &message(what)))
            .collect()
    }
}

/// The pages of one file, without those of its tests.
fn pages(path: &str, text: &str) -> Vec<Page> {
    let scan = Scan::new(text);
    let (tests, attributes) = (scan.test_lines(), attributes(&scan.code));
    let page = |at: usize| {
        let line = line(&scan.code, at);
        if tests.iter().any(|lines| lines.contains(&line)) {
            return None;
        }
        let (name, item) = item(&scan.code, at)?;
        // Between the page and the item stand its attributes.
        let mut start = scan.code[..at].trim_end().len();
        while let Some(attribute) = attributes.iter().find(|range| range.end == start) {
            start = scan.code[..attribute.start].trim_end().len();
        }
        let mut text = doc(&scan.comments[start..at], "///");
        if text.contains("[module documentation](self)") {
            text += &doc(&scan.comments, "//!");
        }
        Some(Page {
            path: path.to_owned(),
            line,
            name,
            item,
            text,
        })
    };
    words(&scan.code, "pub").filter_map(page).collect()
}

/// What the lines among `comments` say that begin with `mark`.
fn doc(comments: &str, mark: &str) -> String {
    let lines = comments.lines().map(str::trim);
    let lines: Vec<&str> = lines.filter_map(|line| line.strip_prefix(mark)).collect();
    lines.join("\n")
}

/// Name and kind of the item behind the `pub` at `at`; `None` for a field, a constant, a module, or
/// what only the crate sees.
fn item(code: &str, at: usize) -> Option<(String, Item)> {
    let mut rest = code[at + "pub".len()..].trim_start();
    let mut is_async = false;
    loop {
        let word = word_at(rest);
        rest = rest[word.len()..].trim_start();
        let name = word_at(rest);
        match word {
            "async" => is_async = true,
            "const" | "unsafe" => {}
            // What stands between the quotes is blank here.
            "extern" => rest = rest.trim_start_matches(['"', ' ']),
            "fn" => {
                let output = output(rest).to_owned();
                let is_future = is_async || words(&output, "Future").next().is_some();
                return Some((name.to_owned(), Item::Function { is_future, output }));
            }
            "struct" | "enum" | "union" | "trait" => {
                let is_future = is_future(code, name);
                return Some((name.to_owned(), Item::Type { is_future }));
            }
            _ => return None,
        }
    }
}

/// What the function returns whose name and parameters `code` begins with; empty for nothing.
fn output(code: &str) -> &str {
    let Some(parameters) = parameters(code) else {
        return "";
    };
    let rest = &code[closing(code, parameters) + 1..];
    let Some(output) = rest.trim_start().strip_prefix("->") else {
        return "";
    };
    let end = output.find(['{', ';']).unwrap_or(output.len());
    let output = &output[..end];
    let end = words(output, "where").next().unwrap_or(output.len());
    output[..end].trim()
}

/// Where the list of parameters opens: behind the name, and behind the list of generic ones, which
/// may have parentheses and arrows of its own.
fn parameters(code: &str) -> Option<usize> {
    let (mut depth, mut before) = (0_usize, b' ');
    for (at, byte) in code.bytes().enumerate() {
        match byte {
            b'<' => depth += 1,
            b'>' if before != b'-' => depth = depth.saturating_sub(1),
            b'(' if depth == 0 => return Some(at),
            _ => {}
        }
        before = byte;
    }
    None
}

/// Whether `name` is a future by an implementation in the same file.
fn is_future(code: &str, name: &str) -> bool {
    words(code, "Future").any(|at| {
        let rest = code[at + "Future".len()..].trim_start();
        let implements = rest.strip_prefix("for ").map(str::trim_start);
        implements.is_some_and(|rest| word_at(rest) == name)
    })
}

/// Whether a page says what is waited for. What it says of a future that is dropped is no such word.
fn has_waiting(page: &str) -> bool {
    let page = page.split(CANCEL_SAFETY).next().unwrap_or_default();
    page.contains("wait") || page.contains("Wait")
}

/// Whether a page says where more is to be read: in the manual, in an RFC, in the documentation of the
/// kernel, or in that of Go, whose behaviour some of it is.
fn has_reference(page: &str) -> bool {
    let is_manual = |(at, _): (usize, &str)| {
        let (name, section) = (&page.as_bytes()[..at], &page.as_bytes()[at + 1..]);
        let named = name.last().is_some_and(u8::is_ascii_alphanumeric);
        named && matches!(section, [b'1'..=b'8', b')', b'`', ..])
    };
    page.match_indices('(').any(is_manual)
        || page.contains("RFC ")
        || page.contains("https://docs.kernel.org/")
        || page.contains("https://pkg.go.dev/")
}

/// Whether a page has an example that runs: one fence in two opens, and no word behind it says what
/// else the text is.
fn has_example(page: &str) -> bool {
    let fences = page
        .lines()
        .filter_map(|row| row.trim().strip_prefix("```"));
    fences.step_by(2).any(str::is_empty)
}

/// Whether a link behind one of [`LEADS`] leads to one of `names`.
fn leads_to(page: &str, names: &HashSet<&str>) -> bool {
    page.match_indices("[`").any(|(at, open)| {
        let link = page[at + open.len()..]
            .split('`')
            .next()
            .unwrap_or_default();
        let name = link.trim_end_matches("()").rsplit("::").next();
        let before = page[..at].trim_end();
        let is_led = LEADS.iter().any(|lead| {
            let rest = before.strip_suffix(lead);
            rest.is_some_and(|rest| !rest.ends_with(char::is_alphanumeric))
        });
        is_led && names.contains(name.unwrap_or_default())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const WHOLE: &str = "Waits.\n\n# Cancel safety\nAny.\n\n# Errors\nNone.\n\nAs in `read(2)`.";

    /// An item below its page.
    fn documented(page: &str, item: &str) -> String {
        let page: String = page.lines().map(|row| format!("/// {row}\n")).collect();
        page + item
    }

    fn lacking(path: &str, text: &str) -> Vec<String> {
        complete(&[], &[(path.to_owned(), text.to_owned())])
    }

    #[track_caller]
    fn check(page: &str, item: &str, lacks: &[&str]) {
        let text = documented(page, item);
        let found = lacking("net/src/a.rs", &text);
        assert_eq!(found.len(), lacks.len(), "{text}: {found:?}");
        for (found, lack) in found.iter().zip(lacks) {
            assert!(found.contains(lack), "{text}: {found}");
        }
    }

    #[test]
    fn page_that_says_all_passes() {
        for item in [
            "pub async fn f(&self) -> io::Result<usize> {}",
            "pub fn f(&self) -> impl Future<Output = io::Result<()>> + Send + '_ {}",
            "#[inline]\n#[track_caller]\npub fn f() -> io::Result<()> {}",
            "#[deprecated(\n    note = \"why {\"\n)]\n\npub fn f() -> io::Result<()> {}",
        ] {
            check(WHOLE, item, &[]);
        }
    }

    #[test]
    fn page_that_says_nothing_is_reported_for_each_duty() {
        let (errors, kernel) = ("# Errors", "reference");
        let (waits, future) = ("waits for", "# Cancel safety");
        for (item, lacks) in [
            ("pub async fn f() {}", &[waits, future][..]),
            ("pub const fn f() -> Result<u8, E> {}", &[errors]),
            (
                "pub unsafe extern \"C\" fn f() -> io::Result<u8>;",
                &[errors, kernel],
            ),
            ("pub fn f() -> Poll<io::Result<u8>> {}", &[errors, kernel]),
            (
                "pub struct A;\nimpl<T> Future for A<T> {}",
                &[future, "example"],
            ),
            (
                "pub fn f<F: Fn(u8) -> u8>(f: F) -> impl Future<Output = io::Result<u8>>\n\
                 where\n    F: Send,\n{}",
                &[waits, future, errors, kernel],
            ),
        ] {
            check("Reads.", item, lacks);
        }
    }

    #[test]
    fn waiting_is_told_apart_from_what_a_dropped_future_does() {
        let page = "Reads.\n\n# Cancel safety\nStops waiting.";
        check(page, "pub async fn f() {}", &["waits for"]);
        check(&page.replace("Reads", "Waits"), "pub async fn f() {}", &[]);
    }

    #[test]
    fn report_names_the_item_and_its_line() {
        assert_eq!(
            lacking(
                "net/src/a.rs",
                "\n/// Waits.\n#[inline]\npub async fn read() {}"
            ),
            ["net/src/a.rs:4: `read`: a future, but its page has no `# Cancel safety`"]
        );
    }

    #[test]
    fn page_of_another_item_does_not_count() {
        let text = documented(WHOLE, "pub async fn f() {}\n\npub async fn g() {}");
        assert_eq!(lacking("net/src/a.rs", &text).len(), 2);
        let text = documented(WHOLE, "a: u8,\n    pub fn g() -> io::Result<()> {}");
        assert_eq!(lacking("net/src/a.rs", &text).len(), 2);
        check(
            "Reads.",
            "// # Errors\npub fn f() -> Result<u8, E> {}",
            &["# Errors"],
        );
    }

    #[test]
    fn what_neither_waits_nor_fails_owes_nothing() {
        for item in [
            "pub fn f(f: impl Fn() -> io::Result<()>) {}",
            "pub fn f<T: Future>(f: T) -> u8 {}",
            "pub fn f() -> u8\nwhere\n    F: Future<Output = io::Result<()>> {}",
            "pub(crate) async fn f() -> io::Result<()> {}",
            "async fn f() -> io::Result<()> {}",
            "pub const A: io::Result<()> = Ok(());",
            "#[cfg(test)]\npub async fn f() {}",
            "pub use a::f;",
            "pub(crate) struct A;",
        ] {
            check("Reads.", item, &[]);
        }
    }

    #[test]
    fn edge_of_the_kernel_owes_the_reference_only() {
        let text = "/// Reads.\npub fn f() -> io::Result<u8> {}\npub struct A;";
        assert_eq!(
            lacking("sys/src/a.rs", text),
            ["sys/src/a.rs:2: `f`: asks the kernel, but its page has no reference"]
        );
        for path in ["benches/src/a.rs", "sys/src/a/tests.rs", "net/tests/a.rs"] {
            assert_eq!(lacking(path, text), [""; 0], "{path}");
        }
    }

    #[test]
    fn list_spares_the_reference_and_grows_no_older_than_its_entries() {
        let text = documented("Reads.\n# Errors\nNone.", "pub fn f() -> io::Result<u8> {}");
        let tree = [("net/src/a.rs".to_owned(), text)];
        let (good, gone) = (("net/src/a.rs", "f", "x"), ("net/src/a.rs", "g", "x"));
        let elsewhere = ("net/src/b.rs", "f", "x");
        assert_eq!(complete(&[good], &tree), [""; 0]);
        assert_eq!(complete(&[gone, elsewhere], &tree).len(), 1);
        assert_eq!(stale(&[good], &tree), [""; 0]);
        assert_eq!(stale(&[good, gone, elsewhere], &tree).len(), 2);
    }

    #[test]
    fn reference_is_the_manual_an_rfc_or_gos() {
        for page in [
            "[`udp(7)`](https://man7.org/linux/man-pages/man7/udp.7.html)",
            "`if_nametoindex(3)`",
            "RFC 8200, section 3",
            "[`net.Conn`](https://pkg.go.dev/net#Conn)",
            "[`mptcp`](https://docs.kernel.org/networking/mptcp.html)",
        ] {
            assert!(has_reference(page), "{page}");
        }
        for page in ["", "is `(7)`", "`f(9)`", "`f(1, 2)`", "The `RFC` of old."] {
            assert!(!has_reference(page), "{page}");
        }
    }

    #[test]
    fn link_counts_if_its_page_says_it() {
        let linked = |page: &str| {
            let f = documented(WHOLE, "pub fn f() -> io::Result<u8> {}\n");
            let g = documented(page, "pub fn g() -> io::Result<u8> {}");
            lacking("net/src/a.rs", &(f + &g))
        };
        for page in ["As [`f`].", "Those of\n[`A::f`](B::f).", "See [`f()`]."] {
            assert_eq!(linked(&format!("# Errors\n{page}")), [""; 0], "{page}");
        }
        for page in [
            "The other is [`f`].",
            "As [`g`].",
            "As [`A::h`].",
            "As `f`.",
        ] {
            assert_eq!(linked(&format!("# Errors\n{page}")).len(), 1, "{page}");
        }
    }

    #[test]
    fn example_is_one_that_runs() {
        assert!(has_example("A.\n```\nf();\n```"));
        assert!(has_example("```text\na > b\n```\n ```\nf();\n ```"));
        for page in ["A.", "```text\na > b\n```", "```no_run\nf();\n```"] {
            assert!(!has_example(page), "{page}");
        }
    }

    #[test]
    fn documentation_of_the_module_counts_where_it_is_named() {
        let module = "//! ```\n//! f();\n//! ```\n\n";
        for (page, lacks) in [
            ("A. See the [module documentation](self) for an example.", 0),
            ("A.", 1),
        ] {
            let text = module.to_owned() + &documented(page, "pub struct A;");
            assert_eq!(lacking("net/src/a.rs", &text).len(), lacks, "{page}");
        }
    }

    #[test]
    fn type_is_shown_on_its_page_or_on_a_linked_one() {
        let shown = documented("A.\n```\nf();\n```", "pub struct A;\n");
        for (page, lacks) in [
            ("B. See [`A`] for an example.", 0),
            ("B. [`A`]", 1),
            ("B, has [`A`].", 1),
            ("See [`B`]", 1),
        ] {
            let text = shown.clone() + &documented(page, "pub enum B {}");
            assert_eq!(lacking("net/src/a.rs", &text).len(), lacks, "{page}");
        }
    }
}
