//! Whether a subject's bars are met.

use std::fmt::Write as _;

use super::stats::Summary;
use super::subject::{Against, Bar, Base, Bound, Subject};
use super::table::{Row, base_of, ratio};
use crate::server::Rival;

/// Writes what each bar of `subject` was, and what became of it; nothing without bars. Each line
/// begins with the subject, so that lines of many subjects can stand together.
pub(crate) fn render(subject: &Subject, rows: &[Row]) -> String {
    let mut text = String::new();
    for bar in subject.bars {
        let name = subject.name;
        let sign = match bar.bound {
            Bound::AtLeast(bound) => format!("≥ {bound}"),
            Bound::AtMost(bound) => format!("≤ {bound}"),
        };
        let (measured, verdict) = match measure(bar, rows) {
            Some((whom, summary)) => (
                format!("{summary:.3}{whom}"),
                judge(bar.bound, summary.median),
            ),
            None => ("-".to_owned(), "not measured".to_owned()),
        };
        // Writing to a string cannot fail.
        let _ = writeln!(
            text,
            "| [{name}](#{name}) | {} | {sign} | {measured} | {verdict} |",
            bar.text
        );
    }
    text
}

/// The head of a table of [`render`]'s lines.
pub(crate) const HEAD: &str =
    "| subject | gannet's … | bar | measured (min–max) | verdict |\n|---|---|---|---|---|\n";

/// Tells whether `text` is a line of [`render`].
pub(crate) fn is_line(text: &str) -> bool {
    text.starts_with("| [") && text.contains("](#")
}

/// Returns the figure that `bar` is about, and whom it is held against where that is not said.
fn measure(bar: &Bar, rows: &[Row]) -> Option<(String, Summary)> {
    let ours = |row: &&Row| row.rival == Rival::Gannet && row.variant == bar.variant;
    let ours = rows.iter().find(ours)?;
    let to = |base| base_of(ours, rows, base).and_then(|base| ratio(ours, base, bar.figure));
    let alone = |summary| Some((String::new(), summary));
    match bar.against {
        Against::Nothing => ours.summary(bar.figure).and_then(alone),
        Against::Rival(rival) => to(Base::Rival(rival)).and_then(alone),
        Against::First => to(Base::First).and_then(alone),
        Against::FirstOf(rival) => to(Base::FirstOf(rival)).and_then(alone),
        Against::Beyond(rival) => {
            let base = base_of(ours, rows, Base::Rival(rival))?;
            let pairs = ours.figures(bar.figure).zip(base.figures(bar.figure));
            Summary::of(pairs.filter_map(|(ours, theirs)| Some(ours? - theirs?))).and_then(alone)
        }
        Against::ShareOf(rival) => {
            let base = base_of(ours, rows, Base::Rival(rival))?;
            let raw = base_of(ours, rows, Base::Rival(Rival::Raw))?;
            let pairs = ours.figures(bar.figure).zip(base.figures(bar.figure));
            let rounds = pairs.zip(raw.figures(bar.figure));
            let shares = rounds.filter_map(|((ours, theirs), raw)| {
                let (ours, theirs) = (ours? - raw?, theirs? - raw?);
                (theirs > 0.0).then_some(ours / theirs)
            });
            Summary::of(shares).and_then(alone)
        }
        Against::BestPeer => {
            let best = best_peer(bar, ours.variant, rows)?;
            let whom = format!(", {}'s", best.rival.name());
            Some((whom, ratio(ours, best, bar.figure)?))
        }
    }
}

fn best_peer<'a>(bar: &Bar, variant: usize, rows: &'a [Row]) -> Option<&'a Row> {
    let peers = rows.iter().filter(|row| {
        let peer = !matches!(row.rival, Rival::Raw | Rival::Gannet | Rival::GannetCt);
        peer && row.variant == variant && row.summary(bar.figure).is_some()
    });
    let figure = |row: &Row| row.summary(bar.figure).map_or(f64::NAN, |it| it.median);
    let by_figure = |a: &&Row, b: &&Row| figure(a).total_cmp(&figure(b));
    match bar.bound {
        Bound::AtLeast(_) => peers.max_by(by_figure),
        Bound::AtMost(_) => peers.min_by(by_figure),
    }
}

fn judge(bound: Bound, measured: f64) -> String {
    let short = match bound {
        Bound::AtLeast(bound) => bound - measured,
        Bound::AtMost(bound) => measured - bound,
    };
    if short <= 0.0 {
        "met".to_owned()
    } else {
        format!("**missed by {short:.3}**")
    }
}

#[cfg(test)]
mod tests {
    use super::super::network::SUBJECTS;
    use super::super::table::tests::row;
    use super::*;

    const RATE: &str = "requests_per_second";

    fn bar(against: Against, bound: Bound) -> Bar {
        Bar {
            text: "rate",
            variant: 0,
            figure: RATE,
            against,
            bound,
        }
    }

    fn rows() -> [Row; 5] {
        [
            row(Rival::Raw, &[200.0, 210.0]),
            row(Rival::Gannet, &[100.0, 105.0]),
            row(Rival::GannetCt, &[900.0, 900.0]),
            row(Rival::Tokio, &[50.0, 50.0]),
            row(Rival::May, &[80.0, 84.0]),
        ]
    }

    #[test]
    fn best_peer_is_neither_the_floor_nor_ours() {
        let bar = bar(Against::BestPeer, Bound::AtLeast(1.0));
        let (whom, summary) = measure(&bar, &rows()).unwrap();
        assert_eq!((whom.as_str(), summary.median), (", may's", 1.25));
        let bar = self::bar(Against::BestPeer, Bound::AtMost(1.0));
        assert_eq!(measure(&bar, &rows()).unwrap().0, ", tokio's");
    }

    #[test]
    fn measure_of_difference_figure_and_absent_rival() {
        let median = |against| {
            let bar = bar(against, Bound::AtMost(1.0));
            measure(&bar, &rows()).map(|(_, summary)| summary.median)
        };
        assert_eq!(median(Against::Beyond(Rival::Raw)), Some(-102.5));
        assert_eq!(median(Against::Nothing), Some(102.5));
        assert_eq!(median(Against::Rival(Rival::Go)), None);
        assert_eq!(median(Against::First), None);
    }

    #[test]
    fn measure_of_a_share_leaves_out_what_the_raw_loop_needs() {
        let rows = [
            row(Rival::Raw, &[10.0, 20.0]),
            row(Rival::Gannet, &[25.0, 30.0]),
            row(Rival::Tokio, &[40.0, 20.0]),
        ];
        let bar = bar(Against::ShareOf(Rival::Tokio), Bound::AtMost(0.5));
        // In the second round tokio needs nothing beyond, of which there is no share.
        assert_eq!(
            measure(&bar, &rows).unwrap().1.to_string(),
            "0.50 (0.50–0.50)"
        );
    }

    #[test]
    fn judge_says_by_how_much() {
        assert_eq!(judge(Bound::AtLeast(0.98), 0.98), "met");
        assert_eq!(judge(Bound::AtLeast(0.98), 0.95), "**missed by 0.030**");
        assert_eq!(judge(Bound::AtMost(5.0), 4.9), "met");
        assert_eq!(judge(Bound::AtMost(5.0), 6.0), "**missed by 1.000**");
    }

    #[test]
    fn render_writes_a_line_a_bar_and_knows_it_again() {
        let text = render(&SUBJECTS[0], &rows());
        assert_eq!(text.lines().count(), SUBJECTS[0].bars.len());
        assert!(text.lines().all(is_line), "{text}");
        assert!(
            text.contains("| 1.250 (1.250–1.250), may's | met |"),
            "{text}"
        );
        assert!(text.contains("not measured"), "{text}");
        assert!(!HEAD.lines().any(is_line));
    }
}
