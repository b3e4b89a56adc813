//! Counts how calls end: with a status, or with a caller that is gone.

use crate::access::METHODS;
use crate::grpc::admission::Peer;
use crate::grpc::status::{self, RejectionLabels};
use crate::metrics::{CallMetrics, Method, OngoingCall};
use http::HeaderMap;
use tonic::{Code, Status};

/// Methods whose responses are streams.
const SERVER_STREAMS: &[&str] = &["Subscribe", "WatchMarkets", "Backtest", "FetchArchive", "Watch"];

/// Methods that stream both ways.
const BIDI_STREAMS: &[&str] = &["PublishStream", "ServerReflectionInfo"];

/// Every method that can be called, and how it streams: the labels under which calls are counted.
pub fn methods() -> impl Iterator<Item = Method> {
    METHODS.iter().map(|row| {
        let kind = if SERVER_STREAMS.contains(&row.name) {
            "server_stream"
        } else if BIDI_STREAMS.contains(&row.name) {
            "bidi_stream"
        } else {
            "unary"
        };
        Method { service: row.service, name: row.name, kind }
    })
}

/// Counts and logs the reason and the limit of a rejection, such as of one batch on a stream that
/// goes on.
pub(in crate::grpc) fn count_rejection(calls: &CallMetrics, peer: &Peer, status: &Status) {
    let RejectionLabels { reason, limit } = status::rejection_labels(status);
    if let Some(reason) = reason {
        calls.count_rejection(&reason);
    }
    if let Some(limit) = limit {
        calls.count_limit_hit(&limit);
        peer.log_limit(&limit);
    }
}

/// Counts the end of a call, with the code and the reason in its headers or trailers.
pub(super) fn end_call(call: OngoingCall, peer: &Peer, code: Code, headers: &HeaderMap) {
    if code != Code::Ok
        && let Some(status) = Status::from_header_map(headers)
    {
        count_rejection(call.calls(), peer, &status);
    }
    call.end(code_name(code));
}

/// Counts the end of a call whose body failed.
pub(super) fn fail_call(call: OngoingCall, peer: &Peer, status: &Status) {
    count_rejection(call.calls(), peer, status);
    call.end(code_name(status.code()));
}

/// The code's name as in the metrics of other gRPC servers.
fn code_name(code: Code) -> &'static str {
    match code {
        Code::Ok => "OK",
        Code::Cancelled => "Canceled",
        Code::Unknown => "Unknown",
        Code::InvalidArgument => "InvalidArgument",
        Code::DeadlineExceeded => "DeadlineExceeded",
        Code::NotFound => "NotFound",
        Code::AlreadyExists => "AlreadyExists",
        Code::PermissionDenied => "PermissionDenied",
        Code::ResourceExhausted => "ResourceExhausted",
        Code::FailedPrecondition => "FailedPrecondition",
        Code::Aborted => "Aborted",
        Code::OutOfRange => "OutOfRange",
        Code::Unimplemented => "Unimplemented",
        Code::Internal => "Internal",
        Code::Unavailable => "Unavailable",
        Code::DataLoss => "DataLoss",
        Code::Unauthenticated => "Unauthenticated",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::grpc::pb;
    use prost_reflect::DescriptorPool;

    #[test]
    fn methods_stream_as_the_protocol_says() {
        let mut pool = DescriptorPool::decode(pb::DESCRIPTORS).unwrap();
        for more in [
            tonic_health::pb::FILE_DESCRIPTOR_SET,
            tonic_reflection::pb::v1::FILE_DESCRIPTOR_SET,
            tonic_reflection::pb::v1alpha::FILE_DESCRIPTOR_SET,
        ] {
            pool.decode_file_descriptor_set(more).unwrap();
        }
        for method in methods() {
            let service = pool.get_service_by_name(method.service).unwrap();
            let found = service.methods().find(|found| found.name() == method.name).unwrap();
            let kind = match (found.is_client_streaming(), found.is_server_streaming()) {
                (false, false) => "unary",
                (false, true) => "server_stream",
                (true, true) => "bidi_stream",
                (true, false) => "client_stream",
            };
            assert_eq!(method.kind, kind, "{}", method.name);
        }
    }
}
