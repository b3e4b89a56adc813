//! World production of the U.S. Geological Survey's Mineral Commodity Summaries (MCS), which are in
//! the public domain.
//!
//! Two releases are known, by their headers:
//!
//! | release | form | encoding | years | released | where |
//! |---|---|---|---|---|---|
//! | MCS 2025 | a line per country, a column per year | UTF-8 with byte order mark | 2023, 2024 | 2025-01-31 | doi:10.5066/P13XCP3R |
//! | MCS 2026 | a line per figure | Windows-1252 | 2024, 2025 | 2026-02-06 | doi:10.5066/P1WKQ63T |
//!
//! MCS 2025 is dated by the day of the publication, MCS 2026 by the day of its data release.
//!
//! What is imported: one report per market and year, source `USGS`, with shares as parts of the sum
//! of all rows. Capacity and reserves are never read as production. How figures are read:
//!
//! | written | read as |
//! |---|---|
//! | `1,234.5` | the quantity |
//! | `—`; in MCS 2025 an empty field | nil: the country's row stays, with 0 |
//! | less than half a unit | 0 |
//! | `W`; in MCS 2025 an empty field with such a note | withheld: the row has no share, and the market is flagged |
//! | included with another table | withheld, for the same reason |
//! | `NA` | not available: neither zero nor withheld, because the country may or may not produce; the row is skipped |
//! | a range, `>2,000,000`, `Large` | not a figure: the row is skipped |
//!
//! How countries are read:
//!
//! | written | read as |
//! |---|---|
//! | Brazil (beneficiated), United States (from Cliffside Field) | the country; several rows of one country are parts and are added, and are withheld where one of them is |
//! | Other countries | the residual |
//! | United States and Canada, or a name that is not a country | the residual too, which is reported |
//! | World total | the published total, never a country. A table without one is skipped: it is truncated, or its rows cannot be added |
//!
//! Iron ore is read as usable ore, which is what is traded; the iron content of the same ore is
//! skipped. `tables.csv` maps the source's tables to markets; a table of production that is not in
//! it is skipped, and so is a commodity of which the source has no such table.

mod assemble;
mod figure;
mod import;
mod long;
#[cfg(test)]
mod real_figures;
mod tables;
#[cfg(test)]
mod tests;
mod wide;

pub use import::read;
