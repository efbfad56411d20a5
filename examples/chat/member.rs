//! One member: a task that listens to him and, at the same time, sends him what the others say.

use std::future::{Future, poll_fn};
use std::io;
use std::net::Shutdown;
use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use gannet::net::{Accepted, Conn, error};
use gannet::time;

use crate::line::{LINE_LEN_MAX, Line, Lines};
use crate::room::{Reason, Room, Seat};
use crate::select::{First, both, first};

/// What the kernel keeps for a member who is slow to read, in bytes.
const SEND_BUFFER_LEN: usize = 64 << 10;
/// How long a member may take nothing of what he is sent.
const STALL_LIMIT: Duration = Duration::from_secs(30);
/// For how many seconds somebody may have been silent to say that many seconds' lines at once.
const BURST: Duration = Duration::from_secs(5);
/// How long a client may take to end after the server, and how much it may still send.
const FAREWELL_LIMIT: Duration = Duration::from_secs(1);
const FAREWELL_LEN_MAX: usize = 64 << 10;

const HELP: &str = "/nick NAME: be called so; /who: who is here; /quit: leave; all else is said";

/// What everybody is held to.
#[derive(Clone, Copy)]
pub(crate) struct Manners {
    idle: Duration,
    /// The time that one line takes up.
    interval: Duration,
}

impl Manners {
    /// Silence for at most `idle`, and no more lines than `rate` a second.
    pub(crate) fn new(idle: Duration, rate: u32) -> Self {
        Manners {
            idle,
            interval: Duration::from_secs(1) / rate,
        }
    }
}

/// Has a connection take part for as long as it lasts.
///
/// # Errors
/// Those of the connection; the closed error if the room has parted with a member who does not read.
pub(crate) async fn attend(
    room: Arc<Room>,
    accepted: Accepted,
    manners: Manners,
) -> io::Result<()> {
    let draining = accepted.draining();
    let conn = Arc::new(accepted.conn);
    conn.set_send_buffer_size(SEND_BUFFER_LEN)?;
    let Some(seat) = Room::join(&room, &conn) else {
        arm(&conn, FAREWELL_LIMIT)?;
        conn.write_all(b"* there is no place\n").await?;
        return farewell(&conn).await;
    };
    let member = Member {
        conn: &conn,
        seat: &seat,
        manners,
    };
    let listening = async {
        match first(member.listen(), draining).await {
            First::Left(result) => result,
            First::Right(()) => Ok(()),
        }
    };
    both(listening, member.speak()).await?;
    drop(seat);
    farewell(&conn).await
}

struct Member<'a> {
    conn: &'a Conn,
    seat: &'a Seat,
    manners: Manners,
}

/// What a line asks for beyond itself.
#[derive(PartialEq)]
enum Wish {
    Stay,
    Leave,
}

impl Member<'_> {
    /// Passes on what he says, until he leaves or has said nothing for too long.
    async fn listen(&self) -> io::Result<()> {
        let mut lines = Lines::default();
        let mut pace = Pace::new(self.manners.interval);
        while !lines.has_ended() {
            // Moved with each look, which costs next to nothing.
            self.conn.set_read_deadline(after(self.manners.idle))?;
            if let Err(err) = self.conn.readable().await {
                if error::is_deadline(&err) {
                    self.seat.tell("you have said nothing for too long");
                    self.seat.leave(Reason::Idle);
                    return Ok(());
                }
                return Err(err);
            }
            lines.fill(self.conn)?;
            while let Some(line) = lines.next() {
                if self.heed(line) == Wish::Leave {
                    self.seat.leave(Reason::Left);
                    return Ok(());
                }
                pace.keep().await;
            }
        }
        self.seat.leave(Reason::Left);
        Ok(())
    }

    fn heed(&self, line: Line) -> Wish {
        let text = match line {
            Line::Text(text) => text,
            Line::TooLong => {
                let told = format!("a line has at most {LINE_LEN_MAX} bytes: yours is dropped");
                self.seat.tell(&told);
                return Wish::Stay;
            }
        };
        let text = text.trim_end();
        let (command, argument) = text.split_once(' ').unwrap_or((text, ""));
        match command {
            "" => {}
            "/nick" => self.seat.rename(argument.trim()),
            "/who" => self.seat.list(),
            "/help" => self.seat.tell(HELP),
            "/quit" => return Wish::Leave,
            _ if command.starts_with('/') => self.seat.tell("no such command; /help for help"),
            _ => self.seat.say(text),
        }
        Wish::Stay
    }

    /// Sends what he has to hear, until there will be no more.
    async fn speak(&self) -> io::Result<()> {
        while let Some(piece) = self.seat.next().await {
            let mut rest = piece.as_bytes();
            while !rest.is_empty() {
                self.conn.set_write_deadline(after(STALL_LIMIT))?;
                let sent = self.send(rest).await.inspect_err(|err| {
                    if error::is_deadline(err) {
                        self.seat.leave(Reason::Slow);
                    }
                })?;
                rest = rest.get(sent..).unwrap_or_default();
            }
        }
        Ok(())
    }

    /// Sends some of it; the room knows when that has to wait.
    async fn send(&self, bytes: &[u8]) -> io::Result<usize> {
        let mut writing = pin!(self.conn.write(bytes));
        let mut stalls = false;
        poll_fn(|cx| {
            let polled = writing.as_mut().poll(cx);
            if polled.is_pending() != stalls {
                stalls = !stalls;
                self.seat.stall(stalls);
            }
            polled
        })
        .await
    }
}

/// Ends a connection so that its peer gets to read all: closing it while something is unread would
/// reset it.
async fn farewell(conn: &Conn) -> io::Result<()> {
    arm(conn, FAREWELL_LIMIT)?;
    conn.shutdown(Shutdown::Write)?;
    let mut buf = [0; 1024];
    let mut left = FAREWELL_LEN_MAX;
    while left > 0 {
        match conn.read(&mut buf).await {
            Ok(0) => break,
            Ok(len) => left = left.saturating_sub(len),
            Err(err) if error::is_deadline(&err) => break,
            Err(err) => return Err(err),
        }
    }
    Ok(())
}

fn arm(conn: &Conn, limit: Duration) -> io::Result<()> {
    conn.set_deadline(after(limit))
}

/// A time beyond the end of the clock is none.
fn after(limit: Duration) -> Option<Instant> {
    time::now().checked_add(limit)
}

/// Keeps a member from saying more than others can read: until then nothing of his is read.
struct Pace {
    interval: Duration,
    /// When all that was said has had its time.
    done: Instant,
}

impl Pace {
    fn new(interval: Duration) -> Self {
        Pace {
            interval,
            done: time::now(),
        }
    }

    /// Waits after a line for as long as its like have to, and for those who hear it to have their turn.
    async fn keep(&mut self) {
        let now = time::now();
        self.done = self.done.max(now) + self.interval;
        if let Some(free) = self.done.checked_sub(BURST).filter(|&free| free > now) {
            time::sleep_until(free).await;
        } else {
            gannet::yield_now().await;
        }
    }
}
