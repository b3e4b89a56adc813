//! `PolicyService`: the rules in force, and markets and alerts as they would be under hypothetical
//! updates or other rules.

use crate::escape::shorten;
use crate::grpc::admission::Peer;
use crate::grpc::backend::{Api, CallEnd, run_with_permit, viewpoint};
use crate::grpc::codec::pages::Page;
use crate::grpc::codec::parse;
use crate::grpc::codec::render::{self, Viewpoint, known_markets};
use crate::grpc::pb::{self, policy_service_server::PolicyService};
use crate::grpc::streams::{self, WorkStream};
use lodewatch_core::domain::policy::Destination;
use lodewatch_core::engine::State;
use lodewatch_core::engine::simulation::Simulation;
use prost::Message;
use std::sync::Arc;
use tonic::{Extensions, Request, Response, Status};

/// Alerts of one simulation's response, which says how many there are in all.
const ALERTS_MAX: usize = 1000;

/// Characters of the settings' errors.
const ERROR_CHARS_MAX: usize = 4096;

pub(super) struct Policies(pub(super) Arc<Api>);

#[tonic::async_trait]
impl PolicyService for Policies {
    type BacktestStream = WorkStream<pb::BacktestResponse>;

    async fn get_policy(
        &self,
        request: Request<pb::GetPolicyRequest>,
    ) -> Result<Response<pb::GetPolicyResponse>, Status> {
        self.0.wait_for_min_cursor(&request.into_inner().min_cursor).await?;
        let (policy, revision, entry) = self.0.view.read_state(|state| {
            let adopted = state.adopted();
            let policy = adopted.map(|one| render::policy(&one.policy, one.version, one.at));
            (policy, adopted.map_or(0, |one| one.revision), state.seq())
        });
        Ok(Response::new(pb::GetPolicyResponse {
            policy: Some(policy.unwrap_or_default()),
            cursor: self.0.cursor(entry),
            settings_error: shorten(&self.0.settings_error.borrow(), ERROR_CHARS_MAX),
            revision,
        }))
    }

    async fn simulate(
        &self,
        request: Request<pb::SimulateRequest>,
    ) -> Result<Response<pb::SimulateResponse>, Status> {
        let (_, extensions, request) = request.into_parts();
        let wanted = parse::simulate(&request)?;
        self.0.wait_for_min_cursor(&request.min_cursor).await?;
        run_simulation(&self.0, &extensions, wanted).await.map(Response::new)
    }

    async fn backtest(
        &self,
        request: Request<pb::BacktestRequest>,
    ) -> Result<Response<Self::BacktestStream>, Status> {
        let (policy, filter) = parse::backtest(request.get_ref())?;
        let messages = streams::start_backtest(&self.0, request.extensions(), policy, filter)?;
        Ok(Response::new(messages))
    }
}

async fn run_simulation(
    api: &Arc<Api>,
    request: &Extensions,
    wanted: parse::SimulateParams,
) -> Result<pb::SimulateResponse, Status> {
    let permit = api.simulations.permits.acquire(Peer::of(request))?;
    let call = CallEnd::of(api, request);
    let api = Arc::clone(api);
    run_with_permit(permit, call, move |call| simulate(&api, wanted, call)).await
}

fn simulate(
    api: &Api,
    wanted: parse::SimulateParams,
    call: &CallEnd,
) -> Result<pb::SimulateResponse, Status> {
    // The pipeline waits for one copy only; the other is made from it.
    let before = api.view.read_state(State::branch);
    let budget = api.simulations.budget();
    let mut simulation =
        Simulation::new(before.branch(), budget.meter(call), wanted.filter, ALERTS_MAX);
    let result = simulation.apply(wanted.input);
    api.metrics.work.count_evaluations(simulation.state.work().spent());
    result.map_err(|error| budget.status(&error, call))?;
    // Half of the response for markets, the rest for alerts.
    let mut changes = changed_markets(&before, &simulation.state, &wanted.destination)?.peekable();
    let mut page = Page::new(Page::BYTES / 2, usize::MAX);
    let markets = page.fill(&mut changes, Message::encoded_len);
    let markets_total = markets.len().saturating_add(changes.count());
    let used = markets.iter().map(Message::encoded_len).fold(0, usize::saturating_add);
    let mut page = Page::new(Page::BYTES.saturating_sub(used), ALERTS_MAX);
    let mut shown = simulation.alerts.iter().map(|alert| render::alert(alert, "")).peekable();
    Ok(pb::SimulateResponse {
        markets,
        markets_total: u64::try_from(markets_total).unwrap_or(u64::MAX),
        alerts: page.fill(&mut shown, Message::encoded_len),
        alerts_total: simulation.alerts_total,
        cursor: api.cursor(before.seq()),
        journal_time: Some(render::timestamp(simulation.state.now())),
    })
}

/// The markets that differ.
fn changed_markets<'a>(
    before: &'a State,
    after: &'a State,
    destination: &'a Destination,
) -> Result<impl Iterator<Item = pb::MarketChange> + 'a, Status> {
    // The hypothetical policy may define a bloc that the one in force does not have.
    let then = Viewpoint::new(before, destination);
    let now = viewpoint(after, destination)?;
    let known = known_markets(before);
    let mut keys = known_markets(after);
    keys.extend(&known);
    let changes = keys.into_iter().filter_map(move |key| {
        let before = then.as_ref().filter(|_| known.contains(&key)).map(|view| view.market(key));
        let after = Some(now.market(key));
        (before != after).then_some(pb::MarketChange { before, after })
    });
    Ok(changes)
}
