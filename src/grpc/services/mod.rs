//! The services of the protocol, one file each: a request is parsed, waits for its cursor, and is
//! answered from the state, the archive or a stream.
//!
//! - `routes`: all services with what is around them, health and reflection
//! - `feed`, `alert`, `market`, `policy`, `replica`: ours
//! - `health`: what load balancers ask

mod alert;
mod feed;
mod health;
mod market;
mod policy;
mod replica;
mod routes;

pub use routes::routes;
