//! Our errors as gRPC statuses with `google.rpc` details: one table.
//!
//! | what | code, reason | the caller should |
//! |---|---|---|
//! | invalid fields | `INVALID_ARGUMENT` `BAD_REQUEST`, every field named | fix them |
//! | a threat for a bloc that the policy in force does not have | `INVALID_ARGUMENT` `UNKNOWN_BLOC` | name countries, or a bloc of the policy |
//! | an exercise would change a real threat, or the reverse | `INVALID_ARGUMENT` `EXERCISE_MIXED` | correct `exercise`, or use another threat id |
//! | request id of another batch | `INVALID_ARGUMENT` `REQUEST_ID_REUSED` | choose a new id |
//! | stale revision | `FAILED_PRECONDITION` `THREAT_REVISION_STALE` | read the threat again, then retry |
//! | cursor of another journal | `FAILED_PRECONDITION` `CURSOR_OF_ANOTHER_JOURNAL` | take a snapshot, or start from the oldest |
//! | cursor older than retention, or ahead of the journal | `OUT_OF_RANGE` `CURSOR_LOST`, oldest and head in the metadata | start from the oldest, or take a snapshot |
//! | no such market, threat or alert | `NOT_FOUND` `NOT_FOUND` | |
//! | removal of a threat or report that is not recorded | `NOT_FOUND` `UNKNOWN_THREAT`, `UNKNOWN_REPORT` | |
//! | the record would hold too many threats or reports | `RESOURCE_EXHAUSTED` `LIMIT_REACHED` without RetryInfo, the limit in the metadata | remove some, then publish a new batch |
//! | a batch that may cause too many alerts | `RESOURCE_EXHAUSTED` `LIMIT_REACHED`, without `RetryInfo` | send fewer updates in a batch |
//! | a limit is reached | `RESOURCE_EXHAUSTED` `LIMIT_REACHED`, the setting in the metadata | slow down, then retry |
//! | disk full | `RESOURCE_EXHAUSTED` `DISK_FULL` | retry later; reads go on |
//! | the call's deadline has passed | `DEADLINE_EXCEEDED` `DEADLINE` | resume from the last cursor |
//! | shutting down, journal unreachable | `UNAVAILABLE` `DRAINING`, `JOURNAL_UNREACHABLE` | retry, here or elsewhere |
//! | history unreachable | `UNAVAILABLE` `ARCHIVE_UNREACHABLE` | retry later |
//! | batch applied, but its result is no longer kept | `UNAVAILABLE` `RESULT_EXPIRED` | check what it changed; a retry applies it again |
//! | a stream of batches was idle | `UNAVAILABLE` `STREAM_IDLE` | open another for further batches |
//! | a stream without `GoAway` reached its maximum age | `UNAVAILABLE` `MAX_AGE` | open another |
//! | the caller's credentials were revoked or changed during a stream | `UNAVAILABLE` `CREDENTIALS_CHANGED` | reconnect with valid credentials |
//! | replicas diverged | `UNAVAILABLE` `REPLICAS_DIVERGED` | retry elsewhere; call the operator |
//! | the clock jumped forward | `UNAVAILABLE` `CLOCK_JUMPED` | retry; reads go on |
//! | no or invalid credentials | `UNAUTHENTICATED` `CREDENTIALS_REQUIRED` | send a token or a client certificate |
//! | role missing, or no such method | `PERMISSION_DENIED` `ROLE_REQUIRED`, `METHOD_UNKNOWN` | ask the operator |
//! | feed, mineral, source, threat or report of another publisher | `PERMISSION_DENIED` `FEED_NOT_ALLOWED`, `MINERAL_NOT_ALLOWED`, `SOURCE_NOT_ALLOWED`, `UPDATE_NOT_ALLOWED` | ask the operator |
//! | damaged journal | `DATA_LOSS` `JOURNAL_DAMAGED` | call the operator |

use super::codec::parse::Violations;
use super::codec::tokens::CursorError;
use super::trailers::{ECHO_CHARS_MAX, fit_message};
use crate::access::{CallDenied, PublishDenied};
use crate::clock::ClockJump;
use crate::escape::shorten;
use crate::pipeline::{Divergence, Stall};
use crate::{archive, journal};
use lodewatch_core::domain::outcome::RejectedBatch;
use lodewatch_core::domain::update::Rejection;
use std::collections::BTreeMap;
use std::error::Error;
use std::time::Duration;
use tonic::body::Body;
use tonic::codegen::http::{HeaderMap, Response};
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, FieldViolation, StatusExt};

/// Nothing depends on the order of this map.
#[allow(clippy::disallowed_types, reason = "the type that tonic-types requires")]
type Metadata = std::collections::HashMap<String, String>;

/// The domain of our `ErrorInfo` reasons.
const DOMAIN: &str = "lodewatch.v1";
/// Bytes of the fields that the details name: as many as fit.
const FIELDS_BYTES_MAX: usize = 1536;
/// Characters of what is wrong with a field.
const FIELD_CHARS_MAX: usize = 300;
/// The delay that `RetryInfo` names, except for rates.
const RETRY_AFTER: Duration = Duration::from_secs(1);

impl From<Violations> for Status {
    fn from(violations: Violations) -> Self {
        let mut details = ErrorDetails::new();
        for violation in violations.iter() {
            details.add_bad_request_violation(&violation.field, &violation.description);
        }
        with(Code::InvalidArgument, "BAD_REQUEST", violations.to_string(), &[], details)
    }
}

/// A malformed cursor, or one of another journal.
pub(in crate::grpc) fn cursor(field: &str, error: &CursorError) -> Status {
    match error {
        CursorError::Malformed => Violations::one(field, error.to_string()).into(),
        CursorError::OtherJournal(_) => {
            let message = format!("cannot resume: {field} {error}");
            plain(Code::FailedPrecondition, "CURSOR_OF_ANOTHER_JOURNAL", message, &[])
        }
    }
}

/// A cursor from which no stream can resume.
pub(in crate::grpc) fn out_of_range(sent: &str, oldest: &str, head: &str) -> Status {
    let message = "cannot resume: the cursor is older than the retained history, or ahead of \
                   the journal; start from the oldest cursor, or take a snapshot";
    let metadata = [("cursor", sent), ("oldest_cursor", oldest), ("head_cursor", head)];
    plain(Code::OutOfRange, "CURSOR_LOST", message.to_owned(), &metadata)
}

pub(in crate::grpc) fn not_found(what: &str, name: &str) -> Status {
    let name = &*shorten(name, ECHO_CHARS_MAX);
    plain(Code::NotFound, "NOT_FOUND", format!("{what} {name:?} not found"), &[("name", name)])
}

/// A destination that is neither a country nor a bloc of the policy in force.
pub(in crate::grpc) fn unknown_destination(name: &str, blocs: &[String]) -> Status {
    let known = if blocs.is_empty() { "none".to_owned() } else { blocs.join(", ") };
    let why =
        format!("{name} is not a bloc of the policy in force; use a country, or one of: {known}");
    Violations::one("destination", why).into()
}

/// A limit is reached; `limit` is the setting that holds it.
pub(in crate::grpc) fn exhausted(limit: &str, cause: &str) -> Status {
    let details = ErrorDetails::with_quota_failure_violation(limit, cause);
    let message = format!("limit reached: {cause} ({limit}); retry later");
    retry(Code::ResourceExhausted, "LIMIT_REACHED", message, &[("limit", limit)], details)
}

/// A rate is exceeded; a call after `wait` is within it again.
pub(in crate::grpc) fn throttled(limit: &str, cause: &str, wait: Duration) -> Status {
    let mut details = ErrorDetails::with_quota_failure_violation(limit, cause);
    details.set_retry_info(Some(wait));
    let message = format!("limit reached: {cause} ({limit}); retry in {} ms", wait.as_millis());
    with(Code::ResourceExhausted, "LIMIT_REACHED", message, &[("limit", limit)], details)
}

/// A call over a limit or budget that the same call would reach again: the cause, or how far it
/// got, and what the caller can do.
pub(in crate::grpc) fn budget_spent(limit: &str, cause: &str, remedy: &str) -> Status {
    let details = ErrorDetails::with_quota_failure_violation(limit, cause);
    let message = format!("limit reached: {cause} ({limit}); {remedy}");
    with(Code::ResourceExhausted, "LIMIT_REACHED", message, &[("limit", limit)], details)
}

/// A batch may cause more alerts than one batch may.
pub(in crate::grpc) fn batch_too_large(alerts: u64, most: u64) -> Status {
    let cause = format!("the batch may cause up to {alerts} alerts; at most {most} are allowed");
    budget_spent("alerts_per_batch_max", &cause, "send fewer updates in a batch")
}

/// A request over the limit on its size: tonic's own status, turned into that of every other limit.
pub(in crate::grpc) fn too_large(status: Status) -> Status {
    // The only status of this code that has no details.
    if status.code() != Code::OutOfRange || !status.details().is_empty() {
        return status;
    }
    let limit = "server.message_bytes_max";
    let details = ErrorDetails::with_quota_failure_violation(limit, status.message());
    let message = format!("limit reached: {} ({limit}); send a smaller request", status.message());
    with(Code::ResourceExhausted, "LIMIT_REACHED", message, &[("limit", limit)], details)
}

/// A request that would take far more memory than its bytes.
pub(in crate::grpc) fn too_many_parts(bytes: usize, memory_max: usize) -> Status {
    let limit = "server.message_bytes_max";
    let cause = format!(
        "the parts of the request's {bytes} bytes would take more than {memory_max} bytes of memory"
    );
    budget_spent(limit, &cause, "send no empty parts")
}

/// Names the limit where tonic rejected a request for its size before any service read it.
pub(in crate::grpc) fn name_size_limit(mut response: Response<Body>) -> Response<Body> {
    if let Some(status) = Status::from_header_map(response.headers())
        && status.code() == Code::OutOfRange
        && status.details().is_empty()
    {
        response = too_large(status).into_http();
    }
    response
}

/// The code of a status in headers or trailers, where there is one.
pub(in crate::grpc) fn code(headers: &HeaderMap) -> Option<Code> {
    headers.get(Status::GRPC_STATUS).map(|code| Code::from_bytes(code.as_bytes()))
}

/// The message of a status for which the server is at fault, as in OpenTelemetry's conventions.
pub(in crate::grpc) fn fault(status: &Status) -> Option<&str> {
    let faults = [
        Code::Unknown,
        Code::DeadlineExceeded,
        Code::Unimplemented,
        Code::Internal,
        Code::Unavailable,
        Code::DataLoss,
    ];
    faults.contains(&status.code()).then(|| status.message())
}

pub(in crate::grpc) fn draining() -> Status {
    unavailable("DRAINING", "the server is shutting down; retry, here or elsewhere")
}

/// The credentials by which the caller was authenticated are no longer valid.
pub(in crate::grpc) fn credentials_revoked() -> Status {
    unavailable(
        "CREDENTIALS_CHANGED",
        "stream ended: its credentials were revoked or changed; reconnect with valid ones",
    )
}

/// A stream reached its maximum age.
pub(in crate::grpc) fn stream_aged() -> Status {
    let message = "stream ended: it reached its maximum age (server.stream_age_max); open another";
    unavailable("MAX_AGE", message)
}

/// A stream of batches was idle for too long.
pub(in crate::grpc) fn stream_idle() -> Status {
    unavailable(
        "STREAM_IDLE",
        "stream ended: it was idle for too long (server.publish_idle_timeout); open another for \
         further batches",
    )
}

pub(in crate::grpc) fn deadline() -> Status {
    let message = "the deadline of the call has passed; resume a stream from its last cursor";
    plain(Code::DeadlineExceeded, "DEADLINE", message.to_owned(), &[])
}

/// A temporary failure.
pub(in crate::grpc) fn unavailable(reason: &str, message: &str) -> Status {
    retry(Code::Unavailable, reason, message.to_owned(), &[], ErrorDetails::new())
}

/// A batch that was rejected as a whole. Of the first reasons, the one with the lowest code
/// decides; further ones are only counted.
pub(in crate::grpc) fn rejected(rejected: &RejectedBatch) -> Status {
    let mut details = ErrorDetails::new();
    let mut kinds = BTreeMap::new();
    let mut reached = None;
    for rejection in rejected.first() {
        let (code, reason, field) = match rejection {
            Rejection::RequestIdReused { .. } => {
                (Code::InvalidArgument, "REQUEST_ID_REUSED", "request_id".to_owned())
            }
            Rejection::UnknownBloc { update, .. } => (
                Code::InvalidArgument,
                "UNKNOWN_BLOC",
                format!("updates[{update}].threat.destination"),
            ),
            Rejection::ExerciseMixed { update, .. } => {
                (Code::InvalidArgument, "EXERCISE_MIXED", format!("updates[{update}]"))
            }
            Rejection::UnknownThreat { update, .. } => {
                (Code::NotFound, "UNKNOWN_THREAT", format!("updates[{update}].removal.threat_id"))
            }
            Rejection::UnknownReport { update, .. } => {
                (Code::NotFound, "UNKNOWN_REPORT", format!("updates[{update}].report_removal"))
            }
            Rejection::LimitReached { update, excess } => {
                let limit = excess.limit_name();
                if reached.is_none() {
                    details.add_quota_failure_violation(&limit, excess.to_string());
                    reached = Some(limit);
                }
                (Code::ResourceExhausted, "LIMIT_REACHED", format!("updates[{update}]"))
            }
            Rejection::ThreatOwnedByOtherFeed { update, .. }
            | Rejection::ThreatCoversOtherMinerals { update, .. }
            | Rejection::ReportOwnedByOtherFeed { update, .. } => {
                (Code::PermissionDenied, "UPDATE_NOT_ALLOWED", format!("updates[{update}]"))
            }
            Rejection::StaleRevision { update, .. } => {
                (Code::FailedPrecondition, "THREAT_REVISION_STALE", format!("updates[{update}]"))
            }
        };
        details.add_bad_request_violation(field, rejection.to_string());
        // By number: INVALID_ARGUMENT, NOT_FOUND, PERMISSION_DENIED, RESOURCE_EXHAUSTED,
        // FAILED_PRECONDITION.
        kinds.entry(i32::from(code)).or_insert((code, reason));
    }
    let first = kinds.into_values().next();
    let (code, reason) = first.expect("a rejected batch has a reason");
    let limit = reached.as_deref().filter(|_| code == Code::ResourceExhausted);
    let metadata: Vec<_> = limit.map(|limit| ("limit", limit)).into_iter().collect();
    with(code, reason, rejected.to_string(), &metadata, details)
}

pub(in crate::grpc) fn denied(denied: &CallDenied, path: &str) -> Status {
    let path = &*shorten(path, ECHO_CHARS_MAX);
    match denied {
        CallDenied::Unauthenticated { .. } => {
            let message = "cannot authenticate the call: no valid credentials; send a bearer token \
                           in the metadata `authorization`, or use a client certificate that the \
                           server knows";
            plain(Code::Unauthenticated, "CREDENTIALS_REQUIRED", message.to_owned(), &[])
        }
        CallDenied::UnknownMethod { identity } => {
            let message = format!("cannot call {path:?}: this server offers no such method");
            let metadata = [("method", path), ("identity", &*identity.name)];
            plain(Code::PermissionDenied, "METHOD_UNKNOWN", message, &metadata)
        }
        CallDenied::RoleMissing { identity, access } => {
            let (name, roles) = (&identity.name, access.to_string());
            let message = format!(
                "cannot call {path}: identity {name} has none of the roles {roles}; ask the operator for one"
            );
            let metadata = [("method", path), ("identity", &**name), ("roles", &roles)];
            plain(Code::PermissionDenied, "ROLE_REQUIRED", message, &metadata)
        }
    }
}

pub(in crate::grpc) fn publish_denied(denied: &PublishDenied) -> Status {
    let (reason, identity) = match denied {
        PublishDenied::Feed { identity, .. } => ("FEED_NOT_ALLOWED", identity),
        PublishDenied::Mineral { identity, .. } => ("MINERAL_NOT_ALLOWED", identity),
        PublishDenied::Source { identity, .. } => ("SOURCE_NOT_ALLOWED", identity),
    };
    plain(Code::PermissionDenied, reason, denied.to_string(), &[("identity", identity)])
}

/// An entry could not be appended or read.
pub(in crate::grpc) fn journal(error: &journal::Error) -> Status {
    use journal::Error as E;
    let text = chain(error);
    match error {
        E::Full { .. } => disk_full(text),
        E::TooLarge { .. } => Violations::one("updates", text).into(),
        E::Damaged { .. } | E::Format { .. } => {
            tracing::error!(error = text, "journal damaged");
            plain(Code::DataLoss, "JOURNAL_DAMAGED", text, &[])
        }
        // The journal logs it itself, once.
        E::Unreachable { .. } => unavailable("JOURNAL_UNREACHABLE", &text),
        E::Closed
        | E::Gone { .. }
        | E::Io { .. }
        | E::Unsuitable { .. }
        | E::OutOfRange { .. }
        | E::Locked { .. }
        | E::Exists { .. } => {
            tracing::error!(error = text, "journal unreachable");
            unavailable(
                "JOURNAL_UNREACHABLE",
                "the journal is unreachable; retry, here or elsewhere",
            )
        }
    }
}

/// The clock shows a time that no entry can have.
pub(in crate::grpc) fn clock(jump: &ClockJump) -> Status {
    unavailable("CLOCK_JUMPED", &jump.to_string())
}

/// Why entries can no longer be applied.
pub(in crate::grpc) fn stalled(stall: &Stall) -> Status {
    match stall {
        Stall::Damaged(error) => journal(error),
        Stall::Full(error) => disk_full(chain(error)),
        Stall::Diverged(divergence) => diverged(divergence),
    }
}

/// Replicas derived different states from the same journal: none of them serves.
pub(in crate::grpc) fn diverged(divergence: &Divergence) -> Status {
    unavailable("REPLICAS_DIVERGED", &divergence.to_string())
}

fn disk_full(text: String) -> Status {
    retry(Code::ResourceExhausted, "DISK_FULL", text, &[], ErrorDetails::new())
}

/// The archive could not be read.
pub(in crate::grpc) fn archive(error: &archive::Error) -> Status {
    use archive::Error as E;
    match error {
        E::Pruned { oldest, .. } => plain(
            Code::OutOfRange,
            "CURSOR_LOST",
            error.to_string(),
            &[("oldest_entry", &oldest.to_string())],
        ),
        E::Cancelled { .. } => Status::cancelled("the caller is gone"),
        E::Full { .. }
        | E::Damaged { .. }
        | E::JournalTooShort { .. }
        | E::OtherJournal { .. }
        | E::Io { .. } => {
            tracing::error!(error = chain(error), "cannot read the archive");
            unavailable(
                "ARCHIVE_UNREACHABLE",
                "cannot read history: the archive is unavailable; retry later",
            )
        }
    }
}

/// The reason and the limit that a status names.
pub(in crate::grpc) struct RejectionLabels {
    /// One of the reasons in this file; `None` where the status is not ours.
    pub(in crate::grpc) reason: Option<String>,
    /// The setting that holds the limit, where one was reached.
    pub(in crate::grpc) limit: Option<String>,
}

pub(in crate::grpc) fn rejection_labels(status: &Status) -> RejectionLabels {
    let info = status.get_details_error_info().filter(|info| info.domain == DOMAIN);
    let limit = info.as_ref().and_then(|info| info.metadata.get("limit").cloned());
    RejectionLabels { reason: info.map(|info| info.reason), limit }
}

/// An error and what caused it, separated by colons.
fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}

fn plain(code: Code, reason: &str, message: String, metadata: &[(&str, &str)]) -> Status {
    with(code, reason, message, metadata, ErrorDetails::new())
}

fn retry(
    code: Code,
    reason: &str,
    message: String,
    metadata: &[(&str, &str)],
    mut details: ErrorDetails,
) -> Status {
    details.set_retry_info(Some(RETRY_AFTER));
    with(code, reason, message, metadata, details)
}

fn with(
    code: Code,
    reason: &str,
    message: String,
    metadata: &[(&str, &str)],
    mut details: ErrorDetails,
) -> Status {
    let message = fit_message(message);
    if let Some(bad) = details.bad_request() {
        let mut bytes = 0_usize;
        let shortened = bad.field_violations.iter().map(|one| FieldViolation {
            description: shorten(&one.description, FIELD_CHARS_MAX),
            ..one.clone()
        });
        let fits = |one: &FieldViolation| {
            bytes = bytes.saturating_add(one.field.len()).saturating_add(one.description.len());
            bytes <= FIELDS_BYTES_MAX
        };
        let fields: Vec<FieldViolation> = shortened.take_while(fits).collect();
        details.set_bad_request(fields);
    }
    let metadata = metadata.iter();
    let metadata = metadata.map(|(key, value)| ((*key).to_owned(), shorten(value, ECHO_CHARS_MAX)));
    details.set_error_info(reason, DOMAIN, metadata.collect::<Metadata>());
    Status::with_error_details(code, message, details)
}

#[cfg(test)]
mod tests {
    use super::super::trailers::{TRAILERS_BYTES_MAX, size_of};
    use super::*;

    #[test]
    fn a_status_fits_in_the_trailers_with_its_code_and_reason_for_any_text_of_a_caller() {
        for text in ["x".repeat(6000), "\u{1f30d}".repeat(6000), "\u{1}%\"".repeat(4000)] {
            let mut violations = ErrorDetails::new();
            for _ in 0..100 {
                violations.add_bad_request_violation("updates[9].report.rows[9].country", &text);
            }
            let metadata = [("cursor", &*text), ("oldest", &*text), ("head", &*text)];
            let all =
                with(Code::InvalidArgument, "BAD_REQUEST", text.clone(), &metadata, violations);
            for (status, reason) in [
                (all, "BAD_REQUEST"),
                (not_found("threat", &text), "NOT_FOUND"),
                (out_of_range(&text, &text, &text), "CURSOR_LOST"),
            ] {
                assert!(size_of(&status) < TRAILERS_BYTES_MAX - 512, "{} bytes", size_of(&status));
                assert_eq!(status.get_details_error_info().unwrap().reason, reason);
            }
        }
    }
}
