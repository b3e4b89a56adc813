//! Recovery: opens journal and archive, and runs the pipeline until it has applied everything that
//! the journal had at the start.

use super::error::Error;
use crate::archive::Archive;
use crate::config::{Config, Store};
use crate::grpc;
use crate::journal::{self, JetStreamJournal, Journal, SqliteJournal};
use crate::metrics::{JournalMetrics, Metrics};
use crate::pipeline::{self, Divergence, Pipeline, PipelineView, Retention, Stall};
use crate::traces::Traces;
use std::sync::Arc;
use std::thread;
use tokio::runtime::Handle;
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

/// A journal whose entries are applied, or that cannot be applied any further.
pub(super) struct Recovered {
    pub(super) journal: Arc<dyn Journal>,
    pub(super) pipeline: PipelineThread,
    /// Why not all entries are applied, if the server can start nevertheless.
    pub(super) stall: Option<Stall>,
}

/// Opens journal and archive, and applies the journal.
///
/// # Errors
///
/// If the journal or the archive cannot be used, or there is no space to archive alerts.
pub(super) async fn recover(
    config: &Config,
    metrics: &Metrics,
    traces: &Traces,
) -> Result<Recovered, Error> {
    let dir = &config.data_dir;
    let journal = open_journal(config, metrics.journal.clone()).await?;
    let archive = Archive::open(dir, journal.epoch(), *journal.head().borrow())
        .map_err(|source| Error::Archive { dir: dir.clone(), source })?;
    let retention = Retention {
        snapshot_every_entries: config.archive.snapshot_every_entries,
        keep_days: config.archive.keep_days,
        keep_bytes: config.archive.keep_bytes,
        ring_bytes_max: config.fanout.ring_bytes_max,
    };
    let encoding = grpc::encoding(journal.epoch());
    let pipeline = Pipeline::open(Arc::clone(&journal), archive, encoding, retention)?
        .with_metrics(metrics.pipeline.clone())
        .with_traces(traces.clone());
    let mut pipeline = PipelineThread::start(pipeline)?;
    let (head, view) = (*journal.head().borrow(), pipeline.view.clone());
    let applied = tokio::select! {
        biased;
        applied = view.wait_for(head) => applied,
        error = pipeline.failed() => return Err(error),
    };
    check_archive(&view)?;
    let stall = match applied {
        Ok(()) => {
            tracing::info!(entry = head.0, epoch = %journal.epoch(), "recovered");
            None
        }
        Err(stall @ Stall::Full(_)) => return Err(Error::from_stall(stall, dir)),
        Err(stall) => Some(stall),
    };
    match &stall {
        Some(Stall::Damaged(error)) => tracing::error!(
            %error,
            applied = view.applied().0,
            "journal damaged, serving entries before the damage and rejecting updates"
        ),
        Some(Stall::Diverged(divergence)) => log_divergence(divergence),
        Some(Stall::Full(_)) | None => {}
    }
    Ok(Recovered { journal, pipeline, stall })
}

async fn open_journal(
    config: &Config,
    metrics: JournalMetrics,
) -> Result<Arc<dyn Journal>, journal::Error> {
    Ok(match &config.journal {
        Store::Sqlite => Arc::new(SqliteJournal::open_with_metrics(&config.data_dir, metrics)?),
        Store::JetStream(settings) => {
            // Boxed, so that the memory for connecting is freed afterwards.
            let open = JetStreamJournal::open_with_metrics(settings, &config.data_dir, metrics);
            Arc::new(Box::pin(open).await?)
        }
    })
}

/// Checks the whole archive, on a thread of its own: the time depends on its size. Damage stops the
/// pipeline, which then deletes the archive.
fn check_archive(view: &PipelineView) -> Result<(), Error> {
    let archive = view.archive().clone();
    let check = move || match archive.verify() {
        Ok(()) => tracing::debug!("archive checked"),
        Err(error) => tracing::error!(%error, "archive damaged"),
    };
    thread::Builder::new().name("check".into()).spawn(check).map(drop).map_err(Error::Thread)
}

/// The pipeline on its own thread, since it blocks on the disk.
pub(super) struct PipelineThread {
    pub(super) view: PipelineView,
    pub(super) stop: CancellationToken,
    result_rx: oneshot::Receiver<Result<(), Error>>,
}

impl PipelineThread {
    fn start(pipeline: Pipeline) -> Result<Self, Error> {
        let (view, stop) = (pipeline.view(), CancellationToken::new());
        let (result_tx, result_rx) = oneshot::channel();
        let (runtime, until) = (Handle::current(), stop.clone());
        let run = move || {
            let result = runtime.block_on(pipeline.run(until)).map_err(Error::from);
            // Fails if the node was dropped without being closed.
            drop(result_tx.send(result));
        };
        thread::Builder::new().name("pipeline".into()).spawn(run).map_err(Error::Thread)?;
        Ok(Self { view, stop, result_rx })
    }

    /// Waits until the pipeline ends by itself.
    async fn failed(&mut self) -> Error {
        ended_error((&mut self.result_rx).await)
    }

    /// Waits until the pipeline fails and the process must end. After a divergence the process
    /// stays and rejects all calls: an operator must examine it, and a restart would not help.
    pub(super) async fn must_end(&mut self) -> Error {
        match (&mut self.result_rx).await {
            Ok(Err(Error::Pipeline(pipeline::Error::Diverged(divergence)))) => {
                log_divergence(&divergence);
                std::future::pending().await
            }
            ended => ended_error(ended),
        }
    }

    /// Stops the pipeline, which saves a last snapshot.
    ///
    /// # Errors
    ///
    /// If that fails and the failure was not yet reported.
    pub(super) async fn close(mut self) -> Result<(), Error> {
        self.stop.cancel();
        if self.result_rx.is_terminated() {
            return Ok(());
        }
        let is_stopped = self.view.is_stopped();
        match (&mut self.result_rx).await {
            // Reported when it happened.
            Ok(Err(_)) | Err(_) if is_stopped => Ok(()),
            Ok(Ok(())) => Ok(()),
            failed => Err(ended_error(failed)),
        }
    }
}

fn log_divergence(divergence: &Divergence) {
    let entry = divergence.entry.0;
    tracing::error!(error = %divergence, entry, "replicas diverged, rejecting all calls");
}

fn ended_error(ended: Result<Result<(), Error>, oneshot::error::RecvError>) -> Error {
    match ended {
        Ok(Err(error)) => error,
        Ok(Ok(())) | Err(_) => Error::PipelineThread,
    }
}
