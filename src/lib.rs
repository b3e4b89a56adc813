//! The Lodewatch server, its console and its command line: alerts the moment the supply of a
//! critical mineral becomes too concentrated.
//!
//! ```text
//! grpc ─ append ─► journal ─ tail ─► pipeline { engine } ─► archive ─► fanout ─ cursor ─► grpc
//! ```
//!
//! In reading order:
//!
//! - the crate [`lodewatch_core`]: what an entry is, and the alerts that it causes
//! - [`journal`]: the durable, ordered record of inputs
//! - [`archive`]: alerts by sequence, and snapshots of the state
//! - [`fanout`]: recent alerts in memory, and one reader per subscriber
//! - [`pipeline`]: the one loop: tail, apply, archive, fan out
//! - [`access`]: identities, their roles, and the table of methods
//! - [`grpc`]: the edge: requests in, replies and streams out; limits
//! - [`server`]: open, recover, listen, drain
//! - [`reload`]: new settings, identities and certificates while running
//! - [`console`]: the web console, and gRPC-Web for browsers
//! - [`feed_sync`]: publishes what changes in files and addresses
//! - [`sinks`]: forwards alerts to Alertmanager and webhooks
//! - [`cli`]: the command line, one file per command
//!
//! Used by many: [`config`] reads settings, [`clock`] reads the time, [`metrics`], [`traces`] and
//! [`telemetry`] report, [`sqlite`] is shared by journal and archive, [`fetch`] gets small
//! documents by HTTP, [`repeated_log`] bounds log lines that a client can cause, [`escape`] makes
//! text from outside harmless.

pub mod access;
pub mod archive;
pub mod cli;
pub mod clock;
pub mod config;
pub mod console;
pub mod escape;
pub mod fanout;
pub mod feed_sync;
pub mod fetch;
pub mod grpc;
pub mod journal;
pub mod metrics;
pub mod pipeline;
pub mod reload;
pub mod repeated_log;
pub mod server;
pub mod sinks;
pub mod sqlite;
pub mod telemetry;
pub mod traces;
