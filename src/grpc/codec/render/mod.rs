//! Domain values → messages. Cannot fail.

mod alert;
mod entry;
mod figure;
mod market;
mod policy;
mod report;
mod threat;

pub use alert::{alert, contributions};
pub use entry::entry;
pub use figure::{amount, interval, milli, share, timestamp, weight};
pub(in crate::grpc) use market::{Viewpoint, known_markets, threat_record};
pub use policy::{policy, weights};
pub use report::{report, report_ref};
pub use threat::threat;

use super::enums::OnWire;
use crate::domain::alert::ScopeMatch;
use crate::domain::market::{Denominator, Flag, Stage};
use crate::domain::policy::Level;
use crate::domain::rule::Metric;
use crate::domain::threat::ThreatStatus;
use crate::domain::update::{Update, UpdateOutcome};
use crate::grpc::pb;

/// An update as a feed would send it: parsing it again gives the same update.
pub fn update(update: &Update) -> pb::Update {
    use pb::update::Update as Wire;
    let update = match update {
        Update::Report(one) => Wire::Report(report(one)),
        Update::Threat(one) => Wire::Threat(threat(one)),
        Update::Removal(removal) => Wire::Removal(pb::ThreatRemoval {
            threat_id: removal.threat.to_string(),
            revision: removal.revision.unwrap_or(0),
        }),
    };
    pb::Update { update: Some(update) }
}

/// What became of an update.
pub fn update_result(outcome: UpdateOutcome) -> pb::UpdateResult {
    let outcome = match outcome {
        UpdateOutcome::Applied => pb::Outcome::Applied,
        UpdateOutcome::Unchanged => pb::Outcome::Unchanged,
        UpdateOutcome::Superseded => pb::Outcome::Superseded,
    };
    pb::UpdateResult { outcome: outcome.into() }
}

/// A metric's name.
pub fn metric(metric: &Metric) -> pb::Metric {
    match metric {
        Metric::Top1Share => pb::Metric::Top1Share,
        Metric::Cr3 => pb::Metric::Cr3,
        Metric::CountryShare(_) => pb::Metric::CountryShare,
        Metric::GroupShare(_) => pb::Metric::GroupShare,
        Metric::Hhi => pb::Metric::Hhi,
        Metric::HhiT => pb::Metric::HhiT,
        Metric::RestrictedShare => pb::Metric::RestrictedShare,
        Metric::AvailableShare => pb::Metric::AvailableShare,
        Metric::NMinus1 => pb::Metric::NMinus1,
        Metric::HhiWgiT => pb::Metric::HhiWgiT,
        Metric::AnnouncedHhiT => pb::Metric::AnnouncedHhiT,
        Metric::AnnouncedRestrictedShare => pb::Metric::AnnouncedRestrictedShare,
    }
}

/// A stage.
pub fn stage(stage: Stage) -> pb::Stage {
    stage.render()
}

/// A level, or that none is up.
pub fn level(level: Option<Level>) -> pb::Level {
    level.map_or(pb::Level::Unspecified, OnWire::render)
}

/// A flag.
pub fn flag(flag: Flag) -> pb::Flag {
    flag.render()
}

/// A status.
pub fn status(status: ThreatStatus) -> pb::ThreatStatus {
    status.render()
}

/// How a threat bears on a market.
pub fn scope_match(scope_match: ScopeMatch) -> pb::ScopeMatch {
    scope_match.render()
}

/// What shares are parts of.
pub fn denominator(denominator: Denominator) -> pb::Denominator {
    match denominator {
        Denominator::SumOfRows => pb::Denominator::SumOfRows,
        Denominator::PublishedTotal => pb::Denominator::PublishedTotal,
        Denominator::Shares => pb::Denominator::Shares,
    }
}
