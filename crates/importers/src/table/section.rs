//! A section of a mapping: what is asked for is taken out, and what is left over is unknown.

use toml::{Table, Value};

/// A table of TOML that is being read.
pub(super) struct Section {
    /// Its key with a point, empty for the whole file.
    path: String,
    values: Table,
    known: Vec<&'static str>,
}

impl Section {
    /// A section, by its key; the whole file has an empty one.
    pub(super) fn new(key: &str, values: Table) -> Self {
        let path = if key.is_empty() { String::new() } else { format!("{key}.") };
        Self { path, values, known: Vec::new() }
    }

    /// A setting, where it is there.
    pub(super) fn take(&mut self, key: &'static str) -> Option<Value> {
        self.known.push(key);
        self.values.remove(key)
    }

    /// A section within, where it is there.
    pub(super) fn section(&mut self, key: &'static str, faults: &mut Vec<String>) -> Option<Self> {
        let value = self.take(key)?;
        if let Value::Table(values) = value {
            return Some(Self::new(&self.key(key), values));
        }
        faults.push(format!("{}: is {}, must be a table", self.key(key), value.type_str()));
        None
    }

    /// A text that must be there.
    pub(super) fn text(&mut self, key: &'static str, faults: &mut Vec<String>) -> Option<String> {
        let Some(value) = self.take(key) else {
            self.missing(key, faults);
            return None;
        };
        text(&self.key(key), value, faults)
    }

    /// A list of texts; empty where it is left out.
    pub(super) fn texts(&mut self, key: &'static str, faults: &mut Vec<String>) -> Vec<String> {
        let Some(value) = self.take(key) else { return Vec::new() };
        if let Value::Array(values) = value {
            let one = |value| text(&self.key(key), value, faults);
            return values.into_iter().filter_map(one).collect();
        }
        faults.push(format!("{}: is {}, must be a list of texts", self.key(key), value.type_str()));
        Vec::new()
    }

    /// A table of texts; empty where it is left out.
    pub(super) fn words(
        &mut self,
        key: &'static str,
        faults: &mut Vec<String>,
    ) -> Vec<(String, String)> {
        let Some(section) = self.section(key, faults) else { return Vec::new() };
        let word = |(word, value)| {
            let meaning = text(&format!("{}{word:?}", section.path), value, faults)?;
            Some((word, meaning))
        };
        section.values.into_iter().filter_map(word).collect()
    }

    /// Notes that a setting is missing.
    pub(super) fn missing(&self, key: &str, faults: &mut Vec<String>) {
        faults.push(format!("{}: is missing", self.key(key)));
    }

    /// Notes every key that nobody asked for.
    pub(super) fn finish(self, faults: &mut Vec<String>) {
        for key in self.values.keys() {
            faults.push(format!(
                "{}: unknown. Known here: {}",
                self.key(key),
                self.known.join(", ")
            ));
        }
    }

    /// A key from the root.
    pub(super) fn key(&self, key: &str) -> String {
        format!("{}{key}", self.path)
    }
}

/// A text, or a number as a text.
pub(super) fn text(key: &str, value: Value, faults: &mut Vec<String>) -> Option<String> {
    match value {
        Value::String(text) => Some(text),
        Value::Integer(number) => Some(number.to_string()),
        other @ (Value::Float(_)
        | Value::Boolean(_)
        | Value::Datetime(_)
        | Value::Array(_)
        | Value::Table(_)) => {
            faults.push(format!("{key}: is {}, must be a text", other.type_str()));
            None
        }
    }
}
