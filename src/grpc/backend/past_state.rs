//! The state as it was after a cursor or at the end of a day, replayed from the journal.

use super::api::Api;
use super::call_end::CallEnd;
use super::simulations::run_with_permit;
use crate::grpc::admission::Peer;
use crate::grpc::codec::parse::{Violations, check_length};
use crate::grpc::status;
use lodewatch_core::domain::{Day, Entry, Seq, Timestamp};
use lodewatch_core::engine::State;
use std::sync::Arc;
use tokio::runtime::Handle;
use tonic::{Extensions, Status};

/// Looks at the state as it was after a cursor, or at the end of a day.
pub(in crate::grpc) async fn read_past_state<T: Send + 'static>(
    api: &Arc<Api>,
    as_of: &str,
    request: &Extensions,
    look: impl FnOnce(&State) -> T + Send + 'static,
) -> Result<T, Status> {
    check_length("as_of", as_of)?;
    let (until, day) = match as_of.parse::<Day>() {
        Ok(day) => (api.view.applied(), Some(day.end())),
        Err(_) => (api.resolve_cursor("as_of", as_of).await?.entry, None),
    };
    let now = api.view.read_state(State::now);
    if day.is_some_and(|end| end.day() > now.day()) {
        let today = now.day();
        let why = format!("{as_of} is in the future; the journal is at {today}");
        return Err(Violations::one("as_of", why).into());
    }
    let permit = api.simulations.permits.acquire(Peer::of(request))?;
    let (replay, runtime) = (Arc::clone(api), Handle::current());
    let end = day.map(|end| end.min(now));
    run_with_permit(permit, CallEnd::of(api, request), move |call| {
        replay_until(&replay, &runtime, until, end, call).map(|state| look(&state))
    })
    .await
}

/// Replays the journal up to an entry or an instant; to the earlier of both.
fn replay_until(
    api: &Api,
    runtime: &Handle,
    until: Seq,
    end: Option<Timestamp>,
    call: &CallEnd,
) -> Result<State, Status> {
    let budget = api.simulations.past_budget();
    let mut state = State::metered(budget.meter(call));
    let replayed = replay_entries(api, runtime, (until, end), call, |entry| {
        state.apply_with(entry, &mut |_| {});
        state.check_work().map_err(|error| budget.status(&error, call))
    });
    let replayed = replayed.and_then(|()| match end {
        Some(end) => state.advance_to(end).map_err(|error| budget.status(&error, call)),
        None => Ok(()),
    });
    api.metrics.work.count_evaluations(state.work().spent());
    replayed.map(|()| state)
}

/// Passes the entries of the journal up to an entry and an instant to a function, in order, while
/// the call lasts.
pub(in crate::grpc) fn replay_entries(
    api: &Api,
    runtime: &Handle,
    (until, end): (Seq, Option<Timestamp>),
    call: &CallEnd,
    mut apply: impl FnMut(&Entry) -> Result<(), Status>,
) -> Result<(), Status> {
    let failed = |error| status::journal(&error);
    let (mut tail, mut read) = (api.journal.tail(Seq::ZERO).map_err(failed)?, Seq::ZERO);
    while read < until {
        let entries = runtime.block_on(async {
            tokio::select! {
                biased;
                () = call.reached() => Err(call.status()),
                entries = tail.next() => entries.map_err(failed),
            }
        })?;
        for entry in &entries {
            if entry.seq > until || end.is_some_and(|end| entry.at > end) {
                return Ok(());
            }
            if call.is_over() {
                return Err(call.status());
            }
            apply(entry)?;
            read = entry.seq;
        }
    }
    Ok(())
}
