//! One stream of batches: read eagerly within the credits, appended together, answered in order.
//!
//! ```text
//! batch ─► parse ─► append ┐
//! batch ─► parse ─► append ├─ one fsync ─► applied ─► answers, in the order of the batches, each with new credits
//! batch ─► parse ─► append ┘
//! ```

use super::stream_timer::max_age;
use crate::escape::shorten;
use crate::grpc::admission::{Peer, PublishCredits, PublishStreamPermit};
use crate::grpc::backend::{Api, publish_batch};
use crate::grpc::pb::{self, publish_stream_response::Answer};
use crate::grpc::status;
use crate::grpc::trailers::ECHO_CHARS_MAX;
use crate::grpc::transport::{Deadline, count_rejection};
use futures_core::Stream;
use futures_util::StreamExt;
use futures_util::stream::FuturesOrdered;
use prost::Message;
use std::pin::{Pin, pin};
use std::sync::Arc;
use tokio::time::{Instant, sleep};
use tonic::{Status, Streaming};
use tonic_types::StatusExt;

pub(in crate::grpc) type PublishStream =
    Pin<Box<dyn Stream<Item = Result<pb::PublishStreamResponse, Status>> + Send>>;

/// A batch's request id, its bytes, and its result.
type PublishOutcome = (String, usize, Result<pb::PublishResponse, Status>);

/// What happens next on a stream.
enum StreamEvent {
    Answered(PublishOutcome),
    Batch(pb::PublishRequest),
    /// No further batch is read; those that were read are still answered.
    End(Result<(), Status>),
    DeadlinePassed,
}

/// Answers batches until the client sends no more, or none for too long, or the server drains.
pub(in crate::grpc) fn publish_batches(
    api: Arc<Api>,
    peer: Peer,
    permit: PublishStreamPermit,
    deadline: Deadline,
    mut batches: Streaming<pb::PublishStreamRequest>,
) -> PublishStream {
    let allowed = api.credits;
    let stream = async_stream::try_stream! {
        // Held until the stream ends, however it ends.
        let _permit = permit;
        let revocation = peer.revocation();
        let mut over = pin!(deadline.passed());
        let mut aged = pin!(max_age(api.stream_age_max).passed());
        let mut idle = pin!(sleep(api.publish_idle_timeout));
        yield pb::PublishStreamResponse { credits: Some(render_credits(allowed)), answer: None };
        // Polled for the first time in the order of the batches: that is when the journal accepts
        // each.
        let mut open = FuturesOrdered::new();
        let mut bytes_open = 0_usize;
        let mut end: Option<Result<(), Status>> = None;
        while end.is_none() || !open.is_empty() {
            let reading = end.is_none();
            let room = open.is_empty() || open.len() < allowed.batches && bytes_open < allowed.bytes;
            let event = tokio::select! {
                biased;
                () = &mut over => StreamEvent::DeadlinePassed,
                () = api.drain.cancelled(), if reading => StreamEvent::End(Err(status::draining())),
                () = revocation.revoked(), if reading => StreamEvent::End(Err(status::credentials_revoked())),
                () = &mut aged, if reading => StreamEvent::End(Err(status::stream_aged())),
                Some(answered) = open.next(), if !open.is_empty() => StreamEvent::Answered(answered),
                batch = batches.message(), if reading && room => match batch {
                    Ok(Some(sent)) => StreamEvent::Batch(sent.batch.unwrap_or_default()),
                    Ok(None) => StreamEvent::End(Ok(())),
                    Err(status) => StreamEvent::End(Err(status::too_large(status))),
                },
                // Last: a batch that has arrived is read first.
                () = &mut idle, if reading && open.is_empty() => StreamEvent::End(Err(status::stream_idle())),
            };
            if matches!(event, StreamEvent::Answered(_) | StreamEvent::Batch(_)) {
                idle.as_mut().reset(Instant::now() + api.publish_idle_timeout);
            }
            match event {
                StreamEvent::Answered((request_id, bytes, result)) => {
                    bytes_open = bytes_open.saturating_sub(bytes);
                    if let Err(status) = &result {
                        count_rejection(&api.metrics.calls, &peer, status);
                    }
                    yield render_answer(request_id, bytes, result);
                }
                StreamEvent::Batch(batch) => {
                    let bytes = batch.encoded_len();
                    bytes_open = bytes_open.saturating_add(bytes);
                    open.push_back(publish_one(Arc::clone(&api), peer.clone(), batch, bytes));
                }
                StreamEvent::End(how) => end = Some(how),
                StreamEvent::DeadlinePassed => Err(status::deadline())?,
            }
        }
        end.expect("the loop ends with an end")?;
    };
    Box::pin(stream)
}

async fn publish_one(
    api: Arc<Api>,
    peer: Peer,
    batch: pb::PublishRequest,
    bytes: usize,
) -> PublishOutcome {
    let request_id = shorten(&batch.request_id, ECHO_CHARS_MAX);
    let result = publish_batch(&api, &peer, "PublishStream", batch).await;
    (request_id, bytes, result)
}

/// One answer, which gives back the credits of its batch.
fn render_answer(
    request_id: String,
    bytes: usize,
    result: Result<pb::PublishResponse, Status>,
) -> pb::PublishStreamResponse {
    let answer = match result {
        Ok(response) => Answer::Accepted(response),
        Err(status) => Answer::Rejected(batch_error(request_id, &status)),
    };
    let credits = render_credits(PublishCredits { batches: 1, bytes });
    pb::PublishStreamResponse { credits: Some(credits), answer: Some(answer) }
}

fn render_credits(credits: PublishCredits) -> pb::Credits {
    let number = |number: usize| u64::try_from(number).unwrap_or(u64::MAX);
    pb::Credits { batches: number(credits.batches), bytes: number(credits.bytes) }
}

/// Why a batch was rejected: the same content as the status that `Publish` would have ended with.
fn batch_error(request_id: String, status: &Status) -> pb::BatchError {
    let details = status.get_error_details();
    let info = details.error_info().cloned();
    let fields = details.bad_request().map(|bad| bad.field_violations.as_slice());
    let limits = details.quota_failure().map(|failure| failure.violations.as_slice());
    let wait = details.retry_info().and_then(|info| info.retry_delay).unwrap_or_default();
    pb::BatchError {
        request_id,
        code: status.code().into(),
        reason: info.map(|info| info.reason).unwrap_or_default(),
        message: status.message().to_owned(),
        fields: fields
            .unwrap_or_default()
            .iter()
            .map(|one| pb::FieldError {
                field: one.field.clone(),
                description: one.description.clone(),
            })
            .collect(),
        limit: limits
            .and_then(|limits| limits.first())
            .map(|one| one.subject.clone())
            .unwrap_or_default(),
        retry_after_ms: u32::try_from(wait.as_millis()).unwrap_or(u32::MAX),
    }
}
