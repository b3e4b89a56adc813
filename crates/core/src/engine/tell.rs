//! What is told: alerts put together.

use super::concentration::{self, Basis};
use super::crossing::Change;
use super::evaluate::{DataChange, Evaluation, Seen, Trigger, World};
use super::exposure::{Lens, weight};
use super::market::{BearingRecord, Market};
use super::memory::{Episode, Memory};
use crate::domain::alert::{Bearing, Cause, Kind, Why};
use crate::domain::market::Flag;
use crate::domain::policy::{Destination, Level, Policy};
use crate::domain::rule::{Metric, Threshold};
use crate::domain::share::{Amount, Interval};
use crate::domain::{Alert, Country, Ppm, Slug, Threat};

/// What an alert says besides what every alert does.
pub(super) struct News {
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
    pub(super) why: Why,
    pub(super) bearing: Vec<Bearing>,
    pub(super) stale: bool,
    pub(super) exercise: bool,
}

impl Evaluation<'_> {
    /// A level was crossed, or is held from now on.
    pub(super) fn tell_change(
        &mut self,
        seen: &Seen<'_>,
        memory: &mut Memory,
        kind: Kind,
        change: Change,
    ) {
        let mut news = self.news(seen, memory, kind, change.threshold);
        (news.level, news.previous_level) = (change.to, change.from);
        let sequence = self.tell(seen.market, news, memory.episode);
        let id = memory.episode.map_or(sequence, |episode| episode.id);
        memory.episode = change.to.map(|_| Episode { id, latest: sequence });
    }

    /// A threshold lies inside the interval.
    pub(super) fn tell_indeterminate(
        &mut self,
        seen: &Seen<'_>,
        memory: &mut Memory,
        threshold: Threshold,
    ) {
        let mut news = self.news(seen, memory, Kind::Indeterminate, threshold.raise);
        news.possible_level = Some(threshold.level);
        self.tell_beside(seen.market, news, memory);
    }

    /// The report is older than the rule allows.
    pub(super) fn tell_stale(&mut self, seen: &Seen<'_>, memory: &mut Memory) {
        let news = self.news(seen, memory, Kind::Stale, 0);
        self.tell_beside(seen.market, news, memory);
    }

    /// What changes no level: part of the episode, where one is open.
    fn tell_beside(&mut self, market: &Market, news: News, memory: &mut Memory) {
        let sequence = self.tell(market, news, memory.episode);
        if let Some(episode) = &mut memory.episode {
            episode.latest = sequence;
        }
    }

    fn news(&self, seen: &Seen<'_>, memory: &Memory, kind: Kind, threshold: Amount) -> News {
        let rule = &seen.asked.rule;
        let level = memory.told_level();
        News {
            kind,
            rule: rule.name.clone(),
            level,
            previous_level: level,
            possible_level: None,
            destination: seen.asked.shown_destination(),
            metric: rule.metric.clone(),
            value: seen.value,
            previous_value: seen.previous_value,
            threshold,
            why: seen.basis.why(&rule.metric),
            bearing: self.bearing(seen),
            stale: memory.stale,
            exercise: seen.world == World::Drill,
        }
    }

    /// Puts an alert together and gives its sequence.
    pub(super) fn tell(&mut self, market: &Market, news: News, episode: Option<Episode>) -> u64 {
        *self.last_alert = self.last_alert.checked_add(1).expect("2^64 alerts cannot be sent");
        let sequence = *self.last_alert;
        let record = market.report();
        let mut flags = record.report.flags().to_vec();
        flags.extend(news.stale.then_some(Flag::Stale));
        let leaders = concentration::leaders(&record.report);
        let cause = self.cause(market, &news.metric);
        self.alerts.push(Alert {
            sequence,
            entry: self.entry,
            episode: episode.map_or(sequence, |episode| episode.id),
            kind: news.kind,
            rule: news.rule,
            policy_version: self.adopted.version,
            level: news.level,
            previous_level: news.previous_level,
            possible_level: news.possible_level,
            market: self.key,
            destination: news.destination,
            metric: news.metric,
            value: news.value,
            previous_value: news.previous_value,
            threshold: news.threshold,
            previous_leaders: self.previous_leaders(&cause, &leaders),
            cause,
            why: news.why,
            leaders,
            bearing: news.bearing,
            flags,
            report: record.name(),
            event_time: self.now,
            journal_time: self.journal_time,
            previous: episode.map(|episode| episode.latest),
            exercise: news.exercise,
        });
        sequence
    }

    /// Whose share was the largest before, where data made it another's.
    fn previous_leaders(&self, cause: &Cause, leaders: &[Country]) -> Vec<Country> {
        match (cause, self.trigger) {
            (Cause::Data { .. }, Trigger::Batch { data: Some(DataChange { before, .. }), .. }) => {
                let then = before.as_ref().map(|report| concentration::leaders(report));
                then.filter(|then| then != leaders).unwrap_or_default()
            }
            _ => Vec::new(),
        }
    }

    /// The threats that count for what is asked.
    fn bearing(&self, seen: &Seen<'_>) -> Vec<Bearing> {
        let rule = &seen.asked.rule;
        if !rule.metric.reacts_to_measures() {
            return Vec::new();
        }
        let destination = &seen.asked.destination;
        let lens = Lens::of(rule, destination);
        let day = self.now.day();
        let bearing = seen
            .market
            .bearing
            .values()
            .filter(|one| seen.world == World::Drill || !one.record.exercise)
            .filter(|one| lens.counts(&one.record.threat, day, &self.adopted.policy));
        bearing.map(|one| self.one_bearing(one, Some(destination))).collect()
    }

    /// A threat as alerts name it; with a destination also the members that it reaches.
    pub(super) fn one_bearing(
        &self,
        one: &BearingRecord,
        destination: Option<&Destination>,
    ) -> Bearing {
        let threat: &Threat = &one.record.threat;
        let policy: &Policy = &self.adopted.policy;
        Bearing {
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

    fn cause(&self, market: &Market, metric: &Metric) -> Cause {
        match self.trigger {
            Trigger::Batch { batch, data, threats, .. } => {
                let (feed, request_id) = (batch.feed.clone(), batch.request_id);
                let by_threat = metric.reacts_to_measures() && !threats.is_empty();
                match data {
                    Some(data) if !by_threat => Cause::Data {
                        feed,
                        request_id,
                        report: market.report().name(),
                        revised: data.revised,
                    },
                    Some(_) | None => Cause::Threat { feed, request_id, threats: threats.clone() },
                }
            }
            Trigger::Clock { threats } => Cause::Clock { threats: threats.clone() },
            Trigger::Policy => Cause::Policy,
        }
    }

    /// A notice: what one country holds, and the threat of it.
    pub(super) fn notice_of(
        &self,
        market: &Market,
        bearing: Bearing,
        threshold: Ppm,
        exercise: bool,
    ) -> News {
        let metric = Metric::CountryShare(bearing.imposing);
        let exposure = const { &super::exposure::Exposure::NONE };
        let report = &market.report().report;
        let basis = Basis { report, exposure, wgi: &self.adopted.policy.wgi };
        News {
            kind: Kind::Notice,
            rule: Slug::parse(Policy::NOTICE).expect("a plain word is a name"),
            level: None,
            previous_level: None,
            possible_level: None,
            destination: None,
            value: basis.value(&metric),
            previous_value: None,
            threshold: i64::from(threshold.get()),
            why: basis.why(&metric),
            metric,
            bearing: vec![bearing],
            stale: false,
            exercise,
        }
    }
}
