//! The measured systems, and how to start and subscribe to each.

use crate::frames::Wanted;
use crate::load::Server;
use crate::message::Message;
use crate::run::Plan;
use crate::shared::lodewatch;
use crate::subscribers::Subscribers;
use crate::{etcd, peer, push};
use ::lodewatch_proto::v1::Start;
use lodewatch_testkit::process::Process;
use std::path::Path;
use std::process::Command;
use tempfile::TempDir;
use tokio::net::TcpStream;

/// A measured system.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum System {
    Lodewatch,
    NaiveTonic,
    RawTcp,
    Nats,
    Redis,
    Etcd,
}

impl System {
    pub(crate) const ALL: [Self; 6] =
        [Self::Lodewatch, Self::NaiveTonic, Self::RawTcp, Self::Nats, Self::Redis, Self::Etcd];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Lodewatch => "lodewatch",
            Self::NaiveTonic => "naive_tonic",
            Self::RawTcp => "raw_tcp",
            Self::Nats => "nats",
            Self::Redis => "redis",
            Self::Etcd => "etcd",
        }
    }

    /// The program that must be installed.
    fn program(self) -> Option<&'static str> {
        match self {
            Self::Lodewatch | Self::NaiveTonic | Self::RawTcp => None,
            Self::Nats => Some("nats-server"),
            Self::Redis => Some("redis-server"),
            Self::Etcd => Some("etcd"),
        }
    }

    /// The named systems, or all; prints those that are skipped because they are not installed.
    pub(crate) fn wanted(names: &[String]) -> Vec<Self> {
        let mut systems = Self::ALL.to_vec();
        systems.retain(|one| names.is_empty() || names.iter().any(|name| name == one.name()));
        systems.retain(|one| {
            let missing = one.program().filter(|program| peer::find(program).is_none());
            if let Some(program) = missing {
                println!("{} skipped: {program} is not installed", one.name());
            }
            missing.is_none()
        });
        systems
    }

    /// Whether it also runs with several subscriptions per connection. etcd could, at seconds per
    /// message.
    pub(crate) fn has_streams(self) -> bool {
        matches!(self, Self::Lodewatch | Self::NaiveTonic)
    }

    /// Starts the server, which will forward this message.
    pub(crate) async fn start(self, message: &Message, dir: &TempDir) -> Server {
        match self {
            Self::Lodewatch => Server::Lodewatch(Box::new(lodewatch::Server::start().await)),
            Self::NaiveTonic | Self::RawTcp => {
                Server::Own(crate::shared::process::start_own(self.name(), &message.file))
            }
            Self::Nats => push_server(self.launch(push::nats, dir), &push::NATS, message).await,
            Self::Redis => push_server(self.launch(push::redis, dir), &push::REDIS, message).await,
            Self::Etcd => {
                let process = self.launch(etcd::command, dir);
                let puts = etcd::Puts::of(&process.address, &message.bytes).await;
                Server::Etcd(process, Box::new(puts))
            }
        }
    }

    fn launch(self, command: fn(&Path, u16, &TempDir) -> Command, dir: &TempDir) -> Process {
        let program = self
            .program()
            .and_then(peer::find)
            .expect("systems that are not installed are skipped");
        let port = peer::free_port();
        peer::start(command(&program, port, dir), port)
    }

    /// Opens the subscriptions of one connection; `never_read` of them will not be read.
    pub(crate) async fn subscribe(
        self,
        subscribers: &mut Subscribers,
        address: &str,
        message: &Message,
        plan: &Plan,
        never_read: usize,
    ) {
        let wanted = match self {
            Self::Lodewatch | Self::NaiveTonic => Wanted::alerts(Start::Head),
            Self::Etcd => etcd::watch(),
            Self::RawTcp => {
                let socket = TcpStream::connect(address).await.unwrap();
                return subscribers.tcp(socket, message.framed().len());
            }
            Self::Nats => return push_reader(subscribers, &push::NATS, address, message).await,
            Self::Redis => return push_reader(subscribers, &push::REDIS, address, message).await,
        };
        subscribers.grpc(address, &wanted, plan.streams, never_read, plan.windows).await;
    }
}

async fn push_server(process: Process, protocol: &push::Protocol, message: &Message) -> Server {
    let publisher = protocol.publisher(&process.address, &message.bytes).await;
    Server::Push(process, publisher)
}

async fn push_reader(
    subscribers: &mut Subscribers,
    protocol: &push::Protocol,
    address: &str,
    message: &Message,
) {
    let socket = protocol.subscribe(address).await;
    subscribers.tcp(socket, protocol.push_bytes(&message.bytes));
}
