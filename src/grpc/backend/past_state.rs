//! The state as it was after a cursor or at the end of a day, replayed from the journal; and the
//! permits of calls that hold a state of their own, away from the live path.

use super::api::Api;
use crate::grpc::codec::parse::Violations;
use crate::grpc::status;
use crate::journal;
use lodewatch_core::domain::{Day, Seq, Timestamp};
use lodewatch_core::engine::State;
use lodewatch_core::engine::simulation::Simulation;
use std::sync::Arc;
use tokio::runtime::Handle;
use tokio::sync::OwnedSemaphorePermit;
use tonic::Status;

/// A permit for one of the few calls that may hold a state of their own at a time.
pub(in crate::grpc) fn acquire_simulation(api: &Api) -> Result<OwnedSemaphorePermit, Status> {
    Arc::clone(&api.simulations).try_acquire_owned().map_err(|_| {
        status::exhausted(
            "server.simulations_max",
            "too many simulations, backtests, past states and archive copies at once",
        )
    })
}

/// Runs blocking work on a thread of its own, which holds the permit.
pub(in crate::grpc) async fn run_with_permit<T: Send + 'static>(
    permit: OwnedSemaphorePermit,
    work: impl FnOnce() -> T + Send + 'static,
) -> T {
    let work = move || {
        let _permit = permit;
        work()
    };
    tokio::task::spawn_blocking(work).await.expect("work on a copy of the state does not panic")
}

/// The state as it was after a cursor, or at the end of a day.
pub(in crate::grpc) async fn state_as_of(api: &Arc<Api>, as_of: &str) -> Result<State, Status> {
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
    let permit = acquire_simulation(api)?;
    let (api, runtime) = (Arc::clone(api), Handle::current());
    let read = move || replay(&api, &runtime, until, day.map(|end| end.min(now)));
    run_with_permit(permit, read).await.map_err(|error| status::journal(&error))
}

/// Replays the journal up to an entry or an instant; to the earlier of both.
fn replay(
    api: &Api,
    runtime: &Handle,
    until: Seq,
    end: Option<Timestamp>,
) -> Result<State, journal::Error> {
    let mut simulation = Simulation { state: State::default(), alerts: Vec::new() };
    let mut tail = api.journal.tail(Seq::ZERO)?;
    'read: while simulation.state.seq() < until {
        for entry in runtime.block_on(tail.next())? {
            if entry.seq > until || end.is_some_and(|end| entry.at > end) {
                break 'read;
            }
            simulation.state.apply_with(&entry, &mut |_| {});
        }
    }
    if let Some(end) = end {
        simulation.advance_to(end);
    }
    Ok(simulation.state)
}
