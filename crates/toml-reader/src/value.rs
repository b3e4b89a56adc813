//! Values with where they were written.

use crate::Problem;
use std::collections::BTreeMap;
use std::sync::Arc;

/// A value and where it was written.
#[derive(Debug, Clone, PartialEq)]
pub struct Value {
    /// What was written.
    pub kind: Kind,
    /// Where it was written, such as `in /etc/lodewatch.toml`; `None` where the reader of the
    /// message knows.
    pub origin: Option<Arc<str>>,
}

/// What was written.
#[derive(Debug, Clone, PartialEq)]
pub enum Kind {
    /// A string.
    Text(String),
    /// A number, a boolean or a date, as it would be written.
    Plain(String),
    /// A list.
    List(Vec<Value>),
    /// A table.
    Table(BTreeMap<String, Value>),
}

/// The text is not TOML. Never quotes the text, which may hold a secret.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}, column {column}: {message}")]
pub struct SyntaxError {
    /// The line, from 1.
    pub line: usize,
    /// The column in characters, from 1.
    pub column: usize,
    /// What is wrong there.
    pub message: String,
}

impl From<SyntaxError> for Problem {
    fn from(error: SyntaxError) -> Self {
        let SyntaxError { line, column, message } = error;
        let key = format!("line {line}, column {column}");
        Self { key, given: None, origin: None, fault: message }
    }
}

/// Parses TOML. The values have no origin; see [`Value::with_origin`].
///
/// # Errors
///
/// The first place at which the text is not TOML.
pub fn parse(text: &str) -> Result<Value, SyntaxError> {
    match text.parse::<toml::Table>() {
        Ok(table) => Ok(toml::Value::Table(table).into()),
        Err(error) => {
            let start = error.span().map_or(0, |span| span.start);
            let before = text.get(..start).unwrap_or_default();
            let line = before.rsplit('\n').next().unwrap_or_default();
            Err(SyntaxError {
                line: before.matches('\n').count().saturating_add(1),
                column: line.chars().count().saturating_add(1),
                message: error.message().replace('\n', "; "),
            })
        }
    }
}

impl Value {
    /// A string without origin.
    pub fn text(text: impl Into<String>) -> Self {
        Self { kind: Kind::Text(text.into()), origin: None }
    }

    /// The same value, and all values in it, written at `origin`.
    #[must_use]
    pub fn with_origin(self, origin: &Arc<str>) -> Self {
        let kind = match self.kind {
            Kind::List(parts) => {
                Kind::List(parts.into_iter().map(|part| part.with_origin(origin)).collect())
            }
            Kind::Table(values) => {
                let value = |(key, value): (String, Self)| (key, value.with_origin(origin));
                Kind::Table(values.into_iter().map(value).collect())
            }
            scalar @ (Kind::Text(_) | Kind::Plain(_)) => scalar,
        };
        Self { kind, origin: Some(Arc::clone(origin)) }
    }
}

impl From<toml::Value> for Value {
    fn from(value: toml::Value) -> Self {
        let kind = match value {
            toml::Value::String(text) => Kind::Text(text),
            toml::Value::Array(parts) => Kind::List(parts.into_iter().map(Self::from).collect()),
            toml::Value::Table(values) => {
                let value = |(key, value)| (key, Self::from(value));
                Kind::Table(values.into_iter().map(value).collect())
            }
            // The shortest decimal that is this number: what was written, up to 15 digits.
            toml::Value::Float(number) => Kind::Plain(number.to_string()),
            toml::Value::Integer(number) => Kind::Plain(number.to_string()),
            toml::Value::Boolean(truth) => Kind::Plain(truth.to_string()),
            toml::Value::Datetime(date) => Kind::Plain(date.to_string()),
        };
        Self { kind, origin: None }
    }
}
