//! The lines of a capture, as values that can be checked; a line that is no such value is named.

use std::fmt;

use gannet_roam::proto::{Key, Side};
use serde_json::{Map, Value};

/// A file that cannot be checked, because a line of it does not say what it must.
#[derive(Debug)]
pub(crate) struct Malformed {
    pub(crate) file: String,
    /// Counted from 1.
    pub(crate) line: usize,
    pub(crate) message: String,
}

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.file, self.line, self.message)
    }
}

/// The first line: who took part.
pub(crate) struct Session {
    /// Whether every datagram is in the file.
    pub(crate) complete: bool,
    /// Whether datagrams overtook each other.
    pub(crate) reorder: bool,
    mtu: [Option<u64>; 2],
    /// Whether client and server were mosh.
    pub(crate) real: [bool; 2],
}

/// A datagram as it was captured.
pub(crate) struct Packet {
    pub(crate) n: u64,
    /// When it was sent and when it arrived, in milliseconds of the clock of both sides.
    pub(crate) t: f64,
    pub(crate) t_rx: f64,
    /// The side that it came from, as the file says.
    pub(crate) from: Side,
    pub(crate) ipv6: bool,
    pub(crate) raw: Vec<u8>,
    pub(crate) key: Option<Key>,
    /// Keys that it must not open with.
    pub(crate) bad_keys: Option<Vec<Key>>,
    pub(crate) injected: Option<String>,
    pub(crate) delivered: bool,
    /// Whether it came with a mark of congestion that the receiver saw.
    pub(crate) marked: bool,
    pub(crate) log: Option<Log>,
    /// Everything, for comparing what the file says about the contents.
    pub(crate) all: Map<String, Value>,
}

/// What `mosh-server -v` printed as it sent a datagram.
pub(crate) struct Log {
    /// Old and new state, acknowledgement, throwaway; -1 is the shutdown's number.
    pub(crate) numbers: [i64; 4],
    pub(crate) id: u64,
    pub(crate) number: u64,
    pub(crate) len: u64,
    pub(crate) hz: f64,
    pub(crate) timeout_ms: f64,
    pub(crate) srtt_ms: f64,
}

/// One line of a file, for asking it and for saying where a mistake is.
pub(crate) struct Line<'a> {
    pub(crate) file: &'a str,
    pub(crate) line: usize,
    pub(crate) all: Map<String, Value>,
}

impl<'a> Line<'a> {
    pub(crate) fn parse(file: &'a str, line: usize, text: &str) -> Result<Self, Malformed> {
        let mut parsed = Self {
            file,
            line,
            all: Map::new(),
        };
        match serde_json::from_str(text) {
            Ok(Value::Object(all)) => parsed.all = all,
            Ok(_) => return Err(parsed.wrong("not an object")),
            Err(error) => return Err(parsed.wrong(&error.to_string())),
        }
        Ok(parsed)
    }

    pub(crate) fn wrong(&self, message: &str) -> Malformed {
        Malformed {
            file: self.file.to_owned(),
            line: self.line,
            message: message.to_owned(),
        }
    }

    pub(crate) fn kind(&self) -> Result<&str, Malformed> {
        self.text("type")?
            .ok_or_else(|| self.wrong("no `type` in the line"))
    }

    pub(crate) fn session(&self) -> Result<Session, Malformed> {
        if self.kind()? != "session" {
            return Err(self.wrong("the first line is not the session's"));
        }
        let mtu = |dir| self.all.get("mtu")?.get(dir)?.as_u64();
        let is_mosh = |who| Ok(self.text(who)?.is_none_or(|name| name == "mosh"));
        Ok(Session {
            complete: self.flag("capture_complete", true)?,
            reorder: self.flag("reorder", false)?,
            mtu: [mtu("c2s"), mtu("s2c")],
            real: [is_mosh("client")?, is_mosh("server")?],
        })
    }

    pub(crate) fn packet(self) -> Result<Packet, Malformed> {
        let t = self.float(&self.all, "t")?;
        let is_ipv4 = self.all.get("v").is_none_or(|v| v.as_u64() == Some(4));
        let tos = ["tos_at_receiver", "tos"]
            .iter()
            .find_map(|name| self.all.get(*name)?.as_u64());
        let from = match self.text("dir")? {
            Some("c2s") => Side::Client,
            Some("s2c") => Side::Server,
            _ => return Err(self.wrong("`dir` is neither c2s nor s2c")),
        };
        let bad_keys = match self.text("expect")? {
            Some("auth-fail") => Some(self.bad_keys()?),
            Some(other) => return Err(self.wrong(&format!("unknown `expect`: {other}"))),
            None => None,
        };
        Ok(Packet {
            n: self.number(&self.all, "n")?,
            t,
            t_rx: match self.all.contains_key("t_rx") {
                true => self.float(&self.all, "t_rx")?,
                false => t,
            },
            from,
            ipv6: !is_ipv4,
            raw: self.octets("raw")?,
            key: self.text("key")?.map(|key| self.key(key)).transpose()?,
            bad_keys,
            injected: self.text("injected")?.map(str::to_owned),
            delivered: self.flag("delivered", true)?,
            marked: is_ipv4 && tos.unwrap_or(0) & 3 == 3,
            log: self.log()?,
            all: self.all,
        })
    }

    fn log(&self) -> Result<Option<Log>, Malformed> {
        let log = match self.all.get("mosh_log") {
            None => return Ok(None),
            Some(Value::Object(log)) => log,
            Some(_) => return Err(self.wrong("`mosh_log` is not an object")),
        };
        let signed = |name| {
            let value = log.get(name).and_then(Value::as_i64);
            value.ok_or_else(|| self.wrong(&format!("`mosh_log.{name}` is not a number")))
        };
        Ok(Some(Log {
            numbers: [
                signed("old")?,
                signed("new")?,
                signed("ack")?,
                signed("throwaway")?,
            ],
            id: self.number(log, "id")?,
            number: self.number(log, "frag")?,
            len: self.number(log, "len")?,
            hz: self.float(log, "hz")?,
            timeout_ms: self.float(log, "timeout")?,
            srtt_ms: self.float(log, "srtt")?,
        }))
    }

    fn bad_keys(&self) -> Result<Vec<Key>, Malformed> {
        let keys = self.all.get("bad_keys").and_then(Value::as_array);
        let keys = keys.ok_or_else(|| self.wrong("`bad_keys` is not a list"))?;
        let text = |key: &Value| match key.as_str() {
            Some(key) => self.key(key),
            None => Err(self.wrong("`bad_keys` holds no text")),
        };
        keys.iter().map(text).collect()
    }

    fn key(&self, text: &str) -> Result<Key, Malformed> {
        text.parse()
            .map_err(|error| self.wrong(&format!("bad key: {error}")))
    }

    fn text(&self, name: &str) -> Result<Option<&str>, Malformed> {
        match self.all.get(name) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(_) => Err(self.wrong(&format!("`{name}` is not a text"))),
        }
    }

    fn flag(&self, name: &str, default: bool) -> Result<bool, Malformed> {
        match self.all.get(name) {
            None => Ok(default),
            Some(Value::Bool(flag)) => Ok(*flag),
            Some(_) => Err(self.wrong(&format!("`{name}` is neither true nor false"))),
        }
    }

    fn number(&self, of: &Map<String, Value>, name: &str) -> Result<u64, Malformed> {
        let value = of.get(name).and_then(Value::as_u64);
        value.ok_or_else(|| self.wrong(&format!("`{name}` is not a number from 0 to 2^64-1")))
    }

    fn float(&self, of: &Map<String, Value>, name: &str) -> Result<f64, Malformed> {
        let value = of.get(name).and_then(Value::as_f64);
        value
            // Far above any clock, and far from what the arithmetic on it can hold.
            .filter(|value| (0.0..1e15).contains(value))
            .ok_or_else(|| self.wrong(&format!("`{name}` is not a number from 0")))
    }

    fn octets(&self, name: &str) -> Result<Vec<u8>, Malformed> {
        let text = self.text(name)?.unwrap_or_default();
        let octet = |pair: &[u8]| {
            let digits = std::str::from_utf8(pair).ok().filter(|_| pair.len() == 2)?;
            u8::from_str_radix(digits, 16).ok()
        };
        let octets: Option<Vec<u8>> = text.as_bytes().chunks(2).map(octet).collect();
        octets
            .filter(|octets| !octets.is_empty())
            .ok_or_else(|| self.wrong(&format!("`{name}` is not octets in hexadecimal")))
    }
}

impl Session {
    /// The longest datagram that the side sends from a socket of the family.
    pub(crate) fn mtu(&self, from: Side, family_mtu: usize) -> usize {
        self.mtu[index(from)].map_or(family_mtu, |mtu| mtu as usize)
    }
}

/// The place of a side in a pair.
pub(crate) fn index(side: Side) -> usize {
    match side {
        Side::Client => 0,
        Side::Server => 1,
    }
}
