//! The board as it looks, and what keys do to it.

use super::super::fixtures;
use super::super::market_report::Report;
use super::board::{Above, Board, Key, Sort};
use super::draw;
use super::feed::{News, Stream};
use super::keys::{self, Next};
use crate::domain::Timestamp;
use crate::grpc::pb::{self, Stage, WatchMarketsResponse};
use ratatui::Terminal;
use ratatui::backend::TestBackend;
use ratatui::crossterm::event::{Event, KeyCode, KeyEvent, KeyModifiers};

fn now() -> Timestamp {
    "2026-11-27T00:03:00Z".parse().unwrap()
}

/// A board that has heard everything.
fn full() -> Board {
    let mut board = Board::new("127.0.0.1:50061".to_owned(), "USA".to_owned());
    board.hear(markets(fixtures::markets(), false));
    board.hear(News::Alerts(fixtures::alerts()));
    board.hear(News::Threats(fixtures::threats()));
    board
}

fn markets(markets: Vec<pb::Market>, more: bool) -> News {
    let time = pb::Timestamp { seconds: 1_795_737_600, nanos: 0 };
    let message =
        WatchMarketsResponse { markets, more, journal_time: Some(time), ..Default::default() };
    News::Markets(Box::new(message))
}

fn drawn(board: &mut Board, columns: u16, lines: u16) -> String {
    let mut terminal = Terminal::new(TestBackend::new(columns, lines)).unwrap();
    terminal.draw(|frame| draw::board(frame, board, now())).unwrap();
    terminal.backend().to_string()
}

fn press(board: &mut Board, code: KeyCode) -> Next {
    keys::apply(board, &Event::Key(KeyEvent::new(code, KeyModifiers::NONE)))
}

/// Presses what is typed.
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
fn before_anything_is_told_it_says_that_it_asks() {
    let mut board = Board::new("127.0.0.1:50061".to_owned(), "all".to_owned());
    insta::assert_snapshot!(drawn(&mut board, 80, 14));
}

#[test]
fn a_lost_connection_is_said_and_what_was_known_stays_until_all_is_told_again() {
    let mut board = full();
    let refused = "no connection to 127.0.0.1:50061: Connection refused";
    board.hear(News::Lost(Stream::Markets, refused.to_owned()));
    board.hear(News::Lost(Stream::Alerts, refused.to_owned()));
    let lost = drawn(&mut board, 80, 20);
    assert!(lost.contains("CONNECTION LOST") && lost.contains(refused), "{lost}");
    let mut again = fixtures::markets();
    let second = again.split_off(2);
    board.hear(News::Resumed(Stream::Markets));
    board.hear(markets(again, true));
    assert_eq!(names(&board).len(), 5, "half of all is not all");
    assert!(drawn(&mut board, 80, 20).contains("CONNECTION LOST"), "alerts are still lost");
    board.hear(markets(second.into_iter().take(1).collect(), false));
    assert_eq!(names(&board).len(), 3, "what is not among all is gone");
    board.hear(News::Resumed(Stream::Alerts));
    let back = drawn(&mut board, 80, 20);
    assert!(back.contains("  live") && back.contains("connected again"), "{back}");
    press(&mut board, KeyCode::Down);
    assert!(!drawn(&mut board, 80, 20).contains("connected again"));
}

#[test]
fn markets_are_sorted_and_filtered_and_the_chosen_one_stays_chosen() {
    let mut board = full();
    assert_eq!(names(&board), ["gallium", "cobalt", "lithium", "copper", "germanium"]);
    press(&mut board, KeyCode::Char('j'));
    press(&mut board, KeyCode::Down);
    let lithium = Some(Key { mineral: "lithium".to_owned(), stage: Stage::Refining });
    assert_eq!(board.chosen, lithium);
    for _ in 0..4 {
        press(&mut board, KeyCode::Char('s'));
    }
    assert_eq!(board.sort, Sort::Name);
    assert_eq!(names(&board), ["cobalt", "copper", "gallium", "germanium", "lithium"]);
    assert_eq!(board.chosen_row(), 4);
    press(&mut board, KeyCode::Char('/'));
    type_in(&mut board, "MININg");
    press(&mut board, KeyCode::Enter);
    assert_eq!(names(&board), ["cobalt", "copper"]);
    press(&mut board, KeyCode::Char('/'));
    type_in(&mut board, "q");
    assert!(drawn(&mut board, 80, 20).contains("no market has \"MININgq\" in its name"));
    press(&mut board, KeyCode::Esc);
    press(&mut board, KeyCode::Char('G'));
    press(&mut board, KeyCode::Char('k'));
    assert_eq!(board.chosen_row(), 3);
    assert_eq!(press(&mut board, KeyCode::Char('q')), Next::Quit);
}

#[test]
fn enter_shows_everything_of_a_market_and_escape_goes_back() {
    let mut board = full();
    assert_eq!(press(&mut board, KeyCode::Enter), Next::Ask);
    let gallium = board.report_of().unwrap();
    assert_eq!(gallium.mineral, "gallium");
    assert!(drawn(&mut board, 80, 24).contains("asking"));
    let report = |at: usize| Report {
        market: fixtures::markets().swap_remove(at),
        rules: fixtures::rules(),
        threats: fixtures::threats(),
        alerts: Vec::new(),
        journal_time: now(),
    };
    board.hear(News::Report(Box::new(report(1))));
    assert!(drawn(&mut board, 80, 24).contains("asking"), "an answer about another market");
    board.hear(News::Report(Box::new(report(0))));
    let top = drawn(&mut board, 80, 24);
    press(&mut board, KeyCode::End);
    let end = drawn(&mut board, 80, 24);
    insta::assert_snapshot!(format!("{top}\n{end}"));
    assert_eq!(press(&mut board, KeyCode::Esc), Next::Ask);
    assert!(board.report_of().is_none());
    press(&mut board, KeyCode::Char('?'));
    assert!(matches!(board.above, Above::Help));
    insta::assert_snapshot!(drawn(&mut board, 80, 12));
}

#[test]
fn many_alerts_are_bounded_and_the_newest_stay() {
    let mut board = full();
    let sequences = 1000..2000;
    let alerts = sequences.map(|sequence| pb::Alert { sequence, ..pb::Alert::default() });
    board.hear(News::Alerts(alerts.collect()));
    assert_eq!(board.alerts().count(), 200);
    assert_eq!(board.alerts().next().map(|alert| alert.sequence), Some(1999));
}
