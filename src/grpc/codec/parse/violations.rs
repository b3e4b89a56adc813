//! What is wrong with a request: every field, and what is allowed there.

use std::fmt;

/// What is wrong with one field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// The path of the field, such as `updates[3].report.rows[2].country`.
    pub field: String,
    /// What was sent, and what is allowed.
    pub description: String,
}

/// Everything that is wrong with a request; at least one field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violations(Vec<Violation>);

impl Violations {
    /// One bad field.
    pub fn one(field: &str, description: impl Into<String>) -> Self {
        Self(vec![Violation { field: field.to_owned(), description: description.into() }])
    }

    /// The bad fields, in the order of the request.
    pub fn iter(&self) -> impl Iterator<Item = &Violation> {
        self.0.iter()
    }
}

impl fmt::Display for Violations {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        /// More than this are only counted here; the details have them all.
        const SHOWN_MAX: usize = 10;
        for (at, violation) in self.0.iter().take(SHOWN_MAX).enumerate() {
            let comma = if at == 0 { "" } else { "; " };
            write!(f, "{comma}{}: {}", violation.field, violation.description)?;
        }
        match self.0.len().saturating_sub(SHOWN_MAX) {
            0 => Ok(()),
            more => write!(f, "; and {more} more"),
        }
    }
}

/// Collects what is wrong while a request is read.
#[derive(Debug, Default)]
pub(super) struct Checks(Vec<Violation>);

impl Checks {
    /// The most violations that are collected; a request with more is wrong enough.
    const MAX: usize = 100;

    /// Notes what is wrong with a field.
    pub(super) fn add(&mut self, field: impl fmt::Display, description: impl fmt::Display) {
        if self.0.len() < Self::MAX {
            self.0
                .push(Violation { field: field.to_string(), description: description.to_string() });
        }
    }

    /// Notes everything that is wrong with a part that was read by itself.
    pub(super) fn take<T>(&mut self, read: Result<T, Violations>) -> Option<T> {
        match read {
            Ok(value) => Some(value),
            Err(violations) => {
                for Violation { field, description } in violations.0 {
                    self.add(field, description);
                }
                None
            }
        }
    }

    /// Notes a field without a value of the right kind.
    pub(super) fn require<T>(
        &mut self,
        value: Option<T>,
        field: impl fmt::Display,
        description: impl FnOnce() -> String,
    ) -> Option<T> {
        if value.is_none() {
            self.add(field, description());
        }
        value
    }

    /// The value, if nothing was wrong.
    pub(super) fn finish<T>(self, value: Option<T>) -> Result<T, Violations> {
        if self.0.is_empty() {
            return Ok(value.expect("a request without faults has a value"));
        }
        Err(Violations(self.0))
    }
}

/// The place of a field in a request, such as `updates[3].report.rows[2].country`.
#[derive(Debug, Clone, Copy)]
pub(super) enum Path<'a> {
    /// Of the request itself.
    Field(&'a str),
    /// Of a part.
    Of(&'a Path<'a>, &'a str),
    /// An item of a list.
    Item(&'a Path<'a>, usize),
}

impl<'a> Path<'a> {
    /// A field of what is here.
    pub(super) fn at(&'a self, name: &'a str) -> Self {
        Self::Of(self, name)
    }
}

impl<'a> From<&'a str> for Path<'a> {
    fn from(name: &'a str) -> Self {
        Self::Field(name)
    }
}

impl fmt::Display for Path<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Field(name) => f.write_str(name),
            Self::Of(part, name) => write!(f, "{part}.{name}"),
            Self::Item(list, at) => write!(f, "{list}[{at}]"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_reads_as_one_writes_it() {
        let updates = Path::from("updates");
        let update = Path::Item(&updates, 3);
        assert_eq!(update.at("report").at("rows").to_string(), "updates[3].report.rows");
    }
}
