//! A market: the reports of it, the threats that bear on it, and what every rule remembers of it.

use super::concentration::MetricInputs;
use super::crossing::QuietRange;
use super::exposure::{Exposure, MeasureFilter};
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

/// Which release of which report of a market: source, period, day of release. Of one source and period the last is newest.
pub(super) type Release = (Slug, Period, Day);

/// A report on record. Persisted in snapshots.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReportRecord {
    /// As published.
    pub report: Arc<Report>,
    /// When the journal took it.
    pub accepted_at: Timestamp,
    /// Who published it; `None` where it was sent before senders were kept: it is nobody's.
    pub feed: Option<Slug>,
}

impl ReportRecord {
    /// How the report is named in alerts and answers.
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

/// A threat on record that is about a market.
#[derive(Debug, Clone)]
pub struct MarketThreat {
    /// How it is about it.
    pub scope_match: ScopeMatch,
    /// The threat.
    pub record: Arc<ThreatRecord>,
}

/// What a rule remembers, and what it would if a drill were real; the latter only while a drill makes a difference.
#[derive(Debug, Clone, Default)]
pub(super) struct InstanceStates {
    pub(super) real: InstanceState,
    pub(super) exercise: Option<Box<ExerciseState>>,
}

/// What a rule would remember if a drill were real, and the value then. Persisted in snapshots.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(super) struct ExerciseState {
    pub(super) state: InstanceState,
    pub(super) value: Option<Interval>,
}

/// How a market stands with a rule, for one of its destinations.
#[derive(Debug, Clone, Copy)]
#[expect(clippy::struct_excessive_bools, reason = "each is true or not, whatever the others are")]
pub struct RuleStatus<'a> {
    /// The rule.
    pub rule: &'a Rule,
    /// For whom; `None` where the metric does not react to measures.
    pub destination: Option<&'a Destination>,
    /// The open episode, if a level is up.
    pub episode: Option<Episode>,
    /// The level that is up, as it was told.
    pub level: Option<Level>,
    /// Whether a graver level's raise value lies inside the value's interval.
    pub indeterminate: bool,
    /// Whether the level comes and goes and is held at its gravest.
    pub flapping: bool,
    /// Whether the report is older than the rule allows.
    pub stale: bool,
    /// Whether it is a drill's.
    pub exercise: bool,
}

/// A market of which at least one report was made.
#[derive(Debug, Clone)]
pub struct Market {
    /// By source, period and release; of each source and period at most [`Market::RELEASES_MAX`].
    pub(super) reports: BTreeMap<Release, ReportRecord>,
    pub(super) in_force: Release,
    pub(super) threats: BTreeMap<Slug, MarketThreat>,
    /// The status of every threat of which a notice was told.
    pub(super) noticed: BTreeMap<Slug, ThreatStatus>,
    pub(super) plan: Arc<EvaluationPlan>,
    /// One for each that is instance by the plan.
    pub(super) states: Vec<InstanceStates>,
    /// One for each filter of the plan; derived.
    pub(super) exposures: Vec<Exposure>,
    /// One for each view of the plan; derived.
    pub(super) values: Vec<Interval>,
    /// What they were before the last evaluation.
    pub(super) before: Vec<Interval>,
    /// One for each view of the plan: values that no rule has anything to say of; derived.
    pub(super) quiet_ranges: Vec<QuietRange>,
    /// Whether no threat about it can be draft by a report alone; derived, false where not known.
    pub(super) notices_settled: bool,
    /// Whether a drill makes a difference to a rule; derived.
    pub(super) has_exercise_states: bool,
}

impl Market {
    /// How many releases of one source and period are kept; at the bound the oldest leaves.
    pub const RELEASES_MAX: usize = 16;

    /// A market with its first report.
    pub(super) fn new(record: ReportRecord) -> Self {
        let release = record.release();
        Self {
            reports: BTreeMap::from([(release.clone(), record)]),
            in_force: release,
            threats: BTreeMap::new(),
            noticed: BTreeMap::new(),
            plan: Arc::default(),
            states: Vec::new(),
            exposures: Vec::new(),
            values: Vec::new(),
            before: Vec::new(),
            quiet_ranges: Vec::new(),
            notices_settled: false,
            has_exercise_states: false,
        }
    }

    /// The report in force.
    pub fn report(&self) -> &ReportRecord {
        self.reports.get(&self.in_force).expect("the report in force is on record")
    }

    /// Reports on record that are not in force, by source, period and release, and whether a newer release took their
    /// place.
    pub fn other_reports(&self) -> impl Iterator<Item = (&ReportRecord, bool)> {
        let others = self.reports.iter().filter(|(release, _)| **release != self.in_force);
        others.map(|((source, period, vintage), record)| {
            let newest = self.newest(source, *period).map(|newest| newest.report.vintage());
            (record, newest > Some(*vintage))
        })
    }

    /// The newest release of what a source says of a period.
    pub(super) fn newest(&self, source: &Slug, period: Period) -> Option<&ReportRecord> {
        self.releases(source, period).next_back()
    }

    /// One release; at once where it is the one in force.
    /// The feed, other than this one, that has published what a source says of the market.
    pub(super) fn published_by_another(&self, source: &Slug, feed: &Slug) -> Option<&Slug> {
        let of_source = self.reports.values().filter(|record| record.report.source() == source);
        of_source.filter_map(|record| record.feed.as_ref()).find(|owner| *owner != feed)
    }

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

    /// Whether a report is of the release in force.
    fn is_in_force(&self, report: &Report) -> bool {
        let (source, period, vintage) = &self.in_force;
        report.vintage() == *vintage && report.period() == *period && report.source() == source
    }

    /// Records a release, and forgets the oldest of its source and period at the bound.
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

    /// Threats about this market, whether they count or not, by id.
    pub fn threats(&self) -> impl Iterator<Item = &MarketThreat> {
        self.threats.values()
    }

    /// The share of a country in the report in force.
    pub fn share(&self, country: Country) -> Option<Ppm> {
        self.report().report.share(country)
    }

    /// How the market stands with every rule, in the real world and in drills, by rule and destination.
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
                    flapping: state.is_held(),
                    stale: state.stale,
                    exercise,
                })
            })
        })
    }

    /// Puts the report in force that the policy prefers: by source order, then the newest period, then the newest release.
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

    /// Works out what is derived: for a market that was read from a snapshot.
    pub(super) fn compute_derived(&mut self, policy: &Policy, day: Day) {
        self.exposures = self.compute_exposures(policy, day, false);
        let mut values = Vec::new();
        self.compute_values(policy, &self.exposures, &mut values);
        self.values = values;
        self.compute_quiet_ranges();
        self.has_exercise_states = self.states.iter().any(|states| states.exercise.is_some());
    }

    /// Works out the quiet_ranges from what the rules remember.
    pub(super) fn compute_quiet_ranges(&mut self) {
        self.quiet_ranges.clear();
        self.quiet_ranges.resize(self.plan.metrics.len(), QuietRange::ALL);
        for (instance, states) in self.plan.instances.iter().zip(&self.states) {
            if let Some(range) = self.quiet_ranges.get_mut(instance.metric_index) {
                states.real.narrow_quiet_range(&instance.rule, range);
            }
        }
    }

    /// Adds the value of every view of the plan.
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

    /// The next instant after `now` at which time alone may change what a rule says.
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

    /// Whose measures reach whom on a day, one for each filter; `drills` says whether those count.
    pub(super) fn compute_exposures(
        &self,
        policy: &Policy,
        day: Day,
        include_exercises: bool,
    ) -> Vec<Exposure> {
        let filters = self.plan.filters.iter();
        let exposure = |filter: &MeasureFilter| {
            let counting = self
                .threat_measures(include_exercises)
                .filter(|threat| filter.counts(threat, day, policy));
            Exposure::of(counting, policy)
        };
        filters.map(exposure).collect()
    }

    /// Threats about this market; `drills` says whether those of drills are among them.
    pub(super) fn threat_measures(&self, include_exercises: bool) -> impl Iterator<Item = &Threat> {
        let threats =
            self.threats.values().filter(move |one| include_exercises || !one.record.exercise);
        threats.map(|one| &*one.record.threat)
    }
}

/// How a threat bears on a market, if it does: by stage, and by mineral through the catalogue's groups.
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
