//! The table of markets: as many columns as have room, each as a whole, since half a figure would be another figure.

use super::super::alert_line::{cut, level_style};
use super::super::figures;
use super::super::output;
use super::super::painted::Painted;
use super::board::Board;
use crate::grpc::pb::{Market, MarketState, Metric};
use ratatui::Frame;
use ratatui::layout::{Constraint, Rect};
use ratatui::style::Modifier;
use ratatui::text::Line;
use ratatui::widgets::{HighlightSpacing, Row, Table};

/// Before the chosen market.
const CHOSEN: &str = "›";
/// A market's name has at least so much room.
const NAME_COLUMNS_MIN: usize = 12;

/// A column besides the name.
struct Column {
    heading: &'static str,
    /// The longest that can be in it.
    width: usize,
    cell: fn(&Market) -> Line<'static>,
}

/// What matters most comes first; what has no room is left out.
const COLUMNS: [Column; 6] = [
    Column { heading: "level", width: 8, cell: level },
    Column { heading: "top 1, %", width: 9, cell: top },
    Column { heading: "HHI", width: 11, cell: |market| figure(market, Metric::Hhi) },
    Column { heading: "HHI with t", width: 11, cell: |market| figure(market, Metric::HhiT) },
    Column {
        heading: "restr. %",
        width: 10,
        cell: |market| figure(market, Metric::RestrictedShare),
    },
    Column { heading: "open", width: 4, cell: open },
];

/// Markets that pass the filter, or why there are none.
pub(super) fn draw(frame: &mut Frame<'_>, board: &mut Board, area: Rect) {
    let mut room = usize::from(area.width).saturating_sub(CHOSEN.chars().count());
    let fits = |column: &&Column| match room.checked_sub(column.width + 1) {
        Some(rest) if rest >= NAME_COLUMNS_MIN => {
            room = rest;
            true
        }
        Some(_) | None => false,
    };
    let columns: Vec<&Column> = COLUMNS.iter().take_while(fits).collect();
    let row = |market: &Market| {
        let name = figures::market_name(&market.name, market.stage());
        let name = Line::from(cut(&name, room));
        Row::new(std::iter::once(name).chain(columns.iter().map(|column| (column.cell)(market))))
    };
    let shown = board.shown();
    let words = if !shown.is_empty() {
        None
    } else if !board.has_markets() {
        Some("asking …".to_owned())
    } else if board.filter.is_empty() {
        Some("nothing is reported yet: lodewatch import, or publish".to_owned())
    } else {
        Some(format!("no market has {:?} in its name; Esc shows all", board.filter))
    };
    let rows: Vec<Row<'_>> = shown.into_iter().map(row).collect();
    let headings = columns.iter().map(|column| match column.heading {
        text @ ("level" | "top 1, %") => Line::from(text),
        text => Line::from(text).right_aligned(),
    });
    let heading = Row::new(std::iter::once(Line::from("market")).chain(headings));
    let widths = columns.iter().map(|column| column.width).map(columns_of);
    let widths = std::iter::once(columns_of(room)).chain(widths);
    let table = Table::new(rows, widths)
        .header(heading.style(Modifier::UNDERLINED))
        .row_highlight_style(Modifier::REVERSED)
        .highlight_symbol(CHOSEN)
        .highlight_spacing(HighlightSpacing::Always);
    board.table.select(Some(board.chosen_row()));
    frame.render_stateful_widget(table, area, &mut board.table);
    if let Some(words) = words {
        let below = Rect { y: area.y + 1, height: area.height.saturating_sub(1), ..area };
        frame.render_widget(Line::from(format!(" {words}")), below);
    }
}

fn columns_of(width: usize) -> Constraint {
    Constraint::Length(u16::try_from(width).unwrap_or(u16::MAX))
}

fn level(market: &Market) -> Line<'static> {
    let level = figures::level(market);
    let word = match market.state() {
        MarketState::Unknown => "unknown".to_owned(),
        MarketState::Known | MarketState::Unspecified => output::level_name(level),
    };
    Painted::default().with(level_style(level), word).into()
}

fn top(market: &Market) -> Line<'static> {
    let Some(first) = market.leaders.first() else { return Line::default() };
    Painted::plain(format!("{first} {}", bare(market, Metric::Top1Share))).into()
}

fn figure(market: &Market, metric: Metric) -> Line<'static> {
    Line::from(bare(market, metric)).right_aligned()
}

/// Without its unit, which is in the heading.
fn bare(market: &Market, metric: Metric) -> String {
    figures::written(market, metric).trim_end_matches(" %").to_owned()
}

fn open(market: &Market) -> Line<'static> {
    match figures::open(market) {
        0 => Line::default(),
        count => Line::from(count.to_string()).right_aligned(),
    }
}
