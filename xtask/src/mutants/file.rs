//! The file that holds a mutant; `xtask/mutants/README.md` describes it.

use std::fmt;
use std::fs;
use std::path::Path;
use std::time::Duration;

use crate::loom;

/// Where the mutants are, from the workspace's root.
pub(crate) const FOLDER: &str = "xtask/mutants";

/// How long a mutant's test may take unless its file says otherwise.
const LIMIT: Duration = Duration::from_secs(300);

/// One way to break the code, and the test that must notice.
#[derive(Debug, PartialEq)]
pub(crate) struct Mutant {
    pub(crate) name: String,
    pub(crate) about: String,
    pub(crate) run: Run,
    pub(crate) limit: Duration,
    pub(crate) edits: Vec<Edit>,
}

/// What must fail.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(crate) enum Run {
    /// `loom FILTER [BOUND]`: the models that match.
    Loom { filter: String, bound: u32 },
    /// `test ARGUMENT...`: `cargo test` with these arguments.
    Test { arguments: Vec<String> },
}

impl fmt::Display for Run {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Run::Loom { filter, bound } => write!(f, "loom {filter} {bound}"),
            Run::Test { arguments } => write!(f, "test {}", arguments.join(" ")),
        }
    }
}

/// A replacement in one file. The old text must occur there exactly once.
#[derive(Debug, PartialEq)]
pub(crate) struct Edit {
    pub(crate) file: String,
    pub(crate) old: String,
    pub(crate) new: String,
}

impl Edit {
    /// The text of the file with the replacement made.
    pub(crate) fn apply(&self, text: &str) -> Result<String, String> {
        match text.matches(&self.old).count() {
            1 => Ok(text.replacen(&self.old, &self.new, 1)),
            count => Err(format!(
                "its old text occurs {count} times in {}",
                self.file
            )),
        }
    }
}

/// Reads every `.txt` in `folder`, by name.
pub(crate) fn read_all(folder: &Path) -> Result<Vec<Mutant>, String> {
    let at_folder = |error| format!("{}: {error}", folder.display());
    let mut mutants = Vec::new();
    for entry in fs::read_dir(folder).map_err(at_folder)? {
        let path = entry.map_err(at_folder)?.path();
        if path.extension().is_none_or(|extension| extension != "txt") {
            continue;
        }
        let at_path = |error: String| format!("{}: {error}", path.display());
        let text = fs::read_to_string(&path).map_err(|error| at_path(error.to_string()))?;
        let name = path.file_stem().unwrap_or_default().to_string_lossy();
        mutants.push(parse(&name, &text).map_err(at_path)?);
    }
    mutants.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(mutants)
}

/// Reads one mutant; an error names the line, or what is missing.
pub(crate) fn parse(name: &str, text: &str) -> Result<Mutant, String> {
    let (mut about, mut run, mut limit) = (None, None, LIMIT);
    let (mut file, mut edits) = (None, Vec::new());
    let mut lines = text.lines().enumerate();
    while let Some((at, line)) = lines.next() {
        let wrong = |what: &str| format!("line {}: {what}", at + 1);
        if line.trim().is_empty() || line.starts_with('#') {
            continue;
        }
        if line == "--- old" {
            let file = file.clone().ok_or(wrong("an edit before any `file:`"))?;
            let old = block(&mut lines, "--- new").ok_or(wrong("no `--- new` follows"))?;
            let new = block(&mut lines, "--- end").ok_or(wrong("no `--- end` follows"))?;
            if old.is_empty() || old == new {
                return Err(wrong("the old text must be there, and differ from the new"));
            }
            edits.push(Edit { file, old, new });
            continue;
        }
        let (key, value) = line
            .split_once(':')
            .ok_or(wrong("neither `key: value` nor an edit"))?;
        let value = value.trim();
        match key {
            "about" => about = Some(value.to_owned()),
            "run" => run = Some(parse_run(value).map_err(|error| wrong(&error))?),
            "limit" => limit = seconds(value).ok_or(wrong("`limit:` takes seconds, 1 or more"))?,
            "file" => file = Some(value.to_owned()),
            _ => return Err(wrong(&format!("no key `{key}`"))),
        }
    }
    if edits.is_empty() {
        return Err("no edit".to_owned());
    }
    let about = about.ok_or("no `about:`")?;
    let run = run.ok_or("no `run:`")?;
    Ok(Mutant {
        name: name.to_owned(),
        about,
        run,
        limit,
        edits,
    })
}

/// The lines up to `end`, which is taken too; `None` if it never comes.
fn block<'a>(lines: &mut impl Iterator<Item = (usize, &'a str)>, end: &str) -> Option<String> {
    let mut block = Vec::new();
    for (_, line) in lines {
        if line == end {
            return Some(block.join("\n"));
        }
        block.push(line);
    }
    None
}

fn parse_run(value: &str) -> Result<Run, String> {
    let words: Vec<&str> = value.split_whitespace().collect();
    match words.as_slice() {
        ["loom", filter] => Ok(Run::Loom {
            filter: (*filter).to_owned(),
            bound: loom::BOUND,
        }),
        ["loom", filter, bound] => {
            let bound = bound
                .parse()
                .map_err(|_| format!("a bound is a number, not `{bound}`"))?;
            Ok(Run::Loom {
                filter: (*filter).to_owned(),
                bound,
            })
        }
        ["test", arguments @ ..] if !arguments.is_empty() => Ok(Run::Test {
            arguments: arguments.iter().map(|&word| word.to_owned()).collect(),
        }),
        _ => Err("`run:` takes `loom FILTER [BOUND]` or `test ARGUMENT...`".to_owned()),
    }
}

fn seconds(value: &str) -> Option<Duration> {
    value
        .parse()
        .ok()
        .filter(|&seconds: &u64| seconds > 0)
        .map(Duration::from_secs)
}
