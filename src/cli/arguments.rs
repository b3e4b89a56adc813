//! What can be typed.

use clap::{Args, Parser, Subcommand, ValueEnum};
use std::path::PathBuf;

/// Alerts the moment the supply of a critical mineral becomes too concentrated.
#[derive(Debug, Parser)]
#[command(version, about, propagate_version = true)]
pub struct Arguments {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
    /// The server to talk to.
    #[arg(long, global = true, default_value = "127.0.0.1:50061", value_name = "HOST:PORT")]
    pub address: String,
    /// How to print: tables for people, or protobuf's JSON mapping, one object a line.
    #[arg(long, global = true, value_enum, default_value_t = Output::Table)]
    pub output: Output,
}

/// How to print.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Output {
    /// For people.
    Table,
    /// One JSON object a line.
    Json,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run a server.
    Serve(Serve),
    /// Publish updates from a file of JSON lines, one `lodewatch.v1.Update` each.
    Publish(Publish),
    /// Print alerts as they come; resumes by itself when the connection is lost.
    Watch(Watch),
    /// List markets: who supplies, and how concentrated it is.
    Markets(Markets),
    /// List threats and where they stand.
    Threats(Threats),
    /// List alerts of the past, or those open now.
    Alerts(Alerts),
    /// Read public files and publish what they say.
    Import(Import),
    /// Read a configuration and say what it means, or all that is wrong with it.
    CheckConfig {
        /// The file.
        file: PathBuf,
    },
    /// Four years of export controls in some seconds, on a server of its own.
    Demo(Demo),
}

/// Flags of `serve`; they win over the file and the environment.
#[derive(Debug, Args)]
pub struct Serve {
    /// The configuration; see `deploy/lodewatch.toml` for every setting.
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Where journal and archive are kept.
    #[arg(long, value_name = "DIR")]
    pub data_dir: Option<PathBuf>,
    /// Where to listen; port 0 lets the system choose.
    #[arg(long, value_name = "ADDRESS")]
    pub listen: Option<String>,
}

/// Arguments of `publish`.
#[derive(Debug, Args)]
pub struct Publish {
    /// JSON lines; `-` reads standard input.
    pub file: PathBuf,
    /// The name under which to publish.
    #[arg(long, default_value = "cli")]
    pub feed: String,
    /// Updates in one batch, 1 to 1,000; a batch is applied as a whole or not at all.
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u16).range(1..=1000))]
    pub batch: u16,
    /// Mark it as a drill.
    #[arg(long)]
    pub exercise: bool,
}

/// Which alerts.
#[derive(Debug, Args)]
pub struct Filter {
    /// Minerals or groups.
    #[arg(long, value_name = "NAME")]
    pub mineral: Vec<String>,
    /// Stages: mining, refining.
    #[arg(long, value_name = "STAGE")]
    pub stage: Vec<String>,
    /// Countries that lead, or impose a measure.
    #[arg(long, value_name = "COUNTRY")]
    pub country: Vec<String>,
    /// Destinations as the rules name them.
    #[arg(long, value_name = "NAME")]
    pub destination: Vec<String>,
    /// Rules.
    #[arg(long, value_name = "NAME")]
    pub rule: Vec<String>,
    /// The least level: watch, warning, critical.
    #[arg(long, value_name = "LEVEL")]
    pub min_level: Option<String>,
    /// Kinds: raised, escalated, deescalated, cleared.
    #[arg(long, value_name = "KIND")]
    pub kind: Vec<String>,
    /// Drills as well.
    #[arg(long)]
    pub drills: bool,
}

/// Arguments of `watch`.
#[derive(Debug, Args)]
pub struct Watch {
    /// Which alerts.
    #[command(flatten)]
    pub filter: Filter,
    /// Where to start: `snapshot` (what is open now, then live), `head`, `oldest`, or a cursor.
    #[arg(long, default_value = "snapshot", value_name = "START")]
    pub from: String,
}

/// Arguments of `markets`.
#[derive(Debug, Args)]
pub struct Markets {
    /// Minerals or groups.
    pub mineral: Vec<String>,
    /// Stages: mining, refining.
    #[arg(long, value_name = "STAGE")]
    pub stage: Vec<String>,
    /// For whom: a country, a bloc, `all` or `any`.
    #[arg(long, default_value = "all", value_name = "NAME")]
    pub destination: String,
}

/// Arguments of `threats`.
#[derive(Debug, Args)]
pub struct Threats {
    /// Minerals or groups.
    pub mineral: Vec<String>,
    /// Imposing countries.
    #[arg(long, value_name = "COUNTRY")]
    pub imposing: Vec<String>,
    /// Statuses, such as `announced`, `in_force` or `suspended`.
    #[arg(long, value_name = "STATUS")]
    pub status: Vec<String>,
}

/// Arguments of `alerts`.
#[derive(Debug, Args)]
pub struct Alerts {
    /// Which alerts.
    #[command(flatten)]
    pub filter: Filter,
    /// Only the latest alert of what is open now.
    #[arg(long)]
    pub open: bool,
    /// Only the alerts of one episode.
    #[arg(long, default_value_t = 0, hide_default_value = true)]
    pub episode: u64,
    /// Earliest first.
    #[arg(long)]
    pub oldest_first: bool,
    /// How many at most.
    #[arg(long, default_value_t = 100)]
    pub limit: usize,
}

/// Arguments of `import`.
#[derive(Debug, Args)]
pub struct Import {
    /// Which kind of file.
    #[arg(value_enum)]
    pub kind: ImportKind,
    /// The file.
    pub file: PathBuf,
    /// The name under which to publish; the kind of the file where not given.
    #[arg(long)]
    pub feed: Option<String>,
    /// Print what would be published as JSON lines, and publish nothing.
    #[arg(long)]
    pub dry_run: bool,
}

/// Kinds of files.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ImportKind {
    /// A data release of the USGS Mineral Commodity Summaries, 2025 or 2026.
    Usgs,
    /// A list of export-control measures with their dates.
    Events,
}

/// Arguments of `demo`.
#[derive(Debug, Args)]
pub struct Demo {
    /// Leave the journal here, to look at afterwards with `lodewatch serve --data-dir DIR`.
    #[arg(long, value_name = "DIR")]
    pub keep: Option<PathBuf>,
}
