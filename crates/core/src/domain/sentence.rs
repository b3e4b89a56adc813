//! Sentences: an alert as plain English text.
//!
//! ```text
//! Gallium refining, buyers in the United States: restricted share rose from 0.0 % to 99.0 %,
//! critical from 65 %. Cause: threat CHN-USA-2024 published. Rule: prohibited-share.
//! ```
//!
//! Shares are in per cent with one decimal, HHI in whole points, governance-weighted concentration
//! with two decimals; all are rounded half up. A threshold that is a share drops a decimal of zero.

use super::Country;
use super::alert::{Alert, Cause, ChangedThreats, Kind, ThreatChange};
use super::policy::{Destination, Jurisdiction, Level};
use super::rule::Metric;
use super::share::{Amount, Interval, Unit};
use std::fmt::Write;

/// How many names a list has before it ends with `and 7 more`.
const NAMES_MAX: usize = 12;

/// The text of an alert: what changed, then labelled facts.
pub fn render(alert: &Alert) -> String {
    let exercise = if alert.exercise { "EXERCISE: " } else { "" };
    let market = capitalized(&alert.market.to_string());
    let cause = cause(alert);
    if alert.kind == Kind::Notice {
        return format!("{exercise}{market}: {}. Cause: {cause}.", notice(alert));
    }
    let buyers = alert.destination.as_ref().map(buyers).unwrap_or_default();
    let (metric, movement, crossing) = (metric(&alert.metric), movement(alert), crossing(alert));
    let (leaders, rule) = (leaders(alert), &alert.rule);
    format!(
        "{exercise}{market}{buyers}: {metric} {movement}, {crossing}. Cause: {cause}.{leaders} \
         Rule: {rule}."
    )
}

/// `, buyers in the United States`
fn buyers(destination: &Destination) -> String {
    match destination {
        Destination::All => ", all buyers".to_owned(),
        Destination::Any => ", at least one buyer".to_owned(),
        Destination::Jurisdiction(Jurisdiction::Country(country)) => {
            format!(", buyers in {}", country.name_in_text())
        }
        Destination::Jurisdiction(Jurisdiction::Bloc(name)) => format!(", buyers in {name}"),
    }
}

/// `rose from 0.0 % to 99.0 %`, or `is 99.0 %` where there was no value before or the same.
fn movement(alert: &Alert) -> String {
    let unit = alert.metric.unit();
    let value = interval(unit, alert.value);
    let Some(before) = alert.previous_value.filter(|before| *before != alert.value) else {
        return format!("is {value}");
    };
    let rose = (alert.value.lower, alert.value.upper) > (before.lower, before.upper);
    let verb = if rose { "rose" } else { "fell" };
    format!("{verb} from {} to {value}", interval(unit, before))
}

/// `critical from 65 %`, `below 63 %, no longer critical`
fn crossing(alert: &Alert) -> String {
    let name = |level: Option<Level>| level.map_or("no level", Level::name);
    let (level, before) = (name(alert.level), name(alert.previous_level));
    let threshold = threshold(alert.metric.unit(), alert.threshold);
    let raise = if alert.metric.is_falling() {
        format!("at {threshold} or less")
    } else {
        format!("from {threshold}")
    };
    let reset = reset(alert);
    match alert.kind {
        Kind::Raised => format!("{level} {raise}"),
        Kind::Escalated => format!("{level} {raise} (was {before})"),
        Kind::Deescalated => format!("{reset}now {level} (was {before})"),
        Kind::Cleared => format!("{reset}no longer {before}"),
        Kind::Indeterminate => {
            format!("possibly {} ({raise}), currently {level}", name(alert.possible_level))
        }
        Kind::Stale => format!(
            "currently {level}; the report for {}, released on {}, is stale",
            alert.report.period, alert.report.vintage
        ),
        Kind::Flapping => format!("crosses {threshold} too often, held at {level} until stable"),
        Kind::Notice => String::new(),
    }
}

/// `below 63 %, ` where the value is past the reset value. It need not be: the rule may have
/// changed or ended, or a flapping level may have been held.
fn reset(alert: &Alert) -> String {
    let threshold = threshold(alert.metric.unit(), alert.threshold);
    if matches!(alert.cause, Cause::Policy) {
        String::new()
    } else if alert.metric.is_falling() && alert.value.lower > alert.threshold {
        format!("above {threshold}, ")
    } else if !alert.metric.is_falling() && alert.value.upper < alert.threshold {
        format!("below {threshold}, ")
    } else {
        String::new()
    }
}

/// `threat CHN-1 from China (share 99.0 %) has status announced`
fn notice(alert: &Alert) -> String {
    let country = alert.metric.countries().first().map(Country::name_in_text).unwrap_or_default();
    let share = interval(alert.metric.unit(), alert.value);
    let threats = alert.threat_effects.iter().map(|effect| {
        let status = effect.status.name().replace('_', " ");
        format!("threat {} from {country} (share {share}) has status {status}", effect.threat)
    });
    threats.collect::<Vec<_>>().join("; ")
}

/// `threat CHN-USA-2024 took effect on 2024-12-03`
fn cause(alert: &Alert) -> String {
    match &alert.cause {
        Cause::Data { report, revised, .. } => {
            let revised = if revised.is_some() { "revised " } else { "" };
            let (source, period, vintage) = (&report.source, report.period, report.vintage);
            format!("{revised}{source} report for {period}, released on {vintage}")
        }
        Cause::ReportRemoval { removed, .. } => {
            format!("{} report for {} removed", removed.source, removed.period)
        }
        Cause::Threat { threats, .. } => changes(alert, threats),
        Cause::Clock { threats } => {
            let text = changes(alert, threats);
            match alert.kind {
                _ if !text.is_empty() => text,
                Kind::Stale => "maximum age of a report reached".to_owned(),
                Kind::Raised
                | Kind::Escalated
                | Kind::Deescalated
                | Kind::Cleared
                | Kind::Notice
                | Kind::Indeterminate
                | Kind::Flapping => "waiting time over".to_owned(),
            }
        }
        Cause::Policy => "policy changed".to_owned(),
    }
}

/// What happened to the threats, grouped by what it was: `threats A and B published, threat C
/// removed, 7 more threats changed`. Empty where nothing happened to any.
fn changes(alert: &Alert, threats: &ChangedThreats) -> String {
    let mut text = String::new();
    let date = alert.event_time.day();
    for change in ThreatChange::ALL.iter().filter(|change| **change != ThreatChange::Unchanged) {
        let same = threats.shown.iter().filter(|one| one.change == *change);
        let ids: Vec<&str> = same.map(|one| one.threat.as_str()).collect();
        if ids.is_empty() {
            continue;
        }
        let separator = if text.is_empty() { "" } else { ", " };
        let noun = if ids.len() == 1 { "threat" } else { "threats" };
        // Writing to a string cannot fail.
        let _ = write!(text, "{separator}{noun} {} {change}", list(&ids));
        if !matches!(
            change,
            ThreatChange::Published | ThreatChange::Revised | ThreatChange::Removed
        ) {
            let _ = write!(text, " on {date}");
        }
    }
    if !text.is_empty() && threats.omitted > 0 {
        let noun = if threats.omitted == 1 { "threat" } else { "threats" };
        let _ = write!(text, ", {} more {noun} changed", threats.omitted);
    }
    text
}

/// ` Largest supplier: China.`, after data that may have changed it.
fn leaders(alert: &Alert) -> String {
    let noun = match alert.leaders.as_slice() {
        _ if !matches!(alert.cause, Cause::Data { .. }) && alert.previous_leaders.is_empty() => {
            return String::new();
        }
        [] => return String::new(),
        [_] => "supplier",
        _ => "suppliers",
    };
    let before = match alert.previous_leaders.as_slice() {
        [] => String::new(),
        before => format!(", before: {}", names(before)),
    };
    format!(" Largest {noun}: {}{before}.", names(&alert.leaders))
}

fn names(countries: &[Country]) -> String {
    list(&countries.iter().map(Country::name_in_text).collect::<Vec<_>>())
}

/// `A, B and C`, `A, B and 7 more`
fn list<T: AsRef<str>>(items: &[T]) -> String {
    let mut text = String::new();
    let more = items.len().saturating_sub(NAMES_MAX);
    for (at, item) in items.iter().take(NAMES_MAX).enumerate() {
        let separator = match items.len().saturating_sub(at) {
            _ if at == 0 => "",
            1 => " and ",
            _ => ", ",
        };
        text.push_str(separator);
        text.push_str(item.as_ref());
    }
    if more > 0 {
        // Writing to a string cannot fail.
        let _ = write!(text, " and {more} more");
    }
    text
}

/// `share of the largest supplier`
fn metric(metric: &Metric) -> String {
    let text = match metric {
        Metric::Top1Share => "share of the largest supplier",
        Metric::Cr3 => "share of the three largest suppliers",
        Metric::CountryShare(_) | Metric::GroupShare(_) => {
            return format!("share of {}", names(metric.countries()));
        }
        Metric::Hhi => "concentration (HHI)",
        Metric::HhiT => "trade-adjusted HHI",
        Metric::RestrictedShare => "restricted share",
        Metric::AvailableShare => "available share",
        Metric::NMinus1 => "share without the largest supplier",
        Metric::HhiWgiT => "governance-weighted, trade-adjusted HHI",
        Metric::AnnouncedHhiT => "trade-adjusted HHI with announced measures",
        Metric::AnnouncedRestrictedShare => "restricted share with announced measures",
    };
    text.to_owned()
}

fn interval(unit: Unit, interval: Interval) -> String {
    let (lower, upper) = (figure(unit, interval.lower), figure(unit, interval.upper));
    let sign = sign(unit);
    if lower == upper { format!("{lower}{sign}") } else { format!("{lower}–{upper}{sign}") }
}

/// `65 %`, `62.5 %`, `2,500`
fn threshold(unit: Unit, amount: Amount) -> String {
    let figure = figure(unit, amount);
    let short = match unit {
        Unit::Share => figure.strip_suffix(".0").unwrap_or(&figure),
        Unit::Points | Unit::Governance => &figure,
    };
    format!("{short}{}", sign(unit))
}

fn sign(unit: Unit) -> &'static str {
    match unit {
        Unit::Share => " %",
        Unit::Points | Unit::Governance => "",
    }
}

/// Per cent with one decimal, whole points with thousands separators, or a governance-weighted
/// value with two decimals; rounded half up.
fn figure(unit: Unit, amount: Amount) -> String {
    match unit {
        Unit::Share => {
            let permille = amount.saturating_add(500).div_euclid(1000);
            format!("{}.{}", permille / 10, permille % 10)
        }
        Unit::Governance => {
            let hundredth = unit.per_one() / 100;
            let hundredths = amount.saturating_add(hundredth / 2).div_euclid(hundredth);
            format!("{}.{:02}", hundredths / 100, hundredths % 100)
        }
        Unit::Points => {
            let one = unit.per_one();
            let points = amount.saturating_add(one / 2).div_euclid(one);
            let (thousands, rest) = (points / 1000, points % 1000);
            if thousands > 0 { format!("{thousands},{rest:03}") } else { rest.to_string() }
        }
    }
}

fn capitalized(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map(|first| first.to_uppercase().chain(letters).collect()).unwrap_or_default()
}
