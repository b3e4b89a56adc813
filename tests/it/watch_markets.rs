//! What is promised to those who watch markets.

use lodewatch_proto::v1::market_service_client::MarketServiceClient;
use lodewatch_proto::v1::{
    ListMarketsRequest, Market, MarketState, WatchMarketsRequest, WatchMarketsResponse,
};
use lodewatch_testkit::PATIENCE;
use lodewatch_testkit::samples::{ban, removal, report, update};
use lodewatch_testkit::server::Server;
use std::collections::BTreeMap;
use tonic::transport::Endpoint;
use tonic::{Code, Request, Status, Streaming};

struct Watch(Streaming<WatchMarketsResponse>);

impl Watch {
    async fn open(server: &Server, request: WatchMarketsRequest) -> Self {
        Self(server.markets().watch_markets(request).await.unwrap().into_inner())
    }

    async fn next(&mut self) -> Result<WatchMarketsResponse, Status> {
        let message = tokio::time::timeout(PATIENCE, self.0.message()).await;
        message.expect("a message in time")?.ok_or_else(|| Status::ok("the stream has ended"))
    }

    /// Reads until everything up to this cursor was sent; what is known of each mineral by then,
    /// and how many messages with markets it took.
    async fn until(&mut self, cursor: &str, known: &mut BTreeMap<String, Market>) -> usize {
        let mut messages = 0;
        loop {
            let message = self.next().await.unwrap();
            messages += usize::from(!message.markets.is_empty());
            known.extend(message.markets.into_iter().map(|one| (one.mineral.clone(), one)));
            if message.cursor == cursor && !message.more {
                return messages;
            }
        }
    }
}

/// Everything of which the answer does not depend on when it was asked for.
async fn listed(server: &Server) -> BTreeMap<String, Market> {
    let response = server.markets().list_markets(ListMarketsRequest::default()).await.unwrap();
    response.into_inner().markets.into_iter().map(|one| (one.mineral.clone(), one)).collect()
}

#[tokio::test]
async fn a_watch_begins_with_everything_and_then_sends_what_changes() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path(), "2026-01-01").await;
    let first = server
        .publish(vec![
            report("gallium", "2024", &[("CHN", 0.9)]),
            report("indium", "2024", &[("CHN", 0.5)]),
        ])
        .await
        .unwrap();
    let mut watch = Watch::open(&server, WatchMarketsRequest::default()).await;
    let mut known = BTreeMap::new();
    watch.until(&first.cursor, &mut known).await;
    assert_eq!(known, listed(&server).await);

    server.publish(vec![report("gallium", "2024", &[("CHN", 0.8)])]).await.unwrap();
    let changed = watch.next().await.unwrap();
    assert_eq!(changed.markets.len(), 1, "indium is as it was");
    assert_eq!(changed.markets[0].suppliers[0].share, Some(0.8));
    server.publish(vec![ban("T", "CHN", "all", "indium", "2026-01-02")]).await.unwrap();
    assert_eq!(watch.next().await.unwrap().markets[0].mineral, "indium");
    server.turn_to("2026-01-02").await;
    let due = watch.next().await.unwrap();
    assert!(due.markets[0].suppliers[0].restricted, "time alone changes a market");
    server.stop().await;
}

#[tokio::test]
async fn a_slow_reader_sees_the_latest_and_never_a_backlog() {
    const BATCHES: u32 = 500;
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path(), "2026-01-01").await;
    // A client that takes no more than some messages before it has read them.
    let endpoint = Endpoint::from_shared(format!("http://{}", server.address)).unwrap();
    let small = endpoint.initial_stream_window_size(4096).connect().await.unwrap();
    let watch = MarketServiceClient::new(small).watch_markets(WatchMarketsRequest::default()).await;
    let mut watch = Watch(watch.unwrap().into_inner());
    watch.next().await.unwrap();
    let mut cursor = String::new();
    for turn in 1..=BATCHES {
        let share = f64::from(turn) / 1000.0;
        cursor = server
            .publish(vec![report("gallium", "2024", &[("CHN", share)])])
            .await
            .unwrap()
            .cursor;
    }
    let mut known = BTreeMap::new();
    let messages = watch.until(&cursor, &mut known).await;
    assert_eq!(known, listed(&server).await);
    assert!(messages < 100, "{messages} messages");
    server.stop().await;
}

#[tokio::test]
async fn a_market_that_nothing_is_known_of_any_more_is_unknown() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path(), "2026-01-01").await;
    let threat = update(
        r#"{"threat":{"id":"T","imposing":"CHN","minerals":["gallium"],"stages":["STAGE_REFINING"],"measure":"MEASURE_TAX"}}"#,
    );
    let threat = server.publish(vec![threat]).await;
    let mut watch = Watch::open(&server, WatchMarketsRequest::default()).await;
    let mut known = BTreeMap::new();
    watch.until(&threat.unwrap().cursor, &mut known).await;
    assert_eq!(known["gallium"].threat_effects[0].threat_id, "T");
    server.publish(vec![removal("T")]).await.unwrap();
    let gone = watch.next().await.unwrap();
    assert!(!gone.markets.is_empty());
    for market in gone.markets {
        assert_eq!(market.state(), MarketState::Unknown);
        assert_eq!(market.threat_effects, []);
    }
    server.stop().await;
}

#[tokio::test]
async fn a_watch_receives_only_what_it_asked_for_and_heartbeats_have_its_cursor() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path(), "2026-01-01").await;
    let request = WatchMarketsRequest {
        minerals: vec!["indium".into()],
        heartbeat_seconds: 1,
        ..WatchMarketsRequest::default()
    };
    let mut watch = Watch::open(&server, request).await;
    assert_eq!(watch.next().await.unwrap().markets, []);
    let other = server.publish(vec![report("gallium", "2024", &[("CHN", 0.9)])]).await.unwrap();
    let beat = watch.next().await.unwrap();
    assert_eq!((beat.cursor, beat.markets), (other.cursor, vec![]));
    server.drain();
    assert_eq!(watch.next().await.unwrap_err().code(), Code::Unavailable);
    server.stop().await;
}

#[tokio::test]
async fn a_watch_that_cannot_be_is_rejected_and_a_deadline_ends_one() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path(), "2026-01-01").await;
    let request = WatchMarketsRequest {
        minerals: vec!["unobtainium".into()],
        heartbeat_seconds: 61,
        ..WatchMarketsRequest::default()
    };
    let rejected = server.markets().watch_markets(request).await.err().unwrap();
    assert_eq!(rejected.code(), Code::InvalidArgument);
    let request =
        WatchMarketsRequest { destination: "NATO".into(), ..WatchMarketsRequest::default() };
    let rejected = server.markets().watch_markets(request).await.err().unwrap();
    assert!(rejected.message().contains("NATO"), "{rejected:?}");
    let mut request = Request::new(WatchMarketsRequest::default());
    request.metadata_mut().insert("grpc-timeout", "100m".parse().unwrap());
    let mut watch = Watch(server.markets().watch_markets(request).await.unwrap().into_inner());
    watch.next().await.unwrap();
    assert_eq!(watch.next().await.unwrap_err().code(), Code::DeadlineExceeded);
    server.stop().await;
}
