//! All pages of the list of threats.

use super::servers::Connection;
use super::too_large::explain_too_large;
use lodewatch_proto::v1::market_service_client::MarketServiceClient;
use lodewatch_proto::v1::{ListThreatsRequest, ThreatRecord};
use tonic::Status;

/// Lists all threats that a request selects, page by page.
///
/// # Errors
///
/// The status of the first page that fails.
pub async fn list_all_threats(
    channel: Connection,
    mut request: ListThreatsRequest,
) -> Result<Vec<ThreatRecord>, Status> {
    let mut client = MarketServiceClient::new(channel);
    let mut records = Vec::new();
    loop {
        let page = client.list_threats(request.clone()).await.map_err(explain_too_large)?;
        let page = page.into_inner();
        records.extend(page.threats);
        if page.next_page_token.is_empty() {
            return Ok(records);
        }
        request.page_token = page.next_page_token;
    }
}
