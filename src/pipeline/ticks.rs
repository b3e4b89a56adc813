//! Time as an input: what is due is told to the journal.

use super::{RETRY, View};
use crate::clock::Clock;
use crate::domain::Seq;
use crate::domain::update::Payload;
use crate::engine::State;
use crate::journal::{self, Journal};
use std::sync::Arc;
use tokio_util::sync::CancellationToken;

/// Appends a tick whenever something is due, so that time alone raises and clears alerts. While the disk is full or the
/// clock shows a time that it jumped to, the tick waits.
///
/// # Errors
///
/// When the journal has failed.
pub async fn keep_time(
    journal: Arc<dyn Journal>,
    view: View,
    clock: Clock,
    stop: CancellationToken,
) -> Result<(), journal::Error> {
    let mut deadlines = view.next_deadline.clone();
    let mut is_told = false;
    loop {
        deadlines.mark_unchanged();
        // From the state, which is told of before the watch is: else what was just done would be due again.
        let due = view.look(State::next_deadline);
        let wait = async {
            match due {
                Some(due) => clock.sleep_until(due).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = stop.cancelled() => return Ok(()),
            // The loop has ended: whoever waits for it says why.
            changed = deadlines.changed() => if changed.is_err() { return stopped(&stop).await },
            () = wait => {
                let due = due.expect("a wait that ends has a deadline");
                let stamp = clock.stamp();
                if let (Err(jumped), false) = (stamp, is_told) {
                    tracing::error!(error = %jumped, "what is due does not happen");
                }
                is_told = stamp.is_err();
                let Ok(now) = stamp else {
                    tokio::time::sleep(RETRY).await;
                    continue;
                };
                let name = format!("tick-{}", due.millis());
                match journal.append_once(&name, now, Payload::Tick { due }).await {
                    Ok(entry) => applied(&view, entry).await,
                    Err(journal::Error::Full { .. } | journal::Error::Unreachable { .. }) => {
                        tokio::time::sleep(RETRY).await;
                    }
                    // Told to everyone who writes; who reads is still served.
                    Err(journal::Error::Gone { .. }) => return stopped(&stop).await,
                    Err(error) => return Err(error),
                }
            }
        }
    }
}

/// Waits until an entry is applied, however long that takes.
async fn applied(view: &View, entry: Seq) {
    while view.wait_for(entry).await.is_err() {
        tokio::time::sleep(RETRY).await;
    }
}

async fn stopped(stop: &CancellationToken) -> Result<(), journal::Error> {
    stop.cancelled().await;
    Ok(())
}
