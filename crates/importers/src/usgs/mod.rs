//! World production of the U.S. Geological Survey's Mineral Commodity Summaries (MCS), which are in the public domain.
//!
//! Two releases are read, told apart by their header:
//!
//! | release | form | encoding | years | released | where |
//! |---|---|---|---|---|---|
//! | MCS 2025 | a line a country, a column a year | UTF-8 with byte order mark | 2023, 2024 | 2025-01-31 | doi:10.5066/P13XCP3R |
//! | MCS 2026 | a line a figure | Windows-1252 | 2024, 2025 | 2026-02-06 | doi:10.5066/P1WKQ63T |
//!
//! MCS 2025 is dated by the day of the publication, MCS 2026 by the day of its data release.
//!
//! What is taken: one report a market and year, source `USGS`, shares as parts of the sum of all rows. Capacity and
//! reserves are never read as production. How figures are read:
//!
//! | written | read as |
//! |---|---|
//! | `1,234.5` | the quantity |
//! | `—`; in MCS 2025 an empty field | nil: the country's row stays, with 0 |
//! | less than half a unit | 0 |
//! | `W`; in MCS 2025 an empty field with such a note | withheld: the row stays, without a share, and the market is flagged |
//! | included with another table | withheld, for the same reason |
//! | `NA` | not available. The country may or may not produce, so it is neither zero nor withheld: the row is left out, and that is told |
//! | a range, `>2,000,000`, `Large` | no figure: the row is left out, and that is told |
//!
//! Which places are what:
//!
//! | written | read as |
//! |---|---|
//! | Brazil (beneficiated), United States (from Cliffside Field) | the country; several rows of one country are parts and are added, and are withheld where one of them is |
//! | Other countries | the residual |
//! | United States and Canada, or a name that is no country's | the residual too, for no country can be held to it; that is told |
//! | World total | the published total, never a country. A table without one is left out: it is cut short, or its rows cannot be added |
//!
//! Iron ore is taken as usable ore, which is what is traded; the iron content of the same ore is left out.
//! Which table of the source is which market is said in `tables.csv`; a table of production that is not in it is told, and so
//! is a commodity of which the source has no such table.

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
