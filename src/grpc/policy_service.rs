//! `PolicyService`: the rules in force.

use super::api::Api;
use super::pb::{self, policy_service_server::PolicyService};
use super::render;
use std::sync::Arc;
use tonic::{Request, Response, Status};

/// Answers for the policy.
pub(super) struct Policies(pub(super) Arc<Api>);

#[tonic::async_trait]
impl PolicyService for Policies {
    async fn get_policy(
        &self,
        request: Request<pb::GetPolicyRequest>,
    ) -> Result<Response<pb::GetPolicyResponse>, Status> {
        self.0.settle(&request.into_inner().min_cursor).await?;
        let (policy, entry) = self.0.view.look(|state| {
            let policy =
                state.adopted().map(|one| render::policy(&one.policy, one.version, one.at));
            (policy, state.seq())
        });
        let policy = Some(policy.unwrap_or_default());
        Ok(Response::new(pb::GetPolicyResponse { policy, cursor: self.0.cursor(entry) }))
    }
}
