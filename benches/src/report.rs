//! What one run of the load generator found: lines of `name value`, for people and for the runner.

use std::fmt;
use std::time::Duration;

use crate::histogram::Histogram;
use crate::procfs::Spent;

/// Named figures in the order they were found.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Report {
    figures: Vec<(String, f64)>,
}

impl Report {
    /// Makes an empty report.
    pub(crate) fn new() -> Self {
        Self::default()
    }

    /// Adds a figure.
    pub(crate) fn add(&mut self, name: &str, value: f64) {
        self.figures.push((name.to_owned(), value));
    }

    /// Returns a figure, if it is there.
    pub(crate) fn figure(&self, name: &str) -> Option<f64> {
        self.figures
            .iter()
            .find(|(there, _)| there == name)
            .map(|(_, value)| *value)
    }

    /// Adds the percentiles of `latencies`, in microseconds.
    pub(crate) fn add_latencies(&mut self, latencies: &Histogram) {
        let us = |duration: Duration| duration.as_nanos() as f64 / 1e3;
        self.add("p50_us", us(latencies.quantile(0.5)));
        self.add("p99_us", us(latencies.quantile(0.99)));
        self.add("p999_us", us(latencies.quantile(0.999)));
        self.add("max_us", us(latencies.max()));
    }

    /// Adds what a process spent over `units` of work in `elapsed`, as `prefix_...`.
    pub(crate) fn add_spent(&mut self, prefix: &str, spent: Spent, units: u64, elapsed: Duration) {
        let each = |duration: Duration| duration.as_nanos() as f64 / 1e3 / units.max(1) as f64;
        self.add(&format!("{prefix}_cpu_us"), each(spent.user + spent.system));
        self.add(&format!("{prefix}_user_us"), each(spent.user));
        self.add(&format!("{prefix}_system_us"), each(spent.system));
        let busy = (spent.user + spent.system).as_secs_f64() / elapsed.as_secs_f64().max(1e-9);
        self.add(&format!("{prefix}_cpu_percent"), busy * 100.0);
        let switches = spent.switches as f64 / units.max(1) as f64;
        self.add(&format!("{prefix}_switches"), switches);
        let wakeups = spent.wakeups as f64 / units.max(1) as f64;
        self.add(&format!("{prefix}_wakeups"), wakeups);
    }

    /// Reads the lines that [`fmt::Display`] wrote. Other lines are refused, so that a generator
    /// that printed a complaint among its figures is not mistaken for one that worked.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let mut report = Self::new();
        for line in text.lines().filter(|line| !line.is_empty()) {
            let figure = line.split_once(' ').and_then(|(name, value)| {
                let value: f64 = value.trim().parse().ok()?;
                Some((name, value))
            });
            let (name, value) = figure.ok_or_else(|| format!("not a figure: {line}"))?;
            report.add(name, value);
        }
        Ok(report)
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (name, value) in &self.figures {
            writeln!(f, "{name} {}", (value * 1e6).round() / 1e6)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parse_reads_what_display_wrote() {
        let mut report = Report::new();
        report.add("requests", 123_456.0);
        report.add("p99_us", 18.125);
        let text = report.to_string();
        assert_eq!(text, "requests 123456\np99_us 18.125\n");
        assert_eq!(Report::parse(&text).unwrap(), report);
        assert_eq!(report.figure("p99_us"), Some(18.125));
        assert_eq!(report.figure("p50_us"), None);
    }

    #[test]
    fn parse_of_a_complaint_is_refused() {
        assert!(Report::parse("requests 1\nconnection refused\n").is_err());
        assert!(Report::parse("requests\n").is_err());
    }

    #[test]
    fn add_spent_divides_by_units_and_time() {
        let mut report = Report::new();
        let spent = Spent {
            user: Duration::from_millis(100),
            system: Duration::from_millis(300),
            switches: 50,
            wakeups: 20,
        };
        report.add_spent("server", spent, 1_000, Duration::from_secs(2));
        assert_eq!(report.figure("server_cpu_us"), Some(400.0));
        assert_eq!(report.figure("server_user_us"), Some(100.0));
        assert_eq!(report.figure("server_system_us"), Some(300.0));
        assert_eq!(report.figure("server_cpu_percent"), Some(20.0));
        assert_eq!(report.figure("server_switches"), Some(0.05));
        assert_eq!(report.figure("server_wakeups"), Some(0.02));
    }
}
