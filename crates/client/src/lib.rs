//! The other end of the wire: a subscription that resumes by itself, and a publisher that retries safely.
//!
//! # The loop, in any language
//!
//! A server promises that the alerts after a cursor are always the same, and that every message says where to resume from.
//! So a client that misses nothing and sees nothing twice is this loop; `examples` has it in Python, TypeScript and Go.
//!
//! ```text
//! cursor = what was stored, or empty                      # empty: begin with what is open now
//! wait   = 0.1 s
//! for server in servers, again and again:
//!     try:
//!         stream = Subscribe(cursor = cursor)             # an empty cursor means START_SNAPSHOT
//!         for message in stream, each within 2 × heartbeat interval:
//!             wait = 0.1 s
//!             handle(message.alerts)                      # first handle …
//!             if message.cursor is not empty:             # … then keep the cursor; best in one transaction
//!                 cursor = message.cursor
//!             if message is GoAway:
//!                 wait = message.reconnect_after; break
//!     on INVALID_ARGUMENT, FAILED_PRECONDITION, OUT_OF_RANGE, and whatever else trying again cannot mend:
//!         tell a person
//!     on UNAVAILABLE, CANCELLED, UNKNOWN, INTERNAL, a status with RetryInfo, silence:
//!         pass                                            # go on from the cursor
//!     sleep(max(wait, RetryInfo) × (1 to 2 at random)); wait = min(wait × 2, 5 s)
//! ```
//!
//! Messages of a snapshot carry no cursor before its end: a snapshot that was cut off is sent again as a whole, from its
//! `Opened` on.
//!
//! - [`Servers`]: where to connect to; [`Credentials`]: as whom
//! - [`Subscription`]: the loop; [`MarketWatch`]: the same for markets, which begin with all of them at every resume
//! - [`Publisher`]: the same for batches, which are safe to send again under their `request_id`
//! - [`Backoff`]: the waits of all of them, [`passing`]: for what
//! - [`all_threats`]: all pages of a list

mod backoff;
mod credentials;
mod market_watch;
mod publisher;
mod servers;
mod state_file;
mod streams;
mod subscription;
mod threats;

pub use backoff::{Backoff, passing};
pub use credentials::{Bearer, Credentials};
pub use market_watch::MarketWatch;
pub use publisher::Publisher;
pub use servers::{Connection, Error, Servers, connect};
pub use state_file::{Error as StateFileError, Place};
pub use streams::Resumed;
pub use subscription::Subscription;
pub use threats::all_threats;
