//! `Backtest`: the alerts that another policy would have sent, over the whole journal.

use crate::grpc::backend::{Api, acquire_simulation};
use crate::grpc::codec::pages::Page;
use crate::grpc::codec::render;
use crate::grpc::{pb, status};
use crate::journal;
use lodewatch_core::domain::{Alert, Facets, Filter, Policy, Seq};
use lodewatch_core::engine::simulation::Backtest;
use pb::backtest_response::Message;
use std::sync::Arc;
use tokio::runtime::Handle;
use tokio::sync::mpsc;
use tonic::Status;

/// Messages that wait for their reader; then the backtest waits.
const MESSAGES_AHEAD: usize = 16;
/// Entries between two messages of progress.
const PROGRESS_ENTRIES: u64 = 10_000;

/// Starts a backtest on a thread of its own; the receiver gets its alerts and its progress.
pub(in crate::grpc) fn start_backtest(
    api: &Arc<Api>,
    policy: Arc<Policy>,
    filter: Filter,
) -> Result<mpsc::Receiver<Result<pb::BacktestResponse, Status>>, Status> {
    let permit = acquire_simulation(api)?;
    let (message_tx, message_rx) = mpsc::channel(MESSAGES_AHEAD);
    let (api, runtime) = (Arc::clone(api), Handle::current());
    tokio::task::spawn_blocking(move || {
        let _permit = permit;
        let total = api.view.applied();
        let mut run = BacktestRun { test: Backtest::new(policy), filter, message_tx, total };
        if let Err(error) = run.replay(&api, &runtime) {
            // The caller may be gone.
            let _ = run.message_tx.blocking_send(Err(status::journal(&error)));
        }
    });
    Ok(message_rx)
}

struct BacktestRun {
    test: Backtest,
    filter: Filter,
    message_tx: mpsc::Sender<Result<pb::BacktestResponse, Status>>,
    total: Seq,
}

impl BacktestRun {
    /// Replays the whole journal; ends early where the caller is gone.
    fn replay(&mut self, api: &Api, runtime: &Handle) -> Result<(), journal::Error> {
        let mut tail = api.journal.tail(Seq::ZERO)?;
        let mut read = Seq::ZERO;
        while read < self.total {
            for entry in runtime.block_on(tail.next())? {
                if entry.seq > self.total {
                    break;
                }
                read = entry.seq;
                let alerts = self.test.replay(entry);
                let is_gone = read.0.is_multiple_of(PROGRESS_ENTRIES)
                    && !self.send(self.progress(read, false));
                if is_gone || !self.send_alerts(&alerts) || api.drain.is_cancelled() {
                    return Ok(());
                }
            }
        }
        self.send(self.progress(read, true));
        Ok(())
    }

    /// Whether the caller still reads.
    fn send_alerts(&self, alerts: &[Alert]) -> bool {
        let wanted = alerts.iter().filter(|alert| self.filter.wants(&Facets::from(*alert)));
        let mut wanted = wanted.map(|alert| render::alert(alert, "")).peekable();
        while wanted.peek().is_some() {
            let alerts = Page::of_stream(usize::MAX).fill(&mut wanted, prost::Message::encoded_len);
            let more = wanted.peek().is_some();
            if !self.send(Message::Alerts(pb::Alerts { alerts, more, snapshot: false })) {
                return false;
            }
        }
        !self.message_tx.is_closed()
    }

    /// Whether the caller still reads.
    fn send(&self, message: Message) -> bool {
        let response = pb::BacktestResponse { message: Some(message) };
        self.message_tx.blocking_send(Ok(response)).is_ok()
    }

    fn progress(&self, read: Seq, done: bool) -> Message {
        Message::Progress(pb::BacktestProgress {
            entries: read.0,
            entries_total: self.total.0,
            journal_time: Some(render::timestamp(self.test.now())),
            rejected: self.test.rejected_batches(),
            done,
        })
    }
}
