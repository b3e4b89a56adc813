//! Printing: tables for people, JSON and CSV for programs, progress bars and notes on stderr.

use super::columns::{CsvRow, names};
use crate::escape::{escape_json, escape_line, escape_styled};
use crate::grpc::json::{JsonMessage, to_json};
use clap::ValueEnum;
use comfy_table::{Table, presets};
use indicatif::{ProgressBar, ProgressFinish, ProgressStyle};
use ratatui::crossterm::terminal;
use std::io::{self, IsTerminal, Write};
use std::time::Duration;

const SPINNER_INTERVAL: Duration = Duration::from_millis(100);

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum OutputFormat {
    /// Tables and lines for people.
    Table,
    /// JSON Lines: one object per line, in protobuf's JSON mapping.
    Json,
    /// CSV with a heading row, for commands that print a list; `help COMMAND` names the columns.
    Csv,
}

/// Prints a list: one JSON object or CSV row per item, or what `print_table` prints.
pub(crate) fn list<R: CsvRow + JsonMessage>(
    format: OutputFormat,
    rows: &[R],
    print_table: impl FnOnce(&[R]) -> io::Result<()>,
) -> io::Result<()> {
    match format {
        OutputFormat::Table => print_table(rows),
        OutputFormat::Json => rows.iter().try_for_each(json),
        OutputFormat::Csv => csv_list(rows),
    }
}

/// Starts a list that is printed row by row: CSV has its headings even if no row follows.
pub(crate) fn list_heading<R: CsvRow>(format: OutputFormat) -> io::Result<()> {
    match format {
        OutputFormat::Csv => csv_record(names::<R>()),
        OutputFormat::Table | OutputFormat::Json => Ok(()),
    }
}

/// Prints one row of a list; for people, the line that `format_line` returns.
pub(crate) fn list_row<R: CsvRow + JsonMessage>(
    format: OutputFormat,
    row: &R,
    format_line: impl FnOnce(&R) -> String,
) -> io::Result<()> {
    match format {
        OutputFormat::Table => line(&format_line(row)),
        OutputFormat::Json => json(row),
        OutputFormat::Csv => csv_row(row),
    }
}

pub(crate) fn json<M: JsonMessage>(message: &M) -> io::Result<()> {
    json_line(&to_json(message))
}

/// Prints JSON as one line, without characters that a terminal obeys instead of showing.
pub(crate) fn json_line(json: &str) -> io::Result<()> {
    line(&escape_json(json))
}

pub(crate) fn csv_list<R: CsvRow>(rows: &[R]) -> io::Result<()> {
    csv_record(names::<R>())?;
    rows.iter().try_for_each(csv_row)
}

pub(crate) fn csv_row<R: CsvRow>(row: &R) -> io::Result<()> {
    csv_record(R::COLUMNS.iter().map(|(_, cell)| cell(row)))
}

fn csv_record(fields: impl Iterator<Item = impl AsRef<str>>) -> io::Result<()> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    writer.write_record(fields.map(|field| csv_cell(field.as_ref())))?;
    let text = writer.into_inner().map_err(csv::IntoInnerError::into_error)?;
    line(String::from_utf8_lossy(&text).trim_end_matches('\n'))
}

/// A cell without hidden characters, which a feed may have sent. A text that a spreadsheet would
/// run as a formula starts with an apostrophe; a number does not.
fn csv_cell(field: &str) -> String {
    let text = escape_line(field);
    let is_formula =
        text.trim_start().starts_with(['=', '+', '-', '@']) && text.trim().parse::<f64>().is_err();
    if is_formula { format!("'{text}") } else { text.into_owned() }
}

/// Prints lines of text; hidden characters, which a feed may have sent, become escapes.
pub(crate) fn line(text: &str) -> io::Result<()> {
    let mut out = anstream::stdout().lock();
    writeln!(out, "{}", escape_styled(text))?;
    out.flush()
}

/// Prints a note for people on stderr; it is not part of the data.
pub(crate) fn note(text: &str) {
    let style = anstyle::Style::new().dimmed();
    anstream::eprintln!("{style}{}{style:#}", escape_styled(text));
}

/// A table with headings and without lines.
pub(crate) fn table(headings: &[&str]) -> Table {
    let mut table = table_without_headings();
    table.set_header(headings);
    table
}

pub(crate) fn table_without_headings() -> Table {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table
}

/// The width of the terminal that stdout is; `None` if stdout is not a terminal.
pub(crate) fn terminal_columns() -> Option<usize> {
    let is_terminal = io::stdout().is_terminal();
    let (columns, _) = is_terminal.then(terminal::size)?.ok()?;
    Some(usize::from(columns))
}

/// A progress bar up to `total`, on stderr if that is a terminal; erased when dropped.
pub(crate) fn progress_bar(operation: &'static str, total: u64) -> ProgressBar {
    let style =
        ProgressStyle::with_template("{msg} {wide_bar} {human_pos}/{human_len}, {eta} left");
    ProgressBar::new(total)
        .with_style(style.expect("the template is well-formed"))
        .with_message(operation)
        .with_finish(ProgressFinish::AndClear)
}

/// A progress bar beside printed data; hidden if the data goes to the terminal as well.
pub(crate) fn progress_bar_beside_output(operation: &'static str, total: u64) -> ProgressBar {
    match terminal_columns() {
        Some(_) => ProgressBar::hidden(),
        None => progress_bar(operation, total),
    }
}

/// Progress of an operation whose length is unknown.
pub(crate) fn spinner(operation: String) -> ProgressBar {
    let spinner = ProgressBar::new_spinner().with_message(operation);
    spinner.enable_steady_tick(SPINNER_INTERVAL);
    spinner.with_finish(ProgressFinish::AndClear)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cell_is_neither_a_formula_nor_has_hidden_characters() {
        for (field, cell) in [
            ("=HYPERLINK(\"http://x\")", "'=HYPERLINK(\"http://x\")"),
            ("+cmd|'/C calc'!A0", "'+cmd|'/C calc'!A0"),
            ("-2+3", "'-2+3"),
            ("@SUM(A1)", "'@SUM(A1)"),
            ("\t=1+1", "' =1+1"),
            ("-1.5", "-1.5"),
            ("+1e3", "+1e3"),
            ("2026-01-01", "2026-01-01"),
            ("a = b", "a = b"),
            ("a\u{202e}b\u{1b}[2J\nc", "a\\u{202e}b\\u{1b}[2J c"),
        ] {
            assert_eq!(csv_cell(field), cell);
        }
    }
}
