//! One market against its rules: values, crossings, states and notices.
//!
//! Only what the trigger touches is worked out anew: exposures where a threat or a date may have changed them, values where
//! the report or the exposure did, rules where the value did or time alone may matter.

use super::concentration::Basis;
use super::crossing::Change;
use super::exposure::Exposure;
use super::market::{Market, Memories};
use super::memory::Memory;
use super::plan::{Asked, Plan};
use super::record::ThreatRecord;
use super::state::Adopted;
use crate::domain::alert::Kind;
use crate::domain::share::Interval;
use crate::domain::update::Batch;
use crate::domain::{Alert, Day, MarketKey, Report, Seq, Slug, Timestamp};
use std::sync::Arc;

/// Why a market is evaluated.
#[derive(Debug)]
pub(super) enum Trigger<'a> {
    /// An update of a feed.
    Batch {
        batch: &'a Batch,
        /// What changed in the figures in force, if anything did.
        data: Option<DataChange>,
        /// The threats of the batch that bear on the market now, or did before.
        threats: Vec<Slug>,
        /// Of these, those that were taken from the record.
        retracted: Vec<Arc<ThreatRecord>>,
    },
    /// A deadline.
    Clock {
        /// The threats whose day it is.
        threats: Vec<Slug>,
    },
    /// Other rules.
    Policy,
}

/// What changed in the figures in force.
#[derive(Debug, Default)]
pub(super) struct DataChange {
    /// The release that was in force, where the same source revised what it had said of the same period.
    pub(super) revised: Option<Day>,
    /// The report that was in force; `None` for the first.
    pub(super) before: Option<Arc<Report>>,
}

/// The evaluation of one market at one instant.
pub(super) struct Evaluation<'a> {
    pub(super) adopted: &'a Adopted,
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
pub(super) enum World {
    /// Drills do not count.
    Real,
    /// Drills count as if they were real.
    Drill,
}

/// What is asked of a market in one world, and the value that answers it.
pub(super) struct Seen<'a> {
    pub(super) market: &'a Market,
    pub(super) asked: &'a Asked,
    pub(super) basis: Basis<'a>,
    pub(super) world: World,
    pub(super) value: Interval,
    pub(super) previous_value: Option<Interval>,
}

impl Evaluation<'_> {
    /// Evaluates every rule of the market, then the notices.
    pub(super) fn run(&mut self, market: &mut Market) {
        self.refresh(market);
        // Other rules may look at the same values with other eyes.
        let all = matches!(self.trigger, Trigger::Policy);
        let mut memories = std::mem::take(&mut market.memories);
        let plan = Arc::clone(&market.plan);
        for (asked, memories) in plan.asked.iter().zip(&mut memories) {
            let value = value_of(&market.values, asked);
            if plan.timed || all || market.before.get(asked.view) != Some(&value) {
                self.step(market, asked, &mut memories.real, World::Real, &market.exposures, value);
            }
        }
        self.run_drills(market, &plan, &mut memories);
        market.memories = memories;
        self.notice(market);
    }

    /// Works out exposures and values anew where the trigger may have changed them.
    fn refresh(&self, market: &mut Market) {
        let (data, measures) = match self.trigger {
            Trigger::Batch { data, threats, .. } => (data.is_some(), !threats.is_empty()),
            Trigger::Clock { threats } => (false, !threats.is_empty()),
            Trigger::Policy => (true, true),
        };
        if measures {
            market.exposures = market.expose(&self.adopted.policy, self.now.day(), false);
        }
        let mut values = std::mem::replace(&mut market.before, std::mem::take(&mut market.values));
        values.clear();
        if data || measures {
            market.work_out_values(&self.adopted.policy, &market.exposures, &mut values);
        } else {
            values.extend_from_slice(&market.before);
        }
        market.values = values;
    }

    /// The same once more as if drills were real, where there are any.
    fn run_drills(&mut self, market: &Market, plan: &Plan, memories: &mut [Memories]) {
        let drills = market.bearing.values().any(|one| one.record.exercise);
        if !drills && memories.iter().all(|memories| memories.drill.is_none()) {
            return;
        }
        let exposures = market.expose(&self.adopted.policy, self.now.day(), true);
        let mut values = Vec::new();
        market.work_out_values(&self.adopted.policy, &exposures, &mut values);
        for (asked, memories) in plan.asked.iter().zip(memories) {
            let (value, real) = (value_of(&values, asked), value_of(&market.values, asked));
            if value == real {
                if let Some(mut memory) = memories.drill.take() {
                    self.end(market, asked, &mut memory, World::Drill, real);
                }
                continue;
            }
            let memory = memories.drill.get_or_insert_default();
            self.step(market, asked, memory, World::Drill, &exposures, value);
        }
    }

    /// Hands the memory of the rules before to the rules now; what has no successor is cleared.
    ///
    /// A rule that asks the same of the same keeps its episodes; one that changed its waiting times or thresholds starts
    /// its waits anew.
    pub(super) fn carry_over(&mut self, market: &mut Market, plan: &Arc<Plan>) {
        let old_plan = std::mem::replace(&mut market.plan, Arc::clone(plan));
        let old = std::mem::take(&mut market.memories);
        let mut memories: Vec<Memories> = plan.asked.iter().map(|_| Memories::default()).collect();
        self.refresh(market);
        for (before, mut remembered) in old_plan.asked.iter().zip(old) {
            let successor = plan.asked.iter().position(|asked| asked.succeeds(before));
            if let Some((asked, memory)) =
                successor.and_then(|at| Some((plan.asked.get(at)?, memories.get_mut(at)?)))
            {
                if asked.rule != before.rule {
                    remembered.real.standing.restart_waits();
                    remembered.drill.iter_mut().for_each(|drill| drill.standing.restart_waits());
                }
                *memory = remembered;
                continue;
            }
            if let Some(mut memory) = remembered.drill.take() {
                let value = memory.value.unwrap_or_default();
                self.end(market, before, &mut memory, World::Drill, value);
            }
            let value = remembered.real.value.unwrap_or_default();
            self.end(market, before, &mut remembered.real, World::Real, value);
        }
        market.memories = memories;
    }

    /// Takes a value to a rule's memory, and tells what is news.
    fn step(
        &mut self,
        market: &Market,
        asked: &Asked,
        memory: &mut Memory,
        world: World,
        exposures: &[Exposure],
        value: Interval,
    ) {
        let previous_value = memory.value.replace(value);
        let change = memory.step(&asked.rule, value, self.now);
        let possible = memory.standing.indeterminate(&asked.rule, value);
        let stale = memory.goes_stale(&asked.rule, market.report().report.vintage(), self.now);
        if change.is_none() && possible.is_none() && !stale {
            return;
        }
        let adopted = self.adopted;
        let lens = market.plan.views.get(asked.view).and_then(|view| view.lens);
        let exposure = lens.and_then(|at| exposures.get(at)).unwrap_or(const { &Exposure::NONE });
        let report = &market.report().report;
        let basis = Basis { report, exposure, wgi: &adopted.policy.wgi };
        let seen = Seen { market, asked, basis, world, value, previous_value };
        if let Some((kind, change)) = change {
            self.tell_change(&seen, memory, kind, change);
        }
        if let Some(threshold) = possible {
            self.tell_indeterminate(&seen, memory, threshold);
        }
        if stale {
            self.tell_stale(&seen, memory);
        }
    }

    /// Clears an episode at once, whatever its reset value and `keep` say.
    fn end(
        &mut self,
        market: &Market,
        asked: &Asked,
        memory: &mut Memory,
        world: World,
        value: Interval,
    ) {
        let Some((level, first)) = memory.told_level().zip(asked.rule.thresholds.first()) else {
            return;
        };
        let change = Change { from: Some(level), to: None, threshold: first.reset };
        let adopted = self.adopted;
        let lens = super::exposure::Lens::of(&asked.rule, &asked.destination);
        let counting = market
            .threats(false)
            .filter(|threat| lens.counts(threat, self.now.day(), &adopted.policy));
        let exposure = Exposure::of(counting, &adopted.policy);
        let report = &market.report().report;
        let basis = Basis { report, exposure: &exposure, wgi: &adopted.policy.wgi };
        // The rule may be gone, and its value was last worked out under the policy before: said as it is now.
        let now = basis.value(&asked.rule.metric);
        let previous_value = Some(memory.value.unwrap_or(value));
        let seen = Seen { market, asked, basis, world, value: now, previous_value };
        memory.clear();
        self.tell_change(&seen, memory, Kind::Cleared, change);
    }
}

fn value_of(values: &[Interval], asked: &Asked) -> Interval {
    *values.get(asked.view).expect("one value for each view of the plan")
}
