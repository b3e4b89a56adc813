//! Problems of a file, collected while it is read.

use std::cell::RefCell;
use std::fmt;
use std::sync::Arc;

/// One problem of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The key from the root, such as `rules[2].levels[0].raise`; a path where the problem is with
    /// the file as a whole.
    pub key: String,
    /// The value as it was written, shortened to a line; `None` where the problem is with no single
    /// value.
    pub given: Option<String>,
    /// Where the key was written, such as `in /etc/lodewatch.toml`; `None` where the reader of the
    /// message knows.
    pub origin: Option<Arc<str>>,
    /// What is wrong with it and what is allowed, as the rest of a sentence about the key.
    pub fault: String,
}

impl fmt::Display for Problem {
    /// `rules[2].levels[0].raise = 1.7 (in /etc/lodewatch.toml): must be a share from 0 to 1`
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { key, given, origin, fault } = self;
        f.write_str(key)?;
        if let Some(given) = given {
            write!(f, " = {given}")?;
        }
        if let Some(origin) = origin {
            write!(f, " ({origin})")?;
        }
        write!(f, ": {fault}")
    }
}

/// Every problem of a file, at least one. `Display` prints one per line and indents all lines after
/// the first by two spaces.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct Problems(Vec<Problem>);

impl Problems {
    /// The problems in the order in which they were found.
    pub fn iter(&self) -> impl Iterator<Item = &Problem> {
        self.0.iter()
    }
}

impl From<Problem> for Problems {
    fn from(problem: Problem) -> Self {
        Self(vec![problem])
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lines: Vec<String> = self.0.iter().map(ToString::to_string).collect();
        f.write_str(&lines.join("\n  "))
    }
}

/// Collects problems, so that reading can go on after each.
#[derive(Debug, Default)]
pub struct Collector {
    problems: RefCell<Vec<Problem>>,
    hides_values: bool,
}

impl Collector {
    /// A collector whose problems quote no value, for files that may hold secrets.
    pub fn without_values() -> Self {
        Self { hides_values: true, ..Self::default() }
    }

    /// Adds a problem.
    pub fn push(&self, problem: Problem) {
        let given = problem.given.filter(|_| !self.hides_values);
        self.problems.borrow_mut().push(Problem { given, ..problem });
    }

    /// How many problems were found so far.
    pub fn len(&self) -> usize {
        self.problems.borrow().len()
    }

    /// Whether no problem was found so far.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The value, if no problem was found.
    ///
    /// # Errors
    ///
    /// Every problem that was found.
    pub fn finish<T>(self, value: T) -> Result<T, Problems> {
        let problems = self.problems.into_inner();
        if problems.is_empty() { Ok(value) } else { Err(Problems(problems)) }
    }
}
