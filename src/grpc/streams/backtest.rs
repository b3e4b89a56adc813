//! `Backtest`: the alerts that another policy would have sent, over the whole journal.

use super::work_stream::{WorkSender, WorkStream, start_work};
use crate::grpc::backend::{Api, replay_entries};
use crate::grpc::codec::pages::STREAM_BYTES;
use crate::grpc::codec::render;
use crate::grpc::pb;
use lodewatch_core::domain::{Alert, Facets, Filter, Policy, Seq};
use lodewatch_core::engine::simulation::Backtest;
use pb::backtest_response::Message;
use prost::Message as _;
use std::sync::Arc;
use tonic::{Extensions, Status};

/// Entries between two messages of progress.
const PROGRESS_ENTRIES: u64 = 10_000;

/// Starts a backtest on a thread of its own; the stream has its alerts and its progress.
pub(in crate::grpc) fn start_backtest(
    api: &Arc<Api>,
    request: &Extensions,
    policy: Arc<Policy>,
    filter: Filter,
) -> Result<WorkStream<pb::BacktestResponse>, Status> {
    start_work(api, request, move |sender| {
        let api = sender.api();
        let budget = api.simulations.backtest_budget();
        let mut test = Backtest::new(policy, budget.meter(sender.call()));
        let total = api.view.applied();
        let mut alerts = AlertsSender::new(sender, &filter);
        let entries = (total, None);
        let result = replay_entries(api, sender.runtime(), entries, sender.call(), |entry| {
            if entry.seq.0.is_multiple_of(PROGRESS_ENTRIES) {
                sender.send(progress(&test, Seq(entry.seq.0.saturating_sub(1)), total, false))?;
            }
            let replayed = test.replay(entry, &mut |alert| alerts.add(&alert));
            replayed.map_err(|error| budget.status(&error, sender.call()))?;
            alerts.finish_entry()
        });
        api.metrics.work.count_evaluations(test.work().spent());
        result.and_then(|()| sender.send(progress(&test, total, total, true)))
    })
}

fn progress(test: &Backtest, read: Seq, total: Seq, done: bool) -> pb::BacktestResponse {
    let progress = pb::BacktestProgress {
        entries: read.0,
        entries_total: total.0,
        journal_time: Some(render::timestamp(test.now())),
        rejected: test.rejected_batches(),
        done,
    };
    pb::BacktestResponse { message: Some(Message::Progress(progress)) }
}

/// Sends what the filter wants of an entry's alerts, as they come.
struct AlertsSender<'a> {
    sender: &'a WorkSender<pb::BacktestResponse>,
    filter: &'a Filter,
    unsent: Vec<pb::Alert>,
    bytes: usize,
    result: Result<(), Status>,
}

impl<'a> AlertsSender<'a> {
    fn new(sender: &'a WorkSender<pb::BacktestResponse>, filter: &'a Filter) -> Self {
        Self { sender, filter, unsent: Vec::new(), bytes: 0, result: Ok(()) }
    }

    /// Nothing is kept once a message could not be sent: the backtest ends with the entry, or
    /// before the next market.
    fn add(&mut self, alert: &Alert) {
        if self.result.is_err() || !self.filter.wants(&Facets::from(alert)) {
            return;
        }
        let alert = render::alert(alert, "");
        let bytes = alert.encoded_len();
        if !self.unsent.is_empty() && self.bytes.saturating_add(bytes) > STREAM_BYTES {
            self.result = self.send(true);
        }
        self.bytes = self.bytes.saturating_add(bytes);
        self.unsent.push(alert);
    }

    fn finish_entry(&mut self) -> Result<(), Status> {
        std::mem::replace(&mut self.result, Ok(()))?;
        if self.unsent.is_empty() { Ok(()) } else { self.send(false) }
    }

    fn send(&mut self, more: bool) -> Result<(), Status> {
        self.bytes = 0;
        let alerts = std::mem::take(&mut self.unsent);
        let alerts = pb::Alerts { alerts, more, ..pb::Alerts::default() };
        self.sender.send(pb::BacktestResponse { message: Some(Message::Alerts(alerts)) })
    }
}
