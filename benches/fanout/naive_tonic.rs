//! The obvious first version: a broadcast channel, with each message cloned and encoded for every
//! subscriber.

use crate::orders::obey;
use lodewatch::grpc::pb::alert_service_server::{AlertService, AlertServiceServer};
use lodewatch_proto::v1 as pb;
use prost::Message;
use std::pin::Pin;
use tokio::net::TcpListener;
use tokio::sync::broadcast;
use tokio_stream::wrappers::BroadcastStream;
use tokio_stream::{Stream, StreamExt};
use tonic::transport::server::TcpIncoming;
use tonic::{Request, Response, Status};

/// More than may be in flight, so that no message is lost.
const CAPACITY: usize = 65_536;

struct Naive(broadcast::Sender<pb::SubscribeResponse>);

#[tonic::async_trait]
impl AlertService for Naive {
    type SubscribeStream =
        Pin<Box<dyn Stream<Item = Result<pb::SubscribeResponse, Status>> + Send>>;

    async fn subscribe(
        &self,
        _: Request<pb::SubscribeRequest>,
    ) -> Result<Response<Self::SubscribeStream>, Status> {
        let messages = BroadcastStream::new(self.0.subscribe());
        let messages = messages.map(|one| one.map_err(|_| Status::data_loss("messages were lost")));
        Ok(Response::new(Box::pin(messages)))
    }

    async fn list_alerts(
        &self,
        _: Request<pb::ListAlertsRequest>,
    ) -> Result<Response<pb::ListAlertsResponse>, Status> {
        Err(Status::unimplemented("not measured"))
    }

    async fn get_alert(
        &self,
        _: Request<pb::GetAlertRequest>,
    ) -> Result<Response<pb::GetAlertResponse>, Status> {
        Err(Status::unimplemented("not measured"))
    }
}

/// Serves the message in a file, as many times as standard input requests.
pub(crate) async fn serve(file: &str) {
    let message = pb::SubscribeResponse::decode(std::fs::read(file).unwrap().as_slice()).unwrap();
    let (sender, _) = broadcast::channel(CAPACITY);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    eprintln!("listening on {}", listener.local_addr().unwrap());
    let incoming = TcpIncoming::from(listener).with_nodelay(Some(true));
    let service = AlertServiceServer::new(Naive(sender.clone()));
    tokio::spawn(
        tonic::transport::Server::builder().add_service(service).serve_with_incoming(incoming),
    );
    let publish = move |messages| {
        for _ in 0..messages {
            // There may be no subscriber yet.
            let _ = sender.send(message.clone());
        }
    };
    obey(publish).await;
}
