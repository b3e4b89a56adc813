//! The edge: the only place that knows protobuf and gRPC.
//!
//! ```text
//! message ─ parse ─► domain value ──► journal          state, archive, ring ──► domain value ─ render ─► message
//!             │ every bad field at once                                                         (cannot fail)
//!             ▼
//!           status: one table from our errors to gRPC codes with google.rpc details
//! ```
//!
//! One file per service; `subscription`, `publish_stream` and `market_watch` are the streams, `limits` bounds them and `peer` those
//! who open them; `what_if` works on copies of the state; `health` is what load balancers ask; `counted` counts how calls end; `cursor`
//! and `page` are the opaque texts handed out.

mod alert_service;
mod answer;
mod api;
mod body;
mod calls;
mod counted;
mod counts;
mod cursor;
mod deadline;
mod feed_service;
mod framing;
mod health;
pub mod json;
mod limits;
mod market_board;
mod market_service;
mod market_view;
mod market_watch;
mod methods;
mod names;
mod opaque;
mod page;
pub mod parse;
mod peer;
mod policy_service;
mod publish_stream;
mod rates;
pub mod render;
mod replica_service;
mod status;
mod subscription;
mod times;
mod trusted;
mod what_if;

pub use answer::answer;
pub use api::Api;
pub use calls::Calls;
pub use limits::{Bounds, Limits};
pub use market_board::Boards;
pub use methods::methods;
pub use peer::{Addresses, Peer, TooMany};
pub use publish_stream::Credits;

use crate::domain::update::{Cursor, Position};
use crate::domain::{Alert, Epoch};
use crate::pipeline::Encoding;
use prost::Message;
use std::sync::Arc;
use tonic::service::Routes;
use trusted::Trusted;

/// The generated messages and services of `proto/lodewatch/v1`.
#[allow(
    missing_docs,
    unreachable_pub,
    clippy::all,
    clippy::pedantic,
    clippy::allow_attributes_without_reason,
    clippy::as_conversions,
    clippy::wildcard_enum_match_arm,
    clippy::disallowed_types,
    clippy::indexing_slicing,
    reason = "generated code"
)]
pub mod pb {
    pub use lodewatch_proto::v1::*;

    tonic::include_proto!("lodewatch.v1");

    /// The descriptors of the messages and services, with everything they import.
    pub const DESCRIPTORS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/lodewatch.v1.bin"));
}

/// How alerts look on the wire: each is encoded once, for the archive and every subscriber.
pub fn encoding(epoch: Epoch) -> Encoding {
    let cursor = move |position| cursor::render(&Cursor { epoch, position });
    Encoding {
        alert: Box::new(move |alert: &Alert| {
            render::alert(alert, &cursor(Position::at(alert.entry))).encode_to_vec().into()
        }),
        message: Arc::new(move |bytes, records, end| {
            let rest = pb::Alerts { more: end.alerts > 0, ..pb::Alerts::default() };
            framing::alerts(bytes, cursor(end), records, &rest);
        }),
    }
}

/// The alert that [`encoding`] made bytes of.
///
/// # Panics
///
/// For other bytes.
pub fn decode(bytes: &[u8]) -> pb::Alert {
    pb::Alert::decode(bytes).expect("the edge encoded them")
}

/// All services: ours, health and reflection; and health alone, for probes. A request of more than `message_bytes_max` bytes is
/// refused.
pub async fn routes(api: Arc<Api>, message_bytes_max: usize) -> (Routes, Routes) {
    let (health, health_service) = tonic_health::server::health_reporter();
    let feed =
        pb::feed_service_server::FeedServiceServer::new(feed_service::Feed(Arc::clone(&api)))
            .max_decoding_message_size(message_bytes_max);
    let alerts =
        pb::alert_service_server::AlertServiceServer::new(alert_service::Alerts(Arc::clone(&api)))
            .max_decoding_message_size(message_bytes_max);
    let markets = pb::market_service_server::MarketServiceServer::new(market_service::Markets(
        Arc::clone(&api),
    ))
    .max_decoding_message_size(message_bytes_max);
    let policies = pb::policy_service_server::PolicyServiceServer::new(policy_service::Policies(
        Arc::clone(&api),
    ))
    .max_decoding_message_size(message_bytes_max);
    let replicas = pb::replica_service_server::ReplicaServiceServer::new(
        replica_service::Replicas(Arc::clone(&api)),
    );
    health::tell(&health, &api).await;
    tokio::spawn(health::keep(health, Arc::clone(&api)));
    let all = Routes::new(Trusted { service: feed, api: Arc::clone(&api) })
        .add_service(Trusted { service: body::Framed(alerts), api: Arc::clone(&api) })
        .add_service(Trusted { service: markets, api: Arc::clone(&api) })
        .add_service(Trusted { service: policies, api: Arc::clone(&api) })
        .add_service(Trusted { service: replicas, api })
        .add_service(health_service.clone())
        .add_service(reflection().build_v1().expect("our own descriptors can be read"))
        .add_service(reflection().build_v1alpha().expect("our own descriptors can be read"));
    (all, Routes::new(health_service))
}

fn reflection() -> tonic_reflection::server::Builder<'static> {
    tonic_reflection::server::Builder::configure()
        .register_encoded_file_descriptor_set(pb::DESCRIPTORS)
        .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
}
