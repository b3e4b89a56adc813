//! Alerts, as they are archived and sent.

use super::{amount, interval, level, metric, report_ref, stage, timestamp, weight};
use crate::grpc::codec::enums::WireEnum;
use crate::grpc::pb;
use lodewatch_core::domain::alert::{Cause, ChangedThreat, Contribution, ThreatEffect};
use lodewatch_core::domain::share::Unit;
use lodewatch_core::domain::update::RequestId;
use lodewatch_core::domain::{Alert, sentence};
use uuid::Uuid;

/// `cursor` is the position after the alert's entry.
pub fn alert(alert: &Alert, cursor: &str) -> pb::Alert {
    let unit = alert.metric.unit();
    pb::Alert {
        sequence: alert.sequence,
        cursor: cursor.to_owned(),
        episode: alert.episode,
        kind: alert.kind.render().into(),
        rule: alert.rule.to_string(),
        policy_version: alert.policy_version.0,
        level: level(alert.level).into(),
        previous_level: level(alert.previous_level).into(),
        possible_level: level(alert.possible_level).into(),
        mineral: alert.market.mineral.slug().to_owned(),
        stage: stage(alert.market.stage).into(),
        destination: alert.destination.as_ref().map(ToString::to_string).unwrap_or_default(),
        metric: metric(&alert.metric).into(),
        metric_countries: alert.metric.countries().iter().map(ToString::to_string).collect(),
        value: Some(interval(unit, alert.value)),
        previous_value: alert.previous_value.map(|value| interval(unit, value)),
        threshold: amount(unit, alert.threshold),
        cause: Some(cause(&alert.cause)),
        contributions: contributions(unit, &alert.contributions),
        leaders: alert.leaders.iter().map(ToString::to_string).collect(),
        previous_leaders: alert.previous_leaders.iter().map(ToString::to_string).collect(),
        threat_effects: alert.threat_effects.iter().map(threat_effect).collect(),
        flags: alert.flags.iter().map(|flag| flag.render().into()).collect(),
        report: Some(report_ref(&alert.report)),
        event_time: Some(timestamp(alert.event_time)),
        journal_time: Some(timestamp(alert.journal_time)),
        previous_sequence: alert.previous.unwrap_or(0),
        exercise: alert.exercise,
        sentence: sentence::render(alert),
    }
}

/// The arithmetic of a value.
pub fn contributions(unit: Unit, contributions: &[Contribution]) -> Vec<pb::Contribution> {
    let part = |part: &Contribution| pb::Contribution {
        country: part.country.map(|country| country.to_string()).unwrap_or_default(),
        share_ppm: part.share.get(),
        weight_permille: part.weight.permille().into(),
        amount: part.amount,
        points: amount(unit, part.amount),
        upper_only: part.upper_only,
    };
    contributions.iter().map(part).collect()
}

fn cause(cause: &Cause) -> pb::Cause {
    let ids =
        |threats: &[ChangedThreat]| threats.iter().map(|one| one.threat.to_string()).collect();
    let request = |id: &RequestId| Uuid::from_u128(id.0).to_string();
    match cause {
        Cause::Data { feed, request_id, report, revised } => pb::Cause {
            kind: pb::CauseKind::Data.into(),
            feed: feed.to_string(),
            request_id: request(request_id),
            report: Some(report_ref(report)),
            revised_vintage: revised.map(|day| day.to_string()).unwrap_or_default(),
            ..pb::Cause::default()
        },
        Cause::ReportRemoval { feed, request_id, removed } => pb::Cause {
            kind: pb::CauseKind::Data.into(),
            feed: feed.to_string(),
            request_id: request(request_id),
            removed_report: Some(report_ref(removed)),
            ..pb::Cause::default()
        },
        Cause::Threat { feed, request_id, threats } => pb::Cause {
            kind: pb::CauseKind::Threat.into(),
            feed: feed.to_string(),
            request_id: request(request_id),
            threat_ids: ids(threats),
            ..pb::Cause::default()
        },
        Cause::Clock { threats } => pb::Cause {
            kind: pb::CauseKind::Clock.into(),
            threat_ids: ids(threats),
            ..pb::Cause::default()
        },
        Cause::Policy => pb::Cause { kind: pb::CauseKind::Policy.into(), ..pb::Cause::default() },
    }
}

fn threat_effect(effect: &ThreatEffect) -> pb::ThreatEffect {
    pb::ThreatEffect {
        threat_id: effect.threat.to_string(),
        state_act_id: effect.state_act.as_ref().map(ToString::to_string).unwrap_or_default(),
        imposing: effect.imposing.to_string(),
        scope_match: effect.scope_match.render().into(),
        weight: weight(effect.weight),
        status: effect.status.render().into(),
        reached: effect.reached.iter().map(ToString::to_string).collect(),
    }
}
