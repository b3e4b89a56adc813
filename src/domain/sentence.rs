//! An alert as one plain sentence that a person can read aloud.

use super::alert::{Alert, Cause, Kind};
use super::policy::Level;
use super::rule::Metric;
use super::share::{Amount, Interval, Unit};
use super::{Country, Slug};

/// The sentence.
pub fn of(alert: &Alert) -> String {
    let drill = if alert.exercise { "DRILL: " } else { "" };
    let market = capitalised(&alert.market.to_string());
    let buyer = alert.destination.as_ref().map(|one| format!(" for {one}")).unwrap_or_default();
    let unit = alert.metric.unit();
    let moved = movement(alert);
    let crossing = crossing(alert);
    let leaders = leaders(alert);
    let cause = cause(alert);
    let what = metric(&alert.metric);
    let value = interval(unit, alert.value);
    let rule = &alert.rule;
    format!(
        "{drill}{market}{buyer}, {rule}: {what} {moved} {value}, {crossing}, because {cause}{leaders}."
    )
}

/// `rose from 0.0 % to`, or `is` where there was no value before or it is the same.
fn movement(alert: &Alert) -> String {
    let Some(before) = alert.previous_value.filter(|before| *before != alert.value) else {
        return "is".to_owned();
    };
    let rose = (alert.value.lower, alert.value.upper) > (before.lower, before.upper);
    let verb = if rose { "rose" } else { "fell" };
    format!("{verb} from {} to", interval(alert.metric.unit(), before))
}

/// `reaching critical (65.0 %)`, `leaving critical for watch (…)`, `all clear (…)`.
fn crossing(alert: &Alert) -> String {
    let threshold = amount(alert.metric.unit(), alert.threshold);
    let name = |level: Option<Level>| level.map_or("no level", Level::name);
    match alert.kind {
        Kind::Raised => format!("reaching {} ({threshold})", name(alert.level)),
        Kind::Escalated => {
            format!("up from {} to {} ({threshold})", name(alert.previous_level), name(alert.level))
        }
        Kind::Deescalated => {
            format!(
                "down from {} to {} ({threshold})",
                name(alert.previous_level),
                name(alert.level)
            )
        }
        Kind::Cleared => format!("clear of {} ({threshold})", name(alert.previous_level)),
    }
}

fn cause(alert: &Alert) -> String {
    match &alert.cause {
        Cause::Data { report, .. } => {
            format!("{} reported {} (released {})", report.source, report.period, report.vintage)
        }
        Cause::Threat { threats, .. } => format!("of news on {}", list(threats)),
        Cause::Clock { threats } if threats.is_empty() => "its waiting time is over".to_owned(),
        Cause::Clock { threats } => format!("{} reached a date of its calendar", list(threats)),
        Cause::Policy => "other rules came into force".to_owned(),
    }
}

fn list(threats: &[Slug]) -> String {
    threats.iter().map(Slug::as_str).collect::<Vec<_>>().join(", ")
}

/// `; China leads with 99.0 %`
fn leaders(alert: &Alert) -> String {
    let holders: Vec<&str> = alert.leaders.iter().map(Country::name).collect();
    match holders.as_slice() {
        [] => String::new(),
        [one] => format!("; {one} leads"),
        many => format!("; {} lead together", many.join(" and ")),
    }
}

fn metric(metric: &Metric) -> String {
    let countries =
        || metric.countries().iter().map(Country::name).collect::<Vec<_>>().join(" and ");
    match metric {
        Metric::Top1Share => "the largest supplier's share".to_owned(),
        Metric::Cr3 => "the three largest suppliers' share".to_owned(),
        Metric::CountryShare(_) | Metric::GroupShare(_) => format!("the share of {}", countries()),
        Metric::Hhi => "concentration (HHI)".to_owned(),
        Metric::HhiT => "trade-adjusted concentration (HHI with t)".to_owned(),
        Metric::RestrictedShare => "the restricted share".to_owned(),
        Metric::AvailableShare => "the available share".to_owned(),
        Metric::NMinus1 => "what remains without the largest supplier".to_owned(),
    }
}

fn interval(unit: Unit, interval: Interval) -> String {
    let (lower, upper) = (figure(unit, interval.lower), figure(unit, interval.upper));
    let sign = sign(unit);
    if lower == upper { format!("{lower}{sign}") } else { format!("{lower}–{upper}{sign}") }
}

fn amount(unit: Unit, amount: Amount) -> String {
    format!("{}{}", figure(unit, amount), sign(unit))
}

fn sign(unit: Unit) -> &'static str {
    match unit {
        Unit::Share => " %",
        Unit::Points => "",
    }
}

/// Per cent with one decimal, or whole points with thousands separators; rounded half up.
fn figure(unit: Unit, amount: Amount) -> String {
    match unit {
        Unit::Share => {
            let permille = amount.saturating_add(500).div_euclid(1000);
            format!("{}.{}", permille / 10, permille % 10)
        }
        Unit::Points => {
            let one = unit.per_one();
            let points = amount.saturating_add(one / 2).div_euclid(one);
            let (thousands, rest) = (points / 1000, points % 1000);
            if thousands > 0 { format!("{thousands},{rest:03}") } else { rest.to_string() }
        }
    }
}

fn capitalised(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map(|first| first.to_uppercase().chain(letters).collect()).unwrap_or_default()
}
