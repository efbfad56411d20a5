use super::*;
use vt100::{Cell, Color};

fn size(rows: u16, columns: u16) -> Size {
    Size::new(rows, columns).expect("a size")
}

fn shown(size: Size, output: &[u8]) -> Screen {
    let mut emulator = Emulator::new(size);
    emulator.write(output);
    emulator.screen(0)
}

/// Everything about a cell that can be seen.
fn cell(cell: &Cell) -> (String, Color, Color, [bool; 6]) {
    let flags = [
        cell.bold(),
        cell.dim(),
        cell.italic(),
        cell.underline(),
        cell.inverse(),
        cell.is_wide(),
    ];
    let contents = cell.contents().to_owned();
    if contents.is_empty() {
        return (contents, Color::Default, cell.bgcolor(), [false; 6]);
    }
    (contents, cell.fgcolor(), cell.bgcolor(), flags)
}

/// Everything about a screen that a user can see or a program on the other side depends on.
fn look(screen: &Screen) -> Vec<String> {
    let cells = &screen.cells;
    let (rows, columns) = cells.size();
    let (row, column) = cells.cursor_position();
    let cursor = (row, column.min(columns.get() - 1));
    let mut look = vec![
        format!("size {rows}x{columns}, cursor {:?}", cursor),
        format!(
            "hidden {}, keypad {}, arrows {}, paste {}, mouse {:?} {:?}, style {:?}",
            cells.hide_cursor(),
            cells.application_keypad(),
            cells.application_cursor(),
            cells.bracketed_paste(),
            cells.mouse_protocol_mode(),
            cells.mouse_protocol_encoding(),
            cells.cursor_style(),
        ),
        format!(
            "title {:?}, icon {:?}",
            screen.marks.title, screen.marks.icon_name
        ),
        format!("echo ack {}", screen.echo_ack),
    ];
    for row in 0..rows.get() {
        for column in 0..columns.get() {
            let at = cells.cell(row, column).expect("a cell inside the screen");
            if !at.is_wide_continuation() {
                look.push(format!("{row},{column}: {:?}", cell(at)));
            }
        }
    }
    look
}

/// Asserts that a screen looks as another does, and tells the first difference.
#[track_caller]
fn looks_as(found: &Screen, wanted: &Screen, context: &str) {
    let (found, wanted) = (look(found), look(wanted));
    let difference = found
        .iter()
        .zip(&wanted)
        .find(|(found, wanted)| found != wanted);
    assert!(difference.is_none(), "{context}: {difference:?}");
    assert_eq!(found.len(), wanted.len(), "{context}");
}

/// Asserts that the diff between two outputs of a program does what it must.
#[track_caller]
fn carries(before: &Screen, after: &Screen, context: &str) {
    let diff = after.diff_from(before);
    assert_eq!(
        diff.is_empty(),
        before == after,
        "{context}: empty iff equal"
    );
    assert_eq!(diff, after.diff_from(before), "{context}: the same again");
    let mut held = Screen::blank(before.cells_size());
    held.apply(&before.diff_from(&held)).expect(context);
    looks_as(&held, before, context);
    held.apply(&diff).expect(context);
    looks_as(&held, after, context);
    assert!(held == *after, "{context}: equal");
}

#[test]
fn diff_turns_the_base_into_the_screen() {
    for (before, after) in [
        ("", ""),
        ("", "hello"),
        ("hello", "\x1b[2J"),
        ("hello", "\rHELLO"),
        ("one\r\ntwo\r\nthree", "\r\nfour\r\nfive\r\nsix\r\nseven"),
        (
            "",
            "\x1b[1;3;4;7;31;42mall\x1b[m none \x1b[2;38;5;200mdim\x1b[48;2;1;2;3mrgb",
        ),
        ("wide 中文字", "\x1b[1;7Hx"),
        ("", "中中中中中中中中中中中"),
        ("", "e\u{301}a\u{308}\u{323} 🇫🇷 👩‍👩‍👧 ❤\u{fe0f}"),
        ("", "\x1b[?25l"),
        (
            "\x1b[?25l\x1b[?1h\x1b=\x1b[?2004h\x1b[?1002h\x1b[?1006h\x1b[5 q",
            "x",
        ),
        (
            "\x1b[?1h\x1b=\x1b[?2004h\x1b[?1002h\x1b[?1006h\x1b[5 q",
            "\x1bc",
        ),
        ("shell", "\x1b[?1049h\x1b[Hfull screen"),
        ("shell\x1b[?1049h\x1b[Hfull screen", "\x1b[?1049l"),
        ("", "\x1b]0;both\x07"),
        ("\x1b]0;both\x07", "\x1b]2;title\x07\x1b]1;icon\x07"),
        ("\x1b[2;4r\x1b[4;1Ha\n\nb", "\n\n\x1b[2;1H\x1bM"),
        ("01234567890123456789", "x"),
        ("", "01234567890123456789"),
        ("0123456789012345678901234", "\x1b[1;20H\x1b[K"),
        ("a\r\nb\r\nc", "\x1b[1L\x1b[2M\x1b[3@\x1b[1P\x1b[2X"),
        ("", "\x1b[44m\x1b[2J\x1b[K\x1b[5;1Hlast"),
    ] {
        let size = size(5, 20);
        let context = format!("{before:?} then {after:?}");
        let (base, both) = (
            shown(size, before.as_bytes()),
            shown(size, format!("{before}{after}").as_bytes()),
        );
        carries(&base, &both, &context);
        carries(&both, &base, &context);
        carries(&Screen::blank(size), &both, &context);
    }
}

#[test]
fn bell_rings_once_and_counts_as_a_change() {
    let (quiet, rung) = (shown(size(5, 20), b"x"), shown(size(5, 20), b"x\x07\x07"));
    assert!(quiet != rung);
    assert_eq!(rung.terminal_bytes(&quiet), "\x07");
    carries(&quiet, &shown(size(5, 20), b"x\x07"), "one bell");
}

#[test]
fn diff_names_what_changed_in_the_order_of_the_protocol() {
    let before = shown(size(5, 20), b"x");
    let mut after = shown(size(6, 30), b"y");
    after.echo_ack = 7;
    let events = HostEvent::decode(&after.diff_from(&before)).expect("own diff");
    let [HostEvent::EchoAck(7), resize, HostEvent::Bytes(bytes)] = &events[..] else {
        panic!("{events:?}");
    };
    assert_eq!(
        (*resize).clone(),
        HostEvent::Resize {
            width: 30,
            height: 6
        }
    );
    assert!(bytes.ends_with(b"y") || bytes.contains(&b'y'), "{bytes:?}");

    let mut acknowledged = before.clone();
    acknowledged.echo_ack = 8;
    let events = HostEvent::decode(&acknowledged.diff_from(&before)).expect("own diff");
    assert_eq!(events, [HostEvent::EchoAck(8)]);
}

#[test]
fn resize_repaints_whatever_was_there() {
    let modes = "\x1b[?25l\x1b[?1h\x1b[?1000h\x1b[?1006h\x1b[4 q";
    let before = shown(
        size(5, 20),
        format!("{modes}\x1b[31;44mold 中中中中中中中中").as_bytes(),
    );
    for (rows, columns) in [
        (5, 10),
        (3, 20),
        (9, 20),
        (5, 33),
        (1, 1),
        (2, 3),
        (100, 200),
    ] {
        for output in [
            "",
            "new",
            "\x1b[7mnew 中文\r\nlines\r\nof\r\ntext",
            "\x1b[?1000h",
        ] {
            let after = shown(size(rows, columns), output.as_bytes());
            let context = format!("{rows}x{columns} {output:?}");
            carries(&before, &after, &context);
            carries(&after, &before, &context);
        }
    }
}

#[test]
fn diff_of_a_peer_is_refused_if_it_lies() {
    let resize = |width, height| HostEvent::encode(&[HostEvent::Resize { width, height }]);
    for (diff, why) in [
        (b"\xff".to_vec(), "no message"),
        (b"\x0a\x05\x12\x03".to_vec(), "cut"),
        (resize(0, 24), "no columns"),
        (resize(80, 0), "no rows"),
        (resize(-1, 24), "negative"),
        (resize(65_536, 1), "more columns than a terminal counts"),
        (resize(65_535, 65_535), "a screen of 137 GB"),
        (
            HostEvent::encode(&[HostEvent::EchoAck(4)]),
            "an acknowledgement taken back",
        ),
    ] {
        let mut held = shown(size(5, 20), b"x");
        held.echo_ack = 5;
        let before = held.clone();
        assert_eq!(held.apply(&diff), Err(PeerError::Diff), "{why}");
        looks_as(&held, &before, why);
    }
}

#[test]
fn probe_changes_nothing() {
    let before = shown(size(5, 20), b"text");
    let mut held = before.clone();
    held.apply(&Screen::probe()).expect("a probe");
    assert!(Arc::ptr_eq(&held.cells, &before.cells));
    assert!(!Screen::probe().is_empty());
}

#[test]
fn size_is_that_of_the_cells() {
    let blank = Screen::blank(size(24, 80));
    assert!(State::size(&blank) >= 24 * 80 * size_of::<Cell>());
    assert!(Size::new(512, 512).is_some() && Size::new(512, 513).is_none());
}

/// A generator of numbers that repeats itself in every run.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        (self.0 >> 33) % limit
    }

    fn pick<'a>(&mut self, from: &[&'a str]) -> &'a str {
        from[self.below(from.len() as u64) as usize]
    }

    /// One piece of what programs write to terminals.
    fn piece(&mut self) -> String {
        let (a, b) = (self.below(8), self.below(24));
        match self.below(20) {
            0..=5 => self
                .pick(&["a", "bc", "words in a row ", "x", "0123456789"])
                .to_owned(),
            6 => self
                .pick(&[
                    "中",
                    "文字",
                    "é",
                    "e\u{301}",
                    "\u{308}",
                    "👍",
                    "❤\u{fe0f}",
                    "\u{fe0f}",
                ])
                .to_owned(),
            7 => self
                .pick(&["\r", "\n", "\r\n", "\x08", "\t", "\x07", "\x0b", "\x1bM"])
                .to_owned(),
            8..=9 => format!("\x1b[{a};{b}H"),
            10 => format!(
                "\x1b[{a}{}",
                self.pick(&["A", "B", "C", "D", "E", "F", "G", "d"])
            ),
            11 => format!(
                "\x1b[{a}{}",
                self.pick(&["@", "L", "M", "P", "S", "T", "X", "b"])
            ),
            12 => format!("\x1b[{}{}", self.below(3), self.pick(&["J", "K"])),
            13..=14 => format!(
                "\x1b[{}m",
                self.pick(&[
                    "0",
                    "1",
                    "2",
                    "3",
                    "4",
                    "7",
                    "22",
                    "31",
                    "42",
                    "39",
                    "49",
                    "38;5;99",
                    "48;2;9;8;7"
                ])
            ),
            15 => format!("\x1b[{};{}r", a, self.below(8)),
            16 => format!(
                "\x1b[?{}{}",
                self.pick(&[
                    "1", "6", "25", "47", "1049", "2004", "1000", "1002", "1006", "9"
                ]),
                self.pick(&["h", "l"])
            ),
            17 => self
                .pick(&[
                    "\x1b7", "\x1b8", "\x1b=", "\x1b>", "\x1bc", "\x1b[3 q", "\x1b[0 q",
                ])
                .to_owned(),
            18 => format!("\x1b]{};t{a}\x07", self.below(3)),
            _ => (0..a).map(|_| char::from(self.below(256) as u8)).collect(),
        }
    }
}

/// Runs of random output: every state is reached both from the state before and from one further
/// back, as when instructions were lost, and the receiver builds on what it made of earlier diffs.
#[test]
fn random_output_arrives() {
    for seed in 0..RUNS {
        let mut random = Random(seed);
        let (rows, columns) = (1 + random.below(7) as u16, 1 + random.below(22) as u16);
        let mut emulator = Emulator::new(size(rows, columns));
        let mut sent = emulator.screen(0);
        let (mut held, mut older) = (sent.clone(), (sent.clone(), sent.clone()));
        let mut log = String::new();
        for step in 0..STEPS {
            for _ in 0..=random.below(4) {
                let piece = random.piece();
                emulator.write(piece.as_bytes());
                log += &piece;
            }
            if random.below(16) == 0 {
                let (rows, columns) = (1 + random.below(7) as u16, 1 + random.below(22) as u16);
                emulator.resize(size(rows, columns));
                log += &format!("<{rows}x{columns}>");
            }
            let screen = emulator.screen(step);
            if random.below(4) == 0 {
                // The diff is from a state that both ends still hold.
                (sent, held) = older.clone();
            }
            let context = format!("seed {seed}, {rows}x{columns}, after {log:?}");
            let diff = screen.diff_from(&sent);
            assert_eq!(diff, screen.diff_from(&sent), "{context}: the same again");
            held.apply(&diff).expect(&context);
            looks_as(&held, &screen, &context);
            sent = screen;
            if random.below(3) == 0 {
                older = (sent.clone(), held.clone());
            }
        }
    }
}

const RUNS: u64 = 200;
const STEPS: u64 = 40;
