//! An alert as a line of text.

use super::format::{self, Unit};
use super::print;
use super::styled_line::{color, level_style, truncate};
use anstyle::{AnsiColor, Style};
use comfy_table::ContentArrangement;
use lodewatch_core::domain::{Mineral, Timestamp};
use lodewatch_proto::v1::{Alert, AlertKind, Level};
use std::fmt::Write;

const SECOND_MS: i64 = 1000;
const MINUTE_MS: i64 = 60 * SECOND_MS;
const HOUR_MS: i64 = 60 * MINUTE_MS;
const DAY_MS: i64 = 24 * HOUR_MS;
/// An alert of this age, or this far ahead of a clock that is behind, is shown as `now`.
const NOW_MS: i64 = 5 * SECOND_MS;
/// Indentation of the details below a line, and their minimum width.
const INDENT: &str = "            ";
const DETAIL_COLUMNS_MIN: usize = 20;

/// How `watch` shows alerts.
#[derive(Debug, Clone, Copy)]
pub(crate) struct AlertLayout {
    /// Show ages as of this time; `None`: show timestamps.
    pub(crate) now: Option<Timestamp>,
    /// Width of the terminal; `None`: truncate nothing.
    pub(crate) columns: Option<usize>,
    /// Explain the alert below its line.
    pub(crate) verbose: bool,
}

/// Day, kind, level, sentence.
pub(crate) fn render_dated(alert: &Alert) -> String {
    let day = alert.event_time.as_ref().map(format::day).unwrap_or_default();
    let (style, label) = kind_and_level(alert);
    format!("{day}  {style}{label}{style:#}  {}", alert.sentence)
}

/// Age or time, kind, level, sentence; with `verbose`, details on lines of their own.
pub(crate) fn render(alert: &Alert, layout: AlertLayout) -> String {
    let at = alert.event_time.as_ref().map(format::instant).unwrap_or_default();
    let time = match layout.now {
        Some(now) => format!("{:>10}", age(at, now)),
        None => at.to_string(),
    };
    let (style, label) = kind_and_level(alert);
    let used = time.chars().count() + label.chars().count() + 4;
    let room = layout.columns.map_or(usize::MAX, |columns| columns.saturating_sub(used));
    let sentence = fit_sentence(alert, room);
    let mut text = format!("{time}  {style}{label}{style:#}  {sentence}");
    if layout.verbose {
        let full_sentence = if sentence == alert.sentence { "" } else { &alert.sentence };
        text.push_str(&render_details(alert, full_sentence, layout.columns));
    }
    text
}

/// The sentence if it fits; otherwise a short form, truncated if necessary.
pub(crate) fn fit_sentence(alert: &Alert, columns: usize) -> String {
    let fits = alert.sentence.chars().count() <= columns;
    if fits { alert.sentence.clone() } else { truncate(&short_sentence(alert), columns) }
}

/// `Gallium refining for USA: 0.0 % → 99.0 % prohibited-share`. A notice has no shorter form.
fn short_sentence(alert: &Alert) -> String {
    if alert.kind() == AlertKind::Notice {
        return alert.sentence.clone();
    }
    let exercise = if alert.exercise { "EXERCISE: " } else { "" };
    let mineral =
        Mineral::parse(&alert.mineral).map_or(alert.mineral.as_str(), |mineral| mineral.name());
    let market = format::market_name(mineral, alert.stage());
    let destination = match alert.destination.as_str() {
        "" => String::new(),
        name => format!(" for {name}"),
    };
    format!("{exercise}{market}{destination}: {} {}", value_change(alert), alert.rule)
}

/// `0.0 % → 99.0 %`, or the value alone if there is no previous one.
fn value_change(alert: &Alert) -> String {
    let unit = Unit::of(alert.metric());
    let value = unit.format_interval(alert.value);
    match unit.format_interval(alert.previous_value) {
        previous if previous.is_empty() || previous == value => value,
        previous => format!("{previous} → {value}"),
    }
}

/// `3 min ago`; the day if it is a day ago or more, or in the future.
pub(crate) fn age(at: Timestamp, now: Timestamp) -> String {
    match now.millis().saturating_sub(at.millis()) {
        past if past.abs() < NOW_MS => "now".to_owned(),
        past @ 0..MINUTE_MS => format!("{} s ago", past / SECOND_MS),
        past @ MINUTE_MS..HOUR_MS => format!("{} min ago", past / MINUTE_MS),
        past @ HOUR_MS..DAY_MS => format!("{} h ago", past / HOUR_MS),
        _ => at.day().to_string(),
    }
}

/// Kind and level, padded to a fixed width, and their colour. A cleared alert has the level that
/// it had before.
pub(crate) fn kind_and_level(alert: &Alert) -> (Style, String) {
    let kind = alert.kind().as_str_name().trim_start_matches("ALERT_KIND_");
    let level =
        if alert.level() == Level::Unspecified { alert.previous_level() } else { alert.level() };
    (kind_style(alert.kind(), level), format!("{kind:<13} {:<8}", format::level_name(level)))
}

fn kind_style(kind: AlertKind, level: Level) -> Style {
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

/// The sentence if the line has only a short form of it, then value, threshold, cause, threats and
/// report.
fn render_details(alert: &Alert, full_sentence: &str, columns: Option<usize>) -> String {
    let unit = Unit::of(alert.metric());
    let mut table = print::table_without_headings();
    if let Some(columns) = columns {
        let room = columns.saturating_sub(INDENT.len()).max(DETAIL_COLUMNS_MIN);
        table.set_content_arrangement(ContentArrangement::Dynamic);
        table.set_width(u16::try_from(room).unwrap_or(u16::MAX));
    }
    let threshold = match alert.kind() {
        // Neither crosses a threshold.
        AlertKind::Stale | AlertKind::Notice => String::new(),
        AlertKind::Raised
        | AlertKind::Escalated
        | AlertKind::Deescalated
        | AlertKind::Cleared
        | AlertKind::Indeterminate
        | AlertKind::Flapping
        | AlertKind::Unspecified => unit.format_double(alert.threshold),
    };
    for (name, text) in [
        ("", full_sentence.to_owned()),
        ("value", value_change(alert)),
        ("threshold", threshold),
        ("cause", alert.cause.as_ref().map(format::cause).unwrap_or_default()),
        ("threats", format::threat_effects(alert).join("; ")),
        ("report", alert.report.as_ref().map(format::report).unwrap_or_default()),
        ("details", format!("lodewatch alerts show {}", alert.sequence)),
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
    fn recent_alerts_show_their_age_and_others_their_day() {
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
            assert_eq!(age(instant(at), now), expected, "{at}");
        }
    }

    #[test]
    fn an_alert_fits_one_terminal_line_and_is_explained_on_demand() {
        let now = Some(instant("2026-11-27T00:03:00Z"));
        let mut text = String::new();
        for (name, layout) in [
            ("80 columns", AlertLayout { now, columns: Some(80), verbose: false }),
            ("120 columns", AlertLayout { now, columns: Some(120), verbose: false }),
            ("80 columns, verbose", AlertLayout { now, columns: Some(80), verbose: true }),
            ("no terminal", AlertLayout { now: None, columns: None, verbose: false }),
            ("no terminal, verbose", AlertLayout { now: None, columns: None, verbose: true }),
        ] {
            let lines = fixtures::alerts()
                .iter()
                .map(|alert| render(alert, layout) + "\n")
                .collect::<String>();
            let lines = anstream::adapter::strip_str(&lines).to_string();
            let longest = lines.lines().map(|line| line.chars().count()).max().unwrap();
            assert!(longest <= layout.columns.unwrap_or(usize::MAX), "{name}: {longest} columns");
            writeln!(text, "--- {name}\n{}", lines.trim_end()).unwrap();
        }
        insta::assert_snapshot!(text);
    }

    #[test]
    fn levels_have_colours_and_cleared_alerts_are_green() {
        let line = |kind: AlertKind, level: Level| {
            let alert = Alert { kind: kind.into(), level: level.into(), ..Alert::default() };
            format!("{:?}\n", render_dated(&alert))
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
