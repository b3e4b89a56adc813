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
    if alert.kind == Kind::Notice {
        return format!("{drill}{}", notice(alert, &market));
    }
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
    let stays = |level: Option<Level>| {
        level.map_or("no level is up".to_owned(), |level| format!("{level} stays up"))
    };
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
        // The value may be where it was: it is the rule that is another one, or gone.
        Kind::Cleared if matches!(alert.cause, Cause::Policy) => {
            format!("{} is no longer held", name(alert.previous_level))
        }
        Kind::Cleared => format!("clear of {} ({threshold})", name(alert.previous_level)),
        Kind::Indeterminate => {
            format!(
                "which may or may not be {} ({threshold}); {}",
                name(alert.possible_level),
                stays(alert.level)
            )
        }
        Kind::Stale => format!(
            "by a report of {} released on {}, which is stale; {}",
            alert.report.period,
            alert.report.vintage,
            stays(alert.level)
        ),
        Kind::Flapping => {
            format!(
                "coming and going at {threshold}; held at {} until it is quiet",
                name(alert.level)
            )
        }
        Kind::Notice => String::new(),
    }
}

/// `Gallium refining: CHN-1 of China, which holds 99.0 %, is announced.`
fn notice(alert: &Alert, market: &str) -> String {
    let country = alert.metric.countries().first().map_or("", Country::name);
    let held = interval(alert.metric.unit(), alert.value);
    let threats = alert.threat_effects.iter().map(|one| {
        let status = one.status.name().replace('_', " ");
        format!("{} of {country}, which holds {held}, is {status}", one.threat)
    });
    let threats = threats.collect::<Vec<_>>().join("; ");
    match &alert.cause {
        // The news is the threat itself.
        Cause::Threat { .. } => format!("{market}: {threats}."),
        Cause::Data { .. } | Cause::Clock { .. } | Cause::Policy => {
            format!("{market}: {threats}, because {}.", cause(alert))
        }
    }
}

fn cause(alert: &Alert) -> String {
    match &alert.cause {
        Cause::Data { report, revised, .. } => {
            let verb = if revised.is_some() { "revised" } else { "reported" };
            format!("{} {verb} {} (released {})", report.source, report.period, report.vintage)
        }
        Cause::Threat { threats, .. } => format!("of news on {}", list(threats)),
        Cause::Clock { threats } if threats.is_empty() => "time has passed".to_owned(),
        Cause::Clock { threats } => format!("{} reached a date of its calendar", list(threats)),
        Cause::Policy => "other rules came into force".to_owned(),
    }
}

fn list(threats: &[Slug]) -> String {
    threats.iter().map(Slug::as_str).collect::<Vec<_>>().join(", ")
}

/// `; China leads with 99.0 %`
fn leaders(alert: &Alert) -> String {
    let names = |countries: &[Country]| {
        countries.iter().map(Country::name).collect::<Vec<_>>().join(" and ")
    };
    let before = match alert.previous_leaders.as_slice() {
        [] => String::new(),
        before => format!(", before it was {}", names(before)),
    };
    match alert.leaders.as_slice() {
        [] => String::new(),
        [one] => format!("; {} leads{before}", one.name()),
        many => format!("; {} lead together{before}", names(many)),
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
        Metric::HhiWgiT => "governance-weighted concentration (HHI with WGI and t)".to_owned(),
        Metric::AnnouncedHhiT => {
            "trade-adjusted concentration with what is announced (HHI with t)".to_owned()
        }
        Metric::AnnouncedRestrictedShare => {
            "the restricted share with what is announced".to_owned()
        }
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
        Unit::Points | Unit::Governance => "",
    }
}

/// Per cent with one decimal, or whole points with thousands separators; rounded half up.
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

fn capitalised(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map(|first| first.to_uppercase().chain(letters).collect()).unwrap_or_default()
}
