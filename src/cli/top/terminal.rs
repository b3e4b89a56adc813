//! The terminal: taken, and given back whatever happens.

use super::super::error::Error;
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

/// Keys that may wait; a person types no faster.
const KEYS_MAX: usize = 64;

/// Only a terminal can be drawn on.
pub(super) fn require() -> Result<(), Error> {
    if stdout().is_terminal() { Ok(()) } else { Err(Error::NoTerminal) }
}

/// The terminal as a whole; given back when dropped, and where the program panics.
pub(super) struct Screen {
    terminal: Terminal<CrosstermBackend<Stdout>>,
    keys: mpsc::Receiver<io::Result<Event>>,
}

impl Screen {
    pub(super) fn take() -> Result<Self, Error> {
        give_back_in_panic();
        let terminal = Terminal::new(CrosstermBackend::new(stdout()))?;
        let screen = Self { terminal, keys: keys() };
        enable_raw_mode()?;
        execute!(stdout(), EnterAlternateScreen)?;
        Ok(screen)
    }

    /// Draws all of it; only what is not as before is sent, and no colours where `NO_COLOR` is set.
    pub(super) fn draw(&mut self, draw: impl FnOnce(&mut Frame<'_>)) -> io::Result<()> {
        self.terminal.draw(draw)?;
        Ok(())
    }

    /// The next key, or another size.
    pub(super) async fn next(&mut self) -> io::Result<Event> {
        let closed = || io::Error::other("the terminal says nothing any more");
        self.keys.recv().await.ok_or_else(closed)?
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        give_back();
    }
}

/// A terminal that is gone needs nothing back.
fn give_back() {
    let _ = disable_raw_mode();
    let _ = execute!(stdout(), LeaveAlternateScreen, Show);
}

/// What a panic says is read on the screen that was there before.
fn give_back_in_panic() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let hook = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            give_back();
            hook(panic);
        }));
    });
}

/// Keys are read by a thread, which ends with the process: a read of a terminal cannot be called off.
fn keys() -> mpsc::Receiver<io::Result<Event>> {
    let (sender, keys) = mpsc::channel(KEYS_MAX);
    std::thread::spawn(move || {
        loop {
            let event = event::read();
            let failed = event.is_err();
            if sender.blocking_send(event).is_err() || failed {
                return;
            }
        }
    });
    keys
}
