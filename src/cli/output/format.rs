//! Values of the protocol as text for people: metrics, enums, dates, markets, measures.

use lodewatch_core::domain;
use lodewatch_proto::v1::{
    Alert, Cause, CauseKind, Flag, Interval, Level, Market, Metric, ReportRef, RuleStatus, Scope,
    Stage, ThreatEffect, ThreatStatus, Timestamp,
};
use rust_decimal::Decimal;

/// The unit of a metric's values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unit {
    Share,
    Points,
    Governance,
}

impl Unit {
    pub(crate) fn of(metric: Metric) -> Self {
        match metric {
            Metric::Hhi | Metric::HhiT | Metric::AnnouncedHhiT => Self::Points,
            Metric::HhiWgiT => Self::Governance,
            Metric::Unspecified
            | Metric::Top1Share
            | Metric::Cr3
            | Metric::CountryShare
            | Metric::GroupShare
            | Metric::RestrictedShare
            | Metric::AvailableShare
            | Metric::NMinus1
            | Metric::AnnouncedRestrictedShare => Self::Share,
        }
    }

    /// An integer amount of the engine, with all its decimals.
    pub(crate) fn format_exact(self, amount: i64) -> String {
        match self {
            Self::Share => format!("{} %", decimal(amount, 4)),
            Self::Points => decimal(amount, 11).to_string(),
            Self::Governance => decimal(amount, 17).to_string(),
        }
    }

    /// A double of the protocol, such as a threshold, with all its decimals.
    pub(crate) fn format_double(self, value: f64) -> String {
        let value = Decimal::try_from(value).unwrap_or_default();
        match self {
            Self::Share => format!("{} %", (value * Decimal::ONE_HUNDRED).normalize()),
            Self::Points | Self::Governance => value.normalize().to_string(),
        }
    }

    /// A rounded value, as one number if both bounds round to the same; empty if there is none.
    pub(crate) fn format_interval(self, value: Option<Interval>) -> String {
        let Some(value) = value else { return String::new() };
        let round = |bound: f64| match self {
            Self::Share => format!("{:.1}", bound * 100.0),
            Self::Points => format!("{bound:.0}"),
            Self::Governance => format!("{bound:.2}"),
        };
        let unit = if self == Self::Share { " %" } else { "" };
        let (lower, upper) = (round(value.lower), round(value.upper));
        if lower == upper { format!("{lower}{unit}") } else { format!("{lower}–{upper}{unit}") }
    }
}

/// `number / 10^decimals`.
pub(crate) fn decimal(number: i64, decimals: u32) -> Decimal {
    Decimal::new(number, decimals).normalize()
}

pub(crate) fn metric_value(market: &Market, metric: Metric) -> Option<Interval> {
    market.metrics.iter().find(|one| one.metric() == metric)?.value
}

pub(crate) fn metric_text(market: &Market, metric: Metric) -> String {
    Unit::of(metric).format_interval(metric_value(market, metric))
}

pub(crate) fn metric_name(metric: Metric) -> &'static str {
    match metric {
        Metric::Unspecified => "",
        Metric::Top1Share => "top 1",
        Metric::Cr3 => "top 3",
        Metric::CountryShare => "country share",
        Metric::GroupShare => "group share",
        Metric::Hhi => "HHI",
        Metric::HhiT => "HHI with t",
        Metric::RestrictedShare => "restricted share",
        Metric::AvailableShare => "available share",
        Metric::NMinus1 => "without the largest",
        Metric::HhiWgiT => "governance HHI with t",
        Metric::AnnouncedHhiT => "announced HHI with t",
        Metric::AnnouncedRestrictedShare => "announced restricted",
    }
}

/// The status of each rule for the market's destination: rules for that destination, and rules
/// whose metric has none.
pub(crate) fn rule_statuses(market: &Market) -> impl Iterator<Item = &RuleStatus> {
    let is_for_market =
        |one: &&RuleStatus| one.destination.is_empty() || one.destination == market.destination;
    market.rule_statuses.iter().filter(is_for_market)
}

/// The highest level of an active alert for the market's destination.
pub(crate) fn highest_level(market: &Market) -> Level {
    rule_statuses(market).map(RuleStatus::level).max().unwrap_or_default()
}

/// How many episodes are open for the market's destination.
pub(crate) fn open_episodes(market: &Market) -> usize {
    rule_statuses(market).filter(|one| one.episode > 0).count()
}

/// A market as at the start of a sentence: `Gallium refining`.
pub(crate) fn market_name(mineral: &str, stage: Stage) -> String {
    let mut letters = mineral.chars();
    let first: String = letters.next().map(char::to_uppercase).into_iter().flatten().collect();
    format!("{first}{} {}", letters.as_str(), stage_name(stage))
}

/// `estimated, withheld`.
pub(crate) fn flag_names(flags: impl Iterator<Item = Flag>) -> String {
    flags.map(|flag| enum_name(flag.as_str_name(), "FLAG_")).collect::<Vec<_>>().join(", ")
}

/// An enum's name without its prefix, for people: `in force`.
pub(crate) fn enum_name(name: &str, prefix: &str) -> String {
    name.trim_start_matches(prefix).to_lowercase().replace('_', " ")
}

/// An enum's name without its prefix, for programs: `in_force`; empty if unspecified.
pub(crate) fn enum_value(name: &str, prefix: &str) -> String {
    match name.trim_start_matches(prefix) {
        "UNSPECIFIED" => String::new(),
        name => name.to_lowercase(),
    }
}

pub(crate) fn level_name(level: Level) -> String {
    enum_value(level.as_str_name(), "LEVEL_")
}

pub(crate) fn stage_name(stage: Stage) -> String {
    enum_value(stage.as_str_name(), "STAGE_")
}

/// An instant, to the second.
pub(crate) fn instant(timestamp: &Timestamp) -> domain::Timestamp {
    domain::Timestamp::from_millis(timestamp.seconds.saturating_mul(1000))
}

/// `2026-11-28 07:53 UTC`.
pub(crate) fn minute(instant: domain::Timestamp) -> String {
    let text = instant.to_string();
    format!("{} UTC", text.get(..16).unwrap_or(&text).replace('T', " "))
}

/// The day of an instant, in UTC.
pub(crate) fn day(timestamp: &Timestamp) -> String {
    instant(timestamp).day().to_string()
}

/// `USGS 2025, released 2026-02-06`.
pub(crate) fn report(report: &ReportRef) -> String {
    format!("{} {}, released {}", report.source, report.period, report.vintage)
}

/// The destinations of a measure: `USA, JPN`, `all except EU`.
pub(crate) fn scope(scope: Option<&Scope>) -> String {
    match scope {
        Some(scope) if !scope.only.is_empty() => scope.only.join(", "),
        Some(scope) if !scope.except.is_empty() => {
            format!("all except {}", scope.except.join(", "))
        }
        Some(_) | None => "all".to_owned(),
    }
}

/// Whether a threat restricts exports now or may do so later.
pub(crate) fn is_current(status: ThreatStatus) -> bool {
    match status {
        ThreatStatus::Threatened
        | ThreatStatus::Announced
        | ThreatStatus::InForce
        | ThreatStatus::Suspended => true,
        ThreatStatus::Unspecified
        | ThreatStatus::Removed
        | ThreatStatus::Withdrawn
        | ThreatStatus::Superseded => false,
    }
}

/// Why a value changed, and which feed published the cause.
pub(crate) fn cause(cause: &Cause) -> String {
    let publisher = match (cause.feed.as_str(), cause.request_id.as_str()) {
        ("", _) => String::new(),
        (feed, request) => format!(", from feed {feed} in request {request}"),
    };
    let change = match cause.kind() {
        CauseKind::Data => match cause.revised_vintage.as_str() {
            "" => "report".to_owned(),
            vintage => format!("report that replaces the release of {vintage}"),
        },
        CauseKind::Threat => format!("threat {}", threat_ids(cause)),
        CauseKind::Clock if cause.threat_ids.is_empty() => "time passed".to_owned(),
        CauseKind::Clock => format!("date reached: threat {}", threat_ids(cause)),
        CauseKind::Policy => "policy change".to_owned(),
        CauseKind::Unspecified => "unknown".to_owned(),
    };
    format!("{change}{publisher}")
}

/// `CHN-1, CHN-2 and 7 more`
fn threat_ids(cause: &Cause) -> String {
    let ids = cause.threat_ids.join(", ");
    if cause.threats_omitted == 0 { ids } else { format!("{ids} {}", more(cause.threats_omitted)) }
}

/// `and 7 more`, after the items of a list that are shown.
pub(crate) fn more(omitted: u32) -> String {
    format!("and {omitted} more")
}

/// The threats of an alert and their effects, one per item; the last counts those omitted.
pub(crate) fn threat_effects(alert: &Alert) -> Vec<String> {
    let omitted = Some(alert.threat_effects_omitted).filter(|omitted| *omitted > 0);
    alert.threat_effects.iter().map(threat_effect).chain(omitted.map(more)).collect()
}

/// A threat and its effect: `CHN-USA-2024 by CHN: in force, weight 1.5, exact match`.
fn threat_effect(effect: &ThreatEffect) -> String {
    let status = enum_name(effect.status().as_str_name(), "THREAT_STATUS_");
    let scope = enum_name(effect.scope_match().as_str_name(), "SCOPE_MATCH_");
    let members = match effect.reached.as_slice() {
        [] => String::new(),
        members => format!(", affects {}", members.join(" ")),
    };
    let (id, imposing, weight) = (&effect.threat_id, &effect.imposing, effect.weight);
    format!("{id} by {imposing}: {status}, weight {weight}, {scope} match{members}")
}
