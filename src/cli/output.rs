//! Printing: tables for people, JSON for programs, CSV for spreadsheets, colours where a terminal wants them.

use super::arguments::Output;
use super::columns::Columns;
use crate::grpc::json::{Mapped, to_json};
use crate::grpc::pb::{Level, ReportRef, Stage, Timestamp};
use comfy_table::{Table, presets};
use ratatui::crossterm::terminal;
use std::io::{self, IsTerminal, Write};

/// Prints one message as a line of JSON.
pub(super) fn json<M: Mapped>(message: &M) -> io::Result<()> {
    line(&to_json(message))
}

/// Begins a list: CSV says what its columns are, whether rows follow or not.
pub(super) fn begin<R: Columns>(output: Output) -> io::Result<()> {
    match output {
        Output::Csv => csv(R::NAMES),
        Output::Table | Output::Json => Ok(()),
    }
}

/// Prints one of a list; for people the line that `told` makes of it.
pub(super) fn row<R: Columns + Mapped>(
    output: Output,
    row: &R,
    told: impl FnOnce(&R) -> String,
) -> io::Result<()> {
    match output {
        Output::Table => line(&told(row)),
        Output::Json => json(row),
        Output::Csv => csv(&row.fields()),
    }
}

/// Prints fields as a line of CSV. What others wrote may have lines and a terminal's codes in it: they become blanks.
pub(super) fn csv(fields: &[impl AsRef<str>]) -> io::Result<()> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    writer
        .write_record(fields.iter().map(|field| field.as_ref().replace(char::is_control, " ")))?;
    let text = writer.into_inner().map_err(csv::IntoInnerError::into_error)?;
    line(String::from_utf8_lossy(&text).trim_end_matches('\n'))
}

/// Prints one line.
pub(super) fn line(text: &str) -> io::Result<()> {
    let mut out = anstream::stdout().lock();
    writeln!(out, "{text}")?;
    out.flush()
}

/// A word to the person, not part of the data.
pub(super) fn note(text: &str) {
    anstream::eprintln!(
        "{}{text}{:#}",
        anstyle::Style::new().dimmed(),
        anstyle::Style::new().dimmed()
    );
}

/// A table without lines, with headings.
pub(super) fn table(headings: &[&str]) -> Table {
    let mut table = facts();
    table.set_header(headings);
    table
}

/// A table without lines and headings.
pub(super) fn facts() -> Table {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table
}

/// The columns of the terminal that standard output is; `None` where it is none.
pub(super) fn terminal_columns() -> Option<usize> {
    let is_terminal = io::stdout().is_terminal();
    let (columns, _) = is_terminal.then(terminal::size)?.ok()?;
    Some(usize::from(columns))
}

/// An instant, to the second.
pub(super) fn instant(sent: &Timestamp) -> crate::domain::Timestamp {
    crate::domain::Timestamp::from_millis(sent.seconds.saturating_mul(1000))
}

/// `2026-11-28 07:53 UTC`.
pub(super) fn minute(instant: crate::domain::Timestamp) -> String {
    let text = instant.to_string();
    format!("{} UTC", text.get(..16).unwrap_or(&text).replace('T', " "))
}

/// The day of an instant, in UTC.
pub(super) fn day(sent: &Timestamp) -> String {
    instant(sent).day().to_string()
}

/// `USGS 2025, released 2026-02-06`.
pub(super) fn report(name: &ReportRef) -> String {
    format!("{} {}, released {}", name.source, name.period, name.vintage)
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
