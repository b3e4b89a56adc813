//! An alert as a line.

use super::figures::{self, Unit};
use super::{explain, output};
use crate::domain::{Mineral, Timestamp};
use crate::grpc::pb::{Alert, AlertKind, Level};
use anstyle::{AnsiColor, Style};
use comfy_table::ContentArrangement;
use std::fmt::Write;

const SECOND_MS: i64 = 1000;
const MINUTE_MS: i64 = 60 * SECOND_MS;
const HOUR_MS: i64 = 60 * MINUTE_MS;
const DAY_MS: i64 = 24 * HOUR_MS;
/// What is so new, or ahead of a clock that is late by so much, is now.
const NOW_MS: i64 = 5 * SECOND_MS;
/// How far what explains a line stands in, and how much room it has at least.
const INDENT: &str = "            ";
const DETAIL_COLUMNS_MIN: usize = 20;

/// Day, what happened, level, sentence.
pub(super) fn dated(alert: &Alert) -> String {
    let day = alert.event_time.as_ref().map(output::day).unwrap_or_default();
    let (style, signal) = signal(alert);
    format!("{day}  {style}{signal}{style:#}  {}", alert.sentence)
}

/// How alerts that arrive are shown.
#[derive(Debug, Clone, Copy)]
pub(super) struct Look {
    /// The time, where it is to be told how long ago something was.
    pub(super) now: Option<Timestamp>,
    /// Columns of the terminal; without one nothing is cut off.
    pub(super) width: Option<usize>,
    /// Why as well, on lines of their own.
    pub(super) verbose: bool,
}

/// One line, and where it is wanted some more that say why.
pub(super) fn arrived(alert: &Alert, look: Look) -> String {
    let at = alert.event_time.as_ref().map(output::instant).unwrap_or_default();
    let time = match look.now {
        Some(now) => format!("{:>10}", ago(at, now)),
        None => at.to_string(),
    };
    let (style, signal) = signal(alert);
    let before = time.chars().count() + signal.chars().count() + 4;
    let room = look.width.map_or(usize::MAX, |width| width.saturating_sub(before));
    let told = told(alert, room);
    let mut text = format!("{time}  {style}{signal}{style:#}  {told}");
    if look.verbose {
        let whole = if told == alert.sentence { "" } else { &alert.sentence };
        text.push_str(&detail(alert, whole, look.width));
    }
    text
}

/// The sentence where it has room; else what is most of it.
pub(super) fn told(alert: &Alert, columns: usize) -> String {
    let fits = alert.sentence.chars().count() <= columns;
    if fits { alert.sentence.clone() } else { cut(&brief(alert), columns) }
}

/// The sentence in short: `Gallium refining for USA: 0.0 % → 99.0 % prohibited-share`. A notice has no shorter one.
fn brief(alert: &Alert) -> String {
    if alert.kind() == AlertKind::Notice {
        return alert.sentence.clone();
    }
    let drill = if alert.exercise { "EXERCISE: " } else { "" };
    let mineral =
        Mineral::parse(&alert.mineral).map_or(alert.mineral.as_str(), |mineral| mineral.name());
    let market = figures::market_name(mineral, alert.stage());
    let buyer = match alert.destination.as_str() {
        "" => String::new(),
        name => format!(" for {name}"),
    };
    format!("{drill}{market}{buyer}: {} {}", movement(alert), alert.rule)
}

/// `0.0 % → 99.0 %`, or the value where there was none before.
fn movement(alert: &Alert) -> String {
    let unit = Unit::of(alert.metric());
    let value = unit.interval(alert.value);
    match unit.interval(alert.previous_value) {
        before if before.is_empty() || before == value => value,
        before => format!("{before} → {value}"),
    }
}

/// `3 min ago`; from a day on the day, as for what is yet to come.
pub(super) fn ago(at: Timestamp, now: Timestamp) -> String {
    match now.millis().saturating_sub(at.millis()) {
        past if past.abs() < NOW_MS => "now".to_owned(),
        past @ 0..MINUTE_MS => format!("{} s ago", past / SECOND_MS),
        past @ MINUTE_MS..HOUR_MS => format!("{} min ago", past / MINUTE_MS),
        past @ HOUR_MS..DAY_MS => format!("{} h ago", past / HOUR_MS),
        _ => at.day().to_string(),
    }
}

/// A text, with `…` for what has no room.
pub(super) fn cut(text: &str, columns: usize) -> String {
    if text.chars().count() <= columns {
        return text.to_owned();
    }
    let kept: String = text.chars().take(columns.saturating_sub(1)).collect();
    format!("{}…", kept.trim_end())
}

/// What happened and the level, in as many columns for all, and their colour.
pub(super) fn signal(alert: &Alert) -> (Style, String) {
    let kind = alert.kind().as_str_name().trim_start_matches("ALERT_KIND_");
    let level =
        if alert.level() == Level::Unspecified { alert.previous_level() } else { alert.level() };
    (style(alert.kind(), level), format!("{kind:<13} {:<8}", output::level_name(level)))
}

/// The colour of a level that is up.
pub(super) fn level_style(level: Level) -> Style {
    match level {
        Level::Critical => color(AnsiColor::Red).bold(),
        Level::Warning => color(AnsiColor::Yellow),
        Level::Watch => color(AnsiColor::Cyan),
        Level::Unspecified => Style::new(),
    }
}

fn style(kind: AlertKind, level: Level) -> Style {
    match kind {
        AlertKind::Notice | AlertKind::Indeterminate | AlertKind::Stale => {
            color(AnsiColor::Magenta)
        }
        AlertKind::Cleared | AlertKind::Deescalated => color(AnsiColor::Green),
        AlertKind::Raised | AlertKind::Escalated | AlertKind::Flapping | AlertKind::Unspecified => {
            level_style(level)
        }
    }
}

fn color(color: AnsiColor) -> Style {
    Style::new().fg_color(Some(color.into()))
}

/// Why: the whole sentence where the line has only its beginning, then what it rests on.
fn detail(alert: &Alert, whole: &str, width: Option<usize>) -> String {
    let unit = Unit::of(alert.metric());
    let mut table = output::facts();
    if let Some(width) = width {
        let room = width.saturating_sub(INDENT.len()).max(DETAIL_COLUMNS_MIN);
        table.set_content_arrangement(ContentArrangement::Dynamic);
        table.set_width(u16::try_from(room).unwrap_or(u16::MAX));
    }
    let threshold = match alert.kind() {
        // Neither crosses anything.
        AlertKind::Stale | AlertKind::Notice => String::new(),
        AlertKind::Raised
        | AlertKind::Escalated
        | AlertKind::Deescalated
        | AlertKind::Cleared
        | AlertKind::Indeterminate
        | AlertKind::Flapping
        | AlertKind::Unspecified => unit.double(alert.threshold),
    };
    for (name, text) in [
        ("", whole.to_owned()),
        ("value", movement(alert)),
        ("threshold", threshold),
        ("cause", alert.cause.as_ref().map(explain::cause).unwrap_or_default()),
        (
            "counting",
            alert.threat_effects.iter().map(explain::bearing).collect::<Vec<_>>().join("; "),
        ),
        ("source", alert.report.as_ref().map(output::report).unwrap_or_default()),
        ("in full", format!("lodewatch alerts show {}", alert.sequence)),
    ] {
        if !text.is_empty() {
            table.add_row([name.to_owned(), text]);
        }
    }
    table.lines().fold(String::new(), |mut text, line| {
        // Writing to a string cannot fail.
        let _ = write!(text, "\n{INDENT}{}", line.trim_end());
        text
    })
}

#[cfg(test)]
mod tests {
    use super::super::fixtures;
    use super::*;

    fn instant(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    #[test]
    fn what_is_near_is_told_by_how_long_ago_and_what_is_far_by_its_day() {
        let now = instant("2026-11-28T08:00:00Z");
        for (at, expected) in [
            ("2026-11-28T07:59:58Z", "now"),
            ("2026-11-28T08:00:03Z", "now"),
            ("2026-11-28T07:59:18Z", "42 s ago"),
            ("2026-11-28T07:57:00Z", "3 min ago"),
            ("2026-11-28T07:00:01Z", "59 min ago"),
            ("2026-11-27T08:00:01Z", "23 h ago"),
            ("2026-11-27T08:00:00Z", "2026-11-27"),
            ("2026-12-24T00:00:00Z", "2026-12-24"),
        ] {
            assert_eq!(ago(instant(at), now), expected, "{at}");
        }
    }

    #[test]
    fn an_alert_is_one_line_of_the_terminal_with_what_matters_most_and_says_why_on_demand() {
        let now = Some(instant("2026-11-27T00:03:00Z"));
        let mut told = String::new();
        for (name, look) in [
            ("80 columns", Look { now, width: Some(80), verbose: false }),
            ("120 columns", Look { now, width: Some(120), verbose: false }),
            ("80 columns, verbose", Look { now, width: Some(80), verbose: true }),
            ("no terminal", Look { now: None, width: None, verbose: false }),
            ("no terminal, verbose", Look { now: None, width: None, verbose: true }),
        ] {
            let lines = fixtures::alerts()
                .iter()
                .map(|alert| arrived(alert, look) + "\n")
                .collect::<String>();
            let lines = anstream::adapter::strip_str(&lines).to_string();
            let longest = lines.lines().map(|line| line.chars().count()).max().unwrap();
            assert!(longest <= look.width.unwrap_or(usize::MAX), "{name}: {longest} columns");
            writeln!(told, "--- {name}\n{}", lines.trim_end()).unwrap();
        }
        insta::assert_snapshot!(told);
    }

    #[test]
    fn levels_have_colours_and_what_is_over_is_green() {
        let line = |kind: AlertKind, level: Level| {
            let alert = Alert { kind: kind.into(), level: level.into(), ..Alert::default() };
            format!("{:?}\n", dated(&alert))
        };
        let lines = [
            line(AlertKind::Raised, Level::Critical),
            line(AlertKind::Escalated, Level::Warning),
            line(AlertKind::Raised, Level::Watch),
            line(AlertKind::Cleared, Level::Unspecified),
            line(AlertKind::Stale, Level::Critical),
        ];
        insta::assert_snapshot!(lines.concat());
    }
}
