//! One stream of batches, within the credits that the server grants.

use lodewatch_proto::v1 as pb;
use pb::feed_service_client::FeedServiceClient;
use pb::publish_stream_response::Answer;
use prost::Message;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Streaming;
use tonic::transport::Channel;

/// No server grants credits for more batches at once.
const CREDITS_MAX: usize = 8192;

/// A stream of batches, and its credits.
pub(crate) struct Batches {
    sender: mpsc::Sender<pb::PublishStreamRequest>,
    answers: Streaming<pb::PublishStreamResponse>,
    credits: pb::Credits,
}

impl Batches {
    pub(crate) async fn open(mut feed: FeedServiceClient<Channel>) -> Self {
        let (sender, sent) = mpsc::channel(CREDITS_MAX);
        let answers = feed.publish_stream(ReceiverStream::new(sent)).await.unwrap().into_inner();
        let mut batches = Self { sender, answers, credits: pb::Credits::default() };
        assert_eq!(batches.next().await, None, "the first message has credits alone");
        batches
    }

    /// Sends a batch; `false` if it must first wait for replies.
    pub(crate) async fn send(&mut self, batch: &pb::PublishRequest) -> bool {
        let bytes = batch.encoded_len() as u64;
        if self.credits.batches == 0 || self.credits.bytes < bytes {
            return false;
        }
        self.credits.batches -= 1;
        self.credits.bytes -= bytes;
        self.sender.send(pb::PublishStreamRequest { batch: Some(batch.clone()) }).await.unwrap();
        true
    }

    /// Waits for the reply to one more batch: it is durable and applied.
    pub(crate) async fn answered(&mut self) {
        let answer = self.next().await;
        assert!(matches!(answer, Some(Answer::Accepted(_))), "{answer:?}");
    }

    async fn next(&mut self) -> Option<Answer> {
        let message = self.answers.message().await.unwrap().expect("the server goes on");
        let granted = message.credits.unwrap_or_default();
        self.credits.batches += granted.batches;
        self.credits.bytes += granted.bytes;
        message.answer
    }
}
