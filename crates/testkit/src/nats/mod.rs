//! Real NATS servers with JetStream on this machine, and what can be done to them.
//!
//! - [`Nats`]: one server, by itself or of a cluster · [`Cluster`]: three of them, and who leads a
//!   stream
//! - `program`: where `nats-server` is; what is missing or too old fails, and says how to get it
//! - `port`: numbers that stay ours while a server is down

mod cluster;
mod port;
mod program;
mod server;

pub use cluster::Cluster;
pub use server::Nats;
