//! The layers of settings, and how they are merged.

use super::settings::Config;
use ::config::{ConfigError, Environment, File, FileFormat, Format, Map, Source, ValueKind};
use lodewatch_toml_reader::{Collector, Kind, Problem, Problems, Table, Value};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// What the names of all environment variables of ours begin with, before a `_`.
pub(super) const PREFIX: &str = "LODEWATCH";

/// What separates the levels of a key in the name of an environment variable.
pub(super) const SEPARATOR: &str = "__";

/// The defaults: the very file that is shipped, so that the two cannot differ.
pub(super) const BUILT_IN: &str = include_str!("../../deploy/lodewatch.toml");

/// A client's bearer token: the one variable of ours that is no setting of the server.
const TOKEN: &str = "LODEWATCH_TOKEN";

/// What the config crate calls the environment.
const ENVIRONMENT: &str = "the environment";

/// The settings cannot be used: every problem, with its key, where it was written and what is
/// allowed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("cannot load the configuration:\n  {0}")]
pub struct Error(pub(super) Problems);

/// The bearer token that the environment holds for a client.
#[allow(clippy::disallowed_methods, reason = "only config reads the environment")]
pub fn token() -> Option<String> {
    std::env::var(TOKEN).ok().filter(|token| !token.is_empty())
}

/// Settings that the command line may name, as they were written; `None` where a flag was not
/// given.
#[derive(Debug, Clone, Default)]
pub struct Flags {
    /// `--listen`, for `server.listen`.
    pub listen: Option<String>,
    /// `--data-dir`, for `data_dir`.
    pub data_dir: Option<PathBuf>,
}

/// Reads the settings: defaults, then the file, then the environment, then flags.
///
/// # Errors
///
/// Everything that is unknown, missing or out of range in any of them, all at once.
pub fn load(file: Option<&Path>, flags: &Flags) -> Result<Config, Error> {
    let environment = Environment::with_prefix(PREFIX).prefix_separator("_").separator(SEPARATOR);
    read(file, Some(&environment), flags)
}

/// Reads the defaults and then the file, without environment and flags; without a file, the
/// defaults.
///
/// # Errors
///
/// Everything that is unknown, missing or out of range in the file, all at once.
pub fn check(file: Option<&Path>) -> Result<Config, Error> {
    read(file, None, &Flags::default())
}

/// Merges the layers and reads the result.
pub(super) fn read(
    file: Option<&Path>,
    environment: Option<&Environment>,
    flags: &Flags,
) -> Result<Config, Error> {
    let collector = Collector::default();
    let mut merged = ::config::Config::builder()
        .add_source(File::from_str(BUILT_IN, FileFormat::Toml))
        .add_source(Layer(file.map_or_else(Map::new, |path| file_layer(path, &collector))));
    if let Some(environment) = environment {
        merged = merged.add_source(environment_layer(environment, &collector));
    }
    let values = merged
        .add_source(flag_layer(flags))
        .build()
        .and_then(|merged| merged.collect())
        .expect("the layers were read before, and the built-in one by a test");
    let mut root = Table::root(value(ValueKind::Table(values).into(), ""), &collector);
    let config = Config::parse(&mut root);
    drop(root);
    let config = collector.finish(config).map_err(Error)?;
    Ok(config.expect("settings without problems are complete"))
}

/// A layer that was read already; each value knows where it was written.
#[derive(Debug, Clone, Default)]
struct Layer(Map<String, ::config::Value>);

impl Source for Layer {
    fn clone_into_box(&self) -> Box<dyn Source + Send + Sync> {
        Box::new(self.clone())
    }

    fn collect(&self) -> Result<Map<String, ::config::Value>, ConfigError> {
        Ok(self.0.clone())
    }
}

/// The values of a file. The file is read here and not by the config crate, which would also accept
/// a file of a similar name, and bytes that are not UTF-8.
fn file_layer(path: &Path, collector: &Collector) -> Map<String, ::config::Value> {
    let origin = path.display().to_string();
    let values = read_toml(path).and_then(|(text, _)| {
        let parsed = FileFormat::Toml.parse(Some(&origin), &text);
        parsed.map_err(|error| problem(&origin, None, format!("is not valid TOML: {error}")))
    });
    values.unwrap_or_else(|problem| {
        collector.push(problem);
        Map::new()
    })
}

/// The text of a file, and the values that it has.
pub(super) fn read_toml(path: &Path) -> Result<(String, Value), Problem> {
    let name = path.display().to_string();
    let text = std::fs::read_to_string(path)
        .map_err(|error| problem(&name, None, format!("cannot be read: {error}")))?;
    let values = lodewatch_toml_reader::parse(&text)
        .map_err(|error| problem(&name, None, format!("is not valid TOML: {error}")))?;
    let origin = format!("in {name}").into();
    Ok((text, values.with_origin(&origin)))
}

/// Rules and blocs have parts that no variable's name can say, so they are rejected here and not
/// half merged.
fn environment_layer(environment: &Environment, collector: &Collector) -> Layer {
    let reject = |key: &str, fault: String| {
        collector.push(problem(key, Some(variable(key)), fault));
    };
    let mut values = environment.collect().unwrap_or_else(|error| {
        reject("*", error.to_string());
        Map::new()
    });
    values.remove("token");
    let mut rejected: Vec<_> = values
        .keys()
        .filter(|key| matches!(key.split(['.', '[']).next(), Some("rules" | "blocs")))
        .cloned()
        .collect();
    rejected.sort_unstable();
    for key in rejected {
        values.remove(&key);
        reject(&key, "rules and blocs can only be set in the file".to_owned());
    }
    Layer(values)
}

fn flag_layer(flags: &Flags) -> Layer {
    let Flags { listen, data_dir } = flags;
    let data_dir = data_dir.as_ref().map(|path| path.to_string_lossy().into_owned());
    let given = [("server.listen", "--listen", listen), ("data_dir", "--data-dir", &data_dir)];
    let value = |(key, flag, value): (&str, &str, &Option<String>)| {
        let value = ::config::Value::new(Some(&flag.to_owned()), value.clone()?);
        Some((key.to_owned(), value))
    };
    Layer(given.into_iter().filter_map(value).collect())
}

/// A merged value, in words of where it was written.
fn value(merged: ::config::Value, key: &str) -> Value {
    let origin = match merged.origin() {
        None => "built in".into(),
        Some(ENVIRONMENT) => variable(key),
        Some(flag) if flag.starts_with("--") => format!("from {flag}").into(),
        Some(path) => format!("in {path}").into(),
    };
    let kind = match merged.kind {
        ValueKind::String(text) => Kind::Text(text),
        ValueKind::Array(parts) => {
            Kind::List(parts.into_iter().map(|part| value(part, key)).collect())
        }
        ValueKind::Table(values) => {
            let path = |name: &str| match key {
                "" => name.to_owned(),
                _ => format!("{key}.{name}"),
            };
            let values = values.into_iter();
            Kind::Table(
                values.map(|(name, one)| (name.clone(), value(one, &path(&name)))).collect(),
            )
        }
        // A float is printed as the shortest decimal that is this number: what was written, up to
        // 15 digits.
        plain @ (ValueKind::Nil
        | ValueKind::Boolean(_)
        | ValueKind::I64(_)
        | ValueKind::I128(_)
        | ValueKind::U64(_)
        | ValueKind::U128(_)
        | ValueKind::Float(_)) => Kind::Plain(plain.to_string()),
    };
    Value { kind, origin: Some(origin) }
}

/// The environment variable of a key, as an origin.
fn variable(key: &str) -> Arc<str> {
    format!("from {PREFIX}_{}", key.to_uppercase().replace('.', SEPARATOR)).into()
}

fn problem(key: &str, origin: Option<Arc<str>>, fault: String) -> Problem {
    Problem { key: key.to_owned(), given: None, origin, fault }
}
