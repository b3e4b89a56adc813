//! Calls of gRPC: under the names that gRPC's own middlewares give these figures, so that dashboards for those fit.

use super::Histogram;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;
use std::sync::Arc;
use tokio::time::Instant;

/// A method, as its figures are labelled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Method {
    /// The service with its package.
    pub service: &'static str,
    /// The method's name.
    pub name: &'static str,
    /// `unary`, `server_stream` or `bidi_stream`.
    pub kind: &'static str,
}

impl Method {
    /// All that the server does not have: what clients make up is no label.
    pub const UNKNOWN: Self = Self { service: "unknown", name: "unknown", kind: "unary" };

    fn is_stream(self) -> bool {
        self.kind != Self::UNKNOWN.kind
    }

    fn labels(self) -> Labels {
        [("grpc_type", self.kind), ("grpc_service", self.service), ("grpc_method", self.name)]
    }
}

type Labels = [(&'static str, &'static str); 3];
type Ended = [(&'static str, &'static str); 4];
type Named = [(&'static str, String); 1];

/// Calls, and why some are refused.
#[derive(Debug)]
pub struct Calls {
    methods: Vec<Method>,
    started: Family<Labels, Counter>,
    handled: Family<Ended, Counter>,
    handling: Family<Labels, Histogram>,
    streams: Family<[(&'static str, &'static str); 1], Gauge>,
    refused: Family<Named, Counter>,
    limits: Family<Named, Counter>,
}

impl Calls {
    /// Of these methods, and all others as one.
    pub fn new(methods: impl IntoIterator<Item = Method>) -> Self {
        let calls = Self {
            methods: methods.into_iter().collect(),
            started: Family::default(),
            handled: Family::default(),
            handling: Family::new_with_constructor(Histogram::of_durations),
            streams: Family::default(),
            refused: Family::default(),
            limits: Family::default(),
        };
        // Named from the beginning: a rate of something that appears is not seen.
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
        all.register("grpc_server_started", "Calls begun on the server", started);
        all.register(
            "grpc_server_handled",
            "Calls ended on the server, whatever came of them",
            handled,
        );
        let help = "How long unary calls took until they were answered, a call that waits for fsync included";
        all.register("grpc_server_handling_seconds", help, self.handling.clone());
    }

    pub(super) fn register_ours(&self, ours: &mut Registry) {
        ours.register("streams_open", "Streams that are open, by method", self.streams.clone());
        let help =
            "Calls and batches that were refused or failed, by the reason in their ErrorInfo";
        ours.register("rejected", help, self.refused.clone());
        let help = "Calls, batches and connections that were refused at a limit, by the setting that names it";
        ours.register("limits_hit", help, self.limits.clone());
    }

    /// A call begins. The path is the request's, such as `/lodewatch.v1.FeedService/Publish`.
    pub fn begin(self: &Arc<Self>, path: &str) -> Call {
        let method = self.method(path);
        self.started.get_or_create(&method.labels()).inc();
        if method.is_stream() {
            self.streams.get_or_create(&[("grpc_method", method.name)]).inc();
        }
        Call { calls: Arc::clone(self), method, begun: Instant::now(), code: "Canceled" }
    }

    fn method(&self, path: &str) -> Method {
        let parts = path.strip_prefix('/').and_then(|path| path.split_once('/'));
        let is_it = |method: &&Method| parts == Some((method.service, method.name));
        self.methods.iter().find(is_it).copied().unwrap_or(Method::UNKNOWN)
    }

    /// Something is refused, for a reason that the program has a name for.
    pub fn refused(&self, reason: &str) {
        self.refused.get_or_create(&[("reason", reason.to_owned())]).inc();
    }

    /// Something is refused at a limit that the settings have a name for.
    pub fn hit(&self, limit: &str) {
        self.limits.get_or_create(&[("limit", limit.to_owned())]).inc();
    }
}

/// A call under way. One that is dropped before its code is known was given up by its caller.
#[derive(Debug)]
pub struct Call {
    calls: Arc<Calls>,
    method: Method,
    begun: Instant,
    code: &'static str,
}

impl Call {
    /// It ends with this code of gRPC, in the spelling of its specification's libraries: `InvalidArgument`.
    pub fn end(mut self, code: &'static str) {
        self.code = code;
    }

    /// Where calls are counted.
    pub fn calls(&self) -> &Calls {
        &self.calls
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        let Self { calls, method, begun, code } = self;
        let [kind, service, name] = method.labels();
        calls.handled.get_or_create(&[kind, service, name, ("grpc_code", *code)]).inc();
        if method.is_stream() {
            calls.streams.get_or_create(&[("grpc_method", method.name)]).dec();
        } else {
            calls.handling.get_or_create(&method.labels()).took(begun.elapsed());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KNOWN: Method = Method { service: "a.B", name: "C", kind: "unary" };
    const STREAM: Method = Method { service: "a.B", name: "D", kind: "server_stream" };

    fn calls() -> Arc<Calls> {
        Arc::new(Calls::new([KNOWN, STREAM]))
    }

    fn handled(calls: &Calls, method: Method, code: &'static str) -> u64 {
        let [kind, service, name] = method.labels();
        calls.handled.get_or_create(&[kind, service, name, ("grpc_code", code)]).get()
    }

    #[test]
    fn a_call_is_counted_when_it_begins_and_by_how_it_ends() {
        let calls = calls();
        calls.begin("/a.B/C").end("OK");
        drop(calls.begin("/a.B/C"));
        assert_eq!(calls.started.get_or_create(&KNOWN.labels()).get(), 2);
        assert_eq!([handled(&calls, KNOWN, "OK"), handled(&calls, KNOWN, "Canceled")], [1, 1]);
    }

    #[test]
    fn a_stream_is_open_until_it_is_dropped() {
        let calls = calls();
        let open = || calls.streams.get_or_create(&[("grpc_method", "D")]).get();
        let stream = calls.begin("/a.B/D");
        assert_eq!(open(), 1);
        drop(stream);
        assert_eq!(open(), 0);
    }

    #[test]
    fn however_many_methods_are_made_up_they_are_one() {
        let calls = calls();
        let before = calls.started.len();
        for number in 0..10_000 {
            calls.begin(&format!("/made.up{number}/Method{number}")).end("PermissionDenied");
        }
        assert_eq!(calls.started.len(), before);
        assert_eq!(calls.handled.len(), 1);
        assert_eq!(handled(&calls, Method::UNKNOWN, "PermissionDenied"), 10_000);
    }
}
