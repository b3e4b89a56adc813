//! `health`: whether a server is ready, as containers and load balancers ask it.

use super::arguments::Health;
use super::error::Error;
use super::output;
use lodewatch_client::Servers;
use std::time::Duration;
use tonic::Request;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;

/// How long an answer may take. A server that is stopped takes the connection and never answers.
const ANSWER_BOUND: Duration = Duration::from_secs(5);

/// Asks `grpc.health.v1` once and prints the answer. Whatever is not SERVING is a failure.
pub(super) async fn run(servers: &Servers, arguments: &Health) -> Result<(), Error> {
    let service = arguments.service.clone();
    let mut client = HealthClient::new(servers.connect().await?);
    let mut request = Request::new(HealthCheckRequest { service });
    request.set_timeout(ANSWER_BOUND);
    let answer = client.check(request).await.map_err(Error::refused("asking for its health"))?;
    match answer.into_inner().status() {
        ServingStatus::Serving => Ok(output::line(ServingStatus::Serving.as_str_name())?),
        status @ (ServingStatus::NotServing
        | ServingStatus::Unknown
        | ServingStatus::ServiceUnknown) => Err(Error::Unwell { status: status.as_str_name() }),
    }
}
