//! Calls that several commands make: lists, a market's page, and publishing in batches.

use super::error::Error;
use super::output::format;
use super::output::market_page::MarketPage;
use super::output::print::{self, OutputFormat};
use crate::feed_sync::{Outcomes, numbers};
use lodewatch_client::{Connection, Publisher, Servers};
use lodewatch_proto::v1::alert_service_client::AlertServiceClient;
use lodewatch_proto::v1::market_service_client::MarketServiceClient;
use lodewatch_proto::v1::policy_service_client::PolicyServiceClient;
use lodewatch_proto::v1::{
    Alert, AlertFilter, GetMarketRequest, GetPolicyRequest, ListAlertsRequest, ListMarketsRequest,
    ListThreatsRequest, Market, PublishRequest, Stage, ThreatRecord, Update,
};
use tonic::Status;
use uuid::Uuid;

/// Items per page of a list.
pub(super) const PAGE_SIZE: u32 = 1000;
/// Alerts on a market's page.
const MARKET_ALERTS: u32 = 5;

/// Reads all pages of a list of markets.
pub(super) async fn list_markets(
    connection: Connection,
    mut request: ListMarketsRequest,
) -> Result<Vec<Market>, Error> {
    let mut client = MarketServiceClient::new(connection);
    let mut markets = Vec::new();
    request.page_size = PAGE_SIZE;
    loop {
        let response = client.list_markets(request.clone()).await;
        let page = response.map_err(Error::call("list markets"))?.into_inner();
        markets.extend(page.markets);
        if page.next_page_token.is_empty() {
            return Ok(markets);
        }
        request.page_token = page.next_page_token;
    }
}

/// Reads all pages of a list of threats.
pub(super) async fn list_threats(
    connection: Connection,
    request: ListThreatsRequest,
) -> Result<Vec<ThreatRecord>, Error> {
    let request = ListThreatsRequest { page_size: PAGE_SIZE, ..request };
    lodewatch_client::list_all_threats(connection, request)
        .await
        .map_err(Error::call("list threats"))
}

/// Reads the latest alerts, newest first, on as many pages as it takes; and the cursor after them.
pub(super) async fn list_latest_alerts(
    connection: Connection,
    filter: AlertFilter,
    alerts_max: u32,
) -> Result<(Vec<Alert>, String), Status> {
    let mut client = AlertServiceClient::new(connection);
    let filter = Some(filter);
    let mut request =
        ListAlertsRequest { filter, page_size: alerts_max, ..ListAlertsRequest::default() };
    let (mut alerts, mut cursor) = (Vec::new(), None);
    loop {
        let page = client.list_alerts(request.clone()).await?.into_inner();
        alerts.extend(page.alerts);
        // Later pages have older alerts only.
        let cursor = cursor.get_or_insert(page.cursor);
        let found = u32::try_from(alerts.len()).unwrap_or(u32::MAX);
        if page.next_page_token.is_empty() || found >= alerts_max {
            return Ok((alerts, std::mem::take(cursor)));
        }
        request.page_size = alerts_max.saturating_sub(found);
        request.page_token = page.next_page_token;
    }
}

/// Reads a market with its rules, threats and latest alerts.
pub(super) async fn get_market_page(
    connection: Connection,
    mineral: &str,
    stage: Stage,
    destination: &str,
) -> Result<MarketPage, Error> {
    let request = GetMarketRequest {
        mineral: mineral.to_owned(),
        stage: stage.into(),
        destination: destination.to_owned(),
        ..GetMarketRequest::default()
    };
    let response = MarketServiceClient::new(connection.clone()).get_market(request).await;
    let response = response.map_err(Error::call("read the market"))?.into_inner();
    let market = response.market.unwrap_or_default();
    let mut policies = PolicyServiceClient::new(connection.clone());
    let policy = policies.get_policy(GetPolicyRequest::default()).await;
    let policy = policy.map_err(Error::call("read the policy"))?.into_inner().policy;
    let threats = list_threats(connection.clone(), ListThreatsRequest::default()).await?;
    let filter = AlertFilter {
        minerals: vec![market.mineral.clone()],
        stages: vec![stage.into()],
        ..AlertFilter::default()
    };
    let (alerts, _) = list_latest_alerts(connection, filter, MARKET_ALERTS)
        .await
        .map_err(Error::call("list alerts"))?;
    Ok(MarketPage {
        market,
        rules: policy.unwrap_or_default().rules,
        threats,
        alerts,
        journal_time: response.journal_time.as_ref().map(format::instant).unwrap_or_default(),
    })
}

/// Updates to publish in batches, each safely retried.
pub(super) struct BatchUpload<'a> {
    pub(super) feed: &'a str,
    pub(super) exercise: bool,
    /// Updates per batch, at least 1.
    pub(super) batch_size: usize,
    /// What the updates' numbers count, for error messages: `line`.
    pub(super) unit: &'a str,
    /// The updates, each with its number.
    pub(super) updates: &'a [(usize, Update)],
}

impl BatchUpload<'_> {
    /// Publishes one batch after the other and prints the outcomes.
    pub(super) async fn run(&self, servers: &Servers, format: OutputFormat) -> Result<(), Error> {
        // An unreachable server is an error now; the publisher would retry several times first.
        servers.connect().await?;
        let mut publisher = Publisher::new(servers.clone());
        let total = u64::try_from(self.updates.len()).unwrap_or(u64::MAX);
        let bar = print::progress_bar("publishing", total);
        let mut outcomes = Outcomes::default();
        for batch in self.updates.chunks(self.batch_size) {
            let request = PublishRequest {
                request_id: Uuid::new_v4().to_string(),
                feed: self.feed.to_owned(),
                updates: batch.iter().map(|(_, update)| update.clone()).collect(),
                exercise: self.exercise,
            };
            let response = publisher.publish(request).await;
            let response = response.map_err(Error::call(self.operation(batch)))?;
            outcomes.add(&response);
            if format == OutputFormat::Json {
                bar.suspend(|| print::json(&response))?;
            }
            bar.inc(u64::try_from(batch.len()).unwrap_or(u64::MAX));
        }
        drop(bar);
        if format == OutputFormat::Table {
            print::line(&outcomes.to_string())?;
        }
        Ok(())
    }

    fn operation(&self, batch: &[(usize, Update)]) -> String {
        let (unit, (first, last)) = (self.unit, numbers(batch));
        format!("publish {unit}s {first} to {last} as one batch (updates[0] is {unit} {first})")
    }
}
