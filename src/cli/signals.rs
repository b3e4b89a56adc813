//! SIGINT and SIGTERM: whoever runs as process 1 of a container ends by them only where it hears them itself.

use super::error::Error;
use tokio::signal::unix::{Signal, SignalKind, signal};

/// What a shell adds to the number of the signal that ended a command.
const ENDED_BY_SIGNAL: i32 = 128;

/// Both signals, from when it was made on.
pub(super) struct Signals {
    interrupt: Signal,
    terminate: Signal,
}

impl Signals {
    /// Hears them from now on; what they did before, they no longer do.
    pub(super) fn hear() -> Result<Self, Error> {
        let hear = |kind| {
            let doing = "signals cannot be heard".to_owned();
            signal(kind).map_err(|source| Error::System { doing, source })
        };
        Ok(Self {
            interrupt: hear(SignalKind::interrupt())?,
            terminate: hear(SignalKind::terminate())?,
        })
    }

    /// Waits for the next of either.
    pub(super) async fn next(&mut self) -> SignalKind {
        tokio::select! {
            _ = self.interrupt.recv() => SignalKind::interrupt(),
            _ = self.terminate.recv() => SignalKind::terminate(),
        }
    }

    /// Ends the process at the first of either, with the exit code that a shell gives.
    pub(super) fn end_the_process(mut self) {
        tokio::spawn(async move {
            let kind = self.next().await;
            std::process::exit(ENDED_BY_SIGNAL.saturating_add(kind.as_raw_value()));
        });
    }
}
