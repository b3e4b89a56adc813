//! Alerts: what the engine emits and subscribers receive.

use super::market::Flag;
use super::market::Period;
use super::named::named;
use super::policy::{Destination, Level};
use super::rule::Metric;
use super::share::{Amount, Interval, Weight};
use super::threat::ThreatStatus;
use super::update::RequestId;
use super::{Country, Day, MarketKey, Ppm, Seq, Slug, Timestamp};

named! {
    /// What happened to an episode.
    pub enum Kind {
        /// A level was reached where none was active.
        Raised = "raised",
        /// A higher level was reached.
        Escalated = "escalated",
        /// A level was left for a lower one.
        Deescalated = "deescalated",
        /// The last level was left: the episode ends.
        Cleared = "cleared",
        /// A threat that does not change the metrics, or not yet, concerns the market.
        Notice = "notice",
        /// The raise value lies inside the value's interval: the level may or may not be reached.
        Indeterminate = "indeterminate",
        /// The report in force is older than the rule allows.
        Stale = "stale",
        /// The level changes too often: the episode is held at its highest level until it has been
        /// stable for a while.
        Flapping = "flapping",
    }
}

named! {
    /// How a threat's minerals match a market.
    pub enum ScopeMatch {
        /// The threat names the mineral.
        Exact = "exact",
        /// The threat names a group that the mineral is part of.
        Group = "group",
        /// The threat names only a part of the mineral.
        Partial = "partial",
    }
}

/// Identifies a version of a report.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReportRef {
    /// The source.
    pub source: Slug,
    /// The period it covers.
    pub period: Period,
    /// The day this version was released.
    pub vintage: Day,
    /// When the journal accepted it.
    pub accepted_at: Timestamp,
}

named! {
    /// What happened to a threat.
    pub enum ThreatChange {
        /// A feed published it for the first time.
        Published = "published",
        /// A feed published another revision.
        Revised = "revised",
        /// A feed removed it from the record.
        Removed = "removed",
        /// The day of its announcement came.
        Announced = "announced",
        /// It came into force for the first time.
        TookEffect = "took effect",
        /// A suspension began.
        Suspended = "suspended",
        /// A suspension ended, and it is in force or announced again.
        Resumed = "resumed",
        /// It ended after it had been in force.
        Expired = "expired",
        /// It ended before it was in force.
        Withdrawn = "withdrawn",
        /// Another threat took its place.
        Superseded = "superseded",
        /// One of its dates came, and its status stayed the same.
        Unchanged = "unchanged",
    }
}

/// A threat that caused an alert.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChangedThreat {
    /// The threat's id.
    pub threat: Slug,
    /// What happened to it.
    pub change: ThreatChange,
}

/// The threats that caused an alert.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ChangedThreats {
    /// The first [`Alert::THREATS_MAX`], by id.
    pub shown: Vec<ChangedThreat>,
    /// How many more there are.
    pub omitted: u32,
}

impl ChangedThreats {
    /// Of threats in the order of their ids.
    pub fn of(threats: &[ChangedThreat]) -> Self {
        let shown: Vec<_> = threats.iter().take(Alert::THREATS_MAX).cloned().collect();
        let omitted = threats.len().saturating_sub(shown.len());
        Self { shown, omitted: u32::try_from(omitted).unwrap_or(u32::MAX) }
    }
}

/// Why the value changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Cause {
    /// A supply report changed the shares.
    Data {
        /// The feed that published it.
        feed: Slug,
        /// The batch that held it.
        request_id: RequestId,
        /// The report now in force.
        report: ReportRef,
        /// The vintage it replaces, where the source revised a report for the same period.
        revised: Option<Day>,
    },
    /// The report that was in force was removed from the record. The next one is in force, or the
    /// market has no report any more.
    ReportRemoval {
        /// The feed that removed it.
        feed: Slug,
        /// The batch that removed it.
        request_id: RequestId,
        /// The report that was removed.
        removed: ReportRef,
    },
    /// A threat was published, revised or removed from the record.
    Threat {
        /// The feed that did it.
        feed: Slug,
        /// The batch that did it.
        request_id: RequestId,
        /// The threats of the batch that are about the market.
        threats: ChangedThreats,
    },
    /// Time passed: a date of a threat came, a `for` or `keep` ended, or a report became stale.
    Clock {
        /// The threats of which a date came; empty for any other deadline.
        threats: ChangedThreats,
    },
    /// Another policy came into force.
    Policy,
}

/// A threat and its effect on an alert's market.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ThreatEffect {
    /// The threat's id.
    pub threat: Slug,
    /// The state act it is part of.
    pub state_act: Option<Slug>,
    /// The country whose exports it restricts.
    pub imposing: Country,
    /// How its minerals match the market.
    pub scope_match: ScopeMatch,
    /// Its trade weight t, 1.0 to 3.0.
    pub weight: Weight,
    /// Its status at the time of the alert.
    pub status: ThreatStatus,
    /// The members of the destination that it reaches, where that is a bloc; by code.
    pub reached: Vec<Country>,
}

/// One country's contribution to a value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Contribution {
    /// The country; `None` for the residual.
    pub country: Option<Country>,
    /// Its share of the market.
    pub share: Ppm,
    /// Its trade weight t; 1 where the metric has none.
    pub weight: Weight,
    /// What it adds, in the metric's unit.
    pub amount: Amount,
    /// Whether it counts only for the upper bound: the residual, or a country whose weight is
    /// unknown.
    pub upper_only: bool,
}

/// An alert, with its cause and its arithmetic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Alert {
    /// Orders and identifies it: 1 for the first alert of the journal, without gaps.
    pub sequence: u64,
    /// The journal entry that caused it.
    pub entry: Seq,
    /// The episode's id: the sequence of its first alert.
    pub episode: u64,
    /// What happened.
    pub kind: Kind,
    /// The rule's name; [`Policy::NOTICE`](super::Policy::NOTICE) for a notice.
    pub rule: Slug,
    /// The entry that adopted the policy in force.
    pub policy_version: Seq,
    /// The active level; `None` when cleared.
    pub level: Option<Level>,
    /// The level before; `None` when raised.
    pub previous_level: Option<Level>,
    /// The level that is possibly reached, where that is indeterminate.
    pub possible_level: Option<Level>,
    /// The market.
    pub market: MarketKey,
    /// The buyer; `None` where the metric does not react to measures.
    pub destination: Option<Destination>,
    /// The metric.
    pub metric: Metric,
    /// The value now.
    pub value: Interval,
    /// The value before the cause.
    pub previous_value: Option<Interval>,
    /// The value that was crossed: the raise value going up, the reset value going down.
    pub threshold: Amount,
    /// Why the value changed.
    pub cause: Cause,
    /// The arithmetic of the value: countries that add something, by country code; the residual, if
    /// it adds something, last. Contributions that are not `upper_only` add up to the lower bound,
    /// all of them to the upper one; for `available_share` and `n_minus_1` they add up to what is
    /// subtracted from the whole.
    pub contributions: Vec<Contribution>,
    /// The countries with the largest share: several at a tie.
    pub leaders: Vec<Country>,
    /// The same before the cause, where it was different.
    pub previous_leaders: Vec<Country>,
    /// The threats that count for the value: of more than [`Self::THREATS_MAX`], those that matter
    /// most to the market; in that order.
    pub threat_effects: Vec<ThreatEffect>,
    /// How many more threats count for the value.
    pub threat_effects_omitted: u32,
    /// The countries that impose the threats that count, also of those that are omitted; by code.
    pub imposing: Vec<Country>,
    /// What to know about the figures.
    pub flags: Vec<Flag>,
    /// The report in force; the last one, where that was removed.
    pub report: ReportRef,
    /// When it happened: the entry's time, or the deadline that was due.
    pub event_time: Timestamp,
    /// When the journal accepted the entry.
    pub journal_time: Timestamp,
    /// The sequence of the previous alert of the episode.
    pub previous: Option<u64>,
    /// Whether an exercise contributed to it.
    pub exercise: bool,
}

impl Alert {
    /// How many threats an alert shows at most, in its effects and in its cause.
    pub const THREATS_MAX: usize = 64;
}
