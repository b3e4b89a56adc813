//! Settings: how this process runs, and the policy that it works by.
//!
//! ```text
//! deploy/lodewatch.toml ← the operator's file ← LODEWATCH_… environment ← flags
//!   (compiled in: the defaults)
//! ```
//!
//! Each layer replaces what it names: single settings, weights and blocs by their key, lists (`rules`, `sources`) as a
//! whole. Everything is read before anything starts; what is unknown or out of range is a `Problems`, which lists
//! every fault with its key, where it was written and what is allowed.
//!
//! Only this module reads the environment. The policy takes effect as an entry of the journal, never from here.

mod access;
mod console;
mod feeds;
mod figure;
mod journal;
mod layers;
mod policy;
mod problem;
mod rule;
mod settings;
mod table;
#[cfg(test)]
mod tests;

pub use access::{Access, Health, Jwt, Metrics, Tls};
pub use console::Console;
pub use feeds::{Feed, FeedFormat, FeedSource, feeds};
pub use journal::{Credentials, JetStream, Store};
pub use layers::{Flags, check, load, token};
pub use problem::{Problem, Problems};
pub use settings::{Archive, Clock, Config, Fanout, Log, LogFormat, Reload, Server, Traces};
