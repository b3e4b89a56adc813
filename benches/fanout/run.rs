//! One run: start a server, subscribe, publish, measure, stop everything.

use crate::load::{self, Measured, Server};
use crate::message::Message;
use crate::shared::report::{Row, percentiles};
use crate::subscribers::{Subscribers, Windows};
use crate::system::System;
use std::time::Duration;

/// Minimum number of subscribers for which memory is measured.
const SUBSCRIBERS_MIN: usize = 100;

/// The mode of a measurement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    Throughput,
    Paced,
}

impl Mode {
    pub(crate) const ALL: [Self; 2] = [Self::Throughput, Self::Paced];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Throughput => "throughput",
            Self::Paced => "paced",
        }
    }
}

/// One run.
#[derive(Debug, Clone)]
pub(crate) struct Plan {
    pub(crate) system: System,
    pub(crate) mode: Mode,
    pub(crate) subscribers: usize,
    pub(crate) streams: usize,
    pub(crate) seconds: u32,
    /// The subscribers' window.
    pub(crate) never_read: usize,
    pub(crate) windows: Windows,
    pub(crate) note: &'static str,
}

impl Plan {
    /// A run with default client windows, in which every subscriber reads.
    pub(crate) fn new(
        system: System,
        mode: Mode,
        subscribers: usize,
        streams: usize,
        seconds: u32,
    ) -> Self {
        let (never_read, windows, note) = (0, Windows::STRANGER, "");
        Self { system, mode, subscribers, streams, seconds, never_read, windows, note }
    }

    /// Messages per second in paced mode: what one connection per subscriber allows, and more if
    /// connections are shared.
    pub(crate) fn pace(&self) -> u32 {
        match (self.subscribers, self.streams) {
            (..=100, _) => 200,
            (..=1000, 1) => 50,
            (..=1000, _) => 200,
            (_, 1) => 10,
            (_, _) => 40,
        }
    }

    fn timed(&self) -> usize {
        match self.mode {
            Mode::Throughput => 0,
            Mode::Paced => (self.pace() * self.seconds) as usize,
        }
    }

    /// Opens all subscriptions.
    pub(crate) async fn subscribe(&self, server: &Server, message: &Message) -> Subscribers {
        let mut subscribers = Subscribers::none(self.timed());
        let mut never_read = self.never_read;
        let address = &server.process().address;
        for _ in 0..self.subscribers / self.streams {
            let unread = never_read.min(self.streams);
            never_read -= unread;
            self.system.subscribe(&mut subscribers, address, message, self, unread).await;
        }
        // Until the server has opened them.
        tokio::time::sleep(Duration::from_millis(300)).await;
        subscribers
    }

    /// Publishes as the mode says.
    pub(crate) async fn load(
        &self,
        server: &mut Server,
        subscribers: &Subscribers,
        message: &Message,
    ) -> Measured {
        let seconds = Duration::from_secs(self.seconds.into());
        match self.mode {
            Mode::Throughput => {
                load::flood(server, subscribers, message.framed().len(), seconds).await
            }
            Mode::Paced => load::pace(server, subscribers, self.pace()).await,
        }
    }

    /// The result.
    pub(crate) fn row(&self, measured: &Measured, subscribers: &Subscribers) -> Row {
        let deliveries = measured.messages as f64;
        let mut latencies: Vec<u64> = Vec::new();
        for meter in &subscribers.meters {
            latencies.extend(meter.latencies.lock().unwrap().iter());
        }
        let latencies = percentiles(latencies);
        Row {
            system: self.system.name(),
            mode: self.mode.name(),
            subscribers: self.subscribers - self.never_read,
            streams_per_connection: self.streams,
            deliveries_per_s: deliveries / measured.took.as_secs_f64(),
            server_cpu_s_per_million: measured.cpu_s / deliveries * 1e6,
            p50_us: latencies[0],
            p99_us: latencies[1],
            p999_us: latencies[2],
            bytes_per_idle_subscriber: None,
            note: self.note.to_owned(),
        }
    }
}

/// Runs one plan.
pub(crate) async fn run(plan: &Plan, message: &Message) -> Row {
    let dir = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let mut server = plan.system.start(message, &dir).await;
    let idle = server.process().memory_kb();
    let subscribers = plan.subscribe(&server, message).await;
    let each = server.process().memory_kb().saturating_sub(idle) * 1024 / plan.subscribers as u64;
    let measured = plan.load(&mut server, &subscribers, message).await;
    Row {
        bytes_per_idle_subscriber: Some(each).filter(|_| plan.subscribers >= SUBSCRIBERS_MIN),
        ..plan.row(&measured, &subscribers)
    }
}
