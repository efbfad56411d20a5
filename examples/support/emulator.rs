//! A terminal in memory: octets in, screens out.

use std::sync::Arc;

use crate::screen::{Marks, Screen, Size};

/// A terminal that nobody sees.
pub(crate) struct Emulator {
    parser: vt100::Parser<Listener>,
    /// How much of [`WIDENER`] has arrived.
    widener_len: usize,
    /// The cells as last handed out, unless they may have changed since.
    shown: Option<Arc<vt100::Screen>>,
}

/// U+FE0F, which asks for a wide, coloured form of the character before it. Terminals do not agree
/// whether it changes a width, and `vt100` 0.18 panics where the wide form would not fit: it is
/// left out, and the character keeps the width that it has by itself.
const WIDENER: &[u8] = "\u{fe0f}".as_bytes();

/// Hears what the cells do not show.
#[derive(Default)]
struct Listener {
    marks: Marks,
    answers: Vec<u8>,
}

/// Answers that nobody takes are forgotten beyond this many octets: who asks that often is not
/// waiting for them.
const ANSWERS_MAX: usize = 1024;

/// A title is cut here. No terminal shows more, and each screen carries it.
const TITLE_CHARS_MAX: usize = 256;

impl Emulator {
    /// Returns an empty terminal.
    pub(crate) fn new(size: Size) -> Self {
        Emulator {
            parser: vt100::Parser::new_with_callbacks(
                size.rows,
                size.columns,
                0,
                Listener::default(),
            ),
            widener_len: 0,
            shown: None,
        }
    }

    /// Returns a terminal that shows this screen.
    pub(crate) fn showing(screen: &Screen) -> Self {
        let mut emulator = Emulator::new(screen.cells_size());
        let (cells, listener) = emulator.parser.screen_and_callbacks_mut();
        *cells = (*screen.cells).clone();
        listener.marks = screen.marks.clone();
        emulator
    }

    /// Takes output of a program. What is cut off in the middle of a character or a sequence goes
    /// on with the next call.
    pub(crate) fn write(&mut self, output: &[u8]) {
        self.shown = None;
        let mut kept = Vec::with_capacity(output.len());
        for &byte in output {
            if byte != WIDENER[self.widener_len] {
                kept.extend_from_slice(&WIDENER[..self.widener_len]);
                self.widener_len = 0;
            }
            if byte != WIDENER[self.widener_len] {
                kept.push(byte);
                continue;
            }
            self.widener_len = (self.widener_len + 1) % WIDENER.len();
        }
        self.parser.process(&kept);
    }

    /// Changes the size; the contents keep their place at the bottom left corner.
    pub(crate) fn resize(&mut self, size: Size) {
        self.parser.set_size(size.rows, size.columns);
        self.shown = None;
    }

    /// Takes what the terminal answers to a program that asked it something.
    #[allow(dead_code, reason = "only the terminal of a command is asked")]
    pub(crate) fn take_answers(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.parser.callbacks_mut().answers)
    }

    /// Returns what is shown now, with the acknowledgement that goes with it.
    pub(crate) fn screen(&mut self, echo_ack: u64) -> Screen {
        let cells = self
            .shown
            .get_or_insert_with(|| Arc::new(self.parser.screen().clone()));
        Screen {
            cells: cells.clone(),
            marks: self.parser.callbacks().marks.clone(),
            echo_ack,
        }
    }
}

impl Listener {
    fn answer(&mut self, text: &str) {
        if self.answers.len() + text.len() <= ANSWERS_MAX {
            self.answers.extend_from_slice(text.as_bytes());
        }
    }
}

/// A title as it may be sent to a terminal: it cannot end the sequence that it stands in.
fn title(text: &[u8]) -> Arc<str> {
    let text = String::from_utf8_lossy(text);
    let shown = text.chars().filter(|char| !char.is_control());
    shown.take(TITLE_CHARS_MAX).collect::<String>().into()
}

impl vt100::Callbacks for Listener {
    fn audible_bell(&mut self, _: &mut vt100::Screen) {
        self.marks.bells += 1;
    }

    fn visual_bell(&mut self, _: &mut vt100::Screen) {
        self.marks.bells += 1;
    }

    fn set_window_icon_name(&mut self, _: &mut vt100::Screen, name: &[u8]) {
        self.marks.icon_name = title(name);
    }

    fn set_window_title(&mut self, _: &mut vt100::Screen, name: &[u8]) {
        self.marks.title = title(name);
    }

    fn unhandled_osc(&mut self, screen: &mut vt100::Screen, params: &[&[u8]]) {
        // A title with a semicolon arrives in pieces.
        let [kind @ (b"0" | b"1" | b"2"), pieces @ ..] = params else {
            return;
        };
        let name = pieces.join(&b';');
        if *kind != b"2" {
            self.set_window_icon_name(screen, &name);
        }
        if *kind != b"1" {
            self.set_window_title(screen, &name);
        }
    }

    /// Answers as a VT220 does.
    fn unhandled_csi(
        &mut self,
        screen: &mut vt100::Screen,
        mark: Option<u8>,
        _: Option<u8>,
        params: &[&[u16]],
        last: char,
    ) {
        let first = params.first().and_then(|param| param.first()).copied();
        match (mark, first.unwrap_or(0), last) {
            (None, 0, 'c') => self.answer("\x1b[?62c"),
            (Some(b'>'), 0, 'c') => self.answer("\x1b[>1;10;0c"),
            (None, 5, 'n') => self.answer("\x1b[0n"),
            (None, 6, 'n') => {
                let (row, column) = screen.cursor_position();
                let column = column.min(screen.size().1.get() - 1);
                self.answer(&format!("\x1b[{};{}R", row + 1, column + 1));
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn emulator() -> Emulator {
        Emulator::new(Size::new(5, 20).expect("a size"))
    }

    #[test]
    fn program_that_asks_gets_an_answer() {
        for (setup, question, answer) in [
            ("", "\x1b[c", "\x1b[?62c"),
            ("", "\x1b[0c", "\x1b[?62c"),
            ("", "\x1b[>c", "\x1b[>1;10;0c"),
            ("", "\x1b[5n", "\x1b[0n"),
            ("", "\x1b[6n", "\x1b[1;1R"),
            ("\x1b[3;4H", "\x1b[6n", "\x1b[3;4R"),
            ("0123456789abcdefghij", "\x1b[6n", "\x1b[1;20R"),
            ("", "\x1b[?6n", ""),
            ("", "\x1b[1c", ""),
        ] {
            let mut emulator = emulator();
            emulator.write(setup.as_bytes());
            emulator.write(question.as_bytes());
            let given = emulator.take_answers();
            assert_eq!(String::from_utf8_lossy(&given), answer, "{question:?}");
            assert_eq!(emulator.take_answers(), b"", "taken once");
        }
    }

    #[test]
    fn answers_that_nobody_takes_are_bounded() {
        let mut emulator = emulator();
        emulator.write("\x1b[c".repeat(10_000).as_bytes());
        let kept = emulator.take_answers().len();
        assert!(kept > 0 && kept <= ANSWERS_MAX, "{kept}");
    }

    #[test]
    fn title_is_what_a_terminal_may_be_told() {
        for (written, shown) in [
            (&b"\x1b]2;plain\x07"[..], "plain"),
            (b"\x1b]0;ended by ST\x1b\\", "ended by ST"),
            (b"\x1b]2;a;b;c\x07", "a;b;c"),
            (b"\x1b]2;C1 \xc2\x9c\xc2\x9b6n\x07", "C1 6n"),
            (b"\x1b]2;\xff\x07", "\u{fffd}"),
            (b"\x1b]1;icon only\x07", ""),
        ] {
            let mut emulator = emulator();
            emulator.write(written);
            assert_eq!(&*emulator.screen(0).marks.title, shown, "{written:?}");
        }
        let mut emulator = emulator();
        emulator.write(format!("\x1b]2;{}\x07", "é".repeat(900)).as_bytes());
        let chars = emulator.screen(0).marks.title.chars().count();
        assert_eq!(chars, TITLE_CHARS_MAX);
    }

    #[test]
    fn screen_is_copied_only_after_a_change() {
        let mut emulator = emulator();
        let (first, second) = (emulator.screen(0), emulator.screen(1));
        assert!(Arc::ptr_eq(&first.cells, &second.cells));
        emulator.write(b"x");
        assert!(!Arc::ptr_eq(&first.cells, &emulator.screen(1).cells));
    }

    #[test]
    fn output_cut_anywhere_shows_the_same() {
        let output = "a\x1b[1;31mé中\x1b]2;t;u\x07\x1b[2;5Hb".as_bytes();
        let mut whole = emulator();
        whole.write(output);
        for at in 0..output.len() {
            let mut cut = emulator();
            cut.write(&output[..at]);
            cut.write(&output[at..]);
            assert_eq!(cut.screen(0).terminal_bytes(&whole.screen(0)), "", "{at}");
        }
    }
}
