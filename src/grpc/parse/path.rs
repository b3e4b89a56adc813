//! Where a field is, written out only where something is wrong with it.

use std::fmt;

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
