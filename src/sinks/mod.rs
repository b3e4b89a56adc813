//! Alerts handed on to what speaks HTTP: a subscriber that posts, and keeps in a file how far it is.
//!
//! ```text
//! server ─Subscribe(cursor)→ forwarder ─POST→ receiver
//!                                └─ what was taken, then ─→ its state file
//! ```
//!
//! First handed over, then kept: at least once, in order, without gaps. What was posted and not kept when the process died is
//! posted again; Alertmanager makes one of it, and a webhook tells it by its id. Nothing is dropped because nobody takes it: a
//! receiver that is out of reach is tried until it is there, and the server's history is the queue. One that refuses an alert for
//! good ends the forwarder, which says which alert and why; the next start goes on with that alert.
//!
//! - [`alertmanager`]: what is open, repeated while it is, resolved when it clears
//! - [`webhook`]: one event an alert
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

/// Why nothing more is handed on.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Not where one can post to.
    #[error("{url:?} is not where alerts can be sent: {why}")]
    Url {
        /// As given.
        url: String,
        /// Why.
        why: &'static str,
    },
    /// No encrypted connection can be made.
    #[error("the system's authorities cannot be read")]
    Authorities(#[source] std::io::Error),
    /// What goes into the header is no word of printable characters.
    #[error(
        "the file of the authorization has one line, such as `Bearer TOKEN` or `Basic USER:PASSWORD in base64`"
    )]
    Authorization,
    /// The secrets of signatures cannot be used.
    #[error(
        "the file of secrets has 1 to 4 lines of `whsec_` and 24 to 64 bytes in base64; make one with: \
         echo \"whsec_$(openssl rand -base64 32)\""
    )]
    Secret,
    /// How far it is cannot be kept.
    #[error(transparent)]
    StateFile(#[from] StateFileError),
    /// The server refused.
    #[error("the server refused: {}", .0.message())]
    Subscription(Box<Status>),
    /// A receiver refused for good.
    #[error(
        "{what} was refused: {why}\n  nothing is passed over: the next start goes on with it, once the receiver takes it{instead}"
    )]
    Refused {
        /// What was sent.
        what: String,
        /// What each receiver answered.
        why: String,
        /// What else can be done about it.
        instead: String,
    },
}
