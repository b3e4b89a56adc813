//! Settings: how this process runs, and the policy that it applies.
//!
//! ```text
//! deploy/lodewatch.toml ← the operator's file ← LODEWATCH_… environment ← flags
//!   (compiled in: the defaults)
//! ```
//!
//! Each layer replaces what it names: single settings, weights and blocs by their key, lists
//! (`rules`, `sources`) as a whole. Everything is read before anything starts. An [`Error`] lists
//! every problem with its key, where it was written and what is allowed.
//!
//! Only this module reads the environment. The policy takes effect as an entry of the journal,
//! never from here.
//!
//! - `layers`: the layers and how they are merged · `settings`: all settings · `values`: single
//!   values
//! - `ports`, `access`, `journal`, `policy`, `rule`: parts of the settings
//! - `feeds`: the file of `lodewatch feed`

mod access;
mod feeds;
mod journal;
mod layers;
mod policy;
mod ports;
mod rule;
mod settings;
#[cfg(test)]
mod tests;
mod values;

pub use access::{Access, Jwt, Tls};
pub use feeds::{Feed, FeedFormat, FeedSource, feeds};
pub use journal::{Credentials, JetStream, Store};
pub use layers::{Error, Flags, check, load, token};
pub use ports::{Console, Health, Metrics};
pub use settings::{Archive, Clock, Config, Fanout, Log, LogFormat, Reload, Server, Traces};
