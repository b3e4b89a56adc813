//! Reading merged settings: what is asked for is taken out, and what is left over is unknown.

use super::problem::{Origin, Problem, Problems};
use ::config::{Map, Value, ValueKind};
use std::collections::{BTreeMap, BTreeSet};

/// One setting, and its key from the root: `rules[2].levels[0].raise`.
pub(super) struct Node {
    key: String,
    value: Value,
}

impl Node {
    /// Its key from the root.
    pub(super) fn key(&self) -> &str {
        &self.key
    }

    /// Reads a single value, whether it was written as text or as a number; `Err` says what is wrong.
    pub(super) fn read<T>(
        &self,
        problems: &mut Problems,
        parse: impl FnOnce(&str) -> Result<T, String>,
    ) -> Option<T> {
        let text = match &self.value.kind {
            ValueKind::String(text) => Ok(text.clone()),
            ValueKind::Boolean(value) => Ok(value.to_string()),
            ValueKind::I64(value) => Ok(value.to_string()),
            ValueKind::I128(value) => Ok(value.to_string()),
            ValueKind::U64(value) => Ok(value.to_string()),
            ValueKind::U128(value) => Ok(value.to_string()),
            // The shortest decimal that is this number, so what was written, up to 15 digits.
            ValueKind::Float(value) => Ok(value.to_string()),
            ValueKind::Nil | ValueKind::Table(_) | ValueKind::Array(_) => {
                Err("must be a single value".to_owned())
            }
        };
        text.and_then(|text| parse(&text)).map_err(|fault| self.refuse(problems, fault)).ok()
    }

    /// The parts of a list. A text is a list too, separated by commas, so that a variable can hold one.
    pub(super) fn list(&self, problems: &mut Problems) -> Vec<Self> {
        let note = self.value.origin().map(str::to_owned);
        let parts = match &self.value.kind {
            ValueKind::Array(parts) => parts.clone(),
            ValueKind::String(text) => text
                .split(',')
                .map(str::trim)
                .filter(|part| !part.is_empty())
                .map(|part| Value::new(note.as_ref(), part))
                .collect(),
            ValueKind::Nil
            | ValueKind::Boolean(_)
            | ValueKind::I64(_)
            | ValueKind::I128(_)
            | ValueKind::U64(_)
            | ValueKind::U128(_)
            | ValueKind::Float(_)
            | ValueKind::Table(_) => {
                self.refuse(problems, "must be a list".to_owned());
                Vec::new()
            }
        };
        let part = |(at, value)| Self { key: format!("{}[{at}]", self.key), value };
        parts.into_iter().enumerate().map(part).collect()
    }

    /// The table that it is.
    pub(super) fn table(self, problems: &mut Problems) -> Option<Table> {
        let origin = self.origin();
        if let ValueKind::Table(values) = self.value.kind {
            return Some(Table::new(self.key, origin, values));
        }
        self.refuse(problems, "must be a table".to_owned());
        None
    }

    /// Notes what is wrong with it.
    pub(super) fn refuse(&self, problems: &mut Problems, fault: String) {
        problems.push(Problem {
            key: self.key.clone(),
            given: Some(shown(&self.value.kind)),
            origin: self.origin(),
            fault,
        });
    }

    fn origin(&self) -> Origin {
        Origin::parse(self.value.origin())
    }
}

/// A table of settings that is being read.
pub(super) struct Table {
    key: String,
    origin: Origin,
    values: BTreeMap<String, Value>,
    known: BTreeSet<&'static str>,
}

impl Table {
    /// The whole of the settings.
    pub(super) fn root(values: Map<String, Value>) -> Self {
        Self::new(String::new(), Origin::BuiltIn, values)
    }

    fn new(key: String, origin: Origin, values: Map<String, Value>) -> Self {
        Self { key, origin, values: values.into_iter().collect(), known: BTreeSet::new() }
    }

    /// A setting that may be left out.
    pub(super) fn optional(&mut self, key: &'static str) -> Option<Node> {
        self.known.insert(key);
        self.values.remove(key).map(|value| Node { key: self.join(key), value })
    }

    /// A setting that must be there.
    pub(super) fn required(&mut self, key: &'static str, problems: &mut Problems) -> Option<Node> {
        let node = self.optional(key);
        if node.is_none() {
            self.refuse(key, problems, "is missing".to_owned());
        }
        node
    }

    /// A table that must be there.
    pub(super) fn table(&mut self, key: &'static str, problems: &mut Problems) -> Option<Self> {
        self.required(key, problems)?.table(problems)
    }

    /// A list of tables, empty where it is left out.
    pub(super) fn tables(&mut self, key: &'static str, problems: &mut Problems) -> Vec<Self> {
        let nodes = self.optional(key).map_or_else(Vec::new, |node| node.list(problems));
        nodes.into_iter().filter_map(|node| node.table(problems)).collect()
    }

    /// Everything in it with its key, where people choose the keys.
    pub(super) fn all(&self) -> Vec<(String, Node)> {
        let node = |(key, value): (&String, &Value)| {
            (key.clone(), Node { key: self.join(key), value: value.clone() })
        };
        self.values.iter().map(node).collect()
    }

    /// Notes what is wrong with one of its keys, or with all of it where that is empty.
    pub(super) fn refuse(&self, key: &str, problems: &mut Problems, fault: String) {
        let key = if key.is_empty() { self.key.clone() } else { self.join(key) };
        problems.push(Problem { key, given: None, origin: self.origin.clone(), fault });
    }

    /// Notes every key that nobody asked for.
    pub(super) fn finish(&self, problems: &mut Problems) {
        let known = self.known.iter().copied().collect::<Vec<_>>();
        for (key, value) in &self.values {
            let mut fault = "unknown.".to_owned();
            if let Some(near) = nearest(key, known.iter().copied()) {
                fault = format!("unknown; did you mean {near}?");
            }
            problems.push(Problem {
                key: self.join(key),
                given: None,
                origin: Origin::parse(value.origin()),
                fault: format!("{fault} Known here: {}", known.join(", ")),
            });
        }
    }

    fn join(&self, key: &str) -> String {
        if self.key.is_empty() { key.to_owned() } else { format!("{}.{key}", self.key) }
    }
}

/// The known name that is most like `text`, if any is.
pub(super) fn nearest<'a>(text: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    const DISTANCE_MAX: usize = 3;
    let folded = text.to_lowercase();
    known
        .map(|name| (strsim::damerau_levenshtein(&folded, &name.to_lowercase()), name))
        .filter(|(distance, name)| *distance <= DISTANCE_MAX && *distance * 2 <= name.len())
        .min()
        .map(|(_, name)| name)
}

/// A value as it would be written, not longer than a line.
fn shown(kind: &ValueKind) -> String {
    const CHARS_MAX: usize = 60;
    match kind {
        ValueKind::String(text) if text.chars().count() > CHARS_MAX => {
            format!("{:?}…", text.chars().take(CHARS_MAX).collect::<String>())
        }
        ValueKind::String(text) => format!("{text:?}"),
        ValueKind::Table(_) => "{…}".to_owned(),
        ValueKind::Array(_) => "[…]".to_owned(),
        plain @ (ValueKind::Nil
        | ValueKind::Boolean(_)
        | ValueKind::I64(_)
        | ValueKind::I128(_)
        | ValueKind::U64(_)
        | ValueKind::U128(_)
        | ValueKind::Float(_)) => plain.to_string(),
    }
}
