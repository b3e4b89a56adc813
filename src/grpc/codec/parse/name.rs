//! Names, days and enum numbers: the smallest parts of every request.

use super::{Checks, Optional, Path};
use crate::grpc::codec::enums::WireEnum;
use lodewatch_core::domain::policy::{Destination, Jurisdiction};
use lodewatch_core::domain::{Country, Day, Mineral, Slug, slug};
use std::fmt::Write;
use std::sync::Arc;

/// A mineral by slug, name or alias.
pub(super) fn mineral(checks: &mut Checks, field: Path<'_>, text: &str) -> Option<Mineral> {
    checks.require(Mineral::parse(text), field, || {
        nearest(
            &format!("{} is not a mineral of the catalogue", quoted(text)),
            &Mineral::similar_names(text),
        )
    })
}

/// A country by code, name or alias.
pub(super) fn country(checks: &mut Checks, field: Path<'_>, text: &str) -> Option<Country> {
    checks.require(Country::parse(text), field, || {
        let what = format!(
            "{} is not a country: ISO 3166-1 alpha-3, alpha-2 or an English name",
            quoted(text)
        );
        nearest(&what, &Country::similar_names(text))
    })
}

/// A country or the name of a bloc.
pub(super) fn jurisdiction(
    checks: &mut Checks,
    field: Path<'_>,
    text: &str,
) -> Option<Jurisdiction> {
    checks.require(Jurisdiction::parse(text), field, || {
        let what =
            format!("{} is neither a country nor the name of a bloc, such as EU", quoted(text));
        nearest(&what, &Country::similar_names(text))
    })
}

/// `all`, `any`, a country or a bloc; empty means `all`.
pub(super) fn destination(checks: &mut Checks, field: Path<'_>, text: &str) -> Option<Destination> {
    if text.is_empty() {
        return Some(Destination::All);
    }
    checks.require(Destination::parse(text), field, || {
        let what = format!(
            "{} is not a destination: use all, any, a country or the name of a bloc, such as EU",
            quoted(text)
        );
        nearest(&what, &Country::similar_names(text))
    })
}

/// A name that people choose.
pub(super) fn slug(checks: &mut Checks, field: Path<'_>, text: &str) -> Option<Slug> {
    checks.require(Slug::parse(text), field, || {
        format!("{} is not a valid name: use {}", quoted(text), slug::ALLOWED)
    })
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
    checks.require(text.parse().ok(), field, || {
        format!("{} is not a date: use YYYY-MM-DD, such as 2024-12-03", quoted(text))
    })
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

fn nearest(what: &str, near: &[String]) -> String {
    let mut text = what.to_owned();
    if !near.is_empty() {
        // Writing to a string cannot fail.
        let _ = write!(text, "; did you mean {}?", near.join(" or "));
    }
    text
}
