//! `demo`: four years of export controls in seconds, on a real server with a manual clock.

use crate::cli::calls;
use crate::cli::error::Error;
use crate::cli::output::print::{self, OutputFormat};
use crate::cli::output::{alert_line, columns, market_tables};
use crate::clock::{Clock, ManualClock};
use crate::config::{Config, Console};
use crate::grpc::json;
use crate::pipeline::PipelineView;
use crate::server::{self, Node};
use clap::Args;
use lodewatch_client::{Connection, Publisher, Servers, StreamEvent, Subscription};
use lodewatch_core::domain::{Day, Timestamp};
use lodewatch_core::engine::State;
use lodewatch_importers::bundled;
use lodewatch_proto::v1::subscribe_response::Message;
use lodewatch_proto::v1::update::Update as Kind;
use lodewatch_proto::v1::{
    Alert, AlertFilter, CauseKind, Level, ListMarketsRequest, PublishRequest, Start,
    SubscribeRequest, Update,
};
use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

const FIRST_DAY: (i16, i8, i8) = (2023, 1, 1);
const LAST_DAY: (i16, i8, i8) = (2027, 1, 31);
/// Destinations whose alerts are shown to people.
const SHOWN_DESTINATIONS: [&str; 2] = ["USA", "JPN"];
/// Destination of the closing table.
const TABLE_DESTINATION: &str = "USA";

const INTRODUCTION: &str = "\
A real server, publisher and subscriber, with a clock that runs from 2023-01-01 to 2027-01-31.
Shares stay at the latest bundled figures, so every change below comes from an export control.
Each control is published on the day it was announced, with all its dates as known today.
Shown: alerts for buyers in the United States and Japan. Four more destinations are evaluated.
";

const CLOSING: &str = "
To run Lodewatch with your own data:
  lodewatch serve --data-dir ./data          start a server; deploy/lodewatch.toml has its settings
  lodewatch watch                            print alerts as they are emitted, in another terminal
  lodewatch import usgs FILE                 import shares from a USGS release
  lodewatch publish FILE                     publish your own updates, in JSON Lines";

#[derive(Debug, Args)]
#[command(after_long_help = columns::help::<Alert>())]
pub(crate) struct DemoArgs {
    /// Keep the journal in this directory, to serve it with `lodewatch serve --data-dir DIR`.
    #[arg(long, value_name = "DIR")]
    keep: Option<PathBuf>,
}

pub(crate) async fn run(format: OutputFormat, args: &DemoArgs) -> Result<(), Error> {
    let temporary =
        tempfile::tempdir().map_err(Error::system("cannot create a temporary directory"))?;
    let data_dir = args.keep.clone().unwrap_or_else(|| temporary.path().to_owned());
    let (clock, manual_clock) = Clock::manual(day(FIRST_DAY).start());
    let mut demo = Demo::start(config(data_dir), clock, manual_clock).await?;
    if format == OutputFormat::Table {
        print::line(INTRODUCTION)?;
    }
    print::list_heading::<Alert>(format)?;
    let (printed_rx, printer) = demo.spawn_printer(format);
    demo.replay().await?;
    demo.wait_until_printed(format, printed_rx).await?;
    printer.abort();
    if format == OutputFormat::Table {
        demo.print_markets().await?;
        print::line(CLOSING)?;
        if let Some(dir) = &args.keep {
            let dir = dir.display();
            print::line(&format!(
                "The demo's journal is in {dir}: lodewatch serve --data-dir {dir}"
            ))?;
        }
    }
    demo.stop().await
}

/// A running server and its clients.
struct Demo {
    servers: Servers,
    publisher: Publisher,
    connection: Connection,
    view: PipelineView,
    clock: ManualClock,
    drain: CancellationToken,
    server: JoinHandle<Result<(), server::Error>>,
}

impl Demo {
    async fn start(config: Config, clock: Clock, manual_clock: ManualClock) -> Result<Self, Error> {
        let listener = TcpListener::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).await;
        let listener = listener.map_err(Error::system("cannot listen on a loopback port"))?;
        let address =
            listener.local_addr().map_err(Error::system("cannot read the listener's address"))?;
        let node = Node::open(config, clock).await?;
        let view = node.view().clone();
        let drain = CancellationToken::new();
        let server = tokio::spawn(node.serve(listener, drain.clone()));
        let servers = Servers::parse([address.to_string().as_str()])?;
        let connection = servers.connect().await?;
        let publisher = Publisher::new(servers.clone());
        Ok(Self { servers, publisher, connection, view, clock: manual_clock, drain, server })
    }

    /// Prints every alert as it arrives; the receiver has the sequence of the last one printed.
    fn spawn_printer(&self, format: OutputFormat) -> (watch::Receiver<u64>, JoinHandle<()>) {
        let request = SubscribeRequest {
            start: Start::Oldest.into(),
            filter: Some(shown_alerts(format)),
            ..SubscribeRequest::default()
        };
        let mut subscription = Subscription::new(self.servers.clone(), request);
        let (printed_tx, printed_rx) = watch::channel(0);
        let printer = tokio::spawn(async move {
            while let Ok(StreamEvent::Message(message)) = subscription.next().await {
                let Some(Message::Alerts(alerts)) = message.message else { continue };
                if print_alerts(format, &alerts.alerts).is_err() {
                    return;
                }
                printed_tx.send_replace(alerts.alerts.last().map_or(0, |alert| alert.sequence));
            }
        });
        (printed_rx, printer)
    }

    /// Publishes the bundled data, each threat on its day, and advances the clock from one event
    /// to the next.
    async fn replay(&mut self) -> Result<(), Error> {
        let first = day(FIRST_DAY);
        self.publish(bundled_updates(bundled::REPORTS)?).await?;
        let mut threats: BTreeMap<Day, VecDeque<Update>> = BTreeMap::new();
        for update in bundled_updates(bundled::THREATS)? {
            let day = announcement_day(&update).unwrap_or(first).max(first);
            threats.entry(day).or_default().push_back(update);
        }
        let end = day(LAST_DAY);
        let mut today = first;
        while today <= end {
            self.advance_to(today.start()).await;
            for update in threats.remove(&today).unwrap_or_default() {
                self.publish(vec![update]).await?;
            }
            let deadline = self.view.read_state(State::next_deadline).map(Timestamp::day);
            let next = threats.keys().next().copied().into_iter().chain(deadline).min();
            today = next.unwrap_or(end.next()).max(today.next());
        }
        self.advance_to(end.start()).await;
        Ok(())
    }

    /// Sets the clock and waits until everything due by then is applied.
    async fn advance_to(&self, now: Timestamp) {
        self.clock.set(now);
        self.view.wait_for_due(now).await;
    }

    async fn publish(&mut self, updates: Vec<Update>) -> Result<(), Error> {
        let request = PublishRequest {
            request_id: Uuid::new_v4().to_string(),
            feed: "demo".to_owned(),
            updates,
            exercise: false,
        };
        let published = self.publisher.publish(request).await;
        published.map_err(Error::call("publish the bundled data"))?;
        Ok(())
    }

    /// Waits until the last alert of the journal is printed.
    async fn wait_until_printed(
        &self,
        format: OutputFormat,
        mut printed_rx: watch::Receiver<u64>,
    ) -> Result<(), Error> {
        let connection = self.connection.clone();
        let latest = calls::list_latest_alerts(connection, shown_alerts(format), 1).await;
        let (latest, _) = latest.map_err(Error::call("list alerts"))?;
        let last = latest.first().map_or(0, |alert| alert.sequence);
        // The printer ends early only if the reader of stdout has gone.
        let printed = printed_rx.wait_for(|sequence| *sequence >= last).await.map(|_| ());
        printed.map_err(|_| Error::Output(io::ErrorKind::BrokenPipe.into()))
    }

    async fn print_markets(&self) -> Result<(), Error> {
        let destination = TABLE_DESTINATION.to_owned();
        let request = ListMarketsRequest { destination, ..ListMarketsRequest::default() };
        let markets = calls::list_markets(self.connection.clone(), request).await?;
        print::line(&format!("\nMarkets on {}, most concentrated first:\n", day(LAST_DAY)))?;
        Ok(market_tables::print(&markets, TABLE_DESTINATION)?)
    }

    async fn stop(self) -> Result<(), Error> {
        drop(self.connection);
        self.drain.cancel();
        Ok(self.server.await.expect("the server does not panic")?)
    }
}

/// Which alerts are printed: all for programs, those of two destinations for people.
fn shown_alerts(format: OutputFormat) -> AlertFilter {
    let destinations = match format {
        OutputFormat::Json | OutputFormat::Csv => Vec::new(),
        OutputFormat::Table => SHOWN_DESTINATIONS.map(str::to_owned).to_vec(),
    };
    AlertFilter { destinations, ..AlertFilter::default() }
}

/// Prints the alerts of one message. For people, those that the reports alone raise are counted in
/// one line: the export controls come after them.
fn print_alerts(format: OutputFormat, alerts: &[Alert]) -> io::Result<()> {
    let is_by_report =
        |alert: &Alert| alert.cause.as_ref().is_some_and(|cause| cause.kind() == CauseKind::Data);
    match format {
        OutputFormat::Table if alerts.iter().all(is_by_report) => {
            let count = |level| alerts.iter().filter(|alert| alert.level() == level).count();
            print::line(&format!(
                "{} alerts from the shares alone: {} critical, {} warning, {} watch, {} \
                 indeterminate. Then:",
                alerts.len(),
                count(Level::Critical),
                count(Level::Warning),
                count(Level::Watch),
                count(Level::Unspecified),
            ))
        }
        OutputFormat::Table | OutputFormat::Json | OutputFormat::Csv => alerts
            .iter()
            .try_for_each(|alert| print::list_row(format, alert, alert_line::render_dated)),
    }
}

/// The default settings without the console, which a running server may need the port of.
fn config(data_dir: PathBuf) -> Config {
    let defaults = Config::built_in();
    let console = Console { listen: None, ..defaults.console.clone() };
    Config { data_dir, console, ..defaults }
}

fn bundled_updates(lines: &str) -> Result<Vec<Update>, Error> {
    let lines = (1..).zip(lines.lines());
    lines
        .map(|(line, text)| {
            json::from_json(text).map_err(|error| Error::Line {
                path: "the bundled data".into(),
                line,
                problem: error.to_string(),
            })
        })
        .collect()
}

/// The day on which a threat was announced; if that is unknown, on which it took effect.
fn announcement_day(update: &Update) -> Option<Day> {
    match &update.update {
        Some(Kind::Threat(threat)) => {
            threat.date_announced.parse().or_else(|_| threat.date_effective.parse()).ok()
        }
        Some(Kind::Report(_) | Kind::Removal(_) | Kind::ReportRemoval(_)) | None => None,
    }
}

fn day((year, month, day): (i16, i8, i8)) -> Day {
    Day::from_ymd(year, month, day).expect("the demo's days are valid")
}
