//! `simulate` and `backtest`: what would happen if, and what another policy would have told.

use super::arguments::{Backtest, Output, Simulate};
use super::error::Error;
use super::{alert_line, markets, output, progress, publish, watch};
use crate::config;
use crate::domain::{Seq, Timestamp};
use crate::grpc::pb::backtest_response::Message;
use crate::grpc::pb::policy_service_client::PolicyServiceClient;
use crate::grpc::pb::{self, Alert, BacktestProgress, BacktestRequest, SimulateRequest};
use crate::grpc::render;
use lodewatch_client::Servers;
use std::path::Path;

/// Prints markets before and after, and the alerts that would be sent.
pub(super) async fn simulate(
    servers: &Servers,
    output: Output,
    arguments: &Simulate,
) -> Result<(), Error> {
    let updates = match &arguments.file {
        Some(file) => publish::read(file)?.into_iter().map(|(_, update)| update).collect(),
        None => Vec::new(),
    };
    let request = SimulateRequest {
        updates,
        policy: arguments.policy.as_deref().map(policy).transpose()?,
        until: arguments.until.clone().unwrap_or_default(),
        destination: arguments.market_destination.clone(),
        filter: Some(watch::filter(&arguments.filter)?),
        ..SimulateRequest::default()
    };
    let mut client = PolicyServiceClient::new(servers.connect().await?);
    let response = client.simulate(request).await;
    let response = response.map_err(Error::refused("simulating"))?.into_inner();
    if output == Output::Json {
        return Ok(output::json(&response)?);
    }
    let changes = response
        .markets
        .iter()
        .filter_map(|change| Some((change.before.clone(), change.after.clone()?)));
    markets::print_changes(&changes.collect::<Vec<_>>(), &arguments.market_destination)?;
    output::line("")?;
    for alert in &response.alerts {
        output::line(&alert_line::dated(alert))?;
    }
    let left_out = response
        .alerts_total
        .saturating_sub(u64::try_from(response.alerts.len()).unwrap_or(u64::MAX));
    let more = if left_out > 0 {
        format!(", of which the last {left_out} are not shown")
    } else {
        String::new()
    };
    let time = response.journal_time.as_ref().map(output::day).unwrap_or_default();
    Ok(output::line(&format!(
        "{} alerts by {time}{more}; nothing was touched",
        response.alerts_total
    ))?)
}

/// Prints the alerts that a policy would have sent, with a progress bar where somebody looks.
pub(super) async fn backtest(
    servers: &Servers,
    output: Output,
    arguments: &Backtest,
) -> Result<(), Error> {
    let request = BacktestRequest {
        policy: Some(policy(&arguments.policy)?),
        filter: Some(watch::filter(&arguments.filter)?),
    };
    let doing = || Error::refused("backtesting");
    let mut client = PolicyServiceClient::new(servers.connect().await?);
    let mut stream = client.backtest(request).await.map_err(doing())?.into_inner();
    let bar = progress::bar("backtesting", 0);
    output::begin::<Alert>(output)?;
    let mut told = 0_usize;
    let mut last = BacktestProgress::default();
    while let Some(response) = stream.message().await.map_err(doing())? {
        match response.message {
            Some(Message::Alerts(alerts)) => {
                told = told.saturating_add(alerts.alerts.len());
                for alert in &alerts.alerts {
                    bar.suspend(|| output::row(output, alert, alert_line::dated))?;
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
        return Err(doing()(tonic::Status::unavailable("the server ended it before the end")));
    }
    if output == Output::Table {
        let refused = match last.rejected {
            0 => String::new(),
            refused => format!("; {refused} batches would have been refused"),
        };
        output::line(&format!(
            "{told} alerts in {} entries{refused}; nothing was touched",
            last.entries_total
        ))?;
    }
    Ok(())
}

/// The policy of a file of settings, over the defaults.
fn policy(file: &Path) -> Result<pb::Policy, Error> {
    let policy = config::check(Some(file))?.policy;
    Ok(render::policy(&policy, Seq::ZERO, Timestamp::default()))
}
