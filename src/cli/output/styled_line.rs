//! Coloured text: a line for standard output and for `top` alike, and the colour of each level.

use crate::escape::escape_line;
use anstyle::{AnsiColor, Style};
use lodewatch_proto::v1::Level;
use ratatui::text::{Line, Span};
use std::fmt;

/// Pieces of a line, each with its style.
#[derive(Debug, Clone, Default)]
pub(crate) struct StyledLine(Vec<(Style, String)>);

impl StyledLine {
    pub(crate) fn plain(text: impl Into<String>) -> Self {
        Self::default().with(Style::new(), text)
    }

    #[must_use]
    pub(crate) fn with(mut self, style: Style, text: impl Into<String>) -> Self {
        self.0.push((style, text.into()));
        self
    }
}

/// With the terminal's escape codes.
impl fmt::Display for StyledLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|(style, text)| write!(f, "{style}{text}{style:#}"))
    }
}

impl From<StyledLine> for Line<'_> {
    fn from(StyledLine(pieces): StyledLine) -> Self {
        let span =
            |(style, text): (Style, String)| Span::styled(escape_line(&text).into_owned(), style);
        pieces.into_iter().map(span).collect()
    }
}

pub(crate) fn level_style(level: Level) -> Style {
    match level {
        Level::Critical => color(AnsiColor::Red).bold(),
        Level::Warning => color(AnsiColor::Yellow),
        Level::Watch => color(AnsiColor::Cyan),
        Level::Unspecified => Style::new(),
    }
}

pub(crate) fn color(color: AnsiColor) -> Style {
    Style::new().fg_color(Some(color.into()))
}

/// Shortens a text that is too long for `columns`; it then ends in `…`.
pub(crate) fn truncate(text: &str, columns: usize) -> String {
    if text.chars().count() <= columns {
        return text.to_owned();
    }
    let kept: String = text.chars().take(columns.saturating_sub(1)).collect();
    format!("{}…", kept.trim_end())
}
