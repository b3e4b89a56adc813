//! Updates as a feed publishes them, and the journal entries that hold them. Parsing the result
//! again gives the same value.

use super::{denominator, milli, policy, share, stage, timestamp, weight};
use crate::grpc::codec::enums::WireEnum;
use crate::grpc::pb;
use crate::journal::codec;
use lodewatch_core::domain::alert::ReportRef;
use lodewatch_core::domain::calendar::Suspension;
use lodewatch_core::domain::market::{self, ReportRow};
use lodewatch_core::domain::policy::Jurisdiction;
use lodewatch_core::domain::threat::{Evidence, Quota, Scope};
use lodewatch_core::domain::update::{Sender, TraceContext, Update};
use lodewatch_core::domain::{Batch, Day, Entry, Payload, Report, Slug, Threat};
use pb::journal_entry::Payload as EntryPayload;
use pb::supply_row::Figure;
use uuid::Uuid;

pub fn entry(entry: &Entry) -> pb::JournalEntry {
    let payload = match &entry.payload {
        Payload::Batch(one) => EntryPayload::Batch(batch(one)),
        Payload::PolicyAdopted { policy: one, .. } => EntryPayload::Policy(pb::AdoptedPolicy {
            policy: Some(policy(one, entry.seq, entry.at)),
            encoded: codec::encode(&entry.payload)
                .expect("it was an entry, so it is not too large"),
        }),
        Payload::Tick { due } => EntryPayload::Tick(pb::Tick { due: Some(timestamp(*due)) }),
    };
    let (sender, trace) = match &entry.payload {
        Payload::Batch(batch) => (batch.sender.as_ref().map(sender), batch.trace.map(trace)),
        Payload::PolicyAdopted { .. } | Payload::Tick { .. } => (None, None),
    };
    let (time, payload) = (Some(timestamp(entry.at)), Some(payload));
    pb::JournalEntry { entry: entry.seq.0, time, payload, sender, trace }
}

fn sender(sender: &Sender) -> pb::Sender {
    let minerals = sender.write_scope.as_ref().and_then(|scope| scope.minerals.as_ref());
    pb::Sender {
        name: sender.name.to_string(),
        own_feed_only: sender.write_scope.is_some(),
        minerals: minerals.into_iter().flatten().map(ToString::to_string).collect(),
    }
}

fn trace(trace: TraceContext) -> pb::Trace {
    pb::Trace { trace_id: trace.id_text(), span_id: format!("{:016x}", trace.span) }
}

fn batch(batch: &Batch) -> pb::PublishRequest {
    pb::PublishRequest {
        request_id: Uuid::from_u128(batch.request_id.0).to_string(),
        feed: batch.feed.to_string(),
        updates: batch.updates.iter().map(update).collect(),
        exercise: batch.exercise,
    }
}

pub fn update(update: &Update) -> pb::Update {
    use pb::update::Update as Wire;
    let update = match update {
        Update::Report(one) => Wire::Report(report(one)),
        Update::Threat(one) => Wire::Threat(threat(one)),
        Update::Removal(removal) => Wire::Removal(pb::ThreatRemoval {
            threat_id: removal.threat.to_string(),
            revision: removal.revision.unwrap_or(0),
        }),
        Update::ReportRemoval(removal) => Wire::ReportRemoval(pb::ReportRemoval {
            mineral: removal.market.mineral.slug().to_owned(),
            stage: stage(removal.market.stage).into(),
            source: removal.source.to_string(),
            period: removal.period.map(|period| period.to_string()).unwrap_or_default(),
        }),
    };
    pb::Update { update: Some(update) }
}

/// Quantities where the source gives them, else shares.
pub fn report(report: &Report) -> pb::SupplyReport {
    let other = report.other().and_then(|figure| match figure {
        market::Figure::QuantityMilli(quantity) => Some(milli(quantity)),
        market::Figure::Share(part) => Some(share(part)),
        market::Figure::Withheld => None,
    });
    pb::SupplyReport {
        mineral: report.market().mineral.slug().to_owned(),
        stage: stage(report.market().stage).into(),
        source: report.source().to_string(),
        period: report.period().to_string(),
        vintage: report.vintage().to_string(),
        unit: report.unit().to_owned(),
        rows: report.rows().iter().map(row).collect(),
        other,
        denominator: denominator(report.denominator()).into(),
        published_total: report.published_total_milli().map(milli),
        url: report.url().to_owned(),
    }
}

fn row(row: &ReportRow) -> pb::SupplyRow {
    let figure = match (row.quantity_milli, row.share) {
        (Some(quantity), _) => Figure::Quantity(milli(quantity)),
        (None, Some(part)) => Figure::Share(share(part)),
        (None, None) => Figure::Withheld(true),
    };
    pb::SupplyRow {
        country: row.country.to_string(),
        figure: Some(figure),
        estimated: row.estimated,
    }
}

pub fn report_ref(name: &ReportRef) -> pb::ReportRef {
    pb::ReportRef {
        source: name.source.to_string(),
        period: name.period.to_string(),
        vintage: name.vintage.to_string(),
        accepted_at: Some(timestamp(name.accepted_at)),
        superseded: false,
    }
}

pub fn threat(threat: &Threat) -> pb::Threat {
    let calendar = &threat.calendar;
    pb::Threat {
        id: threat.id.to_string(),
        state_act_id: slug(threat.state_act.as_ref()),
        title: threat.title.to_string(),
        evidence: threat.evidence.iter().map(evidence).collect(),
        imposing: threat.imposing.to_string(),
        authority: threat.authority.render().into(),
        destination: scope(&threat.scope),
        end_use: threat.end_use.render().into(),
        minerals: threat.minerals.iter().map(ToString::to_string).collect(),
        stages: threat.stages.iter().map(|stage| stage.render().into()).collect(),
        measure: threat.measure.render().into(),
        quota: threat.quota.as_ref().map(quota),
        tax_rate: threat.tax_rate.map(share),
        t_override: threat.t_override.map(weight),
        date_announced: day(calendar.announced),
        date_effective: day(calendar.effective),
        suspensions: calendar.suspensions.iter().map(suspension).collect(),
        date_removed: day(calendar.removed),
        superseded_by: slug(threat.superseded_by.as_ref()),
        confidence: threat.confidence.render().into(),
        revision: threat.revision,
    }
}

fn scope(scope: &Scope) -> Option<pb::Scope> {
    let names = |places: &[Jurisdiction]| places.iter().map(ToString::to_string).collect();
    match scope {
        Scope::All => None,
        Scope::Only(places) => Some(pb::Scope { only: names(places), except: Vec::new() }),
        Scope::Except(places) => Some(pb::Scope { only: Vec::new(), except: names(places) }),
    }
}

fn evidence(evidence: &Evidence) -> pb::Evidence {
    pb::Evidence {
        url: evidence.url.to_string(),
        publisher: evidence.publisher.to_string(),
        retrieved: day(evidence.retrieved),
    }
}

fn quota(quota: &Quota) -> pb::Quota {
    pb::Quota {
        value: milli(quota.value_milli),
        unit: quota.unit.to_string(),
        period: quota.period.to_string(),
    }
}

fn suspension(suspension: &Suspension) -> pb::Suspension {
    pb::Suspension { from: suspension.from.to_string(), until: day(suspension.until) }
}

fn day(day: Option<Day>) -> String {
    day.map(|day| day.to_string()).unwrap_or_default()
}

fn slug(slug: Option<&Slug>) -> String {
    slug.map(ToString::to_string).unwrap_or_default()
}
