//! Names, days and enum numbers: the smallest parts of every request.

use super::{Checks, Optional, Path, Violations};
use crate::grpc::codec::enums::WireEnum;
use lodewatch_core::domain::policy::{Destination, Jurisdiction};
use lodewatch_core::domain::{Country, Day, Mineral, Slug, slug};
use std::fmt::Write;
use std::sync::Arc;

/// Bytes of the longest name, id or date. A longer one is rejected unread.
const NAME_BYTES_MAX: usize = 256;

/// Rejects a name, id, date or cursor that is too long to be one, before anything reads it.
///
/// # Errors
///
/// The field with its length.
pub(in crate::grpc) fn check_length(field: &str, text: &str) -> Result<(), Violations> {
    match too_long(text) {
        Some(why) => Err(Violations::one(field, why)),
        None => Ok(()),
    }
}

fn too_long(text: &str) -> Option<String> {
    let bytes = text.len();
    (bytes > NAME_BYTES_MAX).then(|| format!("{bytes} bytes; at most {NAME_BYTES_MAX} are allowed"))
}

/// Reads a name, id or date. Every one in every request is read here: a text that is too long is
/// rejected unread, and names like a wrong one are searched for a few of them only.
fn read<T>(
    checks: &mut Checks,
    field: Path<'_>,
    text: &str,
    parse: impl FnOnce(&str) -> Option<T>,
    what: impl FnOnce() -> String,
    similar: impl FnOnce(&str) -> Vec<String>,
) -> Option<T> {
    if let Some(why) = too_long(text) {
        checks.add(field, why);
        return None;
    }
    let value = parse(text);
    if value.is_none() {
        let near = checks.suggest(|| similar(text));
        checks.require(None::<T>, field, || nearest(what(), &near));
    }
    value
}

/// The same for a text that is like no known one.
pub(super) fn read_unlike<T>(
    checks: &mut Checks,
    field: Path<'_>,
    text: &str,
    parse: impl FnOnce(&str) -> Option<T>,
    what: impl FnOnce() -> String,
) -> Option<T> {
    if let Some(why) = too_long(text) {
        checks.add(field, why);
        return None;
    }
    checks.require(parse(text), field, what)
}

/// A mineral by slug, name or alias.
pub(super) fn mineral(checks: &mut Checks, field: Path<'_>, text: &str) -> Option<Mineral> {
    let what = || format!("{} is not a mineral of the catalogue", quoted(text));
    read(checks, field, text, Mineral::parse, what, Mineral::similar_names)
}

/// A country by code, name or alias.
pub(super) fn country(checks: &mut Checks, field: Path<'_>, text: &str) -> Option<Country> {
    let what = || {
        let allowed = "ISO 3166-1 alpha-3, alpha-2 or an English name";
        format!("{} is not a country: {allowed}", quoted(text))
    };
    read(checks, field, text, Country::parse, what, Country::similar_names)
}

/// A country or the name of a bloc.
pub(super) fn jurisdiction(
    checks: &mut Checks,
    field: Path<'_>,
    text: &str,
) -> Option<Jurisdiction> {
    let what =
        || format!("{} is neither a country nor the name of a bloc, such as EU", quoted(text));
    read(checks, field, text, Jurisdiction::parse, what, Country::similar_names)
}

/// `all`, `any`, a country or a bloc; empty means `all`.
pub(super) fn destination(checks: &mut Checks, field: Path<'_>, text: &str) -> Option<Destination> {
    if text.is_empty() {
        return Some(Destination::All);
    }
    let what = || {
        let allowed = "use all, any, a country or the name of a bloc, such as EU";
        format!("{} is not a destination: {allowed}", quoted(text))
    };
    read(checks, field, text, Destination::parse, what, Country::similar_names)
}

/// A name that people choose.
pub(super) fn slug(checks: &mut Checks, field: Path<'_>, text: &str) -> Option<Slug> {
    let what = || format!("{} is not a valid name: use {}", quoted(text), slug::ALLOWED);
    read_unlike(checks, field, text, Slug::parse, what)
}

/// An optional field, read where it is present.
pub(super) fn optional<S, T>(sent: Option<S>, read: impl FnOnce(S) -> Option<T>) -> Optional<T> {
    match sent {
        None => Some(None),
        Some(sent) => read(sent).map(Some),
    }
}

/// A name that may be empty: `Some(None)` then, `None` where it is not a name.
pub(super) fn optional_slug(checks: &mut Checks, field: Path<'_>, text: &str) -> Optional<Slug> {
    if text.is_empty() { Some(None) } else { slug(checks, field, text).map(Some) }
}

/// A day.
pub(super) fn day(checks: &mut Checks, field: Path<'_>, text: &str) -> Option<Day> {
    let what = || format!("{} is not a date: use YYYY-MM-DD, such as 2024-12-03", quoted(text));
    read_unlike(checks, field, text, |text| text.parse().ok(), what)
}

/// A day that may be empty.
pub(super) fn optional_day(checks: &mut Checks, field: Path<'_>, text: &str) -> Optional<Day> {
    if text.is_empty() { Some(None) } else { day(checks, field, text).map(Some) }
}

/// Free text of at most `bytes_max` bytes.
pub(super) fn text(
    checks: &mut Checks,
    field: Path<'_>,
    text: &str,
    bytes_max: usize,
) -> Option<Arc<str>> {
    let fits = (text.len() <= bytes_max).then(|| Arc::from(text));
    checks.require(fits, field, || format!("{} bytes; at most {bytes_max} are allowed", text.len()))
}

/// A number of an enum that must be set.
pub(super) fn choice<T: WireEnum>(
    checks: &mut Checks,
    field: Path<'_>,
    number: i32,
    allowed: impl FnOnce() -> String,
) -> Option<T> {
    checks.require(T::parse(number), field, || match number {
        0 => format!("must be set to one of: {}", allowed()),
        _ => format!("{number} is not a valid value; use one of: {}", allowed()),
    })
}

/// A number of an enum of which 0 means `default`.
pub(super) fn choice_or<T: WireEnum>(
    checks: &mut Checks,
    field: Path<'_>,
    number: i32,
    default: T,
    allowed: impl FnOnce() -> String,
) -> Option<T> {
    if number == 0 { Some(default) } else { choice(checks, field, number, allowed) }
}

/// Every item of a list, each with its own path; rejects a list of more than `items_max`.
pub(super) fn list<I, T>(
    checks: &mut Checks,
    field: Path<'_>,
    items: &[I],
    items_max: usize,
    mut parse: impl FnMut(&mut Checks, Path<'_>, &I) -> Option<T>,
) -> Option<Vec<T>> {
    if items.len() > items_max {
        checks.add(field, format!("{} items; at most {items_max} are allowed", items.len()));
        return None;
    }
    let mut parsed = Vec::with_capacity(items.len());
    for (at, item) in items.iter().enumerate() {
        parsed.extend(parse(checks, Path::Item(&field, at), item));
    }
    (parsed.len() == items.len()).then_some(parsed)
}

/// What was sent in quotes, truncated where it is long.
pub(super) fn quoted(text: &str) -> String {
    const SHOWN_MAX: usize = 64;
    let shown: String = text.chars().take(SHOWN_MAX).collect();
    if shown.len() < text.len() { format!("{shown:?}…") } else { format!("{shown:?}") }
}

fn nearest(mut what: String, near: &[String]) -> String {
    if !near.is_empty() {
        // Writing to a string cannot fail.
        let _ = write!(what, "; did you mean {}?", near.join(" or "));
    }
    what
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::Cell;

    #[test]
    fn a_name_that_is_too_long_is_not_even_read() {
        let long = "x".repeat(4 << 20);
        let mut checks = Checks::default();
        let (parsed, searched) = (Cell::new(0), Cell::new(0));
        let parse = |_: &str| {
            parsed.set(parsed.get() + 1);
            None::<()>
        };
        let similar = |_: &str| {
            searched.set(searched.get() + 1);
            Vec::new()
        };
        let field = Path::from("filter.countries");
        assert!(read(&mut checks, field, &long, parse, String::new, similar).is_none());
        assert!(read_unlike(&mut checks, field, &long, parse, String::new).is_none());
        assert_eq!((parsed.get(), searched.get()), (0, 0));
        let faults = checks.finish(None::<()>).unwrap_err();
        let fault = faults.iter().next().unwrap();
        assert_eq!(fault.description, "4194304 bytes; at most 256 are allowed");
    }

    #[test]
    fn similar_names_are_searched_for_the_first_faults_only() {
        let mut checks = Checks::default();
        let searched = Cell::new(0);
        let similar = |_: &str| {
            searched.set(searched.get() + 1);
            vec!["gallium".to_owned()]
        };
        let names = vec!["galium"; 1000];
        let list = list(&mut checks, "minerals".into(), &names, 1000, |checks, field, name| {
            read(checks, field, name, |_| None::<()>, || quoted(name), similar)
        });
        assert!(list.is_none());
        assert_eq!(searched.get(), Checks::SUGGESTIONS_MAX);
        let faults = checks.finish(None::<()>).unwrap_err();
        assert_eq!(faults.iter().count(), Checks::MAX);
        assert_eq!(
            faults.iter().filter(|fault| fault.description.contains("did you mean")).count(),
            Checks::SUGGESTIONS_MAX
        );
        assert!(faults.to_string().ends_with("; and 990 more"), "{faults}");
    }
}
