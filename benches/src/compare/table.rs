//! Turns the reports of all rounds into a Markdown table.

use std::fmt::Write as _;

use super::stats::Summary;
use super::subject::{Column, Pick, Subject};
use crate::report::Report;
use crate::server::Rival;

/// What one rival did over the rounds.
pub(crate) struct Row {
    /// Whose row this is.
    pub(crate) rival: Rival,
    /// Said behind the name.
    pub(crate) note: &'static str,
    /// One report a round, or why it failed.
    pub(crate) rounds: Vec<Result<Report, String>>,
}

impl Row {
    fn figures(&self, column: Column) -> impl Iterator<Item = Option<f64>> {
        self.rounds.iter().map(move |round| {
            round
                .as_ref()
                .ok()?
                .figure(column.figure)
                .map(|figure| figure * column.scale)
        })
    }

    fn failure(&self) -> Option<&str> {
        self.rounds
            .iter()
            .find_map(|round| round.as_ref().err())
            .map(String::as_str)
    }
}

/// Writes the table of `subject`.
pub(crate) fn render(subject: &Subject, rows: &[Row]) -> String {
    let mut text = format!("| rival | {} | min–max |", subject.key.title);
    let bases: Vec<&Row> = subject
        .bases
        .iter()
        .filter_map(|base| rows.iter().find(|row| row.rival == *base))
        .collect();
    // Writing to a string cannot fail.
    for base in &bases {
        let _ = write!(text, " / {} |", base.rival.name());
    }
    for column in subject.columns {
        let _ = write!(text, " {} |", column.title);
    }
    let columns = 3 + bases.len() + subject.columns.len();
    let _ = writeln!(text, "\n|{}", "---|".repeat(columns));
    for row in rows {
        let _ = write!(text, "| {}{} |", row.rival.name(), row.note);
        if let Some(why) = row.failure() {
            let _ = writeln!(text, " failed: {why} |{}", " |".repeat(columns - 2));
            continue;
        }
        for cell in cells(subject, row, &bases) {
            let _ = write!(text, " {cell} |");
        }
        text.push('\n');
    }
    text
}

fn cells(subject: &Subject, row: &Row, bases: &[&Row]) -> Vec<String> {
    let key = Summary::of(row.figures(subject.key).flatten());
    let digits = subject.key.digits;
    let mut cells = vec![
        key.map_or_else(missing, |key| format!("{:.digits$}", key.median)),
        key.map_or_else(missing, |key| {
            format!("{:.digits$}–{:.digits$}", key.min, key.max)
        }),
    ];
    for base in bases {
        cells.push(ratio(row, base, subject.key).map_or_else(missing, |ratio| {
            format!("{:.2} ({:.2}–{:.2})", ratio.median, ratio.min, ratio.max)
        }));
    }
    for column in subject.columns {
        let digits = column.digits;
        let told = Summary::of(row.figures(*column).flatten()).map(|summary| match column.pick {
            Pick::Median => summary.median,
            Pick::Smallest => summary.min,
        });
        cells.push(told.map_or_else(missing, |told| format!("{told:.digits$}")));
    }
    cells
}

/// Compares each round of `row` with the same round of `base`: what moves the machine moves both.
fn ratio(row: &Row, base: &Row, column: Column) -> Option<Summary> {
    let pairs = row.figures(column).zip(base.figures(column));
    Summary::of(pairs.filter_map(|(ours, theirs)| Some(ours? / theirs.filter(|&it| it > 0.0)?)))
}

fn missing() -> String {
    "-".to_owned()
}

#[cfg(test)]
mod tests {
    use super::super::subject::SUBJECTS;
    use super::*;

    fn row(rival: Rival, rates: &[f64]) -> Row {
        let report = |rate: &f64| {
            let mut report = Report::new();
            report.add("requests_per_second", *rate);
            Ok(report)
        };
        Row {
            rival,
            note: "",
            rounds: rates.iter().map(report).collect(),
        }
    }

    #[test]
    fn ratio_is_the_median_of_the_rounds_not_the_ratio_of_medians() {
        let raw = row(Rival::Raw, &[100.0, 200.0, 400.0]);
        let tokio = row(Rival::Tokio, &[90.0, 100.0, 380.0]);
        let ratio = ratio(&tokio, &raw, SUBJECTS[0].key).unwrap();
        assert_eq!(
            ratio,
            Summary {
                median: 0.9,
                min: 0.5,
                max: 0.95
            }
        );
    }

    #[test]
    fn render_has_as_many_cells_in_every_line() {
        let mut rows = vec![
            row(Rival::Raw, &[100.0, 110.0]),
            row(Rival::Smol, &[50.0, 60.0]),
        ];
        rows.push(Row {
            rival: Rival::Tokio,
            note: "",
            rounds: vec![Err("gone".to_owned())],
        });
        let text = render(&SUBJECTS[0], &rows);
        let cells: Vec<usize> = text.lines().map(|line| line.matches('|').count()).collect();
        assert_eq!(cells.len(), 5);
        assert!(cells.iter().all(|&count| count == cells[0]), "{text}");
        assert!(
            text.contains("| raw | 105 | 100–110 | 1.00 (1.00–1.00) | - |"),
            "{text}"
        );
        assert!(text.contains("| tokio | failed: gone |"), "{text}");
    }
}
