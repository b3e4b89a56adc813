//! Where a call stands in the trace of who makes it.

use crate::domain::update::TraceContext;
use http::HeaderMap;
use opentelemetry::propagation::{Extractor, TextMapPropagator};
use opentelemetry::trace::{SpanContext, TraceContextExt};
use opentelemetry_sdk::propagation::TraceContextPropagator;
use tracing::Span;

/// Where a call stands in its caller's trace, as its `traceparent` and `tracestate` say (<https://www.w3.org/TR/trace-context>).
#[derive(Debug, Clone, PartialEq)]
pub struct Caller(pub(super) SpanContext);

/// A longer header is passed over, in bytes. Every span of a call carries the `tracestate`, so that a long one would make messages
/// that no collector takes; the standard asks for so many.
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

impl Caller {
    /// What the headers of a call say; `None` where they say nothing, or nothing that can be understood: a trace is no reason
    /// to refuse a call.
    pub fn of(headers: &HeaderMap) -> Option<Self> {
        // The usual case: nothing to read.
        headers.get("traceparent")?;
        let context = TraceContextPropagator::new().extract(&Headers(headers));
        let caller = context.span().span_context().clone();
        caller.is_valid().then_some(Self(caller))
    }

    /// The trace, and the caller's place in it.
    pub fn trace(&self) -> TraceContext {
        trace(&self.0)
    }
}

pub(super) fn trace(context: &SpanContext) -> TraceContext {
    let (id, span) = (context.trace_id().to_bytes(), context.span_id().to_bytes());
    TraceContext { id: u128::from_be_bytes(id), span: u64::from_be_bytes(span) }
}

/// What stands with every line that is logged inside of it: the trace's id, if there is one.
pub fn logged(trace: Option<TraceContext>) -> Span {
    // At every level there is, since it goes with lines of all of them.
    trace.map_or_else(Span::none, |trace| tracing::error_span!("call", trace_id = %trace.id_text()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn caller(traceparent: &str) -> Option<TraceContext> {
        let mut headers = HeaderMap::new();
        headers.insert("traceparent", traceparent.parse().unwrap());
        Caller::of(&headers).map(|caller| caller.trace())
    }

    #[test]
    fn the_callers_place_is_read_and_what_is_no_place_is_passed_over() {
        let trace = TraceContext {
            id: 0x4bf9_2f35_77b3_4da6_a3ce_929d_0e0e_4736,
            span: 0x00f0_67aa_0ba9_02b7,
        };
        assert_eq!(caller("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"), Some(trace));
        for nothing in [
            "",
            "soon",
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7",
            "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        ] {
            assert_eq!(caller(nothing), None, "{nothing}");
        }
        assert_eq!(Caller::of(&HeaderMap::new()), None);
    }

    #[test]
    fn what_else_tracers_say_is_carried_on_up_to_a_bound() {
        for (length, carried) in [(HEADER_BYTES_MAX, true), (HEADER_BYTES_MAX + 1, false)] {
            let traceparent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
            let begin = format!("desk={},feed=", "x".repeat(250));
            let tracestate = format!("{begin}{}", "x".repeat(length - begin.len()));
            let mut headers = HeaderMap::new();
            headers.insert("traceparent", traceparent.parse().unwrap());
            headers.insert("tracestate", tracestate.parse().unwrap());
            let caller = Caller::of(&headers).expect("its place is sound");
            assert_eq!(caller.0.trace_state().header() == tracestate, carried, "{length}");
        }
    }
}
