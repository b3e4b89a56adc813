//! Emission: builds alerts from what the evaluation found.

use super::concentration::{self, MetricInputs};
use super::crossing::LevelChange;
use super::effects::ShownThreats;
use super::evaluate::{DataChange, Evaluated, Evaluation, Trigger, World};
use super::instance_state::{Episode, InstanceState};
use super::market::Market;
use crate::domain::alert::{Cause, ChangedThreats, Contribution, Kind, ThreatEffect};
use crate::domain::market::Flag;
use crate::domain::policy::{Destination, Level, Policy};
use crate::domain::rule::{Metric, Threshold};
use crate::domain::share::{Amount, Interval};
use crate::domain::{Alert, Country, Ppm, Slug};

/// The fields of an alert that depend on its kind.
pub(super) struct AlertDraft {
    pub(super) kind: Kind,
    pub(super) rule: Slug,
    pub(super) level: Option<Level>,
    pub(super) previous_level: Option<Level>,
    pub(super) possible_level: Option<Level>,
    pub(super) destination: Option<Destination>,
    pub(super) metric: Metric,
    pub(super) value: Interval,
    pub(super) previous_value: Option<Interval>,
    pub(super) threshold: Amount,
    pub(super) contributions: Vec<Contribution>,
    pub(super) threats: ShownThreats,
    pub(super) stale: bool,
    pub(super) exercise: bool,
}

impl Evaluation<'_> {
    /// Emits a change of level, and opens, continues or ends the episode.
    pub(super) fn emit_level_change(
        &mut self,
        evaluated: &Evaluated<'_>,
        state: &mut InstanceState,
        kind: Kind,
        change: LevelChange,
    ) {
        let mut draft = self.draft_alert(evaluated, state, kind, change.threshold);
        (draft.level, draft.previous_level) = (change.to, change.from);
        let sequence = self.emit(evaluated.market, draft, state.episode);
        let id = state.episode.map_or(sequence, |episode| episode.id);
        state.episode = change.to.map(|_| Episode { id, latest: sequence });
    }

    /// Emits that a level is possibly reached.
    pub(super) fn emit_indeterminate(
        &mut self,
        evaluated: &Evaluated<'_>,
        state: &mut InstanceState,
        threshold: Threshold,
    ) {
        let mut draft = self.draft_alert(evaluated, state, Kind::Indeterminate, threshold.raise);
        draft.possible_level = Some(threshold.level);
        self.emit_within_episode(evaluated.market, draft, state);
    }

    /// Emits that the report is stale.
    pub(super) fn emit_stale(&mut self, evaluated: &Evaluated<'_>, state: &mut InstanceState) {
        let draft = self.draft_alert(evaluated, state, Kind::Stale, 0);
        self.emit_within_episode(evaluated.market, draft, state);
    }

    /// Emits an alert that changes no level; it belongs to the episode, where one is open.
    fn emit_within_episode(
        &mut self,
        market: &Market,
        draft: AlertDraft,
        state: &mut InstanceState,
    ) {
        let sequence = self.emit(market, draft, state.episode);
        if let Some(episode) = &mut state.episode {
            episode.latest = sequence;
        }
    }

    fn draft_alert(
        &mut self,
        evaluated: &Evaluated<'_>,
        state: &InstanceState,
        kind: Kind,
        threshold: Amount,
    ) -> AlertDraft {
        let rule = &evaluated.instance.rule;
        let level = state.reported_level();
        let counting = self.counting_threats(evaluated.market, evaluated.instance, evaluated.world);
        AlertDraft {
            kind,
            rule: rule.name.clone(),
            level,
            previous_level: level,
            possible_level: None,
            destination: evaluated.instance.shown_destination(),
            metric: rule.metric.clone(),
            value: evaluated.value,
            previous_value: evaluated.previous_value,
            threshold,
            contributions: evaluated.inputs.contributions(&rule.metric),
            threats: counting.shown.clone(),
            stale: state.stale,
            exercise: evaluated.world == World::Exercise,
        }
    }

    /// Emits an alert, and returns its sequence.
    pub(super) fn emit(
        &mut self,
        market: &Market,
        draft: AlertDraft,
        episode: Option<Episode>,
    ) -> u64 {
        *self.last_alert =
            self.last_alert.checked_add(1).expect("fewer than 2^64 alerts are emitted");
        let sequence = *self.last_alert;
        let record = market.report();
        let mut flags = record.report.flags().to_vec();
        flags.extend(draft.stale.then_some(Flag::Stale));
        let leaders = concentration::leaders(&record.report);
        let cause = self.cause(market, &draft.metric);
        let alert = Alert {
            sequence,
            entry: self.entry,
            episode: episode.map_or(sequence, |episode| episode.id),
            kind: draft.kind,
            rule: draft.rule,
            policy_version: self.adopted.version,
            level: draft.level,
            previous_level: draft.previous_level,
            possible_level: draft.possible_level,
            market: self.key,
            destination: draft.destination,
            metric: draft.metric,
            value: draft.value,
            previous_value: draft.previous_value,
            threshold: draft.threshold,
            previous_leaders: self.previous_leaders(&cause, &leaders),
            cause,
            contributions: draft.contributions,
            leaders,
            threat_effects: draft.threats.effects,
            threat_effects_omitted: draft.threats.omitted,
            imposing: draft.threats.imposing,
            flags,
            report: record.report_ref(),
            event_time: self.now,
            journal_time: self.journal_time,
            previous: episode.map(|episode| episode.latest),
            exercise: draft.exercise,
        };
        (self.sink)(alert);
        sequence
    }

    /// The leaders before, where data changed them.
    fn previous_leaders(&self, cause: &Cause, leaders: &[Country]) -> Vec<Country> {
        match (cause, self.trigger) {
            (
                Cause::Data { .. } | Cause::ReportRemoval { .. },
                Trigger::Batch { data: Some(DataChange { before, .. }), .. },
            ) => {
                let then = before.as_ref().map(|report| concentration::leaders(report));
                then.filter(|then| then != leaders).unwrap_or_default()
            }
            _ => Vec::new(),
        }
    }

    fn cause(&self, market: &Market, metric: &Metric) -> Cause {
        match self.trigger {
            Trigger::Batch { batch, data, threats, .. } => {
                let (feed, request_id) = (batch.feed.clone(), batch.request_id);
                let by_threat = metric.reacts_to_measures() && !threats.is_empty();
                match data {
                    Some(DataChange { removed: Some(removed), .. }) if !by_threat => {
                        Cause::ReportRemoval { feed, request_id, removed: removed.clone() }
                    }
                    Some(data) if !by_threat => Cause::Data {
                        feed,
                        request_id,
                        report: market.report().report_ref(),
                        revised: data.revised,
                    },
                    Some(_) | None => {
                        Cause::Threat { feed, request_id, threats: ChangedThreats::of(threats) }
                    }
                }
            }
            Trigger::Clock { threats } => Cause::Clock { threats: ChangedThreats::of(threats) },
            Trigger::Policy => Cause::Policy,
        }
    }

    /// The fields of a notice: the imposing country's share, and the threat.
    pub(super) fn draft_notice(
        &self,
        market: &Market,
        effect: ThreatEffect,
        threshold: Ppm,
        exercise: bool,
    ) -> AlertDraft {
        let metric = Metric::CountryShare(effect.imposing);
        let exposure = const { &super::exposure::Exposure::NONE };
        let report = &market.report().report;
        let inputs = MetricInputs { report, exposure, wgi: &self.adopted.policy.wgi };
        AlertDraft {
            kind: Kind::Notice,
            rule: Slug::parse(Policy::NOTICE).expect("the name of notices is a slug"),
            level: None,
            previous_level: None,
            possible_level: None,
            destination: None,
            value: inputs.value(&metric),
            previous_value: None,
            threshold: i64::from(threshold.get()),
            contributions: inputs.contributions(&metric),
            metric,
            threats: ShownThreats {
                imposing: vec![effect.imposing],
                effects: vec![effect],
                omitted: 0,
            },
            stale: false,
            exercise,
        }
    }
}
