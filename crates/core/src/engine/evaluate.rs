//! Evaluation: the values, levels and notices of one market.
//!
//! Only what the trigger can change is computed again: exposures where a threat or a date may have
//! changed them, values where the report or the exposure did, rules where the value did or time
//! alone may matter.

use super::concentration::MetricInputs;
use super::crossing::LevelChange;
use super::effects::CountingThreatsCache;
use super::exposure::Exposure;
use super::instance_state::InstanceState;
use super::market::{InstanceStates, Market, ReportRecord};
use super::plan::{EvaluationPlan, RuleInstance};
use super::record::ThreatRecord;
use super::state::{AdoptedPolicy, AlertSink};
use crate::domain::alert::{ChangedThreat, Kind, ReportRef};
use crate::domain::share::Interval;
use crate::domain::update::Batch;
use crate::domain::{Day, MarketKey, Report, Seq, Timestamp};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Why a market is evaluated.
#[derive(Debug)]
pub(super) enum Trigger<'a> {
    /// A batch changed the market.
    Batch {
        batch: &'a Batch,
        /// The change of the report in force, if any.
        data: Option<DataChange>,
        /// The threats of the batch that concern the market now or did before.
        threats: Vec<ChangedThreat>,
        /// Those of them that were removed from the record.
        retracted: Vec<Arc<ThreatRecord>>,
    },
    /// A deadline came.
    Clock {
        /// The threats of which a date came.
        threats: Vec<ChangedThreat>,
    },
    /// Another policy came into force.
    Policy,
}

impl Trigger<'_> {
    /// Whether it may have changed which measures count.
    pub(super) fn changes_measures(&self) -> bool {
        match self {
            Self::Batch { threats, .. } | Self::Clock { threats } => !threats.is_empty(),
            Self::Policy => true,
        }
    }
}

/// A change of the report in force.
#[derive(Debug, Default)]
pub(super) struct DataChange {
    /// The vintage that was in force, where the same source revised the same period.
    pub(super) revised: Option<Day>,
    /// The report that was in force; `None` for the first.
    pub(super) before: Option<Arc<Report>>,
    /// The report that was in force, where it was removed from the record.
    pub(super) removed: Option<ReportRef>,
}

impl DataChange {
    /// The change of the report in force from the one before, if any.
    pub(super) fn between(before: ReportRecord, market: &Market) -> Option<Self> {
        let after = &market.report().report;
        if before.report == *after && !market.is_empty() {
            return None;
        }
        let same =
            after.source() == before.report.source() && after.period() == before.report.period();
        let is_removed = !market.has_release(&before.report) && (!same || market.is_empty());
        let revised = (same && !is_removed).then(|| before.report.vintage());
        let removed = is_removed.then(|| before.report_ref());
        Some(Self { revised, before: Some(before.report), removed })
    }
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
    pub(super) sink: AlertSink<'a>,
    pub(super) counting: CountingThreatsCache,
}

/// The two worlds in which every rule is evaluated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum World {
    /// Without exercises.
    Real,
    /// As if exercises were real.
    Exercise,
}

/// A rule instance with its inputs and value in one world.
pub(super) struct Evaluated<'a> {
    pub(super) market: &'a Market,
    pub(super) instance: &'a RuleInstance,
    pub(super) inputs: MetricInputs<'a>,
    pub(super) world: World,
    pub(super) value: Interval,
    pub(super) previous_value: Option<Interval>,
}

impl Evaluation<'_> {
    /// Evaluates every rule that may emit something, then the notices.
    pub(super) fn run(&mut self, market: &mut Market) {
        self.refresh(market);
        let plan = Arc::clone(&market.plan);
        if plan.is_timed || !is_quiet(market, &plan) {
            let mut states = std::mem::take(&mut market.states);
            for (instance, states) in plan.instances.iter().zip(&mut states) {
                let value = value_of(&market.values, instance);
                let before = market.previous_values.get(instance.metric_index).copied();
                if plan.is_timed || before != Some(value) {
                    let change = ValueChange { world: World::Real, value, before };
                    self.apply_value(
                        market,
                        instance,
                        &mut states.real,
                        &market.exposures,
                        &change,
                    );
                }
            }
            market.states = states;
            market.compute_quiet_ranges();
        }
        self.run_exercises(market, &plan);
        let is_report_only =
            matches!(self.trigger, Trigger::Batch { threats, .. } if threats.is_empty());
        if !(is_report_only && market.notices_settled) {
            self.emit_notices(market);
        }
    }

    /// Computes exposures and values again where the trigger may have changed them.
    fn refresh(&self, market: &mut Market) {
        let data = match self.trigger {
            Trigger::Batch { data, .. } => data.is_some(),
            Trigger::Clock { .. } => false,
            Trigger::Policy => true,
        };
        let measures = self.trigger.changes_measures();
        if measures {
            market.exposures =
                market.compute_exposures(&self.adopted.policy, self.now.day(), false);
        }
        let mut values =
            std::mem::replace(&mut market.previous_values, std::mem::take(&mut market.values));
        values.clear();
        if data || measures {
            market.compute_values(&self.adopted.policy, &market.exposures, &mut values);
        } else {
            values.extend_from_slice(&market.previous_values);
        }
        market.values = values;
    }

    /// Evaluates all rules as if exercises were real, where there are any.
    fn run_exercises(&mut self, market: &mut Market, plan: &EvaluationPlan) {
        if !market.has_exercises() && !market.has_exercise_states {
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
            let change = ValueChange { world: World::Exercise, value, before };
            self.apply_value(market, instance, &mut exercise.state, &exposures, &change);
        }
        market.has_exercise_states = states.iter().any(|states| states.exercise.is_some());
        market.states = states;
    }

    /// Evaluates every rule of another policy. An instance takes over the state of the one it
    /// succeeds, and restarts its waits where its thresholds or times changed. Instances without a
    /// successor are cleared.
    pub(super) fn run_new_policy(&mut self, market: &mut Market, plan: &Arc<EvaluationPlan>) {
        let old_plan = std::mem::replace(&mut market.plan, Arc::clone(plan));
        let old_values = std::mem::take(&mut market.values);
        let old = std::mem::take(&mut market.states);
        self.refresh(market);
        let mut states: Vec<InstanceStates> = Vec::new();
        states.resize_with(plan.instances.len(), InstanceStates::default);
        let mut befores = vec![None; plan.instances.len()];
        let successors: BTreeMap<_, usize> =
            plan.instances.iter().map(RuleInstance::identity).zip(0..).collect();
        for (instance, mut inherited) in old_plan.instances.iter().zip(old) {
            let before = old_values.get(instance.metric_index).copied();
            let Some(at) = successors.get(&instance.identity()).copied() else {
                self.clear_removed_rule(market, instance, inherited, before.unwrap_or_default());
                continue;
            };
            if plan.instances.get(at).is_some_and(|one| one.rule != instance.rule) {
                inherited.real.levels.restart_waits();
                inherited.exercise.iter_mut().for_each(|one| one.state.levels.restart_waits());
            }
            states.splice(at..=at, [inherited]);
            befores.splice(at..=at, [before]);
        }
        for ((instance, states), before) in plan.instances.iter().zip(&mut states).zip(befores) {
            let change = ValueChange {
                world: World::Real,
                value: value_of(&market.values, instance),
                before,
            };
            self.apply_value(market, instance, &mut states.real, &market.exposures, &change);
        }
        market.has_exercise_states = states.iter().any(|states| states.exercise.is_some());
        market.states = states;
        market.compute_quiet_ranges();
        self.run_exercises(market, plan);
        self.emit_notices(market);
    }

    /// Clears every open episode of a market whose last report was removed.
    pub(super) fn run_removed_market(&mut self, market: &mut Market) {
        let plan = Arc::clone(&market.plan);
        let states = std::mem::take(&mut market.states);
        for (instance, states) in plan.instances.iter().zip(states) {
            let before = market.values.get(instance.metric_index).copied().unwrap_or_default();
            self.clear_removed_rule(market, instance, states, before);
        }
    }

    /// Clears the episodes of a rule instance that is gone.
    fn clear_removed_rule(
        &mut self,
        market: &Market,
        instance: &RuleInstance,
        mut removed: InstanceStates,
        before: Interval,
    ) {
        if let Some(mut exercise) = removed.exercise.take() {
            let before = exercise.value.unwrap_or(before);
            self.clear_episode(market, instance, &mut exercise.state, World::Exercise, before);
        }
        self.clear_episode(market, instance, &mut removed.real, World::Real, before);
    }

    /// Applies a value to a rule instance, and emits what changed.
    fn apply_value(
        &mut self,
        market: &Market,
        instance: &RuleInstance,
        state: &mut InstanceState,
        exposures: &[Exposure],
        value_change: &ValueChange,
    ) {
        let ValueChange { world, value, before: previous_value } = *value_change;
        let change = state.apply(&instance.rule, value, self.now);
        let possible = state.levels.take_indeterminate(&instance.rule, value);
        let became_stale =
            state.becomes_stale(&instance.rule, market.report().report.vintage(), self.now);
        if change.is_none() && possible.is_none() && !became_stale {
            return;
        }
        let adopted = self.adopted;
        let filter =
            market.plan.metrics.get(instance.metric_index).and_then(|metric| metric.filter_index);
        let exposure = filter.and_then(|at| exposures.get(at)).unwrap_or(const { &Exposure::NONE });
        let report = &market.report().report;
        let inputs = MetricInputs { report, exposure, wgi: &adopted.policy.wgi };
        let evaluated = Evaluated { market, instance, inputs, world, value, previous_value };
        if let Some((kind, change)) = change {
            self.emit_level_change(&evaluated, state, kind, change);
        }
        if let Some(threshold) = possible {
            self.emit_indeterminate(&evaluated, state, threshold);
        }
        if became_stale {
            self.emit_stale(&evaluated, state);
        }
    }

    /// Clears an episode at once, without regard to the reset value and `keep`.
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
        let counting = self.counting_threats(market, instance, World::Real);
        let report = &market.report().report;
        let inputs =
            MetricInputs { report, exposure: &counting.exposure, wgi: &adopted.policy.wgi };
        // The rule may be gone, and its last value belongs to the previous policy: computed as of
        // now.
        let value = inputs.value(&instance.rule.metric);
        let evaluated =
            Evaluated { market, instance, inputs, world, value, previous_value: Some(before) };
        state.clear();
        self.emit_level_change(&evaluated, state, Kind::Cleared, change);
    }
}

struct ValueChange {
    world: World,
    value: Interval,
    before: Option<Interval>,
}

/// Whether no rule of the market reacts to its values.
fn is_quiet(market: &Market, plan: &EvaluationPlan) -> bool {
    let values = plan.metrics.iter().zip(&market.values).zip(&market.quiet_ranges);
    // A new market has no previous values, and every rule evaluates it once.
    market.previous_values.len() == market.values.len()
        && values.into_iter().all(|((metric, value), range)| range.has(&metric.metric, *value))
}

fn value_of(values: &[Interval], instance: &RuleInstance) -> Interval {
    *values.get(instance.metric_index).expect("one value per metric of the plan")
}
