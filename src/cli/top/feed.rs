//! What tells the board the news: two streams that resume by themselves, and what is asked for besides them.

use super::super::error::Error;
use super::super::market::{self, Report};
use super::board::Key;
use crate::grpc::pb::alert_service_client::AlertServiceClient;
use crate::grpc::pb::subscribe_response::Message;
use crate::grpc::pb::{
    Alert, AlertFilter, ListAlertsRequest, ListThreatsRequest, OnGap, Start, SubscribeRequest,
    ThreatRecord, WatchMarketsRequest, WatchMarketsResponse,
};
use lodewatch_client::{self, Connection, MarketWatch, Servers, StreamEvent, Subscription};
use std::time::Duration;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tonic::Status;

/// Seconds between heartbeats: after twice as long without a word, the board says so.
const HEARTBEAT_SECONDS: u32 = 5;
/// What is asked for is asked again at most so often.
const ASK_AGAIN: Duration = Duration::from_millis(500);
/// Alerts of the past that are read at the start.
const PAST_ALERTS: u32 = 100;
/// News that may wait to be drawn; beyond it the streams wait, and what they conflate is the server's.
const NEWS_MAX: usize = 64;

/// A piece of news.
pub(super) enum News {
    /// A message of the watch.
    Markets(Box<WatchMarketsResponse>),
    /// Alerts, in any order.
    Alerts(Vec<Alert>),
    /// All threats on record.
    Threats(Vec<ThreatRecord>),
    /// The market that was asked for.
    Report(Box<Report>),
    /// A stream was lost for this reason, and is being resumed.
    Lost(Stream, String),
    /// It goes on.
    Resumed(Stream),
}

/// One of the two streams.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stream {
    /// `WatchMarkets`.
    Markets,
    /// `Subscribe`.
    Alerts,
}

/// Everything that brings news; ends when dropped.
pub(super) struct Feed {
    news: mpsc::Receiver<Result<News, Error>>,
    wanted: watch::Sender<Option<Key>>,
    _tasks: JoinSet<()>,
}

impl Feed {
    pub(super) fn start(servers: &Servers, destination: &str) -> Self {
        let (sender, news) = mpsc::channel(NEWS_MAX);
        let (wanted, asked) = watch::channel(None);
        let (tell_moved, told_moved) = watch::channel(());
        let source =
            Source { servers: servers.clone(), destination: destination.to_owned(), sender };
        let mut tasks = JoinSet::new();
        let (markets, alerts) = (source.clone(), source.clone());
        tasks.spawn(async move { markets.end(markets.watch_markets(tell_moved).await).await });
        tasks.spawn(async move { alerts.end(alerts.follow_alerts().await).await });
        tasks.spawn(async move { source.end(source.ask(told_moved, asked).await).await });
        Self { news, wanted, _tasks: tasks }
    }

    /// The next piece. Cancel safe.
    ///
    /// # Errors
    ///
    /// What trying again cannot mend.
    pub(super) async fn next(&mut self) -> Result<News, Error> {
        self.news.recv().await.expect("a task ends with word of why")
    }

    /// One that is there already.
    pub(super) fn ready(&mut self) -> Option<Result<News, Error>> {
        self.news.try_recv().ok()
    }

    /// The market of which everything is wanted from now on.
    pub(super) fn ask(&self, market: Option<Key>) {
        self.wanted.send_replace(market);
    }
}

/// What every task needs.
#[derive(Clone)]
struct Source {
    servers: Servers,
    destination: String,
    sender: mpsc::Sender<Result<News, Error>>,
}

/// Nobody listens any more.
struct Unheard;

/// Why a task ends.
enum End {
    Unheard,
    Failed(Error),
}

impl From<Unheard> for End {
    fn from(_: Unheard) -> Self {
        Self::Unheard
    }
}

impl Source {
    async fn tell(&self, news: News) -> Result<(), Unheard> {
        self.sender.send(Ok(news)).await.map_err(|_| Unheard)
    }

    async fn end(&self, ended: Result<(), End>) {
        if let Err(End::Failed(error)) = ended {
            // Where nobody listens, nobody needs to know.
            let _ = self.sender.send(Err(error)).await;
        }
    }

    /// Says by `tell_moved` that what is asked for may be another now.
    async fn watch_markets(&self, tell_moved: watch::Sender<()>) -> Result<(), End> {
        let request = WatchMarketsRequest {
            destination: self.destination.clone(),
            heartbeat_seconds: HEARTBEAT_SECONDS,
            ..WatchMarketsRequest::default()
        };
        let mut watch = MarketWatch::new(self.servers.clone(), request);
        let mut seen = String::new();
        let mut lost = false;
        loop {
            match watch.next().await.map_err(refused("watching markets"))? {
                StreamEvent::Message(message) => {
                    if std::mem::take(&mut lost) {
                        self.tell(News::Resumed(Stream::Markets)).await?;
                    }
                    if message.cursor != seen {
                        seen.clone_from(&message.cursor);
                        tell_moved.send_replace(());
                    }
                    self.tell(News::Markets(message)).await?;
                }
                StreamEvent::Disconnected(status) => {
                    lost = true;
                    // What was asked for meanwhile may have got no answer.
                    seen.clear();
                    self.tell(News::Lost(Stream::Markets, status.message().to_owned())).await?;
                }
            }
        }
    }

    /// The latest alerts, then what follows them.
    async fn follow_alerts(&self) -> Result<(), End> {
        let destinations = match self.destination.as_str() {
            "all" => Vec::new(),
            one => vec![one.to_owned()],
        };
        let filter = AlertFilter { destinations, ..AlertFilter::default() };
        let connection = self.servers.connect().await.map_err(|error| End::Failed(error.into()))?;
        let request = ListAlertsRequest {
            filter: Some(filter.clone()),
            page_size: PAST_ALERTS,
            ..ListAlertsRequest::default()
        };
        let past = AlertServiceClient::new(connection).list_alerts(request).await;
        let past = past.map_err(refused("listing alerts"))?.into_inner();
        self.tell(News::Alerts(past.alerts)).await?;
        let request = SubscribeRequest {
            filter: Some(filter),
            start: Start::Cursor.into(),
            cursor: past.cursor,
            heartbeat_seconds: HEARTBEAT_SECONDS,
            on_gap: OnGap::Reset.into(),
        };
        let mut subscription = Subscription::new(self.servers.clone(), request);
        let mut lost = false;
        loop {
            match subscription.next().await.map_err(refused("following alerts"))? {
                StreamEvent::Message(message) => {
                    if std::mem::take(&mut lost) {
                        self.tell(News::Resumed(Stream::Alerts)).await?;
                    }
                    if let Some(Message::Alerts(alerts)) = message.message {
                        self.tell(News::Alerts(alerts.alerts)).await?;
                    }
                }
                StreamEvent::Disconnected(status) => {
                    lost = true;
                    self.tell(News::Lost(Stream::Alerts, status.message().to_owned())).await?;
                }
            }
        }
    }

    /// Threats, and the market that is wanted, whenever they may be others.
    async fn ask(
        &self,
        mut told_moved: watch::Receiver<()>,
        mut wanted: watch::Receiver<Option<Key>>,
    ) -> Result<(), End> {
        let mut connection = None;
        loop {
            let market = wanted.borrow_and_update().clone();
            match self.asked(connection.take(), market).await {
                Ok((open, news)) => {
                    connection = Some(open);
                    for one in news {
                        self.tell(one).await?;
                    }
                }
                // The streams tell of a server that is gone, and when it is back.
                Err(error) if error.may_pass() => {}
                Err(error) => return Err(End::Failed(error)),
            }
            let due = async {
                told_moved.changed().await.map_err(|_| Unheard)?;
                tokio::time::sleep(ASK_AGAIN).await;
                Ok::<_, Unheard>(())
            };
            tokio::select! {
                due = due => due?,
                asked = wanted.changed() => asked.map_err(|_| Unheard)?,
            }
        }
    }

    async fn asked(
        &self,
        open: Option<Connection>,
        market: Option<Key>,
    ) -> Result<(Connection, Vec<News>), Error> {
        let connection = match open {
            Some(connection) => connection,
            None => self.servers.connect().await?,
        };
        let request = ListThreatsRequest { page_size: 1000, ..ListThreatsRequest::default() };
        let threats = lodewatch_client::list_all_threats(connection.clone(), request).await;
        let threats = threats.map_err(Error::refused("listing threats"))?;
        let mut news = vec![News::Threats(threats)];
        if let Some(Key { mineral, stage }) = market {
            let report =
                market::read(connection.clone(), &mineral, stage, &self.destination).await?;
            news.push(News::Report(Box::new(report)));
        }
        Ok((connection, news))
    }
}

fn refused(doing: &'static str) -> impl FnOnce(Status) -> End {
    move |status| End::Failed(Error::refused(doing)(status))
}
