//! Pieces of work, and who is told of them.

use super::caller::{Caller, trace};
use super::trail::Trail;
use crate::config;
use crate::domain::Seq;
use crate::domain::update::TraceContext;
use http::Uri;
use http::uri::Scheme;
use opentelemetry::trace::{
    Span as _, SpanBuilder, SpanContext, SpanId, SpanKind, Status, TraceContextExt, TraceFlags,
    TraceId, TraceState, Tracer, TracerProvider,
};
use opentelemetry::{Context, KeyValue, Value};
use opentelemetry_otlp::tonic_types::transport::ClientTlsConfig;
use opentelemetry_otlp::{ExporterBuildError, SpanExporter, WithExportConfig, WithTonicConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::{Sampler, SdkTracer, SdkTracerProvider, Span};
use std::sync::Arc;
use std::time::Duration;
use uuid::Uuid;

/// How long a collector may take to agree on encryption.
const HANDSHAKE: Duration = Duration::from_secs(5);

/// How long the last spans may take to be told when the server stops.
const FAREWELL: Duration = Duration::from_secs(2);

/// The endpoint cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("nothing can be told to traces.endpoint, {endpoint}")]
pub struct Error {
    endpoint: String,
    source: ExporterBuildError,
}

/// Who is told what was done; nobody, where none is configured. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Traces(Option<Arc<Collector>>);

#[derive(Debug)]
pub(super) struct Collector {
    provider: SdkTracerProvider,
    tracer: SdkTracer,
    delivery_spans_max: u32,
}

/// A piece of work in a trace. Told when it is dropped.
#[derive(Debug)]
pub struct Work {
    span: Span,
    collector: Arc<Collector>,
}

impl Traces {
    /// Tells whoever is configured, from now on. What is left to be told waits in memory, up to the bound of the library.
    ///
    /// Must be called within a runtime, which carries the connection; it is made when there is something to tell.
    ///
    /// # Errors
    ///
    /// Where the endpoint cannot be one.
    pub fn open(settings: &config::Traces) -> Result<Self, Error> {
        let Some(endpoint) = &settings.endpoint else { return Ok(Self::default()) };
        let mut exporter = SpanExporter::builder().with_tonic().with_endpoint(endpoint);
        if endpoint.parse::<Uri>().is_ok_and(|uri| uri.scheme() == Some(&Scheme::HTTPS)) {
            // By itself the library knows no authority, so that it trusts no collector, and waits for one without end.
            let tls = ClientTlsConfig::new().with_native_roots().timeout(HANDSHAKE);
            exporter = exporter.with_tls_config(tls);
        }
        let unusable = |source| Error { endpoint: endpoint.clone(), source };
        let exporter = exporter.build().map_err(unusable)?;
        // What else describes a process comes from OTEL_RESOURCE_ATTRIBUTES, as everywhere.
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
        tracing::info!(endpoint, "spans are told to traces.endpoint");
        Ok(Self(Some(Arc::new(Collector { provider, tracer, delivery_spans_max }))))
    }

    /// A call, which goes on in its caller's trace, or begins one. `None` where it is not sampled: the caller decides that for
    /// its own traces.
    pub fn call(
        &self,
        service: &'static str,
        method: &'static str,
        caller: Option<&Caller>,
    ) -> Option<Work> {
        let collector = self.0.as_ref()?;
        let attributes = [
            KeyValue::new("rpc.system", "grpc"),
            KeyValue::new("rpc.service", service),
            KeyValue::new("rpc.method", method),
        ];
        let work = SpanBuilder::from_name(format!("{service}/{method}"));
        let work = work.with_kind(SpanKind::Server).with_attributes(attributes);
        collector.begin(work, caller.map(|caller| &caller.0))
    }

    /// An entry that is applied here, whichever replica it came from.
    pub fn apply(&self, of: TraceContext, entry: Seq) -> Option<Work> {
        let collector = self.0.as_ref()?;
        let (id, span) = (TraceId::from(of.id), SpanId::from(of.span));
        let context = SpanContext::new(id, span, TraceFlags::SAMPLED, true, TraceState::NONE);
        let work = SpanBuilder::from_name("apply");
        let work = work.with_attributes([number("lodewatch.entry", entry.0)]);
        collector.begin(work, Some(&context))
    }

    /// Tells what is left. What is not taken within two seconds is lost.
    pub async fn close(self) {
        let Some(collector) = self.0 else { return };
        let last = move || collector.provider.shutdown_with_timeout(FAREWELL);
        let told = tokio::task::spawn_blocking(last).await.expect("telling does not panic");
        if let Err(error) = told {
            tracing::warn!(%error, "the last spans were not told");
        }
    }
}

impl Collector {
    /// Begins a piece of work within another, or a trace of its own; `None` where it is not sampled.
    pub(super) fn begin(
        self: &Arc<Self>,
        work: SpanBuilder,
        within: Option<&SpanContext>,
    ) -> Option<Work> {
        let none = Context::new();
        let within =
            within.map_or(none.clone(), |within| none.with_remote_span_context(within.clone()));
        let span = self.tracer.build_with_context(work, &within);
        span.is_recording().then(|| Work { span, collector: Arc::clone(self) })
    }
}

impl Work {
    /// Its place in the trace.
    pub fn trace(&self) -> TraceContext {
        trace(self.span.span_context())
    }

    /// A part of it.
    pub fn part(&self, name: &'static str) -> Option<Self> {
        self.collector.begin(SpanBuilder::from_name(name), Some(self.span.span_context()))
    }

    /// How the call ended: the number of its gRPC code, and what was said, if that was the server's fault.
    pub fn ended(&mut self, code: i32, fault: Option<&str>) {
        self.span.set_attribute(KeyValue::new("rpc.grpc.status_code", i64::from(code)));
        if let Some(fault) = fault {
            self.span.set_status(Status::error(fault.to_owned()));
        }
    }

    /// What came of an entry: so many alerts, from this sequence on.
    pub fn alerts(&mut self, first: Option<u64>, count: usize) {
        let count = u64::try_from(count).unwrap_or(u64::MAX);
        self.span.set_attribute(number("lodewatch.alerts", count));
        if let Some(first) = first {
            self.span.set_attribute(number("lodewatch.first_alert", first));
        }
    }

    /// The way of an entry's alerts from here.
    pub fn trail(&self) -> Trail {
        let within = self.span.span_context().clone();
        Trail::new(Arc::clone(&self.collector), within, self.collector.delivery_spans_max)
    }
}

fn number(key: &'static str, number: u64) -> KeyValue {
    KeyValue::new(key, Value::I64(i64::try_from(number).unwrap_or(i64::MAX)))
}
