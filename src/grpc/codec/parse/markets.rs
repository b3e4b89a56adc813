//! Requests for markets and threats.

use super::alerts::{heartbeat_seconds, page_size};
use super::name::{choice, country, destination, list, mineral};
use super::{Checks, Violations};
use crate::domain::policy::Destination;
use crate::domain::threat::ThreatStatus;
use crate::domain::{Country, Day, MarketKey, Mineral, Stage, Threat};
use crate::grpc::pb;

/// The most items of one list.
const ITEMS_MAX: usize = 1000;

/// Which markets.
#[derive(Debug)]
pub(in crate::grpc) struct MarketFilter {
    minerals: Vec<Mineral>,
    stages: Vec<Stage>,
}

/// A page of markets, and for whom.
#[derive(Debug)]
pub(in crate::grpc) struct ListMarkets {
    pub(in crate::grpc) filter: MarketFilter,
    pub(in crate::grpc) destination: Destination,
    pub(in crate::grpc) page_size: usize,
}

/// Markets to watch, and for whom.
#[derive(Debug)]
pub(in crate::grpc) struct WatchMarkets {
    pub(in crate::grpc) filter: MarketFilter,
    pub(in crate::grpc) destination: Destination,
    pub(in crate::grpc) heartbeat_seconds: u32,
}

impl MarketFilter {
    /// Whether a market is asked for.
    pub(in crate::grpc) fn covers(&self, key: MarketKey) -> bool {
        let mineral = self.minerals.iter().any(|group| key.mineral.is_within(*group));
        (self.minerals.is_empty() || mineral)
            && (self.stages.is_empty() || self.stages.contains(&key.stage))
    }
}

/// Which threats.
#[derive(Debug)]
pub(in crate::grpc) struct ListThreats {
    minerals: Vec<Mineral>,
    imposing: Vec<Country>,
    statuses: Vec<ThreatStatus>,
    pub(in crate::grpc) page_size: usize,
}

impl ListThreats {
    /// Whether a threat is asked for.
    pub(in crate::grpc) fn covers(&self, threat: &Threat, today: Day) -> bool {
        let about =
            |group: &Mineral| threat.minerals.iter().any(|mineral| mineral.is_within(*group));
        (self.minerals.is_empty() || self.minerals.iter().any(about))
            && (self.imposing.is_empty() || self.imposing.contains(&threat.imposing))
            && (self.statuses.is_empty() || self.statuses.contains(&threat.status(today)))
    }
}

/// A list of markets.
pub(in crate::grpc) fn list_markets(
    sent: &pb::ListMarketsRequest,
) -> Result<ListMarkets, Violations> {
    let mut checks = Checks::default();
    let filter = filter(&mut checks, &sent.minerals, &sent.stages);
    let destination = destination(&mut checks, "destination".into(), &sent.destination);
    let page_size = page_size(&mut checks, sent.page_size);
    let wanted =
        || Some(ListMarkets { filter: filter?, destination: destination?, page_size: page_size? });
    let wanted = wanted();
    checks.finish(wanted)
}

/// A watch of markets.
pub(in crate::grpc) fn watch_markets(
    sent: &pb::WatchMarketsRequest,
) -> Result<WatchMarkets, Violations> {
    let mut checks = Checks::default();
    let filter = filter(&mut checks, &sent.minerals, &sent.stages);
    let destination = destination(&mut checks, "destination".into(), &sent.destination);
    let heartbeat_seconds = heartbeat_seconds(&mut checks, sent.heartbeat_seconds);
    let wanted = || {
        Some(WatchMarkets {
            filter: filter?,
            destination: destination?,
            heartbeat_seconds: heartbeat_seconds?,
        })
    };
    let wanted = wanted();
    checks.finish(wanted)
}

/// One market, for whom.
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

/// A list of threats.
pub(in crate::grpc) fn list_threats(
    sent: &pb::ListThreatsRequest,
) -> Result<ListThreats, Violations> {
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
        Some(ListThreats {
            minerals: minerals?,
            imposing: imposing?,
            statuses: statuses?,
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
    Some(MarketFilter { minerals: minerals?, stages: stages? })
}

fn minerals(checks: &mut Checks, names: &[String]) -> Option<Vec<Mineral>> {
    list(checks, "minerals".into(), names, ITEMS_MAX, |checks, field, name| {
        mineral(checks, field, name)
    })
}
