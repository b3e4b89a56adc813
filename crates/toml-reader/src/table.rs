//! Reading a table key by key: every key is asked for by name, and what is left over is unknown.

use super::problem::{Collector, Problem};
use super::value::{Kind, Value};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Display;
use std::sync::Arc;

/// A table that is being read. When it is dropped, every key that was not read is reported as
/// unknown, with the nearest allowed key.
#[derive(Debug)]
pub struct Table<'c> {
    key: String,
    origin: Option<Arc<str>>,
    values: BTreeMap<String, Value>,
    allowed: BTreeSet<&'static str>,
    collector: &'c Collector,
}

/// A value that is being read, and its key.
#[derive(Debug)]
pub struct Node<'c> {
    key: String,
    value: Value,
    collector: &'c Collector,
}

impl<'c> Table<'c> {
    /// The root of a file. Where `value` is not a table, the table is empty.
    pub fn root(value: Value, collector: &'c Collector) -> Self {
        let values = match value.kind {
            Kind::Table(values) => values,
            Kind::Text(_) | Kind::Plain(_) | Kind::List(_) => BTreeMap::new(),
        };
        let (key, allowed) = (String::new(), BTreeSet::new());
        Self { key, origin: value.origin, values, allowed, collector }
    }

    /// The collector of problems that this table reports to.
    pub fn collector(&self) -> &'c Collector {
        self.collector
    }

    /// The value of an optional key.
    pub fn optional(&mut self, key: &'static str) -> Option<Node<'c>> {
        self.allowed.insert(key);
        let value = self.values.remove(key)?;
        Some(Node { key: self.join(key), value, collector: self.collector })
    }

    /// The value of a required key.
    pub fn required(&mut self, key: &'static str) -> Option<Node<'c>> {
        let node = self.optional(key);
        if node.is_none() {
            self.reject(key, "is missing");
        }
        node
    }

    /// Parses the single value of a required key; `None` where it cannot be used.
    pub fn read<T, E: Display>(
        &mut self,
        key: &'static str,
        parse: impl FnOnce(&str) -> Result<T, E>,
    ) -> Option<T> {
        self.required(key)?.read(parse)
    }

    /// Parses the list of an optional key, without the parts that cannot be used.
    pub fn read_list<T, E: Display>(
        &mut self,
        key: &'static str,
        parse: impl FnMut(&str) -> Result<T, E>,
    ) -> Vec<T> {
        self.optional(key).map_or_else(Vec::new, |node| node.read_list(parse))
    }

    /// The table of a required key.
    pub fn table(&mut self, key: &'static str) -> Option<Table<'c>> {
        self.required(key)?.table()
    }

    /// The tables of an optional key.
    pub fn tables(&mut self, key: &'static str) -> Vec<Table<'c>> {
        let nodes = self.optional(key).map_or_else(Vec::new, |node| node.parts());
        nodes.into_iter().filter_map(Node::table).collect()
    }

    /// All values of a table whose keys the writer of the file chooses.
    pub fn into_entries(mut self) -> Vec<(String, Node<'c>)> {
        let values = std::mem::take(&mut self.values);
        let node = |(key, value): (String, Value)| {
            let node = Node { key: self.join(&key), value, collector: self.collector };
            (key, node)
        };
        values.into_iter().map(node).collect()
    }

    /// Reports a problem with one of its keys, or with the whole table where `key` is empty.
    pub fn reject(&self, key: &str, fault: impl Into<String>) {
        let key = if key.is_empty() { self.key.clone() } else { self.join(key) };
        let (origin, fault) = (self.origin.clone(), fault.into());
        self.collector.push(Problem { key, given: None, origin, fault });
    }

    fn join(&self, key: &str) -> String {
        if self.key.is_empty() { key.to_owned() } else { format!("{}.{key}", self.key) }
    }
}

impl Drop for Table<'_> {
    fn drop(&mut self) {
        let allowed: Vec<&str> = self.allowed.iter().copied().collect();
        for (key, value) in &self.values {
            let near = nearest(key, &allowed);
            let near =
                near.map_or_else(|| ".".to_owned(), |near| format!("; did you mean {near}?"));
            self.collector.push(Problem {
                key: self.join(key),
                given: None,
                origin: value.origin.clone(),
                fault: format!("unknown key{near} Allowed keys: {}", allowed.join(", ")),
            });
        }
    }
}

impl<'c> Node<'c> {
    /// Its key from the root.
    pub fn key(&self) -> &str {
        &self.key
    }

    /// Whether it was written as a table.
    pub fn is_table(&self) -> bool {
        matches!(self.value.kind, Kind::Table(_))
    }

    /// Whether it is a list without parts.
    pub fn is_empty_list(&self) -> bool {
        matches!(&self.value.kind, Kind::List(parts) if parts.is_empty())
    }

    /// Parses a single value, whether it was written as a string or not; `None` where it cannot be
    /// used. An error of `parse` is the rest of a sentence about the key: `must be …`.
    pub fn read<T, E: Display>(&self, parse: impl FnOnce(&str) -> Result<T, E>) -> Option<T> {
        match &self.value.kind {
            Kind::Text(text) | Kind::Plain(text) => {
                parse(text).map_err(|fault| self.reject(fault.to_string())).ok()
            }
            Kind::List(_) | Kind::Table(_) => {
                self.reject("must be a single value");
                None
            }
        }
    }

    /// Parses a string as [`Node::read`] does; a value of another kind is a problem. For files
    /// whose values have one source, unlike settings, which may be environment variables.
    pub fn read_string<T, E: Display>(
        &self,
        parse: impl FnOnce(&str) -> Result<T, E>,
    ) -> Option<T> {
        if matches!(self.value.kind, Kind::Plain(_)) {
            self.reject("must be a string");
            return None;
        }
        self.read(parse)
    }

    /// The boolean that it is; a string is a problem, as for [`Node::read_string`].
    pub fn boolean(&self) -> Option<bool> {
        let boolean = match &self.value.kind {
            Kind::Plain(text) => text.parse().ok(),
            Kind::Text(_) | Kind::List(_) | Kind::Table(_) => None,
        };
        if boolean.is_none() {
            self.reject("must be true or false");
        }
        boolean
    }

    /// Parses each part of a list; the parts that cannot be used are skipped.
    pub fn read_list<T, E: Display>(&self, mut parse: impl FnMut(&str) -> Result<T, E>) -> Vec<T> {
        self.parts().iter().filter_map(|part| part.read(&mut parse)).collect()
    }

    /// The parts of a list.
    pub fn parts(&self) -> Vec<Node<'c>> {
        let Kind::List(parts) = &self.value.kind else {
            self.reject("must be a list");
            return Vec::new();
        };
        let part = |(at, value): (usize, &Value)| {
            let key = format!("{}[{at}]", self.key);
            Node { key, value: value.clone(), collector: self.collector }
        };
        parts.iter().enumerate().map(part).collect()
    }

    /// The same value with a string split at its commas into a list: for sources that have no
    /// lists, such as environment variables.
    #[must_use]
    pub fn split_at_commas(mut self) -> Self {
        if let Kind::Text(text) = &self.value.kind {
            let parts = text.split(',').map(str::trim).filter(|part| !part.is_empty());
            let origin = &self.value.origin;
            let part = |part| Value { origin: origin.clone(), ..Value::text(part) };
            self.value.kind = Kind::List(parts.map(part).collect());
        }
        self
    }

    /// The table that it is.
    pub fn table(self) -> Option<Table<'c>> {
        if self.is_table() {
            let mut table = Table::root(self.value, self.collector);
            table.key = self.key;
            return Some(table);
        }
        self.reject("must be a table");
        None
    }

    /// Reports a problem with it.
    pub fn reject(&self, fault: impl Into<String>) {
        self.collector.push(Problem {
            key: self.key.clone(),
            given: Some(shown(&self.value.kind)),
            origin: self.value.origin.clone(),
            fault: fault.into(),
        });
    }
}

/// The allowed name that is most like `text`, if any is.
fn nearest<'a>(text: &str, allowed: &[&'a str]) -> Option<&'a str> {
    const DISTANCE_MAX: usize = 3;
    /// Longer than every key.
    const BYTES_MAX: usize = 256;
    if text.len() > BYTES_MAX {
        return None;
    }
    let folded = text.to_lowercase();
    let distance = |name: &&'a str| (strsim::damerau_levenshtein(&folded, name), *name);
    let near = |(distance, name): &(usize, &str)| {
        *distance <= DISTANCE_MAX && distance.saturating_mul(2) <= name.len()
    };
    allowed.iter().map(distance).filter(near).min().map(|(_, name)| name)
}

/// A value as it would be written, shortened to a line and without the password of an address.
fn shown(kind: &Kind) -> String {
    const CHARS_MAX: usize = 60;
    match kind {
        Kind::Text(text) => {
            let text = without_password(text);
            match text.char_indices().nth(CHARS_MAX) {
                Some((end, _)) => format!("{:?}…", text.get(..end).unwrap_or_default()),
                None => format!("{text:?}"),
            }
        }
        Kind::Plain(text) => text.clone(),
        Kind::Table(_) => "{…}".to_owned(),
        Kind::List(_) => "[…]".to_owned(),
    }
}

/// `http://***@host` for `http://me:secret@host`, and `***@host` for `me:secret@host`. A password
/// may hold any character, so everything up to the last `@` is replaced.
fn without_password(text: &str) -> String {
    let (scheme, rest) = match text.split_once("://") {
        Some((scheme, rest)) => (format!("{scheme}://"), rest),
        None => (String::new(), text),
    };
    match rest.rsplit_once('@') {
        Some((user, host)) if !scheme.is_empty() || user.contains(':') => {
            format!("{scheme}***@{host}")
        }
        Some(_) | None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::parse;

    fn problems(text: &str, read: impl FnOnce(&mut Table<'_>)) -> Vec<String> {
        let collector = Collector::default();
        let mut table = Table::root(parse(text).unwrap(), &collector);
        read(&mut table);
        drop(table);
        let problems = collector.finish(()).err();
        problems.iter().flat_map(|all| all.iter().map(ToString::to_string)).collect()
    }

    #[allow(clippy::unnecessary_wraps, reason = "a function that parses")]
    fn any(text: &str) -> Result<String, String> {
        Ok(text.to_owned())
    }

    #[test]
    fn every_problem_is_reported_with_its_key_and_reading_goes_on() {
        let text =
            "size = 7\nname = \"x\"\nlist = [1, 2]\n[[part]]\nkey = \"a\"\n[[part]]\nkye = 1";
        let found = problems(text, |table| {
            table.read("size", |_| Err::<(), _>("must be small"));
            table.read("list", any);
            table.read_list("name", any);
            table.table("other");
            for mut part in table.tables("part") {
                part.read("key", any);
            }
        });
        assert_eq!(
            found,
            [
                "size = 7: must be small",
                "list = […]: must be a single value",
                "name = \"x\": must be a list",
                "other: is missing",
                "part[1].key: is missing",
                "part[1].kye: unknown key; did you mean key? Allowed keys: key",
            ]
        );
    }

    #[test]
    fn a_password_in_an_address_is_not_shown() {
        let long = format!("http://me:{}@host", "secret".repeat(20));
        for (value, expected) in [
            ("http://me:secret@host/x", "http://***@host/x"),
            ("nats://secret@host:4222", "nats://***@host:4222"),
            ("http://me:se/cr@et@host", "http://***@host"),
            ("nats://me:secret@a,nats://me:secret@b", "nats://***@b"),
            ("me:secret@host:4222", "***@host:4222"),
            (&long, "http://***@host"),
            ("http://host:80/x", "http://host:80/x"),
            ("a@b", "a@b"),
        ] {
            let found = problems(&format!("key = {value:?}"), |table| {
                table.read("key", |_| Err::<(), _>("must be another"));
            });
            assert_eq!(found, [format!("key = {expected:?}: must be another")]);
        }
    }

    #[test]
    fn an_unknown_key_without_a_near_one_names_the_allowed_keys() {
        let found = problems("colour = 1", |table| drop(table.optional("name")));
        assert_eq!(found, ["colour: unknown key. Allowed keys: name"]);
    }

    #[test]
    fn a_syntax_error_has_its_line_and_column_and_no_text_of_the_file() {
        let error = parse("a = 1\nsecret = \"abc").unwrap_err();
        assert_eq!((error.line, error.column), (2, 14));
        assert!(!error.to_string().contains("secret"), "{error}");
    }
}
