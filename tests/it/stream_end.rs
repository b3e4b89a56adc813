//! How streams end, and that nothing is lost by it.

use lodewatch_proto::v1::subscribe_response::Message;
use lodewatch_proto::v1::{GoAwayReason, Start, SubscribeRequest};
use lodewatch_testkit::samples::swing;
use lodewatch_testkit::server::Server;
use std::time::Duration;
use tonic::{Code, Request};

fn from_head() -> SubscribeRequest {
    SubscribeRequest { start: Start::Head.into(), ..SubscribeRequest::default() }
}

#[tokio::test]
async fn the_calls_own_deadline_ends_the_stream() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path(), "2026-01-01").await;
    let mut request = Request::new(from_head());
    request.metadata_mut().insert("grpc-timeout", "300m".parse().unwrap());
    let mut stream = server.alerts().subscribe(request).await.unwrap().into_inner();
    let status = loop {
        match stream.message().await {
            Ok(Some(_)) => {}
            Ok(None) => panic!("the stream ends as if all were well"),
            Err(status) => break status,
        }
    };
    assert_eq!(status.code(), Code::DeadlineExceeded, "{status:?}");
    server.stop().await;
}

#[tokio::test]
async fn a_deadline_that_cannot_be_read_is_rejected_by_name() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path(), "2026-01-01").await;
    let mut request = Request::new(from_head());
    request.metadata_mut().insert("grpc-timeout", "soon".parse().unwrap());
    let status = server.alerts().subscribe(request).await.unwrap_err();
    assert_eq!(status.code(), Code::InvalidArgument);
    assert!(status.message().contains("grpc-timeout"), "{}", status.message());
    server.stop().await;
}

#[tokio::test]
async fn an_old_stream_is_asked_to_come_again_and_resumes_where_it_was() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start_with(dir.path(), "2026-01-01", |config| {
        config.server.stream_age_max = Some(Duration::from_millis(500));
    })
    .await;
    let mut stream = server.subscribe(from_head()).await.unwrap();
    stream.until_caught_up().await;
    server.publish(vec![swing("gallium", 0)]).await.unwrap();
    let (mut seen, away) = stream.until(|one| matches!(one, Message::GoAway(_))).await;
    let Some(Message::GoAway(said)) = away.message else { panic!("asked for") };
    assert_eq!(said.reason(), GoAwayReason::MaxAge);
    assert_eq!(
        stream.next().await.unwrap_err().code(),
        Code::Ok,
        "the goodbye is the last message"
    );
    let request = SubscribeRequest {
        start: Start::Cursor.into(),
        cursor: away.cursor,
        ..SubscribeRequest::default()
    };
    server.publish(vec![swing("gallium", 1)]).await.unwrap();
    let mut stream = server.subscribe(request).await.unwrap();
    seen.extend(stream.until_caught_up().await.0);
    assert_eq!(seen, server.all_alerts().await);
    server.stop().await;
}
