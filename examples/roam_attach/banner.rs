//! The line that tells the user what is known of the server: mosh-wire §10.

use std::time::{Duration, Instant};

use gannet::roam::proto::constants::{
    BANNER_CONTACT, BANNER_FIRST, BANNER_REPLY, CLIENT_LONELY_TIMEOUT,
};

use crate::emulator::Emulator;
use crate::screen::{Screen, Size};

/// What is known of the connection.
#[derive(Clone, Debug)]
pub(crate) struct Contact {
    /// The server's UDP port.
    pub(crate) port: u16,
    /// When this program started.
    pub(crate) started: Instant,
    /// When the newest new state of the server arrived.
    pub(crate) heard: Option<Instant>,
    /// When the newest state of the user that the server has was sent.
    pub(crate) acknowledged: Instant,
    /// What goes wrong locally, such as an error of sending.
    pub(crate) fault: Option<String>,
}

impl Contact {
    /// What the banner says now, if anything.
    pub(crate) fn banner(&self, now: Instant) -> Option<String> {
        let since = |then| now.saturating_duration_since(then);
        let told = match self.heard {
            None if since(self.started) >= CLIENT_LONELY_TIMEOUT => {
                Some("Timed out waiting for server...".to_owned())
            }
            None if since(self.started) >= BANNER_FIRST => Some(format!(
                "Nothing received from server on UDP port {}.",
                self.port
            )),
            Some(heard) if since(heard) > BANNER_CONTACT => {
                Some(format!("Last contact {} ago.", seconds(since(heard))))
            }
            Some(_) if since(self.acknowledged) > BANNER_REPLY => {
                let ago = seconds(since(self.acknowledged));
                Some(format!("Last reply {ago} ago."))
            }
            _ => None,
        };
        match (told, &self.fault) {
            (Some(told), Some(fault)) => Some(format!("{told} ({fault})")),
            (told, None) => told,
            (None, Some(fault)) => Some(fault.clone()),
        }
    }

    /// Whether the server was never heard, for so long that the program gives up.
    pub(crate) fn is_hopeless(&self, now: Instant) -> bool {
        self.heard.is_none() && now.saturating_duration_since(self.started) >= CLIENT_LONELY_TIMEOUT
    }

    /// When the banner says something else if nothing happens until then.
    pub(crate) fn next_deadline(&self, now: Instant) -> Option<Instant> {
        let instant = Duration::from_nanos(1);
        let Some(heard) = self.heard else {
            let changes = [BANNER_FIRST, CLIENT_LONELY_TIMEOUT].map(|after| self.started + after);
            return changes.into_iter().find(|&at| at > now);
        };
        let told = [
            (heard, BANNER_CONTACT + instant),
            (self.acknowledged, BANNER_REPLY + instant),
        ];
        let changes = told.map(|(from, first)| {
            let age = now.saturating_duration_since(from);
            let next_second = Duration::from_secs(age.as_secs() + 1);
            from + if age < first { first } else { next_second }
        });
        changes.into_iter().min()
    }
}

fn seconds(age: Duration) -> String {
    match age.as_secs() {
        1 => "1 second".to_owned(),
        seconds => format!("{seconds} seconds"),
    }
}

/// What the user sees: the server's screen in a terminal of this size, below the banner.
///
/// For some time after the terminal was resized the server's screen has its former size.
pub(crate) fn frame(screen: &Screen, size: Size, banner: Option<&str>) -> Screen {
    if screen.cells_size() == size && banner.is_none() {
        return screen.clone();
    }
    let mut emulator = Emulator::showing(screen);
    emulator.resize(size);
    if let Some(banner) = banner {
        let columns = usize::from(size.columns.get());
        let plain = banner.chars().filter(|char| !char.is_control());
        let text: String = plain.take(columns).collect();
        // Whatever region a program had set is not to move the line; the cursor stays where it is.
        let line = format!("\x1b7\x1b[?6l\x1b[1;1H\x1b[0;1;37;44m{text}");
        emulator.write(line.as_bytes());
        if text.chars().count() < columns {
            emulator.write(b"\x1b[K");
        }
        emulator.write(b"\x1b8");
    }
    emulator.screen(screen.echo_ack)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn contact(start: Instant) -> Contact {
        Contact {
            port: 60001,
            started: start,
            heard: None,
            acknowledged: start,
            fault: None,
        }
    }

    #[test]
    fn banner_says_what_the_time_is_for() {
        let start = Instant::now();
        let at = |ms| start + Duration::from_millis(ms);
        let nothing = "Nothing received from server on UDP port 60001.";
        for (now, heard, acknowledged, banner) in [
            (0, None, 0, None),
            (249, None, 0, None),
            (250, None, 0, Some(nothing)),
            (14_999, None, 0, Some(nothing)),
            (15_000, None, 0, Some("Timed out waiting for server...")),
            (6_600, Some(100), 6_600, None),
            (6_601, Some(100), 6_600, Some("Last contact 6 seconds ago.")),
            (
                70_000,
                Some(100),
                69_000,
                Some("Last contact 69 seconds ago."),
            ),
            (20_000, Some(19_000), 10_000, None),
            (
                20_001,
                Some(19_000),
                10_000,
                Some("Last reply 10 seconds ago."),
            ),
            (
                20_001,
                Some(13_000),
                10_000,
                Some("Last contact 7 seconds ago."),
            ),
        ] {
            let mut contact = contact(start);
            contact.heard = heard.map(at);
            contact.acknowledged = at(acknowledged);
            assert_eq!(
                contact.banner(at(now)).as_deref(),
                banner,
                "{now} {contact:?}"
            );
            contact.fault = Some("sendto: no route".to_owned());
            let both = match banner {
                Some(banner) => format!("{banner} (sendto: no route)"),
                None => "sendto: no route".to_owned(),
            };
            assert_eq!(contact.banner(at(now)), Some(both));
        }
    }

    #[test]
    fn deadline_is_when_the_text_changes() {
        let start = Instant::now();
        let at = |ms| start + Duration::from_millis(ms);
        for (heard, acknowledged) in [(None, 0), (Some(100), 100), (Some(9_300), 40)] {
            let mut contact = contact(start);
            contact.heard = heard.map(at);
            contact.acknowledged = at(acknowledged);
            let mut now = at(heard.unwrap_or(0));
            for _ in 0..20 {
                let Some(next) = contact.next_deadline(now) else {
                    assert!(contact.is_hopeless(now), "{contact:?}");
                    break;
                };
                assert!(next > now, "{contact:?}");
                let before = next - Duration::from_nanos(1);
                assert_eq!(contact.banner(now), contact.banner(before), "{contact:?}");
                now = next;
            }
            assert!(contact.banner(now).is_some());
        }
    }

    fn shown(output: &str) -> Screen {
        let mut emulator = Emulator::new(Size::new(3, 20).expect("a size"));
        emulator.write(output.as_bytes());
        emulator.screen(4)
    }

    #[test]
    fn banner_covers_the_top_line_and_nothing_else() {
        let size = Size::new(3, 20).expect("a size");
        let screen = shown("first\r\nsecond\x1b[2;3r\x1b[?6h\x1b[31mx");
        for (text, line) in [
            ("told", "told"),
            ("exactly twenty chars", "exactly twenty chars"),
            ("longer than the line is", "longer than the line"),
            ("no \x1b[2J\nmore", "no [2Jmore"),
        ] {
            let frame = frame(&screen, size, Some(text));
            let rows: Vec<String> = frame.cells.rows(0, 20).collect();
            let below: Vec<String> = screen.cells.rows(0, 20).skip(1).collect();
            assert_eq!(rows[0].trim_end(), line);
            assert_eq!(rows[1..], below);
            assert_eq!(
                frame.cells.cursor_position(),
                screen.cells.cursor_position()
            );
            assert_eq!(frame.echo_ack, 4);
            let first = frame.cells.cell(0, 0).expect("a cell");
            assert!(first.bold());
            assert_eq!(first.fgcolor(), vt100::Color::Idx(7));
            let last = frame.cells.cell(0, 19).expect("a cell");
            assert_eq!(last.bgcolor(), vt100::Color::Idx(4));
        }
    }

    #[test]
    fn frame_has_the_size_of_the_terminal() {
        let screen = shown("first\r\nsecond");
        assert!(frame(&screen, screen.cells_size(), None) == screen);
        let wider = Size::new(5, 30).expect("a size");
        let frame = frame(&screen, wider, None);
        assert_eq!(frame.cells_size(), wider);
        assert_eq!(frame.text(), "first\nsecond");
    }
}
