//! A client of Lodewatch: subscribe to alerts, watch markets, publish updates.
//!
//! - [`Servers`]: where to connect to; [`Credentials`]: as whom
//! - [`Subscription`]: alerts, resumed by cursor; [`MarketWatch`]: the current values of markets
//! - [`CursorStore`]: keeps a cursor between two runs; [`FileCursorStore`]: in a file;
//!   [`StateFile`]: any state of a program, in a file
//! - [`Publisher`]: batches, which are safe to send again under their `request_id`;
//!   [`PublishStream`]: many batches in flight at once
//! - [`Backoff`]: the delays between attempts; [`retry_delay`]: which failures are worth another
//!   one
//! - [`list_all_threats`]: all pages of a list
//! - [`explain_too_large`]: a response that is larger than the client accepts is not a lost cursor
//!
//! # The subscriber's loop, in any language
//!
//! A server promises that the alerts after a cursor are always the same, and that every message
//! says where to resume from. A client that misses no alert and sees none twice is this loop;
//! `examples` has it in Python, TypeScript and Go.
//!
//! ```text
//! cursor = what was stored, or empty                      # empty: begin with the active alerts
//! delay  = 0.1 s
//! for server in servers, again and again:
//!     try:
//!         stream = Subscribe(cursor = cursor)             # an empty cursor means START_SNAPSHOT
//!         for message in stream, each within 2 × heartbeat interval:
//!             delay = 0.1 s
//!             handle(message.alerts)                      # first handle …
//!             if message.cursor is not empty:             # … then store the cursor; best in one
//!                 cursor = message.cursor                 #   transaction
//!             if message is GoAway:
//!                 delay = message.reconnect_after; break
//!     on INVALID_ARGUMENT, FAILED_PRECONDITION, OUT_OF_RANGE, and every other status that another
//!     attempt cannot change:                              # OUT_OF_RANGE means a lost cursor only
//!         alert a person                                  #   with the reason CURSOR_LOST
//!     on UNAVAILABLE, CANCELLED, UNKNOWN, INTERNAL, a status with RetryInfo, silence:
//!         pass                                            # continue from the cursor
//!     sleep(max(delay, RetryInfo) × (1 to 2 at random)); delay = min(delay × 2, 5 s)
//! ```
//!
//! Messages of a snapshot have no cursor before its end: a snapshot that was cut off is sent again
//! as a whole, from its `Opened` message.

#![warn(missing_docs)]

mod backoff;
mod credentials;
mod cursor_store;
mod publish_stream;
mod publisher;
mod servers;
mod state_file;
mod streams;
mod subscription;
mod threats;
mod too_large;

pub use backoff::{Backoff, retry_delay};
pub use credentials::{Bearer, Credentials};
pub use cursor_store::{CursorStore, FileCursorStore};
pub use publish_stream::{BatchAnswer, PublishStream};
pub use publisher::Publisher;
pub use servers::{Connection, Error, Servers, connect};
pub use state_file::{StateFile, StateFileError};
pub use streams::StreamEvent;
pub use subscription::{MarketWatch, Subscription};
pub use threats::list_all_threats;
pub use too_large::{explain_too_large, is_message_too_large};
