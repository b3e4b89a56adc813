//! The board as widgets.

use super::super::alert_line::{ago, cut, signal, told};
use super::super::output;
use super::super::painted::Painted;
use super::super::threats;
use super::board::{Above, Board, Link};
use super::keys::HELP;
use super::table;
use crate::domain::{Day, Timestamp};
use crate::grpc::pb::{Alert, ThreatRecord};
use anstyle::{AnsiColor, Style};
use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::text::Line;
use ratatui::widgets::{Block, Borders, Clear, Paragraph};

/// Lines of alerts and of threats, their headings among them, where the terminal is of the usual 24; a higher one shows more.
const ALERTS_LINES_MIN: u16 = 5;
const THREATS_LINES_MIN: u16 = 4;
const MARKETS_LINES_MIN: u16 = 8;
const DAY_MS: i64 = 86_400_000;

/// All of it.
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
    frame.render_widget(heading(board, head.width), head);
    table::draw(frame, board, markets);
    frame.render_widget(
        titled("latest alerts", alert_lines(board, now, alerts.width), alerts),
        alerts,
    );
    frame.render_widget(
        titled("threats by their next date", threat_lines(board, now, threats.width), threats),
        threats,
    );
    frame.render_widget(Line::from(footing(board)), foot);
    let body =
        Rect { y: head.bottom(), height: foot.y.saturating_sub(head.bottom()), ..frame.area() };
    match &mut board.above {
        Above::Nothing => {}
        Above::Help => over(frame, body, " keys ", help(), 0),
        Above::Report(_, None, _) => {
            over(frame, body, " market ", vec![Painted::plain("asking …")], 0);
        }
        Above::Report(_, Some(report), line) => {
            let lines = report.lines(usize::from(body.width.saturating_sub(2)));
            let hidden = lines.len().saturating_sub(usize::from(body.height.saturating_sub(2)));
            *line = (*line).min(hidden);
            over(frame, body, " market ", lines, *line);
        }
    }
}

/// Where from, for whom, of when, and whether it is live.
fn heading(board: &Board, columns: u16) -> Line<'static> {
    let for_whom = format!(" lodewatch {} for {}", board.servers, board.destination);
    let (style, link) = match board.link() {
        Link::Live if board.has_markets() => (Style::new(), "live"),
        Link::Live => (Style::new(), "asking …"),
        Link::Lost(_) => {
            (Style::new().fg_color(Some(AnsiColor::Yellow.into())).bold(), "CONNECTION LOST")
        }
    };
    let time = if board.has_markets() { output::minute(board.journal_time) } else { String::new() };
    let right = format!("{time}  {link} ");
    let room = usize::from(columns).saturating_sub(right.chars().count());
    let left = cut(&for_whom, room.saturating_sub(1));
    Painted::default()
        .with(Style::new().bold(), format!("{left:<room$}"))
        .with(Style::new(), format!("{time}  "))
        .with(style, format!("{link} "))
        .into()
}

fn titled(title: &'static str, lines: Vec<Painted>, area: Rect) -> Paragraph<'static> {
    let room = usize::from(area.height.saturating_sub(1));
    let lines: Vec<Line<'_>> = lines.into_iter().take(room).map(Line::from).collect();
    let block = Block::new().borders(Borders::TOP).title(format!(" {title} "));
    Paragraph::new(lines).block(block)
}

fn alert_lines(board: &Board, now: Timestamp, columns: u16) -> Vec<Painted> {
    let line = |alert: &Alert| {
        let at = alert.event_time.as_ref().map(output::instant).unwrap_or_default();
        let (style, signal) = signal(alert);
        let time = format!("{:>10}  ", ago(at, now));
        let room = usize::from(columns).saturating_sub(time.len() + signal.len() + 2);
        Painted::plain(time)
            .with(style, signal)
            .with(Style::new(), format!("  {}", told(alert, room)))
    };
    board.alerts().map(line).collect()
}

fn threat_lines(board: &Board, now: Timestamp, columns: u16) -> Vec<Painted> {
    let line = |record: &ThreatRecord| {
        let threat = record.threat.clone().unwrap_or_default();
        let toward = threat.destination.as_ref().map_or_else(|| "all".to_owned(), threats::toward);
        let drill = if record.exercise { " (drill)" } else { "" };
        let when = format!("{:>10}  {:<9} ", record.next_boundary, ahead(record, now));
        let status = output::name(record.status().as_str_name(), "THREAT_STATUS_");
        let status = format!("{status:<10} ");
        let what = format!(
            "{}{drill}: {} of {} → {toward}, {}",
            threat.id,
            output::name(threat.measure().as_str_name(), "MEASURE_"),
            threat.imposing,
            threat.minerals.join(" "),
        );
        let room = usize::from(columns).saturating_sub(when.len() + status.len());
        Painted::plain(when).with(Style::new().bold(), status).with(Style::new(), cut(&what, room))
    };
    board.threats.iter().map(line).collect()
}

/// `in 3 days`.
fn ahead(record: &ThreatRecord, now: Timestamp) -> String {
    let Ok(day) = record.next_boundary.parse::<Day>() else { return String::new() };
    let days = day.start().millis().saturating_sub(now.day().start().millis()) / DAY_MS;
    match days {
        0 => "today".to_owned(),
        1 => "tomorrow".to_owned(),
        2.. => format!("in {days} d"),
        _ => String::new(),
    }
}

/// What is being typed, what has happened to the connection, or which keys there are.
fn footing(board: &Board) -> Painted {
    if board.is_typing {
        return Painted::plain(format!(" /{}▏", board.filter));
    }
    if let Link::Lost(why) = board.link() {
        return Painted::plain(format!(" trying again: {why}"));
    }
    if board.has_resumed {
        return Painted::plain(" connected again");
    }
    if let Above::Report(..) = board.above {
        return Painted::plain(" q quit  ↑↓ scroll  Esc back");
    }
    let filter = match board.filter.as_str() {
        "" => String::new(),
        filter => format!(", only {filter:?}"),
    };
    let sort = board.sort.name();
    Painted::plain(format!(
        " q quit  ↑↓ choose  Enter report  s sort  / filter  ? help    by {sort}{filter}"
    ))
}

fn help() -> Vec<Painted> {
    let line = |(keys, what): (&str, &str)| {
        Painted::default().with(Style::new().bold(), format!("{keys:<11}")).with(Style::new(), what)
    };
    HELP.into_iter().map(line).collect()
}

fn over(frame: &mut Frame<'_>, area: Rect, title: &'static str, lines: Vec<Painted>, from: usize) {
    let lines: Vec<Line<'_>> = lines.into_iter().skip(from).map(Line::from).collect();
    let block = Block::bordered().title(title);
    frame.render_widget(Clear, area);
    frame.render_widget(Paragraph::new(lines).block(block), area);
}
