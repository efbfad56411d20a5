//! Sessions on a network without faults.

use std::fs;

use crate::session::{LIMIT, Pair, SERVER_4, SERVER_6, Session};
use crate::support::TempDir;
use crate::terminal::{USUAL, Window};

/// A window that takes many fragments to fill.
const LARGE: Window = Window {
    rows: 100,
    columns: 300,
};

/// A command's output arrives, also what is not ASCII; the shell's end is the session's.
fn commands_and_a_clean_end(pair: &Pair, ip: &str) {
    let mut session = Session::shell_at(pair, ip);
    session.answers("first");
    session
        .client
        .write("printf 'gr\\303\\274n \\346\\274\\242\\345\\255\\227\\n'\n");
    session.client.wait("the words", LIMIT, |lines| {
        lines.iter().any(|line| line == "grün 漢字")
    });
    session.answers("second");
    session.exit();
}

pub(crate) fn basic_over_ipv4(pair: &Pair) {
    commands_and_a_clean_end(pair, SERVER_4);
}

pub(crate) fn basic_over_ipv6(pair: &Pair) {
    commands_and_a_clean_end(pair, SERVER_6);
}

/// Keys arrive one by one, whatever their length, and what the line discipline does to them shows.
pub(crate) fn keystrokes(pair: &Pair) {
    let mut session = Session::start(pair, SERVER_4, USUAL, &["cat"]);
    let text = "héllo wörld 漢字 🙂!";
    let mut typed = String::new();
    for key in text.chars() {
        typed.push(key);
        session.client.write(&key.to_string());
        session.client.shows(typed.trim_end(), LIMIT);
    }
    session.client.write("\n");
    session.client.wait("the line twice", LIMIT, |lines| {
        lines.iter().filter(|line| *line == text).count() == 2
    });
    session.client.write("abX");
    session.client.shows("abX", LIMIT);
    session.client.write("\u{7f}");
    session.client.wait("the erasure", LIMIT, |lines| {
        lines.iter().any(|line| line == "ab")
    });
    session.client.write("c\n");
    session.client.wait("the corrected line", LIMIT, |lines| {
        lines.iter().filter(|line| *line == "abc").count() == 2
    });
    // End of file, which ends the command.
    session.client.write("\u{4}");
    session.ends();
}

/// The server's terminal takes every size that the client's gets, and what was shown stays.
pub(crate) fn resize(pair: &Pair) {
    let mut session = Session::shell(pair);
    session.answers("before");
    for (rows, columns) in [(30, 100), (50, 132), (24, 80)] {
        session.client.resize(Window { rows, columns });
        // A client may read keys before it hears of its new size, though they were typed after.
        session.client.write(&format!(
            "until [ \"$(stty size)\" = \"{rows} \"{columns} ]; do sleep 0.1; done; stty size\n"
        ));
        session.client.shows(&format!("{rows} {columns}"), LIMIT);
        assert!(
            session.client.has("before-42"),
            "the screen was not painted again"
        );
    }
    session.exit();
}

/// Screens that fill a large window with text which compresses badly, each unlike the last.
pub(crate) fn large_screens(pair: &Pair) {
    let dir = TempDir::new();
    let pages: Vec<Vec<String>> = (0..4).map(page).collect();
    let mut script = String::new();
    for (number, page) in pages.iter().enumerate() {
        let file = dir.file(&number.to_string());
        // Without a final newline, which would scroll the first line away.
        fs::write(&file, page.join("\n")).expect("a file");
        script += &format!("printf '\\033[H\\033[2J'; cat {file}; read -r x; ");
    }
    let mut session = Session::start(pair, SERVER_4, LARGE, &["sh", "-c", &script]);
    for page in &pages {
        session
            .client
            .wait("the whole page", LIMIT, |lines| lines == page);
        session.client.write("\n");
    }
    session.ends();
}

/// A page of printable characters without order.
fn page(number: u64) -> Vec<String> {
    // xorshift64, Marsaglia 2003.
    let mut state = 0x9e37_79b9_7f4a_7c15 + number;
    let mut character = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        // From `!` to `~`: no blanks, so that a line is as long as the window is wide.
        char::from(b'!' + (state >> 32) as u8 % 94)
    };
    let mut line = || (0..LARGE.columns).map(|_| character()).collect();
    (0..LARGE.rows).map(|_| line()).collect()
}
