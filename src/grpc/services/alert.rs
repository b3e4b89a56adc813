//! `AlertService`: alerts go out, live and from history.

use crate::archive::{AlertQuery, AlertRecord};
use crate::grpc::backend::{Api, read_archive};
use crate::grpc::codec::{frames, parse, tokens};
use crate::grpc::pb::{self, alert_service_server::AlertService};
use crate::grpc::transport::respond_with;
use crate::grpc::{status, streams};
use lodewatch_core::engine::State;
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
        let request = request.into_inner();
        let wanted = parse::list_alerts(&request)?;
        let digest = tokens::request_digest(&unpaged(&request));
        let token = tokens::parse_page_token(&request.page_token, digest)?;
        self.0.wait_for_min_cursor(&request.min_cursor).await?;
        let head = self.0.view.applied();
        let limit = wanted.page_size;
        let query = AlertQuery {
            filter: wanted.filter,
            episode: wanted.episode,
            newest_first: wanted.newest_first,
            after_sequence: token,
            until_entry: head,
            // One more than asked for shows whether there is a next page.
            limit: limit.saturating_add(1),
        };
        let mut records = self.find(query, wanted.open_only).await?;
        let more = records.len() > limit;
        records.truncate(limit);
        let next_page_token = match records.last() {
            Some(last) if more => tokens::render_page_token(last.sequence, digest),
            Some(_) | None => String::new(),
        };
        Ok(Response::new(pb::ListAlertsResponse {
            alerts: records.iter().map(decode).collect(),
            next_page_token,
            cursor: self.0.cursor(head),
        }))
    }

    async fn get_alert(
        &self,
        request: Request<pb::GetAlertRequest>,
    ) -> Result<Response<pb::GetAlertResponse>, Status> {
        let request = request.into_inner();
        self.0.wait_for_min_cursor(&request.min_cursor).await?;
        let sequence = request.sequence;
        let record = read_archive(&self.0.view, move |archive| archive.get(sequence)).await?;
        let record = record.ok_or_else(|| status::not_found("alert", &sequence.to_string()))?;
        Ok(Response::new(pb::GetAlertResponse { alert: Some(decode(&record)) }))
    }
}

impl Alerts {
    async fn find(&self, query: AlertQuery, open_only: bool) -> Result<Vec<AlertRecord>, Status> {
        if !open_only {
            return read_archive(&self.0.view, move |archive| archive.list(&query)).await;
        }
        let open: Vec<u64> = self.0.view.read_state(State::open_alerts).into_iter().collect();
        let mut records =
            read_archive(&self.0.view, move |archive| archive.get_many(&open)).await?;
        let episode =
            |record: &AlertRecord| query.episode.is_none_or(|episode| record.episode == episode);
        let after = |record: &AlertRecord| match query.after_sequence {
            None => true,
            Some(after) if query.newest_first => record.sequence < after,
            Some(after) => record.sequence > after,
        };
        records.retain(|record| {
            query.filter.wants(&record.facets) && episode(record) && after(record)
        });
        if query.newest_first {
            records.reverse();
        }
        records.truncate(query.limit);
        Ok(records)
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
