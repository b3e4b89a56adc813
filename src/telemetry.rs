//! Logs: to stderr, as text for people or as JSON for machines.

use crate::config::{Log, LogFormat};
use crate::escape::escape_styled;
use anstream::{AutoStream, ColorChoice};
use std::io::{self, Write};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::{Layer, Registry, fmt};

/// Writes logs to stderr from now on. Text is coloured on a terminal, unless `NO_COLOR` is set.
///
/// # Panics
///
/// If it was called before.
pub fn start(log: &Log) {
    let lines = fmt::layer();
    let lines = match log.format {
        LogFormat::Text => {
            let choice = AutoStream::choice(&std::io::stderr());
            lines.with_writer(|| TextLog).with_ansi(choice != ColorChoice::Never).boxed()
        }
        LogFormat::Json => {
            lines.with_writer(std::io::stderr).json().flatten_event(true).with_ansi(false).boxed()
        }
    };
    let subscriber = Registry::default().with(lines.with_filter(log.level.clone()));
    tracing::subscriber::set_global_default(subscriber).expect("logging starts once");
}

/// Writes the text of events to stderr. One event is one line: what a client or a file put into its
/// fields cannot begin another, and has no hidden characters.
struct TextLog;

impl Write for TextLog {
    /// Gets a whole event.
    fn write(&mut self, event: &[u8]) -> io::Result<usize> {
        let text = String::from_utf8_lossy(event);
        let text = text.strip_suffix('\n').unwrap_or(&text).replace('\n', "\\n");
        let line = format!("{}\n", escape_styled(&text));
        io::stderr().write_all(line.as_bytes())?;
        Ok(event.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
