//! Authentication and authorisation: identities, their roles, and one table of methods.
//!
//! ```text
//! call ─ certificate, token ─► Gate ─► Identity ─► METHODS ─► service ─► PublishGrant ─► journal
//!                               │                     │                       │
//!                               ▼ unknown             ▼ no role               ▼ feed, mineral
//!                        UNAUTHENTICATED       PERMISSION_DENIED       PERMISSION_DENIED
//! ```
//!
//! - [`Role`], [`METHODS`]: who may call which method; a method without a row is denied
//! - [`Identity`], [`PublishGrant`]: a caller, and the feeds and minerals it may publish
//! - [`Identities`]: the file of identities · `certificate_name`: how names of certificates compare
//! - [`token`]: random bearer tokens, of which the file holds a hash
//! - `jwt`, `key_set`, `signature`: JSON web tokens of another issuer
//! - [`CredentialFault`]: why credentials were rejected, for the log only
//! - [`Gate`]: from a call's credentials to its identity; reads the file again when it changes
//! - `denials`: denied calls in the log, once a minute per caller

mod methods;

mod certificate_name;
mod identities;
mod identity;
pub mod token;

mod credential_fault;
mod jwt;
mod key_set;
mod signature;

mod denials;
mod gate;

pub use certificate_name::normalize_dns;
pub use credential_fault::CredentialFault;
pub use gate::{CallCredentials, CallDenied, CredentialLoads, Error, Gate, MalformedHeader};
pub use identities::Identities;
pub use identity::{Identity, PublishDenied, PublishGrant, Revocation};
pub use methods::{METHODS, Method, MethodAccess, Role, find_method};
