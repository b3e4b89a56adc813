//! The cost of a batch: how many alerts it can cause at most, computed before it is appended.

use super::State;
use super::market::Market;
use super::notice::deserves_notice;
use crate::domain::update::{Batch, Update};
use crate::domain::{MarketKey, Threat};
use std::collections::BTreeMap;

/// What a batch touches in one market.
#[derive(Debug, Default)]
struct TouchedMarket {
    has_report: bool,
    /// Threats of the batch that concern the market now or did before.
    threats: u64,
}

impl State {
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
                Update::Report(_) => continue,
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
            if let Update::Report(report) = update {
                touched.entry(report.market()).or_default().has_report = true;
            }
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
