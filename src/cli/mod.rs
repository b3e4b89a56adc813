//! The command line: data to stdout, all else to stderr; exit code 0 for success, 1 for failure, 2 for wrong usage.

mod alert_line;
mod alerts;
mod archive;
mod arguments;
mod audit;
mod bars;
mod check_config;
mod columns;
mod completions;
mod credentials;
mod demo;
mod error;
mod explain;
mod feed;
mod figures;
#[cfg(test)]
mod fixtures;
mod forward;
mod health;
mod import;
mod journal;
mod man;
mod market;
mod market_report;
mod markets;
mod output;
mod painted;
mod progress;
mod publish;
mod sbom;
mod serve;
mod signals;
mod standings;
mod taken;
mod threats;
mod top;
mod watch;
mod what_if;

pub use arguments::{Arguments, Command};
pub use error::Error;

use crate::config::{Config, Log};
use crate::telemetry;
use arguments::{Output, Show, TokenCommand};
use lodewatch_client::Servers;
use signals::Signals;

/// Runs one sub-command.
///
/// # Errors
///
/// What the user should read.
pub async fn run(arguments: Arguments) -> Result<(), Error> {
    let Arguments { command, address, credentials, output } = arguments;
    if matches!(command, Command::Forward(_) | Command::Feed(_)) {
        telemetry::start(&Config::built_in().log);
    } else if !matches!(command, Command::Serve(_)) {
        telemetry::start(&Log::quiet());
    }
    if output == Output::Csv && !command.prints_rows() {
        return Err(Error::NoRows);
    }
    // These end in their own way.
    if !matches!(
        command,
        Command::Serve(_)
            | Command::Forward(_)
            | Command::Feed(_)
            | Command::Watch(_)
            | Command::Top(_)
    ) {
        Signals::hear()?.end_the_process();
    }
    let servers = || -> Result<Servers, Error> {
        let credentials = credentials::read(&credentials)?;
        Ok(Servers::parse_with_credentials(address.iter().map(String::as_str), credentials)?)
    };
    match command {
        Command::Serve(flags) => serve::run(&flags).await,
        Command::Publish(arguments) => publish::run(&servers()?, output, &arguments).await,
        Command::Watch(arguments) => watch::run(&servers()?, output, &arguments).await,
        Command::Top(arguments) => top::run(servers()?, &arguments).await,
        Command::Forward(arguments) => forward::run(servers()?, arguments).await,
        Command::Markets(arguments) => markets::run(&servers()?, output, &arguments).await,
        Command::Market(arguments) => market::run(&servers()?, output, &arguments).await,
        Command::Threats(arguments) => threats::run(&servers()?, output, &arguments).await,
        Command::Alerts(arguments) => match arguments.show {
            Some(Show::Show { sequence }) => explain::run(&servers()?, output, sequence).await,
            None => alerts::run(&servers()?, output, &arguments).await,
        },
        Command::Simulate(arguments) => what_if::simulate(&servers()?, output, &arguments).await,
        Command::Backtest(arguments) => what_if::backtest(&servers()?, output, &arguments).await,
        Command::Import(arguments) => import::run(&servers()?, output, &arguments).await,
        Command::Feed(arguments) => feed::run(servers()?, output, arguments).await,
        Command::Health(arguments) => health::run(&servers()?, &arguments).await,
        Command::CheckConfig { file } => check_config::run(&file),
        Command::Journal(arguments) => journal::run(output, &arguments),
        Command::Archive(arguments) => archive::run(&servers()?, &arguments).await,
        Command::Token { command: TokenCommand::New(arguments) } => {
            credentials::new_token(&arguments)
        }
        Command::Completions { shell } => completions::run(shell),
        Command::Man { dir } => man::run(dir.as_deref()),
        Command::Sbom => sbom::run(),
        Command::Demo(arguments) => demo::run(output, &arguments).await,
    }
}
