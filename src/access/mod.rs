//! Who may do what: identities, their roles, and one table of methods.
//!
//! ```text
//! call ─ certificate, token ─► Gate ─► Identity ─ METHODS: may its role? ─► service ─ Grant: this feed, this mineral? ─► journal
//!                                │ none: unauthenticated        │ no: denied                  │ no: denied
//! ```
//!
//! - [`Role`], [`METHODS`]: the table; what has no row is denied
//! - [`Identity`], [`Grant`]: who somebody is, and for which feeds and minerals a publisher speaks
//! - [`Identities`]: the file of identities
//! - [`token`]: random texts of which the file holds a hash
//! - `jwt`, `key_set`, `signature`: JSON web tokens of somebody else's issuer
//! - [`Gate`]: from what a caller shows to who it is; reads the file again when it changes

mod denials;
mod gate;
mod identities;
mod identity;
mod jwt;
mod key_set;
mod methods;
mod signature;
pub mod token;

pub use gate::{Credentials, Denied, Error, Gate, Malformed};
pub use identities::Identities;
pub use identity::{Admission, Grant, Identity, Overstep};
pub use methods::{METHODS, Method, Role, Who, method};
