//! Global Trade Alert's export of interventions: one line per measure, as its data centre exports
//! it.
//!
//! The file is CSV in UTF-8. The columns have the names that public programs which read such
//! exports use, and that the documentation of Global Trade Alert's own interface uses
//! (<https://github.com/global-trade-alert/docs>): `Intervention ID`, `State Act ID`, `State Act
//! Title`, `GTA Evaluation`, `Implementing Jurisdictions`, `Affected Jurisdictions`, `Intervention
//! Type`, `Affected Products`, `Date Announced`, `Date Implemented`, `Date Removed`; optionally
//! `Intervention URL`, `Implementation Level` and `Eligible Firm`. Exports from before 2024 have
//! `Implementing Jurisdiction`, `Affected Jurisdiction`, `Announcement Date`, `Inception Date` and
//! `Removal Date`. Other columns are not read. How the columns are read:
//!
//! - `Intervention Type` is the measure, by the table at
//!   [`Measure`](lodewatch_core::domain::threat::Measure); an `Export-related non-tariff measure,
//!   nes` is other. Everything else is not an export control and is skipped; so is every measure
//!   that is evaluated `Green`, because it eases exports.
//! - `Affected Products` are customs codes. The catalogue says which minerals they stand for, and
//!   at which stage. Where a code stands for several minerals, the measure is about all of them:
//!   the title is never read for meaning.
//! - An intervention becomes one threat per implementing jurisdiction and stage,
//!   `GTA-1002-CHN-refining`, with its state act. So ids stay the same when a product is added.
//! - `Affected Jurisdictions` are those that trade in the product, as Global Trade Alert finds
//!   them; the measure is read as aimed at them only, and at every country where there are none. A
//!   name that is not a country of ISO 3166-1 is reported.
//! - A measure that was announced after it took effect counts as announced on that day. One that
//!   was removed before its effective day was withdrawn: it has no effective day.
//! - `Eligible Firm`: firm-specific is a measure on listed entities. `Implementation Level`:
//!   special economic zones are subnational, international financial institutions supranational,
//!   national ones national.
//! - The confidence is `reported`, because Global Trade Alert's own evidence is not in the file.

mod import;
#[cfg(test)]
mod tests;

pub use import::read;
