//! The state, and the one way it changes.

use super::calendar::{Calendar, Due};
use super::evaluate::{DataChange, Evaluation, Trigger};
use super::market::{BearingRecord, Market, Memories, ReportRecord, scope_match};
use super::plan::Plans;
use super::record::{Changes, Ledger, ThreatRecord};
use super::requests::{Answered, Requests};
use crate::domain::alert::ScopeMatch;
use crate::domain::policy::Policy;
use crate::domain::update::{Answer, Batch, Outcome, Payload};
use crate::domain::{Alert, Day, Entry, MarketKey, Seq, Slug, Stage, Threat, Timestamp};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// A policy and since when it is in force.
#[derive(Debug, Clone)]
pub struct Adopted {
    /// The entry that adopted it.
    pub version: Seq,
    /// When.
    pub at: Timestamp,
    /// The number that orders it among others; 0 without one.
    pub revision: u64,
    /// The policy.
    pub policy: Arc<Policy>,
}

/// What applying an entry came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Applied {
    /// The entry.
    pub entry: Seq,
    /// The alerts it caused, in order.
    pub alerts: Vec<Alert>,
}

/// Everything that follows from the entries so far.
#[derive(Debug, Clone)]
pub struct State {
    pub(super) seq: Seq,
    pub(super) now: Timestamp,
    /// The sequence of the last alert.
    pub(super) last_alert: u64,
    pub(super) adopted: Option<Adopted>,
    pub(super) markets: BTreeMap<MarketKey, Market>,
    pub(super) threats: BTreeMap<Slug, Arc<ThreatRecord>>,
    pub(super) plans: Plans,
    pub(super) requests: Requests,
    pub(super) calendar: Calendar,
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
            plans: Plans::default(),
            requests: Requests::default(),
            calendar: Calendar::default(),
        }
    }
}

impl State {
    /// Before the first entry, with a policy in force from the beginning.
    pub fn under(policy: Arc<Policy>) -> Self {
        let plans = Plans::new(&policy);
        let adopted = Adopted { version: Seq::ZERO, at: Timestamp::MIN, revision: 0, policy };
        Self { adopted: Some(adopted), plans, ..Self::default() }
    }

    /// A copy without the answers to batches, which are most of a state's bytes.
    pub(super) fn branch(&self) -> Self {
        Self {
            seq: self.seq,
            now: self.now,
            last_alert: self.last_alert,
            adopted: self.adopted.clone(),
            markets: self.markets.clone(),
            threats: self.threats.clone(),
            plans: self.plans.clone(),
            requests: Requests::default(),
            calendar: self.calendar.clone(),
        }
    }

    /// The last entry applied.
    pub fn seq(&self) -> Seq {
        self.seq
    }

    /// The journal's time: that of the last entry.
    pub fn now(&self) -> Timestamp {
        self.now
    }

    /// The policy in force, once one was adopted.
    pub fn adopted(&self) -> Option<&Adopted> {
        self.adopted.as_ref()
    }

    /// Markets with at least one report.
    pub fn markets(&self) -> &BTreeMap<MarketKey, Market> {
        &self.markets
    }

    /// Threats on record, by id.
    pub fn threats(&self) -> &BTreeMap<Slug, Arc<ThreatRecord>> {
        &self.threats
    }

    /// The answers to the last batches.
    pub fn requests(&self) -> &Requests {
        &self.requests
    }

    /// When something is due that no update announces: then a tick must be appended.
    pub fn next_deadline(&self) -> Option<Timestamp> {
        self.calendar.next()
    }

    /// The sequences of the latest alerts of all open episodes.
    pub fn open_alerts(&self) -> BTreeSet<u64> {
        let standings = self.markets.values().flat_map(Market::standings);
        standings.filter_map(|standing| standing.episode).map(|episode| episode.latest).collect()
    }

    /// Applies the entry after the last one. What was due before its time happens first, in order of the deadlines.
    ///
    /// # Panics
    ///
    /// When the entry is not the next one: the journal promises order without gaps.
    pub fn apply(&mut self, entry: &Entry) -> Applied {
        assert_eq!(entry.seq, self.seq.next(), "entries come in order, without gaps");
        assert!(entry.at >= self.now, "the journal's time never goes back");
        self.seq = entry.seq;
        let mut alerts = Vec::new();
        while let Some((at, due)) = self.calendar.take_due(entry.at) {
            self.now = at;
            self.fire(due, entry.at, &mut alerts);
        }
        self.now = entry.at;
        match &entry.payload {
            Payload::Batch(batch) => self.take_batch(batch, &mut alerts),
            Payload::PolicyAdopted(policy) => self.adopt(0, policy, &mut alerts),
            Payload::PolicyRevised { revision, policy } => {
                self.adopt(*revision, policy, &mut alerts);
            }
            Payload::Tick { .. } => {}
        }
        Applied { entry: entry.seq, alerts }
    }

    fn fire(&mut self, due: Vec<Due>, journal_time: Timestamp, alerts: &mut Vec<Alert>) {
        let mut touched: BTreeMap<MarketKey, Vec<Slug>> = BTreeMap::new();
        for due in due {
            match due {
                Due::Market(market) => {
                    touched.entry(market).or_default();
                }
                Due::Threat(id) => {
                    let Some(record) = self.threats.get(&id) else { continue };
                    let boundary = record.threat.next_boundary(self.now.day());
                    for market in self.touched_by(&record.threat) {
                        touched.entry(market).or_default().push(id.clone());
                    }
                    self.calendar.schedule(Due::Threat(id), boundary.map(Day::start));
                }
            }
        }
        for (market, threats) in touched {
            self.evaluate(market, &Trigger::Clock { threats }, journal_time, alerts);
        }
    }

    fn take_batch(&mut self, batch: &Batch, alerts: &mut Vec<Alert>) {
        if self.requests.get(batch.request_id).is_some() {
            return;
        }
        let first_alert = self.last_alert.saturating_add(1);
        let changes = self.review(batch);
        let answer = if changes.refusals.is_empty() {
            let outcomes = self.commit(changes, batch, alerts);
            Answer::Accepted(outcomes)
        } else {
            Answer::Refused(changes.refusals)
        };
        let caused = self.last_alert.saturating_add(1).saturating_sub(first_alert);
        let answered = Answered {
            digest: batch.digest,
            entry: self.seq,
            answer,
            alerts: (first_alert, caused),
        };
        self.requests.keep(batch.request_id, Arc::new(answered));
    }

    fn review(&self, batch: &Batch) -> Changes {
        let blocs = self.adopted.as_ref().map(|adopted| &adopted.policy.blocs);
        let (markets, threats) = (&self.markets, &self.threats);
        Ledger { markets, threats, blocs, now: self.now }.review(batch)
    }

    fn commit(&mut self, changes: Changes, batch: &Batch, alerts: &mut Vec<Alert>) -> Vec<Outcome> {
        let mut touched: BTreeMap<MarketKey, Touched> = BTreeMap::new();
        for ((key, ..), report) in changes.reports {
            let feed = batch.sender.is_some().then(|| batch.feed.clone());
            let record = ReportRecord { report, accepted_at: self.now, feed };
            if let Some(change) = self.put_report(key, record) {
                // Of several releases in one batch, the first change has what was in force before.
                touched.entry(key).or_default().data.get_or_insert(change);
            }
        }
        for (id, record) in changes.threats {
            let retracted = match &record {
                Some(_) => None,
                None => self.threats.get(&id).cloned(),
            };
            for market in self.put_threat(&id, record) {
                let touched = touched.entry(market).or_default();
                touched.threats.push(id.clone());
                touched.retracted.extend(retracted.clone());
            }
        }
        for (market, Touched { data, threats, retracted }) in touched {
            let trigger = Trigger::Batch { batch, data, threats, retracted };
            self.evaluate(market, &trigger, self.now, alerts);
        }
        changes.outcomes
    }

    /// Records a report; what changed, where the figures in force are others now.
    fn put_report(&mut self, key: MarketKey, record: ReportRecord) -> Option<DataChange> {
        let Some(market) = self.markets.get_mut(&key) else {
            let market = self.new_market(key, record);
            self.markets.insert(key, market);
            return Some(DataChange::default());
        };
        let (release, before) = (market.in_force.clone(), Arc::clone(&market.report().report));
        market.put(record);
        market.choose(self.adopted.as_ref().map(|adopted| &*adopted.policy));
        let after = &market.report().report;
        if before == *after {
            return None;
        }
        let (source, period, vintage) = release;
        let same = *after.source() == source && after.period() == period;
        Some(DataChange { revised: same.then_some(vintage), before: Some(before) })
    }

    pub(super) fn new_market(&mut self, key: MarketKey, record: ReportRecord) -> Market {
        let mut market = Market::new(record);
        let bearing = self.threats.iter().filter_map(|(id, record)| {
            let scope_match = scope_match(&record.threat, key)?;
            Some((id.clone(), BearingRecord { scope_match, record: Arc::clone(record) }))
        });
        market.bearing = bearing.collect();
        if let Some(adopted) = &self.adopted {
            market.plan = self.plans.of(key);
            market.memories.resize_with(market.plan.asked.len(), Memories::default);
            market.exposures = market.expose(&adopted.policy, self.now.day(), false);
        }
        market
    }

    /// Records a threat or takes it from the record; gives the markets it touches now or did before.
    fn put_threat(&mut self, id: &Slug, record: Option<Arc<ThreatRecord>>) -> BTreeSet<MarketKey> {
        let mut touched = BTreeSet::new();
        if let Some(before) = self.threats.remove(id) {
            touched = self.touched_by(&before.threat);
            for key in &touched {
                if let Some(market) = self.markets.get_mut(key) {
                    market.bearing.remove(id);
                }
            }
        }
        let mut boundary = None;
        if let Some(record) = record {
            boundary = record.threat.next_boundary(self.now.day());
            for key in self.touched_by(&record.threat) {
                touched.insert(key);
                if let (Some(market), Some(scope_match)) =
                    (self.markets.get_mut(&key), scope_match(&record.threat, key))
                {
                    let record = Arc::clone(&record);
                    market.bearing.insert(id.clone(), BearingRecord { scope_match, record });
                }
            }
            self.threats.insert(id.clone(), record);
        }
        self.calendar.schedule(Due::Threat(id.clone()), boundary.map(Day::start));
        touched
    }

    /// Markets of the record that a threat is about, by key.
    fn touched_by(&self, threat: &Threat) -> BTreeSet<MarketKey> {
        let minerals = threat.minerals.iter().flat_map(|mineral| mineral.family());
        let markets = minerals.flat_map(|mineral| {
            Stage::ALL.iter().map(|stage| MarketKey { mineral: *mineral, stage: *stage })
        });
        let is_touched =
            |key: &MarketKey| self.markets.contains_key(key) && scope_match(threat, *key).is_some();
        markets.filter(is_touched).collect()
    }

    /// Markets of the record that a threat is about, and how; by key.
    pub fn scope_of(&self, threat: &Threat) -> impl Iterator<Item = (MarketKey, ScopeMatch)> {
        let touched = self.touched_by(threat).into_iter();
        touched.filter_map(move |key| Some((key, scope_match(threat, key)?)))
    }

    /// Brings a policy into force, unless that in force is newer or says the same under the same number.
    fn adopt(&mut self, revision: u64, policy: &Arc<Policy>, alerts: &mut Vec<Alert>) {
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
        self.plans = Plans::new(policy);
        self.adopted =
            Some(Adopted { version: self.seq, at: self.now, revision, policy: Arc::clone(policy) });
        for key in keys {
            self.evaluate(key, &Trigger::Policy, self.now, alerts);
        }
    }

    /// Evaluates one market against every rule that looks at it.
    fn evaluate(
        &mut self,
        key: MarketKey,
        trigger: &Trigger<'_>,
        journal_time: Timestamp,
        alerts: &mut Vec<Alert>,
    ) {
        let (Some(adopted), Some(market)) = (&self.adopted, self.markets.get_mut(&key)) else {
            return;
        };
        let mut evaluation = Evaluation {
            adopted,
            entry: self.seq,
            now: self.now,
            journal_time,
            key,
            trigger,
            last_alert: &mut self.last_alert,
            alerts,
        };
        if matches!(trigger, Trigger::Policy) {
            market.choose(Some(&adopted.policy));
            evaluation.run_policy(market, &self.plans.of(key));
        } else {
            evaluation.run(market);
        }
        self.reschedule(key);
    }

    pub(super) fn reschedule(&mut self, key: MarketKey) {
        let Some(market) = self.markets.get(&key) else { return };
        let deadline = if market.plan.timed { market.next_deadline(self.now) } else { None };
        self.calendar.schedule(Due::Market(key), deadline);
    }

    /// Schedules everything anew, for a state that was read from a snapshot.
    pub(super) fn reschedule_all(&mut self) {
        let keys: Vec<MarketKey> = self.markets.keys().copied().collect();
        for key in keys {
            self.reschedule(key);
        }
        for (id, record) in &self.threats {
            let boundary = record.threat.next_boundary(self.now.day());
            self.calendar.schedule(Due::Threat(id.clone()), boundary.map(Day::start));
        }
    }
}

/// What a batch changes about one market.
#[derive(Debug, Default)]
struct Touched {
    data: Option<DataChange>,
    threats: Vec<Slug>,
    retracted: Vec<Arc<ThreatRecord>>,
}
