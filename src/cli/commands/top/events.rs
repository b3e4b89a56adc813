//! Follows the servers for the board: two streams that resume by themselves, and queries when data
//! may have changed.

use super::board::{Event, MarketKey, Stream};
use crate::cli::calls;
use crate::cli::error::Error;
use lodewatch_client::{Connection, MarketWatch, Servers, StreamEvent, Subscription};
use lodewatch_proto::v1::subscribe_response::Message;
use lodewatch_proto::v1::{
    AlertFilter, ListThreatsRequest, OnGap, Start, SubscribeRequest, WatchMarketsRequest,
};
use std::time::Duration;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tonic::Status;

/// The streams count as lost after twice this time without a message.
const HEARTBEAT_SECONDS: u32 = 5;
/// Minimum time between two rounds of queries.
const QUERY_INTERVAL: Duration = Duration::from_millis(500);
/// Past alerts that are read at the start.
const PAST_ALERTS: u32 = 100;
/// Events that wait to be drawn; beyond it the streams wait, and the server conflates markets.
const EVENTS_MAX: usize = 64;

/// The events of the servers. Its tasks end when it is dropped.
pub(super) struct EventSource {
    events_rx: mpsc::Receiver<Result<Event, Error>>,
    market_tx: watch::Sender<Option<MarketKey>>,
    _tasks: JoinSet<()>,
}

impl EventSource {
    pub(super) fn start(servers: &Servers, destination: &str) -> Self {
        let (events_tx, events_rx) = mpsc::channel(EVENTS_MAX);
        let (market_tx, market_rx) = watch::channel(None);
        let (moved_tx, moved_rx) = watch::channel(());
        let follower =
            Follower { servers: servers.clone(), destination: destination.to_owned(), events_tx };
        let mut tasks = JoinSet::new();
        let (markets, alerts) = (follower.clone(), follower.clone());
        tasks
            .spawn(async move { markets.report_end(markets.follow_markets(moved_tx).await).await });
        tasks.spawn(async move { alerts.report_end(alerts.follow_alerts().await).await });
        tasks.spawn(async move {
            follower.report_end(follower.query_repeatedly(moved_rx, market_rx).await).await;
        });
        Self { events_rx, market_tx, _tasks: tasks }
    }

    /// The next event. Cancel safe.
    ///
    /// # Errors
    ///
    /// An error that a retry cannot fix.
    pub(super) async fn next(&mut self) -> Result<Event, Error> {
        self.events_rx.recv().await.expect("a task sends why it ends")
    }

    /// The next event if it has arrived already.
    pub(super) fn try_next(&mut self) -> Option<Result<Event, Error>> {
        self.events_rx.try_recv().ok()
    }

    /// The market whose page is needed from now on.
    pub(super) fn request_market(&self, market: Option<MarketKey>) {
        self.market_tx.send_replace(market);
    }
}

#[derive(Clone)]
struct Follower {
    servers: Servers,
    destination: String,
    events_tx: mpsc::Sender<Result<Event, Error>>,
}

/// The board is gone.
struct ReceiverGone;

/// Why a task ends.
enum TaskEnd {
    ReceiverGone,
    Failed(Error),
}

impl From<ReceiverGone> for TaskEnd {
    fn from(_: ReceiverGone) -> Self {
        Self::ReceiverGone
    }
}

impl Follower {
    async fn send(&self, event: Event) -> Result<(), ReceiverGone> {
        self.events_tx.send(Ok(event)).await.map_err(|_| ReceiverGone)
    }

    async fn report_end(&self, ended: Result<(), TaskEnd>) {
        if let Err(TaskEnd::Failed(error)) = ended {
            // Without a receiver the error has no reader.
            let _ = self.events_tx.send(Err(error)).await;
        }
    }

    /// Sends on `moved_tx` when the results of the queries may have changed.
    async fn follow_markets(&self, moved_tx: watch::Sender<()>) -> Result<(), TaskEnd> {
        let request = WatchMarketsRequest {
            destination: self.destination.clone(),
            heartbeat_seconds: HEARTBEAT_SECONDS,
            ..WatchMarketsRequest::default()
        };
        let mut watch = MarketWatch::new(self.servers.clone(), request);
        let mut cursor = String::new();
        let mut is_lost = false;
        loop {
            match watch.next().await.map_err(failed("watch markets"))? {
                StreamEvent::Message(message) => {
                    if std::mem::take(&mut is_lost) {
                        self.send(Event::Resumed(Stream::Markets)).await?;
                    }
                    if message.cursor != cursor {
                        cursor.clone_from(&message.cursor);
                        moved_tx.send_replace(());
                    }
                    self.send(Event::Markets(message)).await?;
                }
                StreamEvent::Disconnected(status) => {
                    is_lost = true;
                    // Queries may have failed meanwhile: repeat them after the next message.
                    cursor.clear();
                    let reason = status.message().to_owned();
                    self.send(Event::Lost(Stream::Markets, reason)).await?;
                }
            }
        }
    }

    /// Sends the latest alerts, then every new one.
    async fn follow_alerts(&self) -> Result<(), TaskEnd> {
        let destinations = match self.destination.as_str() {
            "all" => Vec::new(),
            one => vec![one.to_owned()],
        };
        let filter = AlertFilter { destinations, ..AlertFilter::default() };
        let connection =
            self.servers.connect().await.map_err(|error| TaskEnd::Failed(error.into()))?;
        let past = calls::list_latest_alerts(connection, filter.clone(), PAST_ALERTS).await;
        let (past, cursor) = past.map_err(failed("list alerts"))?;
        self.send(Event::Alerts(past)).await?;
        let request = SubscribeRequest {
            filter: Some(filter),
            start: Start::Cursor.into(),
            cursor,
            heartbeat_seconds: HEARTBEAT_SECONDS,
            on_gap: OnGap::Reset.into(),
        };
        let mut subscription = Subscription::new(self.servers.clone(), request);
        let mut is_lost = false;
        loop {
            match subscription.next().await.map_err(failed("subscribe to alerts"))? {
                StreamEvent::Message(message) => {
                    if std::mem::take(&mut is_lost) {
                        self.send(Event::Resumed(Stream::Alerts)).await?;
                    }
                    if let Some(Message::Alerts(alerts)) = message.message {
                        self.send(Event::Alerts(alerts.alerts)).await?;
                    }
                }
                StreamEvent::Disconnected(status) => {
                    is_lost = true;
                    let reason = status.message().to_owned();
                    self.send(Event::Lost(Stream::Alerts, reason)).await?;
                }
            }
        }
    }

    /// Queries threats and the requested market whenever they may have changed.
    async fn query_repeatedly(
        &self,
        mut moved_rx: watch::Receiver<()>,
        mut market_rx: watch::Receiver<Option<MarketKey>>,
    ) -> Result<(), TaskEnd> {
        let mut connection = None;
        loop {
            let market = market_rx.borrow_and_update().clone();
            match self.query(connection.take(), market).await {
                Ok((open, events)) => {
                    connection = Some(open);
                    for event in events {
                        self.send(event).await?;
                    }
                }
                // The streams report a lost server, and when it is back.
                Err(error) if error.is_transient() => {}
                Err(error) => return Err(TaskEnd::Failed(error)),
            }
            let due = async {
                moved_rx.changed().await.map_err(|_| ReceiverGone)?;
                tokio::time::sleep(QUERY_INTERVAL).await;
                Ok::<_, ReceiverGone>(())
            };
            tokio::select! {
                due = due => due?,
                requested = market_rx.changed() => requested.map_err(|_| ReceiverGone)?,
            }
        }
    }

    async fn query(
        &self,
        connection: Option<Connection>,
        market: Option<MarketKey>,
    ) -> Result<(Connection, Vec<Event>), Error> {
        let connection = match connection {
            Some(connection) => connection,
            None => self.servers.connect().await?,
        };
        let threats =
            calls::list_threats(connection.clone(), ListThreatsRequest::default()).await?;
        let mut events = vec![Event::Threats(threats)];
        if let Some(MarketKey { mineral, stage }) = market {
            let destination = &self.destination;
            let page =
                calls::get_market_page(connection.clone(), &mineral, stage, destination).await?;
            events.push(Event::MarketPage(Box::new(page)));
        }
        Ok((connection, events))
    }
}

fn failed(operation: &'static str) -> impl FnOnce(Status) -> TaskEnd {
    move |status| TaskEnd::Failed(Error::call(operation)(status))
}
