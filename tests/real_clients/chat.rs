//! `chat`: real clients over both networks, and members who misbehave.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::{Duration, Instant};

use crate::peers::{Place, client};
use crate::support::process::{Process, port};
use crate::support::sockets::{open_fds, resident};
use crate::support::watchdog::Watchdog;
use crate::support::{LIMIT, TempDir, programs, until};

/// A server on a port and on a path.
struct Chat {
    process: Process,
    addr: String,
    path: String,
    dir: TempDir,
}

impl Chat {
    #[track_caller]
    fn start(options: &[&str]) -> Self {
        let dir = TempDir::new();
        let named = format!("unix:{}", dir.file("chat"));
        let args = ["127.0.0.1:0", &named, "--workers", "2"];
        let process = Process::example("chat", &[&args[..], options].concat());
        Chat {
            addr: process.line("listening tcp "),
            path: process.line("listening unix "),
            process,
            dir,
        }
    }

    /// Enters over TCP, and reads the welcome.
    #[track_caller]
    fn enter(&self) -> Member {
        let mut member = Member::of(TcpStream::connect(&self.addr).expect("it listens"));
        let welcome = member.line();
        assert!(welcome.starts_with("* you are guest"), "{welcome}");
        member
    }

    #[track_caller]
    fn ends_well(mut self) {
        self.process.signal("TERM");
        self.process.succeeds();
        assert_eq!(self.process.errors(), "");
        assert!(!Path::new(&self.path).exists(), "the socket file is left");
    }
}

/// A member that says only what the test says.
struct Member {
    conn: TcpStream,
    lines: BufReader<TcpStream>,
}

impl Member {
    fn of(conn: TcpStream) -> Self {
        conn.set_read_timeout(Some(LIMIT)).expect("an option");
        conn.set_write_timeout(Some(LIMIT)).expect("an option");
        let lines = BufReader::new(conn.try_clone().expect("a descriptor"));
        Member { conn, lines }
    }

    #[track_caller]
    fn say(&mut self, bytes: impl AsRef<[u8]>) {
        self.conn.write_all(bytes.as_ref()).expect("it is taken");
    }

    /// The next line, without its end; empty at the end of all.
    #[track_caller]
    fn line(&mut self) -> String {
        let mut line = String::new();
        self.lines.read_line(&mut line).expect("a line of text");
        line.strip_suffix('\n').unwrap_or(&line).to_owned()
    }

    #[track_caller]
    fn hears(&mut self, line: &str) {
        assert_eq!(self.line(), line);
    }
}

/// Three programs over two networks: everybody hears everybody, and of comings and goings.
#[test]
fn nc_ncat_and_socat_chat_over_both_networks() {
    let names = ["nc", "ncat", "socat"];
    if !names.iter().all(|name| programs::has(name)) {
        return;
    }
    let _watchdog = Watchdog::start(LIMIT * 8);
    let chat = Chat::start(&[]);
    let places = [
        ("tcp4", Place::inet("tcp4", port(&chat.addr))),
        ("unix", Place::Path(chat.path.clone())),
    ];
    let mut members: Vec<(String, Process)> = Vec::new();
    for program in names {
        for (network, place) in &places {
            let mut member = client(program, network, place, &chat.dir);
            let welcome = member.line("* you are guest");
            let present: Vec<&str> = members.iter().map(|(name, _)| name.as_str()).collect();
            let present = match present.is_empty() {
                true => "nobody else".to_owned(),
                false => present.join(", "),
            };
            let wanted = format!("here are: {present}; /help for help");
            assert!(welcome.ends_with(&wanted), "{welcome}");
            let name = format!("{program}-{network}");
            member.write(format!("/nick {name}\n").as_bytes());
            members.push((name.clone(), member));
            for (_, other) in &members {
                other.line(&format!("* guest{} is now {name}", members.len()));
            }
        }
    }
    for speaker in 0..members.len() {
        let (name, process) = &mut members[speaker];
        let said = format!("<{name}> good evening");
        process.write(b"good evening\n");
        for (_, other) in members.iter().filter(|(other, _)| !said.contains(other)) {
            other.line(&said);
        }
    }
    // Whoever ends what he sends leaves, with all that he has heard.
    while let Some((name, mut member)) = members.pop() {
        member.close_stdin();
        member.succeeds();
        for (_, other) in &members {
            other.line(&format!("* {name} has left"));
        }
        let heard = String::from_utf8(member.read_to_end()).expect("text");
        assert!(!heard.contains(&format!("<{name}>")), "{heard}");
    }
    chat.ends_well();
}

#[test]
fn chat_parts_with_a_member_who_does_not_read() {
    let _watchdog = Watchdog::start(LIMIT * 8);
    let chat = Chat::start(&["--rate", "1000000"]);
    let mut reader = chat.enter();
    // One over each network, deaf from the start.
    let mut deaf = TcpStream::connect(&chat.addr).expect("it listens");
    reader.hears("* guest2 has joined");
    let mut deaf_unix = UnixStream::connect(&chat.path).expect("it listens");
    reader.hears("* guest3 has joined");
    let mut speaker = chat.enter();
    reader.hears("* guest4 has joined");
    let memory = resident(chat.process.pid());

    let text = "x".repeat(500);
    let mut parted = Vec::new();
    // Step by step, so that it is never the reader who is behind.
    for _ in 0..100_000 {
        speaker.say(format!("{text}\n"));
        while let line = reader.line()
            && line != format!("<guest4> {text}")
        {
            parted.push(line);
        }
        if parted.len() == 2 {
            break;
        }
    }
    parted.sort();
    let wanted = ["guest2", "guest3"].map(|name| format!("* {name} has left (does not read)"));
    assert_eq!(parted, wanted);
    let grown = resident(chat.process.pid()).saturating_sub(memory);
    assert!(grown < 4 << 20, "{grown} bytes more than before");
    // What was sent before can still be read, and then there is an end; a reset is one.
    for ended in [&mut deaf as &mut dyn Read, &mut deaf_unix] {
        let _ = ended.read_to_end(&mut Vec::new());
    }
    speaker.say("/who\n");
    for _ in parted {
        // All that was said is its own, so nothing else comes in between.
        let told = speaker.line();
        assert!(told.ends_with("has left (does not read)"), "{told}");
    }
    speaker.hears("* here are: guest1, guest4");
    chat.ends_well();
}

/// What several say at once, none of them too much, is more than is kept for one who does not read. Those
/// who read have not had their turn yet, and lose nothing.
#[test]
fn chat_keeps_those_who_read_when_many_speak_at_once() {
    const SPEAKERS: usize = 4;
    const LINES: usize = 50;
    let _watchdog = Watchdog::start(LIMIT * 8);
    let chat = Chat::start(&[]);
    let mut readers: Vec<Member> = (0..20).map(|_| chat.enter()).collect();
    let mut speakers = [(); SPEAKERS].map(|()| chat.enter());
    chat.process.signal("STOP");
    for speaker in &mut speakers {
        speaker.say(format!("{}\n", "x".repeat(500)).repeat(LINES));
    }
    chat.process.signal("CONT");
    for reader in &mut readers {
        let mut heard = 0;
        while heard < SPEAKERS * LINES {
            let line = reader.line();
            assert!(!line.is_empty() && !line.contains("left"), "{line}");
            heard += usize::from(line.starts_with('<'));
        }
    }
    drop((readers, speakers));
    chat.ends_well();
}

#[test]
fn chat_tells_everybody_the_same_in_the_same_order() {
    const LINES: usize = 40;
    let _watchdog = Watchdog::start(LIMIT * 4);
    let chat = Chat::start(&[]);
    let mut listeners = [(); 3].map(|()| chat.enter());
    let speakers = [(); 4].map(|()| chat.enter());
    let count = speakers.len() * LINES;
    std::thread::scope(|scope| {
        for mut speaker in speakers {
            scope.spawn(move || {
                for line in 0..LINES {
                    speaker.say(format!("{line}\n"));
                }
                // Until all of the others' is there: what is unread would reset the connection.
                let heard = |line: &String| line.starts_with('<');
                let lines = std::iter::repeat_with(|| speaker.line());
                assert_eq!(
                    lines.filter(heard).take(count - LINES).count(),
                    count - LINES
                );
            });
        }
    });
    let heard = listeners.each_mut().map(|listener| {
        let lines = std::iter::repeat_with(|| listener.line());
        let said = lines.filter(|line| line.starts_with('<'));
        said.take(count).collect::<Vec<String>>()
    });
    assert_eq!(heard[0], heard[1]);
    assert_eq!(heard[0], heard[2]);
    for speaker in 4..8 {
        let own = format!("<guest{speaker}> ");
        let lines = heard[0].iter().filter_map(|line| line.strip_prefix(&own));
        let numbers: Vec<usize> = lines.map(|line| line.parse().expect("a number")).collect();
        assert_eq!(numbers, (0..LINES).collect::<Vec<_>>(), "{own}");
    }
    chat.ends_well();
}

#[test]
fn chat_drops_lines_that_are_too_long_and_keeps_their_sender() {
    let _watchdog = Watchdog::start(LIMIT * 4);
    let chat = Chat::start(&[]);
    let (mut reader, mut speaker) = (chat.enter(), chat.enter());
    reader.hears("* guest2 has joined");
    let memory = resident(chat.process.pid());
    let longest = "y".repeat(512);
    speaker.say(format!("{longest}\r\n"));
    speaker.say(format!("{longest}z\n"));
    speaker.hears("* a line has at most 512 bytes: yours is dropped");
    speaker.say(vec![b'z'; 32 << 20]);
    speaker.say("\nshort\nno end");
    speaker.hears("* a line has at most 512 bytes: yours is dropped");
    let grown = resident(chat.process.pid()).saturating_sub(memory);
    assert!(grown < 4 << 20, "{grown} bytes more than before");
    drop(speaker);
    reader.hears(&format!("<guest2> {longest}"));
    reader.hears("<guest2> short");
    reader.hears("<guest2> no end");
    reader.hears("* guest2 has left");
    chat.ends_well();
}

/// Bytes that are no text, and text that terminals obey, arrive as signs of replacement.
#[test]
fn chat_tames_what_would_harm_a_terminal() {
    let _watchdog = Watchdog::start(LIMIT * 4);
    let chat = Chat::start(&[]);
    let (mut reader, mut speaker) = (chat.enter(), chat.enter());
    reader.hears("* guest2 has joined");
    for (said, heard) in [
        (
            &b"a\x1b[2Jb\x07\x00\x7f"[..],
            "a\u{fffd}[2Jb\u{fffd}\u{fffd}\u{fffd}",
        ),
        (
            b"\xff\xfe latin \xe9\xc3",
            "\u{fffd}\u{fffd} latin \u{fffd}\u{fffd}",
        ),
        ("c1 \u{9b}31m".as_bytes(), "c1 \u{fffd}31m"),
        (
            "\u{202e}turned\u{2066}\u{200f}".as_bytes(),
            "\u{fffd}turned\u{fffd}\u{fffd}",
        ),
        (
            "one\u{2028}two\rthree\tfour".as_bytes(),
            "one\u{fffd}two\u{fffd}three four",
        ),
        ("häßlich, 漢字".as_bytes(), "häßlich, 漢字"),
    ] {
        speaker.say([said, b"\n"].concat());
        reader.hears(&format!("<guest2> {heard}"));
    }
    chat.ends_well();
}

#[test]
fn chat_gives_every_name_once() {
    let _watchdog = Watchdog::start(LIMIT * 4);
    let chat = Chat::start(&[]);
    let (mut first, mut second) = (chat.enter(), chat.enter());
    first.hears("* guest2 has joined");
    let rule = "* a name has 1 to 24 letters, digits, - or _";
    let longest = "n".repeat(24);
    for (asked, told) in [
        ("/nick", rule.to_owned()),
        ("/nick two words", rule.to_owned()),
        ("/nick \u{1b}[31m", rule.to_owned()),
        (&format!("/nick {longest}n"), rule.to_owned()),
        (
            &format!("/nick {longest}"),
            format!("* guest2 is now {longest}"),
        ),
        ("/nick GUEST1", "* GUEST1 is taken".to_owned()),
        // The next guest's name: that one gets another.
        ("/nick guest3", format!("* {longest} is now guest3")),
        ("/nick Guest3", "* guest3 is now Guest3".to_owned()),
        ("/dance", "* no such command; /help for help".to_owned()),
        ("  /who", "".to_owned()),
    ] {
        second.say(format!("{asked}\n"));
        if !told.is_empty() {
            second.hears(&told);
        }
    }
    let mut third = Member::of(TcpStream::connect(&chat.addr).expect("it listens"));
    third.hears("* you are guest4; here are: guest1, Guest3; /help for help");
    third.say("/quit\nnever said\n");
    assert_eq!(third.line(), "", "the end");
    second.hears("* guest4 has joined");
    second.hears("* guest4 has left");
    chat.ends_well();
}

#[test]
fn chat_with_its_limit_of_members_refuses_more_until_one_leaves() {
    let _watchdog = Watchdog::start(LIMIT * 4);
    let chat = Chat::start(&["--members", "2"]);
    let (mut first, second) = (chat.enter(), chat.enter());
    first.hears("* guest2 has joined");
    // Many more than may be told at once.
    for _ in 0..200 {
        let mut refused = Member::of(TcpStream::connect(&chat.addr).expect("it listens"));
        refused.hears("* there is no place");
        assert_eq!(refused.line(), "", "the end");
    }
    drop(second);
    first.hears("* guest2 has left");
    let third = chat.enter();
    first.hears("* guest3 has joined");
    drop((first, third));
    until("the connections to be closed", || {
        (open_fds(chat.process.pid()) < 20).then_some(())
    });
    chat.ends_well();
}

#[test]
fn chat_parts_with_who_says_nothing() {
    let _watchdog = Watchdog::start(LIMIT * 4);
    let chat = Chat::start(&["--idle", "0.2"]);
    let mut silent = chat.enter();
    silent.hears("* you have said nothing for too long");
    assert_eq!(silent.line(), "", "the end");
    chat.ends_well();
}

/// A burst is passed on at once, and what goes on beyond it at its pace: a timer is never early.
#[test]
fn chat_slows_down_who_says_too_much() {
    let _watchdog = Watchdog::start(LIMIT * 4);
    let chat = Chat::start(&["--rate", "20"]);
    let (mut reader, begun) = (chat.enter(), Instant::now());
    let mut speaker = chat.enter();
    reader.hears("* guest2 has joined");
    speaker.say("much\n".repeat(131));
    for _ in 0..131 {
        reader.hears("<guest2> much");
    }
    // The last one came when 130 had had 50 ms each, but for five seconds that are free.
    let least = Duration::from_millis(50) * 130 - Duration::from_secs(5);
    assert!(begun.elapsed() >= least, "{:?}", begun.elapsed());
    chat.ends_well();
}

/// What was said is sent, also to one who was slow to read, and then comes the end.
#[test]
fn chat_on_signal_says_farewell_and_ends() {
    let _watchdog = Watchdog::start(LIMIT * 4);
    for signal in ["TERM", "INT"] {
        let mut chat = Chat::start(&["--drain", "600"]);
        let mut speaker = chat.enter();
        let mut unread = Member::of(TcpStream::connect(&chat.addr).expect("it listens"));
        speaker.hears("* guest2 has joined");
        speaker.say("last words\n/who\n");
        speaker.hears("* here are: guest1, guest2");
        chat.process.signal(signal);
        unread.line();
        unread.hears("<guest1> last words");
        for member in [&mut unread, &mut speaker] {
            member.hears("* the server is closing");
            assert_eq!(member.line(), "", "the end");
        }
        drop((unread, speaker));
        chat.process.succeeds();
        assert_eq!(chat.process.errors(), "");
        assert!(!Path::new(&chat.path).exists(), "the socket file is left");
    }
}
