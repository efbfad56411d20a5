//! `cargo xtask mutants`: breaks the code on purpose, in a copy, and sees that a test notices.
//!
//! A model or a race test counts only when a named mutant kills it. Three things would fake a kill
//! and are told apart: a test that fails without the mutant too, a filter that matches no test,
//! and a mutant that does not compile.

mod copy;
mod file;

use std::collections::HashMap;
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};
use std::time::{Duration, Instant};

use crate::report::Tally;
use crate::{loom, tools};
use file::{Mutant, Run};

/// A build is not what a mutant can hang, but a full disk or a dead lock holder can.
const BUILD_LIMIT: Duration = Duration::from_secs(15 * 60);

/// How a mutant fared.
#[derive(Debug, PartialEq)]
enum Fate {
    Killed,
    /// The test hung, which is how a lost wake-up shows.
    Hung,
    Survived,
    /// Nothing was learned, and why.
    Void(String),
}

impl Fate {
    fn is_killed(&self) -> bool {
        matches!(self, Fate::Killed | Fate::Hung)
    }
}

impl fmt::Display for Fate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Fate::Killed => f.write_str("killed"),
            Fate::Hung => f.write_str("killed (hung)"),
            Fate::Survived => f.write_str("SURVIVED"),
            Fate::Void(reason) => write!(f, "VOID: {reason}"),
        }
    }
}

/// Runs the mutants whose name contains `name`, or all.
pub(crate) fn run(name: Option<&str>) -> Result<(), String> {
    let mutants = select(file::read_all(&tools::root().join(file::FOLDER))?, name)?;
    let lab = Lab::new(tools::root(), tools::target_dir().join("mutants"))?;
    let rows = lab.try_all(&mutants);
    println!("\n{}", table(&rows));
    let killed = rows.iter().filter(|row| row.fate.is_killed()).count();
    println!(
        "\n{killed} of {} killed; logs in {}",
        rows.len(),
        lab.dir.display()
    );
    if killed == rows.len() {
        Ok(())
    } else {
        Err("a mutant lives, or proved nothing".to_owned())
    }
}

fn select(mutants: Vec<Mutant>, name: Option<&str>) -> Result<Vec<Mutant>, String> {
    let is_wanted = |mutant: &Mutant| name.is_none_or(|name| mutant.name.contains(name));
    let wanted: Vec<Mutant> = mutants.into_iter().filter(is_wanted).collect();
    match (wanted.is_empty(), name) {
        (false, _) => Ok(wanted),
        (true, Some(name)) => Err(format!("no mutant's name contains `{name}`")),
        (true, None) => Err(format!("no mutant in {}", file::FOLDER)),
    }
}

/// One line of the table.
struct Row<'a> {
    mutant: &'a Mutant,
    fate: Fate,
    took: Duration,
}

fn table(rows: &[Row<'_>]) -> String {
    let names = rows.iter().map(|row| row.mutant.name.len());
    let width = names.max().unwrap_or(0).max("mutant".len());
    let mut text = format!(
        "{:<width$}  {:>7}  {:<13}  what it breaks",
        "mutant", "time", "fate"
    );
    for Row { mutant, fate, took } in rows {
        let (name, about, seconds) = (&mutant.name, &mutant.about, took.as_secs_f64());
        let fate = fate.to_string();
        text += &format!("\n{name:<width$}  {seconds:>5.1} s  {fate:<13}  {about}");
    }
    text
}

/// A copy of the tree to break, and builds of it.
struct Lab {
    source: PathBuf,
    dir: PathBuf,
}

impl Lab {
    /// Copies the tree at `source` below `dir`; files that are there already stay untouched, so
    /// that cargo builds again only what changed.
    fn new(source: &Path, dir: PathBuf) -> Result<Self, String> {
        let lab = Self {
            source: source.to_owned(),
            dir,
        };
        copy::sync(&lab.source, &lab.tree())?;
        Ok(lab)
    }

    fn tree(&self) -> PathBuf {
        self.dir.join("tree")
    }

    /// First every test on the whole tree, one build for all of them; then the mutants.
    fn try_all<'a>(&self, mutants: &'a [Mutant]) -> Vec<Row<'a>> {
        let mut sound: HashMap<&Run, Result<(), String>> = HashMap::new();
        for mutant in mutants {
            sound
                .entry(&mutant.run)
                .or_insert_with(|| self.check_sound(mutant));
        }
        let row = |mutant: &'a Mutant| {
            let start = Instant::now();
            let fate = match &sound[&mutant.run] {
                Ok(()) => self.try_one(mutant).unwrap_or_else(Fate::Void),
                Err(reason) => Fate::Void(reason.clone()),
            };
            println!("{}: {fate}", mutant.name);
            Row {
                mutant,
                fate,
                took: start.elapsed(),
            }
        };
        mutants.iter().map(row).collect()
    }

    /// Whether the mutant's test passes without it, and is a test at all.
    fn check_sound(&self, mutant: &Mutant) -> Result<(), String> {
        println!("without a mutant: {}", mutant.run);
        let command = self.command(&mutant.run);
        let log = self.dir.join(format!("{}.sound.log", mutant.name));
        if !build(&command, &log)?.success() {
            return Err(format!(
                "its test does not compile without it; see {}",
                log.display()
            ));
        }
        let status = tools::logged(&mut tools::bounded(&command, mutant.limit), &log)?;
        if !status.success() {
            return Err(format!("its test fails without it; see {}", log.display()));
        }
        if tests_in(&log)?.passed == 0 {
            return Err(format!("no test matches `{}`", mutant.run));
        }
        Ok(())
    }

    fn try_one(&self, mutant: &Mutant) -> Result<Fate, String> {
        let _broken = copy::Broken::apply(&mutant.edits, &self.source, &self.tree())?;
        let command = self.command(&mutant.run);
        let log = self.dir.join(format!("{}.log", mutant.name));
        if !build(&command, &log)?.success() {
            return Err(format!("it does not compile; see {}", log.display()));
        }
        let mut command = tools::bounded(&command, mutant.limit);
        let status = tools::logged(&mut command, &log)?;
        Ok(match status.success() {
            true => Fate::Survived,
            false if tools::timed_out(&command, status) => Fate::Hung,
            false => Fate::Killed,
        })
    }

    /// The command of `run` in the copy. Each kind of build has a folder of its own, because a
    /// change of flags in one folder builds everything again.
    fn command(&self, run: &Run) -> Command {
        let mut command = match run {
            Run::Loom { filter, bound } => loom::command(filter, *bound, &self.dir.join("loom")),
            Run::Test { arguments } => {
                let mut command = tools::cargo();
                command
                    .arg("test")
                    .arg("--target-dir")
                    .arg(self.dir.join("test"))
                    .args(arguments);
                command
            }
        };
        command.current_dir(self.tree());
        command
    }
}

/// Builds what the `cargo test` of `command` would run: not the test's time, nor its failure.
fn build(command: &Command, log: &Path) -> Result<ExitStatus, String> {
    let mut build = tools::program(command.get_program());
    let mut arguments = command.get_args();
    build.args(arguments.next()).arg("--no-run").args(arguments);
    tools::inherit(&mut build, command);
    tools::logged(&mut tools::bounded(&build, BUILD_LIMIT), log)
}

/// What the tests in `log` came to.
fn tests_in(log: &Path) -> Result<Tally, String> {
    let text = fs::read(log).map_err(|error| format!("{}: {error}", log.display()))?;
    let mut tests = Tally::default();
    String::from_utf8_lossy(&text)
        .lines()
        .for_each(|line| tests.read(line));
    Ok(tests)
}

#[cfg(test)]
mod tests;
