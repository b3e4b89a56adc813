//! The cost of a batch and of an entry: how many alerts it can cause at most, computed before it is
//! appended or applied.

use super::State;
use super::deadlines::Due;
use super::market::Market;
use super::notice::deserves_notice;
use crate::domain::update::{Batch, Payload, Update};
use crate::domain::{Entry, MarketKey, Threat, Timestamp};
use std::collections::BTreeMap;

/// What a batch touches in one market.
#[derive(Debug, Default)]
struct TouchedMarket {
    /// Whether the batch publishes or removes a report on it.
    has_report: bool,
    /// Threats of the batch that concern the market now or did before.
    threats: u64,
}

impl State {
    /// The most alerts that the next entry can cause, with what becomes due before it; `u64::MAX`
    /// for a policy.
    pub fn entry_alerts_max(&self, entry: &Entry) -> u64 {
        let caused = match &entry.payload {
            Payload::Batch(batch) => self.alerts_max(batch),
            Payload::PolicyAdopted { .. } => u64::MAX,
            Payload::Tick { .. } => 0,
        };
        caused.saturating_add(self.due_alerts_max(entry.at))
    }

    /// The most alerts that the deadlines up to an instant can cause.
    fn due_alerts_max(&self, until: Timestamp) -> u64 {
        let mut threats_by_market: BTreeMap<MarketKey, u64> = BTreeMap::new();
        for due in self.deadlines.due_by(until) {
            match due {
                Due::Market(market) => {
                    threats_by_market.entry(*market).or_default();
                }
                Due::Threat(id) => {
                    let Some(record) = self.threats.get(id) else { continue };
                    for (market, _) in self.scope_of(&record.threat) {
                        *threats_by_market.entry(market).or_default() += 1;
                    }
                }
            }
        }
        let alerts = threats_by_market.iter().map(|(key, threats)| {
            let rules = self.markets.get(key).map_or(0, |market| market.plan.alerts_max);
            rules.saturating_mul(2).saturating_add(*threats)
        });
        alerts.fold(0, u64::saturating_add)
    }

    /// The most alerts that a batch can cause if it is the next entry: every rule of the markets
    /// that it touches, and every notice of their threats. Does not count what becomes due in the
    /// meantime.
    pub fn alerts_max(&self, batch: &Batch) -> u64 {
        let mut touched: BTreeMap<MarketKey, TouchedMarket> = BTreeMap::new();
        let mut touch = |threat: &Threat| {
            for (market, _) in self.scope_of(threat) {
                touched.entry(market).or_default().threats += 1;
            }
        };
        for update in &batch.updates {
            let id = match update {
                Update::Report(_) | Update::ReportRemoval(_) => continue,
                Update::Threat(threat) => {
                    touch(threat);
                    &threat.id
                }
                Update::Removal(removal) => &removal.threat,
            };
            if let Some(known) = self.threats.get(id) {
                touch(&known.threat);
            }
        }
        for update in &batch.updates {
            let market = match update {
                Update::Report(report) => report.market(),
                Update::ReportRemoval(removal) => removal.market,
                Update::Threat(_) | Update::Removal(_) => continue,
            };
            touched.entry(market).or_default().has_report = true;
        }
        let alerts =
            touched.iter().map(|(key, touched)| self.market_alerts_max(*key, touched, batch));
        alerts.fold(0, u64::saturating_add)
    }

    fn market_alerts_max(&self, key: MarketKey, touched: &TouchedMarket, batch: &Batch) -> u64 {
        let market = self.markets.get(&key);
        let rules = match market {
            Some(market) => market.plan.alerts_max,
            None => self.plans.alerts_max(key),
        };
        let has_exercises = batch.exercise
            || market.is_none_or(|market| market.has_exercise_states || market.has_exercises());
        let rules = if has_exercises { rules.saturating_mul(2) } else { rules };
        let notices = match market {
            Some(market) if !touched.has_report || market.notices_settled => 0,
            Some(market) => self.open_notices(market),
            None => self.notices_of_new_market(key),
        };
        rules.saturating_add(touched.threats).saturating_add(notices)
    }

    /// Threats that a higher share of their countries lets the market notice.
    fn open_notices(&self, market: &Market) -> u64 {
        let is_open = |(id, threat): &(_, &Threat)| {
            !market.noticed.contains_key(*id)
                && deserves_notice(threat, threat.status(self.now.day()), None)
        };
        let threats = market.threats.iter().map(|(id, one)| (id, &*one.record.threat));
        as_u64(threats.filter(is_open).count())
    }

    fn notices_of_new_market(&self, key: MarketKey) -> u64 {
        let threats = self.threats.values().map(|record| &*record.threat);
        let noticed = threats.filter(|threat| {
            super::scope_match(threat, key).is_some()
                && deserves_notice(threat, threat.status(self.now.day()), None)
        });
        as_u64(noticed.count())
    }
}

fn as_u64(count: usize) -> u64 {
    u64::try_from(count).unwrap_or(u64::MAX)
}
