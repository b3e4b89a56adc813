//! What a feed is promised that publishes over one stream.

use lodewatch_client::{PublishStream, StreamEvent};
use lodewatch_proto::v1::feed_service_client::FeedServiceClient;
use lodewatch_proto::v1::publish_stream_response::Answer;
use lodewatch_proto::v1::{
    GetMarketRequest, PublishRequest, PublishStreamRequest, PublishStreamResponse, Stage,
};
use lodewatch_testkit::PATIENCE;
use lodewatch_testkit::process::Process;
use lodewatch_testkit::samples::{removal, report};
use lodewatch_testkit::server::{Server, batch};
use std::time::Duration;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::Channel;
use tonic::{Code, Request, Status, Streaming};
use tonic_types::StatusExt;

/// Both ways of a stream of batches.
struct Feed {
    send: mpsc::Sender<PublishStreamRequest>,
    answers: Streaming<PublishStreamResponse>,
}

impl Feed {
    async fn open(server: &Server) -> Self {
        Self::on(server.channel.clone()).await
    }

    async fn on(channel: Channel) -> Self {
        let (send, batches) = mpsc::channel(10_000);
        let mut client = FeedServiceClient::new(channel);
        let answers = client.publish_stream(ReceiverStream::new(batches)).await.unwrap();
        Self { send, answers: answers.into_inner() }
    }

    async fn send(&self, batch: PublishRequest) {
        self.send.send(PublishStreamRequest { batch: Some(batch) }).await.unwrap();
    }

    async fn next(&mut self) -> Result<Option<PublishStreamResponse>, Status> {
        tokio::time::timeout(PATIENCE, self.answers.message()).await.expect("an answer in time")
    }

    async fn answer(&mut self) -> Answer {
        self.next().await.unwrap().unwrap().answer.unwrap()
    }
}

fn share(per_mille: u32) -> PublishRequest {
    batch(vec![report("gallium", "2024", &[("CHN", f64::from(per_mille) / 1000.0)])])
}

#[tokio::test]
async fn batches_are_answered_and_applied_in_their_order() {
    const BATCHES: u32 = 1000;
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path(), "2026-01-01").await;
    let mut feed = Feed::open(&server).await;
    assert!(feed.next().await.unwrap().unwrap().answer.is_none(), "credits come first");
    let batches: Vec<_> = (1..=BATCHES).map(share).collect();
    for batch in &batches {
        feed.send(batch.clone()).await;
    }
    let mut cursors = Vec::new();
    for batch in &batches {
        let Answer::Accepted(answer) = feed.answer().await else { panic!("it is accepted") };
        assert_eq!(answer.request_id, batch.request_id);
        cursors.push(answer.cursor);
    }
    // The client ends; the server ends after its last answer.
    drop(feed.send);
    assert!(feed.answers.message().await.unwrap().is_none());
    let request = GetMarketRequest {
        mineral: "gallium".into(),
        stage: Stage::Refining.into(),
        ..GetMarketRequest::default()
    };
    let market = server.markets().get_market(request).await.unwrap().into_inner().market.unwrap();
    assert_eq!(market.suppliers[0].share, Some(1.0), "the last one sent is the last one applied");
    assert_eq!(
        server.view.applied().0,
        u64::from(BATCHES) + 1,
        "one entry a batch, and the policy"
    );
    for (batch, cursor) in batches.into_iter().zip(cursors) {
        let again = server.feed().publish(batch).await.unwrap().into_inner();
        assert_eq!(again.cursor, cursor, "a retry in another way gets the same answer");
    }
    server.stop().await;
}

#[tokio::test]
async fn a_rejected_batch_is_answered_and_the_stream_goes_on() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start_with(dir.path(), "2026-01-01", |config| {
        config.server.updates_per_second_max = 1000;
    })
    .await;
    let mut feed = Feed::open(&server).await;
    feed.next().await.unwrap();
    let bad = batch(vec![report("unobtainium", "2024", &[("CHN", 1.7)])]);
    // Small ones, so that the second thousand comes well within the second of the first.
    let many = || batch(vec![removal("NEVER-THERE"); 999]);
    for batch in [share(900), bad.clone(), many(), many()] {
        feed.send(batch).await;
    }
    assert!(matches!(feed.answer().await, Answer::Accepted(_)));
    let Answer::Rejected(error) = feed.answer().await else { panic!("it is rejected") };
    assert_eq!((error.code, error.request_id), (Code::InvalidArgument.into(), bad.request_id));
    let fields: Vec<_> = error.fields.iter().map(|one| one.field.as_str()).collect();
    assert_eq!(fields, ["updates[0].report.mineral", "updates[0].report.rows[0].share"]);
    let Answer::Rejected(error) = feed.answer().await else { panic!("there is no such threat") };
    assert_eq!((error.code, error.retry_after_ms), (Code::NotFound.into(), 0));
    let Answer::Rejected(error) = feed.answer().await else { panic!("it is too much") };
    assert_eq!(error.code, i32::from(Code::ResourceExhausted));
    assert_eq!(error.limit, "server.updates_per_second_max");
    assert!(error.retry_after_ms > 0);
    feed.send(share(800)).await;
    // Rejected or not, by how fast this is: answered in any case.
    feed.answer().await;
    server.stop().await;
}

#[tokio::test]
async fn credits_come_back_with_the_answers() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start_with(dir.path(), "2026-01-01", |config| {
        config.server.publish_batches_max = 4;
    })
    .await;
    let mut feed = Feed::open(&server).await;
    let first = feed.next().await.unwrap().unwrap().credits.unwrap();
    assert_eq!((first.batches, first.bytes), (4, 8_388_608));
    let size = u64::try_from(prost::Message::encoded_len(&share(500))).unwrap();
    // Nine at once, of which four have credit: the others wait unread and are answered all the
    // same.
    for turn in 500..509 {
        feed.send(share(turn)).await;
    }
    for _ in 0..9 {
        let credits = feed.next().await.unwrap().unwrap().credits.unwrap();
        assert_eq!((credits.batches, credits.bytes), (1, size));
    }
    server.stop().await;
}

#[tokio::test]
async fn a_drain_answers_what_was_read_and_says_so() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path(), "2026-01-01").await;
    let mut feed = Feed::open(&server).await;
    feed.next().await.unwrap();
    feed.send(share(900)).await;
    assert!(matches!(feed.answer().await, Answer::Accepted(_)));
    server.drain();
    assert_eq!(feed.next().await.unwrap_err().code(), Code::Unavailable);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_answered_survives_a_kill_and_the_rest_can_be_sent_again() {
    let dir = tempfile::tempdir().unwrap();
    let mut process = Process::serve(dir.path());
    let mut feed = Feed::on(lodewatch_client::connect(&process.address).await.unwrap()).await;
    feed.next().await.unwrap();
    let batches: Vec<_> = (1..=900).map(share).collect();
    for batch in &batches {
        feed.send(batch.clone()).await;
    }
    let mut answered = Vec::new();
    while answered.len() < 100 {
        let Answer::Accepted(answer) = feed.answer().await else { panic!("it is accepted") };
        answered.push(answer);
    }
    process.kill();
    // What had arrived by then was answered as well.
    while let Ok(Some(PublishStreamResponse { answer: Some(Answer::Accepted(answer)), .. })) =
        feed.next().await
    {
        answered.push(answer);
    }
    let process = Process::serve(dir.path());
    let mut feed = Feed::on(lodewatch_client::connect(&process.address).await.unwrap()).await;
    feed.next().await.unwrap();
    for batch in &batches {
        feed.send(batch.clone()).await;
    }
    let mut again = Vec::new();
    while again.len() < batches.len() {
        let Answer::Accepted(answer) = feed.answer().await else { panic!("it is accepted") };
        again.push(answer);
    }
    assert_eq!(again[..answered.len()], answered, "the first answer, again");
    let cursors: std::collections::BTreeSet<_> = again.iter().map(|one| &one.cursor).collect();
    assert_eq!(cursors.len(), batches.len(), "each is in the journal once");
}

#[tokio::test]
async fn a_deadline_ends_the_stream() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path(), "2026-01-01").await;
    let (_send, batches) = mpsc::channel::<PublishStreamRequest>(1);
    let mut request = Request::new(ReceiverStream::new(batches));
    request.metadata_mut().insert("grpc-timeout", "100m".parse().unwrap());
    let mut answers = server.feed().publish_stream(request).await.unwrap().into_inner();
    answers.message().await.unwrap();
    let ended = tokio::time::timeout(PATIENCE, answers.message()).await.unwrap().unwrap_err();
    assert_eq!(ended.code(), Code::DeadlineExceeded);
    server.stop().await;
}

#[tokio::test]
async fn an_idle_stream_ends_and_a_client_that_has_batches_again_opens_another() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start_with(dir.path(), "2026-01-01", |config| {
        config.server.publish_idle_timeout_ms = 200;
    })
    .await;
    let mut client = PublishStream::new(server.servers());
    client.push(share(900));
    let Ok(Some(StreamEvent::Message(_))) = client.next().await else { panic!("it is answered") };
    // Idle for less long than the client's stream.
    let mut feed = Feed::open(&server).await;
    feed.next().await.unwrap();
    let ended = feed.next().await.unwrap_err();
    assert_eq!(ended.code(), Code::Unavailable);
    assert_eq!(ended.get_details_error_info().unwrap().reason, "STREAM_IDLE");
    client.push(share(800));
    let answered = client.next().await.unwrap().unwrap();
    assert!(matches!(answered, StreamEvent::Message(_)), "{answered:?}");
    server.stop().await;
}

#[tokio::test]
async fn an_old_stream_ends_after_its_answers() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start_with(dir.path(), "2026-01-01", |config| {
        config.server.stream_age_max = Some(Duration::from_millis(200));
    })
    .await;
    let mut feed = Feed::open(&server).await;
    feed.next().await.unwrap();
    feed.send(share(900)).await;
    assert!(matches!(feed.answer().await, Answer::Accepted(_)));
    let ended = feed.next().await.unwrap_err();
    assert_eq!(ended.get_details_error_info().unwrap().reason, "MAX_AGE");
    server.stop().await;
}
