//! Alerts, as they are archived and sent.

use super::{amount, interval, level, metric, report_ref, stage, timestamp, weight};
use crate::grpc::codec::enums::WireEnum;
use crate::grpc::pb;
use lodewatch_core::domain::alert::{Cause, ChangedThreats, Contribution, ThreatEffect};
use lodewatch_core::domain::share::Unit;
use lodewatch_core::domain::update::RequestId;
use lodewatch_core::domain::{Alert, sentence};
use uuid::Uuid;

/// The largest encoded alert: 128 KiB. Every list in it is bounded: threats by
/// [`Alert::THREATS_MAX`], the others by the number of countries.
pub const ALERT_BYTES_MAX: usize = 128 * 1024;

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
        threat_effects_omitted: alert.threat_effects_omitted,
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
        |threats: &ChangedThreats| threats.shown.iter().map(|one| one.threat.to_string()).collect();
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
            threats_omitted: threats.omitted,
            ..pb::Cause::default()
        },
        Cause::Clock { threats } => pb::Cause {
            kind: pb::CauseKind::Clock.into(),
            threat_ids: ids(threats),
            threats_omitted: threats.omitted,
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

#[cfg(test)]
mod tests {
    use super::*;
    use lodewatch_core::domain::alert::{ChangedThreat, Kind, ReportRef, ScopeMatch, ThreatChange};
    use lodewatch_core::domain::market::{Flag, Period};
    use lodewatch_core::domain::policy::{Destination, Jurisdiction, Level};
    use lodewatch_core::domain::rule::Metric;
    use lodewatch_core::domain::share::{Interval, Weight};
    use lodewatch_core::domain::threat::ThreatStatus;
    use lodewatch_core::domain::{Country, Day, MarketKey, Mineral, Ppm, Seq, Slug, Stage};
    use prost::Message;

    fn countries() -> Vec<Country> {
        let letters = || 'A'..='Z';
        let codes = letters().flat_map(|one| {
            letters().flat_map(move |two| letters().map(move |three| [one, two, three]))
        });
        codes.filter_map(|code| Country::from_alpha3(&code.iter().collect::<String>())).collect()
    }

    /// An alert of which everything has its largest size, also what cannot occur together.
    fn largest_alert() -> Alert {
        let countries = countries();
        assert_eq!(countries.len(), 249);
        let longest = Slug::parse(&"X".repeat(Slug::LEN_MAX)).unwrap();
        let changed =
            vec![
                ChangedThreat { threat: longest.clone(), change: ThreatChange::TookEffect };
                Alert::THREATS_MAX + 1000
            ];
        let effect = ThreatEffect {
            threat: longest.clone(),
            state_act: Some(longest.clone()),
            imposing: countries[0],
            scope_match: ScopeMatch::Partial,
            weight: Weight::from_permille(2999).unwrap(),
            status: ThreatStatus::Superseded,
            reached: countries.clone(),
        };
        let at = "2099-12-31T23:59:59.999Z".parse().unwrap();
        let contribution = |country| Contribution {
            country,
            share: Ppm::ONE,
            weight: Weight::from_permille(3000).unwrap(),
            amount: i64::MIN,
            upper_only: true,
        };
        let rows = countries.iter().copied().map(Some).chain([None]);
        let minerals = Mineral::all();
        Alert {
            sequence: u64::MAX,
            entry: Seq(u64::MAX),
            episode: u64::MAX,
            kind: Kind::Flapping,
            rule: longest.clone(),
            policy_version: Seq(u64::MAX),
            level: Some(Level::Critical),
            previous_level: Some(Level::Critical),
            possible_level: Some(Level::Critical),
            market: MarketKey {
                mineral: minerals.max_by_key(|one| one.name().len() + one.slug().len()).unwrap(),
                stage: Stage::Refining,
            },
            destination: Some(Destination::Jurisdiction(Jurisdiction::Bloc(longest.clone()))),
            metric: Metric::GroupShare(countries.clone()),
            value: Interval { lower: i64::MIN, upper: i64::MAX },
            previous_value: Some(Interval { lower: i64::MIN + 1, upper: i64::MAX }),
            threshold: i64::MAX,
            cause: Cause::Threat {
                feed: longest.clone(),
                request_id: RequestId(u128::MAX),
                threats: ChangedThreats::of(&changed),
            },
            contributions: rows.map(contribution).collect(),
            leaders: countries.clone(),
            previous_leaders: countries.clone(),
            threat_effects: vec![effect; Alert::THREATS_MAX],
            threat_effects_omitted: u32::MAX,
            imposing: countries,
            flags: Flag::ALL.to_vec(),
            report: ReportRef {
                source: longest,
                period: Period::Year(2099),
                vintage: Day::MAX,
                accepted_at: at,
            },
            event_time: at,
            journal_time: at,
            previous: Some(u64::MAX),
            exercise: true,
        }
    }

    #[test]
    fn no_alert_is_larger_than_its_limit() {
        let cursor = "C".repeat(64);
        let largest = largest_alert();
        let bytes = alert(&largest, &cursor).encoded_len();
        // Close to it, so that the limit says what to expect.
        assert!((ALERT_BYTES_MAX / 2..=ALERT_BYTES_MAX).contains(&bytes), "{bytes} bytes");
        let sentence = sentence::render(&largest);
        assert!(sentence.len() < 4096, "{} bytes: {sentence}", sentence.len());
        let data = Cause::Data {
            feed: largest.rule.clone(),
            request_id: RequestId(u128::MAX),
            report: largest.report.clone(),
            revised: Some(Day::MAX),
        };
        let sentence = sentence::render(&Alert { cause: data, ..largest });
        assert!(sentence.len() < 4096, "{} bytes: {sentence}", sentence.len());
    }
}
