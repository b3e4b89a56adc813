//! Requests for markets and threats.

use super::alerts::{heartbeat_seconds, page_size};
use super::name::{choice, country, destination, list, mineral};
use super::{Checks, Violations};
use crate::grpc::pb;
use lodewatch_core::domain::policy::Destination;
use lodewatch_core::domain::threat::ThreatStatus;
use lodewatch_core::domain::{Country, Day, MarketKey, Mineral, Stage, Threat};
use std::collections::BTreeSet;

/// Items of one list.
const ITEMS_MAX: usize = 1000;

#[derive(Debug)]
pub(in crate::grpc) struct MarketFilter {
    minerals: MineralFilter,
    stages: BTreeSet<Stage>,
}

/// Minerals, with all parts of groups; each once, however often the request names it. `None` for
/// all.
#[derive(Debug)]
struct MineralFilter(Option<BTreeSet<Mineral>>);

impl MineralFilter {
    fn has(&self, mineral: Mineral) -> bool {
        self.0.as_ref().is_none_or(|minerals| minerals.contains(&mineral))
    }
}

#[derive(Debug)]
pub(in crate::grpc) struct ListMarketsParams {
    pub(in crate::grpc) filter: MarketFilter,
    pub(in crate::grpc) destination: Destination,
    pub(in crate::grpc) page_size: usize,
}

#[derive(Debug)]
pub(in crate::grpc) struct WatchMarketsParams {
    pub(in crate::grpc) filter: MarketFilter,
    pub(in crate::grpc) destination: Destination,
    pub(in crate::grpc) heartbeat_seconds: u32,
}

impl MarketFilter {
    /// Whether the request includes a market.
    pub(in crate::grpc) fn covers(&self, key: MarketKey) -> bool {
        self.minerals.has(key.mineral)
            && (self.stages.is_empty() || self.stages.contains(&key.stage))
    }
}

#[derive(Debug)]
pub(in crate::grpc) struct ListThreatsParams {
    minerals: MineralFilter,
    imposing: BTreeSet<Country>,
    statuses: BTreeSet<ThreatStatus>,
    pub(in crate::grpc) page_size: usize,
}

impl ListThreatsParams {
    /// Whether the request includes a threat.
    pub(in crate::grpc) fn covers(&self, threat: &Threat, today: Day) -> bool {
        threat.minerals.iter().any(|mineral| self.minerals.has(*mineral))
            && (self.imposing.is_empty() || self.imposing.contains(&threat.imposing))
            && (self.statuses.is_empty() || self.statuses.contains(&threat.status(today)))
    }
}

pub(in crate::grpc) fn list_markets(
    sent: &pb::ListMarketsRequest,
) -> Result<ListMarketsParams, Violations> {
    let mut checks = Checks::default();
    let filter = filter(&mut checks, &sent.minerals, &sent.stages);
    let destination = destination(&mut checks, "destination".into(), &sent.destination);
    let page_size = page_size(&mut checks, sent.page_size);
    let wanted = || {
        Some(ListMarketsParams {
            filter: filter?,
            destination: destination?,
            page_size: page_size?,
        })
    };
    let wanted = wanted();
    checks.finish(wanted)
}

pub(in crate::grpc) fn watch_markets(
    sent: &pb::WatchMarketsRequest,
) -> Result<WatchMarketsParams, Violations> {
    let mut checks = Checks::default();
    let filter = filter(&mut checks, &sent.minerals, &sent.stages);
    let destination = destination(&mut checks, "destination".into(), &sent.destination);
    let heartbeat_seconds = heartbeat_seconds(&mut checks, sent.heartbeat_seconds);
    let wanted = || {
        Some(WatchMarketsParams {
            filter: filter?,
            destination: destination?,
            heartbeat_seconds: heartbeat_seconds?,
        })
    };
    let wanted = wanted();
    checks.finish(wanted)
}

pub(in crate::grpc) fn get_market(
    sent: &pb::GetMarketRequest,
) -> Result<(MarketKey, Destination), Violations> {
    let mut checks = Checks::default();
    let mineral = mineral(&mut checks, "mineral".into(), &sent.mineral);
    let stage = choice::<Stage>(&mut checks, "stage".into(), sent.stage, Stage::allowed);
    let destination = destination(&mut checks, "destination".into(), &sent.destination);
    let wanted = || Some((MarketKey { mineral: mineral?, stage: stage? }, destination?));
    let wanted = wanted();
    checks.finish(wanted)
}

pub(in crate::grpc) fn list_threats(
    sent: &pb::ListThreatsRequest,
) -> Result<ListThreatsParams, Violations> {
    let mut checks = Checks::default();
    let minerals = minerals(&mut checks, &sent.minerals);
    let imposing =
        list(&mut checks, "imposing".into(), &sent.imposing, ITEMS_MAX, |checks, field, name| {
            country(checks, field, name)
        });
    let statuses =
        list(&mut checks, "statuses".into(), &sent.statuses, ITEMS_MAX, |checks, field, number| {
            choice::<ThreatStatus>(checks, field, *number, ThreatStatus::allowed)
        });
    let page_size = page_size(&mut checks, sent.page_size);
    let wanted = || {
        Some(ListThreatsParams {
            minerals: minerals?,
            imposing: imposing?.into_iter().collect(),
            statuses: statuses?.into_iter().collect(),
            page_size: page_size?,
        })
    };
    let wanted = wanted();
    checks.finish(wanted)
}

fn filter(checks: &mut Checks, names: &[String], stages: &[i32]) -> Option<MarketFilter> {
    let minerals = minerals(checks, names);
    let stages = list(checks, "stages".into(), stages, ITEMS_MAX, |checks, field, number| {
        choice::<Stage>(checks, field, *number, Stage::allowed)
    });
    Some(MarketFilter { minerals: minerals?, stages: stages?.into_iter().collect() })
}

fn minerals(checks: &mut Checks, names: &[String]) -> Option<MineralFilter> {
    let groups = list(checks, "minerals".into(), names, ITEMS_MAX, |checks, field, name| {
        mineral(checks, field, name)
    })?;
    let groups: BTreeSet<Mineral> = groups.into_iter().collect();
    let is_named = |one: &Mineral| groups.iter().any(|group| one.is_within(*group));
    let minerals = (!groups.is_empty()).then(|| Mineral::all().filter(is_named).collect());
    Some(MineralFilter(minerals))
}
