//! The state, and how entries change it.

use super::deadlines::{Deadlines, Due};
use super::effects::CountingThreatsCache;
use super::evaluate::{DataChange, Evaluation, Trigger};
use super::market::{InstanceStates, Market, MarketThreat, scope_match};
use super::plan::PlanCache;
use super::recent_batches::{BatchResult, RecentBatches};
use super::record::{BatchChanges, BatchReviewer, ThreatRecord};
use super::reports::StagedSource;
use super::usage::Usage;
use super::work::{WorkMeter, count};
use crate::domain::alert::{ChangedThreat, ScopeMatch, ThreatChange};
use crate::domain::limit::{RecordLimit, Tally};
use crate::domain::outcome::{BatchOutcome, RejectedBatch, UpdateOutcomes};
use crate::domain::policy::Policy;
use crate::domain::update::{Batch, Payload};
use crate::domain::{Alert, Day, Entry, MarketKey, Seq, Slug, Stage, Threat, Timestamp};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// The policy in force.
#[derive(Debug, Clone)]
pub struct AdoptedPolicy {
    /// The entry that adopted it.
    pub version: Seq,
    /// When it was adopted.
    pub at: Timestamp,
    /// The number that orders it among other policies; 0 without one.
    pub revision: u64,
    /// The policy.
    pub policy: Arc<Policy>,
}

/// The result of applying an entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AppliedEntry {
    /// The entry.
    pub entry: Seq,
    /// The alerts it caused, in order.
    pub alerts: Vec<Alert>,
}

/// What receives the alerts of an entry, in order.
pub type AlertSink<'a> = &'a mut dyn FnMut(Alert);

/// Everything that follows from the entries so far.
#[derive(Debug, Clone)]
pub struct State {
    pub(super) seq: Seq,
    pub(super) now: Timestamp,
    /// The sequence of the last alert.
    pub(super) last_alert: u64,
    pub(super) adopted: Option<AdoptedPolicy>,
    pub(super) markets: BTreeMap<MarketKey, Market>,
    pub(super) threats: BTreeMap<Slug, Arc<ThreatRecord>>,
    pub(super) plans: PlanCache,
    pub(super) recent_batches: RecentBatches,
    pub(super) deadlines: Deadlines,
    /// How much of each limit the reports and threats use; derived.
    pub(super) usage: Usage,
    /// Without a limit, except in simulations.
    pub(super) work: WorkMeter,
}

impl Default for State {
    /// Before the first entry.
    fn default() -> Self {
        Self {
            seq: Seq::ZERO,
            now: Timestamp::MIN,
            last_alert: 0,
            adopted: None,
            markets: BTreeMap::new(),
            threats: BTreeMap::new(),
            plans: PlanCache::default(),
            recent_batches: RecentBatches::default(),
            deadlines: Deadlines::default(),
            usage: Usage::default(),
            work: WorkMeter::default(),
        }
    }
}

impl State {
    /// Before the first entry, with a policy in force from the beginning.
    pub fn under(policy: Arc<Policy>) -> Self {
        let plans = PlanCache::new(&policy);
        let adopted = AdoptedPolicy { version: Seq::ZERO, at: Timestamp::MIN, revision: 0, policy };
        Self { adopted: Some(adopted), plans, ..Self::default() }
    }

    /// The position of the last entry applied.
    pub fn seq(&self) -> Seq {
        self.seq
    }

    /// The journal's time: that of the last entry.
    pub fn now(&self) -> Timestamp {
        self.now
    }

    /// The policy in force; `None` before the first was adopted.
    pub fn adopted(&self) -> Option<&AdoptedPolicy> {
        self.adopted.as_ref()
    }

    /// All markets with at least one report.
    pub fn markets(&self) -> &BTreeMap<MarketKey, Market> {
        &self.markets
    }

    /// All threats on record, by id.
    pub fn threats(&self) -> &BTreeMap<Slug, Arc<ThreatRecord>> {
        &self.threats
    }

    /// For every limit, the most that any feed, market or source that it is counted for holds.
    pub fn usage(&self) -> BTreeMap<RecordLimit, Tally> {
        self.usage.fullest()
    }

    /// The results of recent batches.
    pub fn recent_batches(&self) -> &RecentBatches {
        &self.recent_batches
    }

    /// The result of a batch that was applied; `None` if it is no longer kept.
    pub fn result_of(&self, batch: &Batch) -> Option<&Arc<BatchResult>> {
        self.recent_batches.get(batch.sender_name(), batch.request_id)
    }

    /// The next deadline, at which a tick must be appended; `None` where nothing is due.
    pub fn next_deadline(&self) -> Option<Timestamp> {
        self.deadlines.next()
    }

    /// The sequences of the latest alerts of all open episodes.
    pub fn open_alerts(&self) -> BTreeSet<u64> {
        let statuses = self.markets.values().flat_map(Market::rule_statuses);
        statuses.filter_map(|status| status.episode).map(|episode| episode.latest).collect()
    }

    /// Applies the next entry. What was due before its time happens first, in order of the
    /// deadlines.
    ///
    /// # Panics
    ///
    /// Where the entry is not the next one: the journal guarantees order without gaps.
    pub fn apply(&mut self, entry: &Entry) -> AppliedEntry {
        let mut alerts = Vec::new();
        self.apply_with(entry, &mut |alert| alerts.push(alert));
        AppliedEntry { entry: entry.seq, alerts }
    }

    /// The same, with each alert passed on as it is emitted: for entries whose alerts need not fit
    /// into memory.
    ///
    /// # Panics
    ///
    /// As [`Self::apply`].
    pub fn apply_with(&mut self, entry: &Entry, sink: AlertSink<'_>) {
        assert_eq!(entry.seq, self.seq.next(), "entries arrive in order, without gaps");
        assert!(entry.at >= self.now, "the journal's time never goes back");
        self.seq = entry.seq;
        while self.work.stop().is_none()
            && let Some((at, due)) = self.deadlines.pop_due(entry.at)
        {
            self.now = at;
            self.process_due(due, entry.at, sink);
        }
        self.now = entry.at;
        match &entry.payload {
            Payload::Batch(batch) => self.apply_batch(batch, sink),
            Payload::PolicyAdopted { revision, policy } => {
                self.adopt_policy(*revision, policy, sink);
            }
            Payload::Tick { .. } => {}
        }
    }

    fn process_due(&mut self, due: Vec<Due>, journal_time: Timestamp, sink: AlertSink<'_>) {
        let mut touched: BTreeMap<MarketKey, Vec<ChangedThreat>> = BTreeMap::new();
        for due in due {
            match due {
                Due::Market(market) => {
                    touched.entry(market).or_default();
                }
                Due::Threat(id) => {
                    let Some(record) = self.threats.get(&id) else { continue };
                    if !self.work.spend(|| count(record.threat.minerals.len())) {
                        return;
                    }
                    let boundary = record.threat.next_boundary(self.now.day());
                    let change = record.threat.change_on(self.now.day());
                    for market in self.affected_markets(&record.threat) {
                        let changed = ChangedThreat { threat: id.clone(), change };
                        touched.entry(market).or_default().push(changed);
                    }
                    self.deadlines.schedule(Due::Threat(id), boundary.map(Day::start));
                }
            }
        }
        for (market, threats) in touched {
            self.evaluate(market, &Trigger::Clock { threats }, journal_time, sink);
        }
    }

    fn apply_batch(&mut self, batch: &Batch, sink: AlertSink<'_>) {
        if self.result_of(batch).is_some() || !self.work.spend(|| count(batch.updates.len())) {
            return;
        }
        let first_alert = self.last_alert.saturating_add(1);
        let changes = self.review(batch);
        let outcome = if changes.rejections.is_empty() {
            let outcomes = self.commit(changes, batch, sink);
            BatchOutcome::Accepted(outcomes)
        } else {
            BatchOutcome::Rejected(RejectedBatch::new(changes.rejections))
        };
        let caused = self.last_alert.saturating_add(1).saturating_sub(first_alert);
        let result = BatchResult {
            digest: batch.digest,
            entry: self.seq,
            outcome,
            alerts: (first_alert, caused),
        };
        self.recent_batches.insert(batch.sender_name(), batch.request_id, Arc::new(result));
    }

    pub(super) fn review(&self, batch: &Batch) -> BatchChanges {
        let blocs = self.adopted.as_ref().map(|adopted| &adopted.policy.blocs);
        let Self { markets, threats, usage, now, .. } = self;
        BatchReviewer { markets, threats, blocs, usage, now: *now }.review(batch)
    }

    fn commit(
        &mut self,
        changes: BatchChanges,
        batch: &Batch,
        sink: AlertSink<'_>,
    ) -> UpdateOutcomes {
        let mut touched: BTreeMap<MarketKey, MarketChanges> = BTreeMap::new();
        self.usage.commit(changes.usage);
        self.record_reports(changes.sources, &mut touched);
        for (id, record) in changes.threats {
            let before = self.threats.get(&id).cloned();
            let change = match (&record, &before) {
                (None, _) => ThreatChange::Removed,
                (Some(_), None) => ThreatChange::Published,
                (Some(_), Some(_)) => ThreatChange::Revised,
            };
            for key in self.record_threat(&id, record) {
                let touched = touched.entry(key).or_default();
                touched.threats.push(ChangedThreat { threat: id.clone(), change });
                let market = self.markets.get(&key);
                if !market.is_some_and(|market| market.threats.contains_key(&id)) {
                    touched.retracted.extend(before.clone());
                }
            }
        }
        for (market, MarketChanges { data, threats, retracted, removed }) in touched {
            let trigger = Trigger::Batch { batch, data, threats, retracted };
            match removed {
                Some(removed) => self.clear_market(market, *removed, &trigger, sink),
                None => self.evaluate(market, &trigger, self.now, sink),
            }
        }
        changes.outcomes
    }

    /// Records what a batch changes in the reports. A market without a report is removed.
    pub(super) fn record_reports(
        &mut self,
        sources: BTreeMap<(MarketKey, Slug), StagedSource>,
        touched: &mut BTreeMap<MarketKey, MarketChanges>,
    ) {
        let mut by_market: BTreeMap<MarketKey, Vec<(Slug, StagedSource)>> = BTreeMap::new();
        for ((key, source), staged) in sources {
            by_market.entry(key).or_default().push((source, staged));
        }
        for (key, sources) in by_market {
            if let Some(market) = self.markets.get_mut(&key) {
                let before = market.report().clone();
                let policy = self.adopted.as_ref().map(|adopted| &*adopted.policy);
                for (source, staged) in sources {
                    market.commit_source(&source, staged, policy);
                }
                let Some(change) = DataChange::between(before, market) else { continue };
                let changes = touched.entry(key).or_default();
                changes.data = Some(change);
                if market.is_empty() {
                    changes.removed = self.markets.remove(&key).map(Box::new);
                }
            } else if let Some(market) = self.new_market(key, sources) {
                self.markets.insert(key, market);
                touched.entry(key).or_default().data = Some(DataChange::default());
            }
        }
    }

    /// Clears the open episodes of a market whose last report was removed.
    fn clear_market(
        &mut self,
        key: MarketKey,
        mut market: Market,
        trigger: &Trigger<'_>,
        sink: AlertSink<'_>,
    ) {
        if let Some(adopted) = &self.adopted {
            let mut evaluation = Evaluation {
                adopted,
                entry: self.seq,
                now: self.now,
                journal_time: self.now,
                key,
                trigger,
                last_alert: &mut self.last_alert,
                sink,
                counting: CountingThreatsCache::default(),
            };
            evaluation.run_removed_market(&mut market);
        }
        self.schedule_market(key);
    }

    /// A market with its first reports; `None` where there are none.
    fn new_market(&mut self, key: MarketKey, sources: Vec<(Slug, StagedSource)>) -> Option<Market> {
        let first = sources.iter().find_map(|(_, staged)| staged.first())?.clone();
        let mut market = Market::new(first);
        for (source, staged) in sources {
            market.commit_source(
                &source,
                staged,
                self.adopted.as_ref().map(|adopted| &*adopted.policy),
            );
        }
        for (id, record) in &self.threats {
            if let Some(scope_match) = scope_match(&record.threat, key) {
                let record = Arc::clone(record);
                market.add_threat(id.clone(), MarketThreat { scope_match, record });
            }
        }
        if let Some(adopted) = &self.adopted {
            market.plan = self.plans.plan_for(key);
            market.states.resize_with(market.plan.instances.len(), InstanceStates::default);
            market.exposures = market.compute_exposures(&adopted.policy, self.now.day(), false);
        }
        Some(market)
    }

    /// Records a threat or removes it, and returns the markets it concerns now or did before.
    fn record_threat(
        &mut self,
        id: &Slug,
        record: Option<Arc<ThreatRecord>>,
    ) -> BTreeSet<MarketKey> {
        let mut touched = BTreeSet::new();
        if let Some(before) = self.threats.remove(id) {
            touched = self.affected_markets(&before.threat);
            for key in &touched {
                if let Some(market) = self.markets.get_mut(key) {
                    market.remove_threat(id);
                }
            }
        }
        let mut boundary = None;
        if let Some(record) = record {
            boundary = record.threat.next_boundary(self.now.day());
            for key in self.affected_markets(&record.threat) {
                touched.insert(key);
                if let (Some(market), Some(scope_match)) =
                    (self.markets.get_mut(&key), scope_match(&record.threat, key))
                {
                    let record = Arc::clone(&record);
                    market.add_threat(id.clone(), MarketThreat { scope_match, record });
                }
            }
            self.threats.insert(id.clone(), record);
        }
        self.deadlines.schedule(Due::Threat(id.clone()), boundary.map(Day::start));
        touched
    }

    /// The markets on record that a threat concerns.
    fn affected_markets(&self, threat: &Threat) -> BTreeSet<MarketKey> {
        let minerals = threat.minerals.iter().flat_map(|mineral| mineral.family());
        let markets = minerals.flat_map(|mineral| {
            Stage::ALL.iter().map(|stage| MarketKey { mineral: *mineral, stage: *stage })
        });
        let mut markets: BTreeSet<MarketKey> = markets.collect();
        markets.retain(|key| self.markets.contains_key(key) && scope_match(threat, *key).is_some());
        markets
    }

    /// The markets on record that a threat concerns, and how its minerals match; by key.
    pub fn scope_of(&self, threat: &Threat) -> impl Iterator<Item = (MarketKey, ScopeMatch)> {
        let touched = self.affected_markets(threat).into_iter();
        touched.filter_map(move |key| Some((key, scope_match(threat, key)?)))
    }

    /// Adopts a policy, unless the one in force has a higher revision or is the same.
    fn adopt_policy(&mut self, revision: u64, policy: &Arc<Policy>, sink: AlertSink<'_>) {
        if let Some(adopted) = &mut self.adopted {
            if revision < adopted.revision {
                return;
            }
            if adopted.policy == *policy {
                adopted.revision = revision;
                return;
            }
        }
        let keys: Vec<MarketKey> = self.markets.keys().copied().collect();
        self.plans = PlanCache::new(policy);
        self.adopted = Some(AdoptedPolicy {
            version: self.seq,
            at: self.now,
            revision,
            policy: Arc::clone(policy),
        });
        for key in keys {
            self.evaluate(key, &Trigger::Policy, self.now, sink);
        }
    }

    /// Evaluates one market after a trigger, if the work is within its limit.
    fn evaluate(
        &mut self,
        key: MarketKey,
        trigger: &Trigger<'_>,
        journal_time: Timestamp,
        sink: AlertSink<'_>,
    ) {
        let (Some(adopted), Some(market)) = (&self.adopted, self.markets.get_mut(&key)) else {
            return;
        };
        let new_plan = matches!(trigger, Trigger::Policy).then(|| self.plans.plan_for(key));
        let cost = || {
            let own = market.evaluation_cost(&market.plan, trigger.changes_measures());
            let new = new_plan.as_ref().map_or(0, |plan| market.evaluation_cost(plan, true));
            own.saturating_add(new)
        };
        if !self.work.spend(cost) {
            return;
        }
        let before = self.last_alert;
        let mut evaluation = Evaluation {
            adopted,
            entry: self.seq,
            now: self.now,
            journal_time,
            key,
            trigger,
            last_alert: &mut self.last_alert,
            sink,
            counting: CountingThreatsCache::default(),
        };
        if let Some(plan) = new_plan {
            market.rank_sources(&adopted.policy);
            evaluation.run_new_policy(market, &plan);
        } else {
            evaluation.run(market);
        }
        self.work.count_alerts(self.last_alert.saturating_sub(before));
        self.schedule_market(key);
    }

    pub(super) fn schedule_market(&mut self, key: MarketKey) {
        let timed = self.markets.get(&key).filter(|market| market.plan.is_timed);
        let deadline = timed.and_then(|market| market.next_deadline(self.now));
        self.deadlines.schedule(Due::Market(key), deadline);
    }

    /// Schedules everything, for a state that was read from a snapshot.
    pub(super) fn schedule_everything(&mut self) {
        let keys: Vec<MarketKey> = self.markets.keys().copied().collect();
        for key in keys {
            self.schedule_market(key);
        }
        for (id, record) in &self.threats {
            let boundary = record.threat.next_boundary(self.now.day());
            self.deadlines.schedule(Due::Threat(id.clone()), boundary.map(Day::start));
        }
    }
}

/// What a batch changes in one market.
#[derive(Debug, Default)]
pub(super) struct MarketChanges {
    data: Option<DataChange>,
    threats: Vec<ChangedThreat>,
    /// The threats that no longer concern the market.
    retracted: Vec<Arc<ThreatRecord>>,
    /// The market, where its last report was removed.
    removed: Option<Box<Market>>,
}
