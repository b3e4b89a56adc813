//! Sinks: forward alerts to systems that speak HTTP, and keep in a state file how far they are.
//!
//! ```text
//! server ─Subscribe(cursor)→ forwarder ─POST→ receiver
//!                                └─ position, after each delivery ─→ state file
//! ```
//!
//! A position is saved after its delivery: delivery is at least once, in order, without gaps. What
//! was posted and not saved when the process crashed is posted again; Alertmanager deduplicates it,
//! and a webhook knows it by its id. An unavailable receiver never loses an alert: it is retried
//! until it answers, and the server's history is the queue. A receiver that rejects an alert ends
//! the forwarder, with the alert and the reason; the next start continues with that alert.
//!
//! - [`alertmanager`]: active alerts, repeated while they are active, resolved when they clear
//! - [`webhook`]: one event per alert
//! - `receiver`: where to post to, and what its answers mean

pub mod alertmanager;
mod cloud_event;
mod fields;
mod firing;
mod receiver;
mod signature;
pub mod webhook;

pub use receiver::Receiver;
pub use signature::Secrets;

use lodewatch_client::StateFileError;
use tonic::Status;

/// Forwarding cannot go on.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("cannot send alerts to {url:?}; {advice}")]
    Url { url: String, advice: &'static str },
    #[error("cannot read the certificate authorities of the system")]
    Authorities(#[source] std::io::Error),
    #[error(
        "cannot use the authorization file; write one line, such as `Bearer TOKEN` or `Basic ` and \
         USER:PASSWORD in base64"
    )]
    Authorization,
    #[error(
        "cannot use the secret file; write 1 to 4 lines of `whsec_` and 24 to 64 bytes in base64, \
         such as: echo \"whsec_$(openssl rand -base64 32)\""
    )]
    Secret,
    #[error(transparent)]
    StateFile(#[from] StateFileError),
    /// The server rejected the subscription.
    #[error("cannot subscribe: {}", .0.message())]
    Subscription(Box<Status>),
    /// Every receiver rejected an alert.
    #[error(
        "cannot deliver {what}: {why}\n  no alert is skipped: correct the receiver and start again{advice}"
    )]
    Rejected {
        what: String,
        /// The answer of each receiver.
        why: String,
        /// What else a person can do.
        advice: String,
    },
}
