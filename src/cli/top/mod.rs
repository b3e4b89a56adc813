//! `top`: a live board in the terminal.
//!
//! ```text
//! WatchMarkets, Subscribe, ListThreats, one market ─ feed ─► news ─┐
//!                                              terminal ─► keys ───┴─► board ─ draw ─► terminal
//! ```
//!
//! - [`board`]: what is known and chosen; no I/O
//! - [`keys`]: what keys do to it
//! - [`draw`]: the board as widgets; [`table`]: its markets
//! - [`feed`]: what tells it the news
//! - [`terminal`]: the terminal, taken and given back

mod board;
mod draw;
mod feed;
mod keys;
mod table;
mod terminal;
#[cfg(test)]
mod tests;

use super::error::Error;
use super::signals::Signals;
use crate::clock::Clock;
use board::Board;
use clap::Args;
use feed::Feed;
use keys::Next;
use lodewatch_client::Servers;
use std::time::Duration;
use terminal::Screen;
use tokio::time::interval;

/// How often what tells the time is drawn anew where nothing else happens.
const TICK: Duration = Duration::from_secs(1);

/// Arguments of `top`.
#[derive(Debug, Args)]
pub struct Top {
    /// For whom markets are shown: a country, a bloc, `all` or `any`; other than `all`, also whose alerts.
    #[arg(long, default_value = "all", value_name = "NAME")]
    pub destination: String,
}

/// Shows the board until `q`, SIGINT or SIGTERM.
pub(super) async fn run(servers: Servers, arguments: &Top) -> Result<(), Error> {
    terminal::require()?;
    let mut signals = Signals::hear()?;
    // Says at once when nobody is there; once it runs, it waits for somebody.
    servers.connect().await?;
    // It is read, and stamps nothing.
    let clock = Clock::system(0);
    let mut board = Board::new(servers.to_string(), arguments.destination.clone());
    let mut feed = Feed::start(&servers, &arguments.destination);
    let mut screen = Screen::take()?;
    let mut tick = interval(TICK);
    loop {
        screen.draw(|frame| draw::board(frame, &mut board, clock.now()))?;
        tokio::select! {
            news = feed.next() => board.hear(news?),
            event = screen.next() => match keys::apply(&mut board, &event?) {
                Next::GoOn => {}
                Next::Ask => feed.ask(board.report_of()),
                Next::Quit => return Ok(()),
            },
            _ = tick.tick() => {}
            _ = signals.next() => return Ok(()),
        }
        // What came meanwhile is drawn at once.
        while let Some(news) = feed.ready() {
            board.hear(news?);
        }
    }
}
