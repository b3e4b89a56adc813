//! `PolicyService`: the rules in force, and what other rules would do.

use super::simulation;
use crate::grpc::backend::Api;
use crate::grpc::codec::{parse, render};
use crate::grpc::pb::{self, policy_service_server::PolicyService};
use crate::grpc::streams;
use std::sync::Arc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status};

pub(super) struct Policies(pub(super) Arc<Api>);

#[tonic::async_trait]
impl PolicyService for Policies {
    type BacktestStream = ReceiverStream<Result<pb::BacktestResponse, Status>>;

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
            settings_error: self.0.settings_error.borrow().clone(),
            revision,
        }))
    }

    async fn simulate(
        &self,
        request: Request<pb::SimulateRequest>,
    ) -> Result<Response<pb::SimulateResponse>, Status> {
        let request = request.into_inner();
        let wanted = parse::simulate(&request)?;
        self.0.wait_for_min_cursor(&request.min_cursor).await?;
        simulation::simulate(&self.0, wanted).await.map(Response::new)
    }

    async fn backtest(
        &self,
        request: Request<pb::BacktestRequest>,
    ) -> Result<Response<Self::BacktestStream>, Status> {
        let (policy, filter) = parse::backtest(&request.into_inner())?;
        let messages = streams::start_backtest(&self.0, policy, filter)?;
        Ok(Response::new(ReceiverStream::new(messages)))
    }
}
