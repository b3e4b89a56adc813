//! The server: open, recover, adopt the policy, serve, drain.
//!
//! ```text
//! node ─► recovery: journal, archive, pipeline thread
//!   ├───► security: identities, TLS ◄─ reload
//!   └───► ports ─► listener ─┬─ grpc_connection ─ socket    server.listen, health.listen
//!                            ├─ browser_connection          console.listen
//!                            └─ pages                       metrics.listen
//! ```
//!
//! Modules in reading order:
//!
//! - `node`: [`Node`], from the first file that is opened to the last that is closed
//! - `recovery`: opens the journal and runs the pipeline, until everything in the journal is
//!   applied
//! - `security`: who is accepted and how connections are encrypted; reloaded when the files change
//! - `tls`: certificates and keys · `certificate_expiry`: when a certificate expires
//! - `ports`: what listens where
//! - `listener`: accepts connections, counts and limits them, and ends them when the server drains
//! - `proxy_header`: the client's address, where a trusted proxy forwards its connection
//! - `grpc_connection`, `browser_connection`, `pages`: what is served on a connection
//! - `socket`: batches the writes of a gRPC connection
//! - `gauges`: reads the gauges when Prometheus scrapes
//! - `error`: why a server does not start, or ends by itself

mod browser_connection;
mod certificate_expiry;
mod error;
mod gauges;
mod grpc_connection;
mod listener;
mod node;
mod pages;
mod ports;
mod proxy_header;
mod recovery;
mod security;
mod socket;
mod tls;

pub use error::Error;
pub use node::Node;
pub use pages::serve_alone;
