//! gRPC calls, under the metric names of the common gRPC middlewares, so that their dashboards
//! work; and connections.

use super::Histogram;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;
use std::sync::Arc;
use tokio::time::Instant;

/// A gRPC method, as metrics are labelled with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Method {
    /// With its package.
    pub service: &'static str,
    pub name: &'static str,
    /// `unary`, `server_stream` or `bidi_stream`.
    pub kind: &'static str,
}

impl Method {
    /// Every method that the server does not have: names that clients make up are not labels.
    pub const UNKNOWN: Self = Self { service: "unknown", name: "unknown", kind: "unary" };

    fn is_stream(self) -> bool {
        self.kind != Self::UNKNOWN.kind
    }

    fn labels(self) -> Labels {
        [("grpc_type", self.kind), ("grpc_service", self.service), ("grpc_method", self.name)]
    }
}

type Labels = [(&'static str, &'static str); 3];
type HandledLabels = [(&'static str, &'static str); 4];
type NameLabel = [(&'static str, String); 1];
type ConnectionLabels = [(&'static str, &'static str); 2];

/// Calls, rejections and limits.
#[derive(Debug)]
pub struct CallMetrics {
    methods: Vec<Method>,
    started: Family<Labels, Counter>,
    handled: Family<HandledLabels, Counter>,
    handling: Family<Labels, Histogram>,
    streams: Family<[(&'static str, &'static str); 1], Gauge>,
    rejected: Family<NameLabel, Counter>,
    limits: Family<NameLabel, Counter>,
}

impl CallMetrics {
    /// Counts these methods by name, and all others as [`Method::UNKNOWN`].
    pub fn new(methods: impl IntoIterator<Item = Method>) -> Self {
        let calls = Self {
            methods: methods.into_iter().collect(),
            started: Family::default(),
            handled: Family::default(),
            handling: Family::new_with_constructor(Histogram::of_durations),
            streams: Family::default(),
            rejected: Family::default(),
            limits: Family::default(),
        };
        // Present from the start: rate() does not see the first increment of a new series.
        for method in calls.methods.iter().chain([&Method::UNKNOWN]) {
            drop(calls.started.get_or_create(&method.labels()));
            if method.is_stream() {
                drop(calls.streams.get_or_create(&[("grpc_method", method.name)]));
            }
        }
        calls
    }

    pub(super) fn register(&self, all: &mut Registry) {
        let (started, handled) = (self.started.clone(), self.handled.clone());
        all.register("grpc_server_started", "Calls started on the server", started);
        all.register(
            "grpc_server_handled",
            "Calls completed on the server, by status code",
            handled,
        );
        let help =
            "Time from the start of a unary call to its response, including the wait for fsync";
        all.register("grpc_server_handling_seconds", help, self.handling.clone());
    }

    pub(super) fn register_ours(&self, ours: &mut Registry) {
        ours.register("streams_open", "Open streams, by method", self.streams.clone());
        let help =
            "Calls and batches that were rejected or failed, by the reason in their ErrorInfo";
        ours.register("rejected", help, self.rejected.clone());
        let help =
            "Calls, batches and connections rejected at a limit, by the setting of the limit";
        ours.register("limits_hit", help, self.limits.clone());
    }

    /// Counts a call that starts. The path is the request's, such as
    /// `/lodewatch.v1.FeedService/Publish`.
    pub fn start(self: &Arc<Self>, path: &str) -> OngoingCall {
        let method = self.method(path);
        self.started.get_or_create(&method.labels()).inc();
        if method.is_stream() {
            self.streams.get_or_create(&[("grpc_method", method.name)]).inc();
        }
        OngoingCall { calls: Arc::clone(self), method, begun: Instant::now(), code: "Canceled" }
    }

    fn method(&self, path: &str) -> Method {
        let parts = path.strip_prefix('/').and_then(|path| path.split_once('/'));
        let is_it = |method: &&Method| parts == Some((method.service, method.name));
        self.methods.iter().find(is_it).copied().unwrap_or(Method::UNKNOWN)
    }

    /// Counts a rejection, by the reason in its `ErrorInfo`.
    pub fn count_rejection(&self, reason: &str) {
        self.rejected.get_or_create(&[("reason", reason.to_owned())]).inc();
    }

    /// Counts a rejection at a limit, by the limit's setting.
    pub fn count_limit_hit(&self, limit: &str) {
        self.limits.get_or_create(&[("limit", limit.to_owned())]).inc();
    }
}

/// A call in progress. A call that is dropped before its code is known was cancelled by its caller.
#[derive(Debug)]
pub struct OngoingCall {
    calls: Arc<CallMetrics>,
    method: Method,
    begun: Instant,
    code: &'static str,
}

impl OngoingCall {
    /// Ends the call with a gRPC code, spelled as in the common libraries: `InvalidArgument`.
    pub fn end(mut self, code: &'static str) {
        self.code = code;
    }

    pub fn calls(&self) -> &Arc<CallMetrics> {
        &self.calls
    }

    /// Whether its response is a stream, or its request.
    pub fn is_stream(&self) -> bool {
        self.method.is_stream()
    }

    /// The method's name, without its service.
    pub fn method_name(&self) -> &'static str {
        self.method.name
    }
}

impl Drop for OngoingCall {
    fn drop(&mut self) {
        let Self { calls, method, begun, code } = self;
        let [kind, service, name] = method.labels();
        calls.handled.get_or_create(&[kind, service, name, ("grpc_code", *code)]).inc();
        if method.is_stream() {
            calls.streams.get_or_create(&[("grpc_method", method.name)]).dec();
        } else {
            calls.handling.get_or_create(&method.labels()).observe_duration(begun.elapsed());
        }
    }
}

/// Connections, by the setting of their port and by whether they are encrypted.
#[derive(Debug, Clone, Default)]
pub struct ConnectionMetrics {
    accepted: Family<ConnectionLabels, Counter>,
    open: Family<ConnectionLabels, Gauge>,
}

impl ConnectionMetrics {
    pub(super) fn register(&self, ours: &mut Registry) {
        ours.register("connections_accepted", "Accepted connections", self.accepted.clone());
        ours.register("connections_open", "Open connections", self.open.clone());
    }

    /// Counts an accepted connection. It counts as open until the returned value is dropped.
    pub fn open(&self, port: &'static str, is_encrypted: bool) -> OpenConnection {
        let labels = [("port", port), ("tls", if is_encrypted { "true" } else { "false" })];
        self.accepted.get_or_create(&labels).inc();
        let open = self.open.get_or_create_owned(&labels);
        open.inc();
        OpenConnection(open)
    }
}

/// An open connection.
#[derive(Debug)]
pub struct OpenConnection(Gauge);

impl Drop for OpenConnection {
    fn drop(&mut self) {
        self.0.dec();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KNOWN: Method = Method { service: "a.B", name: "C", kind: "unary" };
    const STREAM: Method = Method { service: "a.B", name: "D", kind: "server_stream" };

    fn calls() -> Arc<CallMetrics> {
        Arc::new(CallMetrics::new([KNOWN, STREAM]))
    }

    fn handled(calls: &CallMetrics, method: Method, code: &'static str) -> u64 {
        let [kind, service, name] = method.labels();
        calls.handled.get_or_create(&[kind, service, name, ("grpc_code", code)]).get()
    }

    #[test]
    fn a_call_is_counted_when_it_starts_and_by_its_status_code() {
        let calls = calls();
        calls.start("/a.B/C").end("OK");
        drop(calls.start("/a.B/C"));
        assert_eq!(calls.started.get_or_create(&KNOWN.labels()).get(), 2);
        assert_eq!([handled(&calls, KNOWN, "OK"), handled(&calls, KNOWN, "Canceled")], [1, 1]);
    }

    #[test]
    fn a_stream_is_open_until_it_is_dropped() {
        let calls = calls();
        let open = || calls.streams.get_or_create(&[("grpc_method", "D")]).get();
        let stream = calls.start("/a.B/D");
        assert_eq!(open(), 1);
        drop(stream);
        assert_eq!(open(), 0);
    }

    #[test]
    fn calls_of_unknown_methods_are_counted_as_one_method() {
        let calls = calls();
        let before = calls.started.len();
        for number in 0..10_000 {
            calls.start(&format!("/made.up{number}/Method{number}")).end("PermissionDenied");
        }
        assert_eq!(calls.started.len(), before);
        assert_eq!(calls.handled.len(), 1);
        assert_eq!(handled(&calls, Method::UNKNOWN, "PermissionDenied"), 10_000);
    }
}
