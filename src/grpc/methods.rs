//! Which methods there are, for those who count calls: a row of the table each, and how it streams.

use crate::access::METHODS;
use crate::metrics::Method;

/// Methods whose answers are streams.
const SERVER_STREAMS: &[&str] = &["Subscribe", "WatchMarkets", "Backtest", "FetchArchive", "Watch"];

/// Methods that stream both ways.
const BIDI_STREAMS: &[&str] = &["PublishStream", "ServerReflectionInfo"];

/// All methods that anybody may call.
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
