//! Reading the head of a request.

use crate::range::Range;

/// A request as far as this server understands it.
#[derive(Debug, PartialEq)]
pub(crate) struct Request {
    pub(crate) method: Method,
    /// The path, its escapes resolved: bytes, because a file's name need not be text.
    pub(crate) path: Vec<u8>,
    pub(crate) range: Option<Range>,
    /// The client wants to send another request after this one.
    pub(crate) keeps_alive: bool,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Method {
    Get,
    Head,
}

/// What is wrong with a request.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Refusal {
    BadRequest,
    MethodNotAllowed,
    ContentTooLarge,
    HeaderTooLarge,
    VersionNotSupported,
}

impl Refusal {
    /// The status code and its name.
    pub(crate) fn status(self) -> &'static str {
        match self {
            Refusal::BadRequest => "400 Bad Request",
            Refusal::MethodNotAllowed => "405 Method Not Allowed",
            Refusal::ContentTooLarge => "413 Content Too Large",
            Refusal::HeaderTooLarge => "431 Request Header Fields Too Large",
            Refusal::VersionNotSupported => "505 HTTP Version Not Supported",
        }
    }
}

/// Finds the end of the head in what was received: where the next request begins.
pub(crate) fn head_len(received: &[u8]) -> Option<usize> {
    let end = received.windows(4).position(|four| four == b"\r\n\r\n")?;
    Some(end + 4)
}

impl Request {
    /// Parses a head, up to and with its empty line.
    ///
    /// # Errors
    /// What to refuse it with; the connection has to end then, because nobody knows where the next
    /// request begins.
    pub(crate) fn parse(head: &[u8]) -> Result<Self, Refusal> {
        let head = std::str::from_utf8(head).map_err(|_| Refusal::BadRequest)?;
        let mut lines = head.trim_end_matches("\r\n").split("\r\n");
        let mut words = lines.next().unwrap_or_default().split(' ');
        let (Some(method), Some(target), Some(version), None) =
            (words.next(), words.next(), words.next(), words.next())
        else {
            return Err(Refusal::BadRequest);
        };
        let newer = match version {
            "HTTP/1.1" => true,
            "HTTP/1.0" => false,
            _ if version.starts_with("HTTP/") => return Err(Refusal::VersionNotSupported),
            _ => return Err(Refusal::BadRequest),
        };
        let method = match method {
            "GET" => Method::Get,
            "HEAD" => Method::Head,
            _ => return Err(Refusal::MethodNotAllowed),
        };
        let mut request = Request {
            method,
            path: path_of(target).ok_or(Refusal::BadRequest)?,
            range: None,
            keeps_alive: newer,
        };
        let mut hosts = 0;
        for line in lines {
            let (name, value) = line.split_once(':').ok_or(Refusal::BadRequest)?;
            if name.is_empty() || name.contains([' ', '\t']) {
                return Err(Refusal::BadRequest);
            }
            hosts += usize::from(name.eq_ignore_ascii_case("host"));
            request.field(name, value.trim())?;
        }
        // RFC 9112, section 3.2: exactly one.
        if hosts > 1 || (newer && hosts == 0) {
            return Err(Refusal::BadRequest);
        }
        Ok(request)
    }

    fn field(&mut self, name: &str, value: &str) -> Result<(), Refusal> {
        if name.eq_ignore_ascii_case("connection") {
            for option in value.split(',').map(str::trim) {
                if option.eq_ignore_ascii_case("close") {
                    self.keeps_alive = false;
                } else if option.eq_ignore_ascii_case("keep-alive") {
                    self.keeps_alive = true;
                }
            }
        } else if name.eq_ignore_ascii_case("range") {
            self.range = Range::parse(value);
        } else if name.eq_ignore_ascii_case("content-length") {
            let len: u64 = value.parse().map_err(|_| Refusal::BadRequest)?;
            if len > 0 {
                return Err(Refusal::ContentTooLarge);
            }
        } else if name.eq_ignore_ascii_case("transfer-encoding") {
            return Err(Refusal::ContentTooLarge);
        }
        Ok(())
    }
}

/// The path of a request's target, which may be a whole URL, without query and escapes.
fn path_of(target: &str) -> Option<Vec<u8>> {
    let target = match target.strip_prefix("http://") {
        Some(rest) => &rest[rest.find('/')?..],
        None => target,
    };
    let path = target.split(['?', '#']).next()?;
    if !path.starts_with('/') {
        return None;
    }
    let mut bytes = Vec::with_capacity(path.len());
    let mut rest = path.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let digit = |byte: Option<u8>| char::from(byte?).to_digit(16);
        let (high, low) = (digit(rest.next())?, digit(rest.next())?);
        bytes.push((high * 16 + low) as u8);
    }
    Some(bytes)
}
