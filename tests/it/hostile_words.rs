//! Requests that mean harm: each is rejected or harmless, and never an error of ours.

use crate::hostile::Target;
use crate::raw_codec::RawCodec;
use lodewatch_proto::v1 as pb;
use lodewatch_proto::v1::alert_service_client::AlertServiceClient;
use lodewatch_proto::v1::feed_service_client::FeedServiceClient;
use prost_reflect::prost::Message;
use prost_reflect::{DescriptorPool, DynamicMessage, Kind, MessageDescriptor, Value};
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::Channel;
use tonic::{Code, Request, Status};

/// Text that does harm if it is interpreted as something else.
const WORDS: &[&str] = &[
    "../../../../etc/passwd",
    "..\\..\\windows",
    "$(reboot)",
    "`id`",
    "; rm -rf / #",
    "' OR 1=1; DROP TABLE entry; --",
    "%n%s%x",
    "{{7*7}}",
    "<script>alert(1)</script>",
    "\u{0}",
    "a\r\nx-injected: yes",
    "\u{202e}drowssap",
    "bGV0IG1lIGlu",
    "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
    "9223372036854775808",
    "-1",
    "",
];

/// The answer to one message, or that a stream has begun.
async fn send(channel: &Channel, path: &str, message: Vec<u8>) -> Result<(), Status> {
    let mut client = tonic::client::Grpc::new(channel.clone());
    client.ready().await.unwrap();
    let sent = Request::new(message);
    client.server_streaming(sent, path.parse().unwrap(), RawCodec).await.map(drop)
}

/// A message with the same word in every text, at every depth.
fn filled(descriptor: &MessageDescriptor, word: &str, depth: u32) -> DynamicMessage {
    let mut message = DynamicMessage::new(descriptor.clone());
    for field in descriptor.fields() {
        let value = match field.kind() {
            Kind::String => Value::String(word.to_owned()),
            Kind::Bytes => Value::Bytes(word.as_bytes().to_vec().into()),
            Kind::Message(inner) if depth > 0 => Value::Message(filled(&inner, word, depth - 1)),
            _ => continue,
        };
        if field.is_list() {
            message.set_field(&field, Value::List(vec![value.clone(), value]));
        } else if !field.is_map() {
            message.set_field(&field, value);
        }
    }
    message
}

fn methods() -> Vec<(String, MessageDescriptor)> {
    let pool = DescriptorPool::decode(lodewatch::grpc::pb::DESCRIPTORS).unwrap();
    let all = pool.services().flat_map(|service| service.methods().collect::<Vec<_>>());
    all.map(|method| {
        let path = format!("/{}/{}", method.parent_service().full_name(), method.name());
        (path, method.input())
    })
    .collect()
}

/// What a server that was asked for nonsense may say.
fn assert_fair(path: &str, word: &str, answer: &Result<(), Status>) {
    let code = answer.as_ref().map_or_else(Status::code, |()| Code::Ok);
    let fair = matches!(
        code,
        Code::Ok
            | Code::InvalidArgument
            | Code::NotFound
            | Code::OutOfRange
            | Code::FailedPrecondition
            | Code::ResourceExhausted
    );
    assert!(fair, "{path} with {word:?}: {answer:?}");
}

#[tokio::test]
async fn harmful_words_in_every_field_of_every_request_are_rejected_or_harmless() {
    let target = Target::start().await;
    let channel = lodewatch_client::connect(target.address()).await.unwrap();
    for (path, input) in methods() {
        for word in WORDS {
            let message = filled(&input, word, 4).encode_to_vec();
            assert_fair(&path, word, &send(&channel, &path, message).await);
            // Each field alone, so that one fault does not hide what another does.
            for field in input.fields().filter(|field| matches!(field.kind(), Kind::String)) {
                let mut message = DynamicMessage::new(input.clone());
                let text = Value::String((*word).to_owned());
                let list = field.is_list();
                message.set_field(&field, if list { Value::List(vec![text]) } else { text });
                assert_fair(&path, word, &send(&channel, &path, message.encode_to_vec()).await);
            }
        }
    }
    target.assert_unharmed().await;
}

#[tokio::test]
async fn bytes_that_are_no_message_are_rejected() {
    let target = Target::start().await;
    let channel = lodewatch_client::connect(target.address()).await.unwrap();
    // Groups within groups, which no message of ours has, as deep as fits.
    let deep = vec![0x7b; 1_000_000];
    let not_utf8 = vec![0x0a, 4, 0xff, 0xfe, 0xc0, 0x80];
    let longer_than_it_is = vec![0x0a, 0xff, 0xff, 0xff, 0xff, 0x0f];
    for (path, _) in methods() {
        for bytes in [&deep, &not_utf8, &longer_than_it_is] {
            if let Err(status) = send(&channel, &path, bytes.clone()).await {
                let fair = [Code::Internal, Code::InvalidArgument];
                assert!(fair.contains(&status.code()), "{path}: {status:?}");
            }
        }
    }
    target.assert_unharmed().await;
}

#[tokio::test]
async fn what_is_too_large_or_compressed_is_rejected_before_it_is_read() {
    let target = Target::start().await;
    let channel = lodewatch_client::connect(target.address()).await.unwrap();
    let path = "/lodewatch.v1.FeedService/Publish";
    for _ in 0..10 {
        let rejected = send(&channel, path, vec![0; 5 << 20]).await.unwrap_err();
        // Or the stream is reset while the rest is still on its way.
        let codes = [Code::ResourceExhausted, Code::Internal, Code::Unknown, Code::Cancelled];
        assert!(codes.contains(&rejected.code()), "{rejected:?}");
    }
    let mut bomb = FeedServiceClient::new(channel.clone());
    let mut request = Request::new(pb::PublishRequest::default());
    request.metadata_mut().insert("grpc-encoding", "gzip".parse().unwrap());
    let rejected = bomb.publish(request).await.unwrap_err();
    assert!(matches!(rejected.code(), Code::Unimplemented | Code::InvalidArgument), "{rejected:?}");
    target.assert_unharmed().await;
}

#[tokio::test]
async fn filters_as_large_as_fit_are_answered_or_rejected() {
    let target = Target::start().await;
    let channel = lodewatch_client::connect(target.address()).await.unwrap();
    let mut alerts = AlertServiceClient::new(channel);
    let many = |word: &str| (0..100_000).map(|at| format!("{word}{at}")).collect::<Vec<_>>();
    let filter = pb::AlertFilter {
        minerals: vec!["gallium".to_owned(); 300_000],
        ..pb::AlertFilter::default()
    };
    let request = pb::ListAlertsRequest { filter: Some(filter), ..Default::default() };
    assert_fair("ListAlerts", "many minerals", &alerts.list_alerts(request).await.map(drop));
    let filter = pb::AlertFilter {
        rules: many("r"),
        countries: many("c"),
        destinations: many("d"),
        ..pb::AlertFilter::default()
    };
    let request = pb::SubscribeRequest { filter: Some(filter), ..Default::default() };
    assert_fair("Subscribe", "many rules", &alerts.subscribe(request).await.map(drop));
    target.assert_unharmed().await;
}

#[tokio::test]
async fn a_stream_of_batches_without_end_holds_no_more_than_its_credits() {
    const BATCHES: usize = 20_000;
    let target = Target::start().await;
    let channel = lodewatch_client::connect(target.address()).await.unwrap();
    let (sender, batches) = tokio::sync::mpsc::channel(64);
    let mut feed = FeedServiceClient::new(channel);
    let answers = feed.publish_stream(ReceiverStream::new(batches)).await.unwrap();
    let mut answers = answers.into_inner();
    let send = async move {
        for _ in 0..BATCHES {
            let batch = pb::PublishRequest { feed: "../x".repeat(100), ..Default::default() };
            let sent = pb::PublishStreamRequest { batch: Some(batch) };
            if sender.send(sent).await.is_err() {
                return;
            }
        }
    };
    let read = async {
        let mut count = 0;
        while let Ok(Some(_)) = answers.message().await {
            count += 1;
        }
        count
    };
    let ((), read) = tokio::join!(send, read);
    assert_eq!(read, BATCHES + 1, "each is rejected by itself, and the stream goes on");
    target.assert_unharmed().await;
}
