//! The table of markets: as many columns as fit. None is truncated: a truncated number would be
//! another number.

use super::board::Board;
use crate::cli::output::format;
use crate::cli::output::styled_line::{StyledLine, level_style, truncate};
use lodewatch_proto::v1::{Market, MarketState, Metric};
use ratatui::Frame;
use ratatui::layout::{Constraint, Rect};
use ratatui::style::Modifier;
use ratatui::text::Line;
use ratatui::widgets::{HighlightSpacing, Row, Table};

/// Marks the selected market.
const SELECTED: &str = "›";
/// Minimum width of the market's name.
const NAME_COLUMNS_MIN: usize = 12;

/// A column after the name.
struct Column {
    heading: &'static str,
    /// The longest cell.
    width: usize,
    cell: fn(&Market) -> Line<'static>,
}

/// Most important first; columns that do not fit are omitted.
const COLUMNS: [Column; 6] = [
    Column { heading: "level", width: 8, cell: level_cell },
    Column { heading: "top 1, %", width: 9, cell: top_cell },
    Column { heading: "HHI", width: 11, cell: |market| metric_cell(market, Metric::Hhi) },
    Column { heading: "HHI with t", width: 11, cell: |market| metric_cell(market, Metric::HhiT) },
    Column {
        heading: "restr. %",
        width: 10,
        cell: |market| metric_cell(market, Metric::RestrictedShare),
    },
    Column { heading: "open", width: 4, cell: open_cell },
];

/// Draws the markets that match the filter, or why there are none.
pub(super) fn draw(frame: &mut Frame<'_>, board: &mut Board, area: Rect) {
    let mut room = usize::from(area.width).saturating_sub(SELECTED.chars().count());
    let fits = |column: &&Column| match room.checked_sub(column.width + 1) {
        Some(rest) if rest >= NAME_COLUMNS_MIN => {
            room = rest;
            true
        }
        Some(_) | None => false,
    };
    let columns: Vec<&Column> = COLUMNS.iter().take_while(fits).collect();
    let row = |market: &Market| {
        let name = format::market_name(&market.name, market.stage());
        let name = Line::from(truncate(&name, room));
        Row::new(std::iter::once(name).chain(columns.iter().map(|column| (column.cell)(market))))
    };
    let shown = board.shown();
    let note = if !shown.is_empty() {
        None
    } else if !board.has_markets() {
        Some("loading …".to_owned())
    } else if board.filter.is_empty() {
        Some("no markets yet; publish reports with lodewatch import or publish".to_owned())
    } else {
        Some(format!("no market matches {:?}; Esc clears the filter", board.filter))
    };
    let rows: Vec<Row<'_>> = shown.into_iter().map(row).collect();
    let headings = columns.iter().map(|column| match column.heading {
        text @ ("level" | "top 1, %") => Line::from(text),
        text => Line::from(text).right_aligned(),
    });
    let heading = Row::new(std::iter::once(Line::from("market")).chain(headings));
    let widths = columns.iter().map(|column| column.width).map(length);
    let widths = std::iter::once(length(room)).chain(widths);
    let table = Table::new(rows, widths)
        .header(heading.style(Modifier::UNDERLINED))
        .row_highlight_style(Modifier::REVERSED)
        .highlight_symbol(SELECTED)
        .highlight_spacing(HighlightSpacing::Always);
    board.table.select(Some(board.selected_row()));
    frame.render_stateful_widget(table, area, &mut board.table);
    if let Some(note) = note {
        let below = Rect { y: area.y + 1, height: area.height.saturating_sub(1), ..area };
        frame.render_widget(Line::from(format!(" {note}")), below);
    }
}

fn length(width: usize) -> Constraint {
    Constraint::Length(u16::try_from(width).unwrap_or(u16::MAX))
}

fn level_cell(market: &Market) -> Line<'static> {
    let level = format::highest_level(market);
    let text = match market.state() {
        MarketState::Unknown => "unknown".to_owned(),
        MarketState::Known | MarketState::Unspecified => format::level_name(level),
    };
    StyledLine::default().with(level_style(level), text).into()
}

fn top_cell(market: &Market) -> Line<'static> {
    let Some(first) = market.leaders.first() else { return Line::default() };
    StyledLine::plain(format!("{first} {}", value_without_unit(market, Metric::Top1Share))).into()
}

fn metric_cell(market: &Market, metric: Metric) -> Line<'static> {
    Line::from(value_without_unit(market, metric)).right_aligned()
}

/// The heading has the unit.
fn value_without_unit(market: &Market, metric: Metric) -> String {
    format::metric_text(market, metric).trim_end_matches(" %").to_owned()
}

fn open_cell(market: &Market) -> Line<'static> {
    match format::open_episodes(market) {
        0 => Line::default(),
        count => Line::from(count.to_string()).right_aligned(),
    }
}
