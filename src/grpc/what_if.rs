//! What would be, and what was: calls that work on a state of their own, each with a permit, away from the live path.

use super::api::Api;
use super::market_view::Viewpoint;
use super::{market_service, parse, pb, render, status};
use crate::domain::policy::Destination;
use crate::domain::{Alert, Day, Facets, Filter, Policy, Seq, Timestamp};
use crate::engine::State;
use crate::engine::simulation::{Backtest, Simulation};
use crate::journal;
use std::sync::Arc;
use tokio::runtime::Handle;
use tokio::sync::{OwnedSemaphorePermit, mpsc};
use tonic::Status;

/// The most alerts that a simulation answers with.
const ALERTS_MAX: usize = 1000;
/// Messages of a backtest that wait for their reader; then the backtest waits.
const WAITING_MAX: usize = 16;
/// Entries between two words of progress.
const PROGRESS_ENTRIES: u64 = 10_000;

/// A place of one of the few calls that may work on a state of their own at a time.
pub(super) fn permit(api: &Api) -> Result<OwnedSemaphorePermit, Status> {
    Arc::clone(&api.simulations).try_acquire_owned().map_err(|_| {
        status::exhausted(
            "server.simulations_max",
            "too many simulations, backtests and looks back at once",
        )
    })
}

/// Runs blocking work on a thread of its own, with its place.
async fn apart<T: Send + 'static>(
    permit: OwnedSemaphorePermit,
    work: impl FnOnce() -> T + Send + 'static,
) -> T {
    let work = move || {
        let _permit = permit;
        work()
    };
    tokio::task::spawn_blocking(work).await.expect("work on a copy of the state does not panic")
}

/// Answers a simulation.
pub(super) async fn simulate(
    api: &Api,
    wanted: parse::Simulate,
) -> Result<pb::SimulateResponse, Status> {
    let permit = permit(api)?;
    let view = api.view.clone();
    let (before, simulation, result) = apart(permit, move || {
        // The loop waits for one copy only; the other is made of it.
        let before = view.look(|state| Simulation::from(state).state);
        let mut simulation = Simulation::from(&before);
        let result = simulation.apply(wanted.input);
        (before, simulation, result)
    })
    .await;
    result.map_err(|rejections| status::refused(&rejections))?;
    let told: Vec<&Alert> =
        simulation.alerts.iter().filter(|one| wanted.filter.wants(&Facets::from(*one))).collect();
    let alerts = told.iter().take(ALERTS_MAX).map(|alert| render::alert(alert, ""));
    Ok(pb::SimulateResponse {
        markets: changes(&before, &simulation.state, &wanted.destination)?,
        alerts: alerts.collect(),
        alerts_total: u64::try_from(told.len()).unwrap_or(u64::MAX),
        cursor: api.cursor(before.seq()),
        journal_time: Some(render::timestamp(simulation.state.now())),
    })
}

/// The markets that are not as they were.
fn changes(
    before: &State,
    after: &State,
    destination: &Destination,
) -> Result<Vec<pb::MarketChange>, Status> {
    // A bloc may be new with the policy that is supposed.
    let then = Viewpoint::new(before, destination);
    let now = market_service::viewpoint(after, destination)?;
    let known = market_service::known_markets(before);
    let changes = market_service::known_markets(after).into_iter().filter_map(|key| {
        let before = then.as_ref().filter(|_| known.contains(&key)).map(|view| view.market(key));
        let after = Some(now.market(key));
        (before != after).then_some(pb::MarketChange { before, after })
    });
    Ok(changes.collect())
}

/// The state as it was after a cursor, or at the end of a day.
pub(super) async fn state_as_of(api: &Arc<Api>, as_of: &str) -> Result<State, Status> {
    let (until, day) = match as_of.parse::<Day>() {
        Ok(day) => (api.view.head(), Some(day.end())),
        Err(_) => (api.position("as_of", as_of).await?.entry, None),
    };
    let now = api.view.look(State::now);
    if day.is_some_and(|end| end.day() > now.day()) {
        let today = now.day();
        let why = format!("{as_of} is still to come: the journal is at {today}");
        return Err(parse::Violations::one("as_of", why).into());
    }
    let permit = permit(api)?;
    let (api, runtime) = (Arc::clone(api), Handle::current());
    let read = move || replay(&api, &runtime, until, day.map(|end| end.min(now)));
    apart(permit, read).await.map_err(|error| status::journal(&error))
}

/// Reads the journal again, up to an entry or an instant.
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
            simulation.state.apply(&entry);
        }
    }
    if let Some(end) = end {
        simulation.advance_to(end);
    }
    Ok(simulation.state)
}

/// What a backtest says, as it goes.
pub(super) fn backtest(
    api: &Arc<Api>,
    policy: Arc<Policy>,
    filter: Filter,
) -> Result<mpsc::Receiver<Result<pb::BacktestResponse, Status>>, Status> {
    let permit = permit(api)?;
    let (sender, receiver) = mpsc::channel(WAITING_MAX);
    let (api, runtime) = (Arc::clone(api), Handle::current());
    tokio::task::spawn_blocking(move || {
        let _permit = permit;
        let mut run = Run { test: Backtest::new(policy), filter, sender, total: api.view.head() };
        if let Err(error) = run.read(&api, &runtime) {
            // Nobody may be listening any more.
            let _ = run.sender.blocking_send(Err(status::journal(&error)));
        }
    });
    Ok(receiver)
}

struct Run {
    test: Backtest,
    filter: Filter,
    sender: mpsc::Sender<Result<pb::BacktestResponse, Status>>,
    total: Seq,
}

impl Run {
    /// Reads the whole history; ends early where nobody listens any more.
    fn read(&mut self, api: &Api, runtime: &Handle) -> Result<(), journal::Error> {
        let mut tail = api.journal.tail(Seq::ZERO)?;
        let mut read = Seq::ZERO;
        while read < self.total {
            for entry in runtime.block_on(tail.next())? {
                if entry.seq > self.total {
                    break;
                }
                read = entry.seq;
                let alerts = self.test.take(entry);
                let passes = read.0.is_multiple_of(PROGRESS_ENTRIES)
                    && !self.say(self.progress(read, false));
                if passes || !self.tell(&alerts) || api.drain.is_cancelled() {
                    return Ok(());
                }
            }
        }
        self.say(self.progress(read, true));
        Ok(())
    }

    fn tell(&self, alerts: &[Alert]) -> bool {
        let wanted = alerts.iter().filter(|alert| self.filter.wants(&Facets::from(*alert)));
        let alerts: Vec<pb::Alert> = wanted.map(|alert| render::alert(alert, "")).collect();
        if alerts.is_empty() {
            return !self.sender.is_closed();
        }
        self.say(pb::backtest_response::Message::Alerts(pb::Alerts {
            alerts,
            ..pb::Alerts::default()
        }))
    }

    /// Whether somebody listens.
    fn say(&self, message: pb::backtest_response::Message) -> bool {
        let response = pb::BacktestResponse { message: Some(message) };
        self.sender.blocking_send(Ok(response)).is_ok()
    }

    fn progress(&self, read: Seq, done: bool) -> pb::backtest_response::Message {
        pb::backtest_response::Message::Progress(pb::BacktestProgress {
            entries: read.0,
            entries_total: self.total.0,
            journal_time: Some(render::timestamp(self.test.now())),
            rejected: self.test.refused(),
            done,
        })
    }
}
