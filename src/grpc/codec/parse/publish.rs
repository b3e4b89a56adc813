//! Batches of updates.

use super::name::{quoted, read_unlike, slug};
use super::report::{report, report_removal};
use super::threat::threat;
use super::{Checks, Path, Violations, dates};
use crate::grpc::pb::{self, update::Update as Wire};
use lodewatch_core::domain::Day;
use lodewatch_core::domain::update::{Batch, Removal, RequestId, Update};
use std::sync::Arc;
use uuid::Uuid;
use xxhash_rust::xxh3::xxh3_128;

/// A batch of a journal: dates may be any. `new_id` makes a request id where none was sent.
///
/// # Errors
///
/// Every invalid field of every update.
pub fn publish(
    sent: &pb::PublishRequest,
    new_id: impl FnOnce() -> Uuid,
) -> Result<Batch, Violations> {
    read(sent, new_id, None)
}

/// A batch to publish: no report is released after `newest`, and all dates lie in a sane range.
pub(in crate::grpc) fn publish_by(
    sent: &pb::PublishRequest,
    new_id: impl FnOnce() -> Uuid,
    newest: Day,
) -> Result<Batch, Violations> {
    read(sent, new_id, Some(newest))
}

fn read(
    sent: &pb::PublishRequest,
    new_id: impl FnOnce() -> Uuid,
    newest: Option<Day>,
) -> Result<Batch, Violations> {
    let mut checks = Checks::default();
    let request_id = request_id(&mut checks, &sent.request_id, new_id);
    let feed = slug(&mut checks, "feed".into(), &sent.feed);
    let updates = updates(&mut checks, sent, newest);
    let batch = || {
        let (feed, updates, exercise) = (feed?, updates?, sent.exercise);
        let content = postcard::to_stdvec(&(&feed, exercise, &updates));
        let digest = xxh3_128(&content.expect("an update has nothing that cannot be written"));
        Some(Batch {
            request_id: request_id?,
            digest,
            feed,
            exercise,
            updates,
            sender: None,
            trace: None,
        })
    };
    let batch = batch();
    checks.finish(batch)
}

fn request_id(checks: &mut Checks, text: &str, new_id: impl FnOnce() -> Uuid) -> Option<RequestId> {
    if text.is_empty() {
        return Some(RequestId(new_id().as_u128()));
    }
    let parse = |text: &str| Uuid::parse_str(text).ok();
    let what = || format!("{} is not a UUID", quoted(text));
    let id = read_unlike(checks, "request_id".into(), text, parse, what);
    id.map(|id| RequestId(id.as_u128()))
}

fn updates(
    checks: &mut Checks,
    sent: &pb::PublishRequest,
    newest: Option<Day>,
) -> Option<Vec<Update>> {
    let count = sent.updates.len();
    if count == 0 || count > Batch::UPDATES_MAX {
        checks.add(
            "updates",
            format!("{count} updates; 1 to {} are allowed in one batch", Batch::UPDATES_MAX),
        );
        return None;
    }
    let list = Path::from("updates");
    let mut updates = Vec::with_capacity(count);
    for (at, update) in sent.updates.iter().enumerate() {
        let field = Path::Item(&list, at);
        let update = one(checks, field, update, sent.exercise).filter(|update| {
            newest.is_none_or(|newest| dates::check(checks, field, update, newest))
        });
        updates.extend(update);
    }
    (updates.len() == count).then_some(updates)
}

fn one(checks: &mut Checks, field: Path<'_>, sent: &pb::Update, exercise: bool) -> Option<Update> {
    match &sent.update {
        Some(sent @ (Wire::Report(_) | Wire::ReportRemoval(_))) if exercise => {
            let why = "must not be set in an exercise, since a report cannot be undone; publish threats and their removals only";
            let is_report = matches!(sent, Wire::Report(_));
            checks.add(field.at(if is_report { "report" } else { "report_removal" }), why);
            None
        }
        Some(Wire::Report(sent)) => {
            report(checks, field.at("report"), sent).map(|report| Update::Report(Arc::new(report)))
        }
        Some(Wire::Threat(sent)) => {
            threat(checks, field.at("threat"), sent).map(|threat| Update::Threat(Arc::new(threat)))
        }
        Some(Wire::Removal(sent)) => {
            let threat = slug(checks, field.at("removal.threat_id"), &sent.threat_id);
            let revision = Some(sent.revision).filter(|revision| *revision > 0);
            threat.map(|threat| Update::Removal(Removal { threat, revision }))
        }
        Some(Wire::ReportRemoval(sent)) => {
            report_removal(checks, field.at("report_removal"), sent).map(Update::ReportRemoval)
        }
        None => {
            checks.add(field, "must be set to a report, a threat or a removal of one");
            None
        }
    }
}
