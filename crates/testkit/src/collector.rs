//! A collector of traces, as OpenTelemetry's own is one: it takes OTLP over gRPC.

use opentelemetry_proto::tonic::collector::trace::v1::trace_service_server::{
    TraceService, TraceServiceServer,
};
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTraceServiceRequest, ExportTraceServiceResponse,
};
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue};
use opentelemetry_proto::tonic::trace::v1::Span;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use tokio::net::TcpListener;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::transport::{Identity, Server, ServerTlsConfig};
use tonic::{Request, Response, Status};

/// A span, as far as tests look at it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CollectedSpan {
    pub trace: String,
    pub span: String,
    pub parent: String,
    pub name: String,
    pub attributes: BTreeMap<String, String>,
    /// From when to when, in nanoseconds.
    pub time: (u64, u64),
    /// The process that exported it.
    pub instance: String,
}

/// A running collector and the spans it received.
pub struct Collector {
    pub endpoint: String,
    spans: Arc<Mutex<Vec<CollectedSpan>>>,
}

struct Receiver(Arc<Mutex<Vec<CollectedSpan>>>);

#[tonic::async_trait]
impl TraceService for Receiver {
    async fn export(
        &self,
        request: Request<ExportTraceServiceRequest>,
    ) -> Result<Response<ExportTraceServiceResponse>, Status> {
        for of_process in request.into_inner().resource_spans {
            let resource = attributes(&of_process.resource.unwrap().attributes);
            assert_eq!(resource["service.name"], "lodewatch");
            let instance = &resource["service.instance.id"];
            let spans = of_process.scope_spans.into_iter().flat_map(|scope| scope.spans);
            self.0.lock().unwrap().extend(spans.map(|span| collected(span, instance)));
        }
        Ok(Response::new(ExportTraceServiceResponse::default()))
    }
}

impl Collector {
    pub async fn start() -> Self {
        Self::start_on("http", Server::builder()).await
    }

    /// The same over TLS, with a certificate and its key, in PEM.
    pub async fn start_encrypted(certificate: &str, key: &str) -> Self {
        let tls = ServerTlsConfig::new().identity(Identity::from_pem(certificate, key));
        Self::start_on("https", Server::builder().tls_config(tls).unwrap()).await
    }

    async fn start_on(scheme: &str, mut server: Server) -> Self {
        let spans = Arc::default();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = format!("{scheme}://{}", listener.local_addr().unwrap());
        let service = TraceServiceServer::new(Receiver(Arc::clone(&spans)));
        let server = server.add_service(service);
        tokio::spawn(server.serve_with_incoming(TcpListenerStream::new(listener)));
        Self { endpoint, spans }
    }

    /// The spans received so far, by start time. A server that has stopped has exported all its
    /// spans.
    pub fn spans(&self) -> Vec<CollectedSpan> {
        let mut spans = self.spans.lock().unwrap().clone();
        spans.sort_by_key(|span| span.time);
        spans
    }

    /// The only span of a name.
    pub fn only(&self, name: &str) -> CollectedSpan {
        let mut spans = self.spans();
        spans.retain(|span| span.name == name);
        assert_eq!(spans.len(), 1, "{name}: {spans:?}");
        spans.remove(0)
    }
}

fn collected(span: Span, instance: &str) -> CollectedSpan {
    let hex =
        |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().concat();
    CollectedSpan {
        trace: hex(&span.trace_id),
        span: hex(&span.span_id),
        parent: hex(&span.parent_span_id),
        attributes: attributes(&span.attributes),
        name: span.name,
        time: (span.start_time_unix_nano, span.end_time_unix_nano),
        instance: instance.to_owned(),
    }
}

fn attributes(attributes: &[KeyValue]) -> BTreeMap<String, String> {
    let text = |value: &AnyValue| match value.value.as_ref().unwrap() {
        Value::StringValue(text) => text.clone(),
        Value::IntValue(number) => number.to_string(),
        other => format!("{other:?}"),
    };
    attributes.iter().map(|one| (one.key.clone(), text(one.value.as_ref().unwrap()))).collect()
}
