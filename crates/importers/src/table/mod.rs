//! Any table in CSV, read by a [`Mapping`].
//!
//! A mapping is TOML and says where every field of a report comes from: a value for the whole file,
//! or a column of it. `example.toml` has every key; `lodewatch import csv --help` shows it. The
//! rows of one source, mineral, stage and period are one report, in any order. Nothing is guessed:
//! an unknown country, a mark that the mapping does not name, a country that occurs twice are
//! errors, and all of them are reported at once.
//!
//! | written | read as |
//! |---|---|
//! | `1,234.5`; of shares `47.5`, and with `whole = 100` also `47.5 %` | the quantity or share |
//! | one of `zero` | 0 |
//! | one of `withheld` | withheld: the row has no share, and the market is flagged |
//! | one of `not_available` | no figure: the row is skipped |
//! | one of `country.other` | the residual; several are added up |
//! | one of `country.total` | the published total, never a country |

mod columns;
mod import;
mod mapping;
#[cfg(test)]
mod tests;

pub use import::read;
pub use mapping::Mapping;

/// A mapping with every key and a comment on each, in TOML.
pub const EXAMPLE: &str = include_str!("example.toml");
