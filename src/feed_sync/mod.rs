//! Files and addresses kept in sync with a server: a publisher that looks again and again, and publishes what has changed.
//!
//! ```text
//! file, folder ─ look twice ─┐                        ┌─ unchanged: nothing
//!                            ├─ bytes ─ digest known? ┤
//! http, https ─ GET, ETag ───┘                        └─ Format ─ updates ─Publish→ server
//!                                                                   └─ key before, content after ─→ its state file
//! ```
//!
//! Before anything of a content is sent, the key under which it is sent is kept; the ids of its batches are made of that key. So
//! whatever dies on the way, the next try gets the same answers, and nothing is applied twice. After it, the content is kept by its
//! digest, and the same content publishes nothing.
//!
//! A source says what is so, not what happened: what a newer content no longer names stays as it is, and so does all that a file
//! said that is gone. Each source goes its own way; one that is in trouble holds up no other.
//!
//! - [`Format`]: how bytes become updates · [`revisions`]: which revision a threat of a list is
//! - `follow`: one source, looked at for as long as it runs · `file`: looking at files
//! - `publishing`: what a source says, made the server's · `send`: one content
//! - [`Checkpoints`]: what is known of each source

mod checkpoints;
mod file;
mod follow;
mod format;
mod outcomes;
mod publishing;
pub mod revisions;
mod send;

pub use checkpoints::{Checkpoints, Entry, Sources};
pub use file::BYTES_MAX;
pub use format::{Format, ImportSummary, Read, json_lines};
pub use outcomes::Outcomes;
pub use send::{BATCH, numbers};

use crate::clock::Clock;
use crate::config::Feed;
use crate::domain::{Slug, Timestamp};
use crate::metrics;
use follow::Follower;
use lodewatch_client::Servers;
use lodewatch_client::StateFileError;
use publishing::Publishing;
use std::path::PathBuf;
use std::sync::Arc;
use tokio::task::JoinSet;

/// Why nothing more is published.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// What is known of the sources cannot be kept.
    #[error(transparent)]
    StateFile(#[from] StateFileError),
    /// A mapping cannot be read.
    #[error("{} cannot be read", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A mapping cannot be used.
    #[error("{} cannot be used", path.display())]
    Mapping {
        /// Which.
        path: PathBuf,
        /// Why.
        source: lodewatch_importers::Error,
    },
    /// No encrypted connection can be made.
    #[error("the system's authorities cannot be read")]
    Authorities(#[source] std::io::Error),
    /// After one round, not everything is in sync.
    #[error("{0} of {1} feeds are not in sync")]
    Trouble(usize, usize),
}

/// Whether to go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rounds {
    /// Until every source was looked at once; what does not work is told and not tried again.
    One,
    /// For as long as the process lives; what may work later is tried until it does.
    Endless,
}

/// Keeps feeds in sync.
///
/// # Errors
///
/// Where the state cannot be saved; after one round, also where anything is not in sync.
pub async fn run(
    servers: Servers,
    clock: &Clock,
    feeds: Vec<Feed>,
    checkpoints: Checkpoints,
    rounds: Rounds,
    metrics: &metrics::FeedMetrics,
) -> Result<(), Error> {
    let checkpoints = Arc::new(checkpoints);
    let names: Vec<Slug> = feeds.iter().map(|feed| feed.name.clone()).collect();
    let follower = |feed: Feed| {
        let (servers, checkpoints) = (servers.clone(), Arc::clone(&checkpoints));
        let published_at = checkpoints.published_at(&feed.name);
        metrics.add_feed(feed.name.as_str(), feed.every, published_at.map_or(0, Timestamp::millis));
        let publishing =
            Publishing::new(&feed, servers, clock.clone(), checkpoints, rounds, metrics.clone())?;
        Follower::new(feed, publishing)
    };
    // All of them before the first begins.
    let ready = feeds.into_iter().map(follower).collect::<Result<Vec<_>, Error>>()?;
    if rounds == Rounds::Endless {
        tracing::info!(feeds = ready.len(), "keeping feeds in sync");
    }
    let mut followers: JoinSet<_> =
        ready.into_iter().map(|follower| follower.run(rounds)).collect();
    while let Some(ended) = followers.join_next().await {
        ended.expect("no follower panics or is cancelled")?;
    }
    match names.iter().filter(|name| checkpoints.troubles(name) > 0).count() {
        0 => Ok(()),
        troubled => Err(Error::Trouble(troubled, names.len())),
    }
}
