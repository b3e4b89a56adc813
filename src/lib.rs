//! Lodewatch: alerts the moment the supply of a critical mineral becomes too concentrated.
//!
//! Modules in reading order, one sentence each.

// Who may do what: identities, their roles, and one table of methods.
pub mod access;
// What was said: alerts by sequence, and snapshots of the state.
pub mod archive;
// The command line: one file per sub-command.
pub mod cli;
// The only place that reads the time.
pub mod clock;
// Settings: defaults, file, environment, flags.
pub mod config;
// The page for people, and gRPC-Web for what runs in a browser.
pub mod console;
// Who is listening: recent alerts in memory, and cursors over them.
pub mod fanout;
// A small answer over HTTP, bounded in bytes and in time.
pub mod fetch;
// Alerts handed on to what speaks HTTP: Alertmanager, and webhooks.
pub mod sinks;
// The edge: the only place that knows protobuf and gRPC.
pub mod grpc;
// Files and addresses kept in sync with a server: what they say is published when it changes.
pub mod feed_sync;
// What is true: the durable, ordered record of inputs.
pub mod journal;
// How it is, in numbers: what Prometheus reads.
pub mod metrics;
// The one loop: tail, apply, archive, fan out.
pub mod pipeline;
// Other rules while running.
pub mod reload;
// Assembly: open, recover, spawn, serve, drain.
pub mod server;
// What the two stores have in common.
pub mod sqlite;
// Logs.
pub mod telemetry;
// What became of a batch, told to a collector of traces.
pub mod traces;

// Until every module names the crate itself.
pub use lodewatch_core::{domain, engine};
