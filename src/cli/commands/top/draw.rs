//! Draws the board as widgets.

use super::board::{Board, Overlay, StreamState};
use super::keys::HELP;
use super::table;
use crate::cli::output::alert_line::{age, fit_sentence, kind_and_level};
use crate::cli::output::format::{self, enum_name};
use crate::cli::output::styled_line::{StyledLine, truncate};
use anstyle::{AnsiColor, Style};
use lodewatch_core::domain::{Day, Timestamp};
use lodewatch_proto::v1::{Alert, ThreatRecord};
use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::text::Line;
use ratatui::widgets::{Block, Borders, Clear, Paragraph};

/// Lines of alerts and threats, with their headings, on a terminal of 24 lines; a higher one shows
/// more.
const ALERTS_LINES_MIN: u16 = 5;
const THREATS_LINES_MIN: u16 = 4;
const MARKETS_LINES_MIN: u16 = 8;
const DAY_MS: i64 = 86_400_000;

pub(super) fn board(frame: &mut Frame<'_>, board: &mut Board, now: Timestamp) {
    let rest = frame.area().height.saturating_sub(2 + MARKETS_LINES_MIN);
    let [head, markets, alerts, threats, foot] = Layout::vertical([
        Constraint::Length(1),
        Constraint::Min(MARKETS_LINES_MIN),
        Constraint::Length((rest / 3).max(ALERTS_LINES_MIN.min(rest))),
        Constraint::Length((rest / 4).max(THREATS_LINES_MIN.min(rest))),
        Constraint::Length(1),
    ])
    .areas(frame.area());
    frame.render_widget(header_line(board, head.width), head);
    table::draw(frame, board, markets);
    frame.render_widget(
        titled("latest alerts", alert_lines(board, now, alerts.width), alerts),
        alerts,
    );
    frame.render_widget(
        titled("threats by next date", threat_lines(board, now, threats.width), threats),
        threats,
    );
    frame.render_widget(Line::from(footer_line(board)), foot);
    let body =
        Rect { y: head.bottom(), height: foot.y.saturating_sub(head.bottom()), ..frame.area() };
    match &mut board.overlay {
        Overlay::None => {}
        Overlay::Help => draw_overlay(frame, body, " keys ", help(), 0),
        Overlay::MarketPage(_, None, _) => {
            draw_overlay(frame, body, " market ", vec![StyledLine::plain("loading …")], 0);
        }
        Overlay::MarketPage(_, Some(page), line) => {
            let lines = page.lines(usize::from(body.width.saturating_sub(2)));
            let hidden = lines.len().saturating_sub(usize::from(body.height.saturating_sub(2)));
            *line = (*line).min(hidden);
            draw_overlay(frame, body, " market ", lines, *line);
        }
    }
}

/// Servers, destination, time, and whether the streams are live.
fn header_line(board: &Board, columns: u16) -> Line<'static> {
    let title = format!(" lodewatch {} for {}", board.servers, board.destination);
    let (style, state) = match board.stream_state() {
        StreamState::Live if board.has_markets() => (Style::new(), "live"),
        StreamState::Live => (Style::new(), "loading …"),
        StreamState::Lost(_) => {
            (Style::new().fg_color(Some(AnsiColor::Yellow.into())).bold(), "CONNECTION LOST")
        }
    };
    let time = if board.has_markets() { format::minute(board.journal_time) } else { String::new() };
    let right = format!("{time}  {state} ");
    let room = usize::from(columns).saturating_sub(right.chars().count());
    let left = truncate(&title, room.saturating_sub(1));
    StyledLine::default()
        .with(Style::new().bold(), format!("{left:<room$}"))
        .with(Style::new(), format!("{time}  "))
        .with(style, format!("{state} "))
        .into()
}

fn titled(title: &'static str, lines: Vec<StyledLine>, area: Rect) -> Paragraph<'static> {
    let room = usize::from(area.height.saturating_sub(1));
    let lines: Vec<Line<'_>> = lines.into_iter().take(room).map(Line::from).collect();
    let block = Block::new().borders(Borders::TOP).title(format!(" {title} "));
    Paragraph::new(lines).block(block)
}

fn alert_lines(board: &Board, now: Timestamp, columns: u16) -> Vec<StyledLine> {
    let line = |alert: &Alert| {
        let at = alert.event_time.as_ref().map(format::instant).unwrap_or_default();
        let (style, label) = kind_and_level(alert);
        let time = format!("{:>10}  ", age(at, now));
        let room = usize::from(columns).saturating_sub(time.len() + label.len() + 2);
        StyledLine::plain(time)
            .with(style, label)
            .with(Style::new(), format!("  {}", fit_sentence(alert, room)))
    };
    board.alerts().map(line).collect()
}

fn threat_lines(board: &Board, now: Timestamp, columns: u16) -> Vec<StyledLine> {
    let line = |record: &ThreatRecord| {
        let threat = record.threat.clone().unwrap_or_default();
        let toward = format::scope(threat.destination.as_ref());
        let exercise = if record.exercise { " (exercise)" } else { "" };
        let when = format!("{:>10}  {:<9} ", record.next_boundary, days_until(record, now));
        let status = enum_name(record.status().as_str_name(), "THREAT_STATUS_");
        let status = format!("{status:<10} ");
        let text = format!(
            "{}{exercise}: {} by {} → {toward}, {}",
            threat.id,
            enum_name(threat.measure().as_str_name(), "MEASURE_"),
            threat.imposing,
            threat.minerals.join(" "),
        );
        let room = usize::from(columns).saturating_sub(when.len() + status.len());
        StyledLine::plain(when)
            .with(Style::new().bold(), status)
            .with(Style::new(), truncate(&text, room))
    };
    board.threats.iter().map(line).collect()
}

/// `in 3 d`.
fn days_until(record: &ThreatRecord, now: Timestamp) -> String {
    let Ok(day) = record.next_boundary.parse::<Day>() else { return String::new() };
    let days = day.start().millis().saturating_sub(now.day().start().millis()) / DAY_MS;
    match days {
        0 => "today".to_owned(),
        1 => "tomorrow".to_owned(),
        2.. => format!("in {days} d"),
        _ => String::new(),
    }
}

/// The filter being typed, the state of the connection, or the keys.
fn footer_line(board: &Board) -> StyledLine {
    if board.is_typing {
        return StyledLine::plain(format!(" /{}▏", board.filter));
    }
    if let StreamState::Lost(reason) = board.stream_state() {
        return StyledLine::plain(format!(" reconnecting: {reason}"));
    }
    if board.has_resumed {
        return StyledLine::plain(" reconnected");
    }
    if let Overlay::MarketPage(..) = board.overlay {
        return StyledLine::plain(" q quit  ↑↓ scroll  Esc back");
    }
    let filter = match board.filter.as_str() {
        "" => String::new(),
        filter => format!(", only {filter:?}"),
    };
    let order = board.sort_order.name();
    StyledLine::plain(format!(
        " q quit  ↑↓ select  Enter details  s sort  / filter  ? help    by {order}{filter}"
    ))
}

fn help() -> Vec<StyledLine> {
    let line = |(keys, action): (&str, &str)| {
        StyledLine::default()
            .with(Style::new().bold(), format!("{keys:<11}"))
            .with(Style::new(), action)
    };
    HELP.into_iter().map(line).collect()
}

fn draw_overlay(
    frame: &mut Frame<'_>,
    area: Rect,
    title: &'static str,
    lines: Vec<StyledLine>,
    from: usize,
) {
    let lines: Vec<Line<'_>> = lines.into_iter().skip(from).map(Line::from).collect();
    let block = Block::bordered().title(title);
    frame.render_widget(Clear, area);
    frame.render_widget(Paragraph::new(lines).block(block), area);
}
