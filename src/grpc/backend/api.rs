//! The services' handle to everything behind them, and how to wait for a cursor.

use super::archive_calls::ArchiveCalls;
use super::market_snapshots::MarketSnapshots;
use super::open_alerts::OpenAlerts;
use super::simulations::Simulations;
use crate::archive;
use crate::clock::Clock;
use crate::grpc::admission::{Limits, PublishCredits};
use crate::grpc::codec::tokens;
use crate::grpc::status;
use crate::journal::Journal;
use crate::metrics::Metrics;
use crate::pipeline::PipelineView;
use crate::traces::Traces;
use lodewatch_core::domain::Seq;
use lodewatch_core::domain::update::{Cursor, Position};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tonic::Status;

/// Shared by all services.
pub struct Api {
    pub journal: Arc<dyn Journal>,
    /// The state, the archive and the ring that the pipeline keeps.
    pub view: PipelineView,
    /// The time of entries and heartbeats.
    pub clock: Clock,
    /// Cancelled when the server shuts down: streams send a `GoAway` and end.
    pub drain: CancellationToken,
    pub limits: Arc<Limits>,
    /// What one stream of batches may have unanswered.
    pub credits: PublishCredits,
    pub market_snapshots: MarketSnapshots,
    pub open_alerts: OpenAlerts,
    pub simulations: Simulations,
    pub archive_calls: ArchiveCalls,
    /// Alerts that one page of a list examines.
    pub examined_alerts_max: usize,
    /// Why the settings as they are written now are not in force; empty where they are.
    pub settings_error: watch::Receiver<String>,
    pub metrics: Arc<Metrics>,
    pub traces: Traces,
    /// The age at which a stream is asked to reconnect, give or take a tenth.
    pub stream_age_max: Option<Duration>,
    /// How long a stream of batches may be idle.
    pub publish_idle_timeout: Duration,
}

impl Api {
    /// Whether calls should be sent here: the journal is reachable, and its entries can be applied.
    pub fn is_ready(&self) -> bool {
        *self.journal.reachable().borrow() && !self.view.is_stopped()
    }

    /// The cursor after an entry.
    pub(in crate::grpc) fn cursor(&self, entry: Seq) -> String {
        self.cursor_at(Position::at(entry))
    }

    pub(in crate::grpc) fn cursor_at(&self, position: Position) -> String {
        tokens::render_cursor(&Cursor { epoch: self.journal.epoch(), position })
    }

    /// The position of a cursor of this journal that is not ahead of it. One that another replica
    /// issued may be ahead of what was read here: then the journal's store is asked.
    pub(in crate::grpc) async fn resolve_cursor(
        &self,
        field: &str,
        text: &str,
    ) -> Result<Position, Status> {
        let position = tokens::parse_cursor(text, self.journal.epoch())
            .map_err(|error| status::cursor(field, &error))?;
        // The last entry of which it names alerts.
        let last =
            if position.alerts > 0 { position.entry.0.saturating_add(1) } else { position.entry.0 };
        let mut head = *self.journal.head().borrow();
        if last > head.0 {
            head = self.journal.fetch_head().await.map_err(|error| status::journal(&error))?;
        }
        if last > head.0 {
            return Err(self.cursor_lost(text));
        }
        Ok(position)
    }

    /// The error for a cursor from which no stream can resume.
    pub(in crate::grpc) fn cursor_lost(&self, sent: &str) -> Status {
        let (oldest, head) = (self.view.archive().oldest(), self.view.applied());
        status::out_of_range(sent, &self.cursor(oldest), &self.cursor(head))
    }

    /// Waits until an entry is applied here.
    pub(in crate::grpc) async fn wait_until_applied(&self, entry: Seq) -> Result<(), Status> {
        self.view.wait_for(entry).await.map_err(|stall| status::stalled(&stall))
    }

    /// Waits until `min_cursor` is applied here; not at all where it is empty.
    pub(in crate::grpc) async fn wait_for_min_cursor(
        &self,
        min_cursor: &str,
    ) -> Result<(), Status> {
        if !min_cursor.is_empty() {
            let position = self.resolve_cursor("min_cursor", min_cursor).await?;
            self.wait_until_applied(position.entry).await?;
        }
        Ok(())
    }
}

/// Reads the archive on a thread that may block.
pub(in crate::grpc) async fn read_archive<T: Send + 'static>(
    view: &PipelineView,
    read: impl FnOnce(&archive::ArchiveReader) -> Result<T, archive::Error> + Send + 'static,
) -> Result<T, Status> {
    let archive = view.archive().clone();
    let result = tokio::task::spawn_blocking(move || read(&archive)).await;
    result.expect("reading the archive does not panic").map_err(|error| status::archive(&error))
}
