//! A server of its own for every test, on a port of its own, with a clock that is driven by hand.

use crate::PATIENCE;
use lodewatch::clock::{Clock, ManualClock};
use lodewatch::config::Config;
use lodewatch::pipeline::PipelineView;
use lodewatch::server::{Error, Node};
use lodewatch_client::{Credentials, Servers};
use lodewatch_core::domain::Timestamp;
use lodewatch_proto::v1::alert_service_client::AlertServiceClient;
use lodewatch_proto::v1::feed_service_client::FeedServiceClient;
use lodewatch_proto::v1::market_service_client::MarketServiceClient;
use lodewatch_proto::v1::subscribe_response::Message;
use lodewatch_proto::v1::{
    Alert, ListAlertsRequest, Order, PublishRequest, PublishResponse, SubscribeRequest,
    SubscribeResponse, Update,
};
use std::path::Path;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tonic::transport::Channel;
use tonic::{Status, Streaming};
use uuid::Uuid;

/// A running server and a connection to it.
pub struct Server {
    pub address: String,
    pub channel: Channel,
    pub view: PipelineView,
    hand: ManualClock,
    drain: CancellationToken,
    serving: JoinHandle<Result<(), Error>>,
}

impl Server {
    /// Starts on a directory with the default settings, at an instant.
    pub async fn start(dir: &Path, now: &str) -> Self {
        Self::start_with(dir, now, |_| {}).await
    }

    /// Starts with other settings.
    pub async fn start_with(dir: &Path, now: &str, change: impl FnOnce(&mut Config)) -> Self {
        Self::start_for(dir, now, Credentials::default(), change).await
    }

    /// Starts with other settings, for connections that show or trust something.
    pub async fn start_for(
        dir: &Path,
        now: &str,
        credentials: Credentials,
        change: impl FnOnce(&mut Config),
    ) -> Self {
        let mut config = Config { data_dir: dir.to_owned(), ..Config::built_in() };
        config.console.listen = None;
        change(&mut config);
        let (clock, hand) = Clock::manual(instant(now));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let node = Node::open(config, clock).await.unwrap();
        let view = node.view().clone();
        let drain = CancellationToken::new();
        let serving = tokio::spawn(node.serve(listener, drain.clone()));
        let servers = Servers::parse_with_credentials([address.as_str()], credentials).unwrap();
        let channel = servers.channel().await.unwrap();
        Self { address, channel, view, hand, drain, serving }
    }

    /// Turns the clock, and waits until everything due by then has happened.
    pub async fn turn_to(&self, now: &str) {
        self.hand.set(instant(now));
        let done = self.view.wait_for_due(instant(now));
        tokio::time::timeout(PATIENCE, done).await.unwrap();
    }

    /// Sets the clock without any time passing, as an operator or a broken machine does.
    pub fn jump_clock(&self, to: &str) {
        self.hand.jump(instant(to));
    }

    /// Shuts down as SIGTERM does, and waits for the end.
    pub async fn stop(self) {
        drop(self.channel);
        self.drain.cancel();
        tokio::time::timeout(PATIENCE, self.serving).await.unwrap().unwrap().unwrap();
    }

    /// Asks the server to shut down.
    pub fn drain(&self) {
        self.drain.cancel();
    }

    pub fn servers(&self) -> Servers {
        Servers::parse([self.address.as_str()]).unwrap()
    }

    pub fn feed(&self) -> FeedServiceClient<Channel> {
        FeedServiceClient::new(self.channel.clone())
    }

    pub fn alerts(&self) -> AlertServiceClient<Channel> {
        AlertServiceClient::new(self.channel.clone())
    }

    pub fn markets(&self) -> MarketServiceClient<Channel> {
        MarketServiceClient::new(self.channel.clone())
    }

    /// Publishes one batch under a new request id.
    pub async fn publish(&self, updates: Vec<Update>) -> Result<PublishResponse, Status> {
        self.feed().publish(batch(updates)).await.map(tonic::Response::into_inner)
    }

    /// All alerts of the history, including exercises, oldest first.
    pub async fn all_alerts(&self) -> Vec<Alert> {
        use lodewatch_proto::v1::{AlertFilter, Exercises};
        let filter = AlertFilter { exercises: Exercises::Include.into(), ..AlertFilter::default() };
        let mut request = ListAlertsRequest {
            filter: Some(filter),
            order: Order::OldestFirst.into(),
            page_size: 1000,
            ..ListAlertsRequest::default()
        };
        let mut alerts = Vec::new();
        loop {
            let page = self.alerts().list_alerts(request.clone()).await.unwrap().into_inner();
            alerts.extend(page.alerts);
            if page.next_page_token.is_empty() {
                return alerts;
            }
            request.page_token = page.next_page_token;
        }
    }

    /// Opens a subscription.
    pub async fn subscribe(&self, request: SubscribeRequest) -> Result<Stream, Status> {
        Stream::on(self.channel.clone(), request).await
    }
}

/// A subscription as a test reads it.
pub struct Stream(Streaming<SubscribeResponse>);

impl Stream {
    /// Opens one.
    pub async fn on(channel: Channel, request: SubscribeRequest) -> Result<Self, Status> {
        let response = AlertServiceClient::new(channel).subscribe(request).await?;
        Ok(Self(response.into_inner()))
    }

    /// One that is open.
    pub fn of(stream: Streaming<SubscribeResponse>) -> Self {
        Self(stream)
    }

    /// The next message.
    pub async fn next(&mut self) -> Result<SubscribeResponse, Status> {
        let message = tokio::time::timeout(PATIENCE, self.0.message()).await;
        message.expect("a message in time")?.ok_or_else(|| Status::ok("the stream has ended"))
    }

    /// Reads until a message of the wanted kind; gives the alerts on the way, and that message.
    pub async fn until(
        &mut self,
        wanted: impl Fn(&Message) -> bool,
    ) -> (Vec<Alert>, SubscribeResponse) {
        let mut alerts = Vec::new();
        loop {
            let response = self.next().await.unwrap();
            if let Some(Message::Alerts(more)) = &response.message {
                alerts.extend(more.alerts.iter().cloned());
            }
            if wanted(response.message.as_ref().unwrap()) {
                return (alerts, response);
            }
        }
    }

    /// Reads until everything up to the head was sent.
    pub async fn until_caught_up(&mut self) -> (Vec<Alert>, String) {
        let (alerts, last) = self.until(|message| matches!(message, Message::CaughtUp(_))).await;
        (alerts, last.cursor)
    }

    /// Reads on until an alert of this sequence came.
    pub async fn until_alert(&mut self, sequence: u64) -> (Vec<Alert>, String) {
        let last =
            |alerts: &lodewatch_proto::v1::Alerts| alerts.alerts.last().map(|alert| alert.sequence);
        let reached = |message: &Message| match message {
            Message::Alerts(alerts) => last(alerts) >= Some(sequence),
            _ => false,
        };
        let (alerts, response) = self.until(reached).await;
        (alerts, response.cursor)
    }
}

/// One batch under a new request id.
pub fn batch(updates: Vec<Update>) -> PublishRequest {
    PublishRequest {
        request_id: Uuid::new_v4().to_string(),
        feed: "test".to_owned(),
        updates,
        exercise: false,
    }
}

pub fn instant(text: &str) -> Timestamp {
    if text.contains('T') {
        text.parse().unwrap()
    } else {
        format!("{text}T00:00:00Z").parse().unwrap()
    }
}
