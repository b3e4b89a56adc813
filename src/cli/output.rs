//! Printing: tables for people, JSON for programs, colours where a terminal wants them.

use crate::grpc::json::{Mapped, to_json};
use crate::grpc::pb::{Alert, AlertKind, Level, Stage, Timestamp};
use anstyle::{AnsiColor, Style};
use comfy_table::{Table, presets};
use std::io::{self, Write};

/// Prints one message as a line of JSON.
pub(super) fn json<M: Mapped>(message: &M) -> io::Result<()> {
    line(&to_json(message))
}

/// Prints one line.
pub(super) fn line(text: &str) -> io::Result<()> {
    let mut out = anstream::stdout().lock();
    writeln!(out, "{text}")?;
    out.flush()
}

/// A table without lines, with headings.
pub(super) fn table(headings: &[&str]) -> Table {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table.set_header(headings);
    table
}

/// One alert as a line: day, what happened, level, sentence.
pub(super) fn alert(alert: &Alert) -> String {
    let time = alert.event_time.as_ref().map(day).unwrap_or_default();
    let kind = alert.kind().as_str_name().trim_start_matches("ALERT_KIND_");
    let level =
        if alert.level() == Level::Unspecified { alert.previous_level() } else { alert.level() };
    let style = style(alert.kind(), level);
    let level = level_name(level);
    let text = format!("{kind:<13} {level:<8}");
    format!("{time}  {style}{text}{style:#}  {}", alert.sentence)
}

/// The day of an instant, in UTC.
pub(super) fn day(instant: &Timestamp) -> String {
    let instant = crate::domain::Timestamp::from_millis(instant.seconds.saturating_mul(1000));
    instant.day().to_string()
}

/// An enum's name without its prefix: `in force`.
pub(super) fn name(name: &str, prefix: &str) -> String {
    name.trim_start_matches(prefix).to_lowercase().replace('_', " ")
}

/// `critical`, or nothing.
pub(super) fn level_name(level: Level) -> String {
    match level {
        Level::Unspecified => String::new(),
        Level::Watch | Level::Warning | Level::Critical => {
            level.as_str_name().trim_start_matches("LEVEL_").to_lowercase()
        }
    }
}

/// `mining`, or nothing.
pub(super) fn stage_name(stage: Stage) -> String {
    match stage {
        Stage::Unspecified => String::new(),
        Stage::Mining | Stage::Refining => {
            stage.as_str_name().trim_start_matches("STAGE_").to_lowercase()
        }
    }
}

fn style(kind: AlertKind, level: Level) -> Style {
    let color = |color: AnsiColor| Style::new().fg_color(Some(color.into()));
    match (kind, level) {
        (AlertKind::Notice | AlertKind::Indeterminate | AlertKind::Stale, _) => {
            color(AnsiColor::Magenta)
        }
        (AlertKind::Cleared | AlertKind::Deescalated, _) => color(AnsiColor::Green),
        (_, Level::Critical) => color(AnsiColor::Red).bold(),
        (_, Level::Warning) => color(AnsiColor::Yellow),
        (_, Level::Watch | Level::Unspecified) => color(AnsiColor::Cyan),
    }
}
