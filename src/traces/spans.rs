//! Spans, and the exporter that sends them to the collector.

use super::parent::{TraceParent, trace};
use crate::config;
use http::Uri;
use http::uri::Scheme;
use lodewatch_core::domain::Seq;
use lodewatch_core::domain::update::TraceContext;
use opentelemetry::trace::{
    Span as _, SpanBuilder, SpanContext, SpanId, SpanKind, Status, TraceContextExt, TraceFlags,
    TraceId, TraceState, Tracer, TracerProvider,
};
use opentelemetry::{Context, KeyValue, Value};
use opentelemetry_otlp::tonic_types::transport::ClientTlsConfig;
use opentelemetry_otlp::{ExporterBuildError, SpanExporter, WithExportConfig, WithTonicConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::{Sampler, SdkTracer, SdkTracerProvider, Span};
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;
use tokio::time::Instant;
use uuid::Uuid;

/// How long the TLS handshake with the collector may take.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(5);

/// How long the export of the last spans may take when the server stops.
const SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(2);

/// The collector's endpoint cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("cannot export traces to {endpoint}; check traces.endpoint")]
pub struct Error {
    endpoint: String,
    source: ExporterBuildError,
}

/// Starts spans; without a configured collector it starts none. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Traces(Option<Arc<Exporter>>);

#[derive(Debug)]
struct Exporter {
    provider: SdkTracerProvider,
    tracer: SdkTracer,
    delivery_spans_max: u32,
}

/// A span that is being recorded. It is exported when it is dropped.
#[derive(Debug)]
pub struct TraceSpan {
    span: Span,
    exporter: Arc<Exporter>,
}

/// The trace of an applied entry: the parent of the spans that archive its alerts and deliver them.
#[derive(Debug)]
pub struct EntryTrace {
    exporter: Arc<Exporter>,
    /// The `apply` span.
    parent: SpanContext,
    since: Instant,
    /// How many further delivery spans are exported.
    deliveries_left: AtomicU32,
}

impl Traces {
    /// Starts exporting, if a collector is configured. Spans wait in memory, up to the limit of the
    /// library.
    ///
    /// Must be called within a runtime, which carries the connection. The connection is opened when
    /// the first spans are exported.
    ///
    /// # Errors
    ///
    /// If the endpoint is not valid.
    pub fn open(settings: &config::Traces) -> Result<Self, Error> {
        let Some(endpoint) = &settings.endpoint else { return Ok(Self::default()) };
        let mut exporter = SpanExporter::builder().with_tonic().with_endpoint(endpoint);
        if endpoint.parse::<Uri>().is_ok_and(|uri| uri.scheme() == Some(&Scheme::HTTPS)) {
            // By default the library trusts no authority and waits for a connection without end.
            let tls = ClientTlsConfig::new().with_native_roots().timeout(HANDSHAKE_TIMEOUT);
            exporter = exporter.with_tls_config(tls);
        }
        let unusable = |source| Error { endpoint: endpoint.clone(), source };
        let exporter = exporter.build().map_err(unusable)?;
        // The SDK adds OTEL_RESOURCE_ATTRIBUTES.
        let resource = Resource::builder()
            .with_service_name("lodewatch")
            .with_attribute(KeyValue::new("service.version", env!("CARGO_PKG_VERSION")))
            .with_attribute(KeyValue::new("service.instance.id", Uuid::new_v4().to_string()))
            .build();
        let ratio = f64::from(settings.ratio_ppm) / 1e6;
        let sampler = Sampler::ParentBased(Box::new(Sampler::TraceIdRatioBased(ratio)));
        let provider = SdkTracerProvider::builder()
            .with_batch_exporter(exporter)
            .with_resource(resource)
            .with_sampler(sampler)
            .build();
        let tracer = provider.tracer("lodewatch");
        let delivery_spans_max = settings.delivery_spans_max;
        tracing::info!(endpoint, "exporting traces");
        Ok(Self(Some(Arc::new(Exporter { provider, tracer, delivery_spans_max }))))
    }

    /// Starts the span of a call, in its caller's trace or in a new one. `None` if it is not
    /// sampled: the caller decides that for its own traces.
    pub fn start_call(
        &self,
        service: &'static str,
        method: &'static str,
        client: IpAddr,
        parent: Option<&TraceParent>,
    ) -> Option<TraceSpan> {
        let exporter = self.0.as_ref()?;
        let attributes = [
            KeyValue::new("rpc.system", "grpc"),
            KeyValue::new("rpc.service", service),
            KeyValue::new("rpc.method", method),
            KeyValue::new("client.address", client.to_string()),
        ];
        let span = SpanBuilder::from_name(format!("{service}/{method}"));
        let span = span.with_kind(SpanKind::Server).with_attributes(attributes);
        exporter.start(span, parent.map(|parent| &parent.0))
    }

    /// Starts the span of an entry that this replica applies, regardless of which replica appended
    /// it.
    pub fn start_apply(&self, parent: TraceContext, entry: Seq) -> Option<TraceSpan> {
        let exporter = self.0.as_ref()?;
        let (id, span) = (TraceId::from(parent.id), SpanId::from(parent.span));
        let context = SpanContext::new(id, span, TraceFlags::SAMPLED, true, TraceState::NONE);
        let span = SpanBuilder::from_name("apply");
        let span = span.with_attributes([integer_attribute("lodewatch.entry", entry.0)]);
        exporter.start(span, Some(&context))
    }

    /// Exports the remaining spans. Spans that the collector does not accept within two seconds are
    /// lost.
    pub async fn close(self) {
        let Some(exporter) = self.0 else { return };
        let last = move || exporter.provider.shutdown_with_timeout(SHUTDOWN_TIMEOUT);
        let closed = tokio::task::spawn_blocking(last).await.expect("the exporter does not panic");
        if let Err(error) = closed {
            tracing::warn!(%error, "cannot export the last spans");
        }
    }
}

impl Exporter {
    /// Starts a span under a parent or in a new trace; `None` if it is not sampled.
    fn start(
        self: &Arc<Self>,
        span: SpanBuilder,
        parent: Option<&SpanContext>,
    ) -> Option<TraceSpan> {
        let none = Context::new();
        let parent =
            parent.map_or(none.clone(), |parent| none.with_remote_span_context(parent.clone()));
        let span = self.tracer.build_with_context(span, &parent);
        span.is_recording().then(|| TraceSpan { span, exporter: Arc::clone(self) })
    }
}

impl TraceSpan {
    /// The span's context: what its children and the journal refer to.
    pub fn trace(&self) -> TraceContext {
        trace(self.span.span_context())
    }

    /// Starts a child span.
    pub fn start_child(&self, name: &'static str) -> Option<Self> {
        self.exporter.start(SpanBuilder::from_name(name), Some(self.span.span_context()))
    }

    /// Sets the number of the call's gRPC code and, if the server is at fault, the error message.
    pub fn set_status(&mut self, code: i32, fault: Option<&str>) {
        self.span.set_attribute(KeyValue::new("rpc.grpc.status_code", i64::from(code)));
        if let Some(fault) = fault {
            self.span.set_status(Status::error(fault.to_owned()));
        }
    }

    /// Sets how many alerts the entry caused, and the sequence of the first.
    pub fn set_alerts(&mut self, first: Option<u64>, count: usize) {
        let count = u64::try_from(count).unwrap_or(u64::MAX);
        self.span.set_attribute(integer_attribute("lodewatch.alerts", count));
        if let Some(first) = first {
            self.span.set_attribute(integer_attribute("lodewatch.first_alert", first));
        }
    }

    /// The trace of the entry whose `apply` span this is.
    pub fn entry_trace(&self) -> EntryTrace {
        EntryTrace {
            exporter: Arc::clone(&self.exporter),
            parent: self.span.span_context().clone(),
            since: Instant::now(),
            deliveries_left: AtomicU32::new(self.exporter.delivery_spans_max),
        }
    }
}

impl EntryTrace {
    /// Starts the span of archiving the entry's alerts.
    pub fn start_archive(&self) -> Option<TraceSpan> {
        self.exporter.start(SpanBuilder::from_name("archive"), Some(&self.parent))
    }

    /// Records that the entry's alerts were written to a subscriber's connection.
    pub fn record_delivery(&self, subscriber: &str) {
        let left = self
            .deliveries_left
            .try_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1));
        if left.is_err() {
            return;
        }
        let now = opentelemetry::time::now();
        let span = SpanBuilder::from_name("deliver")
            .with_kind(SpanKind::Producer)
            .with_start_time(now.checked_sub(self.since.elapsed()).unwrap_or(now))
            .with_attributes([KeyValue::new("lodewatch.subscriber", subscriber.to_owned())]);
        drop(self.exporter.start(span, Some(&self.parent)));
    }
}

fn integer_attribute(key: &'static str, value: u64) -> KeyValue {
    KeyValue::new(key, Value::I64(i64::try_from(value).unwrap_or(i64::MAX)))
}
