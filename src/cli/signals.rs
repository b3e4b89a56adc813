//! SIGINT and SIGTERM. A process 1, as in a container, ends by them only if it handles them.

use super::error::Error;
use tokio::signal::unix::{Signal, SignalKind, signal};

/// A shell reports a command that a signal ended as this number plus the signal's.
const EXIT_BY_SIGNAL: i32 = 128;

pub(super) struct Signals {
    interrupt: Signal,
    terminate: Signal,
}

impl Signals {
    /// Handles both signals from now on; their default action no longer applies.
    pub(super) fn install() -> Result<Self, Error> {
        let install = |kind| signal(kind).map_err(Error::system("cannot install signal handlers"));
        Ok(Self {
            interrupt: install(SignalKind::interrupt())?,
            terminate: install(SignalKind::terminate())?,
        })
    }

    pub(super) async fn next(&mut self) -> SignalKind {
        tokio::select! {
            _ = self.interrupt.recv() => SignalKind::interrupt(),
            _ = self.terminate.recv() => SignalKind::terminate(),
        }
    }

    /// Ends the process at the next signal, with the exit code that a shell would report.
    pub(super) fn exit_on_next(mut self) {
        tokio::spawn(async move {
            let kind = self.next().await;
            std::process::exit(EXIT_BY_SIGNAL.saturating_add(kind.as_raw_value()));
        });
    }
}
