//! Notices: threats that move no index, told on every market in which the imposing country holds enough.

use super::evaluate::{Evaluation, Trigger};
use super::market::{Market, MarketThreat, scope_match};
use crate::domain::threat::ThreatStatus;
use crate::domain::{Ppm, Threat};
use std::sync::Arc;

impl Evaluation<'_> {
    /// Tells of every threat whose status is draft.
    ///
    /// A threat is told while it is spoken of or announced; one that never moves an index also when it comes into force
    /// and is suspended. What was told of a threat that came to nothing, or ended, is told as well.
    pub(super) fn notice(&mut self, market: &mut Market) {
        let Some(least) = self.adopted.policy.notice_share_min else {
            market.notices_settled = true;
            return;
        };
        self.retract(market, least);
        market.notices_settled = true;
        let day = self.now.day();
        let mut noticed = std::mem::take(&mut market.noticed);
        for (id, one) in &market.threats {
            let threat = &one.record.threat;
            let status = threat.status(day);
            let told = noticed.get(id).copied();
            if told == Some(status) {
                continue;
            }
            let draft = is_news(threat, status, told);
            let matters = told.is_some() || market.share(threat.imposing) >= Some(least);
            // It would be draft, were the country's share greater.
            market.notices_settled &= matters || !draft;
            if matters && draft {
                let effect = self.threat_effect(one, None);
                let draft = self.draft_notice(market, effect, least, one.record.exercise);
                self.emit(market, draft, None);
                noticed.insert(id.clone(), status);
            } else if told.is_some() {
                noticed.insert(id.clone(), status);
            }
        }
        market.noticed = noticed;
    }

    /// Takes back what was told of threats that are no longer in the record.
    fn retract(&mut self, market: &mut Market, least: Ppm) {
        let Trigger::Batch { retracted, .. } = self.trigger else { return };
        for record in retracted {
            if market.noticed.remove(&record.threat.id).is_none() {
                continue;
            }
            let Some(scope_match) = scope_match(&record.threat, self.key) else { continue };
            let one = MarketThreat { scope_match, record: Arc::clone(record) };
            let mut effect = self.threat_effect(&one, None);
            effect.status = ThreatStatus::Withdrawn;
            let draft = self.draft_notice(market, effect, least, record.exercise);
            self.emit(market, draft, None);
        }
    }
}

fn is_news(threat: &Threat, status: ThreatStatus, told: Option<ThreatStatus>) -> bool {
    let moves = threat.moves_indices();
    match status {
        ThreatStatus::Threatened | ThreatStatus::Announced => true,
        ThreatStatus::InForce | ThreatStatus::Suspended => !moves,
        ThreatStatus::Removed => !moves && told.is_some(),
        ThreatStatus::Withdrawn | ThreatStatus::Superseded => match told {
            Some(ThreatStatus::Threatened | ThreatStatus::Announced) => true,
            Some(_) => !moves,
            None => false,
        },
    }
}
