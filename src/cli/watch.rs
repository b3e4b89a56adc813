//! `watch`: alerts as they come.

use super::arguments::{Filter, Output, Watch};
use super::error::Error;
use super::output;
use crate::client::{Resumed, Servers, Subscription};
use crate::grpc::pb::subscribe_response::Message;
use crate::grpc::pb::{AlertFilter, AlertKind, Exercises, Level, Stage, Start, SubscribeRequest};
use tonic::Status;

/// Prints alerts until interrupted.
pub(super) async fn run(servers: &Servers, output: Output, arguments: &Watch) -> Result<(), Error> {
    let (start, cursor) = start(&arguments.from);
    let request = SubscribeRequest {
        filter: Some(filter(&arguments.filter)?),
        start: start.into(),
        cursor,
        ..SubscribeRequest::default()
    };
    // Says at once when nobody is there; once it runs, it waits for somebody.
    servers.connect().await?;
    let mut subscription = Subscription::new(servers.clone(), request);
    let mut lost = false;
    loop {
        match subscription.next().await.map_err(Error::refused("watching"))? {
            Resumed::Message(message) => {
                if std::mem::take(&mut lost) {
                    note("connected again, going on where it stopped");
                }
                show(output, message.message)?;
            }
            Resumed::Lost(status) => {
                if !std::mem::replace(&mut lost, true) {
                    note(&format!("connection lost ({}), trying again", status.message()));
                }
            }
        }
    }
}

fn show(output: Output, message: Option<Message>) -> Result<(), Error> {
    match message {
        Some(Message::Alerts(alerts)) => {
            for alert in &alerts.alerts {
                match output {
                    Output::Json => output::json(alert)?,
                    Output::Table => output::line(&output::alert(alert))?,
                }
            }
        }
        Some(Message::SnapshotEnd(end)) if output == Output::Table => {
            note(&format!("{} open; waiting for news", end.count));
        }
        Some(Message::GoAway(_)) => note("the server is going away; resuming"),
        Some(_) | None => {}
    }
    Ok(())
}

/// A word to the person, not part of the data.
fn note(text: &str) {
    anstream::eprintln!(
        "{}{text}{:#}",
        anstyle::Style::new().dimmed(),
        anstyle::Style::new().dimmed()
    );
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
        filter.set_minimum_level(choice("--min-level", "LEVEL", level, Level::from_str_name)?);
    }
    for kind in &typed.kind {
        filter.kinds.push(choice("--kind", "ALERT_KIND", kind, AlertKind::from_str_name)?.into());
    }
    if typed.drills {
        filter.set_exercises(Exercises::Include);
    }
    Ok(filter)
}

/// The stages that were typed.
pub(super) fn stages(typed: &[String]) -> Result<Vec<i32>, Error> {
    let stage = |text: &String| Ok(choice("--stage", "STAGE", text, Stage::from_str_name)?.into());
    typed.iter().map(stage).collect()
}

/// One of an enum's names, without its prefix.
pub(super) fn choice<T>(
    flag: &str,
    prefix: &str,
    typed: &str,
    parse: impl FnOnce(&str) -> Option<T>,
) -> Result<T, Error> {
    let name = format!("{prefix}_{}", typed.to_uppercase());
    let unknown =
        || Status::invalid_argument(format!("{typed:?} is none of its values; see --help"));
    parse(&name).ok_or_else(|| Error::refused(flag)(unknown()))
}
