//! `journal audit`: who changed what and when.

use crate::cli::error::Error;
use crate::cli::output::columns::{Column, CsvRow};
use crate::cli::output::print::{self, OutputFormat};
use crate::journal::JournalReader;
use lodewatch_core::domain::outcome::BatchOutcome;
use lodewatch_core::domain::update::{ReportRemoval, Update, UpdateOutcome};
use lodewatch_core::domain::{Batch, Entry, Payload};
use lodewatch_core::engine::State;
use serde::Serialize;
use std::path::Path;

/// A line of the audit. The names of its fields are those of the JSON.
#[derive(Serialize)]
pub(super) struct Change {
    entry: u64,
    time: String,
    /// `-` if the journal does not have it, `settings` for a policy.
    sender: String,
    feed: String,
    /// `applied`, `unchanged`, or why it was rejected.
    outcome: String,
    /// Names of threats, reports and rules.
    what: Vec<String>,
}

impl CsvRow for Change {
    const COLUMNS: &'static [Column<Self>] = &[
        ("entry", |change| change.entry.to_string()),
        ("time", |change| change.time.clone()),
        ("sender", |change| change.sender.clone()),
        ("feed", |change| change.feed.clone()),
        ("outcome", |change| change.outcome.clone()),
        ("what", |change| change.what.join(", ")),
    ];
}

/// Prints a line per entry, without ticks.
pub(super) fn run(dir: &Path, format: OutputFormat) -> Result<(), Error> {
    let reading = JournalReader::open(dir)?;
    if format == OutputFormat::Csv {
        print::csv_list::<Change>(&[])?;
    }
    let mut state = State::default();
    let bar = print::progress_bar_beside_output("reading", reading.head().0);
    for entry in bar.wrap_iter(reading) {
        let entry = entry?;
        state.apply_with(&entry, &mut |_| {});
        let Some(change) = describe_entry(&entry, &state) else { continue };
        match format {
            OutputFormat::Json => {
                let text = serde_json::to_string(&change).expect("strings can be serialized");
                print::json_line(&text)?;
            }
            OutputFormat::Csv => print::csv_row(&change)?,
            OutputFormat::Table => {
                let Change { entry, time, sender, feed, outcome, what } = change;
                let what = what.join(", ");
                print::line(&format!("{entry:>8}  {time}  {sender}  {feed}  {outcome}: {what}"))?;
            }
        }
    }
    Ok(())
}

fn describe_entry(entry: &Entry, state: &State) -> Option<Change> {
    let (sender, feed, outcome, what) = match &entry.payload {
        Payload::Tick { .. } => return None,
        Payload::PolicyAdopted { policy, .. } => {
            let rules = policy.rules.iter().map(|rule| format!("rule {}", rule.name)).collect();
            ("settings".to_owned(), "-".to_owned(), "policy adopted".to_owned(), rules)
        }
        Payload::Batch(batch) => {
            let sender = batch.sender.as_ref().map_or("-", |sender| &*sender.name).to_owned();
            let what = batch.updates.iter().map(describe_update).collect();
            (sender, batch.feed.to_string(), describe_outcome(entry, batch, state), what)
        }
    };
    Some(Change { entry: entry.seq.0, time: entry.at.to_string(), sender, feed, outcome, what })
}

fn describe_update(update: &Update) -> String {
    match update {
        Update::Report(report) => {
            let market = report.market();
            let (source, period) = (report.source(), report.period());
            format!("report {} {} {source} {period}", market.mineral, market.stage)
        }
        Update::Threat(threat) => format!("threat {}", threat.id),
        Update::Removal(removal) => format!("removal {}", removal.threat),
        Update::ReportRemoval(ReportRemoval { market, source, period }) => {
            let periods = period.map_or_else(|| "all periods".to_owned(), |one| one.to_string());
            format!("removal report {} {} {source} {periods}", market.mineral, market.stage)
        }
    }
}

fn describe_outcome(entry: &Entry, batch: &Batch, state: &State) -> String {
    let answered = state.result_of(batch).filter(|one| one.entry == entry.seq);
    match answered.map(|answered| &answered.outcome) {
        None => "duplicate".to_owned(),
        Some(BatchOutcome::Rejected(rejected)) => format!("rejected ({rejected})"),
        Some(BatchOutcome::Accepted(outcomes)) => {
            let has_change = outcomes.iter().any(|outcome| outcome != UpdateOutcome::Unchanged);
            if has_change { "applied" } else { "unchanged" }.to_owned()
        }
    }
}
