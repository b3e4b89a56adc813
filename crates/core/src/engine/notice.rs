//! Notices: threats that move no index, or not yet, in every market of which the imposing country
//! holds enough.

use super::evaluate::{Evaluation, Trigger};
use super::market::{Market, MarketThreat, scope_match};
use crate::domain::Threat;
use crate::domain::threat::ThreatStatus;
use std::sync::Arc;

impl Evaluation<'_> {
    /// Emits a notice for every threat with a new status.
    ///
    /// A threat is noticed while it is threatened or announced; one that never moves an index also
    /// when it comes into force or is suspended. The end of a threat is noticed where it was
    /// noticed before.
    pub(super) fn emit_notices(&mut self, market: &mut Market) {
        let withdrawn = self.take_withdrawn(market);
        market.notices_settled = true;
        let Some(share_min) = self.adopted.policy.notice_share_min else { return };
        for one in withdrawn {
            let mut effect = self.threat_effect(&one, None);
            effect.status = ThreatStatus::Withdrawn;
            let draft = self.draft_notice(market, effect, share_min, one.record.exercise);
            self.emit(market, draft, None);
        }
        let day = self.now.day();
        let mut noticed = std::mem::take(&mut market.noticed);
        for (id, one) in &market.threats {
            let threat = &one.record.threat;
            let status = threat.status(day);
            let before = noticed.get(id).copied();
            if before == Some(status) {
                continue;
            }
            let is_new = deserves_notice(threat, status, before);
            let is_relevant = before.is_some() || market.share(threat.imposing) >= Some(share_min);
            // It would be noticed, were the share of the country higher.
            market.notices_settled &= is_relevant || !is_new;
            if is_relevant && is_new {
                let effect = self.threat_effect(one, None);
                let draft = self.draft_notice(market, effect, share_min, one.record.exercise);
                self.emit(market, draft, None);
                noticed.insert(id.clone(), status);
            } else if before.is_some() {
                noticed.insert(id.clone(), status);
            }
        }
        market.noticed = noticed;
    }

    /// Forgets the noticed threats that no longer concern the market, and returns them: their
    /// withdrawal is to be emitted.
    fn take_withdrawn(&self, market: &mut Market) -> Vec<MarketThreat> {
        let Trigger::Batch { retracted, .. } = self.trigger else { return Vec::new() };
        let noticed = retracted.iter().filter_map(|record| {
            market.noticed.remove(&record.threat.id)?;
            let scope_match = scope_match(&record.threat, self.key)?;
            Some(MarketThreat { scope_match, record: Arc::clone(record) })
        });
        noticed.collect()
    }
}

/// Whether a status emits a notice; `before` is the status in the last notice.
pub(super) fn deserves_notice(
    threat: &Threat,
    status: ThreatStatus,
    before: Option<ThreatStatus>,
) -> bool {
    let moves_indices = threat.moves_indices();
    match status {
        ThreatStatus::Threatened | ThreatStatus::Announced => true,
        ThreatStatus::InForce | ThreatStatus::Suspended => !moves_indices,
        ThreatStatus::Removed => !moves_indices && before.is_some(),
        ThreatStatus::Withdrawn | ThreatStatus::Superseded => match before {
            Some(ThreatStatus::Threatened | ThreatStatus::Announced) => true,
            Some(_) => !moves_indices,
            None => false,
        },
    }
}
