//! Logs: to stderr, as text for people or as JSON for machines.

use crate::config::{Log, LogFormat};
use anstream::{AutoStream, ColorChoice};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::{Layer, Registry, fmt};

/// Writes logs to stderr from now on. Text is coloured on a terminal, unless `NO_COLOR` is set.
///
/// # Panics
///
/// If it was called before.
pub fn start(log: &Log) {
    let lines = fmt::layer().with_writer(std::io::stderr);
    let lines = match log.format {
        LogFormat::Text => {
            let choice = AutoStream::choice(&std::io::stderr());
            lines.with_ansi(choice != ColorChoice::Never).boxed()
        }
        LogFormat::Json => lines.json().flatten_event(true).with_ansi(false).boxed(),
    };
    let subscriber = Registry::default().with(lines.with_filter(log.level.clone()));
    tracing::subscriber::set_global_default(subscriber).expect("logging starts once");
}
