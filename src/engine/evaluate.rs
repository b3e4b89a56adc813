//! One market against its rules: values, crossings, and the alerts they make.

use super::concentration::{leaders, value, why};
use super::crossing::Change;
use super::exposure::{Exposure, Lens, weight};
use super::market::{Episode, Market, Memory, Watch};
use super::record::ThreatRecord;
use super::state::Adopted;
use crate::domain::alert::{Bearing, Cause, Kind};
use crate::domain::share::Interval;
use crate::domain::update::Batch;
use crate::domain::{Alert, MarketKey, Rule, Seq, Slug, Threat, Timestamp};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Why a market is evaluated.
#[derive(Debug)]
pub(super) enum Trigger<'a> {
    /// An update of a feed.
    Batch {
        batch: &'a Batch,
        /// Whether the figures in force changed.
        report: bool,
        /// The threats of the batch that bear on the market now, or did before.
        threats: Vec<Slug>,
    },
    /// A deadline.
    Clock {
        /// The threats whose day it is.
        threats: Vec<Slug>,
    },
    /// Other rules.
    Policy,
}

/// The evaluation of one market at one instant.
pub(super) struct Evaluation<'a> {
    pub(super) adopted: &'a Adopted,
    pub(super) threats: &'a BTreeMap<Slug, ThreatRecord>,
    pub(super) entry: Seq,
    pub(super) now: Timestamp,
    pub(super) journal_time: Timestamp,
    pub(super) key: MarketKey,
    pub(super) trigger: &'a Trigger<'a>,
    pub(super) last_alert: &'a mut u64,
    pub(super) alerts: &'a mut Vec<Alert>,
}

/// Whose world a value is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum World {
    /// Drills do not count.
    Real,
    /// Drills count as if they were real.
    Drill,
}

impl Evaluation<'_> {
    /// Evaluates every rule of the market.
    pub(super) fn run(&mut self, market: &mut Market) {
        let mut watches = std::mem::take(&mut market.watches);
        let drills = market.bearing.keys().any(|id| self.is_drill(id));
        for watch in &mut watches {
            let real = self.exposure(market, watch, World::Real);
            let now = value(&watch.rule.metric, &market.report().report, &real);
            self.step(market, watch, World::Real, now, &real);
            if !drills && watch.drill.is_none() {
                continue;
            }
            let drill = self.exposure(market, watch, World::Drill);
            let in_drill = value(&watch.rule.metric, &market.report().report, &drill);
            if in_drill == now {
                self.end_drill(market, watch, now, &real);
            } else {
                self.step(market, watch, World::Drill, in_drill, &drill);
            }
        }
        market.watches = watches;
    }

    /// Hands the memory of the rules before to the rules now; what has no successor is cleared.
    ///
    /// A rule that asks the same of the same keeps its episodes; one that changed its waiting times or thresholds starts
    /// its waits anew.
    pub(super) fn carry_over(&mut self, market: &mut Market, before: Vec<Watch>) {
        let mut watches = std::mem::take(&mut market.watches);
        for mut old in before {
            let same = |new: &&mut Watch| {
                new.rule.name == old.rule.name
                    && new.destination == old.destination
                    && new.rule.metric == old.rule.metric
            };
            if let Some(new) = watches.iter_mut().find(same) {
                (new.real, new.drill) = (old.real, old.drill);
                if new.rule != old.rule {
                    new.real.standing.restart_waits();
                    new.drill.iter_mut().for_each(|drill| drill.standing.restart_waits());
                }
                continue;
            }
            let exposure = self.exposure(market, &old, World::Real);
            let now = value(&old.rule.metric, &market.report().report, &exposure);
            self.end_drill(market, &mut old, now, &exposure);
            let mut memory = old.real;
            self.end(market, &old, &mut memory, World::Real, now, &exposure);
        }
        market.watches = watches;
    }

    fn is_drill(&self, id: &Slug) -> bool {
        self.threats.get(id).is_some_and(|record| record.exercise)
    }

    fn counting<'s>(
        &'s self,
        market: &'s Market,
        watch: &'s Watch,
        world: World,
    ) -> impl Iterator<Item = &'s Threat> {
        let lens = Lens { destination: &watch.destination, measures: &watch.rule.measures };
        let reacts = watch.rule.metric.reacts_to_measures();
        let day = self.now.day();
        market
            .bearing
            .keys()
            .filter(move |_| reacts)
            .filter_map(|id| self.threats.get(id))
            .filter(move |record| world == World::Drill || !record.exercise)
            .map(|record| &*record.threat)
            .filter(move |threat| lens.counts(threat, day, &self.adopted.policy))
    }

    fn exposure(&self, market: &Market, watch: &Watch, world: World) -> Exposure {
        Exposure::of(self.counting(market, watch, world), &self.adopted.policy)
    }

    fn step(
        &mut self,
        market: &Market,
        watch: &mut Watch,
        world: World,
        now: Interval,
        exposure: &Exposure,
    ) {
        let rule = Arc::clone(&watch.rule);
        let memory = match world {
            World::Real => &mut watch.real,
            World::Drill => watch.drill.get_or_insert_default(),
        };
        let before = memory.value.replace(now);
        let Some(change) = memory.standing.step(&rule, now, self.now) else { return };
        let mut told = *memory;
        self.tell(market, watch, &mut told, world, change, (now, before), exposure);
        match world {
            World::Real => watch.real = told,
            World::Drill => watch.drill = Some(told),
        }
    }

    /// Ends a drill that makes no difference any more.
    fn end_drill(
        &mut self,
        market: &Market,
        watch: &mut Watch,
        now: Interval,
        exposure: &Exposure,
    ) {
        if let Some(mut memory) = watch.drill.take() {
            self.end(market, watch, &mut memory, World::Drill, now, exposure);
        }
    }

    /// Clears an episode at once, whatever its reset value and `keep` say.
    fn end(
        &mut self,
        market: &Market,
        watch: &Watch,
        memory: &mut Memory,
        world: World,
        now: Interval,
        exposure: &Exposure,
    ) {
        if let (Some(level), Some(first)) = (memory.standing.level, watch.rule.thresholds.first()) {
            let change = Change { from: Some(level), to: None, threshold: first.reset };
            let before = memory.value;
            memory.standing.clear();
            self.tell(market, watch, memory, world, change, (now, before), exposure);
        }
    }

    #[expect(clippy::too_many_arguments, reason = "an alert has this many sides")]
    fn tell(
        &mut self,
        market: &Market,
        watch: &Watch,
        memory: &mut Memory,
        world: World,
        change: Change,
        (value, previous_value): (Interval, Option<Interval>),
        exposure: &Exposure,
    ) {
        *self.last_alert = self.last_alert.checked_add(1).expect("2^64 alerts cannot be sent");
        let sequence = *self.last_alert;
        let previous = memory.episode.map(|episode| episode.latest);
        let episode = memory.episode.map_or(sequence, |episode| episode.id);
        memory.episode = change.to.map(|_| Episode { id: episode, latest: sequence });
        let record = market.report();
        let report = &record.report;
        let alert = Alert {
            sequence,
            entry: self.entry,
            episode,
            kind: kind(change),
            rule: watch.rule.name.clone(),
            policy_version: self.adopted.version,
            level: change.to,
            previous_level: change.from,
            market: self.key,
            destination: watch.shown_destination(),
            metric: watch.rule.metric.clone(),
            value,
            previous_value,
            threshold: change.threshold,
            cause: self.cause(market, &watch.rule),
            why: why(&watch.rule.metric, report, exposure),
            leaders: leaders(report),
            bearing: self.bearing(market, watch, world),
            flags: report.flags().to_vec(),
            report: record.name(),
            event_time: self.now,
            journal_time: self.journal_time,
            previous,
            exercise: world == World::Drill,
        };
        self.alerts.push(alert);
    }

    fn bearing(&self, market: &Market, watch: &Watch, world: World) -> Vec<Bearing> {
        let bearing = self.counting(market, watch, world).filter_map(|threat| {
            Some(Bearing {
                threat: threat.id.clone(),
                state_act: threat.state_act.clone(),
                imposing: threat.imposing,
                scope_match: *market.bearing.get(&threat.id)?,
                weight: weight(threat, &self.adopted.policy),
            })
        });
        bearing.collect()
    }

    fn cause(&self, market: &Market, rule: &Rule) -> Cause {
        match self.trigger {
            Trigger::Batch { batch, report, threats } => {
                let (feed, request_id) = (batch.feed.clone(), batch.request_id);
                let by_threat = rule.metric.reacts_to_measures() && !threats.is_empty();
                if by_threat || !report {
                    Cause::Threat { feed, request_id, threats: threats.clone() }
                } else {
                    Cause::Data { feed, request_id, report: market.report().name() }
                }
            }
            Trigger::Clock { threats } => Cause::Clock { threats: threats.clone() },
            Trigger::Policy => Cause::Policy,
        }
    }
}

fn kind(change: Change) -> Kind {
    match (change.from, change.to) {
        (None, _) => Kind::Raised,
        (Some(_), None) => Kind::Cleared,
        (Some(from), Some(to)) if to > from => Kind::Escalated,
        (Some(_), Some(_)) => Kind::Deescalated,
    }
}
