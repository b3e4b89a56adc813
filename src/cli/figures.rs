//! Figures of the protocol as people read them.

use super::output;
use crate::grpc::pb::{Interval, Level, Market, Metric, RuleStatus, Stage};
use rust_decimal::Decimal;

/// How the values of a metric are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unit {
    Share,
    Points,
    Governance,
}

impl Unit {
    pub(super) fn of(metric: Metric) -> Self {
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

    /// An amount to its last unit.
    pub(super) fn exact(self, amount: i64) -> String {
        match self {
            Self::Share => format!("{} %", decimal(amount, 4)),
            Self::Points => decimal(amount, 11).to_string(),
            Self::Governance => decimal(amount, 17).to_string(),
        }
    }

    /// A figure that is sent as a double, such as a threshold, with all its decimals.
    pub(super) fn double(self, figure: f64) -> String {
        let figure = Decimal::try_from(figure).unwrap_or_default();
        match self {
            Self::Share => format!("{} %", (figure * Decimal::ONE_HUNDRED).normalize()),
            Self::Points | Self::Governance => figure.normalize().to_string(),
        }
    }

    /// A value, rounded, as one figure where both bounds read the same; nothing where there is none.
    pub(super) fn interval(self, value: Option<Interval>) -> String {
        let Some(value) = value else { return String::new() };
        let figure = |bound: f64| match self {
            Self::Share => format!("{:.1}", bound * 100.0),
            Self::Points => format!("{bound:.0}"),
            Self::Governance => format!("{bound:.2}"),
        };
        let unit = if self == Self::Share { " %" } else { "" };
        let (lower, upper) = (figure(value.lower), figure(value.upper));
        if lower == upper { format!("{lower}{unit}") } else { format!("{lower}–{upper}{unit}") }
    }
}

/// What a metric of a market is.
pub(super) fn value(market: &Market, metric: Metric) -> Option<Interval> {
    market.metrics.iter().find(|one| one.metric() == metric)?.value
}

/// The same, as it is written.
pub(super) fn written(market: &Market, metric: Metric) -> String {
    Unit::of(metric).interval(value(market, metric))
}

/// The gravest level that is up for the market's destination.
pub(super) fn level(market: &Market) -> Level {
    let levels = standings(market).map(RuleStatus::level);
    levels.max().unwrap_or_default()
}

/// How many episodes are open for the market's destination.
pub(super) fn open(market: &Market) -> usize {
    standings(market).filter(|one| one.episode > 0).count()
}

/// What rules say of a market for its destination: those that are for it, and those whose metric has none.
pub(super) fn standings(market: &Market) -> impl Iterator<Item = &RuleStatus> {
    let is_for =
        |one: &&RuleStatus| one.destination.is_empty() || one.destination == market.destination;
    market.rule_statuses.iter().filter(is_for)
}

/// A market as sentences begin with it: `Gallium refining`.
pub(super) fn market_name(mineral: &str, stage: Stage) -> String {
    let mut letters = mineral.chars();
    let first: String = letters.next().map(char::to_uppercase).into_iter().flatten().collect();
    format!("{first}{} {}", letters.as_str(), output::stage_name(stage))
}

/// What people call a metric.
pub(super) fn metric_name(metric: Metric) -> &'static str {
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

/// A whole number of smallest units, with the point where it belongs.
pub(super) fn decimal(number: i64, decimals: u32) -> Decimal {
    Decimal::new(number, decimals).normalize()
}
