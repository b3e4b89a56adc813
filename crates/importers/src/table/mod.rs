//! Any table in CSV, read as a [`Mapping`] says.
//!
//! A mapping is TOML and says where everything is that a report needs: a text for the whole file, or a column of it. See
//! `example.toml` for every setting, which `lodewatch import csv --help` shows. The rows of one source, mineral, stage and period are one report, wherever they stand.
//! Nothing is guessed: a country that is not known, a mark that the mapping does not name, a country that stands twice are
//! errors, and all of them are said at once.
//!
//! | written | read as |
//! |---|---|
//! | `1,234.5`; of shares `47.5`, and with `whole = 100` also `47.5 %` | the quantity or share |
//! | one of `zero` | 0 |
//! | one of `withheld` | withheld: the row stays, without a share, and the market is flagged |
//! | one of `not_available` | no figure: the row is left out, and that is told |
//! | one of `country.other` | the residual; several are added up |
//! | one of `country.total` | the published total, never a country |

mod columns;
mod import;
mod mapping;
#[cfg(test)]
mod tests;

pub use import::read;
pub use mapping::Mapping;
