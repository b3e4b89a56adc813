//! Notices: threats that move no index, told on every market in which the imposing country holds enough.

use super::evaluate::{Evaluation, Trigger};
use super::market::{BearingRecord, Market, scope_match};
use crate::domain::threat::Status;
use crate::domain::{Ppm, Threat};
use std::sync::Arc;

impl Evaluation<'_> {
    /// Tells of every threat whose status is news.
    ///
    /// A threat is told while it is spoken of or announced; one that never moves an index also when it comes into force
    /// and is suspended. What was told of a threat that came to nothing, or ended, is told as well.
    pub(super) fn notice(&mut self, market: &mut Market) {
        let Some(least) = self.adopted.policy.notice_share else {
            market.is_silent = true;
            return;
        };
        self.retract(market, least);
        market.is_silent = true;
        let day = self.now.day();
        let mut noticed = std::mem::take(&mut market.noticed);
        for (id, one) in &market.bearing {
            let threat = &one.record.threat;
            let status = threat.status(day);
            let told = noticed.get(id).copied();
            if told == Some(status) {
                continue;
            }
            let news = is_news(threat, status, told);
            let matters = told.is_some() || market.share(threat.imposing) >= Some(least);
            // It would be news, were the country's share greater.
            market.is_silent &= matters || !news;
            if matters && news {
                let bearing = self.one_bearing(one, None);
                let news = self.notice_of(market, bearing, least, one.record.exercise);
                self.tell(market, news, None);
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
            let one = BearingRecord { scope_match, record: Arc::clone(record) };
            let mut bearing = self.one_bearing(&one, None);
            bearing.status = Status::Withdrawn;
            let news = self.notice_of(market, bearing, least, record.exercise);
            self.tell(market, news, None);
        }
    }
}

fn is_news(threat: &Threat, status: Status, told: Option<Status>) -> bool {
    let moves = threat.moves_indices();
    match status {
        Status::Threatened | Status::Announced => true,
        Status::InForce | Status::Suspended => !moves,
        Status::Removed => !moves && told.is_some(),
        Status::Withdrawn | Status::Superseded => match told {
            Some(Status::Threatened | Status::Announced) => true,
            Some(_) => !moves,
            None => false,
        },
    }
}
