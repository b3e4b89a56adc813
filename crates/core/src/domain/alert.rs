//! What a subscriber hears.

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
        /// A level was reached where none was up.
        Raised = "raised",
        /// A graver level was reached.
        Escalated = "escalated",
        /// A graver level was left for a lesser one.
        Deescalated = "deescalated",
        /// The last level was left: the episode is over.
        Cleared = "cleared",
        /// A threat that moves no index bears on the market.
        Notice = "notice",
        /// The raise value lies inside the value's interval: neither reached nor missed for certain.
        Indeterminate = "indeterminate",
        /// The report in force is older than the rule allows.
        Stale = "stale",
        /// The level comes and goes: from here on the episode stays at its gravest until it has been quiet for a while.
        Flapping = "flapping",
    }
}

named! {
    /// How a threat bears on a market.
    pub enum ScopeMatch {
        /// The threat names the mineral.
        Exact = "exact",
        /// The threat names a group that the mineral is part of.
        Group = "group",
        /// The threat names a part of the mineral only.
        Partial = "partial",
    }
}

/// Which report: whose, for when, released and accepted when.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReportRef {
    /// Who says so.
    pub source: Slug,
    /// For when.
    pub period: Period,
    /// When this version was released.
    pub vintage: Day,
    /// When the journal took it.
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
        /// A suspension ended, and it is in force again.
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
    /// A threat was published, revised or removed from the record.
    Threat {
        /// The feed that did it.
        feed: Slug,
        /// The batch that did it.
        request_id: RequestId,
        /// The threats of the batch that are about the market, by id.
        threats: Vec<ChangedThreat>,
    },
    /// Time passed: a date of a threat came, a `for` or `keep` ended, or a report became stale.
    Clock {
        /// The threats of which a date came, by id; empty for any other deadline.
        threats: Vec<ChangedThreat>,
    },
    /// Another policy came into force.
    Policy,
}

/// A threat that bears on the market of an alert.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ThreatEffect {
    /// Which threat.
    pub threat: Slug,
    /// The state act it is part of.
    pub state_act: Option<Slug>,
    /// Whose exports it restricts.
    pub imposing: Country,
    /// How it bears on this market.
    pub scope_match: ScopeMatch,
    /// Its trade weight.
    pub weight: Weight,
    /// Where it stands.
    pub status: ThreatStatus,
    /// The members of the destination that it reaches, where that is a bloc.
    pub reached: Vec<Country>,
}

/// One country's part of a value; the certain parts add up to the value's lower bound, all of them to the upper.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Contribution {
    /// Whose; `None` for the residual.
    pub country: Option<Country>,
    /// Its share.
    pub share: Ppm,
    /// Its trade weight; 1 where the metric has none.
    pub weight: Weight,
    /// What it adds, in the metric's unit.
    pub amount: Amount,
    /// Whether it counts for the upper bound only: the residual, or what a country without a governance weight may add.
    pub upper_only: bool,
}

/// Something to tell of a market, with the cause and the arithmetic: mostly that a level was crossed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Alert {
    /// 1 for the first alert of the journal, without gaps: orders and identifies it.
    pub sequence: u64,
    /// The entry that caused it.
    pub entry: Seq,
    /// The sequence of the alert that opened the episode: the episode's id.
    pub episode: u64,
    /// What happened.
    pub kind: Kind,
    /// By which rule.
    pub rule: Slug,
    /// The entry that adopted the policy in force.
    pub policy_version: Seq,
    /// The level now; `None` when cleared.
    pub level: Option<Level>,
    /// The level before; `None` when raised.
    pub previous_level: Option<Level>,
    /// The level that may be reached, where that is indeterminate.
    pub possible_level: Option<Level>,
    /// Of which market.
    pub market: MarketKey,
    /// For whom; `None` where the metric does not react to measures.
    pub destination: Option<Destination>,
    /// What is measured.
    pub metric: Metric,
    /// The value now.
    pub value: Interval,
    /// The value before the cause.
    pub previous_value: Option<Interval>,
    /// The value that was crossed: the raise value going up, the reset value going down.
    pub threshold: Amount,
    /// Why it changed.
    pub cause: Cause,
    /// The arithmetic of the value: countries that add something, by country code; the residual, if
    /// it adds something, last. Contributions that are not `upper_only` add up to the lower bound,
    /// all of them to the upper one; for `available_share` and `n_minus_1` they add up to what is
    /// subtracted from the whole.
    pub contributions: Vec<Contribution>,
    /// Who holds the largest share: all of them at a tie.
    pub leaders: Vec<Country>,
    /// Who held it before the cause, where that was somebody else.
    pub previous_leaders: Vec<Country>,
    /// Measures in force that bear on the value, by id.
    pub threat_effects: Vec<ThreatEffect>,
    /// What to know of the figures.
    pub flags: Vec<Flag>,
    /// The report in force.
    pub report: ReportRef,
    /// When it happened: the entry's time, or the deadline that was due.
    pub event_time: Timestamp,
    /// When the journal took the entry.
    pub journal_time: Timestamp,
    /// The alert of the same episode before this one.
    pub previous: Option<u64>,
    /// Whether a drill has a part in it.
    pub exercise: bool,
}
