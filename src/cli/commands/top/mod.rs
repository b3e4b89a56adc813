//! `top`: a live board in the terminal.
//!
//! ```text
//! WatchMarkets, Subscribe, ListThreats, one market ─► events ─┐
//!                                           terminal ─► keys ─┴─► board ─► draw ─► terminal
//! ```
//!
//! - [`board`]: the state of the board; no I/O
//! - [`keys`]: what keys do to it
//! - [`draw`]: the board as widgets; [`table`]: its markets
//! - [`events`]: follows the servers
//! - [`terminal`]: raw mode and alternate screen

mod board;
mod draw;
mod events;
mod keys;
mod table;
mod terminal;
#[cfg(test)]
mod tests;

use crate::cli::error::Error;
use crate::cli::signals::Signals;
use crate::clock::Clock;
use board::Board;
use clap::Args;
use events::EventSource;
use keys::KeyAction;
use lodewatch_client::Servers;
use std::time::Duration;
use terminal::Screen;
use tokio::time::interval;

/// Redraw interval for the ages of alerts.
const REDRAW_INTERVAL: Duration = Duration::from_secs(1);

#[derive(Debug, Args)]
pub(crate) struct TopArgs {
    /// Destination (buyer) of the markets: a country, a bloc, `all` or `any`. Unless it is `all`,
    /// only its alerts are shown.
    #[arg(long, default_value = "all", value_name = "NAME")]
    destination: String,
}

/// Shows the board until `q`, SIGINT or SIGTERM.
pub(crate) async fn run(servers: Servers, args: &TopArgs) -> Result<(), Error> {
    terminal::require_terminal()?;
    let mut signals = Signals::install()?;
    // An unreachable server is an error now; the streams would retry for ever.
    servers.connect().await?;
    // Only read, never used to stamp an entry.
    let clock = Clock::system(0);
    let mut board = Board::new(servers.to_string(), args.destination.clone());
    let mut events = EventSource::start(&servers, &args.destination);
    let mut screen = Screen::open()?;
    let mut redraw = interval(REDRAW_INTERVAL);
    loop {
        screen.draw(|frame| draw::board(frame, &mut board, clock.now()))?;
        tokio::select! {
            event = events.next() => board.apply(event?),
            key = screen.next() => match keys::apply(&mut board, &key?) {
                KeyAction::Continue => {}
                KeyAction::MarketChanged => events.request_market(board.open_market()),
                KeyAction::Quit => return Ok(()),
            },
            _ = redraw.tick() => {}
            _ = signals.next() => return Ok(()),
        }
        // Events that have arrived meanwhile share the next frame.
        while let Some(event) = events.try_next() {
            board.apply(event?);
        }
    }
}
