//! The command line: free words, switches, and options with a value (`--name VALUE`).

use std::fmt::Display;
use std::ops::RangeInclusive;
use std::str::FromStr;
use std::time::Duration;

/// The words of a command line, sorted out.
#[derive(Debug)]
pub(crate) struct Args {
    free: Vec<String>,
    switches: Vec<String>,
    values: Vec<(String, String)>,
}

/// What is wrong with a command line, in words for who typed it.
pub(crate) type Problem = String;

impl Args {
    /// Sorts `words`, where only the named switches and options exist.
    pub(crate) fn parse(
        words: &[String],
        switches: &[&str],
        options: &[&str],
    ) -> Result<Self, Problem> {
        let mut args = Self {
            free: Vec::new(),
            switches: Vec::new(),
            values: Vec::new(),
        };
        let mut words = words.iter();
        while let Some(word) = words.next() {
            if !word.starts_with("--") {
                args.free.push(word.clone());
            } else if switches.contains(&word.as_str()) {
                args.switches.push(word.clone());
            } else if options.contains(&word.as_str()) {
                let value = words
                    .next()
                    .ok_or_else(|| format!("{word} needs a value"))?;
                args.values.push((word.clone(), value.clone()));
            } else {
                return Err(format!("unknown option {word}"));
            }
        }
        Ok(args)
    }

    /// Returns the free words.
    pub(crate) fn free(&self) -> &[String] {
        &self.free
    }

    /// Returns the one free word there must be, called `name` in the complaint.
    pub(crate) fn only(&self, name: &str) -> Result<&str, Problem> {
        match self.free.as_slice() {
            [word] => Ok(word),
            [] => Err(format!("{name} is missing")),
            [_, extra, ..] => Err(format!("unexpected word {extra}")),
        }
    }

    /// Tells whether a switch was given.
    pub(crate) fn has(&self, switch: &str) -> bool {
        self.switches.iter().any(|given| given == switch)
    }

    /// Returns the value of an option, the last one if it was given twice.
    pub(crate) fn value<T: FromStr<Err: Display>>(&self, name: &str) -> Result<Option<T>, Problem> {
        let Some((_, text)) = self.values.iter().rev().find(|(given, _)| given == name) else {
            return Ok(None);
        };
        text.parse()
            .map(Some)
            .map_err(|err| format!("{name} {text}: {err}"))
    }

    /// Returns the value of an option or `default`.
    pub(crate) fn value_or<T>(&self, name: &str, default: T) -> Result<T, Problem>
    where
        T: FromStr<Err: Display>,
    {
        Ok(self.value(name)?.unwrap_or(default))
    }

    /// Returns a whole number within `range`, or `default`.
    pub(crate) fn count(
        &self,
        name: &str,
        default: u64,
        range: RangeInclusive<u64>,
    ) -> Result<u64, Problem> {
        let count = self.value_or(name, default)?;
        if range.contains(&count) {
            return Ok(count);
        }
        Err(format!(
            "{name} {count}: must be {} to {}",
            range.start(),
            range.end()
        ))
    }

    /// Returns a number of seconds from 0 to an hour, or `default`.
    pub(crate) fn seconds(&self, name: &str, default: f64) -> Result<Duration, Problem> {
        let seconds: f64 = self.value_or(name, default)?;
        if (0.0..=3600.0).contains(&seconds) {
            return Ok(Duration::from_secs_f64(seconds));
        }
        Err(format!("{name} {seconds}: must be 0 to 3600 seconds"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Args, Problem> {
        let words: Vec<String> = line.split_ascii_whitespace().map(str::to_owned).collect();
        Args::parse(&words, &["--deadline"], &["--connections", "--seconds"])
    }

    #[test]
    fn parse_sorts_words_switches_and_values() {
        let args = parse("echo --connections 64 --deadline 127.0.0.1:1 --connections 65").unwrap();
        assert_eq!(args.free(), ["echo", "127.0.0.1:1"]);
        assert!(args.has("--deadline"));
        assert_eq!(args.value::<u64>("--connections").unwrap(), Some(65));
        assert_eq!(args.value::<u64>("--seconds").unwrap(), None);
        assert_eq!(
            args.seconds("--seconds", 1.5).unwrap(),
            Duration::from_millis(1500)
        );
        assert_eq!(parse("raw").unwrap().only("RIVAL").unwrap(), "raw");
    }

    #[test]
    fn parse_mistakes_name_the_word() {
        #[track_caller]
        fn check<T>(result: Result<T, Problem>, want: &str) {
            let problem = result.err().expect("a mistake is refused");
            assert!(problem.contains(want), "{problem}");
        }
        check(parse("--conections 64"), "unknown option --conections");
        check(parse("--seconds"), "--seconds needs a value");
        check(
            parse("--connections x")
                .unwrap()
                .count("--connections", 1, 1..=9),
            "--connections x",
        );
        check(
            parse("--connections 10")
                .unwrap()
                .count("--connections", 1, 1..=9),
            "must be 1 to 9",
        );
        check(
            parse("--seconds -1").unwrap().seconds("--seconds", 1.0),
            "0 to 3600",
        );
        check(
            parse("--seconds nan").unwrap().seconds("--seconds", 1.0),
            "0 to 3600",
        );
        check(
            parse("").unwrap().only("RIVAL").map(str::to_owned),
            "RIVAL is missing",
        );
        check(
            parse("a b").unwrap().only("RIVAL").map(str::to_owned),
            "unexpected word b",
        );
    }
}
