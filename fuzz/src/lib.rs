//! The fuzz targets: one function for every parser and codec, with the name of its corpus.
//!
//! A function accepts any bytes. It must not panic or allocate memory without limit; a value that
//! it can parse must survive a round trip.

use lodewatch::clock::Clock;
use lodewatch::config::{self, Config};
use lodewatch::grpc::{json, parse, render};
use lodewatch::journal::{self, JournalReader, codec, write_journal};
use lodewatch::server::Node;
use lodewatch_core::domain::{Payload, Seq, Timestamp};
use lodewatch_proto::v1::alert_service_client::AlertServiceClient;
use lodewatch_proto::v1::feed_service_client::FeedServiceClient;
use lodewatch_proto::v1::{
    JournalEntry, ListAlertsRequest, PublishRequest, Start, SubscribeRequest,
};
use prost::Message;
use std::sync::LazyLock;
use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tokio_util::sync::CancellationToken;
use tonic::transport::Channel;
use uuid::Uuid;

mod raw_codec;
mod requests;

/// The server's time, in Unix milliseconds: 2026-01-01.
const NOW_MS: i64 = 1_767_225_600_000;

/// What the server of the targets knows.
const STATE: &str = r#"{"feed":"fuzz","updates":[
    {"report":{"mineral":"gallium","stage":"STAGE_REFINING","source":"USGS","period":"2024",
        "vintage":"2024-01-31","rows":[{"country":"CHN","share":0.98}]}},
    {"threat":{"id":"T-1","title":"Ban","imposing":"CHN","minerals":["gallium"],
        "measure":"MEASURE_PROHIBITION","dateEffective":"1970-01-01"}}]}"#;

/// The name of a target, and its function.
pub type Target = (&'static str, fn(&[u8]));

pub const ALL: &[Target] = &[
    ("config", config),
    ("cursor", cursor),
    ("entry", entry),
    ("events", events),
    ("import", import),
    ("log", log),
    ("page_token", page_token),
    ("publish", publish),
    ("requests", requests),
    ("usgs", usgs),
];

/// An encoded `PublishRequest`; a valid batch is encoded as an entry and decoded again.
pub fn publish(bytes: &[u8]) {
    let Ok(request) = PublishRequest::decode(bytes) else { return };
    let Ok(batch) = parse::publish(&request, Uuid::nil) else { return };
    let again = PublishRequest {
        request_id: request.request_id,
        feed: batch.feed.to_string(),
        updates: batch.updates.iter().map(render::update).collect(),
        exercise: batch.exercise,
    };
    let read = parse::publish(&again, Uuid::nil).expect("a parsed batch can be sent again");
    assert_eq!(read.updates, batch.updates);
    let payload = Payload::Batch(batch);
    let bytes = codec::encode(&payload).expect("a request is smaller than an entry may be");
    assert_eq!(codec::decode(&bytes), Ok(payload));
}

/// The bytes of a journal entry.
pub fn entry(bytes: &[u8]) {
    if let Ok(payload) = codec::decode(bytes)
        && let Ok(written) = codec::encode(&payload)
    {
        assert_eq!(codec::decode(&written), Ok(payload));
    }
}

/// A line of an exported journal.
pub fn import(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let Ok(sent) = json::from_json::<JournalEntry>(text) else { return };
    let before = Seq(sent.entry.saturating_sub(1));
    if let Ok(entry) = parse::entry(&sent, (before, Timestamp::MIN)) {
        let line = json::to_json(&render::entry(&entry));
        let sent = json::from_json(&line).expect("what is exported is JSON");
        assert_eq!(parse::entry(&sent, (before, Timestamp::MIN)), Ok(entry));
    }
}

/// The write-ahead log beside an empty journal.
pub fn log(bytes: &[u8]) {
    static FILE: LazyLock<Vec<u8>> = LazyLock::new(|| {
        let dir = tempfile::tempdir().expect("a directory can be created");
        let none = std::iter::empty::<Result<_, journal::Error>>();
        write_journal(dir.path(), none).expect("a journal can be written");
        std::fs::read(dir.path().join("journal.db")).expect("it was written")
    });
    let dir = tempfile::tempdir().expect("a directory can be created");
    std::fs::write(dir.path().join("journal.db"), &*FILE).expect("it can be written");
    std::fs::write(dir.path().join("journal.db-wal"), bytes).expect("it can be written");
    if let Ok(reading) = JournalReader::open(dir.path()) {
        reading.for_each(drop);
    }
}

/// A data release of the USGS.
pub fn usgs(bytes: &[u8]) {
    let _ = lodewatch_importers::usgs::read(bytes);
}

/// A list of export-control measures.
pub fn events(bytes: &[u8]) {
    let _ = lodewatch_importers::events::read(bytes);
}

/// A file of settings.
pub fn config(bytes: &[u8]) {
    let file = tempfile::NamedTempFile::new().expect("a file can be created");
    std::fs::write(file.path(), bytes).expect("it can be written");
    let _ = config::check(Some(file.path()));
}

/// The text of a cursor, sent with a subscription.
pub fn cursor(bytes: &[u8]) {
    let cursor = String::from_utf8_lossy(bytes).into_owned();
    let start = Start::Cursor.into();
    let request = SubscribeRequest { start, cursor, ..SubscribeRequest::default() };
    SERVER.runtime.block_on(async {
        let mut client = AlertServiceClient::new(SERVER.channel.clone());
        if let Ok(stream) = client.subscribe(request).await {
            stream.into_inner().message().await.expect("an open stream sends its first message");
        }
    });
}

/// The text of a page token.
pub fn page_token(bytes: &[u8]) {
    let page_token = String::from_utf8_lossy(bytes).into_owned();
    let request = ListAlertsRequest { page_token, ..ListAlertsRequest::default() };
    SERVER.runtime.block_on(async {
        let _ = AlertServiceClient::new(SERVER.channel.clone()).list_alerts(request).await;
    });
}

/// A request of any method, made field by field.
pub fn requests(bytes: &[u8]) {
    SERVER.runtime.block_on(requests::send(SERVER.channel.clone(), bytes));
}

/// A real server with a market and a threat, and a connection to it.
struct Server {
    runtime: Runtime,
    channel: Channel,
    _dir: tempfile::TempDir,
}

static SERVER: LazyLock<Server> = LazyLock::new(|| {
    let dir = tempfile::tempdir().expect("a directory can be created");
    let config = Config { data_dir: dir.path().to_owned(), ..Config::built_in() };
    let runtime = Runtime::new().expect("threads can be started");
    let channel = runtime.block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
        let address = listener.local_addr().expect("it is bound").to_string();
        let (clock, _) = Clock::manual(Timestamp::from_millis(NOW_MS));
        let node = Node::open(config, clock).await.expect("an empty directory can be served");
        tokio::spawn(node.serve(listener, CancellationToken::new()));
        let channel = lodewatch_client::connect(&address).await.expect("it listens");
        let request: PublishRequest = json::from_json(STATE).expect("it is a request");
        FeedServiceClient::new(channel.clone()).publish(request).await.expect("it is valid");
        channel
    });
    Server { runtime, channel, _dir: dir }
});
