//! The command line: every command, its help, and where it runs.

use super::commands::{
    alerts, archive, check_config, demo, feed, forward, generated, health, import, journal, market,
    markets, publish, sbom, serve, simulate, threats, token, top, watch,
};
use super::connection::ConnectionArgs;
use super::error::Error;
use super::output::print::OutputFormat;
use super::signals::Signals;
use crate::config::{Config, Log};
use crate::telemetry;
use clap::{CommandFactory, Parser, Subcommand};
use tokio::runtime::Builder;

/// Emits an alert when the supply of a critical mineral becomes too concentrated, or an export
/// control makes it so.
#[derive(Debug, Parser)]
#[command(name = "lodewatch", version, propagate_version = true)]
pub struct CommandLine {
    #[command(subcommand)]
    command: Command,
    #[command(flatten)]
    connection: ConnectionArgs,
    /// Output format.
    #[arg(long, global = true, value_enum, default_value_t = OutputFormat::Table)]
    output: OutputFormat,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run a server.
    Serve(serve::ServeArgs),
    /// Publish updates from a JSON Lines file, one `lodewatch.v1.Update` per line.
    Publish(publish::PublishArgs),
    /// Print alerts as they are emitted; reconnects and resumes by itself.
    Watch(watch::WatchArgs),
    /// Show markets, alerts and threats live in the terminal.
    Top(top::TopArgs),
    /// Forward alerts to Alertmanager or a webhook until stopped; resumes from its state file.
    Forward(forward::ForwardArgs),
    /// List markets: their suppliers and how concentrated they are.
    Markets(markets::MarketsArgs),
    /// Show one market: suppliers, rules, threats, latest alerts.
    Market(market::MarketArgs),
    /// List threats and their status.
    Threats(threats::ThreatsArgs),
    /// List past or active alerts.
    Alerts(alerts::AlertsArgs),
    /// Show what updates, a policy or time would change, without publishing anything.
    Simulate(simulate::SimulateArgs),
    /// List the alerts that another policy would have emitted since the journal began.
    Backtest(simulate::BacktestArgs),
    /// Import a file of a data source and publish its contents.
    ///
    /// Importing the same file twice changes nothing. A measure that differs in a newer list gets
    /// its next revision; one that is missing from a newer list stays as it is.
    Import(import::ImportArgs),
    /// Keep files, folders and addresses in sync with a server: publish what changes.
    Feed(feed::FeedArgs),
    /// Check whether a server is ready: exit code 0 if it is, otherwise 1.
    Health(health::HealthArgs),
    /// Check a settings file; print a summary of it, or every problem in it.
    CheckConfig(check_config::CheckConfigArgs),
    /// Verify, back up, repair, export and replay a journal, without a server.
    Journal(journal::JournalArgs),
    /// Prepare a new replica with the archive of another one, so that it need not replay the
    /// whole journal.
    Archive(archive::ArchiveArgs),
    /// Create bearer tokens.
    Token(token::TokenArgs),
    /// Print a shell's completion script.
    Completions(generated::CompletionsArgs),
    /// Print the manual page, or write one per command to a directory.
    Man(generated::ManArgs),
    /// Print the bill of materials of this binary, in `CycloneDX` JSON.
    Sbom,
    /// Replay four years of export controls in seconds, on a temporary server.
    Demo(demo::DemoArgs),
}

impl Command {
    /// `serve` reads its log settings itself; other daemons log by default, the rest does not.
    fn log_config(&self) -> Option<Log> {
        if matches!(self, Self::Serve(_)) {
            None
        } else if matches!(self, Self::Forward(_) | Self::Feed(_)) {
            Some(Config::built_in().log)
        } else {
            Some(Log::quiet())
        }
    }

    /// Whether it handles SIGINT and SIGTERM itself.
    fn handles_signals(&self) -> bool {
        matches!(
            self,
            Self::Serve(_) | Self::Forward(_) | Self::Feed(_) | Self::Watch(_) | Self::Top(_)
        )
    }

    fn supports_csv(&self) -> bool {
        match self {
            Self::Watch(_)
            | Self::Market(_)
            | Self::Threats(_)
            | Self::Backtest(_)
            | Self::Demo(_) => true,
            Self::Markets(args) => args.prints_list(),
            Self::Alerts(args) => args.prints_list(),
            Self::Journal(args) => args.prints_list(),
            Self::Serve(_)
            | Self::Publish(_)
            | Self::Top(_)
            | Self::Forward(_)
            | Self::Simulate(_)
            | Self::Import(_)
            | Self::Feed(_)
            | Self::Health(_)
            | Self::CheckConfig(_)
            | Self::Archive(_)
            | Self::Token(_)
            | Self::Completions(_)
            | Self::Man(_)
            | Self::Sbom => false,
        }
    }
}

/// Runs one command.
pub fn run(command_line: CommandLine) -> Result<(), Error> {
    let runtime = Builder::new_multi_thread().enable_all().build().map_err(Error::Runtime)?;
    runtime.block_on(dispatch(command_line))
}

async fn dispatch(command_line: CommandLine) -> Result<(), Error> {
    let CommandLine { command, connection, output } = command_line;
    if let Some(log) = command.log_config() {
        telemetry::start(&log);
    }
    if output == OutputFormat::Csv && !command.supports_csv() {
        return Err(Error::NoCsv);
    }
    if !command.handles_signals() {
        Signals::install()?.exit_on_next();
    }
    match command {
        Command::Serve(args) => serve::run(args).await,
        Command::Publish(args) => publish::run(&connection.servers()?, output, &args).await,
        Command::Watch(args) => watch::run(&connection.servers()?, output, &args).await,
        Command::Top(args) => top::run(connection.servers()?, &args).await,
        Command::Forward(args) => forward::run(connection.servers()?, args).await,
        Command::Markets(args) => markets::run(&connection.servers()?, output, &args).await,
        Command::Market(args) => market::run(&connection.servers()?, output, &args).await,
        Command::Threats(args) => threats::run(&connection.servers()?, output, &args).await,
        Command::Alerts(args) => alerts::run(&connection.servers()?, output, &args).await,
        Command::Simulate(args) => simulate::run(&connection.servers()?, output, &args).await,
        Command::Backtest(args) => {
            simulate::run_backtest(&connection.servers()?, output, &args).await
        }
        Command::Import(args) => import::run(&connection.servers()?, output, &args).await,
        Command::Feed(args) => feed::run(connection.servers()?, output, args).await,
        Command::Health(args) => health::run(&connection.servers()?, args).await,
        Command::CheckConfig(args) => check_config::run(&args),
        Command::Journal(args) => journal::run(output, &args),
        Command::Archive(args) => archive::run(&connection.servers()?, &args).await,
        Command::Token(args) => token::run(&args),
        Command::Completions(args) => generated::print_completions(CommandLine::command(), &args),
        Command::Man(args) => generated::write_manual(CommandLine::command(), &args),
        Command::Sbom => sbom::run(),
        Command::Demo(args) => demo::run(output, &args).await,
    }
}
