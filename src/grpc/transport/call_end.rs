//! When a call is over at the latest, whether its caller takes what it is sent or not.
//!
//! A stream ends itself: at its deadline, at its maximum age, when its credentials are revoked. But
//! HTTP/2 polls a stream only after its caller took what was sent before. One that takes nothing
//! would keep its permit and its memory for as long as its connection lasts. So each call has an
//! end that does not depend on its caller:
//!
//! ```text
//! GatedServices: sets the end ─► CallEnd ◄─ polls the end: the task of the call
//!                                               │ overdue: the call is dropped
//!                                               └─ HTTP/2: RST_STREAM; HTTP/1.1: connection closed
//! ```

use super::deadline::Deadline;
use crate::access::Revocation;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::time::{Instant, sleep, sleep_until};

tokio::task_local! {
    static CURRENT: CallEnd;
}

/// The end of a call, shared by the call and the task that runs it.
#[derive(Clone, Default)]
pub(super) struct CallEnd(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    /// Completes when the call must be dropped; `None` while nothing ends it.
    overdue: Option<Pin<Box<dyn Future<Output = ()> + Send>>>,
    /// Since when the caller has something to take; `None` while the call itself has nothing.
    untaken_since: Option<Instant>,
}

/// What ends a stream.
pub(super) struct StreamEnd {
    pub(super) deadline: Deadline,
    /// `None` for a stream that ends by itself.
    pub(super) age_max: Option<Duration>,
    pub(super) revocation: Revocation,
}

/// Runs a call, or a connection of HTTP/1.1 with its calls, and drops it when its end is overdue:
/// then `None`.
pub async fn run_call<F: Future>(call: F) -> Option<F::Output> {
    let end = CallEnd::default();
    // Boxed, so that its memory is not reserved twice.
    let mut call = Box::pin(CURRENT.scope(end.clone(), Box::pin(call)));
    std::future::poll_fn(move |context| match call.as_mut().poll(context) {
        Poll::Ready(output) => Poll::Ready(Some(output)),
        Poll::Pending => end.poll_overdue(context).map(|()| None),
    })
    .await
}

impl CallEnd {
    /// That of the call which is running.
    pub(super) fn current() -> Self {
        CURRENT.try_with(Self::clone).unwrap_or_default()
    }

    /// From here on the call is dropped when `overdue` completes.
    pub(super) fn set(&self, overdue: impl Future<Output = ()> + Send + 'static) {
        self.lock().overdue = Some(Box::pin(overdue));
    }

    /// The call has ended; the next one on a connection of HTTP/1.1 sets its own.
    pub(super) fn clear(&self) {
        *self.lock() = State::default();
    }

    /// Whether the caller has something to take now. It has until it is asked for more.
    pub(super) fn set_untaken(&self, is_untaken: bool) {
        self.lock().untaken_since = is_untaken.then(Instant::now);
    }

    /// Waits until the caller has taken nothing for this long although it could.
    pub(super) async fn stalled(self, timeout: Duration) {
        loop {
            let now = Instant::now();
            let since = self.lock().untaken_since.unwrap_or(now);
            let due = since + timeout;
            if due <= now {
                return;
            }
            sleep_until(due).await;
        }
    }

    fn poll_overdue(&self, context: &mut Context<'_>) -> Poll<()> {
        // Taken out meanwhile: it reads this state.
        let Some(mut overdue) = self.lock().overdue.take() else { return Poll::Pending };
        let polled = overdue.as_mut().poll(context);
        self.lock().overdue = Some(overdue);
        polled
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl StreamEnd {
    /// Waits until the stream must have ended by itself, and then for its caller to receive that.
    pub(super) async fn overdue(self, timeout: Duration) {
        let age = self.age_max.and_then(|max| Instant::now().checked_add(max));
        let at = self.deadline.at().into_iter().chain(age).min();
        tokio::select! {
            () = Deadline::new(at).passed() => {}
            () = self.revocation.revoked() => {}
        }
        sleep(timeout).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::pending;

    #[tokio::test(start_paused = true)]
    async fn a_call_is_dropped_once_its_end_is_overdue_and_not_before() {
        let begun = Instant::now();
        let ended = run_call(async {
            CallEnd::current().set(sleep(Duration::from_secs(7)));
            pending::<()>().await;
        });
        assert_eq!(ended.await, None);
        assert_eq!(begun.elapsed(), Duration::from_secs(7));
        let ended = run_call(async {
            CallEnd::current().set(pending());
            sleep(Duration::from_mins(1)).await;
        });
        assert_eq!(ended.await, Some(()));
    }

    #[tokio::test(start_paused = true)]
    async fn a_caller_stalls_only_while_it_has_something_to_take() {
        const TIMEOUT: Duration = Duration::from_secs(10);
        let begun = Instant::now();
        let ended = run_call(async {
            let end = CallEnd::current();
            end.set(end.clone().stalled(TIMEOUT));
            // The service takes its time.
            sleep(TIMEOUT * 6).await;
            for _ in 0..3 {
                end.set_untaken(true);
                sleep(TIMEOUT / 2).await;
            }
            end.set_untaken(true);
            pending::<()>().await;
        });
        assert_eq!(ended.await, None);
        let elapsed = begun.elapsed();
        assert!(elapsed >= TIMEOUT * 17 / 2 && elapsed < TIMEOUT * 9, "{elapsed:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_stream_is_overdue_after_its_deadline_its_age_or_its_credentials() {
        const SECOND: Duration = Duration::from_secs(1);
        let revoked = Revocation::default();
        revoked.revoke();
        let none = || Deadline::new(None);
        let soon = Deadline::new(Some(Instant::now() + SECOND * 2));
        for (deadline, age, revocation, expected) in [
            (soon, Some(SECOND * 5), Revocation::default(), 3),
            (none(), Some(SECOND * 5), Revocation::default(), 6),
            (none(), None, revoked, 1),
        ] {
            let begun = Instant::now();
            StreamEnd { deadline, age_max: age, revocation }.overdue(SECOND).await;
            // The first deadline was set before.
            assert!(begun.elapsed() <= SECOND * expected, "{:?}", begun.elapsed());
            assert!(begun.elapsed() > SECOND * (expected - 1), "{:?}", begun.elapsed());
        }
    }
}
