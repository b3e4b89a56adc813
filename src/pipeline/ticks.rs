//! Time as an input: a tick is appended to the journal when a deadline has passed.

use super::view::{PipelineView, RETRY_INTERVAL};
use crate::clock::Clock;
use crate::journal::{self, Journal};
use lodewatch_core::domain::Seq;
use lodewatch_core::domain::update::Payload;
use lodewatch_core::engine::State;
use std::sync::Arc;
use tokio_util::sync::CancellationToken;

/// Appends a tick whenever something is due, so that alerts also change by time alone. The tick
/// waits while the disk is full, the journal is unreachable, or the clock shows a time it jumped
/// to.
///
/// # Errors
///
/// If the journal has failed.
pub async fn append_due_ticks(
    journal: Arc<dyn Journal>,
    view: PipelineView,
    clock: Clock,
    stop: CancellationToken,
) -> Result<(), journal::Error> {
    let mut deadlines = view.next_deadline_rx.clone();
    let mut is_jump_logged = false;
    loop {
        deadlines.mark_unchanged();
        // From the state, which changes before the watch does: otherwise a tick that was just
        // applied would be due again.
        let due = view.read_state(State::next_deadline);
        let wait = async {
            match due {
                Some(due) => clock.sleep_until(due).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = stop.cancelled() => return Ok(()),
            // The pipeline has stopped; the task that runs it reports why.
            changed = deadlines.changed() => if changed.is_err() { return wait_for_stop(&stop).await },
            () = wait => {
                let due = due.expect("a wait that ends has a deadline");
                let stamp = clock.stamp();
                if let (Err(jump), false) = (stamp, is_jump_logged) {
                    tracing::error!(error = %jump, "cannot append a tick, deadlines wait");
                }
                is_jump_logged = stamp.is_err();
                let Ok(now) = stamp else {
                    tokio::time::sleep(RETRY_INTERVAL).await;
                    continue;
                };
                let name = format!("tick-{}", due.millis());
                match journal.append_once(&name, now, Payload::Tick { due }).await {
                    Ok(entry) => wait_until_applied(&view, entry).await,
                    Err(journal::Error::Full { .. } | journal::Error::Unreachable { .. }) => {
                        tokio::time::sleep(RETRY_INTERVAL).await;
                    }
                    // Publishers get this error; subscribers are still served.
                    Err(journal::Error::Gone { .. }) => return wait_for_stop(&stop).await,
                    Err(error) => return Err(error),
                }
            }
        }
    }
}

/// Waits until an entry is applied, without a time limit.
async fn wait_until_applied(view: &PipelineView, entry: Seq) {
    while view.wait_for(entry).await.is_err() {
        tokio::time::sleep(RETRY_INTERVAL).await;
    }
}

async fn wait_for_stop(stop: &CancellationToken) -> Result<(), journal::Error> {
    stop.cancelled().await;
    Ok(())
}
