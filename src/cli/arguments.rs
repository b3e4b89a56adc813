//! What can be typed.

use super::columns::{self, MarketRow};
use super::feed::Feed;
use super::forward::Forward;
use super::journal::Journal;
use super::market::OneMarket;
use super::top::Top;
use crate::config::{self, Config, Flags};
use crate::grpc::pb::{Alert, Market, ThreatRecord};
use clap::{Args, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;
use std::path::PathBuf;

/// Alerts the moment the supply of a critical mineral becomes too concentrated.
#[derive(Debug, Parser)]
#[command(version, about, propagate_version = true)]
pub struct Arguments {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
    /// The server to talk to; several with commas between, or given one by one, stand in for each other.
    #[arg(
        long,
        global = true,
        default_value = "127.0.0.1:50061",
        value_name = "HOST:PORT",
        value_delimiter = ','
    )]
    pub address: Vec<String>,
    /// As whom to talk to it.
    #[command(flatten)]
    pub credentials: Credentials,
    /// How to print: tables for people, protobuf's JSON mapping, one object a line, or CSV with one row of headings.
    #[arg(long, global = true, value_enum, default_value_t = Output::Table)]
    pub output: Output,
}

/// As whom to talk to a server, and whom to trust. A token is taken from the file or else from `LODEWATCH_TOKEN`.
#[derive(Debug, Args)]
pub struct Credentials {
    /// A file with a bearer token; without it, the token in `LODEWATCH_TOKEN`, if any.
    #[arg(long, global = true, value_name = "FILE")]
    pub token_file: Option<PathBuf>,
    /// The authorities to trust, in PEM; without it, those of the system.
    #[arg(long, global = true, value_name = "FILE")]
    pub ca: Option<PathBuf>,
    /// Our own certificate, in PEM.
    #[arg(long, global = true, value_name = "FILE", requires = "key")]
    pub cert: Option<PathBuf>,
    /// Its private key, in PEM.
    #[arg(long, global = true, value_name = "FILE", requires = "cert")]
    pub key: Option<PathBuf>,
}

/// How to print.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Output {
    /// For people.
    Table,
    /// One JSON object a line.
    Json,
    /// Comma-separated values, of what is a list: `help COMMAND` names the columns.
    Csv,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run a server.
    Serve(Serve),
    /// Publish updates from a file of JSON lines, one `lodewatch.v1.Update` each.
    Publish(Publish),
    /// Print alerts as they come; resumes by itself when the connection is lost.
    #[command(after_long_help = columns::help::<Alert>())]
    Watch(Watch),
    /// Markets, alerts and threats as they stand, live in the terminal.
    Top(Top),
    /// Hand alerts on to Alertmanager or to a webhook, for as long as it runs; goes on where it stopped.
    Forward(Forward),
    /// List markets: who supplies, and how concentrated it is.
    #[command(after_long_help = columns::help::<Market>())]
    Markets(Markets),
    /// One market: its suppliers, how it stands with the rules, the measures that bear on it and its latest alerts.
    #[command(after_long_help = columns::help::<MarketRow>())]
    Market(OneMarket),
    /// List threats and where they stand.
    #[command(after_long_help = columns::help::<ThreatRecord>())]
    Threats(Threats),
    /// List alerts of the past, or those open now.
    #[command(after_long_help = columns::help::<Alert>())]
    Alerts(Alerts),
    /// What would happen if: markets before and after, and the alerts that would be sent. Touches nothing.
    Simulate(Simulate),
    /// What other rules would have told since the journal began. Touches nothing.
    #[command(after_long_help = columns::help::<Alert>())]
    Backtest(Backtest),
    /// Read files of others and publish what they say.
    ///
    /// The same file twice changes nothing. A measure that a newer list tells otherwise gets its next revision; what a newer
    /// file no longer names stays as it is.
    Import(Import),
    /// Keep files, folders and addresses in sync with a server, for as long as it runs: what has changed is published.
    Feed(Feed),
    /// Ask a server whether it is ready: exit code 0 where it is, 1 where it is not or nobody answers.
    Health(Health),
    /// Read a configuration and say what it means, or all that is wrong with it.
    CheckConfig {
        /// The file.
        file: PathBuf,
    },
    /// Verify, back up, salvage, export and replay a journal, without a server.
    Journal(Journal),
    /// Begin a new replica with what another has, so that it need not read years of journal
    Archive(Archive),
    /// Make bearer tokens.
    Token {
        /// What to do.
        #[command(subcommand)]
        command: TokenCommand,
    },
    /// Print what a shell needs to complete commands and options.
    Completions {
        /// Which shell.
        shell: Shell,
    },
    /// Print the manual page, or write one for every command into a folder.
    Man {
        /// The folder; made where it does not exist.
        dir: Option<PathBuf>,
    },
    /// Print what this program was built of, as a `CycloneDX` bill of materials.
    Sbom,
    /// Four years of export controls in some seconds, on a server of its own.
    Demo(Demo),
}

impl Command {
    /// Whether it lists what has rows and columns.
    pub(super) fn prints_rows(&self) -> bool {
        match self {
            Self::Watch(_)
            | Self::Market(_)
            | Self::Threats(_)
            | Self::Backtest(_)
            | Self::Demo(_) => true,
            Self::Markets(markets) => markets.diff.is_none(),
            Self::Alerts(alerts) => alerts.show.is_none(),
            Self::Journal(journal) => journal.command.prints_rows(),
            Self::Serve(_)
            | Self::Publish(_)
            | Self::Top(_)
            | Self::Forward(_)
            | Self::Simulate(_)
            | Self::Import(_)
            | Self::Feed(_)
            | Self::Health(_)
            | Self::CheckConfig { .. }
            | Self::Archive(_)
            | Self::Token { .. }
            | Self::Completions { .. }
            | Self::Man { .. }
            | Self::Sbom => false,
        }
    }
}

/// What can be done with tokens.
#[derive(Debug, Subcommand)]
pub enum TokenCommand {
    /// Print a new token on standard output, this once, and its entry for the file of identities on standard error:
    /// `lodewatch token new alice --role subscriber >alice.token 2>>identities.toml`.
    New(NewToken),
}

/// Arguments of `token new`.
#[derive(Debug, Args)]
pub struct NewToken {
    /// The name of its owner, in the journal and the log.
    pub name: String,
    /// What it may do: subscriber, publisher, operator.
    #[arg(long, required = true, value_name = "ROLE")]
    pub role: Vec<String>,
    /// For a publisher: the feeds it may publish for.
    #[arg(long, value_name = "NAME")]
    pub feed: Vec<String>,
    /// For a publisher: the minerals it may publish about; any where not given.
    #[arg(long, value_name = "NAME")]
    pub mineral: Vec<String>,
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
    /// Kinds: raised, escalated, deescalated, cleared, notice, indeterminate, stale, flapping.
    #[arg(long, value_name = "KIND")]
    pub kind: Vec<String>,
    /// Drills as well.
    #[arg(long)]
    pub exercises: bool,
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
    /// Why, below each alert: before and after, threshold, cause, measures that count, source.
    #[arg(long, short)]
    pub verbose: bool,
    /// When it was, instead of how long ago; always so where the output is no terminal.
    #[arg(long)]
    pub absolute: bool,
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
    /// As of the end of a day, such as 2024-12-04, or of a cursor, by what the journal knew then.
    #[arg(long, value_name = "WHEN")]
    pub as_of: Option<String>,
    /// Only what is not the same then: at the end of a day, at a cursor, or `now`. Values go from --as-of to there.
    #[arg(long, value_name = "WHEN")]
    pub diff: Option<String>,
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
#[command(args_conflicts_with_subcommands = true)]
pub struct Alerts {
    /// One alert alone.
    #[command(subcommand)]
    pub show: Option<Show>,
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

/// One alert alone.
#[derive(Debug, Subcommand)]
pub enum Show {
    /// Show one alert with its cause and its arithmetic.
    Show {
        /// Its sequence.
        sequence: u64,
    },
}

/// Arguments of `simulate`.
#[derive(Debug, Args)]
pub struct Simulate {
    /// Hypothetical updates as JSON lines, as `publish` takes them; `-` reads standard input.
    pub file: Option<PathBuf>,
    /// Settings with the policy that would be in force.
    #[arg(long, value_name = "FILE")]
    pub policy: Option<PathBuf>,
    /// The day through which time would pass, such as 2026-12-31.
    #[arg(long, value_name = "DAY")]
    pub until: Option<String>,
    /// For whom markets are shown: a country, a bloc, `all` or `any`.
    #[arg(long = "for", default_value = "all", value_name = "NAME")]
    pub market_destination: String,
    /// Which alerts.
    #[command(flatten)]
    pub filter: Filter,
}

/// Arguments of `backtest`.
#[derive(Debug, Args)]
pub struct Backtest {
    /// Settings with the policy.
    pub policy: PathBuf,
    /// Which alerts.
    #[command(flatten)]
    pub filter: Filter,
}

/// Arguments of `import`.
#[derive(Debug, Args)]
pub struct Import {
    /// Which kind of file.
    #[command(subcommand)]
    pub file: ImportFile,
    /// The name under which to publish; the kind of the file where not given.
    #[arg(long, global = true)]
    pub feed: Option<String>,
    /// Print what would be published as JSON lines, and publish nothing.
    #[arg(long, global = true)]
    pub dry_run: bool,
    /// Name everything that was taken and left out, instead of counting it.
    #[arg(long, short, global = true)]
    pub verbose: bool,
}

const MAPPING: &str =
    concat!("A mapping:\n\n", include_str!("../../crates/importers/src/table/example.toml"));

/// Kinds of files.
#[derive(Debug, Subcommand)]
pub enum ImportFile {
    /// A data release of the USGS Mineral Commodity Summaries, 2025 or 2026.
    Usgs {
        /// The file.
        file: PathBuf,
    },
    /// Any table of supply figures in CSV, with a mapping that says where everything is in it.
    #[command(after_long_help = MAPPING)]
    Csv {
        /// The file.
        file: PathBuf,
        /// The mapping, in TOML; `lodewatch import csv --help` shows one.
        #[arg(long, value_name = "FILE")]
        mapping: PathBuf,
    },
    /// Global Trade Alert's export of interventions, from its data centre.
    Gta {
        /// The file.
        file: PathBuf,
    },
    /// A list of export-control measures with their dates.
    Events {
        /// The file.
        file: PathBuf,
    },
    /// Updates in the project's own form: JSON lines, as `publish` takes them.
    Jsonl {
        /// The file; `-` reads standard input.
        file: PathBuf,
    },
}

/// Arguments of `health`.
#[derive(Debug, Args)]
pub struct Health {
    /// What to ask about: nothing for readiness; `lodewatch.live`, whether the process answers, whatever its journal;
    /// `lodewatch.durability`, whether what is acknowledged is proved to be on the disk.
    #[arg(long, default_value = "", hide_default_value = true, value_name = "NAME")]
    pub service: String,
}

/// Arguments of `demo`.
#[derive(Debug, Args)]
pub struct Demo {
    /// Leave the journal here, to look at afterwards with `lodewatch serve --data-dir DIR`.
    #[arg(long, value_name = "DIR")]
    pub keep: Option<PathBuf>,
}

/// The data directory of commands that need no server of it.
#[derive(Debug, Args)]
pub struct DataDir {
    /// The configuration that says where the data directory is.
    #[arg(long, global = true, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// The data directory.
    #[arg(long, global = true, value_name = "DIR")]
    pub data_dir: Option<PathBuf>,
}

impl DataDir {
    /// The settings, with the directory that was named.
    pub(super) fn settings(&self) -> Result<Config, config::Error> {
        let flags = Flags { data_dir: self.data_dir.clone(), listen: None };
        config::load(self.config.as_deref(), &flags)
    }
}

/// Arguments of `archive`.
#[derive(Debug, Args)]
pub struct Archive {
    /// What to do.
    #[command(subcommand)]
    pub command: ArchiveCommand,
    /// Where.
    #[command(flatten)]
    pub place: DataDir,
}

/// What can be done with an archive.
#[derive(Debug, Subcommand)]
pub enum ArchiveCommand {
    /// Copy the archive and the newest snapshot of the replica at `--address` into the data directory, unless one is there.
    Fetch,
}
