//! Feed sync: a publisher that reads files and addresses again and again, and publishes their
//! changes.
//!
//! ```text
//! file, folder ─ check twice ─┐                        ┌─ unchanged: nothing
//!                             ├─ bytes ─ digest known? ┤
//! http, https ─ GET, ETag ────┘                        └─ Format ─ updates ─Publish→ server
//!                                                                     └─ checkpoint before and after
//! ```
//!
//! Before the first batch of a content is sent, its key is saved in the state file; the ids of its
//! batches are made of that key. So even if the process crashes, the next attempt gets the same
//! answers, and no batch is applied twice. After the last batch the digest of the content is saved,
//! and the same content is not published again.
//!
//! A file states facts, not events. What a newer content no longer names stays in the record, and
//! so does all that a deleted file stated. Sources are independent: a failure of one does not delay
//! the others.
//!
//! - [`Format`]: bytes → updates
//! - `follow`: one source, read again and again · `file`: reading files
//! - `publishing`: a content → the server · `send`: its batches, and the revisions of its threats
//! - [`Checkpoints`]: how far each source is · `checkpoint_file`: the state file

mod checkpoint_file;
mod checkpoints;
mod file;
mod follow;
mod format;
mod publishing;
mod send;

pub use checkpoint_file::read as read_checkpoints;
pub use checkpoints::{Checkpoint, Checkpoints, Sources};
pub use format::{FileContent, Format, ImportSummary, parse_json_lines};
pub use send::{BATCH_UPDATES, Outcomes, number_revisions, numbers};

use crate::clock::Clock;
use crate::config::Feed;
use crate::metrics;
use follow::Follower;
use lodewatch_client::Servers;
use lodewatch_client::StateFileError;
use lodewatch_core::domain::{Slug, Timestamp};
use publishing::Publishing;
use std::path::PathBuf;
use std::sync::Arc;
use tokio::task::JoinSet;

/// Feed sync cannot go on.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error(transparent)]
    StateFile(#[from] StateFileError),
    #[error("cannot read the mapping {}", path.display())]
    ReadMapping { path: PathBuf, source: std::io::Error },
    #[error("cannot use the mapping {}", path.display())]
    InvalidMapping { path: PathBuf, source: lodewatch_importers::Error },
    #[error("cannot read the certificate authorities of the system")]
    Authorities(#[source] std::io::Error),
    /// After one round, this many feeds are not in sync, of this many.
    #[error("{0} of {1} feeds are not in sync; the log and --status say why")]
    NotInSync(usize, usize),
}

/// How often sources are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rounds {
    /// Once; a failure is reported and not retried.
    One,
    /// Until the process ends; a failure that may pass is retried.
    Endless,
}

/// Keeps feeds in sync.
///
/// # Errors
///
/// Where the state cannot be saved; after one round, also where a feed is not in sync.
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
        metrics.add_feed(
            feed.name.as_str(),
            feed.interval,
            published_at.map_or(0, Timestamp::millis),
        );
        let publishing =
            Publishing::new(&feed, servers, clock.clone(), checkpoints, rounds, metrics.clone())?;
        Follower::new(feed, publishing)
    };
    // Every mapping is read before the first source.
    let ready = feeds.into_iter().map(follower).collect::<Result<Vec<_>, Error>>()?;
    if rounds == Rounds::Endless {
        tracing::info!(feeds = ready.len(), "keeping feeds in sync");
    }
    let mut followers: JoinSet<_> =
        ready.into_iter().map(|follower| follower.run(rounds)).collect();
    while let Some(ended) = followers.join_next().await {
        ended.expect("no follower panics or is cancelled")?;
    }
    match names.iter().filter(|name| checkpoints.count_failures(name) > 0).count() {
        0 => Ok(()),
        count => Err(Error::NotInSync(count, names.len())),
    }
}
