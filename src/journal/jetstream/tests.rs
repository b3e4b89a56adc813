//! What only a stream of NATS can show.

use super::super::{Damage, Error, Journal, Place, Testimony, samples};
use super::JetStream;
use super::message::{Group, Mark, Message};
use crate::config::{Credentials, JetStream as Settings};
use crate::domain::{Entry, Payload, Seq, Timestamp};
use nats::Nats;
use std::sync::Arc;
use std::time::Duration;
use tempfile::TempDir;

#[path = "../../../tests/nats/mod.rs"]
#[allow(dead_code, reason = "clusters are for the tests of replicas")]
mod nats;

/// A server by itself, and a journal on it.
pub(in crate::journal) async fn alone() -> (Nats, TempDir, JetStream) {
    let nats = Nats::alone();
    let dir = tempfile::tempdir().unwrap();
    let journal = JetStream::open(&settings(&nats), dir.path()).await.unwrap();
    (nats, dir, journal)
}

fn settings(nats: &Nats) -> Settings {
    Settings {
        servers: vec![nats.url()],
        stream: "TEST".to_owned(),
        replicas: 1,
        monitors: vec![nats.monitor()],
        timeout: Duration::from_secs(10),
        allow_weaker_durability: false,
        credentials: Credentials::None,
        ca_file: None,
        certificate: None,
    }
}
