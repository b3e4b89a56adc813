//! Responses of a server with the bundled data on 2026-11-27, for tests of the output.

use crate::grpc::json::{JsonMessage, from_json};
use lodewatch_proto::v1::{Alert, Market, Rule, ThreatRecord};

pub(crate) fn markets() -> Vec<Market> {
    lines(include_str!("fixtures/markets.jsonl"))
}

/// Newest first.
pub(crate) fn alerts() -> Vec<Alert> {
    lines(include_str!("fixtures/alerts.jsonl"))
}

pub(crate) fn threats() -> Vec<ThreatRecord> {
    lines(include_str!("fixtures/threats.jsonl"))
}

pub(crate) fn rules() -> Vec<Rule> {
    lines(include_str!("fixtures/rules.jsonl"))
}

fn lines<M: JsonMessage + Default>(text: &str) -> Vec<M> {
    text.lines().map(|line| from_json(line).unwrap()).collect()
}
