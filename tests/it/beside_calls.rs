//! Attacks by well-formed calls: each by a caller of the least rights, as often as it can.

use crate::access::connect_to;
use crate::simulation::policy;
use lodewatch_client::Connection;
use lodewatch_proto::v1::alert_service_client::AlertServiceClient;
use lodewatch_proto::v1::feed_service_client::FeedServiceClient;
use lodewatch_proto::v1::market_service_client::MarketServiceClient;
use lodewatch_proto::v1::policy_service_client::PolicyServiceClient;
use lodewatch_proto::v1::update::Update as Content;
use lodewatch_proto::v1::{
    AlertFilter, BacktestRequest, GetMarketRequest, GetThreatRequest, ListAlertsRequest,
    ListMarketsRequest, Policy, PublishRequest, PublishStreamRequest, Rule, SimulateRequest, Stage,
    Start, SubscribeRequest, Update, WatchMarketsRequest,
};
use lodewatch_testkit::samples::{ban, removal, report};
use lodewatch_testkit::server::batch;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::time::timeout;
use tonic::Status;

/// The identity of the attackers, which is its token as well, and its rights.
pub(crate) const IDENTITY: (&str, &str) = (
    "evil",
    "roles = [\"subscriber\", \"publisher\"]\nfeeds = [\"evil\"]\nminerals = [\"bismuth\"]",
);
/// Updates of one batch.
const UPDATES: usize = 1000;
/// For how long an attacker waits for an answer before it gives up and leaves.
const PATIENCE: Duration = Duration::from_millis(500);
/// Bytes of a name, just below the largest message.
const NAME_BYTES: usize = 3 << 20;
/// Streams that one attacker leaves open.
const STREAMS: usize = 64;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CallAttack {
    RejectedBatches,
    ManyThreats,
    ManySources,
    LongNames,
    LongNamesOfMarkets,
    Simulations,
    UnreadBacktests,
    PastMarkets,
    RareAlerts,
    UnreadSnapshots,
    ForgedCursors,
    Destinations,
    IdlePublishStreams,
    ReadAndLeave,
    UnknownThreats,
}

impl CallAttack {
    pub(crate) const ALL: [Self; 15] = [
        Self::RejectedBatches,
        Self::ManyThreats,
        Self::ManySources,
        Self::LongNames,
        Self::LongNamesOfMarkets,
        Self::Simulations,
        Self::UnreadBacktests,
        Self::PastMarkets,
        Self::RareAlerts,
        Self::UnreadSnapshots,
        Self::ForgedCursors,
        Self::Destinations,
        Self::IdlePublishStreams,
        Self::ReadAndLeave,
        Self::UnknownThreats,
    ];

    /// One connection's worth of it: calls until the server closes the connection, or enough.
    pub(crate) async fn once(self, address: &str, calls: &AtomicUsize) {
        let connection = connect_to(address, IDENTITY.0).await;
        for turn in 0..UPDATES {
            calls.fetch_add(1, Ordering::Relaxed);
            // What it is answered does not matter to an attacker, nor whether it is.
            let _ = timeout(PATIENCE, self.call(&connection, turn)).await;
        }
    }

    async fn call(self, connection: &Connection, turn: usize) -> Result<(), Status> {
        let mut alerts = AlertServiceClient::new(connection.clone());
        let mut feed = FeedServiceClient::new(connection.clone());
        let mut markets = MarketServiceClient::new(connection.clone());
        let mut policies = PolicyServiceClient::new(connection.clone());
        match self {
            Self::RejectedBatches => publish(&mut feed, |at| removal(&format!("none-{at}"))).await,
            Self::ManyThreats => {
                let id = |at| format!("evil-{turn}-{at}");
                let threat = |at| ban(&id(at), "CHN", "all", "bismuth", "2026-01-01");
                publish(&mut feed, threat).await
            }
            Self::ManySources => publish(&mut feed, |at| of_source(turn, at)).await,
            Self::LongNames => {
                let mut update = report("bismuth", "2024", &[("CHN", 0.5)]);
                let Some(Content::Report(report)) = &mut update.update else { unreachable!() };
                report.mineral = "bismuth ".repeat(NAME_BYTES / 8);
                let request = PublishRequest { feed: "evil".to_owned(), ..batch(vec![update]) };
                feed.publish(request).await.map(drop)
            }
            Self::LongNamesOfMarkets => {
                let mineral = "galium".repeat(NAME_BYTES / 6);
                let request = GetMarketRequest { mineral, ..GetMarketRequest::default() };
                markets.get_market(request).await.map(drop)
            }
            Self::Simulations => policies.simulate(costly_simulation()).await.map(drop),
            Self::UnreadBacktests => {
                let request = BacktestRequest { policy: Some(policy(|_| {})), filter: None };
                hold(policies.backtest(request).await?.into_inner()).await
            }
            Self::PastMarkets => {
                let as_of = "2026-01-01".to_owned();
                let request = ListMarketsRequest { as_of, ..ListMarketsRequest::default() };
                markets.list_markets(request).await.map(drop)
            }
            Self::RareAlerts => {
                let countries = vec!["ISL".to_owned()];
                let filter = Some(AlertFilter { countries, ..AlertFilter::default() });
                let request = ListAlertsRequest { filter, ..ListAlertsRequest::default() };
                alerts.list_alerts(request).await.map(drop)
            }
            Self::UnreadSnapshots => {
                let mut streams = Vec::new();
                for _ in 0..STREAMS {
                    streams.push(alerts.subscribe(SubscribeRequest::default()).await?.into_inner());
                }
                hold(streams).await
            }
            Self::ForgedCursors => {
                let mut opened = alerts.subscribe(SubscribeRequest::default()).await?.into_inner();
                let cursor = loop {
                    match opened.message().await? {
                        Some(message) if !message.cursor.is_empty() => break message.cursor,
                        Some(_) => {}
                        None => return Ok(()),
                    }
                };
                let cursor = forge(&cursor, turn);
                let start = Start::Cursor.into();
                let request = SubscribeRequest { cursor, start, ..SubscribeRequest::default() };
                hold(alerts.subscribe(request).await?.into_inner()).await
            }
            Self::Destinations => {
                let mut streams = Vec::new();
                for destination in DESTINATIONS {
                    let destination = destination.to_owned();
                    let request =
                        WatchMarketsRequest { destination, ..WatchMarketsRequest::default() };
                    streams.push(markets.watch_markets(request).await?.into_inner());
                }
                hold(streams).await
            }
            Self::IdlePublishStreams => {
                let mut streams = Vec::new();
                for _ in 0..STREAMS {
                    let nothing = tokio_stream::pending::<PublishStreamRequest>();
                    streams.push(feed.publish_stream(nothing).await?.into_inner());
                }
                hold(streams).await
            }
            Self::ReadAndLeave => {
                let mut stream = alerts.subscribe(SubscribeRequest::default()).await?.into_inner();
                stream.message().await.map(drop)
            }
            Self::UnknownThreats => {
                let threat_id = "evil".repeat(NAME_BYTES / 4);
                let request = GetThreatRequest { threat_id, ..GetThreatRequest::default() };
                markets.get_threat(request).await.map(drop)
            }
        }
    }
}

/// The buyers toward whom markets are watched.
const DESTINATIONS: [&str; 24] = [
    "ARG", "AUS", "AUT", "BEL", "BOL", "BRA", "CAN", "CHE", "CHL", "CHN", "CZE", "DEU", "ESP",
    "FIN", "FRA", "GBR", "IDN", "IND", "ITA", "JPN", "KOR", "MEX", "POL", "USA",
];

/// Publishes as many updates as a batch may have.
async fn publish(
    feed: &mut FeedServiceClient<Connection>,
    update: impl Fn(usize) -> Update,
) -> Result<(), Status> {
    let updates = (0..UPDATES).map(update).collect();
    let request = PublishRequest { feed: "evil".to_owned(), ..batch(updates) };
    feed.publish(request).await.map(drop)
}

/// A report of yet another source.
fn of_source(turn: usize, at: usize) -> Update {
    let mut update = report("bismuth", &format!("{}", 1950 + at % 75), &[("CHN", 0.5)]);
    let Some(Content::Report(report)) = &mut update.update else { unreachable!() };
    report.source = format!("EVIL-{turn}-{}", at / 75);
    update
}

/// Many rules for many buyers, and many threats that they react to, for a century.
fn costly_simulation() -> SimulateRequest {
    let destinations: Vec<String> = DESTINATIONS.map(str::to_owned).to_vec();
    let of_many = |policy: &mut Policy| {
        let example = policy.rules.iter().find(|rule| !rule.destinations.is_empty()).cloned();
        let example = example.expect("a rule of the policy is about buyers");
        let rule = |number| Rule {
            name: format!("rule-{number}"),
            destinations: destinations.clone(),
            minerals: Vec::new(),
            stages: vec![Stage::Mining.into(), Stage::Refining.into()],
            ..example.clone()
        };
        policy.rules = (0..200).map(rule).collect();
    };
    let threat = |at| ban(&format!("maybe-{at}"), "CHN", "all", "bismuth", "2026-06-01");
    SimulateRequest {
        updates: (0..UPDATES).map(threat).collect(),
        policy: Some(policy(of_many)),
        until: "2125-12-31".to_owned(),
        ..SimulateRequest::default()
    }
}

/// A cursor with another character.
fn forge(cursor: &str, turn: usize) -> String {
    let mut bytes = cursor.as_bytes().to_vec();
    let at = turn % bytes.len();
    bytes[at] = if bytes[at] == b'A' { b'B' } else { b'A' };
    String::from_utf8(bytes).expect("it stays ASCII")
}

/// Holds streams without reading them, until the attacker's patience ends.
async fn hold<T: Send>(streams: T) -> Result<(), Status> {
    std::future::pending::<()>().await;
    drop(streams);
    Ok(())
}
