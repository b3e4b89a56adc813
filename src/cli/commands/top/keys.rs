//! The keys and what they do.

#![allow(clippy::wildcard_enum_match_arm, reason = "terminals have more keys than are used here")]

use super::board::{Board, MarketKey, Overlay};
use ratatui::crossterm::event::{Event, KeyCode, KeyEvent, KeyEventKind, KeyModifiers};

/// Rows that a page key moves.
const PAGE: isize = 10;
/// More rows than there can be.
const ALL: isize = 1_000_000;

/// What the caller must do after a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum KeyAction {
    Continue,
    /// A market's page was opened or closed: request it, or stop.
    MarketChanged,
    Quit,
}

/// The help text.
pub(super) const HELP: [(&str, &str); 8] = [
    ("↑ ↓  k j", "select a market; PgUp PgDn Home End move further"),
    ("Enter", "details of the selected market"),
    ("s", "sort by level, HHI, HHI with t, restricted share, name"),
    ("/", "filter markets by name; Enter applies the filter, Esc clears it"),
    ("Esc", "back"),
    ("?", "help"),
    ("q  Ctrl-C", "quit"),
    ("", "`lodewatch market`, `alerts` and `threats` print the same data"),
];

/// Applies a key; other events, such as a new size, only redraw.
pub(super) fn apply(board: &mut Board, event: &Event) -> KeyAction {
    let Event::Key(KeyEvent { code, modifiers, kind, .. }) = event else {
        return KeyAction::Continue;
    };
    if *kind == KeyEventKind::Release {
        return KeyAction::Continue;
    }
    board.has_resumed = false;
    if *code == KeyCode::Char('c') && modifiers.contains(KeyModifiers::CONTROL) {
        return KeyAction::Quit;
    }
    if board.is_typing {
        edit_filter(board, *code);
        return KeyAction::Continue;
    }
    match &mut board.overlay {
        Overlay::None => apply_to_board(board, *code),
        Overlay::Help => match code {
            KeyCode::Char('q') => KeyAction::Quit,
            _ => close_overlay(board),
        },
        Overlay::MarketPage(_, _, line) => match row_offset(*code) {
            Some(rows) => {
                *line = line.saturating_add_signed(rows);
                KeyAction::Continue
            }
            None if *code == KeyCode::Char('q') => KeyAction::Quit,
            None if matches!(code, KeyCode::Esc | KeyCode::Enter | KeyCode::Backspace) => {
                close_overlay(board)
            }
            None => KeyAction::Continue,
        },
    }
}

fn apply_to_board(board: &mut Board, code: KeyCode) -> KeyAction {
    if let Some(rows) = row_offset(code) {
        board.move_selection(rows);
        return KeyAction::Continue;
    }
    match code {
        KeyCode::Char('q') => return KeyAction::Quit,
        KeyCode::Char('s') => board.sort_order = board.sort_order.next(),
        KeyCode::Char('/') => board.is_typing = true,
        KeyCode::Char('?') => board.overlay = Overlay::Help,
        KeyCode::Esc => board.filter.clear(),
        KeyCode::Enter => {
            let selected =
                board.shown().get(board.selected_row()).map(|market| MarketKey::of(market));
            if let Some(key) = selected {
                board.overlay = Overlay::MarketPage(key, None, 0);
                return KeyAction::MarketChanged;
            }
        }
        _ => {}
    }
    KeyAction::Continue
}

fn close_overlay(board: &mut Board) -> KeyAction {
    board.overlay = Overlay::None;
    KeyAction::MarketChanged
}

/// How many rows a key moves: down, or up if negative.
fn row_offset(code: KeyCode) -> Option<isize> {
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

fn edit_filter(board: &mut Board, code: KeyCode) {
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
