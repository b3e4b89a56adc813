//! The terminal: raw mode and alternate screen, restored however the program ends.

use crate::cli::error::Error;
use ratatui::backend::CrosstermBackend;
use ratatui::crossterm::cursor::Show;
use ratatui::crossterm::event::{self, Event};
use ratatui::crossterm::execute;
use ratatui::crossterm::terminal::{
    EnterAlternateScreen, LeaveAlternateScreen, disable_raw_mode, enable_raw_mode,
};
use ratatui::{Frame, Terminal};
use std::io::{self, IsTerminal, Stdout, stdout};
use std::sync::Once;
use tokio::sync::mpsc;

/// Buffered key events; a person types no faster.
const KEYS_MAX: usize = 64;

pub(super) fn require_terminal() -> Result<(), Error> {
    if stdout().is_terminal() { Ok(()) } else { Err(Error::NoTerminal) }
}

/// The whole terminal; restored when dropped and on a panic.
pub(super) struct Screen {
    terminal: Terminal<CrosstermBackend<Stdout>>,
    events_rx: mpsc::Receiver<io::Result<Event>>,
}

impl Screen {
    pub(super) fn open() -> Result<Self, Error> {
        restore_on_panic();
        let terminal = Terminal::new(CrosstermBackend::new(stdout()))?;
        let screen = Self { terminal, events_rx: spawn_reader() };
        enable_raw_mode()?;
        execute!(stdout(), EnterAlternateScreen)?;
        Ok(screen)
    }

    /// Draws a frame: writes the cells that changed, without colours if `NO_COLOR` is set.
    pub(super) fn draw(&mut self, draw: impl FnOnce(&mut Frame<'_>)) -> io::Result<()> {
        self.terminal.draw(draw)?;
        Ok(())
    }

    /// The next key or size. Cancel safe.
    pub(super) async fn next(&mut self) -> io::Result<Event> {
        let closed = || io::Error::other("the terminal is closed");
        self.events_rx.recv().await.ok_or_else(closed)?
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        restore();
    }
}

/// Errors are ignored: a closed terminal needs no restoring.
fn restore() {
    let _ = disable_raw_mode();
    let _ = execute!(stdout(), LeaveAlternateScreen, Show);
}

/// The panic message must appear on the main screen.
fn restore_on_panic() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let hook = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            restore();
            hook(panic);
        }));
    });
}

/// Reads keys on a thread that ends with the process: a read of a terminal cannot be cancelled.
fn spawn_reader() -> mpsc::Receiver<io::Result<Event>> {
    let (events_tx, events_rx) = mpsc::channel(KEYS_MAX);
    std::thread::spawn(move || {
        loop {
            let event = event::read();
            let has_failed = event.is_err();
            if events_tx.blocking_send(event).is_err() || has_failed {
                return;
            }
        }
    });
    events_rx
}
