//! `Backtest`: the alerts that another policy would have sent, over the whole journal.

use super::work_stream::{WorkSender, WorkStream, start_work};
use crate::grpc::backend::{Api, replay_entries};
use crate::grpc::codec::render;
use crate::grpc::pb;
use lodewatch_core::domain::{Alert, Entry, Facets, Filter, Policy, Seq};
use lodewatch_core::engine::simulation::Backtest;
use pb::backtest_response::Message;
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
        let test = Backtest::new(policy, budget.meter(sender.call()));
        let mut run = BacktestRun { test, filter, sender, total: api.view.applied() };
        let until = (run.total, None);
        let result = replay_entries(api, sender.runtime(), until, sender.call(), |entry| {
            let alerts = run.test.replay(entry);
            run.send(entry, &alerts.map_err(|error| budget.status(&error, sender.call()))?)
        });
        api.metrics.work.count_evaluations(run.test.work().spent());
        result.and_then(|()| sender.send(run.progress(run.total, true)))
    })
}

struct BacktestRun<'a> {
    test: Backtest,
    filter: Filter,
    sender: &'a WorkSender<pb::BacktestResponse>,
    total: Seq,
}

impl BacktestRun<'_> {
    /// Sends what the filter wants of an entry's alerts, and the progress where it is due.
    fn send(&self, entry: &Entry, alerts: &[Alert]) -> Result<(), Status> {
        if entry.seq.0.is_multiple_of(PROGRESS_ENTRIES) {
            self.sender.send(self.progress(entry.seq, false))?;
        }
        let wanted = alerts.iter().filter(|alert| self.filter.wants(&Facets::from(*alert)));
        let alerts: Vec<pb::Alert> = wanted.map(|alert| render::alert(alert, "")).collect();
        if alerts.is_empty() {
            return Ok(());
        }
        let alerts = pb::Alerts { alerts, ..pb::Alerts::default() };
        self.sender.send(pb::BacktestResponse { message: Some(Message::Alerts(alerts)) })
    }

    fn progress(&self, read: Seq, done: bool) -> pb::BacktestResponse {
        let progress = pb::BacktestProgress {
            entries: read.0,
            entries_total: self.total.0,
            journal_time: Some(render::timestamp(self.test.now())),
            rejected: self.test.rejected_batches(),
            done,
        };
        pb::BacktestResponse { message: Some(Message::Progress(progress)) }
    }
}
