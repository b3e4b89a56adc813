//! `AlertService`: what comes out.

use super::api::Api;
use super::pb::{self, alert_service_server::AlertService};
use super::peer::Peer;
use super::{body, page, parse, status, subscription};
use crate::archive::{self, Query, Record};
use crate::pipeline::PipelineView;
use std::sync::Arc;
use tonic::{Request, Response, Status};

/// Streams alerts and answers for history.
pub(super) struct Alerts(pub(super) Arc<Api>);

#[tonic::async_trait]
impl AlertService for Alerts {
    /// The messages go as frames, beside this.
    type SubscribeStream = tokio_stream::Empty<Result<pb::SubscribeResponse, Status>>;

    async fn subscribe(
        &self,
        request: Request<pb::SubscribeRequest>,
    ) -> Result<Response<Self::SubscribeStream>, Status> {
        let permit = self.0.limits.stream(Peer::of(request.extensions()))?;
        let frames = subscription::open(&self.0, &request, permit).await?;
        Ok(body::carry(tokio_stream::empty(), frames))
    }

    async fn list_alerts(
        &self,
        request: Request<pb::ListAlertsRequest>,
    ) -> Result<Response<pb::ListAlertsResponse>, Status> {
        let request = request.into_inner();
        let wanted = parse::list_alerts(&request)?;
        let token = page::parse(&request.page_token, page::digest(&unpaged(&request)))?;
        self.0.settle(&request.min_cursor).await?;
        let head = self.0.view.applied();
        let limit = wanted.page_size;
        let query = Query {
            filter: wanted.filter,
            episode: wanted.episode,
            newest_first: wanted.newest_first,
            after_sequence: token,
            until_entry: head,
            // One more than asked for tells whether there is a next page.
            limit: limit.saturating_add(1),
        };
        let mut records = self.find(query, wanted.open_only).await?;
        let more = records.len() > limit;
        records.truncate(limit);
        let next_page_token = match records.last() {
            Some(last) if more => page::render(last.sequence, page::digest(&unpaged(&request))),
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
        self.0.settle(&request.min_cursor).await?;
        let sequence = request.sequence;
        let record = read(&self.0.view, move |archive| archive.get(sequence)).await?;
        let record = record.ok_or_else(|| status::not_found("alert", &sequence.to_string()))?;
        Ok(Response::new(pb::GetAlertResponse { alert: Some(decode(&record)) }))
    }
}

impl Alerts {
    async fn find(&self, query: Query, open_only: bool) -> Result<Vec<Record>, Status> {
        if !open_only {
            return read(&self.0.view, move |archive| archive.list(&query)).await;
        }
        let open: Vec<u64> =
            self.0.view.read_state(crate::engine::State::open_alerts).into_iter().collect();
        let mut records = read(&self.0.view, move |archive| archive.get_many(&open)).await?;
        let episode =
            |record: &Record| query.episode.is_none_or(|episode| record.episode == episode);
        let after = |record: &Record| match query.after_sequence {
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

/// The request as it must be the same for every page.
fn unpaged(request: &pb::ListAlertsRequest) -> pb::ListAlertsRequest {
    pb::ListAlertsRequest {
        page_token: String::new(),
        page_size: 0,
        min_cursor: String::new(),
        ..request.clone()
    }
}

/// Reads the archive on a thread that may block.
pub(super) async fn read<T: Send + 'static>(
    view: &PipelineView,
    read: impl FnOnce(&archive::Reader) -> Result<T, archive::Error> + Send + 'static,
) -> Result<T, Status> {
    let archive = view.archive().clone();
    let result = tokio::task::spawn_blocking(move || read(&archive)).await;
    result.expect("reading the archive does not panic").map_err(|error| status::archive(&error))
}

/// The alert as it was archived.
pub(super) fn decode(record: &Record) -> pb::Alert {
    super::decode(&record.bytes)
}
