//! A scanner that knows just enough Rust to tell code, comments and string contents apart.
//!
//! It splits a file into three texts of the same length as the original: in each, the bytes of the
//! other two kinds are spaces. An offset or a line number therefore means the same in all of them,
//! and a check that looks for a keyword can't be fooled by a comment or a literal that holds it.

use std::ops::Range;

/// One file, split by kind. Newlines are kept in every part.
pub(crate) struct Scan {
    /// Everything but comments and the contents of literals. Quotes stay.
    pub(crate) code: String,
    /// Comments and doc comments, with their slashes.
    pub(crate) comments: String,
    /// What stands between the quotes of string literals (escapes unresolved).
    pub(crate) strings: String,
}

/// What a byte belongs to. A character literal's content is of no interest to any check.
#[derive(Clone, Copy, PartialEq)]
enum Kind {
    Code,
    Comment,
    Str,
    Char,
}

impl Scan {
    /// Splits `text`. Unterminated literals and comments run to the end of the file.
    pub(crate) fn new(text: &str) -> Self {
        let kinds = classify(text.as_bytes());
        let part = |kind: Kind| {
            let keep = |(&byte, &k): (&u8, &Kind)| match byte {
                b'\n' => b'\n',
                _ if k == kind => byte,
                _ => b' ',
            };
            let bytes = text.as_bytes().iter().zip(&kinds).map(keep).collect();
            // Kinds change at ASCII bytes only, so no character is torn apart.
            String::from_utf8(bytes).expect("each part keeps whole characters")
        };
        Self {
            code: part(Kind::Code),
            comments: part(Kind::Comment),
            strings: part(Kind::Str),
        }
    }

    /// The lines of items under an attribute `#[cfg(test)]`, counted from 1.
    pub(crate) fn test_lines(&self) -> Vec<Range<usize>> {
        let attributes = attributes(&self.code);
        let is_test = |range: &&Range<usize>| {
            let text: String = self.code[(*range).clone()].split_whitespace().collect();
            text.starts_with("#[cfg(")
                && words(&text, "test").next().is_some()
                && !text.contains("not(test)")
        };
        let lines = |range: &Range<usize>| {
            line(&self.code, range.start)..line(&self.code, item_end(&self.code, range.end)) + 1
        };
        attributes.iter().filter(is_test).map(lines).collect()
    }
}

/// Gives every byte of `text` its kind.
fn classify(text: &[u8]) -> Vec<Kind> {
    let mut kinds = vec![Kind::Code; text.len()];
    let mut at = 0;
    while at < text.len() {
        let (kind, inner, end) = match literal(text, at) {
            Some(found) => found,
            None => {
                at += 1;
                continue;
            }
        };
        kinds[inner].fill(kind);
        at = end;
    }
    kinds
}

/// The comment or literal that starts at `at`: its kind, its content, and where the code goes on.
fn literal(text: &[u8], at: usize) -> Option<(Kind, Range<usize>, usize)> {
    let rest = &text[at..];
    match rest {
        [b'/', b'/', ..] => {
            let end = at + rest.iter().position(|&b| b == b'\n').unwrap_or(rest.len());
            Some((Kind::Comment, at..end, end))
        }
        [b'/', b'*', ..] => {
            let end = at + block_comment_len(rest);
            Some((Kind::Comment, at..end, end))
        }
        [b'"', ..] => Some(enclosed(
            Kind::Str,
            at,
            1,
            string_len(&rest[1..]),
            1,
            text.len(),
        )),
        [b'\'', ..] => {
            let len = char_len(&rest[1..])?;
            Some(enclosed(Kind::Char, at, 1, len, 1, text.len()))
        }
        [b'r', ..] if !is_tail_of_word(text, at) => {
            let hashes = rest[1..].iter().take_while(|&&b| b == b'#').count();
            let open = 1 + hashes + 1;
            if rest.get(open - 1) != Some(&b'"') {
                return None;
            }
            let len = raw_len(&rest[open..], hashes);
            Some(enclosed(Kind::Str, at, open, len, 1 + hashes, text.len()))
        }
        _ => None,
    }
}

fn enclosed(
    kind: Kind,
    at: usize,
    open: usize,
    len: usize,
    close: usize,
    total: usize,
) -> (Kind, Range<usize>, usize) {
    let inner = at + open;
    (kind, inner..inner + len, (inner + len + close).min(total))
}

/// Whether the `r` at `at` ends an identifier, as in `for"`; the prefixes `br` and `cr` do not.
fn is_tail_of_word(text: &[u8], at: usize) -> bool {
    let before = |n: usize| at.checked_sub(n).and_then(|i| text.get(i)).copied();
    match before(1) {
        Some(b'b' | b'c') => before(2).is_some_and(is_word_byte),
        Some(byte) => is_word_byte(byte),
        None => false,
    }
}

fn block_comment_len(rest: &[u8]) -> usize {
    let (mut depth, mut at) = (0, 0);
    while at < rest.len() {
        match &rest[at..] {
            [b'/', b'*', ..] => {
                depth += 1;
                at += 2;
            }
            [b'*', b'/', ..] => {
                depth -= 1;
                at += 2;
                if depth == 0 {
                    return at;
                }
            }
            _ => at += 1,
        }
    }
    rest.len()
}

fn string_len(rest: &[u8]) -> usize {
    let mut at = 0;
    while at < rest.len() {
        match rest[at] {
            b'"' => return at,
            b'\\' => at += 2,
            _ => at += 1,
        }
    }
    rest.len()
}

fn raw_len(rest: &[u8], hashes: usize) -> usize {
    let closes = |at: usize| {
        rest[at] == b'"'
            && rest[at + 1..]
                .iter()
                .take_while(|&&b| b == b'#')
                .count()
                .min(hashes)
                == hashes
    };
    (0..rest.len()).find(|&at| closes(at)).unwrap_or(rest.len())
}

/// The length of a character literal's content, or `None` if the quote starts a lifetime.
fn char_len(rest: &[u8]) -> Option<usize> {
    if rest.first() == Some(&b'\\') {
        // The escaped byte may itself be a quote, so the search starts behind it.
        return rest
            .get(2..)?
            .iter()
            .position(|&b| b == b'\'')
            .map(|at| at + 2);
    }
    let len = match rest.first()? {
        0xF0.. => 4,
        0xE0.. => 3,
        0xC0.. => 2,
        _ => 1,
    };
    (rest.get(len) == Some(&b'\'')).then_some(len)
}

fn is_word_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_' || byte >= 0x80
}

/// Where `word` occurs in `text` as a whole word.
pub(crate) fn words<'a>(text: &'a str, word: &'a str) -> impl Iterator<Item = usize> + 'a {
    let bytes = text.as_bytes();
    let whole = move |&at: &usize| {
        let before = at.checked_sub(1).map(|i| bytes[i]);
        let after = bytes.get(at + word.len()).copied();
        !before.is_some_and(is_word_byte) && !after.is_some_and(is_word_byte)
    };
    text.match_indices(word).map(|(at, _)| at).filter(whole)
}

/// The identifier at the start of `text`; empty if there is none.
pub(crate) fn word_at(text: &str) -> &str {
    let len = text.bytes().take_while(|&b| is_word_byte(b)).count();
    &text[..len]
}

/// The line of byte `at`, counted from 1.
pub(crate) fn line(text: &str, at: usize) -> usize {
    text.as_bytes()[..at.min(text.len())]
        .iter()
        .filter(|&&b| b == b'\n')
        .count()
        + 1
}

/// The attributes in `code`, from `#` behind the closing bracket.
pub(crate) fn attributes(code: &str) -> Vec<Range<usize>> {
    let starts = code.match_indices('#').map(|(at, _)| at);
    let attribute = |at: usize| {
        let rest = code[at + 1..].trim_start_matches('!');
        rest.starts_with('[')
            .then(|| at..closing(code, code.len() - rest.len()) + 1)
    };
    starts.filter_map(attribute).collect()
}

/// Where the bracket that opens at `at` closes; the last byte if it never does.
pub(crate) fn closing(code: &str, at: usize) -> usize {
    let mut depth = 0_usize;
    for (i, byte) in code.bytes().enumerate().skip(at) {
        match byte {
            b'(' | b'[' | b'{' => depth += 1,
            b')' | b']' | b'}' => {
                depth = depth.saturating_sub(1);
                if depth == 0 {
                    return i;
                }
            }
            _ => {}
        }
    }
    code.len().saturating_sub(1)
}

/// Where the item that starts behind `at` ends: at its body's closing brace or at its semicolon.
pub(crate) fn item_end(code: &str, at: usize) -> usize {
    let mut i = at;
    while let Some(&byte) = code.as_bytes().get(i) {
        match byte {
            b'{' => return closing(code, i),
            b';' => return i,
            b'(' | b'[' => i = closing(code, i) + 1,
            _ => i += 1,
        }
    }
    code.len().saturating_sub(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, code: &str, comments: &str, strings: &str) {
        let scan = Scan::new(text);
        assert_eq!(scan.code, code, "code of {text}");
        assert_eq!(scan.comments, comments, "comments of {text}");
        assert_eq!(scan.strings, strings, "strings of {text}");
    }

    #[test]
    fn parts_keep_what_is_theirs_and_blank_the_rest() {
        check("a // b\nc", "a     \nc", "  // b\n ", "      \n ");
        check(
            "a /* b /* c */ */ d",
            "a                 d",
            "  /* b /* c */ */  ",
            &" ".repeat(19),
        );
        check(
            r#"f("a\"b") // c"#,
            r#"f("    ")     "#,
            "          // c",
            r#"   a\"b       "#,
        );
    }

    #[test]
    fn raw_strings_end_at_their_own_hashes() {
        let scan = Scan::new("x(r#\"a\"b // c\"#); y");
        assert_eq!(scan.strings.trim(), "a\"b // c");
        assert_eq!(scan.comments.trim(), "");
        assert!(scan.code.ends_with("; y"), "{}", scan.code);
        assert_eq!(Scan::new("br\"\\\" z").code, "br\" \" z");
        assert_eq!(Scan::new("r#type // t").comments.trim(), "// t");
    }

    #[test]
    fn quotes_in_characters_and_lifetimes_open_no_string() {
        for text in [
            "'\"' + x // c",
            r"'\'' + x // c",
            "b'\"' + x // c",
            "'é' + x // c",
        ] {
            let scan = Scan::new(text);
            assert_eq!(scan.comments.trim(), "// c", "{text}");
            assert_eq!(scan.strings.trim(), "", "{text}");
        }
        let scan = Scan::new("fn f<'a>(x: &'a str) -> &'a str { \"s\" }");
        assert_eq!(scan.strings.trim(), "s");
        assert!(scan.code.starts_with("fn f<'a>(x: &'a str)"));
        assert_eq!(
            Scan::new("'outer: loop { 'x' }").code,
            "'outer: loop { ' ' }"
        );
    }

    #[test]
    fn words_are_whole() {
        let at: Vec<usize> = words("unsafe_code unsafe my_unsafe unsafe", "unsafe").collect();
        assert_eq!(at, [12, 29]);
    }

    #[test]
    fn test_items_are_found_with_their_bodies() {
        let text = "fn a() {}\n#[cfg(test)]\nmod tests {\n    fn b() {}\n}\nfn c() {}\n\
                    #[cfg(not(test))]\nfn d() {}\n#[cfg(all(test, x))]\nuse e;\n";
        assert_eq!(Scan::new(text).test_lines(), [2..6, 9..11]);
    }
}
