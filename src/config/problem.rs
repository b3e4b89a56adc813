//! What is wrong with the settings, said so that it can be put right.

use std::fmt;

/// Where a setting was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Origin {
    /// In the defaults.
    BuiltIn,
    /// In the file of this path.
    File(String),
    /// In the environment.
    Environment,
    /// On the command line, as this flag.
    Flag(String),
}

impl Origin {
    /// What the config crate calls the environment.
    const ENVIRONMENT: &str = "the environment";

    /// From the note that every value carries through the merge.
    pub(super) fn parse(note: Option<&str>) -> Self {
        match note {
            None => Self::BuiltIn,
            Some(Self::ENVIRONMENT) => Self::Environment,
            Some(flag) if flag.starts_with("--") => Self::Flag(flag.to_owned()),
            Some(path) => Self::File(path.to_owned()),
        }
    }
}

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Which setting, such as `rules[2].levels[0].raise`; empty where it is the file as a whole.
    pub(super) key: String,
    /// What was written, where something was.
    pub(super) given: Option<String>,
    /// Where.
    pub(super) origin: Origin,
    /// What is wrong with it, and what is allowed.
    pub(super) fault: String,
}

impl fmt::Display for Problem {
    /// `rules[2].levels[0].raise = 1.7 (in /etc/lodewatch.toml): a share is between 0 and 1`
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { key, given, origin, fault } = self;
        if let (true, Origin::File(path)) = (key.is_empty(), origin) {
            return write!(f, "{path}: {fault}");
        }
        f.write_str(key)?;
        if let Some(given) = given {
            write!(f, " = {given}")?;
        }
        match origin {
            Origin::BuiltIn => f.write_str(" (built in)")?,
            Origin::File(path) => write!(f, " (in {path})")?,
            Origin::Environment => {
                let name = key.to_uppercase().replace('.', super::layers::SEPARATOR);
                write!(f, " (from {}_{name})", super::layers::PREFIX)?;
            }
            Origin::Flag(flag) => write!(f, " (from {flag})")?,
        }
        write!(f, ": {fault}")
    }
}

/// Everything that is wrong with the settings, at least one thing; prints one a line.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Problems(pub(super) Vec<Problem>);

impl Problems {
    /// One by one, in the order in which settings are read.
    pub fn iter(&self) -> impl Iterator<Item = &Problem> {
        self.0.iter()
    }

    pub(super) fn push(&mut self, problem: Problem) {
        self.0.push(problem);
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the configuration cannot be used:")?;
        self.0.iter().try_for_each(|problem| write!(f, "\n  {problem}"))
    }
}

impl std::error::Error for Problems {}
