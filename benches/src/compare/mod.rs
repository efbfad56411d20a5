//! The runner: rivals side by side, in alternation, each in a process of its own.
//!
//! A round starts every rival once (A B C), and the rounds follow each other (A B C A B C), so
//! that what drifts on the machine falls on all of them. Ratios are taken within a round. With one
//! worker the server runs on processor 0 and the generator on processor 1; or both on processor 0,
//! where neither wakes an idle processor nor waits for the slower of the two, so that the
//! throughput tells of the work that both do. With more workers nothing is pinned. A measurement that
//! other processes disturbed is repeated, whatever its figures. One rival's failure is told in the
//! table, and the others go on.

mod bars;
mod bulk;
mod chart;
mod congestion;
mod counts;
mod datagrams;
mod ground;
mod inside;
mod machine;
mod network;
mod plan;
mod record;
mod roam;
mod stats;
mod subject;
mod table;

use self::ground::Ground;
use self::machine::Machine;
use self::plan::{OPTIONS, Plan, SWITCHES};
use self::record::Record;
use self::subject::{Subject, Variant, Work};
use self::table::Row;
use crate::args::{Args, Problem};
use crate::children::{Generator, Server, report_of};
use crate::report::Report;
use crate::server::Rival;

/// All subjects, in the order of the tables.
const SUBJECTS: &[&[Subject]] = &[
    network::SUBJECTS,
    bulk::SUBJECTS,
    datagrams::SUBJECTS,
    inside::SUBJECTS,
    roam::SUBJECTS,
];
/// How often a measurement is tried that other processes disturb,
const TRIES: usize = 3;
/// and what they may use, in percent of a processor: the clock's ticks alone look like some.
const DISTURBANCE_MAX: f64 = 10.0;
/// A rival that fails so often in a row is not tried again.
const FAILURES_MAX: usize = 2;

/// Runs the named subjects, or all, and prints their tables.
pub(crate) fn run(words: &[String]) -> Result<(), String> {
    let args = Args::parse(words, SWITCHES, OPTIONS)?;
    let subjects = named_subjects(args.free())?;
    let plans = subjects
        .into_iter()
        .map(|subject| Plan::new(subject, &args));
    let plans = plans.collect::<Result<Vec<_>, _>>()?;
    if let Some(name) = args.value::<String>("--congestion")? {
        congestion::choose(&name).map_err(|err| format!("--congestion {name}: {err}"))?;
    }
    let machine = Machine::here();
    let mut record = args.has("--record").then(|| Record::open(&machine, words));
    println!("{machine}\n");
    let mut failed = Vec::new();
    for mut plan in plans {
        let rows = measure(&mut plan)?;
        let (subject, text) = (plan.subject, section(&plan, &rows));
        println!("## {}\n\n{text}", subject.name);
        if let Some(record) = &mut record {
            let chart = chart::draw(subject, &rows);
            let written = record.write(subject.name, &text, &chart);
            written.map_err(|err| format!("RESULTS.md: {err}"))?;
        }
        let ours = |row: &Row| matches!(row.rival, Rival::Raw | Rival::Gannet | Rival::GannetCt);
        if rows.iter().any(|row| ours(row) && row.failures().is_some()) {
            failed.push(subject.name);
        }
    }
    for rival in Rival::ALL {
        if let Some(why) = rival.missing() {
            println!("{} was left out: {why}.", rival.name());
        }
    }
    if failed.is_empty() {
        Ok(())
    } else {
        Err(format!(
            "gannet or the raw loop failed in {}",
            failed.join(", ")
        ))
    }
}

/// Finds the subjects of these names; without names, all but those on demand.
fn named_subjects(names: &[String]) -> Result<Vec<&'static Subject>, Problem> {
    let all = || SUBJECTS.iter().flat_map(|list| list.iter());
    if names.is_empty() {
        return Ok(all().filter(|subject| !subject.on_demand).collect());
    }
    let find = |name: &String| {
        let found = all().find(|subject| subject.name == name);
        found.ok_or_else(|| {
            let there: Vec<&str> = all().map(|subject| subject.name).collect();
            format!("unknown subject {name}; there are {}", there.join(", "))
        })
    };
    names.iter().map(find).collect()
}

/// Writes all there is to say about a subject's figures.
fn section(plan: &Plan, rows: &[Row]) -> String {
    let subject = plan.subject;
    let bars = bars::render(subject, rows);
    let bars = if bars.is_empty() {
        bars
    } else {
        format!("\n{}{bars}", bars::HEAD)
    };
    let table = table::render(subject, rows);
    format!("{}\n\n{plan}\n\n{table}{bars}", subject.head)
}

fn measure(plan: &mut Plan) -> Result<Vec<Row>, Problem> {
    if plan.lacks_a_rate() {
        let rate = half_of_raw(plan)?;
        plan.set_rate(rate);
    }
    plan.stand_on(Ground::prepare(plan.subject)?);
    let (subject, mut rows) = (plan.subject, rows(plan));
    for round in 1..=plan.rounds {
        for row in &mut rows {
            let failures = row.rounds.iter().rev().take_while(|round| round.is_err());
            if failures.count() >= FAILURES_MAX {
                continue;
            }
            let variant = &subject.variants[row.variant];
            let result = measure_in_peace(plan, variant, row.rival);
            let told = match &result {
                Ok(report) => report
                    .figure(subject.key.figure)
                    .unwrap_or(f64::NAN)
                    .to_string(),
                Err(why) => format!("failed: {why}"),
            };
            let (name, rounds, label) = (subject.name, plan.rounds, row.label());
            eprintln!("{name} round {round}/{rounds} {label}: {told}");
            row.rounds.push(result);
        }
    }
    if plan.counts {
        for row in &mut rows {
            counts::count(plan, &subject.variants[row.variant], row);
        }
    }
    Ok(rows)
}

fn rows(plan: &Plan) -> Vec<Row> {
    let mut rows = Vec::new();
    for &rival in &plan.rivals {
        let lazy = if plan.is_lazy(rival) { " (lazy)" } else { "" };
        for (index, variant) in plan.subject.variants.iter().enumerate() {
            let one = variant.workers.is_none_or(|workers| workers == 1);
            let wants = |word| variant.server.contains(&word);
            let can = (rival.can_batch() || !wants("--batches"))
                && (rival.can_join() || !wants("--joined"));
            if can && (one || !crate::inside::is_single_threaded(rival)) {
                rows.push(Row::new(rival, index, format!("{}{lazy}", variant.note)));
            }
        }
    }
    rows
}

/// Measures again while other processes disturb it, and takes the least disturbed measurement.
fn measure_in_peace(plan: &Plan, variant: &Variant, rival: Rival) -> Result<Report, String> {
    let disturbance = |report: &Report| report.figure("others_cpu_percent").unwrap_or(0.0);
    let mut best = measure_once(plan, variant, rival)?;
    for _ in 1..TRIES {
        if disturbance(&best) <= DISTURBANCE_MAX {
            break;
        }
        let again = measure_once(plan, variant, rival)?;
        if disturbance(&again) < disturbance(&best) {
            best = again;
        }
    }
    Ok(best)
}

fn measure_once(plan: &Plan, variant: &Variant, rival: Rival) -> Result<Report, String> {
    match plan.subject.work {
        Work::Load(kind) => {
            let server = Server::start(rival, &plan.server_words(variant, rival))?;
            let words = [plan.load_words(variant), plan.span_words()].concat();
            Generator::start(kind, &server, &words, plan.limit())?.report()
        }
        Work::Roam(name) => {
            let mut words = ["roam", name].map(str::to_owned).to_vec();
            words.extend(plan.roam_words());
            report_of(&words, plan.limit())
        }
        Work::Inside(name) => {
            let mut words = ["inside", name, rival.name()].map(str::to_owned).to_vec();
            words.extend(plan.server_words(variant, rival));
            report_of(&words, plan.limit())
        }
    }
}

/// Finds out what the raw loop does in a closed loop, and returns half of it.
fn half_of_raw(plan: &Plan) -> Result<f64, String> {
    let report = measure_once(plan, &plan.subject.variants[0], Rival::Raw)?;
    let rate = report.figure("requests_per_second");
    rate.map(|rate| rate / 2.0)
        .ok_or_else(|| "the raw loop has no rate".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn named_subjects_of_nothing_are_all_and_a_wrong_name_is_told() {
        let all = named_subjects(&[]).unwrap();
        assert!(all.iter().any(|subject| subject.name == "echo"));
        assert!(all.iter().all(|subject| subject.name != "fds"));
        assert_eq!(named_subjects(&["fds".to_owned()]).unwrap().len(), 1);
        let problem = named_subjects(&["ehco".to_owned()]).unwrap_err();
        assert!(problem.starts_with("unknown subject ehco; there are echo, "));
    }

    #[test]
    fn subjects_have_names_of_their_own_and_heads_that_tell_all() {
        let mut names = Vec::new();
        for subject in SUBJECTS.iter().flat_map(|list| list.iter()) {
            assert!(!names.contains(&subject.name), "{} twice", subject.name);
            names.push(subject.name);
            for word in ["Measured:", "Unit:", "Noise:"] {
                assert!(subject.head.contains(word), "{}: {word}", subject.name);
            }
            assert!(subject.rounds >= 1 && !subject.variants.is_empty());
            let variants = subject.variants.len();
            assert!(subject.bars.iter().all(|bar| bar.variant < variants));
        }
    }
}
