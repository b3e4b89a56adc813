//! One market against its rules: values, crossings, states and notices.
//!
//! Only what the trigger touches is worked out anew: exposures where a threat or a date may have changed them, values where
//! the report or the exposure did, rules where the value did or time alone may matter.

use super::concentration::MetricInputs;
use super::crossing::LevelChange;
use super::exposure::{Exposure, MeasureFilter};
use super::instance_state::InstanceState;
use super::market::{InstanceStates, Market};
use super::plan::{EvaluationPlan, RuleInstance};
use super::record::ThreatRecord;
use super::state::AdoptedPolicy;
use crate::domain::alert::{ChangedThreat, Kind};
use crate::domain::share::Interval;
use crate::domain::update::Batch;
use crate::domain::{Alert, Day, MarketKey, Report, Seq, Timestamp};
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
        threats: Vec<ChangedThreat>,
        /// Of these, those that were removed from the record.
        retracted: Vec<Arc<ThreatRecord>>,
    },
    /// A deadline.
    Clock {
        /// The threats of which a date came.
        threats: Vec<ChangedThreat>,
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
    pub(super) adopted: &'a AdoptedPolicy,
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
    Exercise,
}

/// What is instance of a market in one world, and the value that answers it.
pub(super) struct Evaluated<'a> {
    pub(super) market: &'a Market,
    pub(super) instance: &'a RuleInstance,
    pub(super) basis: MetricInputs<'a>,
    pub(super) world: World,
    pub(super) value: Interval,
    pub(super) previous_value: Option<Interval>,
}

impl Evaluation<'_> {
    /// Evaluates every rule of the market that may have something to say, then the notices.
    pub(super) fn run(&mut self, market: &mut Market) {
        self.refresh(market);
        let plan = Arc::clone(&market.plan);
        let moved = plan.is_timed || !is_quiet(market, &plan);
        if moved {
            let mut states = std::mem::take(&mut market.states);
            for (instance, states) in plan.instances.iter().zip(&mut states) {
                let value = value_of(&market.values, instance);
                let before = market.before.get(instance.metric_index).copied();
                if plan.is_timed || before != Some(value) {
                    let step = ValueChange { world: World::Real, value, before };
                    self.step(market, instance, &mut states.real, &market.exposures, &step);
                }
            }
            market.states = states;
            market.compute_quiet_ranges();
        }
        self.run_exercises(market, &plan);
        let by_report =
            matches!(self.trigger, Trigger::Batch { threats, .. } if threats.is_empty());
        if !(by_report && market.notices_settled) {
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
            market.exposures =
                market.compute_exposures(&self.adopted.policy, self.now.day(), false);
        }
        let mut values = std::mem::replace(&mut market.before, std::mem::take(&mut market.values));
        values.clear();
        if data || measures {
            market.compute_values(&self.adopted.policy, &market.exposures, &mut values);
        } else {
            values.extend_from_slice(&market.before);
        }
        market.values = values;
    }

    /// The same once more as if drills were real, where there are any.
    fn run_exercises(&mut self, market: &mut Market, plan: &EvaluationPlan) {
        let exercises = market.threats.values().any(|one| one.record.exercise);
        if !exercises && !market.has_exercise_states {
            return;
        }
        let exposures = market.compute_exposures(&self.adopted.policy, self.now.day(), true);
        let mut values = Vec::new();
        market.compute_values(&self.adopted.policy, &exposures, &mut values);
        let mut states = std::mem::take(&mut market.states);
        for (instance, states) in plan.instances.iter().zip(&mut states) {
            let (value, real) = (value_of(&values, instance), value_of(&market.values, instance));
            if value == real {
                if let Some(mut exercise) = states.exercise.take() {
                    let before = exercise.value.unwrap_or(real);
                    self.clear_episode(
                        market,
                        instance,
                        &mut exercise.state,
                        World::Exercise,
                        before,
                    );
                }
                continue;
            }
            let exercise = states.exercise.get_or_insert_default();
            let before = exercise.value.replace(value);
            let step = ValueChange { world: World::Exercise, value, before };
            self.step(market, instance, &mut exercise.state, &exposures, &step);
        }
        market.has_exercise_states = states.iter().any(|states| states.exercise.is_some());
        market.states = states;
    }

    /// Evaluates every rule of another policy. Each takes over the state of the rule before that instance the same of the
    /// same, and starts its waits anew where thresholds or times changed; what has no successor is cleared.
    pub(super) fn run_new_policy(&mut self, market: &mut Market, plan: &Arc<EvaluationPlan>) {
        let old_plan = std::mem::replace(&mut market.plan, Arc::clone(plan));
        let old_values = std::mem::take(&mut market.values);
        let old = std::mem::take(&mut market.states);
        self.refresh(market);
        let mut states: Vec<InstanceStates> = Vec::new();
        states.resize_with(plan.instances.len(), InstanceStates::default);
        let mut befores = vec![None; plan.instances.len()];
        for (instance, mut remembered) in old_plan.instances.iter().zip(old) {
            let before = old_values.get(instance.metric_index).copied();
            let Some(at) = plan.instances.iter().position(|one| one.succeeds(instance)) else {
                self.clear_removed_rule(market, instance, remembered, before.unwrap_or_default());
                continue;
            };
            if plan.instances.get(at).is_some_and(|one| one.rule != instance.rule) {
                remembered.real.levels.restart_waits();
                remembered.exercise.iter_mut().for_each(|one| one.state.levels.restart_waits());
            }
            states.splice(at..=at, [remembered]);
            befores.splice(at..=at, [before]);
        }
        for ((instance, states), before) in plan.instances.iter().zip(&mut states).zip(befores) {
            let step = ValueChange {
                world: World::Real,
                value: value_of(&market.values, instance),
                before,
            };
            self.step(market, instance, &mut states.real, &market.exposures, &step);
        }
        market.has_exercise_states = states.iter().any(|states| states.exercise.is_some());
        market.states = states;
        market.compute_quiet_ranges();
        self.run_exercises(market, plan);
        self.notice(market);
    }

    /// Clears what a rule that is gone remembers.
    fn clear_removed_rule(
        &mut self,
        market: &Market,
        instance: &RuleInstance,
        mut gone: InstanceStates,
        before: Interval,
    ) {
        if let Some(mut exercise) = gone.exercise.take() {
            let before = exercise.value.unwrap_or(before);
            self.clear_episode(market, instance, &mut exercise.state, World::Exercise, before);
        }
        self.clear_episode(market, instance, &mut gone.real, World::Real, before);
    }

    /// Takes a value to a rule's state, and tells what is draft.
    fn step(
        &mut self,
        market: &Market,
        instance: &RuleInstance,
        state: &mut InstanceState,
        exposures: &[Exposure],
        step: &ValueChange,
    ) {
        let ValueChange { world, value, before: previous_value } = *step;
        let change = state.step(&instance.rule, value, self.now);
        let possible = state.levels.indeterminate(&instance.rule, value);
        let stale = state.goes_stale(&instance.rule, market.report().report.vintage(), self.now);
        if change.is_none() && possible.is_none() && !stale {
            return;
        }
        let adopted = self.adopted;
        let filter =
            market.plan.metrics.get(instance.metric_index).and_then(|metric| metric.filter_index);
        let exposure = filter.and_then(|at| exposures.get(at)).unwrap_or(const { &Exposure::NONE });
        let report = &market.report().report;
        let basis = MetricInputs { report, exposure, wgi: &adopted.policy.wgi };
        let evaluated = Evaluated { market, instance, basis, world, value, previous_value };
        if let Some((kind, change)) = change {
            self.emit_level_change(&evaluated, state, kind, change);
        }
        if let Some(threshold) = possible {
            self.emit_indeterminate(&evaluated, state, threshold);
        }
        if stale {
            self.emit_stale(&evaluated, state);
        }
    }

    /// Clears an episode at once, whatever its reset value and `keep` say.
    fn clear_episode(
        &mut self,
        market: &Market,
        instance: &RuleInstance,
        state: &mut InstanceState,
        world: World,
        before: Interval,
    ) {
        let Some((level, first)) = state.reported_level().zip(instance.rule.thresholds.first())
        else {
            return;
        };
        let change = LevelChange { from: Some(level), to: None, threshold: first.reset };
        let adopted = self.adopted;
        let filter = MeasureFilter::of(&instance.rule, &instance.destination);
        let counting = market
            .threat_measures(false)
            .filter(|threat| filter.counts(threat, self.now.day(), &adopted.policy));
        let exposure = Exposure::of(counting, &adopted.policy);
        let report = &market.report().report;
        let basis = MetricInputs { report, exposure: &exposure, wgi: &adopted.policy.wgi };
        // The rule may be gone, and its value was last worked out under the policy before: said as it is now.
        let value = basis.value(&instance.rule.metric);
        let evaluated =
            Evaluated { market, instance, basis, world, value, previous_value: Some(before) };
        state.clear();
        self.emit_level_change(&evaluated, state, Kind::Cleared, change);
    }
}

/// A value, and the one before it.
struct ValueChange {
    world: World,
    value: Interval,
    before: Option<Interval>,
}

/// Whether every value of a market is one that no rule has anything to say of.
fn is_quiet(market: &Market, plan: &EvaluationPlan) -> bool {
    let values = plan.metrics.iter().zip(&market.values).zip(&market.quiet_ranges);
    // A market that is new has no values from before, and every rule looks at it once.
    market.before.len() == market.values.len()
        && values.into_iter().all(|((metric, value), range)| range.has(&metric.metric, *value))
}

fn value_of(values: &[Interval], instance: &RuleInstance) -> Interval {
    *values.get(instance.metric_index).expect("one value for each view of the plan")
}
