//! `alerts`: history, or what is open now.

use super::arguments::{Alerts, Output};
use super::error::Error;
use super::{alert_line, output, watch};
use crate::grpc::pb::alert_service_client::AlertServiceClient;
use crate::grpc::pb::{Alert, ListAlertsRequest, Order};
use lodewatch_client::Servers;

/// Alerts asked for at once.
const PAGE: usize = 1000;

/// Prints alerts.
pub(super) async fn run(
    servers: &Servers,
    output: Output,
    arguments: &Alerts,
) -> Result<(), Error> {
    let mut client = AlertServiceClient::new(servers.connect().await?);
    let order = if arguments.oldest_first { Order::OldestFirst } else { Order::NewestFirst };
    let mut request = ListAlertsRequest {
        filter: Some(watch::filter(&arguments.filter)?),
        open_only: arguments.open,
        episode: arguments.episode,
        order: order.into(),
        page_size: u32::try_from(arguments.limit.clamp(1, PAGE)).unwrap_or(1),
        ..ListAlertsRequest::default()
    };
    output::begin::<Alert>(output)?;
    let mut left = arguments.limit;
    let has_more = loop {
        let response = client.list_alerts(request.clone()).await;
        let page = response.map_err(Error::refused("listing alerts"))?.into_inner();
        for alert in page.alerts.iter().take(left) {
            output::row(output, alert, alert_line::dated)?;
        }
        let has_more = page.alerts.len() > left || !page.next_page_token.is_empty();
        left = left.saturating_sub(page.alerts.len());
        if left == 0 || !has_more {
            break has_more;
        }
        request.page_token = page.next_page_token;
    };
    if left == arguments.limit {
        output::note("no alert is like this");
    } else if has_more {
        output::note(&format!("there are more than these {}: see --limit", arguments.limit));
    }
    Ok(())
}
