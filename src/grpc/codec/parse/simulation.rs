//! Requests of simulations and backtests.

use super::alerts::filter;
use super::dates::out_of_range;
use super::name::{destination, optional_day};
use super::{Checks, Violations, policy, publish_by};
use crate::grpc::pb;
use lodewatch_core::domain::policy::Destination;
use lodewatch_core::domain::{Day, Filter, Policy};
use lodewatch_core::engine::simulation::SimulationInput;
use std::sync::Arc;
use uuid::Uuid;

/// The hypothetical input, and which results are requested.
#[derive(Debug)]
pub(in crate::grpc) struct SimulateParams {
    pub(in crate::grpc) input: SimulationInput,
    pub(in crate::grpc) destination: Destination,
    pub(in crate::grpc) filter: Filter,
}

pub(in crate::grpc) fn simulate(sent: &pb::SimulateRequest) -> Result<SimulateParams, Violations> {
    let mut checks = Checks::default();
    let batch = if sent.updates.is_empty() {
        Some(None)
    } else {
        let request = pb::PublishRequest {
            feed: "simulation".to_owned(),
            updates: sent.updates.clone(),
            ..pb::PublishRequest::default()
        };
        checks.merge(publish_by(&request, Uuid::new_v4, Day::PUBLISHED_MAX)).map(Some)
    };
    let policy = match &sent.policy {
        None => Some(None),
        Some(sent) => {
            policy::read(&mut checks, "policy".into(), sent).map(|policy| Some(Arc::new(policy)))
        }
    };
    let until = optional_day(&mut checks, "until".into(), &sent.until);
    if let Some(Some(day)) = until.filter(|until| until.is_some_and(|day| !day.is_publishable())) {
        checks.add("until", out_of_range(day));
    }
    let destination = destination(&mut checks, "destination".into(), &sent.destination);
    let filter = filter(&mut checks, sent.filter.as_ref());
    let wanted = || {
        Some(SimulateParams {
            input: SimulationInput { policy: policy?, batch: batch?, until: until? },
            destination: destination?,
            filter: filter?,
        })
    };
    let wanted = wanted();
    checks.finish(wanted)
}

/// The policy, and which alerts are requested.
pub(in crate::grpc) fn backtest(
    sent: &pb::BacktestRequest,
) -> Result<(Arc<Policy>, Filter), Violations> {
    let mut checks = Checks::default();
    let missing = pb::Policy::default();
    if sent.policy.is_none() {
        checks.add("policy", "must be set");
    }
    let policy =
        policy::read(&mut checks, "policy".into(), sent.policy.as_ref().unwrap_or(&missing));
    let filter = filter(&mut checks, sent.filter.as_ref());
    let wanted = policy.zip(filter).map(|(policy, filter)| (Arc::new(policy), filter));
    checks.finish(wanted)
}
