//! Domain values → messages. Cannot fail.

mod alert;
mod figure;
mod market;
mod policy;
mod updates;

pub use alert::{ALERT_BYTES_MAX, alert, contributions};
pub use figure::{amount, interval, milli, share, timestamp, weight};
pub(in crate::grpc) use market::{
    Viewpoint, is_known_market, known_markets, threat_record, unknown_market,
};
pub use policy::{policy, weights};
pub use updates::{entry, report, report_ref, threat, update};

use super::enums::WireEnum;
use crate::grpc::pb;
use lodewatch_core::domain::alert::ScopeMatch;
use lodewatch_core::domain::market::{Denominator, Flag, Stage};
use lodewatch_core::domain::policy::Level;
use lodewatch_core::domain::rule::Metric;
use lodewatch_core::domain::threat::ThreatStatus;
use lodewatch_core::domain::update::UpdateOutcome;

/// The outcome of an update.
pub fn update_result(outcome: UpdateOutcome) -> pb::UpdateResult {
    let outcome = match outcome {
        UpdateOutcome::Applied => pb::Outcome::Applied,
        UpdateOutcome::Unchanged => pb::Outcome::Unchanged,
        UpdateOutcome::Superseded => pb::Outcome::Superseded,
    };
    pb::UpdateResult { outcome: outcome.into() }
}

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

pub fn stage(stage: Stage) -> pb::Stage {
    stage.render()
}

/// A level; unspecified where no alert is active.
pub fn level(level: Option<Level>) -> pb::Level {
    level.map_or(pb::Level::Unspecified, WireEnum::render)
}

pub fn flag(flag: Flag) -> pb::Flag {
    flag.render()
}

pub fn status(status: ThreatStatus) -> pb::ThreatStatus {
    status.render()
}

/// How a threat's scope matches a market.
pub fn scope_match(scope_match: ScopeMatch) -> pb::ScopeMatch {
    scope_match.render()
}

/// The whole that shares are parts of.
pub fn denominator(denominator: Denominator) -> pb::Denominator {
    match denominator {
        Denominator::SumOfRows => pb::Denominator::SumOfRows,
        Denominator::PublishedTotal => pb::Denominator::PublishedTotal,
        Denominator::Shares => pb::Denominator::Shares,
    }
}
