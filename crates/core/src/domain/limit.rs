//! Limits on the reports and threats on record, in items and in bytes.
//!
//! They are constants, not settings: every replica and every replay must accept and reject the
//! same batches. A feed may use at most a quarter of what all feeds share, so that one feed cannot
//! lock out the others.

use super::market::MarketKey;
use super::named::named;
use super::{Report, Slug, Threat};
use serde::{Deserialize, Serialize};
use std::fmt;

named! {
    /// A limit on the record, by its name in errors and metrics.
    pub enum RecordLimit {
        /// Threats of all feeds.
        Threats = "threats_max",
        /// Threats of one feed.
        FeedThreats = "feed_threats_max",
        /// Releases of reports of all feeds.
        Reports = "reports_max",
        /// Releases of reports of one feed.
        FeedReports = "feed_reports_max",
        /// Releases of reports on one market.
        MarketReports = "market_reports_max",
        /// Releases of reports of one feed on one market.
        MarketFeedReports = "market_feed_reports_max",
        /// Sources with reports on one market.
        MarketSources = "market_sources_max",
        /// Sources with reports of one feed on one market.
        MarketFeedSources = "market_feed_sources_max",
        /// Periods of one source on one market.
        SourcePeriods = "source_periods_max",
    }
}

/// A number of records and their bytes, as [`threat_bytes`] and [`report_bytes`] count them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Tally {
    /// The number of records.
    pub items: u64,
    /// Their bytes; 0 for a limit on items only.
    pub bytes: u64,
}

impl RecordLimit {
    /// The most that one account of this limit may hold; `bytes` is 0 for a limit on items only.
    pub fn max(self) -> Tally {
        const MIB: u64 = 1 << 20;
        let (items, bytes) = match self {
            Self::Threats => (20_000, 64 * MIB),
            Self::FeedThreats => (5_000, 16 * MIB),
            Self::Reports => (100_000, 128 * MIB),
            Self::FeedReports => (25_000, 32 * MIB),
            Self::MarketReports => (8_000, 16 * MIB),
            Self::MarketFeedReports => (2_000, 4 * MIB),
            Self::MarketSources => (64, 0),
            Self::MarketFeedSources => (16, 0),
            Self::SourcePeriods => (400, 0),
        };
        Tally { items, bytes }
    }

    /// The name of the limit on bytes: `threats_bytes_max`.
    pub fn bytes_name(self) -> String {
        format!("{}_bytes_max", self.name().trim_end_matches("_max"))
    }
}

/// What one limit is counted for: everything, a feed, a market, a feed or source on a market.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Account {
    /// The limit.
    pub limit: RecordLimit,
    /// The market, for the limits of one market.
    pub market: Option<MarketKey>,
    /// The feed, or the source for [`RecordLimit::SourcePeriods`].
    pub owner: Option<Slug>,
}

impl Account {
    /// What all feeds share.
    pub fn shared(limit: RecordLimit) -> Self {
        Self { limit, market: None, owner: None }
    }

    /// The share of a feed.
    pub fn of_feed(limit: RecordLimit, feed: &Slug) -> Self {
        Self { limit, market: None, owner: Some(feed.clone()) }
    }

    /// The records on a market.
    pub fn on_market(limit: RecordLimit, market: MarketKey) -> Self {
        Self { limit, market: Some(market), owner: None }
    }

    /// The records of a feed or source on a market.
    pub fn of_owner(limit: RecordLimit, market: MarketKey, owner: &Slug) -> Self {
        Self { limit, market: Some(market), owner: Some(owner.clone()) }
    }

    fn is_about_threats(&self) -> bool {
        matches!(self.limit, RecordLimit::Threats | RecordLimit::FeedThreats)
    }
}

impl fmt::Display for Account {
    /// `the reports of feed desk on gallium refining`
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (what, owner) = match self.limit {
            RecordLimit::Threats | RecordLimit::FeedThreats => ("threats", "feed"),
            RecordLimit::Reports
            | RecordLimit::FeedReports
            | RecordLimit::MarketReports
            | RecordLimit::MarketFeedReports => ("reports", "feed"),
            RecordLimit::MarketSources | RecordLimit::MarketFeedSources => ("sources", "feed"),
            RecordLimit::SourcePeriods => ("periods", "source"),
        };
        match &self.owner {
            Some(name) => write!(f, "the {what} of {owner} {name}")?,
            None => write!(f, "the {what} of all feeds")?,
        }
        match self.market {
            Some(market) => write!(f, " on {market}"),
            None => Ok(()),
        }
    }
}

/// A limit that an update would exceed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LimitExcess {
    /// What would hold too much.
    pub account: Account,
    /// How much it would hold.
    pub needed: u64,
    /// Whether that is in bytes, not in items.
    pub in_bytes: bool,
}

impl LimitExcess {
    /// The name of the limit.
    pub fn limit_name(&self) -> String {
        let limit = self.account.limit;
        if self.in_bytes { limit.bytes_name() } else { limit.name().to_owned() }
    }
}

impl fmt::Display for LimitExcess {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { account, needed, in_bytes } = self;
        let max = account.limit.max();
        let (max, unit) = if *in_bytes { (max.bytes, " bytes") } else { (max.items, "") };
        let what = if account.is_about_threats() { "threats" } else { "reports" };
        write!(
            f,
            "{account} would be {needed}{unit}, at most {max} are allowed ({}); remove {what} that \
             are no longer needed",
            self.limit_name()
        )
    }
}

/// A record counts as whole units of this many bytes.
const UNIT_BYTES: usize = 1024;
/// What a record counts besides its texts and lists: its names, dates and numbers, and the maps
/// that hold it.
const RECORD_BYTES: usize = 768;

/// The bytes that a threat counts: those of its texts and lists and a fixed amount, in whole KiB.
/// A change of its dates, status or numbers never counts more.
pub fn threat_bytes(threat: &Threat) -> u64 {
    /// A mineral in the list, and the threat in the markets of the mineral.
    const MINERAL: usize = 256;
    const JURISDICTION: usize = 96;
    const EVIDENCE: usize = 64;
    const SUSPENSION: usize = 16;
    let evidence = threat
        .evidence
        .iter()
        .map(|one| one.url.len().saturating_add(one.publisher.len()).saturating_add(EVIDENCE));
    let quota = threat.quota.as_ref().map(|one| one.unit.len().saturating_add(one.period.len()));
    let parts = [
        threat.title.len(),
        evidence.fold(0, usize::saturating_add),
        quota.unwrap_or(0),
        threat.minerals.len().saturating_mul(MINERAL),
        threat.stages.len(),
        threat.scope.jurisdictions().len().saturating_mul(JURISDICTION),
        threat.calendar.suspensions.len().saturating_mul(SUSPENSION),
    ];
    in_units(parts.into_iter().fold(RECORD_BYTES, usize::saturating_add))
}

/// The bytes that a release of a report counts: those of its texts and rows and a fixed amount, in
/// whole KiB.
pub fn report_bytes(report: &Report) -> u64 {
    const ROW: usize = 32;
    let rows = report.rows().len().saturating_mul(ROW);
    let parts = [rows, report.unit().len(), report.url().len()];
    in_units(parts.into_iter().fold(RECORD_BYTES, usize::saturating_add))
}

fn in_units(bytes: usize) -> u64 {
    let bytes = bytes.div_ceil(UNIT_BYTES).saturating_mul(UNIT_BYTES);
    u64::try_from(bytes).unwrap_or(u64::MAX)
}
