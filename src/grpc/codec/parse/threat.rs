//! Threats.

use super::name::{
    choice, choice_or, country, day, jurisdiction, list, mineral, optional, optional_day,
    optional_slug, slug, text,
};
use super::{Checks, Optional, Path, figure};
use crate::grpc::pb;
use lodewatch_core::domain::calendar::{Calendar, CalendarFault, Suspension};
use lodewatch_core::domain::threat::{
    Authority, Confidence, EndUse, Evidence, Measure, Quota, Scope,
};
use lodewatch_core::domain::{Slug, Stage, Threat};

/// Minerals, and jurisdictions of a scope, that one threat names.
const NAMES_MAX: usize = 256;

/// A threat.
pub(super) fn threat(checks: &mut Checks, field: Path<'_>, sent: &pb::Threat) -> Option<Threat> {
    let id = slug(checks, field.at("id"), &sent.id);
    let state_act = optional_slug(checks, field.at("state_act_id"), &sent.state_act_id);
    let title = text(checks, field.at("title"), &sent.title, Threat::TEXT_MAX);
    let evidence =
        list(checks, field.at("evidence"), &sent.evidence, Threat::EVIDENCE_MAX, evidence);
    let imposing = country(checks, field.at("imposing"), &sent.imposing);
    let authority = choice_or(
        checks,
        field.at("authority"),
        sent.authority,
        Authority::National,
        Authority::allowed,
    );
    let scope = scope(checks, field.at("destination"), sent.destination.as_ref());
    let end_use =
        choice_or(checks, field.at("end_use"), sent.end_use, EndUse::Any, EndUse::allowed);
    if sent.minerals.is_empty() {
        checks.add(field.at("minerals"), "must name at least one mineral");
    }
    let minerals =
        list(checks, field.at("minerals"), &sent.minerals, NAMES_MAX, |checks, field, name| {
            mineral(checks, field, name)
        });
    let stages = list(
        checks,
        field.at("stages"),
        &sent.stages,
        Stage::ALL.len(),
        |checks, field, number| choice::<Stage>(checks, field, *number, Stage::allowed),
    );
    let measure = choice(checks, field.at("measure"), sent.measure, Measure::allowed);
    let quota = optional(sent.quota.as_ref(), |one| quota(checks, field.at("quota"), one));
    let tax_rate =
        optional(sent.tax_rate, |rate| figure::share(checks, field.at("tax_rate"), rate));
    let t_override =
        optional(sent.t_override, |t| figure::weight(checks, field.at("t_override"), t));
    let calendar = calendar(checks, field, sent);
    let superseded_by = superseded_by(checks, field.at("superseded_by"), sent);
    let confidence = choice_or(
        checks,
        field.at("confidence"),
        sent.confidence,
        Confidence::Official,
        Confidence::allowed,
    );
    Some(Threat {
        id: id?,
        state_act: state_act?,
        title: title?,
        evidence: evidence?,
        imposing: imposing?,
        authority: authority?,
        scope: scope?,
        end_use: end_use?,
        minerals: minerals?,
        stages: stages?,
        measure: measure?,
        quota: quota?,
        tax_rate: tax_rate?,
        t_override: t_override?,
        calendar: calendar?,
        superseded_by: superseded_by?,
        confidence: confidence?,
        revision: sent.revision,
    })
}

fn superseded_by(checks: &mut Checks, field: Path<'_>, sent: &pb::Threat) -> Optional<Slug> {
    let other = optional_slug(checks, field, &sent.superseded_by)?;
    if other.as_ref().is_some_and(|other| other.as_str() == sent.id) {
        checks.add(field, "must not be the threat itself");
        return None;
    }
    Some(other)
}

fn evidence(checks: &mut Checks, field: Path<'_>, sent: &pb::Evidence) -> Option<Evidence> {
    let url = text(checks, field.at("url"), &sent.url, Threat::TEXT_MAX);
    let publisher = text(checks, field.at("publisher"), &sent.publisher, Threat::TEXT_MAX);
    let retrieved = optional_day(checks, field.at("retrieved"), &sent.retrieved);
    Some(Evidence { url: url?, publisher: publisher?, retrieved: retrieved? })
}

fn quota(checks: &mut Checks, field: Path<'_>, sent: &pb::Quota) -> Option<Quota> {
    let value_milli = figure::milli(checks, field.at("value"), sent.value);
    let unit = text(checks, field.at("unit"), &sent.unit, Slug::LEN_MAX);
    let period = text(checks, field.at("period"), &sent.period, Slug::LEN_MAX);
    Some(Quota { value_milli: value_milli?, unit: unit?, period: period? })
}

fn scope(checks: &mut Checks, field: Path<'_>, sent: Option<&pb::Scope>) -> Option<Scope> {
    let Some(sent) = sent else { return Some(Scope::All) };
    let mut places = |name: &str, names: &[String]| {
        list(checks, field.at(name), names, NAMES_MAX, |checks, field, name| {
            jurisdiction(checks, field, name)
        })
    };
    let (only, except) = (places("only", &sent.only)?, places("except", &sent.except)?);
    match (only.is_empty(), except.is_empty()) {
        (true, true) => Some(Scope::All),
        (false, true) => Some(Scope::Only(only)),
        (true, false) => Some(Scope::Except(except)),
        (false, false) => {
            checks.add(field, "must not set both only and except");
            None
        }
    }
}

fn calendar(checks: &mut Checks, field: Path<'_>, sent: &pb::Threat) -> Option<Calendar> {
    let announced = optional_day(checks, field.at("date_announced"), &sent.date_announced);
    let effective = optional_day(checks, field.at("date_effective"), &sent.date_effective);
    let removed = optional_day(checks, field.at("date_removed"), &sent.date_removed);
    let suspensions = list(
        checks,
        field.at("suspensions"),
        &sent.suspensions,
        Threat::SUSPENSIONS_MAX,
        suspension,
    );
    let calendar = Calendar {
        announced: announced?,
        effective: effective?,
        suspensions: suspensions?,
        removed: removed?,
    };
    let faults = calendar.faults();
    for fault in &faults {
        let name = match fault {
            CalendarFault::EffectiveBeforeAnnounced { .. } => "date_effective".to_owned(),
            CalendarFault::RemovedBefore { .. } => "date_removed".to_owned(),
            CalendarFault::SuspensionBackwards { at, .. }
            | CalendarFault::SuspensionsOverlap { at, .. } => format!("suspensions[{at}]"),
        };
        checks.add(field.at(&name), fault);
    }
    faults.is_empty().then_some(calendar)
}

fn suspension(checks: &mut Checks, field: Path<'_>, sent: &pb::Suspension) -> Option<Suspension> {
    let from = day(checks, field.at("from"), &sent.from);
    let until = optional_day(checks, field.at("until"), &sent.until);
    Some(Suspension { from: from?, until: until? })
}

#[cfg(test)]
mod tests {
    use super::super::Violations;
    use super::*;

    fn faults(change: impl FnOnce(&mut pb::Threat)) -> Vec<String> {
        let mut sent = pb::Threat {
            id: "T".to_owned(),
            imposing: "CHN".to_owned(),
            minerals: vec!["tin".to_owned()],
            measure: pb::Measure::Tax.into(),
            ..pb::Threat::default()
        };
        change(&mut sent);
        let mut checks = Checks::default();
        let threat = threat(&mut checks, "threat".into(), &sent);
        let read = checks.finish(threat);
        read.err().iter().flat_map(Violations::iter).map(|one| one.field.clone()).collect()
    }

    #[test]
    fn texts_and_lists_of_a_threat_are_limited() {
        let text = |bytes| "x".repeat(bytes);
        let names = |count| vec!["JPN".to_owned(); count];
        let evidence = |count, bytes| {
            let (url, publisher) = (text(bytes), text(bytes));
            vec![pb::Evidence { url, publisher, retrieved: String::new() }; count]
        };
        let suspensions = |count: usize| {
            let day = |at: usize| format!("20{at:02}-01-01");
            let one = |at| pb::Suspension { from: day(at), until: day(at + 1) };
            (0..count).map(one).collect::<Vec<_>>()
        };
        let largest = |sent: &mut pb::Threat| {
            sent.title = text(Threat::TEXT_MAX);
            sent.evidence = evidence(Threat::EVIDENCE_MAX, Threat::TEXT_MAX);
            sent.minerals = vec!["tin".to_owned(); NAMES_MAX];
            sent.destination = Some(pb::Scope { only: names(NAMES_MAX), except: Vec::new() });
            sent.suspensions = suspensions(Threat::SUSPENSIONS_MAX);
        };
        assert_eq!(faults(largest), [""; 0]);
        let larger = |sent: &mut pb::Threat| {
            sent.title = text(Threat::TEXT_MAX + 1);
            sent.evidence = evidence(1, Threat::TEXT_MAX + 1);
            sent.destination = Some(pb::Scope { only: names(NAMES_MAX + 1), except: Vec::new() });
            sent.minerals = vec!["tin".to_owned(); NAMES_MAX + 1];
            sent.suspensions = suspensions(Threat::SUSPENSIONS_MAX + 1);
        };
        let fields = [
            "title",
            "evidence[0].url",
            "evidence[0].publisher",
            "destination.only",
            "minerals",
            "suspensions",
        ];
        assert_eq!(faults(larger), fields.map(|field| format!("threat.{field}")));
        let more = |sent: &mut pb::Threat| sent.evidence = evidence(Threat::EVIDENCE_MAX + 1, 1);
        assert_eq!(faults(more), ["threat.evidence"]);
    }
}
