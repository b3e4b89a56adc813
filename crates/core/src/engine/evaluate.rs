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
    /// Evaluates every rule of the market that may have something to say, then the notices.
    pub(super) fn run(&mut self, market: &mut Market) {
        self.refresh(market);
        let plan = Arc::clone(&market.plan);
        let moved = plan.timed || !is_quiet(market, &plan);
        if moved {
            let mut memories = std::mem::take(&mut market.memories);
            for (asked, memories) in plan.asked.iter().zip(&mut memories) {
                let value = value_of(&market.values, asked);
                let before = market.before.get(asked.view).copied();
                if plan.timed || before != Some(value) {
                    let step = Step { world: World::Real, value, before };
                    self.step(market, asked, &mut memories.real, &market.exposures, &step);
                }
            }
            market.memories = memories;
            market.narrow_bands();
        }
        self.run_drills(market, &plan);
        let by_report =
            matches!(self.trigger, Trigger::Batch { threats, .. } if threats.is_empty());
        if !(by_report && market.is_silent) {
            self.notice(market);
        }
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
    fn run_drills(&mut self, market: &mut Market, plan: &Plan) {
        let drills = market.bearing.values().any(|one| one.record.exercise);
        if !drills && !market.is_in_drill {
            return;
        }
        let exposures = market.expose(&self.adopted.policy, self.now.day(), true);
        let mut values = Vec::new();
        market.work_out_values(&self.adopted.policy, &exposures, &mut values);
        let mut memories = std::mem::take(&mut market.memories);
        for (asked, memories) in plan.asked.iter().zip(&mut memories) {
            let (value, real) = (value_of(&values, asked), value_of(&market.values, asked));
            if value == real {
                if let Some(mut drill) = memories.drill.take() {
                    let before = drill.value.unwrap_or(real);
                    self.end(market, asked, &mut drill.memory, World::Drill, before);
                }
                continue;
            }
            let drill = memories.drill.get_or_insert_default();
            let before = drill.value.replace(value);
            let step = Step { world: World::Drill, value, before };
            self.step(market, asked, &mut drill.memory, &exposures, &step);
        }
        market.is_in_drill = memories.iter().any(|memories| memories.drill.is_some());
        market.memories = memories;
    }

    /// Evaluates every rule of another policy. Each takes over the memory of the rule before that asked the same of the
    /// same, and starts its waits anew where thresholds or times changed; what has no successor is cleared.
    pub(super) fn run_policy(&mut self, market: &mut Market, plan: &Arc<Plan>) {
        let old_plan = std::mem::replace(&mut market.plan, Arc::clone(plan));
        let old_values = std::mem::take(&mut market.values);
        let old = std::mem::take(&mut market.memories);
        self.refresh(market);
        let mut memories: Vec<Memories> = Vec::new();
        memories.resize_with(plan.asked.len(), Memories::default);
        let mut befores = vec![None; plan.asked.len()];
        for (asked, mut remembered) in old_plan.asked.iter().zip(old) {
            let before = old_values.get(asked.view).copied();
            let Some(at) = plan.asked.iter().position(|one| one.succeeds(asked)) else {
                self.end_all(market, asked, remembered, before.unwrap_or_default());
                continue;
            };
            if plan.asked.get(at).is_some_and(|one| one.rule != asked.rule) {
                remembered.real.standing.restart_waits();
                remembered.drill.iter_mut().for_each(|one| one.memory.standing.restart_waits());
            }
            memories.splice(at..=at, [remembered]);
            befores.splice(at..=at, [before]);
        }
        for ((asked, memories), before) in plan.asked.iter().zip(&mut memories).zip(befores) {
            let step = Step { world: World::Real, value: value_of(&market.values, asked), before };
            self.step(market, asked, &mut memories.real, &market.exposures, &step);
        }
        market.is_in_drill = memories.iter().any(|memories| memories.drill.is_some());
        market.memories = memories;
        market.narrow_bands();
        self.run_drills(market, plan);
        self.notice(market);
    }

    /// Clears what a rule that is gone remembers.
    fn end_all(&mut self, market: &Market, asked: &Asked, mut gone: Memories, before: Interval) {
        if let Some(mut drill) = gone.drill.take() {
            let before = drill.value.unwrap_or(before);
            self.end(market, asked, &mut drill.memory, World::Drill, before);
        }
        self.end(market, asked, &mut gone.real, World::Real, before);
    }

    /// Takes a value to a rule's memory, and tells what is news.
    fn step(
        &mut self,
        market: &Market,
        asked: &Asked,
        memory: &mut Memory,
        exposures: &[Exposure],
        step: &Step,
    ) {
        let Step { world, value, before: previous_value } = *step;
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
        before: Interval,
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
        let value = basis.value(&asked.rule.metric);
        let seen = Seen { market, asked, basis, world, value, previous_value: Some(before) };
        memory.clear();
        self.tell_change(&seen, memory, Kind::Cleared, change);
    }
}

/// A value, and the one before it.
struct Step {
    world: World,
    value: Interval,
    before: Option<Interval>,
}

/// Whether every value of a market is one that no rule has anything to say of.
fn is_quiet(market: &Market, plan: &Plan) -> bool {
    let values = plan.views.iter().zip(&market.values).zip(&market.bands);
    // A market that is new has no values from before, and every rule looks at it once.
    market.before.len() == market.values.len()
        && values.into_iter().all(|((view, value), band)| band.has(&view.metric, *value))
}

fn value_of(values: &[Interval], asked: &Asked) -> Interval {
    *values.get(asked.view).expect("one value for each view of the plan")
}
