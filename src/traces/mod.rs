//! What became of a batch, told as spans to a collector of OpenTelemetry (OTLP over gRPC); nothing is told where none is configured.
//!
//! ```text
//! whatever the publisher does              its W3C `traceparent` comes with the call
//!   └ …FeedService/Publish                 this span's own place stands in the journal, beside the batch
//!       ├ append                           until the batch is durable
//!       └ apply                            at every replica, which reads that place from the journal
//!           ├ archive                      its alerts
//!           └ deliver                      to a subscriber; of one entry so many as are configured
//! ```
//!
//! Architecture invariant: a trace decides nothing. What waits to be told is bounded, and what does not fit is dropped and said in
//! the log: a collector that is slow or gone holds up nobody.
//!
//! - [`Caller`]: where a call stands in its caller's trace
//! - [`Traces`], [`Work`]: a piece of work, which is told when it is dropped
//! - [`Trail`]: an entry on its way to subscribers

mod caller;
mod trail;
mod work;

pub use caller::{Caller, logged};
pub use trail::Trail;
pub use work::{Error, Traces, Work};
