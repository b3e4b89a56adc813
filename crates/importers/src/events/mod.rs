//! Lists of export-control measures: a line an act, in the columns of Global Trade Alert's and the OECD's inventories.
//!
//! The file is CSV with at least the columns `event_id`, `title`, `imposing`, `authority_level`, `destination`, `minerals`,
//! `stage_or_form`, `measure_type`, `date_announced`, `date_effective`, `date_suspended`, `suspended_until`, `date_removed`,
//! `detail`, `certainty` and `source`. How it is read:
//!
//! - Several measures in one line (`EXPORT_QUOTA+EXPORT_TAX`) become a threat each, with the measure's name after the id
//!   and the line's id as state act. They share the line's dates.
//! - A date may be a year or a month: it is read as its first day.
//! - A measure removed before its effective day was withdrawn: it has no effective day.
//! - A measure of no kind yet (`UNSPECIFIED`) is only spoken of: it has no dates, whatever day it was spoken of, and so
//!   stays `threatened`.
//! - `stage_or_form`: ores, concentrates and raw or flake material are of mining; metals, oxides, compounds, alloys,
//!   magnets, enriched, spherical material and fertiliser are of refining; both kinds, or anything else, of all stages.
//! - Only two remarks in `detail` are read, at its beginning: `end-use scoped` (military uses) and `entity-scoped` (listed
//!   entities, as is a destination with `(named firms)`); and `superseded: ... see ID`, where the file has that id.
//! - `certainty`: verified is official, secondary is reported, unverified is rumour.
//! - `source`: an item of evidence a part between semicolons; `none found` is no evidence.
//!
//! Two kinds of act are left out, and told. A restriction of imports says nothing about what a country supplies to others.
//! A halt of production is no export control: what is not produced is missing from the shares, and to count the country
//! as restricted besides would count it twice.

mod import;
#[cfg(test)]
mod tests;
mod words;

pub use import::read;
