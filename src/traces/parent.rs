//! The trace context that a caller sends with its call.

use http::HeaderMap;
use lodewatch_core::domain::update::TraceContext;
use opentelemetry::propagation::{Extractor, TextMapPropagator};
use opentelemetry::trace::{SpanContext, TraceContextExt};
use opentelemetry_sdk::propagation::TraceContextPropagator;
use tracing::Span;

/// The caller's span, as the headers `traceparent` and `tracestate` name it
/// (<https://www.w3.org/TR/trace-context>).
#[derive(Debug, Clone, PartialEq)]
pub struct TraceParent(pub(super) SpanContext);

/// A longer header is ignored, in bytes. Every span of a call carries the `tracestate`, so a long
/// one would make messages that collectors reject. The standard requires at least this many.
const HEADER_BYTES_MAX: usize = 512;

struct Headers<'a>(&'a HeaderMap);

impl Extractor for Headers<'_> {
    fn get(&self, key: &str) -> Option<&str> {
        self.0.get(key)?.to_str().ok().filter(|text| text.len() <= HEADER_BYTES_MAX)
    }

    fn keys(&self) -> Vec<&str> {
        self.0.keys().map(http::HeaderName::as_str).collect()
    }
}

impl TraceParent {
    /// Parses the headers of a call; `None` if they are missing or not valid: a call is not
    /// rejected because of its trace context.
    pub fn from_headers(headers: &HeaderMap) -> Option<Self> {
        // The usual case.
        headers.get("traceparent")?;
        let context = TraceContextPropagator::new().extract(&Headers(headers));
        let parent = context.span().span_context().clone();
        parent.is_valid().then_some(Self(parent))
    }

    /// The trace and the caller's span in it.
    pub fn trace(&self) -> TraceContext {
        trace(&self.0)
    }
}

pub(super) fn trace(context: &SpanContext) -> TraceContext {
    let (id, span) = (context.trace_id().to_bytes(), context.span_id().to_bytes());
    TraceContext { id: u128::from_be_bytes(id), span: u64::from_be_bytes(span) }
}

/// A span for the log: lines logged inside it have the trace's id, if there is one.
pub fn log_span(trace: Option<TraceContext>) -> Span {
    // At the highest level, so that lines of every level have it.
    trace.map_or_else(Span::none, |trace| tracing::error_span!("call", trace_id = %trace.id_text()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(traceparent: &str) -> Option<TraceContext> {
        let mut headers = HeaderMap::new();
        headers.insert("traceparent", traceparent.parse().unwrap());
        TraceParent::from_headers(&headers).map(|parent| parent.trace())
    }

    #[test]
    fn a_valid_traceparent_is_parsed_and_an_invalid_one_ignored() {
        let trace = TraceContext {
            id: 0x4bf9_2f35_77b3_4da6_a3ce_929d_0e0e_4736,
            span: 0x00f0_67aa_0ba9_02b7,
        };
        assert_eq!(parse("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"), Some(trace));
        for invalid in [
            "",
            "soon",
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7",
            "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        ] {
            assert_eq!(parse(invalid), None, "{invalid}");
        }
        assert_eq!(TraceParent::from_headers(&HeaderMap::new()), None);
    }

    #[test]
    fn the_tracestate_is_kept_up_to_the_limit() {
        for (length, is_kept) in [(HEADER_BYTES_MAX, true), (HEADER_BYTES_MAX + 1, false)] {
            let traceparent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
            let begin = format!("desk={},feed=", "x".repeat(250));
            let tracestate = format!("{begin}{}", "x".repeat(length - begin.len()));
            let mut headers = HeaderMap::new();
            headers.insert("traceparent", traceparent.parse().unwrap());
            headers.insert("tracestate", tracestate.parse().unwrap());
            let parent = TraceParent::from_headers(&headers).expect("the traceparent is valid");
            assert_eq!(parent.0.trace_state().header() == tracestate, is_kept, "{length}");
        }
    }
}
