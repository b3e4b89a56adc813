//! What keys do.

#![allow(clippy::wildcard_enum_match_arm, reason = "terminals have more keys than are used here")]

use super::board::{Above, Board, Key};
use ratatui::crossterm::event::{Event, KeyCode, KeyEvent, KeyEventKind, KeyModifiers};

/// Rows of a page.
const PAGE: isize = 10;
/// More than there are rows.
const ALL: isize = 1_000_000;

/// What is to be done besides.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Next {
    GoOn,
    /// Another market is wanted, or none any more.
    Ask,
    Quit,
}

/// Every key, for help.
pub(super) const HELP: [(&str, &str); 8] = [
    ("↑ ↓  k j", "choose a market; PgUp PgDn Home End for more at once"),
    ("Enter", "everything of the chosen market"),
    ("s", "sort by level, HHI, HHI with t, restricted share, name"),
    ("/", "only markets with this in their name; Enter keeps it, Esc ends it"),
    ("Esc", "back"),
    ("?", "this"),
    ("q  Ctrl-C", "quit"),
    ("", "`lodewatch market`, `alerts` and `threats` print the same"),
];

/// Does what a key says; anything else of a terminal, such as another size, only draws anew.
pub(super) fn apply(board: &mut Board, event: &Event) -> Next {
    let Event::Key(KeyEvent { code, modifiers, kind, .. }) = event else { return Next::GoOn };
    if *kind == KeyEventKind::Release {
        return Next::GoOn;
    }
    board.has_resumed = false;
    if *code == KeyCode::Char('c') && modifiers.contains(KeyModifiers::CONTROL) {
        return Next::Quit;
    }
    if board.is_typing {
        type_filter(board, *code);
        return Next::GoOn;
    }
    match &mut board.above {
        Above::Nothing => on_the_board(board, *code),
        Above::Help => match code {
            KeyCode::Char('q') => Next::Quit,
            _ => close(board),
        },
        Above::Report(_, _, line) => match rows(*code) {
            Some(rows) => {
                *line = line.saturating_add_signed(rows);
                Next::GoOn
            }
            None if *code == KeyCode::Char('q') => Next::Quit,
            None if matches!(code, KeyCode::Esc | KeyCode::Enter | KeyCode::Backspace) => {
                close(board)
            }
            None => Next::GoOn,
        },
    }
}

fn on_the_board(board: &mut Board, code: KeyCode) -> Next {
    if let Some(rows) = rows(code) {
        board.choose(rows);
        return Next::GoOn;
    }
    match code {
        KeyCode::Char('q') => return Next::Quit,
        KeyCode::Char('s') => board.sort = board.sort.next(),
        KeyCode::Char('/') => board.is_typing = true,
        KeyCode::Char('?') => board.above = Above::Help,
        KeyCode::Esc => board.filter.clear(),
        KeyCode::Enter => {
            let chosen = board.shown().get(board.chosen_row()).map(|market| Key::of(market));
            if let Some(key) = chosen {
                board.above = Above::Report(key, None, 0);
                return Next::Ask;
            }
        }
        _ => {}
    }
    Next::GoOn
}

fn close(board: &mut Board) -> Next {
    board.above = Above::Nothing;
    Next::Ask
}

/// How many rows down a key goes, or up.
fn rows(code: KeyCode) -> Option<isize> {
    match code {
        KeyCode::Down | KeyCode::Char('j') => Some(1),
        KeyCode::Up | KeyCode::Char('k') => Some(-1),
        KeyCode::PageDown | KeyCode::Char(' ') => Some(PAGE),
        KeyCode::PageUp => Some(-PAGE),
        KeyCode::Home | KeyCode::Char('g') => Some(-ALL),
        KeyCode::End | KeyCode::Char('G') => Some(ALL),
        _ => None,
    }
}

fn type_filter(board: &mut Board, code: KeyCode) {
    match code {
        KeyCode::Enter => board.is_typing = false,
        KeyCode::Esc => {
            board.is_typing = false;
            board.filter.clear();
        }
        KeyCode::Backspace => {
            board.filter.pop();
        }
        KeyCode::Char(letter) => board.filter.push(letter),
        _ => {}
    }
}
