//! Where settings come from: the layers, and how they are laid over each other.

use super::problem::{Origin, Problem, Problems};
use super::settings::Config;
use super::table::Table;
use ::config::{ConfigError, Environment, File, FileFormat, Map, Source, Value, ValueKind};
use std::path::{Path, PathBuf};

/// What the names of all environment variables of ours begin with, before a `_`.
pub(super) const PREFIX: &str = "LODEWATCH";

/// What separates the levels of a key in the name of an environment variable.
pub(super) const SEPARATOR: &str = "__";

/// The defaults: the very file that is shipped, so that the two cannot differ.
pub(super) const BUILT_IN: &str = include_str!("../../deploy/lodewatch.toml");

/// The one variable of ours that is no setting of the server: a client's bearer token.
const TOKEN: &str = "LODEWATCH_TOKEN";

/// The bearer token that the environment holds for a client.
#[allow(clippy::disallowed_methods, reason = "only config reads the environment")]
pub fn token() -> Option<String> {
    std::env::var(TOKEN).ok().filter(|token| !token.is_empty())
}

/// Settings that the command line may name, as they were written; `None` where a flag was not given.
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
/// Everything that is unknown, missing or out of range in any of them, all at once.
pub fn load(file: Option<&Path>, flags: &Flags) -> Result<Config, Problems> {
    let environment = Environment::with_prefix(PREFIX).prefix_separator("_").separator(SEPARATOR);
    read(file, Some(&environment), flags)
}

/// Reads the defaults and then the file, as if there were neither environment nor flags; without a file, the defaults.
///
/// # Errors
/// Everything that is unknown, missing or out of range in the file, all at once.
pub fn check(file: Option<&Path>) -> Result<Config, Problems> {
    read(file, None, &Flags::default())
}

/// Lays the layers over each other and reads the result.
pub(super) fn read(
    file: Option<&Path>,
    environment: Option<&Environment>,
    flags: &Flags,
) -> Result<Config, Problems> {
    let mut problems = Problems::default();
    let mut merged = ::config::Config::builder()
        .add_source(File::from_str(BUILT_IN, FileFormat::Toml))
        .add_source(Layer(file.map_or_else(Map::new, |path| file_values(path, &mut problems))));
    if let Some(environment) = environment {
        merged = merged.add_source(environment_layer(environment, &mut problems));
    }
    let values = merged
        .add_source(flag_layer(flags))
        .build()
        .and_then(|merged| merged.collect())
        .expect("the layers were read before, and the built-in one by a test");
    let config = Config::parse(Table::root(values), &mut problems);
    match config {
        Some(config) if problems.is_empty() => Ok(config),
        _ => Err(problems),
    }
}

/// A layer that was read already; each value knows where it was written.
#[derive(Debug, Clone, Default)]
struct Layer(Map<String, Value>);

impl Source for Layer {
    fn clone_into_box(&self) -> Box<dyn Source + Send + Sync> {
        Box::new(self.clone())
    }

    fn collect(&self) -> Result<Map<String, Value>, ConfigError> {
        Ok(self.0.clone())
    }
}

/// What a file says, each value with where it was written. Read here and not by the config crate, which would also take a file of
/// a similar name, and bytes that are not UTF-8.
pub(super) fn file_values(path: &Path, problems: &mut Problems) -> Map<String, Value> {
    let origin = path.display().to_string();
    let read = std::fs::read_to_string(path)
        .map_err(|error| format!("cannot be read: {error}"))
        .and_then(|text| {
            File::from_str(&text, FileFormat::Toml)
                .collect()
                .map_err(|error| format!("is not TOML: {error}"))
        });
    match read {
        Ok(values) => {
            values.into_iter().map(|(key, value)| (key, with_origin(value, &origin))).collect()
        }
        Err(fault) => {
            let origin = Origin::File(origin);
            problems.push(Problem { key: String::new(), given: None, origin, fault });
            Map::new()
        }
    }
}

/// Rules and blocs have parts that no variable's name can say, so they are refused here and not half merged.
fn environment_layer(environment: &Environment, problems: &mut Problems) -> Layer {
    let mut refuse = |key: &str, fault: String| {
        let origin = Origin::Environment;
        problems.push(Problem { key: key.to_owned(), given: None, origin, fault });
    };
    let values = environment.collect().unwrap_or_else(|error| {
        refuse("*", error.to_string());
        Map::new()
    });
    let values: Map<_, _> = values.into_iter().filter(|(key, _)| key != "token").collect();
    let in_file_only = |key: &str| {
        let first = key.split(['.', '[']).next().unwrap_or(key);
        matches!(first, "rules" | "blocs")
    };
    let (refused, taken): (Map<_, _>, _) =
        values.into_iter().partition(|(key, _)| in_file_only(key));
    let mut refused: Vec<_> = refused.into_keys().collect();
    refused.sort_unstable();
    for key in refused {
        refuse(&key, "rules and blocs are set in the file only".to_owned());
    }
    Layer(taken)
}

fn flag_layer(flags: &Flags) -> Layer {
    let Flags { listen, data_dir } = flags;
    let data_dir = data_dir.as_ref().map(|path| path.to_string_lossy().into_owned());
    let given = [("server.listen", "--listen", listen), ("data_dir", "--data-dir", &data_dir)];
    Layer(
        given
            .into_iter()
            .filter_map(|(key, flag, value)| {
                let value = Value::new(Some(&flag.to_owned()), value.clone()?);
                Some((key.to_owned(), value))
            })
            .collect(),
    )
}

fn with_origin(value: Value, origin: &String) -> Value {
    let kind = match value.kind {
        ValueKind::Table(table) => ValueKind::Table(
            table.into_iter().map(|(key, value)| (key, with_origin(value, origin))).collect(),
        ),
        ValueKind::Array(list) => {
            ValueKind::Array(list.into_iter().map(|value| with_origin(value, origin)).collect())
        }
        plain @ (ValueKind::Nil
        | ValueKind::Boolean(_)
        | ValueKind::I64(_)
        | ValueKind::I128(_)
        | ValueKind::U64(_)
        | ValueKind::U128(_)
        | ValueKind::Float(_)
        | ValueKind::String(_)) => plain,
    };
    Value::new(Some(origin), kind)
}
