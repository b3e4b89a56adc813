//! What a server of the bundled data answered on 2026-11-27, for tests of how it is shown.

use crate::grpc::json::{Mapped, from_json};
use crate::grpc::pb::{Alert, Market, Rule, ThreatRecord};

pub(super) fn markets() -> Vec<Market> {
    lines(include_str!("fixtures/markets.jsonl"))
}

/// Newest first.
pub(super) fn alerts() -> Vec<Alert> {
    lines(include_str!("fixtures/alerts.jsonl"))
}

pub(super) fn threats() -> Vec<ThreatRecord> {
    lines(include_str!("fixtures/threats.jsonl"))
}

pub(super) fn rules() -> Vec<Rule> {
    lines(include_str!("fixtures/rules.jsonl"))
}

fn lines<M: Mapped + Default>(text: &str) -> Vec<M> {
    text.lines().map(|line| from_json(line).unwrap()).collect()
}
