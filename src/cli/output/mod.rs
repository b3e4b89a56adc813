//! What commands print: data to stdout, progress and notes to stderr.
//!
//! ```text
//! format ← columns, alert_line, market_tables, market_page ← commands
//! ```
//!
//! - [`print`]: lines, lists, tables, JSON, CSV, progress bars
//! - [`columns`]: the columns of each CSV list
//! - [`format`]: metrics, enums, dates and names as text
//! - [`styled_line`], [`bars`]: coloured lines, bars and scales
//! - [`alert_line`]: one alert as a line
//! - [`market_tables`], [`market_page`]: markets as a table, one market as a page

pub(super) mod alert_line;
mod bars;
pub(super) mod columns;
#[cfg(test)]
pub(super) mod fixtures;
pub(super) mod format;
pub(super) mod market_page;
pub(super) mod market_tables;
pub(super) mod print;
pub(super) mod styled_line;
