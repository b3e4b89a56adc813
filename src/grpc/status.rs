//! Our errors as gRPC statuses with `google.rpc` details: one table.
//!
//! | what | code, reason | the caller should |
//! |---|---|---|
//! | bad fields | `INVALID_ARGUMENT` `BAD_REQUEST`, every field named | fix them |
//! | request id of another batch | `INVALID_ARGUMENT` `REQUEST_ID_REUSED` | choose a new id |
//! | stale revision | `FAILED_PRECONDITION` `THREAT_REVISION_STALE` | read the threat again, then retry |
//! | cursor of another journal | `FAILED_PRECONDITION` `CURSOR_OF_ANOTHER_JOURNAL` | take a snapshot, or start from the oldest |
//! | cursor no longer kept, or ahead | `OUT_OF_RANGE` `CURSOR_LOST`, oldest and head in the metadata | start from the oldest, or take a snapshot |
//! | no such thing | `NOT_FOUND` | |
//! | a limit | `RESOURCE_EXHAUSTED`, the limit in the metadata | slow down, then retry |
//! | disk full | `RESOURCE_EXHAUSTED` `DISK_FULL` | retry later; reads go on |
//! | the call's own deadline | `DEADLINE_EXCEEDED` | resume from the last cursor |
//! | shutting down, journal out of reach | `UNAVAILABLE` | retry, here or elsewhere |
//! | replicas that differ | `UNAVAILABLE` `REPLICAS_DIVERGED` | retry elsewhere; call the operator |
//! | the clock jumped forward | `UNAVAILABLE` `CLOCK_JUMPED` | retry; reads go on |
//! | no or wrong credentials | `UNAUTHENTICATED` `CREDENTIALS_REQUIRED` | show a token or a certificate |
//! | role lacks the method, or there is none | `PERMISSION_DENIED` `ROLE_REQUIRED`, `METHOD_UNKNOWN` | ask the operator |
//! | another's feed, mineral, threat or report | `PERMISSION_DENIED` `FEED_NOT_ALLOWED`, `MINERAL_NOT_ALLOWED`, `UPDATE_NOT_ALLOWED` | ask the operator |
//! | damaged journal | `DATA_LOSS` `JOURNAL_DAMAGED` | call the operator |

use super::codec::parse::Violations;
use super::codec::tokens::CursorError;
use crate::access::{Denied, Overstep};
use crate::clock::Jumped;
use crate::domain::update::Rejection;
use crate::pipeline::{Divergence, Stall};
use crate::{archive, journal};
use std::collections::BTreeMap;
use std::error::Error;
use std::time::Duration;
use tonic::body::Body;
use tonic::codegen::http::{HeaderMap, Response};
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, FieldViolation, StatusExt};

/// The map that the details are made of; its order is never looked at.
#[allow(clippy::disallowed_types, reason = "tonic-types asks for it")]
type Metadata = std::collections::HashMap<String, String>;

/// The domain of our reasons.
const DOMAIN: &str = "lodewatch.v1";
/// When a passing trouble may be over.
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

/// A cursor that is none, or of another journal.
pub(in crate::grpc) fn cursor(field: &str, error: &CursorError) -> Status {
    match error {
        CursorError::Malformed => Violations::one(field, error.to_string()).into(),
        CursorError::OtherJournal(_) => {
            let message = format!("{field} {error}");
            plain(Code::FailedPrecondition, "CURSOR_OF_ANOTHER_JOURNAL", message, &[])
        }
    }
}

/// A cursor that cannot be resumed from.
pub(in crate::grpc) fn out_of_range(sent: &str, oldest: &str, head: &str) -> Status {
    let message = "the cursor is older than what is kept, or ahead of the journal; \
                   start from the oldest, or take a snapshot";
    let metadata = [("cursor", sent), ("oldest_cursor", oldest), ("head_cursor", head)];
    plain(Code::OutOfRange, "CURSOR_LOST", message.to_owned(), &metadata)
}

/// Nothing of this name.
pub(in crate::grpc) fn not_found(what: &str, name: &str) -> Status {
    plain(Code::NotFound, "NOT_FOUND", format!("there is no {what} {name:?}"), &[("name", name)])
}

/// A destination that is no country, nor a bloc of the policy in force.
pub(in crate::grpc) fn unknown_destination(name: &str, blocs: &[String]) -> Status {
    let why = format!("{name} is no bloc of the policy in force; it has {}", blocs.join(", "));
    Violations::one("destination", why).into()
}

/// A limit of the configuration, by its name.
pub(in crate::grpc) fn exhausted(limit: &str, message: &str) -> Status {
    let details = ErrorDetails::with_quota_failure_violation(limit, message);
    let message = format!("{message} ({limit})");
    retry(Code::ResourceExhausted, "LIMIT_REACHED", message, &[("limit", limit)], details)
}

/// A rate of the configuration, by its name, and when there is room again.
pub(in crate::grpc) fn throttled(limit: &str, message: &str, wait: Duration) -> Status {
    let mut details = ErrorDetails::with_quota_failure_violation(limit, message);
    details.set_retry_info(Some(wait));
    let message = format!("{message} ({limit})");
    with(Code::ResourceExhausted, "LIMIT_REACHED", message, &[("limit", limit)], details)
}

/// A request that is larger than the configuration allows: tonic's own refusal, told like every other limit.
pub(in crate::grpc) fn too_large(status: Status) -> Status {
    // The only status of this code that has no details.
    if status.code() != Code::OutOfRange || !status.details().is_empty() {
        return status;
    }
    let (limit, message) = ("server.message_bytes_max", "the request is too large");
    let details = ErrorDetails::with_quota_failure_violation(limit, status.message());
    let message = format!("{message}: {} ({limit})", status.message());
    with(Code::ResourceExhausted, "LIMIT_REACHED", message, &[("limit", limit)], details)
}

/// Names the limit where tonic has refused a request for its size before any service saw it.
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

/// What a status says, where the server is at fault, as OpenTelemetry's conventions for servers have it.
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

/// The server shuts down.
pub(in crate::grpc) fn draining() -> Status {
    unavailable("DRAINING", "the server is shutting down")
}

/// What the caller showed is no longer taken.
pub(in crate::grpc) fn admission_ended() -> Status {
    unavailable(
        "CREDENTIALS_CHANGED",
        "the credentials were revoked or changed; show those that are valid now",
    )
}

/// The caller's own deadline has passed.
pub(in crate::grpc) fn deadline() -> Status {
    let message = "the deadline of the call has passed; a stream goes on from its last cursor";
    plain(Code::DeadlineExceeded, "DEADLINE", message.to_owned(), &[])
}

/// A trouble that passes.
pub(in crate::grpc) fn unavailable(reason: &str, message: &str) -> Status {
    retry(Code::Unavailable, reason, message.to_owned(), &[], ErrorDetails::new())
}

/// A batch that was refused as a whole. The gravest reason decides the code.
pub(in crate::grpc) fn refused(rejections: &[Rejection]) -> Status {
    /// More than this are only counted in the message.
    const SHOWN_MAX: usize = 10;
    let shown = rejections.iter().take(SHOWN_MAX).map(ToString::to_string);
    let more = rejections.len().saturating_sub(SHOWN_MAX);
    let rest = (more > 0).then(|| format!("and {more} more"));
    let message = shown.chain(rest).collect::<Vec<_>>().join("; ");
    let mut details = ErrorDetails::new();
    let mut kinds = BTreeMap::new();
    for refusal in rejections {
        let (code, reason, field) = match refusal {
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
            Rejection::ThreatOwnedByOtherFeed { update, .. }
            | Rejection::ThreatCoversOtherMinerals { update, .. }
            | Rejection::ReportOwnedByOtherFeed { update, .. } => {
                (Code::PermissionDenied, "UPDATE_NOT_ALLOWED", format!("updates[{update}]"))
            }
            Rejection::StaleRevision { update, .. } => {
                (Code::FailedPrecondition, "THREAT_REVISION_STALE", format!("updates[{update}]"))
            }
        };
        details.add_bad_request_violation(field, refusal.to_string());
        // Ordered by number: what must be fixed comes before what was not found, that before what is another's, and that
        // before what was stale.
        kinds.entry(i32::from(code)).or_insert((code, reason));
    }
    let first = kinds.into_values().next();
    let (code, reason) = first.expect("a refused batch has a reason");
    with(code, reason, message, &[], details)
}

/// A call that the gate did not let pass.
pub(in crate::grpc) fn denied(denied: &Denied, path: &str) -> Status {
    match denied {
        Denied::Unauthenticated => {
            let message = "credentials are needed: a bearer token in the metadata `authorization`, or a client certificate \
                           that the server knows; those shown, if any, are not valid";
            plain(Code::Unauthenticated, "CREDENTIALS_REQUIRED", message.to_owned(), &[])
        }
        Denied::Unknown { identity } => {
            let message = format!("there is no method {path:?}, or nobody may call it");
            let metadata = [("method", path), ("identity", &*identity.name)];
            plain(Code::PermissionDenied, "METHOD_UNKNOWN", message, &metadata)
        }
        Denied::Role { identity, who } => {
            let (name, who) = (&identity.name, who.to_string());
            let message = format!("{name} may not call {path}; that needs a role of: {who}");
            let metadata = [("method", path), ("identity", &**name), ("roles", &who)];
            plain(Code::PermissionDenied, "ROLE_REQUIRED", message, &metadata)
        }
    }
}

/// A batch that is more than its publisher may say.
pub(in crate::grpc) fn overstep(overstep: &Overstep) -> Status {
    let (reason, identity) = match overstep {
        Overstep::Feed { identity, .. } => ("FEED_NOT_ALLOWED", identity),
        Overstep::Mineral { identity, .. } => ("MINERAL_NOT_ALLOWED", identity),
    };
    plain(Code::PermissionDenied, reason, overstep.to_string(), &[("identity", identity)])
}

/// The journal did not take or give an entry.
pub(in crate::grpc) fn journal(error: &journal::Error) -> Status {
    use journal::Error as E;
    let text = chain(error);
    match error {
        E::Full { .. } => disk_full(text),
        E::TooLarge { .. } => Violations::one("updates", text).into(),
        E::Damaged { .. } | E::Format { .. } => {
            tracing::error!(error = text, "the journal is damaged");
            plain(Code::DataLoss, "JOURNAL_DAMAGED", text, &[])
        }
        // Told by the journal itself, once.
        E::Unreachable { .. } => unavailable("JOURNAL_UNREACHABLE", &text),
        E::Closed
        | E::Gone { .. }
        | E::Io { .. }
        | E::Unsuitable { .. }
        | E::OutOfRange { .. }
        | E::Locked { .. }
        | E::Exists { .. } => {
            tracing::error!(error = text, "the journal is out of reach");
            unavailable("JOURNAL_UNREACHABLE", "the journal is out of reach")
        }
    }
}

/// The clock shows a time that no entry may have.
pub(in crate::grpc) fn clock(jumped: &Jumped) -> Status {
    unavailable("CLOCK_JUMPED", &jumped.to_string())
}

/// What keeps an entry from being applied.
pub(in crate::grpc) fn stalled(stall: &Stall) -> Status {
    match stall {
        Stall::Damaged(error) => journal(error),
        Stall::Full(error) => disk_full(chain(error)),
        Stall::Diverged(divergence) => diverged(divergence),
    }
}

/// Two replicas made something else of the same journal: none of them serves.
pub(in crate::grpc) fn diverged(divergence: &Divergence) -> Status {
    unavailable("REPLICAS_DIVERGED", &divergence.to_string())
}

fn disk_full(text: String) -> Status {
    retry(Code::ResourceExhausted, "DISK_FULL", text, &[], ErrorDetails::new())
}

/// The archive did not answer.
pub(in crate::grpc) fn archive(error: &archive::Error) -> Status {
    use archive::Error as E;
    match error {
        E::Pruned { oldest, .. } => plain(
            Code::OutOfRange,
            "CURSOR_LOST",
            error.to_string(),
            &[("oldest_entry", &oldest.to_string())],
        ),
        E::Full { .. }
        | E::Damaged { .. }
        | E::JournalTooShort { .. }
        | E::OtherJournal { .. }
        | E::Io { .. } => {
            tracing::error!(error = chain(error), "the archive cannot be read");
            unavailable("ARCHIVE_UNREACHABLE", "history cannot be read at the moment")
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

/// An error with its causes, in one line.
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
    /// Statuses travel in headers, of which some clients accept no more than 8 KiB: as many bad fields as fit are named.
    const FIELDS_BYTES_MAX: usize = 4096;
    if let Some(mut bad) = details.bad_request().cloned() {
        let mut bytes = 0_usize;
        let fits = |one: &FieldViolation| {
            bytes = bytes.saturating_add(one.field.len()).saturating_add(one.description.len());
            bytes <= FIELDS_BYTES_MAX
        };
        bad.field_violations = bad.field_violations.into_iter().take_while(fits).collect();
        details.set_bad_request(bad.field_violations);
    }
    let metadata = metadata.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
    details.set_error_info(reason, DOMAIN, metadata.collect::<Metadata>());
    Status::with_error_details(code, message, details)
}
