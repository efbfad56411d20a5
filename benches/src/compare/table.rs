//! The reports of all rounds, and the Markdown table that they make.

use std::fmt::Write as _;

use super::stats::Summary;
use super::subject::{Base, Column, Pick, Subject};
use crate::report::Report;
use crate::server::Rival;

/// What one rival did over the rounds, in one variant.
pub(crate) struct Row {
    /// Whose row this is.
    pub(crate) rival: Rival,
    /// Which of the subject's variants.
    pub(crate) variant: usize,
    /// Said behind the name.
    pub(crate) note: String,
    /// One report a round, or why it failed.
    pub(crate) rounds: Vec<Result<Report, String>>,
    /// What was counted once.
    pub(crate) counted: Report,
    /// Why something was not counted.
    pub(crate) remarks: Vec<String>,
}

impl Row {
    /// Makes a row without figures.
    pub(crate) fn new(rival: Rival, variant: usize, note: String) -> Self {
        Self {
            rival,
            variant,
            note,
            rounds: Vec::new(),
            counted: Report::new(),
            remarks: Vec::new(),
        }
    }

    /// Returns the name of the row.
    pub(crate) fn label(&self) -> String {
        format!("{}{}", self.rival.name(), self.note)
    }

    /// Returns a figure of each round; of all rounds the same, if it was counted once.
    pub(crate) fn figures(&self, figure: &str) -> impl Iterator<Item = Option<f64>> {
        let counted = self.counted.figure(figure);
        self.rounds
            .iter()
            .map(move |round| round.as_ref().ok()?.figure(figure).or(counted))
    }

    /// Sums up a figure over the rounds that have it.
    pub(crate) fn summary(&self, figure: &str) -> Option<Summary> {
        Summary::of(self.figures(figure).flatten())
    }

    /// Returns how many rounds failed, and why the first of them did.
    pub(crate) fn failures(&self) -> Option<(usize, &str)> {
        let mut reasons = self.rounds.iter().filter_map(|round| round.as_ref().err());
        let first = reasons.next()?;
        Some((1 + reasons.count(), first))
    }
}

/// Writes the table of `subject`, and what there is to say about it.
pub(crate) fn render(subject: &Subject, rows: &[Row]) -> String {
    let columns = columns_with_figures(subject, rows);
    let bases: Vec<Base> = (subject.bases.iter().copied())
        .filter(|base| rows.iter().any(|row| base_of(row, rows, *base).is_some()))
        .collect();
    let mut text = format!("| rival | {} | min–max |", subject.key.title);
    // Writing to a string cannot fail.
    for base in &bases {
        let name = match base {
            Base::Rival(rival) | Base::FirstOf(rival) => rival.name(),
            Base::First => "without",
        };
        let _ = write!(text, " / {name} |");
    }
    for column in &columns {
        let _ = write!(text, " {} |", column.title);
    }
    let cells_a_line = 3 + bases.len() + columns.len();
    let _ = writeln!(text, "\n|{}", "---|".repeat(cells_a_line));
    for row in rows {
        let _ = write!(text, "| {} |", row.label());
        if row.summary(subject.key.figure).is_none() {
            let _ = writeln!(text, " failed |{}", " |".repeat(cells_a_line - 2));
            continue;
        }
        for cell in cells(subject, row, rows, &bases, &columns) {
            let _ = write!(text, " {cell} |");
        }
        text.push('\n');
    }
    text.push_str(&remarks(rows));
    text
}

/// Says what failed, what was not counted, and whether the machine was quiet.
fn remarks(rows: &[Row]) -> String {
    let mut text = String::new();
    let rounds = rows
        .iter()
        .flat_map(|row| row.figures("others_cpu_percent").flatten());
    if let Some(Summary { median, max, .. }) = Summary::of(rounds) {
        let _ = writeln!(
            text,
            "\nOther processes used {median:.0} % of a processor meanwhile, at most {max:.0} %."
        );
    }
    for row in rows {
        if let Some((count, why)) = row.failures() {
            let (label, rounds) = (row.label(), row.rounds.len());
            let _ = writeln!(text, "\n{label}: {count} of {rounds} rounds failed: {why}.");
        }
        for remark in &row.remarks {
            let _ = writeln!(text, "\n{}: {remark}.", row.label());
        }
    }
    text
}

/// The columns for which any row has a figure.
fn columns_with_figures(subject: &Subject, rows: &[Row]) -> Vec<Column> {
    let has = |column: &Column| rows.iter().any(|row| row.summary(column.figure).is_some());
    subject.columns.iter().copied().filter(has).collect()
}

fn cells(
    subject: &Subject,
    row: &Row,
    rows: &[Row],
    bases: &[Base],
    columns: &[Column],
) -> Vec<String> {
    let (key, digits) = (subject.key, subject.key.digits);
    let scaled = |it: f64| it * key.scale;
    let summary = row.summary(key.figure);
    let mut cells = vec![
        summary.map_or_else(missing, |it| format!("{:.digits$}", scaled(it.median))),
        summary.map_or_else(missing, |it| {
            format!("{:.digits$}–{:.digits$}", scaled(it.min), scaled(it.max))
        }),
    ];
    for &base in bases {
        let ratio = base_of(row, rows, base).and_then(|base| ratio(row, base, key.figure));
        cells.push(ratio.map_or_else(missing, |it| it.to_string()));
    }
    for column in columns {
        let digits = column.digits;
        let told = row.summary(column.figure).map(|summary| match column.pick {
            Pick::Median => summary.median,
            Pick::Smallest => summary.min,
        });
        cells.push(told.map_or_else(missing, |told| format!("{:.digits$}", told * column.scale)));
    }
    cells
}

/// Finds what `row` is compared with.
pub(crate) fn base_of<'a>(row: &Row, rows: &'a [Row], base: Base) -> Option<&'a Row> {
    let (rival, variant) = match base {
        Base::Rival(rival) => (rival, row.variant),
        // The first variant itself is compared with nothing.
        Base::First => (row.rival, row.variant.checked_sub(1).map(|_| 0)?),
        Base::FirstOf(rival) => (rival, 0),
    };
    rows.iter()
        .find(|row| row.rival == rival && row.variant == variant)
}

/// Compares each round of `row` with the same round of `base`: what moves the machine moves both.
pub(crate) fn ratio(row: &Row, base: &Row, figure: &str) -> Option<Summary> {
    let pairs = row.figures(figure).zip(base.figures(figure));
    Summary::of(pairs.filter_map(|(ours, theirs)| Some(ours? / theirs.filter(|&it| it > 0.0)?)))
}

fn missing() -> String {
    "-".to_owned()
}

#[cfg(test)]
pub(super) mod tests {
    use super::super::network::SUBJECTS;
    use super::*;

    /// Makes a row of the first subject, whose key figure is a rate.
    pub(crate) fn row(rival: Rival, rates: &[f64]) -> Row {
        let report = |rate: &f64| {
            let mut report = Report::new();
            report.add("requests_per_second", *rate);
            Ok(report)
        };
        Row {
            rounds: rates.iter().map(report).collect(),
            ..Row::new(rival, 0, String::new())
        }
    }

    #[test]
    fn ratio_is_the_median_of_the_rounds_not_the_ratio_of_medians() {
        let raw = row(Rival::Raw, &[100.0, 200.0, 400.0]);
        let tokio = row(Rival::Tokio, &[90.0, 100.0, 380.0]);
        let (median, min, max) = (0.9, 0.5, 0.95);
        let ratio = ratio(&tokio, &raw, "requests_per_second").unwrap();
        assert_eq!(ratio, Summary { median, min, max });
    }

    #[test]
    fn base_of_the_first_variant_is_nothing() {
        let rows = [
            row(Rival::Gannet, &[1.0]),
            Row::new(Rival::Gannet, 1, " with".to_owned()),
        ];
        assert!(base_of(&rows[0], &rows, Base::First).is_none());
        assert_eq!(base_of(&rows[1], &rows, Base::First).unwrap().variant, 0);
        assert!(base_of(&rows[1], &rows, Base::Rival(Rival::Raw)).is_none());
        let first = base_of(&rows[1], &rows, Base::FirstOf(Rival::Gannet));
        assert_eq!(first.unwrap().variant, 0);
    }

    #[test]
    fn render_has_as_many_cells_in_every_line() {
        let mut failed = row(Rival::Tokio, &[]);
        failed.rounds.push(Err("gone".to_owned()));
        let mut once = row(Rival::Smol, &[50.0, 60.0]);
        once.rounds.push(Err("late".to_owned()));
        once.counted.add("instructions", 1234.0);
        once.remarks.push("system calls not counted".to_owned());
        let rows = [row(Rival::Raw, &[100.0, 110.0]), once, failed];
        let text = render(&SUBJECTS[0], &rows);
        let (table, remarks) = text.split_once("\n\n").unwrap();
        let cells: Vec<usize> = table
            .lines()
            .map(|line| line.matches('|').count())
            .collect();
        assert_eq!(cells.len(), 5);
        assert!(cells.iter().all(|&count| count == cells[0]), "{text}");
        assert!(
            table.contains("| raw | 105 | 100–110 | 1.00 (1.00–1.00) | - | - |"),
            "{text}"
        );
        assert!(table.contains("| 55 | 50–60 | 0.52 (0.50–0.55) | - | 1234 |"));
        assert!(table.contains("| tokio | failed |"), "{text}");
        let want = "\
smol: 1 of 3 rounds failed: late.

smol: system calls not counted.

tokio: 1 of 1 rounds failed: gone.
";
        assert_eq!(remarks, want);
    }
}
