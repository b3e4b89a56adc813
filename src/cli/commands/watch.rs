//! `watch`: print alerts as they are emitted.

use crate::cli::error::Error;
use crate::cli::filter::{FilterArgs, parse_start};
use crate::cli::output::alert_line::{self, AlertLayout};
use crate::cli::output::columns;
use crate::cli::output::print::{self, OutputFormat};
use crate::cli::signals::Signals;
use crate::clock::Clock;
use clap::Args;
use lodewatch_client::{Servers, StreamEvent, Subscription};
use lodewatch_core::domain::Timestamp;
use lodewatch_proto::v1::subscribe_response::Message;
use lodewatch_proto::v1::{Alert, GoAwayReason, Start, SubscribeRequest};
use tonic::Code;

#[derive(Debug, Args)]
#[command(after_long_help = columns::help::<Alert>())]
pub(crate) struct WatchArgs {
    #[command(flatten)]
    filter: FilterArgs,
    /// Where to start: `snapshot` (active alerts, then new ones), `head` (new alerts only),
    /// `oldest` (all alerts), or a cursor.
    #[arg(long, default_value = "snapshot", value_name = "START")]
    from: String,
    /// Explain each alert below its line: previous value, threshold, cause, threats, report.
    #[arg(long, short)]
    verbose: bool,
    /// Print timestamps instead of ages such as `3 min ago`; always if stdout is not a terminal.
    #[arg(long)]
    absolute: bool,
}

/// Runs until a signal, which is not a failure.
pub(crate) async fn run(
    servers: &Servers,
    format: OutputFormat,
    args: &WatchArgs,
) -> Result<(), Error> {
    let mut signals = Signals::install()?;
    tokio::select! {
        ended = watch(servers, format, args) => ended,
        _ = signals.next() => Ok(()),
    }
}

async fn watch(servers: &Servers, format: OutputFormat, args: &WatchArgs) -> Result<(), Error> {
    let (start, cursor) = parse_start(&args.from);
    let request = SubscribeRequest {
        filter: Some(args.filter.to_message()?),
        start: start.into(),
        cursor,
        ..SubscribeRequest::default()
    };
    // An unreachable server is an error now; the subscription would retry for ever.
    servers.connect().await?;
    // Only read, never used to stamp an entry.
    let clock = Clock::system(0);
    print::list_heading::<Alert>(format)?;
    let mut subscription = Subscription::new(servers.clone(), request);
    let (mut has_received, mut is_lost) = (false, false);
    loop {
        match subscription.next().await.map_err(Error::call(operation(&args.from)))? {
            StreamEvent::Message(message) => {
                has_received = true;
                if std::mem::take(&mut is_lost) {
                    print::note("reconnected; resuming where the stream stopped");
                }
                print_message(format, args, clock.now(), message.message)?;
            }
            // Connections are accepted but no call is answered: not a Lodewatch server, or TLS is
            // expected.
            StreamEvent::Disconnected(status)
                if !has_received
                    && matches!(
                        status.code(),
                        Code::Cancelled | Code::Unknown | Code::Internal
                    ) =>
            {
                return Err(Error::call("watch alerts")(status));
            }
            StreamEvent::Disconnected(status) => {
                if !std::mem::replace(&mut is_lost, true) {
                    print::note(&format!("connection lost: {}; reconnecting", status.message()));
                }
            }
        }
    }
}

fn print_message(
    format: OutputFormat,
    args: &WatchArgs,
    now: Timestamp,
    message: Option<Message>,
) -> Result<(), Error> {
    match message {
        Some(Message::Alerts(alerts)) => {
            let columns = print::terminal_columns();
            let is_relative = columns.is_some() && !args.absolute;
            let layout =
                AlertLayout { now: is_relative.then_some(now), columns, verbose: args.verbose };
            for alert in &alerts.alerts {
                print::list_row(format, alert, |alert| alert_line::render(alert, layout))?;
            }
        }
        Some(Message::SnapshotEnd(end)) if format == OutputFormat::Table => {
            print::note(&format!("{} active alerts; waiting for new alerts", end.count));
        }
        Some(Message::GoAway(away)) => print::note(go_away(away.reason())),
        Some(_) | None => {}
    }
    Ok(())
}

/// Why the server ended the stream. The subscription reconnects after each.
fn go_away(reason: GoAwayReason) -> &'static str {
    match reason {
        GoAwayReason::Drain => "the server is shutting down; reconnecting",
        GoAwayReason::MaxAge => "the stream reached its maximum age; reconnecting",
        GoAwayReason::Credentials => "the credentials were revoked or changed; reconnecting",
        GoAwayReason::Unspecified => "the server ended the stream; reconnecting",
    }
}

/// For errors. A mistyped start position is used as a cursor.
fn operation(from: &str) -> String {
    match parse_start(from) {
        (Start::Cursor, cursor) => format!(
            "watch alerts from {cursor:?} (used as a cursor: it is not one of snapshot, head, \
             oldest)"
        ),
        _ => "watch alerts".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reason_why_a_stream_ends_is_named() {
        for (reason, named) in [
            (GoAwayReason::Drain, "shutting down"),
            (GoAwayReason::MaxAge, "maximum age"),
            (GoAwayReason::Credentials, "credentials"),
        ] {
            assert!(go_away(reason).contains(named), "{reason:?}: {}", go_away(reason));
        }
    }
}
