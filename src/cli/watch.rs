//! `watch`: alerts as they come.

use super::alert_line::{self, Look};
use super::arguments::{Filter, Output, Watch};
use super::error::Error;
use super::output;
use super::signals::Signals;
use crate::clock::Clock;
use crate::domain::Timestamp;
use crate::grpc::pb::subscribe_response::Message;
use crate::grpc::pb::{
    Alert, AlertFilter, AlertKind, Exercises, Level, Stage, Start, SubscribeRequest,
};
use lodewatch_client::{Servers, StreamEvent, Subscription};
use tonic::{Code, Status};

/// Prints alerts until it is told to stop, which is no failure.
pub(super) async fn run(servers: &Servers, output: Output, arguments: &Watch) -> Result<(), Error> {
    let mut signals = Signals::hear()?;
    tokio::select! {
        ended = watch(servers, output, arguments) => ended,
        _ = signals.next() => Ok(()),
    }
}

async fn watch(servers: &Servers, output: Output, arguments: &Watch) -> Result<(), Error> {
    let (start, cursor) = start(&arguments.from);
    let request = SubscribeRequest {
        filter: Some(filter(&arguments.filter)?),
        start: start.into(),
        cursor,
        ..SubscribeRequest::default()
    };
    // Says at once when nobody is there; once it runs, it waits for somebody.
    servers.connect().await?;
    // It is read, and stamps nothing.
    let clock = Clock::system(0);
    output::begin::<Alert>(output)?;
    let mut subscription = Subscription::new(servers.clone(), request);
    let (mut heard, mut lost) = (false, false);
    loop {
        match subscription.next().await.map_err(Error::refused(doing(&arguments.from)))? {
            StreamEvent::Message(message) => {
                heard = true;
                if std::mem::take(&mut lost) {
                    output::note("connected again, going on where it stopped");
                }
                show(output, arguments, clock.now(), message.message)?;
            }
            // Somebody takes connections who never answers a call: not the server that is meant, or not in its way.
            StreamEvent::Disconnected(status)
                if !heard
                    && matches!(
                        status.code(),
                        Code::Cancelled | Code::Unknown | Code::Internal
                    ) =>
            {
                return Err(Error::refused("watching")(status));
            }
            StreamEvent::Disconnected(status) => {
                if !std::mem::replace(&mut lost, true) {
                    output::note(&format!("connection lost ({}), trying again", status.message()));
                }
            }
        }
    }
}

fn show(
    output: Output,
    arguments: &Watch,
    now: Timestamp,
    message: Option<Message>,
) -> Result<(), Error> {
    match message {
        Some(Message::Alerts(alerts)) => {
            let width = output::terminal_columns();
            let is_relative = width.is_some() && !arguments.absolute;
            let look = Look { now: is_relative.then_some(now), width, verbose: arguments.verbose };
            for alert in &alerts.alerts {
                output::row(output, alert, |alert| alert_line::arrived(alert, look))?;
            }
        }
        Some(Message::SnapshotEnd(end)) if output == Output::Table => {
            output::note(&format!("{} open; waiting for news", end.count));
        }
        Some(Message::GoAway(_)) => output::note("the server is going away; resuming"),
        Some(_) | None => {}
    }
    Ok(())
}

/// What is being done, for errors.
fn doing(from: &str) -> String {
    match start(from) {
        (Start::Cursor, cursor) => {
            format!(
                "watching from {cursor:?}, a cursor, since it is none of snapshot, head, oldest"
            )
        }
        _ => "watching".to_owned(),
    }
}

/// Where to start, as it was typed.
pub(super) fn start(typed: &str) -> (Start, String) {
    match typed {
        "snapshot" => (Start::Snapshot, String::new()),
        "head" => (Start::Head, String::new()),
        "oldest" => (Start::Oldest, String::new()),
        cursor => (Start::Cursor, cursor.to_owned()),
    }
}

/// The filter that was typed; the server checks names, so that its words are the same everywhere.
pub(super) fn filter(typed: &Filter) -> Result<AlertFilter, Error> {
    let mut filter = AlertFilter {
        minerals: typed.mineral.clone(),
        countries: typed.country.clone(),
        destinations: typed.destination.clone(),
        rules: typed.rule.clone(),
        ..AlertFilter::default()
    };
    filter.stages = stages(&typed.stage)?;
    if let Some(level) = &typed.min_level {
        filter.set_minimum_level(choice("--min-level", "LEVEL_", level, Level::as_str_name)?);
    }
    for kind in &typed.kind {
        filter.kinds.push(choice("--kind", "ALERT_KIND_", kind, AlertKind::as_str_name)?.into());
    }
    if typed.exercises {
        filter.set_exercises(Exercises::Include);
    }
    Ok(filter)
}

/// The stages that were typed.
pub(super) fn stages(typed: &[String]) -> Result<Vec<i32>, Error> {
    typed.iter().map(|text| Ok(stage("--stage", text)?.into())).collect()
}

/// A stage that was typed.
pub(super) fn stage(place: &str, typed: &str) -> Result<Stage, Error> {
    choice(place, "STAGE_", typed, Stage::as_str_name)
}

/// One of an enum's names, without its prefix.
pub(super) fn choice<T: TryFrom<i32>>(
    place: &str,
    prefix: &str,
    typed: &str,
    name: impl Fn(&T) -> &'static str,
) -> Result<T, Error> {
    let is_it = |one: &T| name(one).trim_start_matches(prefix).eq_ignore_ascii_case(typed);
    // The values of an enum of the protocol follow each other; 0 is not set.
    let all = || (1..).map_while(|number| T::try_from(number).ok());
    all().find(is_it).ok_or_else(|| {
        let allowed = all().map(|one| output::name(name(&one), prefix).replace(' ', "_"));
        let allowed = allowed.collect::<Vec<_>>().join(", ");
        let unknown = Status::invalid_argument(format!("{typed:?} is none of {allowed}"));
        Error::refused(place)(unknown)
    })
}
