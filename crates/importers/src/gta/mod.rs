//! Global Trade Alert's export of interventions: a line a measure, as its data centre gives it.
//!
//! The file is CSV in UTF-8. Its columns are named here as programs in public that read such exports name them, and as the
//! documentation of Global Trade Alert's own interface does (<https://github.com/global-trade-alert/docs>): `Intervention
//! ID`, `State Act ID`, `State Act Title`, `GTA Evaluation`, `Implementing Jurisdictions`, `Affected Jurisdictions`,
//! `Intervention Type`, `Affected Products`, `Date Announced`, `Date Implemented`, `Date Removed`; where they are there,
//! also `Intervention URL`, `Implementation Level` and `Eligible Firm`. Exports of before 2024 say `Implementing
//! Jurisdiction`, `Affected Jurisdiction`, `Announcement Date`, `Inception Date` and `Removal Date`. Other columns are not
//! read. How it is read:
//!
//! - `Intervention Type` is the measure as the table at [`Measure`](lodewatch_core::domain::threat::Measure) says; a
//!   `Export-related non-tariff measure, nes` is other. Everything else is no export measure and left out, and so is what is
//!   evaluated `Green`, for it makes exports easier.
//! - `Affected Products` are customs codes. The catalogue says which minerals they stand for, and at which stage. Where a code
//!   stands for several minerals, the measure is about all of them: the title is never read for meaning.
//! - An intervention becomes one threat for every implementing jurisdiction and stage, `GTA-1002-CHN-refining`, with its
//!   state act. So ids stay the same when an act gets another product.
//! - `Affected Jurisdictions` are those that trade in the product, as Global Trade Alert finds them; the measure is taken to
//!   be aimed at them only, and at everybody where there are none. A name that is no country of ISO 3166-1 is told.
//! - An act that is announced after it took effect counts as announced on that day. One that is removed before its
//!   effective day was withdrawn: it has no effective day.
//! - `Eligible Firm`: firm-specific is a measure on listed entities. `Implementation Level`: special economic zones are
//!   subnational, international financial institutions supranational, national ones national.
//! - What Global Trade Alert says is `reported`: its own evidence is not in the file.

mod import;
#[cfg(test)]
mod tests;
mod words;

pub use import::read;
