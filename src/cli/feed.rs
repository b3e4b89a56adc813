//! `feed`: files, folders and addresses kept in sync with a server.

use super::arguments::Output;
use super::error::Error;
use super::signals::Signals;
use super::{output, standings};
use crate::clock::Clock;
use crate::config;
use crate::feed_sync::{self, Checkpoints, Format, Rounds};
use crate::{metrics, server};
use clap::Args;
use futures_util::future::OptionFuture;
use lodewatch_client::Servers;
use lodewatch_client::StateFile;
use std::net::SocketAddr;
use std::path::PathBuf;

const FILE: &str = concat!("A file of feeds:\n\n", include_str!("../../deploy/feeds.toml"));

/// Arguments of `feed`.
#[derive(Debug, Args)]
#[command(after_long_help = FILE)]
pub struct Feed {
    /// The file of feeds, in TOML; at the end of `lodewatch feed --help` there is one.
    pub file: PathBuf,
    /// The file that keeps what was published, of this process alone; made where it does not exist. Its directory must be writable.
    #[arg(long, value_name = "FILE", required_unless_present = "check")]
    pub state: Option<PathBuf>,
    /// Where Prometheus gets metrics, in the clear, such as `127.0.0.1:9465`; port 0 lets the system choose.
    #[arg(long, value_name = "HOST:PORT", conflicts_with = "once")]
    pub metrics_listen: Option<SocketAddr>,
    /// Look at everything once, and end: exit code 1 where not everything is in sync.
    #[arg(long)]
    pub once: bool,
    /// Print how each source stands, from the file of the state, and end: exit code 1 where not everything is in sync.
    #[arg(long, conflicts_with_all = ["once", "metrics_listen"])]
    pub status: bool,
    /// Read the file of feeds and the mappings that it names, say what is wrong with them, and end.
    #[arg(long, conflicts_with_all = ["state", "once", "status", "metrics_listen"])]
    pub check: bool,
}

/// Keeps feeds in sync until something ends it; SIGINT and SIGTERM are no failure.
pub(super) async fn run(servers: Servers, output: Output, arguments: Feed) -> Result<(), Error> {
    let Feed { file, state, metrics_listen, once, status, check } = arguments;
    let feeds = config::feeds(&file)?;
    let Some(state) = state.filter(|_| !check) else {
        feeds.iter().try_for_each(|feed| Format::open(&feed.format).map(|_| ()))?;
        return Ok(output::line(&format!(
            "{}: no problems, {} feeds",
            file.display(),
            feeds.len()
        ))?);
    };
    let state_file = StateFile::new(state);
    if status {
        return standings::print(
            output,
            &feeds,
            state_file.load().map_err(feed_sync::Error::StateFile)?,
        );
    }
    let names = feeds.iter().map(|feed| &feed.name);
    let checkpoints = Checkpoints::open(state_file, names).map_err(feed_sync::Error::StateFile)?;
    // It is read, and stamps nothing.
    let clock = Clock::system(0);
    let rounds = if once { Rounds::One } else { Rounds::Endless };
    let metrics = metrics::FeedMetrics::default();
    let page = match metrics_listen {
        Some(address) => {
            let counted = metrics.clone();
            let page = metrics::page(move || counted.text());
            Some(server::serve_alone("--metrics-listen", address, page).await?)
        }
        None => None,
    };
    let mut signals = Signals::hear()?;
    tokio::select! {
        ended = feed_sync::run(servers, &clock, feeds, checkpoints, rounds, &metrics) => Ok(ended?),
        Some(()) = OptionFuture::from(page) => unreachable!("a page is served for as long as the process lives"),
        _ = signals.next() => Ok(()),
    }
}
