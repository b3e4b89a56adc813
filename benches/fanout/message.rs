//! The message that every server forwards: bytes that the real server encoded.

use crate::shared::lodewatch::Server;
use lodewatch_proto::v1 as pb;
use pb::alert_service_client::AlertServiceClient;
use prost::Message as _;
use std::path::PathBuf;
use tempfile::TempDir;

/// A message, and a file that holds it for the servers in other processes.
pub(crate) struct Message {
    pub(crate) bytes: Vec<u8>,
    pub(crate) file: PathBuf,
    _dir: TempDir,
}

impl Message {
    /// The alert that a first update causes.
    pub(crate) async fn make() -> Self {
        let mut server = Server::start().await;
        server.publish(1).await;
        server.settle().await;
        let channel = lodewatch_client::connect(&server.process.address).await.unwrap();
        let list = pb::ListAlertsRequest { page_size: 1000, ..pb::ListAlertsRequest::default() };
        let list = AlertServiceClient::new(channel).list_alerts(list).await.unwrap().into_inner();
        assert_eq!(list.alerts.len(), 1, "one alert for each update");
        let alerts = pb::Alerts { alerts: list.alerts, more: false, snapshot: false };
        let message = Some(pb::subscribe_response::Message::Alerts(alerts));
        let bytes = pb::SubscribeResponse { cursor: list.cursor, message }.encode_to_vec();
        let dir = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
        let file = dir.path().join("message");
        std::fs::write(&file, &bytes).unwrap();
        Self { bytes, file, _dir: dir }
    }

    /// With the gRPC header, as most servers send it.
    pub(crate) fn framed(&self) -> Vec<u8> {
        framed(&self.bytes)
    }
}

/// A gRPC message on the wire.
pub(crate) fn framed(message: &[u8]) -> Vec<u8> {
    let mut framed = vec![0];
    framed.extend(u32::try_from(message.len()).unwrap().to_be_bytes());
    framed.extend(message);
    framed
}
