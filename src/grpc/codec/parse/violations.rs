//! The invalid fields of a request, each with what is allowed there.

use std::fmt;

/// One invalid field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// The path of the field, such as `updates[3].report.rows[2].country`.
    pub field: String,
    /// What was sent, and what is allowed.
    pub description: String,
}

/// All invalid fields of a request, at least one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violations(Vec<Violation>);

impl Violations {
    pub fn one(field: &str, description: impl Into<String>) -> Self {
        Self(vec![Violation { field: field.to_owned(), description: description.into() }])
    }

    /// In the order of the request.
    pub fn iter(&self) -> impl Iterator<Item = &Violation> {
        self.0.iter()
    }
}

impl fmt::Display for Violations {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        /// Further fields are only counted here; the details name more.
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

/// Collects the invalid fields while a request is parsed.
#[derive(Debug, Default)]
pub(super) struct Checks(Vec<Violation>);

impl Checks {
    /// Further violations are dropped.
    const MAX: usize = 100;

    pub(super) fn add(&mut self, field: impl fmt::Display, description: impl fmt::Display) {
        if self.0.len() < Self::MAX {
            self.0
                .push(Violation { field: field.to_string(), description: description.to_string() });
        }
    }

    /// Adds the violations of a part that was parsed by itself.
    pub(super) fn merge<T>(&mut self, read: Result<T, Violations>) -> Option<T> {
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

    /// Adds a violation where there is no value.
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

    /// The value, where no field is invalid.
    pub(super) fn finish<T>(self, value: Option<T>) -> Result<T, Violations> {
        if self.0.is_empty() {
            return Ok(value.expect("a request without violations has a value"));
        }
        Err(Violations(self.0))
    }
}

/// The path of a field in a request, such as `updates[3].report.rows[2].country`.
#[derive(Debug, Clone, Copy)]
pub(super) enum Path<'a> {
    /// A field of the request.
    Field(&'a str),
    /// A field of a nested message.
    Of(&'a Path<'a>, &'a str),
    /// An item of a list.
    Item(&'a Path<'a>, usize),
}

impl<'a> Path<'a> {
    /// The path of a field of the message at this path.
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
