//! Ranges of bytes: RFC 9110, section 14.

/// A range as the client asks for it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Range {
    /// From an offset on.
    From(u64),
    /// From one offset to another, which is included.
    Between(u64, u64),
    /// So many bytes at the end.
    Last(u64),
}

/// What of a file is sent.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Part {
    pub(crate) offset: u64,
    pub(crate) len: u64,
}

impl Range {
    /// Parses the value of a `Range` field. What is no single range of bytes is left out, as the
    /// specification allows: the whole file is sent.
    pub(crate) fn parse(value: &str) -> Option<Self> {
        let (unit, set) = value.split_once('=')?;
        if !unit.trim().eq_ignore_ascii_case("bytes") {
            return None;
        }
        let (first, last) = set.trim().split_once('-')?;
        let number = |text: &str| {
            let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
            is_number.then(|| text.parse().unwrap_or(u64::MAX))
        };
        match (first, last) {
            ("", last) => Some(Range::Last(number(last)?)),
            (first, "") => Some(Range::From(number(first)?)),
            (first, last) => {
                let (first, last) = (number(first)?, number(last)?);
                (first <= last).then_some(Range::Between(first, last))
            }
        }
    }

    /// Returns which part of a file of `len` bytes that is; `None` if it has none of it.
    pub(crate) fn of(self, len: u64) -> Option<Part> {
        let (first, last) = match self {
            Range::From(first) => (first, u64::MAX),
            Range::Between(first, last) => (first, last),
            Range::Last(0) => return None,
            Range::Last(count) => (len.saturating_sub(count), u64::MAX),
        };
        if first >= len {
            return None;
        }
        let last = last.min(len - 1);
        Some(Part {
            offset: first,
            len: last - first + 1,
        })
    }
}
