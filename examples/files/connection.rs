//! One client: requests one after the other, each answered before the next is looked at.

use std::io;
use std::net::Shutdown;
use std::time::Duration;

use gannet::net::{Accepted, Conn};
use gannet::{spawn_blocking, time};

use crate::folder::{Folder, Found};
use crate::range::Part;
use crate::request::{Method, Refusal, Request, head_len};
use crate::select::{First, first};

/// A client and what it has sent beyond its last request.
pub(crate) struct Connection<'a> {
    folder: &'a Folder,
    accepted: Accepted,
    /// Empty, and without memory, while the client has nothing to say.
    received: Vec<u8>,
}

/// The longest head of a request.
const HEAD_LEN_MAX: usize = 8 << 10;
/// How long a client may take for a request, and between two.
const REQUEST_LIMIT: Duration = Duration::from_secs(30);
/// How long a client may take nothing of an answer.
const STALL_LIMIT: Duration = Duration::from_secs(30);
/// How much is sent before the client's time begins anew: a client on a slow line is no stalled one.
const STRETCH_LEN: u64 = 1 << 20;
/// How much of what a refused client sends is read, so that it gets to read why.
const LEFTOVER_LEN_MAX: usize = 1 << 20;

impl<'a> Connection<'a> {
    pub(crate) fn new(folder: &'a Folder, accepted: Accepted) -> Self {
        Connection {
            folder,
            accepted,
            received: Vec::new(),
        }
    }

    /// Answers requests until the client or the server wants no more.
    ///
    /// # Errors
    /// Those of the connection.
    pub(crate) async fn serve(mut self) -> io::Result<()> {
        loop {
            let request = match self.next_head().await? {
                None => return Ok(()),
                Some(Ok(len)) => {
                    let request = Request::parse(&self.received[..len]);
                    self.received.drain(..len);
                    request
                }
                Some(Err(refusal)) => Err(refusal),
            };
            let request = match request {
                Ok(request) => request,
                Err(refusal) => return self.refuse(refusal).await,
            };
            let keeps = request.keeps_alive && !self.accepted.is_draining();
            self.answer(request, keeps).await?;
            if !keeps {
                return self.conn().shutdown(Shutdown::Write);
            }
        }
    }

    fn conn(&self) -> &Conn {
        &self.accepted.conn
    }

    /// Waits for a whole head; returns its length, or `None` if the client or the server has ended.
    async fn next_head(&mut self) -> io::Result<Option<Result<usize, Refusal>>> {
        let end = time::now() + REQUEST_LIMIT;
        self.conn().set_read_deadline(Some(end))?;
        if self.received.is_empty() {
            // A connection that waits should be small.
            self.received = Vec::new();
            let draining = self.accepted.draining();
            match first(self.conn().readable(), draining).await {
                First::Left(readable) => readable?,
                First::Right(()) => return Ok(None),
            }
        }
        let mut buf = [0; 2048];
        loop {
            if let Some(len) = head_len(&self.received) {
                return Ok(Some(Ok(len)));
            }
            if self.received.len() >= HEAD_LEN_MAX {
                return Ok(Some(Err(Refusal::HeaderTooLarge)));
            }
            match self.accepted.conn.read(&mut buf).await? {
                0 => return Ok(None),
                len => self.received.extend_from_slice(&buf[..len]),
            }
        }
    }

    async fn answer(&self, request: Request, keeps: bool) -> io::Result<()> {
        let is_get = request.method == Method::Get;
        let (folder, path) = (self.folder.clone(), request.path);
        // Looking for a file may wait for a disk.
        let found = spawn_blocking(move || folder.find(&path)).await;
        let Ok(Ok(Found { file, len })) = found else {
            return self.say("404 Not Found", "", keeps, is_get).await;
        };
        let whole = Part { offset: 0, len };
        let (status, part) = match request.range {
            // RFC 9110, section 14.2: ranges are for GET.
            Some(range) if is_get => match range.of(len) {
                Some(part) => ("206 Partial Content", part),
                None => {
                    let field = format!("Content-Range: bytes */{len}\r\n");
                    let status = "416 Range Not Satisfiable";
                    return self.say(status, &field, keeps, is_get).await;
                }
            },
            _ => ("200 OK", whole),
        };
        let mut fields = String::from("Accept-Ranges: bytes\r\n");
        if status.starts_with("206") {
            let last = part.offset + part.len - 1;
            fields += &format!("Content-Range: bytes {}-{last}/{len}\r\n", part.offset);
        }
        let head = head(status, &fields, part.len, keeps);
        self.renew_deadline()?;
        self.conn().write_all(head.as_bytes()).await?;
        if is_get {
            self.send(&file, part).await?;
        }
        Ok(())
    }

    /// Sends a part of a file. The client may take as long as it likes, if it takes something.
    async fn send(&self, file: &std::fs::File, part: Part) -> io::Result<()> {
        let (mut offset, end) = (part.offset, part.offset + part.len);
        while offset < end {
            self.renew_deadline()?;
            let stretch = STRETCH_LEN.min(end - offset);
            let sent = self.conn().send_file(file, offset, stretch).await?;
            if sent == 0 {
                // The file has become shorter than promised: only the end of the connection can tell.
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            offset += sent;
        }
        Ok(())
    }

    fn renew_deadline(&self) -> io::Result<()> {
        let end = time::now() + STALL_LIMIT;
        self.conn().set_write_deadline(Some(end))
    }

    /// Sends an answer that is its own status.
    async fn say(&self, status: &str, fields: &str, keeps: bool, body: bool) -> io::Result<()> {
        let text = format!("{status}\n");
        let mut answer = head(status, fields, text.len() as u64, keeps);
        if body {
            answer += &text;
        }
        self.renew_deadline()?;
        self.conn().write_all(answer.as_bytes()).await
    }

    /// Refuses a request, and ends the connection so that the client gets to read why: closing while
    /// something is unread would reset it.
    async fn refuse(&self, refusal: Refusal) -> io::Result<()> {
        let fields = match refusal {
            Refusal::MethodNotAllowed => "Allow: GET, HEAD\r\n",
            _ => "",
        };
        self.say(refusal.status(), fields, false, true).await?;
        self.conn().shutdown(Shutdown::Write)?;
        let mut buf = [0; 2048];
        let mut left = LEFTOVER_LEN_MAX;
        while left > 0 {
            match self.conn().read(&mut buf).await? {
                0 => break,
                len => left = left.saturating_sub(len),
            }
        }
        Ok(())
    }
}

/// The head of an answer.
fn head(status: &str, fields: &str, len: u64, keeps: bool) -> String {
    let connection = if keeps { "keep-alive" } else { "close" };
    format!(
        "HTTP/1.1 {status}\r\nContent-Length: {len}\r\nContent-Type: application/octet-stream\r\n\
         {fields}Connection: {connection}\r\n\r\n"
    )
}
