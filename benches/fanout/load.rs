//! Publishing: as fast as all subscribers read, or at a fixed rate.

use crate::shared::lodewatch;
use crate::subscribers::Subscribers;
use crate::{etcd, orders, push};
use lodewatch_testkit::process::Process;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

/// Bytes that may be in flight to the slowest subscriber.
const AHEAD_BYTES: usize = 1024 * 1024;
/// Messages published at once in the mode without a rate.
const AT_ONCE: usize = 24;
/// Warm-up before the measurement.
const WARM_UP: Duration = Duration::from_millis(700);
/// Limit for the last message to reach every subscriber.
const PATIENCE: Duration = Duration::from_mins(1);

/// A server that publishes on request.
pub(crate) enum Server {
    Lodewatch(Box<lodewatch::Server>),
    /// One of this benchmark's own servers.
    Own(Process),
    /// NATS or Redis.
    Push(Process, push::Publisher),
    Etcd(Process, Box<etcd::Puts>),
}

impl Server {
    pub(crate) fn process(&self) -> &Process {
        match self {
            Self::Lodewatch(server) => &server.process,
            Self::Own(process) | Self::Push(process, _) | Self::Etcd(process, _) => process,
        }
    }

    /// Starts to publish this number of messages.
    pub(crate) async fn publish(&mut self, messages: usize) {
        match self {
            Self::Lodewatch(server) => server.publish(messages).await,
            Self::Own(process) => orders::order(process, messages),
            Self::Push(_, publisher) => publisher.publish(messages).await,
            Self::Etcd(_, puts) => puts.put(messages).await,
        }
    }

    /// The number of messages that may be in flight to the slowest subscriber.
    fn ahead(&self, message_bytes: usize) -> usize {
        match self {
            // It is slow: more would need a minute to arrive.
            Self::Etcd(..) => AT_ONCE,
            Self::Lodewatch(_) | Self::Own(_) | Self::Push(..) => {
                (AHEAD_BYTES / message_bytes).max(AT_ONCE)
            }
        }
    }
}

/// Delivered messages, CPU time and duration.
pub(crate) struct Measured {
    pub(crate) messages: usize,
    pub(crate) cpu_s: f64,
    pub(crate) took: Duration,
}

/// Publishes for a while, never more in flight than the bytes allow.
pub(crate) async fn flood(
    server: &mut Server,
    subscribers: &Subscribers,
    message_bytes: usize,
    measured: Duration,
) -> Measured {
    let ahead = server.ahead(message_bytes);
    let begin = Instant::now();
    let mut published = 0;
    let mut warm = None;
    loop {
        let took = begin.elapsed();
        if took >= WARM_UP && warm.is_none() {
            warm = Some((subscribers.all(), server.process().cpu_s(), Instant::now()));
        }
        if took >= WARM_UP + measured {
            break;
        }
        if published - subscribers.least() + AT_ONCE > ahead {
            tokio::time::sleep(Duration::from_millis(1)).await;
        } else {
            server.publish(AT_ONCE).await;
            published += AT_ONCE;
        }
    }
    let (messages, cpu_s, since) = warm.unwrap();
    let measured = Measured {
        messages: subscribers.all() - messages,
        cpu_s: server.process().cpu_s() - cpu_s,
        took: since.elapsed(),
    };
    all_arrive(subscribers, published).await;
    measured
}

/// Publishes one message at a time, at a fixed rate per second.
pub(crate) async fn pace(
    server: &mut Server,
    subscribers: &Subscribers,
    per_second: u32,
) -> Measured {
    let mut ticks = tokio::time::interval(Duration::from_secs(1) / per_second);
    let cpu_s = server.process().cpu_s();
    let begin = Instant::now();
    for at in &subscribers.published.at {
        ticks.tick().await;
        at.store(subscribers.published.begin.elapsed().as_nanos() as u64, Ordering::Relaxed);
        server.publish(1).await;
    }
    all_arrive(subscribers, subscribers.published.at.len()).await;
    Measured {
        messages: subscribers.all(),
        cpu_s: server.process().cpu_s() - cpu_s,
        took: begin.elapsed(),
    }
}

/// Checks that no message is lost.
async fn all_arrive(subscribers: &Subscribers, published: usize) {
    let begin = Instant::now();
    while subscribers.least() < published {
        assert!(begin.elapsed() < PATIENCE, "{} of {published} arrived", subscribers.least());
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    assert_eq!(subscribers.all(), published * subscribers.meters.len(), "nothing comes twice");
}
