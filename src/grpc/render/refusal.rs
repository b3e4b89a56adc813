//! Refusals inside a stream: what a status says, as a message.

use crate::grpc::pb;
use tonic::Status;
use tonic_types::StatusExt;

/// Why one batch of a stream was refused; the same as the status that `Publish` would have ended with.
pub(in crate::grpc) fn batch_error(request_id: String, status: &Status) -> pb::BatchError {
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
