//! `AlertService`: alerts go out, live and from history.

use crate::archive::{AlertQuery, AlertRecord};
use crate::grpc::backend::{Api, read_archive_for};
use crate::grpc::codec::pages::Page;
use crate::grpc::codec::{frames, parse, tokens};
use crate::grpc::pb::{self, alert_service_server::AlertService};
use crate::grpc::transport::respond_with;
use crate::grpc::{status, streams};
use std::sync::Arc;
use tonic::{Request, Response, Status};

pub(super) struct Alerts(pub(super) Arc<Api>);

#[tonic::async_trait]
impl AlertService for Alerts {
    /// Empty: the response carries pre-encoded frames in place of messages.
    type SubscribeStream = tokio_stream::Empty<Result<pb::SubscribeResponse, Status>>;

    async fn subscribe(
        &self,
        request: Request<pb::SubscribeRequest>,
    ) -> Result<Response<Self::SubscribeStream>, Status> {
        let frames = streams::subscribe(&self.0, &request).await?;
        Ok(respond_with(tokio_stream::empty(), frames))
    }

    async fn list_alerts(
        &self,
        request: Request<pb::ListAlertsRequest>,
    ) -> Result<Response<pb::ListAlertsResponse>, Status> {
        let (_, extensions, request) = request.into_parts();
        let wanted = parse::list_alerts(&request)?;
        let digest = tokens::request_digest("ListAlerts", &unpaged(&request));
        let token = tokens::parse_page_token(&request.page_token, digest)?;
        self.0.wait_for_min_cursor(&request.min_cursor).await?;
        let head = self.0.view.applied();
        let query = AlertQuery {
            filter: wanted.filter,
            episode: wanted.episode,
            newest_first: wanted.newest_first,
            after_sequence: token,
            among: wanted.open_only.then(|| self.0.open_alerts.get(&self.0.view).1),
            until_entry: head,
            limit: wanted.page_size,
            limit_bytes: Page::item_bytes(wanted.page_size),
            examined_max: self.0.examined_alerts_max,
        };
        let listing = read_archive_for(&self.0, &extensions, move |archive, call| {
            let call = call.clone();
            archive.list(&query, move || call.is_over())
        });
        let found = listing.await?;
        self.0.metrics.work.count_examined(found.examined);
        let token = |after| tokens::render_page_token(after, digest);
        let next_page_token = found.next_after.map_or_else(String::new, token);
        Ok(Response::new(pb::ListAlertsResponse {
            alerts: found.records.iter().map(decode).collect(),
            next_page_token,
            cursor: self.0.cursor(head),
        }))
    }

    async fn get_alert(
        &self,
        request: Request<pb::GetAlertRequest>,
    ) -> Result<Response<pb::GetAlertResponse>, Status> {
        let (_, extensions, request) = request.into_parts();
        self.0.wait_for_min_cursor(&request.min_cursor).await?;
        let sequence = request.sequence;
        let record =
            read_archive_for(&self.0, &extensions, move |archive, _| archive.get(sequence)).await?;
        let record = record.ok_or_else(|| status::not_found("alert", &sequence.to_string()))?;
        Ok(Response::new(pb::GetAlertResponse { alert: Some(decode(&record)) }))
    }
}

/// The part of a request that must be the same for every page.
fn unpaged(request: &pb::ListAlertsRequest) -> pb::ListAlertsRequest {
    pb::ListAlertsRequest {
        page_token: String::new(),
        page_size: 0,
        min_cursor: String::new(),
        ..request.clone()
    }
}

fn decode(record: &AlertRecord) -> pb::Alert {
    frames::decode(&record.bytes)
}
