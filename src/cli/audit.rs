//! `journal audit`: who changed what and when.

use super::arguments::Output;
use super::columns::Columns;
use super::error::Error;
use super::{output, progress};
use crate::domain::update::{BatchOutcome, Update, UpdateOutcome};
use crate::domain::{Batch, Entry, Payload};
use crate::engine::State;
use crate::journal::JournalReader;
use serde::Serialize;
use std::path::Path;

/// One change. Its fields are the JSON's.
#[derive(Serialize)]
pub(super) struct Change {
    entry: u64,
    time: String,
    /// Who sent it; `-` where that was not kept, `settings` for a policy.
    sender: String,
    feed: String,
    /// `applied`, `unchanged`, or why it was refused.
    outcome: String,
    /// Threats and reports by name, each with what was asked for.
    what: Vec<String>,
}

impl Columns for Change {
    const NAMES: &'static [&'static str] = &["entry", "time", "sender", "feed", "outcome", "what"];

    fn fields(&self) -> Vec<String> {
        let Self { entry, time, sender, feed, outcome, what } = self;
        let [time, sender, feed, outcome] = [time, sender, feed, outcome].map(String::clone);
        vec![entry.to_string(), time, sender, feed, outcome, what.join(", ")]
    }
}

/// Prints a line an entry, without those that only say that time has passed.
pub(super) fn run(dir: &Path, output: Output) -> Result<(), Error> {
    let reading = JournalReader::open(dir)?;
    if output == Output::Csv {
        output::csv(Change::NAMES)?;
    }
    let mut state = State::default();
    let bar = progress::bar_beside_output("reading", reading.head().0);
    for entry in bar.wrap_iter(reading) {
        let entry = entry?;
        state.apply(&entry);
        let Some(change) = change(&entry, &state) else { continue };
        match output {
            Output::Json => {
                let text = serde_json::to_string(&change).expect("plain text can be written");
                output::line(&text)?;
            }
            Output::Csv => output::csv(&change.fields())?,
            Output::Table => {
                let Change { entry, time, sender, feed, outcome, what } = change;
                let what = what.join(", ");
                output::line(&format!("{entry:>8}  {time}  {sender}  {feed}  {outcome}: {what}"))?;
            }
        }
    }
    Ok(())
}

fn change(entry: &Entry, state: &State) -> Option<Change> {
    let (sender, feed, outcome, what) = match &entry.payload {
        Payload::Tick { .. } => return None,
        Payload::PolicyAdopted { policy, .. } => {
            let rules = policy.rules.iter().map(|rule| format!("rule {}", rule.name)).collect();
            ("settings".to_owned(), "-".to_owned(), "policy adopted".to_owned(), rules)
        }
        Payload::Batch(batch) => {
            let sender = batch.sender.as_ref().map_or("-", |sender| &*sender.name).to_owned();
            let what = batch.updates.iter().map(name).collect();
            (sender, batch.feed.to_string(), outcome(entry, batch, state), what)
        }
    };
    Some(Change { entry: entry.seq.0, time: entry.at.to_string(), sender, feed, outcome, what })
}

fn name(update: &Update) -> String {
    match update {
        Update::Report(report) => {
            let market = report.market();
            let (source, period) = (report.source(), report.period());
            format!("report {} {} {source} {period}", market.mineral, market.stage)
        }
        Update::Threat(threat) => format!("threat {}", threat.id),
        Update::Removal(removal) => format!("removal {}", removal.threat),
    }
}

fn outcome(entry: &Entry, batch: &Batch, state: &State) -> String {
    let answered =
        state.recent_batches().get(batch.request_id).filter(|one| one.entry == entry.seq);
    match answered.map(|answered| &answered.outcome) {
        None => "sent again".to_owned(),
        Some(BatchOutcome::Rejected(rejections)) => {
            let why = rejections.iter().map(ToString::to_string).collect::<Vec<_>>();
            format!("refused ({})", why.join("; "))
        }
        Some(BatchOutcome::Accepted(outcomes)) => {
            let is_new = outcomes.iter().any(|outcome| *outcome != UpdateOutcome::Unchanged);
            if is_new { "applied" } else { "unchanged" }.to_owned()
        }
    }
}
