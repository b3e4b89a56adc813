//! One stream of batches: read eagerly within the credits, appended together, answered in order.
//!
//! ```text
//! batch ─► parse ─► append ┐
//! batch ─► parse ─► append ├─ one fsync ─► applied ─► answers, in the order of the batches, each with new credits
//! batch ─► parse ─► append ┘
//! ```

use super::api::Api;
use super::counted::refused;
use super::deadline::Deadline;
use super::feed_service::answer;
use super::limits::PublishStreamPermit;
use super::pb::{self, publish_stream_response::Answer};
use super::peer::Peer;
use super::{render, status};
use futures_core::Stream;
use futures_util::StreamExt;
use futures_util::stream::FuturesOrdered;
use prost::Message;
use std::pin::{Pin, pin};
use std::sync::Arc;
use tonic::{Status, Streaming};

/// The answers of one stream of batches.
pub(super) type PublishStream =
    Pin<Box<dyn Stream<Item = Result<pb::PublishStreamResponse, Status>> + Send>>;

/// What one client may have sent and not yet had answered.
#[derive(Debug, Clone, Copy)]
pub struct Credits {
    /// How many batches.
    pub batches: usize,
    /// How many bytes of batches; at least one batch, however large.
    pub bytes: usize,
}

impl Credits {
    fn render(self) -> pb::Credits {
        let number = |number: usize| u64::try_from(number).unwrap_or(u64::MAX);
        pb::Credits { batches: number(self.batches), bytes: number(self.bytes) }
    }
}

/// A batch's answer, and what it took.
type Answered = (String, usize, Result<pb::PublishResponse, Status>);

/// What happens next on a stream.
enum Event {
    Answered(Answered),
    Batch(pb::PublishRequest),
    /// No further batch is read; those that were are still answered.
    End(Result<(), Status>),
    /// The caller no longer waits.
    Over,
}

/// Answers batches until the client has no more, or the server drains.
pub(super) fn open(
    api: Arc<Api>,
    peer: Peer,
    permit: PublishStreamPermit,
    deadline: Deadline,
    mut batches: Streaming<pb::PublishStreamRequest>,
) -> PublishStream {
    let allowed = api.credits;
    let stream = async_stream::try_stream! {
        // Given back when the stream ends, however it ends.
        let _permit = permit;
        let admission = peer.admission();
        let mut over = pin!(deadline.passed());
        yield pb::PublishStreamResponse { credits: Some(allowed.render()), answer: None };
        // Each is polled for the first time in the order of the batches, and that is when the journal accepts it.
        let mut open = FuturesOrdered::new();
        let mut bytes_open = 0_usize;
        let mut end: Option<Result<(), Status>> = None;
        while end.is_none() || !open.is_empty() {
            let reading = end.is_none();
            let room = open.is_empty() || open.len() < allowed.batches && bytes_open < allowed.bytes;
            let event = tokio::select! {
                biased;
                () = &mut over => Event::Over,
                () = api.drain.cancelled(), if reading => Event::End(Err(status::draining())),
                () = admission.ended(), if reading => Event::End(Err(status::admission_ended())),
                Some(answered) = open.next(), if !open.is_empty() => Event::Answered(answered),
                batch = batches.message(), if reading && room => match batch {
                    Ok(Some(sent)) => Event::Batch(sent.batch.unwrap_or_default()),
                    Ok(None) => Event::End(Ok(())),
                    Err(refused) => Event::End(Err(status::too_large(refused))),
                },
            };
            match event {
                Event::Answered((request_id, bytes, result)) => {
                    bytes_open = bytes_open.saturating_sub(bytes);
                    if let Err(status) = &result {
                        refused(&api.metrics.calls, status);
                    }
                    yield answered_batch(request_id, bytes, result);
                }
                Event::Batch(batch) => {
                    let bytes = batch.encoded_len();
                    bytes_open = bytes_open.saturating_add(bytes);
                    open.push_back(take(Arc::clone(&api), peer.clone(), batch, bytes));
                }
                Event::End(how) => end = Some(how),
                Event::Over => Err(status::deadline())?,
            }
        }
        end.expect("the loop ends with an end")?;
    };
    Box::pin(stream)
}

async fn take(api: Arc<Api>, peer: Peer, batch: pb::PublishRequest, bytes: usize) -> Answered {
    let request_id = batch.request_id.clone();
    let result = answer(&api, &peer, "PublishStream", batch).await;
    (request_id, bytes, result)
}

/// One answer, which gives back what its batch took.
fn answered_batch(
    request_id: String,
    bytes: usize,
    result: Result<pb::PublishResponse, Status>,
) -> pb::PublishStreamResponse {
    let answer = match result {
        Ok(response) => Answer::Accepted(response),
        Err(status) => Answer::Rejected(render::batch_error(request_id, &status)),
    };
    let credits = Credits { batches: 1, bytes }.render();
    pb::PublishStreamResponse { credits: Some(credits), answer: Some(answer) }
}
