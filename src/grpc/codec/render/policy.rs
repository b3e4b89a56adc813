//! The policy.

use super::{amount, metric, share, timestamp, weight};
use crate::grpc::codec::enums::WireEnum;
use crate::grpc::pb;
use lodewatch_core::domain::rule::{Rule, Threshold};
use lodewatch_core::domain::{Policy, Seq, Timestamp};

/// A policy that the entry `version` adopted.
pub fn policy(policy: &Policy, version: Seq, adopted_at: Timestamp) -> pb::Policy {
    pb::Policy {
        version: version.0,
        adopted_at: Some(timestamp(adopted_at)),
        rules: policy.rules.iter().map(rule).collect(),
        blocs: policy
            .blocs
            .0
            .iter()
            .map(|(name, members)| pb::Bloc {
                name: name.to_string(),
                members: members.iter().map(ToString::to_string).collect(),
            })
            .collect(),
        sources: policy.sources.iter().map(ToString::to_string).collect(),
        weights: weights(policy),
        governance: policy
            .wgi
            .iter()
            .map(|(country, wgi)| pb::Governance {
                country: country.to_string(),
                weight: f64::from(wgi.hundredths()) / 100.0,
            })
            .collect(),
        notice_share_min: policy.notice_share_min.map(share).unwrap_or_default(),
    }
}

/// The trade weights of a policy.
pub fn weights(policy: &Policy) -> Vec<pb::TradeWeight> {
    let weights = policy.weights.iter();
    weights
        .map(|(measure, one)| pb::TradeWeight {
            measure: measure.render().into(),
            weight: weight(*one),
        })
        .collect()
}

fn rule(rule: &Rule) -> pb::Rule {
    let threshold = |threshold: &Threshold| pb::Threshold {
        level: threshold.level.render().into(),
        raise: amount(rule.metric.unit(), threshold.raise),
        reset: amount(rule.metric.unit(), threshold.reset),
    };
    let destinations = rule.destinations.iter().filter(|_| rule.metric.reacts_to_measures());
    pb::Rule {
        name: rule.name.to_string(),
        metric: metric(&rule.metric).into(),
        metric_countries: rule.metric.countries().iter().map(ToString::to_string).collect(),
        minerals: rule.minerals.iter().map(ToString::to_string).collect(),
        stages: rule.stages.iter().map(|stage| stage.render().into()).collect(),
        destinations: destinations.map(ToString::to_string).collect(),
        measures: rule.measures.iter().map(|measure| measure.render().into()).collect(),
        thresholds: rule.thresholds.iter().map(threshold).collect(),
        for_duration: Some(duration(rule.for_ms)),
        keep_duration: Some(duration(rule.keep_ms)),
        confidence: rule.confidence.iter().map(|one| one.render().into()).collect(),
        max_age: rule.max_age_ms.map(duration),
        flapping: rule.flapping.map(|flapping| pb::Flapping {
            changes: u32::from(flapping.changes),
            within: Some(duration(flapping.within_ms)),
        }),
    }
}

fn duration(millis: u64) -> prost_types::Duration {
    prost_types::Duration {
        seconds: i64::try_from(millis / 1000).unwrap_or(i64::MAX),
        nanos: i32::try_from(millis % 1000 * 1_000_000).expect("less than a second"),
    }
}
