//! `load echo`: requests and their echoes on connections that stay.

use std::error::Error;

use super::engine::Engine;
use super::{Settings, Span, Stretch};
use crate::report::Report;

/// Warms up, measures, and tells.
pub(super) fn run(settings: &Settings) -> Result<(), Box<dyn Error>> {
    let mut engine = Engine::new(settings)?;
    engine.open_and_greet(settings)?;
    // A closed loop, so that every connection has been served before the measurement.
    engine.run_closed(Span::Time(settings.warmup))?;
    engine.drain()?;
    settings.gate.wait()?;
    let stretch = Stretch::start(settings)?;
    let requests = match settings.open_rate {
        Some(rate) => engine.run_open(rate, settings.span)?,
        None => engine.run_closed(settings.span)?,
    };
    let measured = stretch.stop(settings)?;
    engine.drain()?;
    let mut report = Report::new();
    report.add("connections", settings.connections as f64);
    report.add("silent_connections", settings.silent as f64);
    report.add("request_bytes", settings.size as f64);
    if let Some(rate) = settings.open_rate {
        report.add("offered_per_second", rate);
    }
    measured.add_to(&mut report, "requests", requests);
    report.add_latencies(engine.latencies());
    Ok(settings.publish(&report)?)
}
