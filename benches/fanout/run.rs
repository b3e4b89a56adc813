//! One run: start a server, subscribe, publish, measure, end all of it.

use crate::load::{self, Server};
use crate::lodewatch;
use crate::process::Process;
use crate::report::Row;
use crate::subscribers::{Subscribers, Windows};
use std::time::Duration;
use tempfile::TempDir;

/// Memory is measured from this many subscribers on.
const SUBSCRIBERS_MIN: usize = 100;
/// The header of a message on the wire, in bytes.
const HEADER_BYTES: usize = 5;

/// Who is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum System {
    Lodewatch,
    NaiveTonic,
    RawTcp,
}

impl System {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Lodewatch => "lodewatch",
            Self::NaiveTonic => "naive_tonic",
            Self::RawTcp => "raw_tcp",
        }
    }
}

/// What is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    Throughput,
    Paced,
}

/// One run.
#[derive(Debug, Clone)]
pub(crate) struct Plan {
    pub(crate) system: System,
    pub(crate) mode: Mode,
    pub(crate) subscribers: usize,
    pub(crate) streams: usize,
    pub(crate) seconds: u32,
    /// Of the subscribers.
    pub(crate) never_read: usize,
    pub(crate) windows: Windows,
}

impl Plan {
    pub(crate) fn new(
        system: System,
        mode: Mode,
        subscribers: usize,
        streams: usize,
        quick: bool,
    ) -> Self {
        let seconds = if quick { 3 } else { 10 };
        Self {
            system,
            mode,
            subscribers,
            streams,
            seconds,
            never_read: 0,
            windows: Windows::STRANGER,
        }
    }

    fn alerts(&self) -> usize {
        match self.mode {
            Mode::Throughput => 8,
            Mode::Paced => 1,
        }
    }

    /// Messages a second where they are paced: what a connection each leaves time for, and more where they are shared.
    fn pace(&self) -> u32 {
        match (self.subscribers, self.streams) {
            (..=100, _) => 200,
            (..=1000, 1) => 50,
            (..=1000, _) => 200,
            (_, 1) => 10,
            (_, _) => 40,
        }
    }
}

/// Runs it.
pub(crate) async fn run(plan: &Plan) -> Row {
    let dir = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let (mut server, size) = start(plan, &dir).await;
    let idle = server.process().memory_bytes();
    let timed = match plan.mode {
        Mode::Throughput => 0,
        Mode::Paced => (plan.pace() * plan.seconds) as usize,
    };
    let mut subscribers = Subscribers::none(timed);
    let address = server.process().address.clone();
    let mut slow = plan.never_read;
    for _ in 0..plan.subscribers / plan.streams {
        if plan.system == System::RawTcp {
            subscribers.tcp(&address, size).await;
        } else {
            let unread = slow.min(plan.streams);
            slow -= unread;
            subscribers.grpc(&address, plan.streams, unread, plan.windows).await;
        }
    }
    // Until the server is done with opening.
    tokio::time::sleep(Duration::from_millis(300)).await;
    let each = server.process().memory_bytes().saturating_sub(idle) / plan.subscribers as u64;
    let seconds = Duration::from_secs(plan.seconds.into());
    let measured = match plan.mode {
        Mode::Throughput => load::flood(&mut server, &subscribers, size, seconds).await,
        Mode::Paced => load::pace(&mut server, &subscribers, plan.pace()).await,
    };
    let mut latencies: Vec<u64> = Vec::new();
    for meter in &subscribers.meters {
        latencies.extend(meter.latencies.lock().unwrap().iter());
    }
    latencies.sort_unstable();
    let at = |permille: usize| latencies.get(latencies.len() * permille / 1000).copied();
    let deliveries = (measured.messages * plan.alerts()) as f64;
    Row {
        system: plan.system.name(),
        mode: match plan.mode {
            Mode::Throughput => "throughput",
            Mode::Paced => "paced",
        },
        subscribers: plan.subscribers - plan.never_read,
        streams_per_connection: plan.streams,
        deliveries_per_s: deliveries / measured.took.as_secs_f64(),
        server_cpu_s_per_million: measured.cpu_s / deliveries * 1e6,
        p50_us: at(500),
        p99_us: at(990),
        p999_us: at(999),
        bytes_per_idle_subscriber: Some(each).filter(|_| plan.subscribers >= SUBSCRIBERS_MIN),
    }
}

/// The server, and the size of a message on the wire.
async fn start(plan: &Plan, dir: &TempDir) -> (Server, usize) {
    let file = dir.path().join("message");
    let size = lodewatch::Server::start(plan.alerts()).await.message(&file).await + HEADER_BYTES;
    let server = match plan.system {
        System::Lodewatch => {
            Server::Lodewatch(Box::new(lodewatch::Server::start(plan.alerts()).await))
        }
        other @ (System::NaiveTonic | System::RawTcp) => {
            Server::Own(Process::own(other.name(), &file))
        }
    };
    (server, size)
}
