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

/// The invalid fields of a request, at least one: the first are named, the rest counted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violations {
    named: Vec<Violation>,
    more: usize,
}

impl Violations {
    pub fn one(field: &str, description: impl Into<String>) -> Self {
        let named = vec![Violation { field: field.to_owned(), description: description.into() }];
        Self { named, more: 0 }
    }

    /// The first ones, in the order of the request.
    pub fn iter(&self) -> impl Iterator<Item = &Violation> {
        self.named.iter()
    }
}

impl fmt::Display for Violations {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        /// Further fields are only counted here; the details name more.
        const SHOWN_MAX: usize = 10;
        for (at, violation) in self.named.iter().take(SHOWN_MAX).enumerate() {
            let comma = if at == 0 { "" } else { "; " };
            write!(f, "{comma}{}: {}", violation.field, violation.description)?;
        }
        match self.named.len().saturating_add(self.more).saturating_sub(SHOWN_MAX) {
            0 => Ok(()),
            more => write!(f, "; and {more} more"),
        }
    }
}

/// Collects the invalid fields while a request is parsed.
#[derive(Debug, Default)]
pub(super) struct Checks {
    named: Vec<Violation>,
    more: usize,
    suggestions: usize,
}

impl Checks {
    /// Further violations are only counted.
    pub(super) const MAX: usize = 100;
    /// For how many wrong names similar ones are searched.
    pub(super) const SUGGESTIONS_MAX: usize = 5;

    pub(super) fn add(&mut self, field: impl fmt::Display, description: impl fmt::Display) {
        self.add_with(field, || description);
    }

    fn add_with<D: fmt::Display>(
        &mut self,
        field: impl fmt::Display,
        describe: impl FnOnce() -> D,
    ) {
        if self.named.len() < Self::MAX {
            let (field, description) = (field.to_string(), describe().to_string());
            self.named.push(Violation { field, description });
        } else {
            self.more = self.more.saturating_add(1);
        }
    }

    /// Names similar to a wrong one, for the first wrong ones; none for the rest.
    pub(super) fn suggest(&mut self, search: impl FnOnce() -> Vec<String>) -> Vec<String> {
        if self.suggestions >= Self::SUGGESTIONS_MAX {
            return Vec::new();
        }
        self.suggestions = self.suggestions.saturating_add(1);
        search()
    }

    /// Adds the violations of a part that was parsed by itself.
    pub(super) fn merge<T>(&mut self, read: Result<T, Violations>) -> Option<T> {
        match read {
            Ok(value) => Some(value),
            Err(violations) => {
                for Violation { field, description } in violations.named {
                    self.add(field, description);
                }
                self.more = self.more.saturating_add(violations.more);
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
            self.add_with(field, description);
        }
        value
    }

    /// The value, where no field is invalid.
    pub(super) fn finish<T>(self, value: Option<T>) -> Result<T, Violations> {
        if self.named.is_empty() {
            return Ok(value.expect("a request without violations has a value"));
        }
        Err(Violations { named: self.named, more: self.more })
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
