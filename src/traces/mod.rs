//! Traces of batches, exported as OpenTelemetry spans over OTLP/gRPC. Nothing is exported unless
//! `traces.endpoint` is set.
//!
//! ```text
//! a span of the publisher                  its W3C `traceparent` comes with the call
//!   └ …FeedService/Publish                 the journal stores this span's context beside the batch
//!       ├ append                           until the batch is durable
//!       └ apply                            on every replica, which reads that context from the journal
//!           ├ archive                      of the entry's alerts
//!           └ deliver                      to a subscriber; at most traces.delivery_spans_max per entry
//! ```
//!
//! Architecture invariant: a trace decides nothing. Spans wait for the collector in a bounded
//! queue; spans that do not fit are dropped, which is logged. A slow or unreachable collector
//! delays nothing.
//!
//! - [`TraceParent`]: the caller's trace context
//! - [`Traces`], [`TraceSpan`]: starts spans; a span is exported when it is dropped
//! - [`EntryTrace`]: the trace of an applied entry, on its way to the subscribers

mod parent;
mod spans;

pub use parent::{TraceParent, log_span};
pub use spans::{EntryTrace, Error, TraceSpan, Traces};
