//! Lists of export-control measures: one line per measure, with the columns of Global Trade Alert's
//! and the OECD's inventories.
//!
//! The file is CSV with at least the columns `event_id`, `title`, `imposing`, `authority_level`,
//! `destination`, `minerals`, `stage_or_form`, `measure_type`, `date_announced`, `date_effective`,
//! `date_suspended`, `suspended_until`, `date_removed`, `detail`, `certainty` and `source`. How
//! they are read:
//!
//! - Several measures in one line (`EXPORT_QUOTA+EXPORT_TAX`) become one threat each, with the name
//!   of the measure after the id and the line's id as state act. They share the line's dates.
//! - A date may be a year or a month: it is read as its first day.
//! - A measure that was removed before its effective day was withdrawn: it has no effective day.
//! - A measure of no known type (`UNSPECIFIED`) is only considered: it has no dates and stays
//!   `threatened`.
//! - `stage_or_form`: ores, concentrates and raw or flake material are mining; metals, oxides,
//!   compounds, alloys, magnets, enriched material, spherical material and fertiliser are refining;
//!   both, or anything else, are all stages.
//! - Only two remarks in `detail` are read, at its beginning: `end-use scoped` (military uses) and
//!   `entity-scoped` (listed entities, as for a destination with `(named firms)`); and `superseded:
//!   ... see ID`, where the file has that id.
//! - `certainty`: verified is official, secondary is reported, unverified is rumour.
//! - `source`: one item of evidence between semicolons; `none found` is no evidence.
//!
//! Two types of measure are skipped. A restriction of imports does not change what a country
//! supplies to others. A halt of production is not an export control: its output is missing from
//! the shares, and to count the country as restricted too would count it twice.

mod import;
#[cfg(test)]
mod tests;
mod words;

pub use import::read;
