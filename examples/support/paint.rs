//! Octets that turn what one terminal shows into what another shows.
//!
//! `vt100` has such a function, which also carries whether a row goes on in the next one, and which
//! loses cells when it does. This one sets every position and every attribute outright and builds
//! on nothing but the cells: what it leaves out is that mark, so a long line is selected with the
//! mouse as its rows.

use std::fmt::Write;

use vt100::{Cell, Color, Screen};

/// Returns the octets that turn `base` into `screen`: empty if they look the same.
///
/// They are for a terminal that is blank or was brought to show `base` by such octets: those leave
/// it with default attributes and the cursor where it is seen. They ask the terminal nothing.
pub(crate) fn difference(screen: &Screen, base: &Screen) -> String {
    let lines = screen.size().0.get();
    let mut brush = Brush {
        out: String::new(),
        pen: BLANK.pen,
        at: Some(cursor(base)),
    };
    if screen.size() == base.size() {
        let scrolled = scrolled(screen, base);
        if scrolled > 0 {
            brush.go((lines - 1, 0));
            brush.out.push_str(&"\n".repeat(scrolled.into()));
        }
        for line in 0..lines {
            brush.line(screen, line, Some((base, line + scrolled)));
        }
    } else {
        // What a terminal keeps when its size changes is its own affair: nothing is built on it.
        brush.out.push_str("\x1b[r\x1b[0m\x1b[H\x1b[2J");
        brush.at = Some((0, 0));
        for line in 0..lines {
            brush.line(screen, line, None);
        }
    }
    brush.take(BLANK.pen);
    brush.go(cursor(screen));
    let mut out = brush.out;
    if screen.hide_cursor() != base.hide_cursor() {
        out.push_str(match screen.hide_cursor() {
            true => "\x1b[?25l",
            false => "\x1b[?25h",
        });
    }
    out.push_str(&screen.input_mode_diff(base));
    out
}

/// The cell on which the cursor is seen. After the last column was written it is beyond it until
/// the next character, which no terminal shows.
fn cursor(screen: &Screen) -> (u16, u16) {
    let (row, column) = screen.cursor_position();
    (row, column.min(screen.size().1.get() - 1))
}

/// By how many lines the contents moved up, if saying so leaves fewer lines to be painted.
fn scrolled(screen: &Screen, base: &Screen) -> u16 {
    let lines = screen.size().0.get();
    let kept = |by: u16| {
        (by..lines)
            .filter(|&from| same_line(screen, from - by, base, from))
            .count()
    };
    let unmoved = kept(0);
    // Comparing each line with each is for a screen most of which has changed.
    if 2 * unmoved > usize::from(lines) {
        return 0;
    }
    // Of equals the last counts, here the one that moves the contents least.
    let best = (1..lines)
        .rev()
        .map(|by| (kept(by), by))
        .max_by_key(|best| best.0);
    best.filter(|best| best.0 > unmoved)
        .map_or(0, |best| best.1)
}

fn same_line(screen: &Screen, line: u16, base: &Screen, base_line: u16) -> bool {
    let mut columns = 0..screen.size().1.get();
    columns.all(|column| face(screen, line, column) == face(base, base_line, column))
}

/// What is seen of a cell: its text and attributes, and whether it is wide.
#[derive(Clone, Copy, PartialEq)]
struct Face<'a> {
    text: &'a str,
    pen: Pen,
    is_wide: bool,
    /// The right half of a wide one, which is painted with the left one.
    is_right_half: bool,
}

/// Colours and attributes of text.
#[derive(Clone, Copy, PartialEq)]
struct Pen {
    foreground: Color,
    background: Color,
    /// By [`FLAGS`].
    flags: [bool; FLAGS.len()],
}

/// The SGR parameters of ECMA-48 8.3.117 for bold, faint, italic, underlined and negative.
const FLAGS: [u8; 5] = [1, 2, 3, 4, 7];

const BLANK: Face<'static> = Face {
    text: "",
    pen: Pen {
        foreground: Color::Default,
        background: Color::Default,
        flags: [false; FLAGS.len()],
    },
    is_wide: false,
    is_right_half: false,
};

fn face(screen: &Screen, line: u16, column: u16) -> Face<'_> {
    screen
        .cell(line, column)
        .map_or(BLANK, |cell| face_of(cell))
}

fn face_of(cell: &Cell) -> Face<'_> {
    let mut pen = Pen {
        background: cell.bgcolor(),
        ..BLANK.pen
    };
    // Where nothing was written, only a background is seen.
    if cell.has_contents() {
        pen.foreground = cell.fgcolor();
        pen.flags = [
            cell.bold(),
            cell.dim(),
            cell.italic(),
            cell.underline(),
            cell.inverse(),
        ];
    }
    Face {
        text: cell.contents(),
        pen,
        is_wide: cell.is_wide(),
        is_right_half: cell.is_wide_continuation(),
    }
}

/// Where octets go, and with which attributes.
struct Brush {
    out: String,
    pen: Pen,
    /// Line and column. Unknown where terminals differ.
    at: Option<(u16, u16)>,
}

impl Brush {
    /// Paints what differs in a line from one of the base, or all of it on a blank one.
    fn line(&mut self, screen: &Screen, line: u16, base: Option<(&Screen, u16)>) {
        let columns = 0..screen.size().1.get();
        let faces: Vec<Face<'_>> = columns
            .clone()
            .map(|column| face(screen, line, column))
            .collect();
        let mut before: Vec<Face<'_>> = match base {
            // Lines from below the screen came in blank.
            Some((base, line)) => columns
                .clone()
                .map(|column| face(base, line, column))
                .collect(),
            None => vec![BLANK; faces.len()],
        };
        if faces == before {
            return;
        }
        let mut both = faces.iter().chain(&before);
        if both.any(|face| face.is_wide || face.is_right_half) {
            // Writing on one half of a wide character changes the other. Nothing is built on halves.
            self.take(BLANK.pen);
            self.go((line, 0));
            self.out.push_str("\x1b[2K");
            before.fill(BLANK);
        }
        let mut skip = 0;
        for (column, at) in columns.zip(0..) {
            let face = faces[at];
            if at < skip || face == before[at] || face.is_right_half {
                continue;
            }
            self.take(face.pen);
            self.go((line, column));
            if face.text.is_empty() {
                skip = at + self.erase(&faces[at..]);
            } else {
                self.text(face, screen.size().1.get());
            }
        }
    }

    fn go(&mut self, to: (u16, u16)) {
        if self.at != Some(to) {
            self.at = Some(to);
            let _ = write!(self.out, "\x1b[{};{}H", to.0 + 1, to.1 + 1);
        }
    }

    fn take(&mut self, pen: Pen) {
        if self.pen == pen {
            return;
        }
        self.pen = pen;
        self.out.push_str("\x1b[0");
        for (_, parameter) in pen.flags.iter().zip(FLAGS).filter(|(set, _)| **set) {
            let _ = write!(self.out, ";{parameter}");
        }
        push_color(&mut self.out, pen.foreground, 30);
        push_color(&mut self.out, pen.background, 40);
        self.out.push('m');
    }

    fn text(&mut self, face: Face<'_>, columns: u16) {
        self.out.push_str(face.text);
        let width = if face.is_wide { 2 } else { 1 };
        let after = self.at.map(|(line, column)| (line, column + width));
        self.at = after.filter(|after| after.1 < columns);
    }

    /// Erases as many cells as are alike, and returns their number.
    fn erase(&mut self, faces: &[Face<'_>]) -> usize {
        let count = faces.iter().take_while(|&face| *face == faces[0]).count();
        if count == faces.len() {
            self.out.push_str("\x1b[K");
        } else {
            let _ = write!(self.out, "\x1b[{count}X");
        }
        count
    }
}

/// Appends the SGR parameters of a colour; those of the foreground begin at 30, others at 40.
fn push_color(out: &mut String, color: Color, base: u8) {
    let _ = match color {
        Color::Default => Ok(()),
        Color::Idx(index @ 0..=7) => write!(out, ";{}", base + index),
        Color::Idx(index @ 8..=15) => write!(out, ";{}", base + 60 + index - 8),
        Color::Idx(index) => write!(out, ";{};5;{index}", base + 8),
        Color::Rgb(red, green, blue) => write!(out, ";{};2;{red};{green};{blue}", base + 8),
    };
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU16;

    use super::*;

    fn shown(rows: u16, columns: u16, output: &str) -> Screen {
        let size = |cells| NonZeroU16::new(cells).expect("a size");
        let mut parser = vt100::Parser::new(size(rows), size(columns), 0);
        parser.process(output.as_bytes());
        parser.screen().clone()
    }

    #[test]
    fn only_what_changed_is_painted() {
        for (before, after, octets) in [
            ("", "", ""),
            ("$ l", "s", "s"),
            ("$ ls", "\x08 \x08", "\x1b[1;4H \x1b[1;4H"),
            (
                "abc",
                "\x1b[1D\x1b[31mC\x1b[32m",
                "\x1b[0;31m\x1b[1;3HC\x1b[0m",
            ),
            ("abc", "\r\x1b[K", "\x1b[1;1H\x1b[K"),
            (
                "abc",
                "\x1b[1;2H\x1b[44m\x1b[1X",
                "\x1b[0;44m\x1b[1;2H\x1b[1X\x1b[0m",
            ),
            ("", "\x1b[92;105;3mx", "\x1b[0;3;92;105mx\x1b[0m"),
            (
                "",
                "\x1b[38;5;16;48;2;1;2;3mx",
                "\x1b[0;38;5;16;48;2;1;2;3mx\x1b[0m",
            ),
            ("", "123456789X", "123456789X\x1b[1;10H"),
            ("1\r\n2\r\n3\r\n4", "\r\n5", "\x1b[4;1H\n5"),
            ("1\r\n2\r\n3\r\n4", "\r\n\n5", "\x1b[4;1H\n\n5"),
            ("1\r\n2\r\n3\r\n4", "\x1b[H0", "\x1b[1;1H0"),
            ("中文", "\x1b[1;3Hx", "\x1b[1;1H\x1b[2K中x \x1b[1;4H"),
            ("", "\x1b[?25l", "\x1b[?25l"),
            ("", "\x1b[6n\x1b[c\x05", ""),
        ] {
            let base = shown(4, 10, before);
            let screen = shown(4, 10, &format!("{before}{after}"));
            assert_eq!(difference(&screen, &base), octets, "{before:?} {after:?}");
        }
    }

    #[test]
    fn other_size_is_painted_from_nothing() {
        let base = shown(2, 5, "\x1b[31mold\x1b[?1h");
        let octets = difference(&shown(3, 6, "new"), &base);
        assert_eq!(octets, "\x1b[r\x1b[0m\x1b[H\x1b[2Jnew\x1b[?1l");
    }
}
