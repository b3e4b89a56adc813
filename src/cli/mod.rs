//! The command line: data to stdout, all else to stderr; exit code 0 for success, 1 for failure, 2 for wrong usage.

mod alerts;
mod arguments;
mod check_config;
mod demo;
mod error;
mod import;
mod markets;
mod output;
mod publish;
mod serve;
mod threats;
mod watch;

pub use arguments::{Arguments, Command};
pub use error::Error;

use crate::client::Servers;
use crate::config::Log;
use crate::telemetry;

/// Runs one sub-command.
///
/// # Errors
///
/// What the user should read.
pub async fn run(arguments: Arguments) -> Result<(), Error> {
    let Arguments { command, address, output } = arguments;
    if !matches!(command, Command::Serve(_)) {
        telemetry::start(&Log::quiet());
    }
    let servers = || Servers::parse(address.iter().map(String::as_str));
    match command {
        Command::Serve(flags) => serve::run(&flags).await,
        Command::Publish(arguments) => publish::run(&servers()?, output, &arguments).await,
        Command::Watch(arguments) => watch::run(&servers()?, output, &arguments).await,
        Command::Markets(arguments) => markets::run(&servers()?, output, &arguments).await,
        Command::Threats(arguments) => threats::run(&servers()?, output, &arguments).await,
        Command::Alerts(arguments) => alerts::run(&servers()?, output, &arguments).await,
        Command::Import(arguments) => import::run(&servers()?, output, &arguments).await,
        Command::CheckConfig { file } => check_config::run(&file),
        Command::Demo(arguments) => demo::run(output, &arguments).await,
    }
}
