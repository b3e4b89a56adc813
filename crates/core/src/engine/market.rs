//! Markets: the reports and threats of a market, and the state of every rule on it.

use super::concentration::MetricInputs;
use super::crossing::QuietRange;
use super::exposure::{Countable, Exposure, MeasureFilter};
use super::instance_state::{Episode, InstanceState};
use super::plan::{EvaluationPlan, PlannedMetric};
use super::record::ThreatRecord;
use crate::domain::alert::{ReportRef, ScopeMatch};
use crate::domain::market::Period;
use crate::domain::policy::{Destination, Level, Policy};
use crate::domain::share::Interval;
use crate::domain::threat::ThreatStatus;
use crate::domain::{Country, Day, MarketKey, Ppm, Report, Rule, Slug, Threat, Timestamp};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Identifies a release of a report: source, period, day of release. The last of a source and
/// period is the newest.
pub(super) type Release = (Slug, Period, Day);

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

    pub(super) fn release(&self) -> Release {
        (self.report.source().clone(), self.report.period(), self.report.vintage())
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
    /// By source, period and release; of each source and period at most [`Market::RELEASES_MAX`].
    pub(super) reports: BTreeMap<Release, ReportRecord>,
    pub(super) in_force: Release,
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

    /// A market with its first report.
    pub(super) fn new(record: ReportRecord) -> Self {
        let release = record.release();
        Self {
            reports: BTreeMap::from([(release.clone(), record)]),
            in_force: release,
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
        self.reports.get(&self.in_force).expect("the report in force is on record")
    }

    /// The reports on record that are not in force, by source, period and release, each with
    /// whether a newer release replaced it.
    pub fn other_reports(&self) -> impl Iterator<Item = (&ReportRecord, bool)> {
        let others = self.reports.iter().filter(|(release, _)| **release != self.in_force);
        others.map(|((source, period, vintage), record)| {
            let newest = self.newest(source, *period).map(|newest| newest.report.vintage());
            (record, newest > Some(*vintage))
        })
    }

    /// The newest release of a source's report for a period.
    pub(super) fn newest(&self, source: &Slug, period: Period) -> Option<&ReportRecord> {
        self.releases(source, period).next_back()
    }

    /// A feed other than this one that has published reports of the source on this market.
    pub(super) fn owned_by_other_feed(&self, source: &Slug, feed: &Slug) -> Option<&Slug> {
        let of_source = self.reports.values().filter(|record| record.report.source() == source);
        of_source.filter_map(|record| record.feed.as_ref()).find(|owner| *owner != feed)
    }

    /// The release of a report on record, if any.
    pub(super) fn release(&self, report: &Report) -> Option<&ReportRecord> {
        if self.is_in_force(report) {
            return Some(self.report());
        }
        let found = self.releases(report.source(), report.period());
        found.rev().find(|record| record.report.vintage() == report.vintage())
    }

    fn releases(
        &self,
        source: &Slug,
        period: Period,
    ) -> impl DoubleEndedIterator<Item = &ReportRecord> {
        let (first, last) = (Day::MIN, Day::MAX);
        let range = (source.clone(), period, first)..=(source.clone(), period, last);
        self.reports.range(range).map(|(_, record)| record)
    }

    /// Whether a report is the release in force.
    fn is_in_force(&self, report: &Report) -> bool {
        let (source, period, vintage) = &self.in_force;
        report.vintage() == *vintage && report.period() == *period && report.source() == source
    }

    /// Records a release, and drops the oldest of its source and period at the limit.
    pub(super) fn record_release(&mut self, record: ReportRecord) {
        if self.is_in_force(&record.report)
            && let Some(known) = self.reports.get_mut(&self.in_force)
        {
            *known = record;
            return;
        }
        let (source, period) = (record.report.source().clone(), record.report.period());
        self.reports.insert(record.release(), record);
        let mut releases = self.releases(&source, period);
        let oldest = releases.next().map(ReportRecord::release);
        if releases.count() >= Self::RELEASES_MAX
            && let Some(oldest) = oldest
        {
            self.reports.remove(&oldest);
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

    /// Selects the report in force: by the rank of its source, then the newest period, then the
    /// newest release.
    pub(super) fn select_report(&mut self, policy: Option<&Policy>) {
        let rank = |source: &Slug| policy.map_or(0, |policy| policy.source_rank(source));
        let best = self.reports.keys().min_by(|one, other| {
            let ((source, period, vintage), (other, other_period, other_vintage)) = (one, other);
            (rank(source), other_period, source, other_vintage).cmp(&(
                rank(other),
                period,
                other,
                vintage,
            ))
        });
        let best = best.expect("a market has a report");
        if *best != self.in_force {
            self.in_force = best.clone();
        }
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
