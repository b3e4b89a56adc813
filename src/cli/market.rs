//! `market`: one market in full.

use super::arguments::Output;
use super::columns::{Columns, MarketRow};
use super::error::Error;
pub(super) use super::market_report::Report;
use super::{output, watch};
use crate::grpc::pb::alert_service_client::AlertServiceClient;
use crate::grpc::pb::market_service_client::MarketServiceClient;
use crate::grpc::pb::policy_service_client::PolicyServiceClient;
use crate::grpc::pb::{
    AlertFilter, GetMarketRequest, GetPolicyRequest, ListAlertsRequest, ListThreatsRequest, Stage,
};
use clap::Args;
use lodewatch_client::{self, Connection, Servers};

/// The latest alerts that are shown.
const ALERTS: u32 = 5;
/// Columns where the output is no terminal.
const COLUMNS: usize = 80;

/// Arguments of `market`.
#[derive(Debug, Args)]
pub struct OneMarket {
    /// The mineral, by name or alias.
    pub mineral: String,
    /// The stage: mining, refining.
    pub stage: String,
    /// For whom: a country, a bloc, `all` or `any`.
    #[arg(long, default_value = "all", value_name = "NAME")]
    pub destination: String,
}

/// Prints the report of a market; as CSV its suppliers.
pub(super) async fn run(
    servers: &Servers,
    output: Output,
    arguments: &OneMarket,
) -> Result<(), Error> {
    let stage = watch::stage("STAGE", &arguments.stage)?;
    let connection = servers.connect().await?;
    let report = read(connection, &arguments.mineral, stage, &arguments.destination).await?;
    match output {
        Output::Json => output::json(&report.market)?,
        Output::Csv => {
            output::csv(MarketRow::NAMES)?;
            MarketRow::of(&report.market).try_for_each(|row| output::csv(&row.fields()))?;
        }
        Output::Table => {
            let columns = output::terminal_columns().unwrap_or(COLUMNS);
            for line in report.lines(columns) {
                output::line(&line.to_string())?;
            }
        }
    }
    Ok(())
}

/// Everything that is known of a market.
pub(super) async fn read(
    connection: Connection,
    mineral: &str,
    stage: Stage,
    destination: &str,
) -> Result<Report, Error> {
    let refused = || Error::refused("reading the market");
    let request = GetMarketRequest {
        mineral: mineral.to_owned(),
        stage: stage.into(),
        destination: destination.to_owned(),
        ..GetMarketRequest::default()
    };
    let answer = MarketServiceClient::new(connection.clone()).get_market(request).await;
    let answer = answer.map_err(refused())?.into_inner();
    let market = answer.market.unwrap_or_default();
    let mut policies = PolicyServiceClient::new(connection.clone());
    let policy = policies.get_policy(GetPolicyRequest::default()).await.map_err(refused())?;
    let request = ListThreatsRequest { page_size: 1000, ..ListThreatsRequest::default() };
    let threats =
        lodewatch_client::list_all_threats(connection.clone(), request).await.map_err(refused())?;
    let filter = AlertFilter {
        minerals: vec![market.mineral.clone()],
        stages: vec![stage.into()],
        ..AlertFilter::default()
    };
    let request = ListAlertsRequest {
        filter: Some(filter),
        page_size: ALERTS,
        ..ListAlertsRequest::default()
    };
    let alerts = AlertServiceClient::new(connection).list_alerts(request).await;
    Ok(Report {
        market,
        rules: policy.into_inner().policy.unwrap_or_default().rules,
        threats,
        alerts: alerts.map_err(refused())?.into_inner().alerts,
        journal_time: answer.journal_time.as_ref().map(output::instant).unwrap_or_default(),
    })
}
