//! The board as drawn, and what keys do to it.

use super::board::{self, Board, MarketKey, Overlay, SortOrder, Stream};
use super::draw;
use super::keys::{self, KeyAction};
use crate::cli::output::fixtures;
use crate::cli::output::market_page::MarketPage;
use lodewatch_core::domain::Timestamp;
use lodewatch_proto::v1::{self as pb, Stage, WatchMarketsResponse};
use ratatui::Terminal;
use ratatui::backend::TestBackend;
use ratatui::crossterm::event::{Event, KeyCode, KeyEvent, KeyModifiers};

fn now() -> Timestamp {
    "2026-11-27T00:03:00Z".parse().unwrap()
}

/// A board that has received all data.
fn full() -> Board {
    let mut board = Board::new("127.0.0.1:50061".to_owned(), "USA".to_owned());
    board.apply(markets(fixtures::markets(), false));
    board.apply(board::Event::Alerts(fixtures::alerts()));
    board.apply(board::Event::Threats(fixtures::threats()));
    board
}

fn markets(markets: Vec<pb::Market>, more: bool) -> board::Event {
    let time = pb::Timestamp { seconds: 1_795_737_600, nanos: 0 };
    let message =
        WatchMarketsResponse { markets, more, journal_time: Some(time), ..Default::default() };
    board::Event::Markets(Box::new(message))
}

fn drawn(board: &mut Board, columns: u16, lines: u16) -> String {
    let mut terminal = Terminal::new(TestBackend::new(columns, lines)).unwrap();
    terminal.draw(|frame| draw::board(frame, board, now())).unwrap();
    terminal.backend().to_string()
}

fn press(board: &mut Board, code: KeyCode) -> KeyAction {
    keys::apply(board, &Event::Key(KeyEvent::new(code, KeyModifiers::NONE)))
}

fn type_in(board: &mut Board, text: &str) {
    for letter in text.chars() {
        press(board, KeyCode::Char(letter));
    }
}

fn names(board: &Board) -> Vec<&str> {
    board.shown().iter().map(|market| market.mineral.as_str()).collect()
}

#[test]
fn the_board_fits_terminals_of_any_size() {
    let mut board = full();
    let large = drawn(&mut board, 120, 32);
    let usual = drawn(&mut board, 80, 24);
    let small = drawn(&mut board, 50, 12);
    for (columns, lines) in [(1, 1), (20, 5), (300, 100)] {
        drawn(&mut board, columns, lines);
    }
    insta::assert_snapshot!(format!("{usual}\n{large}\n{small}"));
}

#[test]
fn the_board_is_loading_until_data_arrives() {
    let mut board = Board::new("127.0.0.1:50061".to_owned(), "all".to_owned());
    insta::assert_snapshot!(drawn(&mut board, 80, 14));
}

#[test]
fn a_lost_connection_is_shown_and_markets_stay_until_all_are_received_again() {
    let mut board = full();
    let error = "cannot connect to 127.0.0.1:50061: Connection refused";
    board.apply(board::Event::Lost(Stream::Markets, error.to_owned()));
    board.apply(board::Event::Lost(Stream::Alerts, error.to_owned()));
    let lost = drawn(&mut board, 80, 20);
    assert!(lost.contains("CONNECTION LOST") && lost.contains(error), "{lost}");
    let mut again = fixtures::markets();
    let second = again.split_off(2);
    board.apply(board::Event::Resumed(Stream::Markets));
    board.apply(markets(again, true));
    assert_eq!(names(&board).len(), 5, "the markets before the last message are incomplete");
    assert!(drawn(&mut board, 80, 20).contains("CONNECTION LOST"), "alerts are still lost");
    board.apply(markets(second.into_iter().take(1).collect(), false));
    assert_eq!(names(&board).len(), 3, "markets that are not sent again are removed");
    board.apply(board::Event::Resumed(Stream::Alerts));
    let back = drawn(&mut board, 80, 20);
    assert!(back.contains("  live") && back.contains("reconnected"), "{back}");
    press(&mut board, KeyCode::Down);
    assert!(!drawn(&mut board, 80, 20).contains("reconnected"));
}

#[test]
fn markets_are_sorted_and_filtered_and_the_selection_stays() {
    let mut board = full();
    assert_eq!(names(&board), ["gallium", "cobalt", "lithium", "copper", "germanium"]);
    press(&mut board, KeyCode::Char('j'));
    press(&mut board, KeyCode::Down);
    let lithium = Some(MarketKey { mineral: "lithium".to_owned(), stage: Stage::Refining });
    assert_eq!(board.selected, lithium);
    for _ in 0..4 {
        press(&mut board, KeyCode::Char('s'));
    }
    assert_eq!(board.sort_order, SortOrder::Name);
    assert_eq!(names(&board), ["cobalt", "copper", "gallium", "germanium", "lithium"]);
    assert_eq!(board.selected_row(), 4);
    press(&mut board, KeyCode::Char('/'));
    type_in(&mut board, "MININg");
    press(&mut board, KeyCode::Enter);
    assert_eq!(names(&board), ["cobalt", "copper"]);
    press(&mut board, KeyCode::Char('/'));
    type_in(&mut board, "q");
    assert!(drawn(&mut board, 80, 20).contains("no market matches \"MININgq\""));
    press(&mut board, KeyCode::Esc);
    press(&mut board, KeyCode::Char('G'));
    press(&mut board, KeyCode::Char('k'));
    assert_eq!(board.selected_row(), 3);
    assert_eq!(press(&mut board, KeyCode::Char('q')), KeyAction::Quit);
}

#[test]
fn enter_opens_a_markets_page_and_escape_closes_it() {
    let mut board = full();
    assert_eq!(press(&mut board, KeyCode::Enter), KeyAction::MarketChanged);
    let gallium = board.open_market().unwrap();
    assert_eq!(gallium.mineral, "gallium");
    assert!(drawn(&mut board, 80, 24).contains("loading"));
    let page = |at: usize| MarketPage {
        market: fixtures::markets().swap_remove(at),
        rules: fixtures::rules(),
        threats: fixtures::threats(),
        alerts: Vec::new(),
        journal_time: now(),
    };
    board.apply(board::Event::MarketPage(Box::new(page(1))));
    assert!(drawn(&mut board, 80, 24).contains("loading"), "a page of another market");
    board.apply(board::Event::MarketPage(Box::new(page(0))));
    let top = drawn(&mut board, 80, 24);
    press(&mut board, KeyCode::End);
    let end = drawn(&mut board, 80, 24);
    insta::assert_snapshot!(format!("{top}\n{end}"));
    assert_eq!(press(&mut board, KeyCode::Esc), KeyAction::MarketChanged);
    assert!(board.open_market().is_none());
    press(&mut board, KeyCode::Char('?'));
    assert!(matches!(board.overlay, Overlay::Help));
    insta::assert_snapshot!(drawn(&mut board, 80, 12));
}

#[test]
fn only_the_newest_alerts_are_kept() {
    let mut board = full();
    let sequences = 1000..2000;
    let alerts = sequences.map(|sequence| pb::Alert { sequence, ..pb::Alert::default() });
    board.apply(board::Event::Alerts(alerts.collect()));
    assert_eq!(board.alerts().count(), 200);
    assert_eq!(board.alerts().next().map(|alert| alert.sequence), Some(1999));
}
