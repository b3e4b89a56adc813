//! etcd: one key that is put repeatedly, and watches of it. The messages have only the fields
//! needed; others are skipped when read and have their defaults when sent.

use crate::frames::{Counter, Wanted};
use crate::message::framed;
use crate::peer;
use bytes::{Bytes, BytesMut};
use http::uri::PathAndQuery;
use prost::Message;
use std::path::Path;
use std::process::Command;
use tempfile::TempDir;
use tokio::task::JoinSet;
use tonic::client::Grpc;
use tonic::transport::Channel;
use tonic_prost::ProstCodec;

const KEY: &[u8] = b"alerts";
/// Puts in flight; etcd syncs them together.
const PUTS: usize = 24;

#[derive(Clone, PartialEq, Message)]
struct WatchRequest {
    #[prost(message, tag = "1")]
    create: Option<WatchCreateRequest>,
}

#[derive(Clone, PartialEq, Message)]
struct WatchCreateRequest {
    #[prost(bytes = "bytes", tag = "1")]
    key: Bytes,
}

#[derive(Clone, PartialEq, Message)]
struct WatchResponse {
    /// One per put; counted, not read.
    #[prost(bytes = "bytes", repeated, tag = "11")]
    events: Vec<Bytes>,
}

#[derive(Clone, PartialEq, Message)]
struct PutRequest {
    #[prost(bytes = "bytes", tag = "1")]
    key: Bytes,
    #[prost(bytes = "bytes", tag = "2")]
    value: Bytes,
}

#[derive(Clone, PartialEq, Message)]
struct PutResponse {}

/// The command that starts it: durable, which is its default.
pub(crate) fn command(program: &Path, port: u16, dir: &TempDir) -> Command {
    let url = |port: u16| format!("http://{}:{port}", peer::HOST);
    let (clients, peers) = (url(port), url(peer::free_port()));
    let mut command = Command::new(program);
    command.arg("--data-dir").arg(dir.path());
    command.args(["--listen-client-urls", &clients, "--advertise-client-urls", &clients]);
    command.args(["--listen-peer-urls", &peers, "--initial-advertise-peer-urls", &peers]);
    command.args(["--initial-cluster", &format!("default={peers}")]);
    command
}

/// A watch of the key; every event is counted.
pub(crate) fn watch() -> Wanted {
    let create = WatchCreateRequest { key: Bytes::from_static(KEY) };
    let request = WatchRequest { create: Some(create) };
    Wanted {
        path: "/etcdserverpb.Watch/Watch",
        request: framed(&request.encode_to_vec()).into(),
        counter: Counter::Contents {
            rest: BytesMut::new(),
            count: |message| WatchResponse::decode(message).unwrap().events.len(),
        },
    }
}

/// Puts one message repeatedly.
pub(crate) struct Puts {
    kv: Grpc<Channel>,
    request: PutRequest,
    calls: JoinSet<()>,
}

impl Puts {
    /// Connects, to put a message.
    pub(crate) async fn of(address: &str, message: &[u8]) -> Self {
        let kv = Grpc::new(lodewatch_client::connect(address).await.unwrap());
        let (key, value) = (Bytes::from_static(KEY), Bytes::copy_from_slice(message));
        Self { kv, request: PutRequest { key, value }, calls: JoinSet::new() }
    }

    /// Starts this number of puts; waits only if too many are in flight.
    pub(crate) async fn put(&mut self, times: usize) {
        for _ in 0..times {
            while self.calls.try_join_next().map(Result::unwrap).is_some() {}
            if self.calls.len() >= PUTS {
                self.calls.join_next().await.unwrap().unwrap();
            }
            let (mut kv, request) = (self.kv.clone(), tonic::Request::new(self.request.clone()));
            self.calls.spawn(async move {
                kv.ready().await.unwrap();
                let path = PathAndQuery::from_static("/etcdserverpb.KV/Put");
                let codec: ProstCodec<PutRequest, PutResponse> = ProstCodec::default();
                kv.unary(request, path, codec).await.unwrap();
            });
        }
    }
}
