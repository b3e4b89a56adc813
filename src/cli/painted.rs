//! A line with colours, for a stream of lines and for the board alike.

use anstyle::Style;
use ratatui::text::{Line, Span};
use std::fmt;

/// Pieces of a line, each with its colour.
#[derive(Debug, Clone, Default)]
pub(super) struct Painted(Vec<(Style, String)>);

impl Painted {
    /// Without colours.
    pub(super) fn plain(text: impl Into<String>) -> Self {
        Self::default().with(Style::new(), text)
    }

    /// With one more piece.
    #[must_use]
    pub(super) fn with(mut self, style: Style, text: impl Into<String>) -> Self {
        self.0.push((style, text.into()));
        self
    }
}

/// With the terminal's codes.
impl fmt::Display for Painted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|(style, text)| write!(f, "{style}{text}{style:#}"))
    }
}

impl From<Painted> for Line<'_> {
    fn from(Painted(pieces): Painted) -> Self {
        pieces.into_iter().map(|(style, text)| Span::styled(text, style)).collect()
    }
}
