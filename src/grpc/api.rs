//! What every service needs: the journal to write to, the view to read from, and how to wait.

use super::limits::Limits;
use super::market_board::Boards;
use super::publish_stream::Credits;
use super::{cursor, status};
use crate::clock::Clock;
use crate::domain::Seq;
use crate::domain::update::{Cursor, Position};
use crate::journal::Journal;
use crate::metrics::Metrics;
use crate::pipeline::View;
use crate::traces::Traces;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Semaphore, watch};
use tokio_util::sync::CancellationToken;
use tonic::Status;

/// The edge's handle to everything behind it. Shared by all services.
pub struct Api {
    /// Where updates go.
    pub journal: Arc<dyn Journal>,
    /// What was made of them.
    pub view: View,
    /// The time, for what is appended and for heartbeats.
    pub clock: Clock,
    /// Cancelled when the server shuts down: streams say goodbye and end.
    pub drain: CancellationToken,
    /// Who may have how much.
    pub limits: Limits,
    /// How much one stream of batches may have unanswered.
    pub credits: Credits,
    /// The markets, for those who watch them.
    pub boards: Boards,
    /// One permit for every call that works on a state of its own; at the bound further ones are refused.
    pub simulations: Arc<Semaphore>,
    /// Why the settings as they are written now did not come into force; empty where they did.
    pub settings_error: watch::Receiver<String>,
    /// What is counted.
    pub metrics: Arc<Metrics>,
    /// Who is told what became of batches.
    pub traces: Traces,
    /// How old a subscription may become, give or take; then it is asked to come again.
    pub stream_age_max: Option<Duration>,
}

impl Api {
    /// Whether calls should be sent here: the journal is in reach, and can be applied.
    pub fn is_ready(&self) -> bool {
        *self.journal.reach().borrow() && !self.view.is_ended()
    }

    /// The cursor after an entry.
    pub(super) fn cursor(&self, entry: Seq) -> String {
        self.cursor_at(Position::at(entry))
    }

    /// The cursor of a position.
    pub(super) fn cursor_at(&self, position: Position) -> String {
        cursor::render(&Cursor { epoch: self.journal.epoch(), position })
    }

    /// Reads a cursor of this journal that is not ahead of it. One that another replica handed out may be ahead of what was
    /// read here: then the store is asked.
    pub(super) async fn position(&self, field: &str, text: &str) -> Result<Position, Status> {
        let position = cursor::parse(text, self.journal.epoch())
            .map_err(|error| status::cursor(field, &error))?;
        let mut head = *self.journal.head().borrow();
        if position.entry > head {
            head = self.journal.latest().await.map_err(|error| status::journal(&error))?;
        }
        if position.entry > head {
            return Err(self.lost(text));
        }
        Ok(position)
    }

    /// The error for a cursor that cannot be resumed from.
    pub(super) fn lost(&self, sent: &str) -> Status {
        let (oldest, head) = (self.view.archive().oldest(), self.view.head());
        status::out_of_range(sent, &self.cursor(oldest), &self.cursor(head))
    }

    /// Waits until an entry is applied here.
    pub(super) async fn reach(&self, entry: Seq) -> Result<(), Status> {
        self.view.wait_for(entry).await.map_err(|trouble| status::trouble(&trouble))
    }

    /// Waits until `min_cursor`, if one is given, is applied here.
    pub(super) async fn settle(&self, min_cursor: &str) -> Result<(), Status> {
        if !min_cursor.is_empty() {
            let position = self.position("min_cursor", min_cursor).await?;
            self.reach(position.entry).await?;
        }
        Ok(())
    }
}
