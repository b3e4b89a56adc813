//! `feed`: keep files, folders and addresses in sync with a server.

use crate::cli::error::Error;
use crate::cli::output::print::{self, OutputFormat};
use crate::cli::signals::Signals;
use crate::clock::Clock;
use crate::config::{self, Feed};
use crate::feed_sync::{self, Checkpoint, Checkpoints, Format, Rounds, Sources};
use crate::{metrics, server};
use clap::Args;
use futures_util::future::OptionFuture;
use lodewatch_client::Servers;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::fmt::Write;
use std::net::SocketAddr;
use std::path::PathBuf;

const EXAMPLE: &str =
    concat!("Example of a feeds file:\n\n", include_str!("../../../deploy/feeds.toml"));

#[derive(Debug, Args)]
#[command(after_long_help = EXAMPLE)]
pub(crate) struct FeedArgs {
    /// Feeds file, in TOML; `lodewatch feed --help` ends with an example.
    file: PathBuf,
    /// State file: records what was published. For this process only; created if missing. Its
    /// directory must be writable.
    #[arg(long, value_name = "FILE", required_unless_present = "check")]
    state: Option<PathBuf>,
    /// Address to serve Prometheus metrics on without TLS, such as `127.0.0.1:9465`; port 0 lets
    /// the system choose one.
    #[arg(long, value_name = "HOST:PORT", conflicts_with = "once")]
    metrics_listen: Option<SocketAddr>,
    /// Sync once, then exit; exit code 1 if a feed is not in sync.
    #[arg(long)]
    once: bool,
    /// Print the status of each feed from the state file, then exit; exit code 1 if a feed is not
    /// in sync.
    #[arg(long, conflicts_with_all = ["once", "metrics_listen"])]
    status: bool,
    /// Check the feeds file and the mappings that it names, then exit.
    #[arg(long, conflicts_with_all = ["state", "once", "status", "metrics_listen"])]
    check: bool,
}

/// Runs until a signal, which is not a failure.
pub(crate) async fn run(
    servers: Servers,
    format: OutputFormat,
    args: FeedArgs,
) -> Result<(), Error> {
    let FeedArgs { file, state, metrics_listen, once, status, check } = args;
    let feeds = config::feeds(&file)?;
    let Some(state) = state.filter(|_| !check) else {
        feeds.iter().try_for_each(|feed| Format::open(&feed.format).map(|_| ()))?;
        let count = feeds.len();
        return Ok(print::line(&format!("{}: no problems, {count} feeds", file.display()))?);
    };
    if status {
        let sources = feed_sync::read_checkpoints(state).map_err(feed_sync::Error::StateFile)?;
        return print_status(format, &feeds, sources);
    }
    let names = feeds.iter().map(|feed| &feed.name);
    let checkpoints = Checkpoints::open(state, names).map_err(feed_sync::Error::StateFile)?;
    // Only read, never used to stamp an entry.
    let clock = Clock::system(0);
    let rounds = if once { Rounds::One } else { Rounds::Endless };
    let metrics = metrics::FeedMetrics::default();
    let metrics_server = match metrics_listen {
        Some(address) => {
            let shared = metrics.clone();
            let page = metrics::page(move || shared.text());
            Some(server::serve_alone("--metrics-listen", address, page).await?)
        }
        None => None,
    };
    let mut signals = Signals::install()?;
    tokio::select! {
        ended = feed_sync::run(servers, &clock, feeds, checkpoints, rounds, &metrics) => Ok(ended?),
        Some(()) = OptionFuture::from(metrics_server) => {
            unreachable!("metrics are served for as long as the process lives")
        }
        _ = signals.next() => Ok(()),
    }
}

/// The status of a file or address, or of one file of a folder.
struct FileStatus {
    feed: String,
    file: String,
    entry: Checkpoint,
}

/// Prints the status of every file; an error if one is not in sync.
fn print_status(format: OutputFormat, feeds: &[Feed], mut sources: Sources) -> Result<(), Error> {
    let mut statuses = Vec::new();
    for Feed { name, .. } in feeds {
        let entries = sources.remove(name.as_str()).unwrap_or_default();
        let feed = name.to_string();
        if entries.is_empty() {
            let (file, entry) = (String::new(), Checkpoint::default());
            statuses.push(FileStatus { feed, file, entry });
            continue;
        }
        let status = |(file, entry)| FileStatus { feed: feed.clone(), file, entry };
        statuses.extend(entries.into_iter().map(status));
    }
    match format {
        OutputFormat::Json => {
            for status in &statuses {
                print::json_line(&to_json(status).to_string())?;
            }
        }
        OutputFormat::Table | OutputFormat::Csv => print::line(&to_table(&statuses))?,
    }
    let failed = statuses.iter().filter(|status| status.entry.failure.is_some());
    let failed: BTreeSet<&str> = failed.map(|status| status.feed.as_str()).collect();
    match failed.len() {
        0 => Ok(()),
        count => Err(feed_sync::Error::NotInSync(count, feeds.len()).into()),
    }
}

/// `published` is `null` if nothing was published yet, `problem` if there is none.
fn to_json(FileStatus { feed, file, entry }: &FileStatus) -> Value {
    let published = entry.published.as_ref().map(|published| {
        json!({
            "at": published.at_ms.to_string(),
            "imported": published.imported,
            "skipped": published.skipped,
            "outcomes": published.outcomes,
        })
    });
    let problem = entry.failure.as_ref();
    let problem = problem.map(|one| json!({ "since": one.since_ms.to_string(), "cause": one.why }));
    json!({ "feed": feed, "file": file, "published": published, "problem": problem })
}

/// One line per file, then every problem in full.
fn to_table(statuses: &[FileStatus]) -> String {
    let headings = ["feed", "file", "published", "imported", "skipped", "outcomes", "status"];
    let mut table = print::table(&headings);
    let mut problems = String::new();
    for FileStatus { feed, file, entry } in statuses {
        let mut row = vec![feed.clone(), file.clone()];
        row.extend(match &entry.published {
            Some(published) => [
                published.at_ms.to_string(),
                published.imported.clone(),
                published.skipped.to_string(),
                published.outcomes.to_string(),
            ],
            None => ["never", "", "", ""].map(str::to_owned),
        });
        row.push(entry.failure.as_ref().map_or("", |_| "NOT IN SYNC").to_owned());
        table.add_row(row);
        if let Some(problem) = &entry.failure {
            let name = if file.is_empty() { feed.clone() } else { format!("{feed}, {file}") };
            // Writing to a string cannot fail.
            let _ = write!(problems, "\n{name}: since {}: {}", problem.since_ms, problem.why);
        }
    }
    format!("{table}{problems}")
}
