//! `MarketService`: markets and threats, now or as they were.

use crate::grpc::admission::Peer;
use crate::grpc::backend::{Api, read_past_state, viewpoint};
use crate::grpc::codec::pages::Page;
use crate::grpc::codec::render::{self, is_known_market, known_markets, threat_record};
use crate::grpc::codec::{parse, tokens};
use crate::grpc::pb::{self, market_service_server::MarketService};
use crate::grpc::status;
use crate::grpc::streams::{self, WatchStream};
use crate::grpc::transport::Deadline;
use lodewatch_core::domain::Slug;
use lodewatch_core::engine::{State, ThreatRecord};
use prost::Message;
use std::sync::Arc;
use tonic::{Extensions, Request, Response, Status};

pub(super) struct Markets(pub(super) Arc<Api>);

#[tonic::async_trait]
impl MarketService for Markets {
    async fn list_markets(
        &self,
        request: Request<pb::ListMarketsRequest>,
    ) -> Result<Response<pb::ListMarketsResponse>, Status> {
        let (_, extensions, request) = request.into_parts();
        let wanted = parse::list_markets(&request)?;
        let unpaged = pb::ListMarketsRequest {
            page_token: String::new(),
            page_size: 0,
            min_cursor: String::new(),
            ..request.clone()
        };
        let digest = tokens::request_digest("ListMarkets", &unpaged);
        let skip = tokens::parse_page_token(&request.page_token, digest)?.unwrap_or(0);
        let at = (request.min_cursor, request.as_of);
        let response = self.read_state(&at, &extensions, move |api, state| -> Result<_, Status> {
            let viewpoint = viewpoint(state, &wanted.destination)?;
            let keys = known_markets(state);
            let keys = keys.into_iter().filter(|key| wanted.filter.covers(*key));
            let market = |key| viewpoint.market(key);
            let (markets, next) = paged(keys, skip, wanted.page_size, market);
            Ok(pb::ListMarketsResponse {
                markets,
                next_page_token: next
                    .map_or_else(String::new, |next| tokens::render_page_token(next, digest)),
                cursor: api.cursor(state.seq()),
                journal_time: Some(render::timestamp(state.now())),
                weights: viewpoint.weights(),
            })
        });
        Ok(Response::new(response.await??))
    }

    async fn get_market(
        &self,
        request: Request<pb::GetMarketRequest>,
    ) -> Result<Response<pb::GetMarketResponse>, Status> {
        let (_, extensions, request) = request.into_parts();
        let (key, destination) = parse::get_market(&request)?;
        let at = (request.min_cursor, request.as_of);
        let response = self.read_state(&at, &extensions, move |api, state| -> Result<_, Status> {
            let viewpoint = viewpoint(state, &destination)?;
            if !is_known_market(state, key) {
                return Err(status::not_found("market", &key.to_string()));
            }
            Ok(pb::GetMarketResponse {
                market: Some(viewpoint.market(key)),
                cursor: api.cursor(state.seq()),
                journal_time: Some(render::timestamp(state.now())),
                weights: viewpoint.weights(),
            })
        });
        Ok(Response::new(response.await??))
    }

    type WatchMarketsStream = WatchStream;

    async fn watch_markets(
        &self,
        request: Request<pb::WatchMarketsRequest>,
    ) -> Result<Response<WatchStream>, Status> {
        let wanted = parse::watch_markets(request.get_ref())?;
        if self.0.drain.is_cancelled() {
            return Err(status::draining());
        }
        let revocation = Peer::of(request.extensions()).revocation();
        let deadline = Deadline::of(request.extensions());
        self.0.wait_for_min_cursor(&request.get_ref().min_cursor).await?;
        let head = self.0.view.applied();
        let first = self.0.market_snapshots.get(&self.0.view, &wanted.destination, head).await?;
        let api = Arc::clone(&self.0);
        let watch = streams::watch_markets(api, wanted, first, revocation, deadline);
        Ok(Response::new(watch))
    }

    async fn list_threats(
        &self,
        request: Request<pb::ListThreatsRequest>,
    ) -> Result<Response<pb::ListThreatsResponse>, Status> {
        let request = request.into_inner();
        let wanted = parse::list_threats(&request)?;
        let unpaged = pb::ListThreatsRequest {
            page_token: String::new(),
            page_size: 0,
            min_cursor: String::new(),
            ..request.clone()
        };
        let digest = tokens::request_digest("ListThreats", &unpaged);
        let skip = tokens::parse_page_token(&request.page_token, digest)?.unwrap_or(0);
        self.0.wait_for_min_cursor(&request.min_cursor).await?;
        let response = self.0.view.read_state(|state| {
            let today = state.now().day();
            let records = state.threats().values();
            let records = records.filter(|record| wanted.covers(&record.threat, today));
            let threat = |record: &Arc<ThreatRecord>| threat_record(state, record);
            let (threats, next) = paged(records, skip, wanted.page_size, threat);
            pb::ListThreatsResponse {
                threats,
                next_page_token: next
                    .map_or_else(String::new, |next| tokens::render_page_token(next, digest)),
                cursor: self.0.cursor(state.seq()),
                journal_time: Some(render::timestamp(state.now())),
            }
        });
        Ok(Response::new(response))
    }

    async fn get_threat(
        &self,
        request: Request<pb::GetThreatRequest>,
    ) -> Result<Response<pb::GetThreatResponse>, Status> {
        let request = request.into_inner();
        parse::check_length("threat_id", &request.threat_id)?;
        self.0.wait_for_min_cursor(&request.min_cursor).await?;
        let response = self.0.view.read_state(|state| {
            let id = Slug::parse(&request.threat_id);
            let record: Option<&ThreatRecord> =
                id.and_then(|id| state.threats().get(&id)).map(|record| &**record);
            let record = record.ok_or_else(|| status::not_found("threat", &request.threat_id))?;
            Ok::<_, Status>(pb::GetThreatResponse {
                threat: Some(threat_record(state, record)),
                cursor: self.0.cursor(state.seq()),
                journal_time: Some(render::timestamp(state.now())),
            })
        })?;
        Ok(Response::new(response))
    }
}

impl Markets {
    /// Reads the state: once `min_cursor` is applied, or as it was at `as_of`.
    async fn read_state<T: Send + 'static>(
        &self,
        (min_cursor, as_of): &(String, String),
        request: &Extensions,
        look: impl FnOnce(&Api, &State) -> T + Send + 'static,
    ) -> Result<T, Status> {
        self.0.wait_for_min_cursor(min_cursor).await?;
        if as_of.is_empty() {
            return Ok(self.0.view.read_state(|state| look(&self.0, state)));
        }
        let api = Arc::clone(&self.0);
        read_past_state(&self.0, as_of, request, move |state| look(&api, state)).await
    }
}

/// The items of one page, and where the next begins if there is one. Renders no more items than
/// fit, and one.
fn paged<T, M: Message>(
    items: impl Iterator<Item = T>,
    skip: u64,
    size: usize,
    render: impl Fn(T) -> M,
) -> (Vec<M>, Option<u64>) {
    let from = usize::try_from(skip).unwrap_or(usize::MAX);
    let mut items = items.skip(from).map(render).peekable();
    let page = Page::of_response(size).fill(&mut items, Message::encoded_len);
    let next = u64::try_from(from.saturating_add(page.len())).unwrap_or(u64::MAX);
    (page, items.peek().is_some().then_some(next))
}
