//! A table's key figure as an SVG bar chart: a bar a row, whiskers from the least to the most of the
//! rounds, readable on light and on dark ground.

use std::fmt::Write as _;

use super::subject::Subject;
use super::table::Row;
use crate::server::Rival;

const WIDTH: f64 = 760.0;
/// Where the bars begin and the longest ends; the names stand before, the figures behind.
const LEFT: f64 = 190.0;
const RIGHT: f64 = 640.0;
const TOP: f64 = 58.0;
const ROW: f64 = 26.0;
const BAR: f64 = 16.0;

const STYLE: &str = "\
text{font:13px system-ui,sans-serif;fill:#1f2328}.title{font-weight:600;font-size:15px}\
.unit{fill:#59636e}.ours{fill:#1a7f64}.floor{fill:#8c959f}.peer{fill:#6aa5e3}\
.whisker{stroke:#1f2328;stroke-width:1.2}\
@media(prefers-color-scheme:dark){text{fill:#e6edf3}.unit{fill:#9198a1}.ours{fill:#3fb68f}\
.floor{fill:#6e7681}.peer{fill:#3d78b8}.whisker{stroke:#e6edf3}}";

/// Draws `rows`; those without a figure are left out.
pub(crate) fn draw(subject: &Subject, rows: &[Row]) -> String {
    let (key, digits) = (subject.key, subject.key.digits);
    let drawn: Vec<_> = rows
        .iter()
        .filter_map(|row| Some((row, row.summary(key.figure)?)))
        .collect();
    let most = drawn.iter().map(|(_, it)| it.max).fold(0.0, f64::max);
    let x = |value: f64| LEFT + (RIGHT - LEFT) * if most > 0.0 { value / most } else { 0.0 };
    let height = TOP + ROW * drawn.len() as f64 + 8.0;
    let (title, unit) = (escape(subject.title), escape(key.title));
    let better = if subject.more_is_better {
        "more is better"
    } else {
        "less is better"
    };
    // Writing to a string cannot fail.
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{WIDTH}\" height=\"{height}\" \
         viewBox=\"0 0 {WIDTH} {height}\" role=\"img\" aria-label=\"{title}: {unit}\">\n\
         <style>{STYLE}</style>\n\
         <text class=\"title\" x=\"12\" y=\"24\">{title}</text>\n\
         <text class=\"unit\" x=\"12\" y=\"44\">{unit}, {better}; median of the rounds, least to \
         most</text>\n"
    );
    for (index, (row, summary)) in drawn.iter().enumerate() {
        let top = TOP + ROW * index as f64;
        let (middle, text_y) = (top + BAR / 2.0, top + BAR / 2.0 + 4.5);
        let (low, high) = (x(summary.min), x(summary.max));
        let _ = writeln!(
            svg,
            "<text x=\"{:.1}\" y=\"{text_y:.1}\" text-anchor=\"end\">{}</text>",
            LEFT - 8.0,
            escape(&row.label())
        );
        let _ = writeln!(
            svg,
            "<rect class=\"{}\" x=\"{LEFT}\" y=\"{top:.1}\" width=\"{:.1}\" height=\"{BAR}\"/>",
            class(row.rival),
            x(summary.median) - LEFT
        );
        let _ = writeln!(
            svg,
            "<path class=\"whisker\" d=\"M{low:.1} {middle:.1}H{high:.1}M{low:.1} {:.1}v8\
             M{high:.1} {:.1}v8\"/>",
            middle - 4.0,
            middle - 4.0
        );
        let _ = writeln!(
            svg,
            "<text x=\"{:.1}\" y=\"{text_y:.1}\">{:.digits$}</text>",
            high + 8.0,
            summary.median * key.scale
        );
    }
    svg.push_str("</svg>\n");
    svg
}

fn class(rival: Rival) -> &'static str {
    match rival {
        Rival::Raw => "floor",
        Rival::Gannet | Rival::GannetCt => "ours",
        _ => "peer",
    }
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::super::network::SUBJECTS;
    use super::super::table::tests::row;
    use super::*;

    #[test]
    fn draw_scales_bars_and_whiskers_to_the_largest() {
        let rows = [
            row(Rival::Raw, &[90.0, 100.0, 80.0]),
            row(Rival::Gannet, &[45.0]),
            row(Rival::Tokio, &[]),
        ];
        let svg = draw(&SUBJECTS[0], &rows);
        assert!(svg.contains("class=\"floor\" x=\"190\" y=\"58.0\" width=\"405.0\""));
        assert!(svg.contains("class=\"ours\" x=\"190\" y=\"84.0\" width=\"202.5\""));
        assert!(svg.contains("M550.0 66.0H640.0"), "{svg}");
        assert!(svg.contains(">gannet</text>") && !svg.contains(">tokio</text>"));
        assert!(svg.contains("requests/s, more is better"));
        assert_eq!(svg.matches('<').count(), svg.matches('>').count());
    }

    #[test]
    fn draw_of_nothing_and_of_zeros_has_finite_numbers() {
        for rows in [vec![], vec![row(Rival::Gannet, &[0.0])]] {
            let svg = draw(&SUBJECTS[0], &rows);
            assert!(!svg.contains("NaN") && !svg.contains("inf"), "{svg}");
        }
    }

    #[test]
    fn escape_leaves_no_markup() {
        assert_eq!(escape("a<b> & \"c\""), "a&lt;b&gt; &amp; &quot;c&quot;");
    }
}
