//! `health`: check whether a server is ready, for containers and load balancers.

use crate::cli::error::Error;
use crate::cli::output::print;
use clap::Args;
use lodewatch_client::Servers;
use std::time::Duration;
use tonic::Request;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;

/// A suspended server accepts the connection and never responds.
const RESPONSE_TIMEOUT: Duration = Duration::from_secs(5);

#[derive(Debug, Args)]
pub(crate) struct HealthArgs {
    /// Health service to check. Default: readiness. `lodewatch.live`: the process responds, even
    /// if its journal is unreachable. `lodewatch.durability`: acknowledged writes are verified to
    /// be on disk.
    #[arg(long, default_value = "", hide_default_value = true, value_name = "NAME")]
    service: String,
}

/// Calls `grpc.health.v1` once and prints the status; any other than SERVING is a failure.
pub(crate) async fn run(servers: &Servers, args: HealthArgs) -> Result<(), Error> {
    let mut client = HealthClient::new(servers.connect().await?);
    let mut request = Request::new(HealthCheckRequest { service: args.service });
    request.set_timeout(RESPONSE_TIMEOUT);
    let response = client.check(request).await.map_err(Error::call("check the server's health"))?;
    match response.into_inner().status() {
        ServingStatus::Serving => Ok(print::line(ServingStatus::Serving.as_str_name())?),
        status @ (ServingStatus::NotServing
        | ServingStatus::Unknown
        | ServingStatus::ServiceUnknown) => Err(Error::NotReady { status: status.as_str_name() }),
    }
}
