//! Markets: the reports and threats of a market, and the state of every rule on it.

use super::concentration::MetricInputs;
use super::crossing::QuietRange;
use super::exposure::{Countable, Exposure, MeasureFilter};
use super::instance_state::{Episode, InstanceState};
use super::plan::{EvaluationPlan, PlannedMetric};
use super::record::ThreatRecord;
use super::reports::{SourceReports, StagedSource};
use crate::domain::alert::{ReportRef, ScopeMatch};
use crate::domain::market::Period;
use crate::domain::policy::{Destination, Level, Policy};
use crate::domain::share::Interval;
use crate::domain::threat::ThreatStatus;
use crate::domain::{Country, Day, MarketKey, Ppm, Report, Rule, Slug, Threat, Timestamp};
use serde::{Deserialize, Serialize};
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// The order of a market's sources: by rank in the policy, then the newest period, then the name.
type SourceOrder = (usize, Reverse<Period>, Slug);

/// A report on record. Persisted in snapshots.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReportRecord {
    /// The report as published.
    pub report: Arc<Report>,
    /// When the journal accepted it.
    pub accepted_at: Timestamp,
    /// The feed that published it; `None` where the batch had no sender, so that no feed owns it.
    pub feed: Option<Slug>,
}

impl ReportRecord {
    /// The report as alerts and replies identify it.
    pub fn report_ref(&self) -> ReportRef {
        ReportRef {
            source: self.report.source().clone(),
            period: self.report.period(),
            vintage: self.report.vintage(),
            accepted_at: self.accepted_at,
        }
    }
}

/// A threat on record that concerns a market.
#[derive(Debug, Clone)]
pub struct MarketThreat {
    /// How its minerals match the market.
    pub scope_match: ScopeMatch,
    /// The threat.
    pub record: Arc<ThreatRecord>,
}

/// The states of one rule instance. The exercise state exists only while an exercise makes a
/// difference.
#[derive(Debug, Clone, Default)]
pub(super) struct InstanceStates {
    pub(super) real: InstanceState,
    pub(super) exercise: Option<Box<ExerciseState>>,
}

/// The state as if exercises were real, and the last value. Persisted in snapshots.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(super) struct ExerciseState {
    pub(super) state: InstanceState,
    pub(super) value: Option<Interval>,
}

/// The status of a rule instance in a market.
#[derive(Debug, Clone, Copy)]
#[expect(clippy::struct_excessive_bools, reason = "the flags are independent of each other")]
pub struct RuleStatus<'a> {
    /// The rule.
    pub rule: &'a Rule,
    /// The buyer; `None` where the metric does not react to measures.
    pub destination: Option<&'a Destination>,
    /// The open episode, if a level is active.
    pub episode: Option<Episode>,
    /// The active level, as emitted.
    pub level: Option<Level>,
    /// Whether a higher level is possibly reached.
    pub indeterminate: bool,
    /// Whether the level is held for flapping.
    pub flapping: bool,
    /// Whether the report is older than the rule allows.
    pub stale: bool,
    /// Whether it is the status in exercises.
    pub exercise: bool,
}

/// A market with at least one report.
#[derive(Debug, Clone)]
pub struct Market {
    /// By source; of each source and period at most [`Market::RELEASES_MAX`] releases.
    reports: BTreeMap<Slug, SourceReports>,
    /// One for each source, the one in force first; derived.
    order: BTreeSet<SourceOrder>,
    /// The report in force; the last one, where that was removed.
    in_force: ReportRecord,
    pub(super) threats: BTreeMap<Slug, MarketThreat>,
    /// How many of them are part of an exercise; derived.
    exercise_threats: usize,
    /// The status in the last notice of each threat.
    pub(super) noticed: BTreeMap<Slug, ThreatStatus>,
    pub(super) plan: Arc<EvaluationPlan>,
    /// One per instance of the plan.
    pub(super) states: Vec<InstanceStates>,
    /// One per filter of the plan; derived.
    pub(super) exposures: Vec<Exposure>,
    /// One per metric of the plan; derived.
    pub(super) values: Vec<Interval>,
    /// The values before the last evaluation.
    pub(super) previous_values: Vec<Interval>,
    /// One per metric of the plan: the values to which no rule reacts; derived.
    pub(super) quiet_ranges: Vec<QuietRange>,
    /// Whether a report alone cannot cause a notice; derived, false where not known.
    pub(super) notices_settled: bool,
    /// Whether any instance has an exercise state; derived.
    pub(super) has_exercise_states: bool,
}

impl Market {
    /// How many releases of one source and period are kept; at the limit the oldest is dropped.
    pub const RELEASES_MAX: usize = 16;

    /// A market without reports, threats and rules yet; this report will be in force.
    pub(super) fn new(record: ReportRecord) -> Self {
        Self {
            reports: BTreeMap::new(),
            order: BTreeSet::new(),
            in_force: record,
            threats: BTreeMap::new(),
            exercise_threats: 0,
            noticed: BTreeMap::new(),
            plan: Arc::default(),
            states: Vec::new(),
            exposures: Vec::new(),
            values: Vec::new(),
            previous_values: Vec::new(),
            quiet_ranges: Vec::new(),
            notices_settled: false,
            has_exercise_states: false,
        }
    }

    /// The report in force.
    pub fn report(&self) -> &ReportRecord {
        &self.in_force
    }

    /// The reports on record that are not in force, by source, period and release, each with
    /// whether a newer release replaced it.
    pub fn other_reports(&self) -> impl Iterator<Item = (&ReportRecord, bool)> {
        let periods = self.reports.values().flat_map(SourceReports::periods);
        let all = periods.flat_map(|releases| {
            let newest = releases.len().saturating_sub(1);
            releases.iter().enumerate().map(move |(at, record)| (record, at < newest))
        });
        all.filter(|(record, _)| !Arc::ptr_eq(&record.report, &self.in_force.report))
    }

    /// All reports on record, by source, period and release.
    pub(super) fn reports(&self) -> impl Iterator<Item = &ReportRecord> {
        self.reports.values().flat_map(SourceReports::periods).flatten()
    }

    /// The reports of a source, if any.
    pub(super) fn source(&self, source: &Slug) -> Option<&SourceReports> {
        self.reports.get(source)
    }

    /// Whether no report is left.
    pub(super) fn is_empty(&self) -> bool {
        self.reports.is_empty()
    }

    /// Whether the release of a report is on record.
    pub(super) fn has_release(&self, report: &Report) -> bool {
        let source = self.reports.get(report.source());
        let releases = source.map_or(&[][..], |source| source.releases(report.period()));
        releases.iter().any(|record| record.report.vintage() == report.vintage())
    }

    /// Makes the staged reports of a source lasting, and selects the report in force. Where none
    /// is left, the last one stays in `report`.
    pub(super) fn commit_source(
        &mut self,
        name: &Slug,
        staged: StagedSource,
        policy: Option<&Policy>,
    ) {
        let source = self.reports.entry(name.clone()).or_default();
        if let Some(newest) = source.newest_period() {
            self.order.remove(&(source.rank, Reverse(newest), name.clone()));
        } else {
            source.rank = rank(policy, name);
        }
        source.commit(staged);
        match source.newest_period() {
            Some(newest) => {
                self.order.insert((source.rank, Reverse(newest), name.clone()));
            }
            None => {
                self.reports.remove(name);
            }
        }
        self.select_report();
    }

    /// Ranks the sources again, under another policy, and selects the report in force.
    pub(super) fn rank_sources(&mut self, policy: &Policy) {
        self.order.clear();
        for (name, source) in &mut self.reports {
            source.rank = rank(Some(policy), name);
            let newest = source.newest_period();
            self.order.extend(newest.map(|newest| (source.rank, Reverse(newest), name.clone())));
        }
        self.select_report();
    }

    /// Selects the report in force: by the rank of its source, then the newest period, then the
    /// newest release.
    fn select_report(&mut self) {
        let Some((_, Reverse(period), name)) = self.order.first() else { return };
        let releases = self.reports.get(name).map_or(&[][..], |source| source.releases(*period));
        if let Some(newest) = releases.last() {
            self.in_force = newest.clone();
        }
    }

    /// The threats that concern this market, whether they count or not, by id.
    pub fn threats(&self) -> impl Iterator<Item = &MarketThreat> {
        self.threats.values()
    }

    /// Adds a threat that concerns this market; none of its id is on record.
    pub(super) fn add_threat(&mut self, id: Slug, threat: MarketThreat) {
        self.exercise_threats =
            self.exercise_threats.saturating_add(usize::from(threat.record.exercise));
        self.threats.insert(id, threat);
    }

    pub(super) fn remove_threat(&mut self, id: &Slug) {
        if let Some(removed) = self.threats.remove(id) {
            self.exercise_threats =
                self.exercise_threats.saturating_sub(usize::from(removed.record.exercise));
        }
    }

    /// Whether any threat is part of an exercise.
    pub(super) fn has_exercises(&self) -> bool {
        self.exercise_threats > 0
    }

    /// The share of a country in the report in force.
    pub fn share(&self, country: Country) -> Option<Ppm> {
        self.report().report.share(country)
    }

    /// The status of every rule instance, really and in exercises, by rule and destination.
    pub fn rule_statuses(&self) -> impl Iterator<Item = RuleStatus<'_>> {
        self.plan.instances.iter().zip(&self.states).flat_map(|(instance, states)| {
            let exercise = states.exercise.as_ref().map(|one| &one.state);
            let worlds = [(Some(&states.real), false), (exercise, true)];
            worlds.into_iter().filter_map(|(state, exercise)| {
                let state = state?;
                let reacts = instance.rule.metric.reacts_to_measures();
                Some(RuleStatus {
                    rule: &instance.rule,
                    destination: reacts.then_some(&instance.destination),
                    episode: state.episode,
                    level: state.reported_level(),
                    indeterminate: state.levels.is_indeterminate(),
                    flapping: state.is_flapping(),
                    stale: state.stale,
                    exercise,
                })
            })
        })
    }

    /// About how many evaluations the market takes with a plan: every instance, and every threat;
    /// where exposures are computed, every threat for every filter.
    pub(super) fn evaluation_cost(&self, plan: &EvaluationPlan, measures: bool) -> u64 {
        let (instances, threats) = (plan.instances.len(), self.threats.len());
        let has_exercises = || self.threats.values().any(|one| one.record.exercise);
        let filters = if measures || has_exercises() { plan.filters.len() } else { 0 };
        let exposures = filters.saturating_add(1).saturating_mul(threats);
        u64::try_from(instances.saturating_add(exposures)).unwrap_or(u64::MAX)
    }

    /// Computes everything derived, for a market that was read from a snapshot.
    pub(super) fn compute_derived(&mut self, policy: &Policy, day: Day) {
        self.exposures = self.compute_exposures(policy, day, false);
        let mut values = Vec::new();
        self.compute_values(policy, &self.exposures, &mut values);
        self.values = values;
        self.compute_quiet_ranges();
        self.has_exercise_states = self.states.iter().any(|states| states.exercise.is_some());
    }

    /// Computes the quiet ranges from the states.
    pub(super) fn compute_quiet_ranges(&mut self) {
        self.quiet_ranges.clear();
        self.quiet_ranges.resize(self.plan.metrics.len(), QuietRange::ALL);
        for (instance, states) in self.plan.instances.iter().zip(&self.states) {
            if let Some(range) = self.quiet_ranges.get_mut(instance.metric_index) {
                states.real.narrow_quiet_range(&instance.rule, range);
            }
        }
    }

    /// Adds the value of every metric of the plan.
    pub(super) fn compute_values(
        &self,
        policy: &Policy,
        exposures: &[Exposure],
        values: &mut Vec<Interval>,
    ) {
        let report = &self.report().report;
        let squares =
            MetricInputs { report, exposure: const { &Exposure::NONE }, wgi: &policy.wgi }
                .squares();
        let value = |planned: &PlannedMetric| {
            let exposure = planned.filter_index.map_or(const { &Exposure::NONE }, |at| {
                exposures.get(at).expect("one exposure for each filter of the plan")
            });
            MetricInputs { report, exposure, wgi: &policy.wgi }
                .value_from(&planned.metric, || squares)
        };
        values.extend(self.plan.metrics.iter().map(value));
    }

    /// The next instant after `now` at which time alone may change what a rule emits.
    pub(super) fn next_deadline(&self, now: Timestamp) -> Option<Timestamp> {
        let vintage = self.report().report.vintage();
        let deadlines =
            self.plan.instances.iter().zip(&self.states).flat_map(|(instance, states)| {
                let exercise = states.exercise.as_ref().map(|one| &one.state);
                let worlds = std::iter::once(&states.real).chain(exercise);
                worlds.filter_map(|state| state.next_deadline(&instance.rule, vintage, now))
            });
        deadlines.min()
    }

    /// The exposures on a day, one per filter of the plan.
    pub(super) fn compute_exposures(
        &self,
        policy: &Policy,
        day: Day,
        include_exercises: bool,
    ) -> Vec<Exposure> {
        let threats = self.threat_measures(include_exercises);
        let countable: Vec<(&Threat, Countable)> = threats
            .filter_map(|threat| Countable::on(threat, day).map(|countable| (threat, countable)))
            .collect();
        let exposure = |filter: &MeasureFilter| {
            let counts = |one: &&(&Threat, Countable)| filter.counts_as(one.0, one.1, policy);
            let counting = countable.iter().filter(counts).map(|(threat, _)| *threat);
            Exposure::of(counting, policy)
        };
        self.plan.filters.iter().map(exposure).collect()
    }

    /// The threats that concern this market.
    pub(super) fn threat_measures(&self, include_exercises: bool) -> impl Iterator<Item = &Threat> {
        let threats =
            self.threats.values().filter(move |one| include_exercises || !one.record.exercise);
        threats.map(|one| &*one.record.threat)
    }
}

/// The rank of a source; all rank the same without a policy.
fn rank(policy: Option<&Policy>, source: &Slug) -> usize {
    policy.map_or(0, |policy| policy.source_rank(source))
}

/// How a threat's minerals match a market, by the catalogue's groups; `None` where its minerals or
/// stages do not.
pub fn scope_match(threat: &Threat, market: MarketKey) -> Option<ScopeMatch> {
    if !threat.stages.is_empty() && !threat.stages.contains(&market.stage) {
        return None;
    }
    let matches = threat.minerals.iter().filter_map(|mineral| {
        if *mineral == market.mineral {
            Some(ScopeMatch::Exact)
        } else if market.mineral.is_within(*mineral) {
            Some(ScopeMatch::Group)
        } else {
            mineral.is_within(market.mineral).then_some(ScopeMatch::Partial)
        }
    });
    matches.min()
}
