//! Threat effects: which of the threats that count an alert shows, and in which order.

use super::evaluate::{Evaluation, World};
use super::exposure::{Exposure, MeasureFilter, weight};
use super::market::{Market, MarketThreat};
use super::plan::RuleInstance;
use crate::domain::alert::ThreatEffect;
use crate::domain::policy::{Destination, Policy};
use crate::domain::share::Weight;
use crate::domain::threat::ThreatStatus;
use crate::domain::{Alert, Country, Ppm, Slug, Threat};
use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::sync::Arc;

/// How much a threat matters to a market, the most first: whether it restricts exports now, the
/// share of the imposing country, its trade weight; its id decides between equals.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ThreatRank<'a> {
    is_unrestricted: bool,
    share: Reverse<Option<Ppm>>,
    weight: Reverse<Weight>,
    id: &'a Slug,
}

impl<'a> ThreatRank<'a> {
    /// `restricts` says whether the threat restricts exports to the buyer now; `share` is the
    /// imposing country's share of the market, `None` where it has none.
    pub fn new(threat: &'a Threat, restricts: bool, share: Option<Ppm>, policy: &Policy) -> Self {
        Self {
            is_unrestricted: !restricts,
            share: Reverse(share),
            weight: Reverse(weight(threat, policy)),
            id: &threat.id,
        }
    }
}

/// The first `max` of ranked items, in the order of their ranks, and the number of the others.
pub fn first_ranked<R: Ord, T>(ranked: impl Iterator<Item = (R, T)>, max: usize) -> (Vec<T>, u32) {
    let mut ranked: Vec<(R, T)> = ranked.collect();
    let omitted = ranked.len().saturating_sub(max);
    if omitted > 0 {
        ranked.select_nth_unstable_by(max, |(one, _), (other, _)| one.cmp(other));
        ranked.truncate(max);
    }
    ranked.sort_unstable_by(|(one, _), (other, _)| one.cmp(other));
    let first = ranked.into_iter().map(|(_, item)| item).collect();
    (first, u32::try_from(omitted).unwrap_or(u32::MAX))
}

/// The threats that an alert shows.
#[derive(Debug, Clone, Default)]
pub(super) struct ShownThreats {
    pub(super) effects: Vec<ThreatEffect>,
    pub(super) omitted: u32,
    /// Also of the threats that are omitted.
    pub(super) imposing: Vec<Country>,
}

/// The threats that count for a rule and a buyer.
#[derive(Debug, Default)]
pub(super) struct CountingThreats {
    pub(super) shown: ShownThreats,
    pub(super) exposure: Exposure,
}

/// The threats that count in one evaluation, computed once for all rules that count the same.
#[derive(Debug, Default)]
pub(super) struct CountingThreatsCache(BTreeMap<(World, MeasureFilter), Arc<CountingThreats>>);

impl CountingThreatsCache {
    /// How many filters are kept; at the limit the cache starts over.
    const FILTERS_MAX: usize = 256;
}

impl Evaluation<'_> {
    /// The threats that count for a rule instance; none where its metric does not react to
    /// measures.
    pub(super) fn counting_threats(
        &mut self,
        market: &Market,
        instance: &RuleInstance,
        world: World,
    ) -> Arc<CountingThreats> {
        if !instance.rule.metric.reacts_to_measures() {
            return Arc::default();
        }
        let filter = MeasureFilter::of(&instance.rule, &instance.destination);
        let key = (world, filter);
        if let Some(known) = self.counting.0.get(&key) {
            return Arc::clone(known);
        }
        let counting = Arc::new(self.count_threats(market, &key.1, world));
        if self.counting.0.len() >= CountingThreatsCache::FILTERS_MAX {
            self.counting.0.clear();
        }
        self.counting.0.insert(key, Arc::clone(&counting));
        counting
    }

    fn count_threats(
        &self,
        market: &Market,
        filter: &MeasureFilter,
        world: World,
    ) -> CountingThreats {
        let (policy, day): (&Policy, _) = (&self.adopted.policy, self.now.day());
        let counting: Vec<&MarketThreat> = market
            .threats
            .values()
            .filter(|one| world == World::Exercise || !one.record.exercise)
            .filter(|one| filter.counts(&one.record.threat, day, policy))
            .collect();
        let exposure = Exposure::of(counting.iter().map(|one| &*one.record.threat), policy);
        let ranked = counting.into_iter().map(|one| {
            let threat = &*one.record.threat;
            let restricts = threat.status(day) == ThreatStatus::InForce;
            (ThreatRank::new(threat, restricts, market.share(threat.imposing), policy), one)
        });
        let (first, omitted) = first_ranked(ranked, Alert::THREATS_MAX);
        let effect = |one| self.threat_effect(one, Some(&filter.destination));
        let effects = first.into_iter().map(effect).collect();
        let imposing = exposure.iter().map(|(country, _)| country).collect();
        CountingThreats { shown: ShownThreats { effects, omitted, imposing }, exposure }
    }

    /// A threat as alerts show it; with a destination, also the members it reaches.
    pub(super) fn threat_effect(
        &self,
        one: &MarketThreat,
        destination: Option<&Destination>,
    ) -> ThreatEffect {
        let threat: &Threat = &one.record.threat;
        let policy: &Policy = &self.adopted.policy;
        ThreatEffect {
            threat: threat.id.clone(),
            state_act: threat.state_act.clone(),
            imposing: threat.imposing,
            scope_match: one.scope_match,
            weight: weight(threat, policy),
            status: threat.status(self.now.day()),
            reached: destination
                .map(|destination| threat.reached(destination, &policy.blocs))
                .unwrap_or_default(),
        }
    }
}
