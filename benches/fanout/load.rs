//! Publishing: as fast as all subscribers take it, or at a pace.

use crate::lodewatch::{self, LANES};
use crate::process::Process;
use crate::subscribers::Subscribers;
use std::io::Write;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

/// Bytes that may be on the way to the slowest subscriber.
const AHEAD_BYTES: usize = 1024 * 1024;
/// Before measuring.
const WARM_UP: Duration = Duration::from_millis(700);
/// No subscriber may need longer to get the last message.
const PATIENCE: Duration = Duration::from_mins(1);

/// A server that can be told to publish.
pub(crate) enum Server {
    Lodewatch(Box<lodewatch::Server>),
    /// One of the bench's own; told on its standard input.
    Own(Process),
}

impl Server {
    pub(crate) fn process(&self) -> &Process {
        match self {
            Self::Lodewatch(server) => &server.process,
            Self::Own(process) => process,
        }
    }

    async fn publish(&mut self, messages: usize) {
        match self {
            Self::Lodewatch(server) => server.publish(messages).await,
            Self::Own(process) => {
                let orders = process.child.stdin.as_mut().unwrap();
                orders.write_all(&u32::try_from(messages).unwrap().to_be_bytes()).unwrap();
            }
        }
    }
}

/// What was delivered, in messages, with which CPU time, in which time.
pub(crate) struct Measured {
    pub(crate) messages: usize,
    pub(crate) cpu_s: f64,
    pub(crate) took: Duration,
}

/// Publishes for a while, never further ahead than the bytes allow.
pub(crate) async fn flood(
    server: &mut Server,
    subscribers: &Subscribers,
    message_bytes: usize,
    measured: Duration,
) -> Measured {
    let ahead = (AHEAD_BYTES / message_bytes).max(LANES);
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
        if published - subscribers.least() + LANES > ahead {
            tokio::time::sleep(Duration::from_millis(1)).await;
        } else {
            server.publish(LANES).await;
            published += LANES;
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

/// Publishes one message at a time, so many a second.
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

/// Nothing is lost.
async fn all_arrive(subscribers: &Subscribers, published: usize) {
    let begin = Instant::now();
    while subscribers.least() < published {
        assert!(begin.elapsed() < PATIENCE, "{} of {published} arrived", subscribers.least());
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    assert_eq!(subscribers.all(), published * subscribers.meters.len(), "nothing comes twice");
}
