//! The mechanism: reload at an interval and on a signal, keep the previous value on an error.

use std::future::pending;
use std::time::Duration;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

/// Triggers an immediate reload, as SIGHUP does. Clones trigger the same reloads.
#[derive(Debug, Clone, Default)]
pub struct ReloadSignal(watch::Sender<()>);

impl ReloadSignal {
    /// Reloads everything that is reloaded on this signal.
    pub fn send(&self) {
        self.0.send_replace(());
    }
}

/// A value that is read again while the server runs.
pub(crate) trait Reloadable {
    /// An error after which the server cannot continue.
    type Fatal;

    /// What is reloaded, for the log.
    fn name(&self) -> &'static str;

    /// How often it is read again; zero: only on a signal.
    fn interval(&self) -> Duration;

    /// Reads it again.
    fn reload(&mut self) -> impl Future<Output = Result<Reloaded, Self::Fatal>> + Send;
}

/// What [`Reloadable::reload`] did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Reloaded {
    /// Nothing: what was read last time, used or rejected, is still current; or the value cannot be
    /// used for now, and the next reload tries again.
    Unchanged,
    /// The value as it is now is in use.
    InUse,
    /// The value as it is now was rejected, and the previous one stays in use. Has the cause.
    Rejected(String),
}

/// Reloads a value now, at its interval and on every signal, until `stop` is cancelled. A rejected
/// value is logged once and its error sent to `error_tx`, which is empty while the value is in use.
///
/// # Errors
///
/// If the server cannot continue.
pub(crate) async fn keep_reloaded<R: Reloadable>(
    mut reloadable: R,
    signal: ReloadSignal,
    error_tx: watch::Sender<String>,
    stop: CancellationToken,
) -> Result<(), R::Fatal> {
    let mut signal_rx = signal.0.subscribe();
    loop {
        let reloaded = reloadable.reload().await?;
        if let Some(error) = send_error(reloaded, &error_tx) {
            let what = reloadable.name();
            tracing::error!(what, error, "cannot reload, keeping the previous value");
        }
        tokio::select! {
            () = stop.cancelled() => return Ok(()),
            changed = signal_rx.changed() => changed.expect("this task holds the sender"),
            () = wait(reloadable.interval()) => {}
        }
    }
}

/// Updates the error; returns it if it is new.
fn send_error(reloaded: Reloaded, error_tx: &watch::Sender<String>) -> Option<String> {
    let error = match reloaded {
        Reloaded::Unchanged => return None,
        Reloaded::InUse => String::new(),
        Reloaded::Rejected(error) => error,
    };
    if *error_tx.borrow() == error {
        return None;
    }
    error_tx.send_replace(error.clone());
    (!error.is_empty()).then_some(error)
}

/// Waits for an interval; without end if it is zero.
async fn wait(interval: Duration) {
    if interval.is_zero() { pending().await } else { tokio::time::sleep(interval).await }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::convert::Infallible;

    #[test]
    fn a_rejected_value_is_reported_once_and_has_an_error_until_a_value_is_in_use() {
        let rejected = |error: &str| Reloaded::Rejected(error.to_owned());
        let error_tx = watch::Sender::new(String::new());
        for (reloaded, reported, error) in [
            (Reloaded::InUse, None, ""),
            (rejected("no such file"), Some("no such file"), "no such file"),
            (rejected("no such file"), None, "no such file"),
            (Reloaded::Unchanged, None, "no such file"),
            (rejected("line 1"), Some("line 1"), "line 1"),
            (Reloaded::InUse, None, ""),
            (Reloaded::Unchanged, None, ""),
            (rejected("line 1"), Some("line 1"), "line 1"),
        ] {
            let sent = send_error(reloaded.clone(), &error_tx);
            assert_eq!((sent.as_deref(), &**error_tx.borrow()), (reported, error), "{reloaded:?}");
        }
    }

    struct Counter {
        reloads_tx: watch::Sender<u32>,
        interval: Duration,
    }

    impl Reloadable for Counter {
        type Fatal = Infallible;

        fn name(&self) -> &'static str {
            "counter"
        }

        fn interval(&self) -> Duration {
            self.interval
        }

        async fn reload(&mut self) -> Result<Reloaded, Infallible> {
            self.reloads_tx.send_modify(|reloads| *reloads += 1);
            Ok(Reloaded::InUse)
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_value_is_reloaded_at_once_at_its_interval_and_on_a_signal() {
        for (interval, is_signalled) in [(Duration::from_secs(10), false), (Duration::ZERO, true)] {
            let reloads_tx = watch::Sender::new(0);
            let mut reloads_rx = reloads_tx.subscribe();
            let (signal, stop) = (ReloadSignal::default(), CancellationToken::new());
            let error_tx = watch::Sender::new(String::new());
            let counter = Counter { reloads_tx, interval };
            let task = tokio::spawn(keep_reloaded(counter, signal.clone(), error_tx, stop.clone()));
            for reloads in 1..=3 {
                if is_signalled && reloads > 1 {
                    signal.send();
                }
                reloads_rx.wait_for(|done| *done == reloads).await.unwrap();
            }
            stop.cancel();
            task.await.unwrap().unwrap();
        }
    }
}
