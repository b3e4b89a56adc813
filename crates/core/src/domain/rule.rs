//! Rules: the metric, the markets and buyers it is computed for, and the values that raise an
//! alert.

use super::policy::{Destination, Level};
use super::share::{Amount, Unit};
use super::threat::{Confidence, Measure};
use super::{Country, Day, MarketKey, Mineral, Slug, Stage, Timestamp};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::fmt;

/// A measure of concentration or restriction; each variant states its definition and source.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Metric {
    /// The largest named share (OECD, IEA, BGS).
    Top1Share,
    /// The sum of the three largest named shares (the IEA's "top-3").
    Cr3,
    /// The share of one country.
    CountryShare(Country),
    /// The sum of the shares of a group of countries, sorted.
    GroupShare(Vec<Country>),
    /// Herfindahl-Hirschman index, 10⁴·Σ s², as an interval (US DOJ/FTC merger guidelines).
    Hhi,
    /// Trade-adjusted HHI, 10⁴·Σ s²·t, with governance weight 1 (European Commission criticality
    /// method, 2017 onward).
    HhiT,
    /// The share of countries with a measure in force toward the destination (ours, from IEA and
    /// OECD usage).
    RestrictedShare,
    /// 1 − restricted share.
    AvailableShare,
    /// 1 − largest named share (IEA); does not react to measures.
    NMinus1,
    /// Governance- and trade-weighted HHI, Σ s²·WGI·t on the scale of 0 to 10 (European Commission
    /// criticality method). A country without a governance weight in the policy is unknown: it
    /// counts with the best weight at the lower bound and with the worst at the upper.
    HhiWgiT,
    /// `hhi_t` counting also measures that are announced and not yet in force, and suspended ones
    /// with a date of resumption (ours).
    AnnouncedHhiT,
    /// `restricted_share` counting measures as [`Self::AnnouncedHhiT`] does (ours).
    AnnouncedRestrictedShare,
}

impl Metric {
    /// The names that configuration accepts.
    pub const ALLOWED: &str = "top1_share, cr3, country_share, group_share, hhi, hhi_t, restricted_share, available_share, n_minus_1, hhi_wgi_t, announced_hhi_t, announced_restricted_share";

    /// The stable name, without the countries of `country_share` and `group_share`.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Top1Share => "top1_share",
            Self::Cr3 => "cr3",
            Self::CountryShare(_) => "country_share",
            Self::GroupShare(_) => "group_share",
            Self::Hhi => "hhi",
            Self::HhiT => "hhi_t",
            Self::RestrictedShare => "restricted_share",
            Self::AvailableShare => "available_share",
            Self::NMinus1 => "n_minus_1",
            Self::HhiWgiT => "hhi_wgi_t",
            Self::AnnouncedHhiT => "announced_hhi_t",
            Self::AnnouncedRestrictedShare => "announced_restricted_share",
        }
    }

    /// The unit of its amounts.
    pub fn unit(&self) -> Unit {
        match self {
            Self::Hhi | Self::HhiT | Self::AnnouncedHhiT => Unit::Points,
            Self::HhiWgiT => Unit::Governance,
            Self::Top1Share
            | Self::Cr3
            | Self::CountryShare(_)
            | Self::GroupShare(_)
            | Self::RestrictedShare
            | Self::AvailableShare
            | Self::NMinus1
            | Self::AnnouncedRestrictedShare => Unit::Share,
        }
    }

    /// Whether less is worse, so that a level is raised when the value falls to its raise value.
    pub fn is_falling(&self) -> bool {
        matches!(self, Self::AvailableShare | Self::NMinus1)
    }

    /// Whether it depends on measures, and so on the destination.
    pub fn reacts_to_measures(&self) -> bool {
        match self {
            Self::HhiT
            | Self::RestrictedShare
            | Self::AvailableShare
            | Self::HhiWgiT
            | Self::AnnouncedHhiT
            | Self::AnnouncedRestrictedShare => true,
            Self::Top1Share
            | Self::Cr3
            | Self::CountryShare(_)
            | Self::GroupShare(_)
            | Self::Hhi
            | Self::NMinus1 => false,
        }
    }

    /// Whether it also counts measures that are announced, or suspended until a known date.
    pub fn counts_announced(&self) -> bool {
        matches!(self, Self::AnnouncedHhiT | Self::AnnouncedRestrictedShare)
    }

    /// The countries that it names.
    pub fn countries(&self) -> &[Country] {
        match self {
            Self::CountryShare(country) => std::slice::from_ref(country),
            Self::GroupShare(countries) => countries,
            Self::Top1Share
            | Self::Cr3
            | Self::Hhi
            | Self::HhiT
            | Self::RestrictedShare
            | Self::AvailableShare
            | Self::NMinus1
            | Self::HhiWgiT
            | Self::AnnouncedHhiT
            | Self::AnnouncedRestrictedShare => &[],
        }
    }
}

impl fmt::Display for Metric {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())?;
        if let [first, rest @ ..] = self.countries() {
            write!(f, "({first}")?;
            rest.iter().try_for_each(|country| write!(f, "+{country}"))?;
            f.write_str(")")?;
        }
        Ok(())
    }
}

/// The values at which a level is raised and reset.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Threshold {
    /// The level.
    pub level: Level,
    /// Raised when the lower bound of the value reaches this (the upper bound, for a falling
    /// metric).
    pub raise: Amount,
    /// Reset when the other bound is past this. Between the two the level stays as it was.
    pub reset: Amount,
}

/// A rule: one metric and its thresholds. Persisted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rule {
    /// Unique in its policy.
    pub name: Slug,
    /// The metric.
    pub metric: Metric,
    /// The minerals it covers, with all their parts; empty means all.
    pub minerals: Vec<Mineral>,
    /// The stages it covers; empty means all.
    pub stages: Vec<Stage>,
    /// The buyers, each evaluated separately; exactly one, `all`, for a metric that does not react
    /// to measures.
    pub destinations: Vec<Destination>,
    /// The kinds of measures that count; empty means every kind that moves an index.
    pub measures: BTreeSet<Measure>,
    /// One to three, in order of their level.
    pub thresholds: Vec<Threshold>,
    /// How long a level must hold before it is raised, in milliseconds.
    pub for_ms: u64,
    /// How long the value must be past the reset value before a level is cleared, in milliseconds.
    pub keep_ms: u64,
    /// The confidences of threats that count; empty means all.
    pub confidence: BTreeSet<Confidence>,
    /// How long after its release a report is stale, in milliseconds; `None` for never.
    pub max_age_ms: Option<u64>,
    /// When a level counts as flapping; `None` for never.
    pub flapping: Option<Flapping>,
}

/// When a level changes too often. One flapping alert is emitted, and the level is held at the
/// highest it had.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Flapping {
    /// More changes of the level than this are flapping; 1 to [`Self::CHANGES_MAX`].
    pub changes: u8,
    /// The period in which they are counted, in milliseconds. A period of this length without a
    /// change ends it.
    pub within_ms: u64,
}

impl Flapping {
    /// The maximum number of changes that can be counted.
    pub const CHANGES_MAX: u8 = 32;
}

/// Why the thresholds of a rule contradict each other.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ThresholdFault {
    /// No level, or one twice, or out of order.
    #[error("levels must be one to three of watch, warning, critical, each once and in this order")]
    Levels,
    /// A reset value on the wrong side of the raise value.
    #[error("{0}: the reset value must not be beyond the raise value")]
    ResetBeyondRaise(Level),
    /// A higher level that is easier to reach than a lower one.
    #[error(
        "{0}: the raise and reset values must not be easier to reach than those of the level before"
    )]
    Unordered(Level),
}

impl Rule {
    /// Whether the rule covers a market.
    pub fn covers(&self, market: MarketKey) -> bool {
        let mineral = self.minerals.is_empty()
            || self.minerals.iter().any(|group| market.mineral.is_within(*group));
        mineral && (self.stages.is_empty() || self.stages.contains(&market.stage))
    }

    /// When a report released on a day becomes stale; `None` for never.
    pub fn stale_at(&self, vintage: Day) -> Option<Timestamp> {
        self.max_age_ms.map(|age| vintage.start().plus_millis(age))
    }

    /// Every contradiction in the thresholds; empty where there is none.
    pub fn threshold_faults(&self) -> Vec<ThresholdFault> {
        let mut faults = Vec::new();
        let sign = if self.metric.is_falling() { -1 } else { 1 };
        let ordered = self.thresholds.windows(2).all(|pair| match pair {
            [before, after] => before.level < after.level,
            _ => true,
        });
        if self.thresholds.is_empty() || !ordered {
            faults.push(ThresholdFault::Levels);
        }
        for threshold in &self.thresholds {
            if threshold.reset.saturating_mul(sign) > threshold.raise.saturating_mul(sign) {
                faults.push(ThresholdFault::ResetBeyondRaise(threshold.level));
            }
        }
        for pair in self.thresholds.windows(2) {
            if let [before, after] = pair
                && (after.raise.saturating_mul(sign) < before.raise.saturating_mul(sign)
                    || after.reset.saturating_mul(sign) < before.reset.saturating_mul(sign))
            {
                faults.push(ThresholdFault::Unordered(after.level));
            }
        }
        faults
    }
}
