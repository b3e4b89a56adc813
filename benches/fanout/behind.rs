//! Live subscribers alone, and beside one with a large lag that catches up.

use crate::frames::Wanted;
use crate::load::Server;
use crate::message::Message;
use crate::run::{Mode, Plan};
use crate::shared::lodewatch;
use crate::shared::report::{self, Row};
use crate::subscribers::{Subscribers, Windows};
use crate::system::System;
use ::lodewatch_proto::v1::Start;
use std::convert::Infallible;
use std::time::{Duration, Instant};

const LIVE: usize = 100;

/// Publishes this number of alerts, then measures the live subscribers, paced and at full speed,
/// each alone and beside one that starts from the oldest alert. Returns a row for each.
pub(crate) async fn behind(alerts: usize, seconds: u32, message: &Message) -> Vec<Row> {
    let mut server = lodewatch::Server::start().await;
    let mut backlog = alerts;
    server.publish(backlog).await;
    server.settle().await;
    let mut server = Server::Lodewatch(Box::new(server));
    let mut rows: Vec<Row> = Vec::new();
    println!("\n{LIVE} live subscribers, and one that is {alerts} alerts and more behind");
    report::head();
    for mode in Mode::ALL {
        for beside in [false, true] {
            let laggard = beside.then(|| Laggard::new(backlog));
            let plan = Plan::new(System::Lodewatch, mode, LIVE, 1, seconds);
            let row = phase(&plan, &mut server, message, laggard, &mut backlog).await;
            report::line(&row);
            rows.push(row);
        }
    }
    for pair in rows.chunks(2) {
        println!(
            "{}: deliveries/s beside it against alone {:.2}",
            pair[0].mode,
            pair[1].deliveries_per_s / pair[0].deliveries_per_s
        );
        if let [Some(alone), Some(beside)] = [pair[0].p99_us, pair[1].p99_us] {
            println!("{}: p99 beside it {beside} µs, alone {alone} µs", pair[0].mode);
        }
    }
    rows
}

/// One load; what it publishes adds to the backlog.
async fn phase(
    plan: &Plan,
    server: &mut Server,
    message: &Message,
    laggard: Option<Laggard>,
    backlog: &mut usize,
) -> Row {
    let subscribers = plan.subscribe(server, message).await;
    let address = server.process().address.clone();
    let begin = Instant::now();
    let load = plan.load(server, &subscribers, message);
    let (measured, note) = match laggard {
        None => (load.await, "live, alone".to_owned()),
        Some(mut laggard) => {
            let measured = tokio::select! {
                measured = load => measured,
                never = laggard.run(&address) => match never {},
            };
            let per_s = laggard.messages() as f64 / begin.elapsed().as_secs_f64();
            (measured, format!("live, beside one that catches up with {per_s:.0} alerts/s"))
        }
    };
    *backlog += subscribers.least();
    Row { note, ..plan.row(&measured, &subscribers) }
}

/// A subscriber that starts from the oldest alert, and again once it caught up: it lags for as long
/// as the load lasts.
struct Laggard {
    /// Messages.
    backlog: usize,
    /// Messages of the complete passes.
    before: usize,
    now: Subscribers,
}

impl Laggard {
    fn new(backlog: usize) -> Self {
        Self { backlog, before: 0, now: Subscribers::none(0) }
    }

    async fn run(&mut self, address: &str) -> Infallible {
        let oldest = Wanted::alerts(Start::Oldest);
        loop {
            self.now.grpc(address, &oldest, 1, 0, Windows::OURS).await;
            while self.now.least() < self.backlog {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
            self.before += self.now.all();
            self.now = Subscribers::none(0);
        }
    }

    /// The number of messages received.
    fn messages(&self) -> usize {
        self.before + self.now.all()
    }
}
