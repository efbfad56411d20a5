//! `--record`: writes `benches/RESULTS.md` and a chart a subject beside it.
//!
//! A run of all subjects writes all sections; a run of some replaces theirs and keeps the others,
//! each of which says when, at which commit and by which command it was measured. Sections of
//! another machine are dropped: figures of two machines say nothing side by side.

use std::collections::BTreeMap;
use std::env;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::machine::{Machine, output};
use super::{SUBJECTS, bars};

const HEAD: &str = "\
# Results

What `cargo xtask bench --record` measured last; do not edit. How to read it: every figure is the
median over the rounds, in which the rivals took turns; ratios were taken within a round, and their
least and most stand in parentheses. Server and load generator are processes of their own on the
same machine. All servers read into 4 KiB, set `TCP_NODELAY`, and share the C library's allocator
(Go has its own). Experiments and decisions are in [NOTES.md](NOTES.md).
";

/// Where results go, and what is said of all of them.
pub(super) struct Record {
    folder: PathBuf,
    machine: String,
    stamp: String,
    sections: BTreeMap<String, String>,
}

impl Record {
    /// Opens the results in the folder of this package.
    pub(super) fn open(machine: &Machine, words: &[String]) -> Self {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).to_owned();
        let machine = machine.to_string();
        let there = fs::read_to_string(folder.join("RESULTS.md")).unwrap_or_default();
        let sections = if there.contains(&machine) {
            sections(&there)
        } else {
            BTreeMap::new()
        };
        Self {
            stamp: stamp(&folder, words),
            folder,
            machine,
            sections,
        }
    }

    /// Puts in the section of subject `name` and its chart, and writes all down.
    pub(super) fn write(&mut self, name: &str, text: &str, chart: &str) -> io::Result<()> {
        let charts = self.folder.join("results");
        fs::create_dir_all(&charts)?;
        fs::write(charts.join(format!("{name}.svg")), chart)?;
        let stamp = &self.stamp;
        let section = format!("{text}\n![{name}](results/{name}.svg)\n\n{stamp}\n");
        self.sections.insert(name.to_owned(), section);
        fs::write(self.folder.join("RESULTS.md"), self.assemble())
    }

    fn assemble(&self) -> String {
        let in_order = || {
            let names = SUBJECTS.iter().flat_map(|list| list.iter());
            names.filter_map(|subject| Some((subject.name, self.sections.get(subject.name)?)))
        };
        let mut text = format!("{HEAD}\n{}\n\n## Bars\n\n{}", self.machine, bars::HEAD);
        for (_, section) in in_order() {
            for line in section.lines().filter(|line| bars::is_line(line)) {
                text.extend([line, "\n"]);
            }
        }
        for (name, section) in in_order() {
            text.extend(["\n## ", name, "\n\n", section.trim(), "\n"]);
        }
        text
    }
}

/// Says when, at which commit, and how the figures were measured.
fn stamp(folder: &Path, words: &[String]) -> String {
    let folder = folder.to_string_lossy();
    let git = |words: &[&str]| output("git", &[&["-C", folder.as_ref()], words].concat());
    let commit = git(&["rev-parse", "--short=12", "HEAD"]).unwrap_or("unknown".to_owned());
    // Results of this very run are no change to what is measured.
    let changes = ["status", "--porcelain", "--", ":/", ":/!benches/results"];
    let changes = git(&[&changes[..], &[":/!benches/RESULTS.md"]].concat());
    let changed = changes.is_some_and(|changes| !changes.is_empty());
    let date = output("date", &["-u", "+%Y-%m-%d %H:%M UTC"]).unwrap_or_default();
    let with = if changed {
        " with uncommitted changes"
    } else {
        ""
    };
    let words = words.join(" ");
    format!("Measured {date}, commit {commit}{with}, by `cargo xtask bench {words}`.")
}

/// Takes the sections of a results file apart, by subject.
fn sections(text: &str) -> BTreeMap<String, String> {
    let parts = text.split("\n## ").skip(1);
    let named = parts.filter_map(|part| part.split_once('\n'));
    let named = named.filter(|(name, _)| *name != "Bars");
    named
        .map(|(name, section)| (name.to_owned(), section.trim().to_owned()))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(sections: BTreeMap<String, String>) -> Record {
        Record {
            folder: PathBuf::new(),
            machine: "2 × processor".to_owned(),
            stamp: String::new(),
            sections,
        }
    }

    #[test]
    fn assemble_and_sections_are_inverse_and_bars_stand_on_top() {
        let bar = "| [churn](#churn) | rate | ≥ 1 | 2.0 | met |";
        let churn = format!("Head.\n\n| rival |\n|---|\n\n{}{bar}", bars::HEAD);
        let parts = [("churn", churn.as_str()), ("echo", "Text.")];
        let parts = parts.map(|(name, text)| (name.to_owned(), text.to_owned()));
        let record = record(BTreeMap::from(parts));
        let text = record.assemble();
        assert_eq!(sections(&text), record.sections);
        let top = &text[..text.find("## echo").unwrap()];
        assert!(top.contains(bar) && top.contains(&record.machine));
        assert!(
            text.find("## echo") < text.find("## churn"),
            "the subjects' order"
        );
    }
}
