//! `simulate` and `backtest`: what updates or a policy would change, without publishing anything.

use crate::cli::error::Error;
use crate::cli::filter::FilterArgs;
use crate::cli::input;
use crate::cli::output::print::{self, OutputFormat};
use crate::cli::output::{alert_line, columns, format, market_tables};
use crate::config;
use crate::grpc::render;
use clap::Args;
use lodewatch_client::Servers;
use lodewatch_core::domain::{Seq, Timestamp};
use lodewatch_proto::v1::backtest_response::Message;
use lodewatch_proto::v1::policy_service_client::PolicyServiceClient;
use lodewatch_proto::v1::{self as pb, Alert, BacktestProgress, BacktestRequest, SimulateRequest};
use std::path::{Path, PathBuf};
use tonic::Status;

#[derive(Debug, Args)]
pub(crate) struct SimulateArgs {
    /// Hypothetical updates in JSON Lines, as `publish` reads them; `-` reads standard input.
    file: Option<PathBuf>,
    /// Settings file with the policy to simulate.
    #[arg(long, value_name = "FILE")]
    policy: Option<PathBuf>,
    /// Advance the simulated time to this day, such as 2026-12-31.
    #[arg(long, value_name = "DAY")]
    until: Option<String>,
    /// Destination (buyer) of the markets shown: a country, a bloc, `all` or `any`.
    #[arg(long = "for", default_value = "all", value_name = "NAME")]
    market_destination: String,
    #[command(flatten)]
    filter: FilterArgs,
}

#[derive(Debug, Args)]
#[command(after_long_help = columns::help::<Alert>())]
pub(crate) struct BacktestArgs {
    /// Settings file with the policy to test.
    policy: PathBuf,
    #[command(flatten)]
    filter: FilterArgs,
}

/// Prints markets before and after, and the alerts that would be emitted.
pub(crate) async fn run(
    servers: &Servers,
    format: OutputFormat,
    args: &SimulateArgs,
) -> Result<(), Error> {
    let updates = match &args.file {
        Some(file) => input::read_updates(file)?.into_iter().map(|(_, update)| update).collect(),
        None => Vec::new(),
    };
    let request = SimulateRequest {
        updates,
        policy: args.policy.as_deref().map(read_policy).transpose()?,
        until: args.until.clone().unwrap_or_default(),
        destination: args.market_destination.clone(),
        filter: Some(args.filter.to_message()?),
        ..SimulateRequest::default()
    };
    let mut client = PolicyServiceClient::new(servers.connect().await?);
    let response = client.simulate(request).await;
    let response = response.map_err(Error::call("simulate"))?.into_inner();
    if format == OutputFormat::Json {
        return Ok(print::json(&response)?);
    }
    let changes = response
        .markets
        .iter()
        .filter_map(|change| Some((change.before.clone(), change.after.clone()?)));
    market_tables::print_changes(&changes.collect::<Vec<_>>(), &args.market_destination)?;
    let shown = u64::try_from(response.markets.len()).unwrap_or(u64::MAX);
    match response.markets_total.saturating_sub(shown) {
        0 => {}
        more => print::line(&format!("and {more} more markets"))?,
    }
    print::line("")?;
    for alert in &response.alerts {
        print::line(&alert_line::render_dated(alert))?;
    }
    let shown = u64::try_from(response.alerts.len()).unwrap_or(u64::MAX);
    let hidden = match response.alerts_total.saturating_sub(shown) {
        0 => String::new(),
        hidden => format!(" (the last {hidden} are not shown)"),
    };
    let day = response.journal_time.as_ref().map(format::day).unwrap_or_default();
    let total = response.alerts_total;
    Ok(print::line(&format!("{total} alerts by {day}{hidden}; nothing was published"))?)
}

/// Prints the alerts that a policy would have emitted, with a progress bar on a terminal.
pub(crate) async fn run_backtest(
    servers: &Servers,
    format: OutputFormat,
    args: &BacktestArgs,
) -> Result<(), Error> {
    let request = BacktestRequest {
        policy: Some(read_policy(&args.policy)?),
        filter: Some(args.filter.to_message()?),
    };
    let failed = || Error::call("backtest the policy");
    let mut client = PolicyServiceClient::new(servers.connect().await?);
    let mut stream = client.backtest(request).await.map_err(failed())?.into_inner();
    let bar = print::progress_bar("backtesting", 0);
    print::list_heading::<Alert>(format)?;
    let mut count = 0_usize;
    let mut last = BacktestProgress::default();
    while let Some(response) = stream.message().await.map_err(failed())? {
        match response.message {
            Some(Message::Alerts(alerts)) => {
                count = count.saturating_add(alerts.alerts.len());
                for alert in &alerts.alerts {
                    bar.suspend(|| print::list_row(format, alert, alert_line::render_dated))?;
                }
            }
            Some(Message::Progress(progress)) => {
                bar.set_length(progress.entries_total);
                bar.set_position(progress.entries);
                last = progress;
            }
            None => {}
        }
    }
    bar.finish_and_clear();
    if !last.done {
        return Err(failed()(Status::unavailable("the server ended the stream early")));
    }
    if format == OutputFormat::Table {
        let rejected = match last.rejected {
            0 => String::new(),
            rejected => format!("; {rejected} batches would have been rejected"),
        };
        let total = last.entries_total;
        print::line(&format!(
            "{count} alerts in {total} entries{rejected}; nothing was published"
        ))?;
    }
    Ok(())
}

/// The policy of a settings file; settings that the file lacks have their defaults.
fn read_policy(file: &Path) -> Result<pb::Policy, Error> {
    let policy = config::check(Some(file))?.policy;
    Ok(render::policy(&policy, Seq::ZERO, Timestamp::default()))
}
