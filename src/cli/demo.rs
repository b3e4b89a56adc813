//! `demo`: four years of export controls in some seconds, on a real server with a clock that is driven by hand.

use super::arguments::{Demo, Output};
use super::error::Error;
use super::{alert_line, markets, output};
use crate::clock::{Clock, ManualClock};
use crate::config::{Config, Console};
use crate::domain::{Day, Timestamp};
use crate::engine::State;
use crate::grpc::json;
use crate::grpc::pb::alert_service_client::AlertServiceClient;
use crate::grpc::pb::subscribe_response::Message;
use crate::grpc::pb::update::Update as Kind;
use crate::grpc::pb::{
    Alert, AlertFilter, CauseKind, Level, ListAlertsRequest, ListMarketsRequest, PublishRequest,
    Start, SubscribeRequest, Update,
};
use crate::pipeline::PipelineView;
use crate::server::{self, Node};
use lodewatch_client::{Connection, Publisher, Servers, StreamEvent, Subscription};
use lodewatch_importers::bundled;
use std::collections::{BTreeMap, VecDeque};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

/// The time that is told.
const FIRST_DAY: (i16, i8, i8) = (2023, 1, 1);
const LAST_DAY: (i16, i8, i8) = (2027, 1, 31);
/// For whom alerts are shown to people.
const BUYERS: [&str; 2] = ["USA", "JPN"];
/// For whom the closing table is.
const DESTINATION: &str = "USA";

/// Tells the story, then how to run it for real.
pub(super) async fn run(output: Output, arguments: &Demo) -> Result<(), Error> {
    let temporary = tempfile::tempdir().map_err(system("no temporary directory can be made"))?;
    let data_dir = arguments.keep.clone().unwrap_or_else(|| temporary.path().to_owned());
    let (clock, hand) = Clock::manual(day(FIRST_DAY).start());
    let mut stage = Stage::open(settings(data_dir), clock, hand).await?;
    if output == Output::Table {
        output::line(INTRODUCTION)?;
    }
    output::begin::<Alert>(output)?;
    let (told, printer) = stage.listen(output);
    stage.play().await?;
    stage.wait_until_told(output, told).await?;
    printer.abort();
    if output == Output::Table {
        stage.show_markets().await?;
        output::line(CLOSING)?;
        if let Some(dir) = &arguments.keep {
            output::line(&format!(
                "The journal is in {0}: lodewatch serve --data-dir {0}",
                dir.display()
            ))?;
        }
    }
    stage.close().await
}

const INTRODUCTION: &str = "\
A real server, publisher and subscriber; the clock is driven by hand from 2023-01-01 to 2027-01-31.
Shares are held fixed at the latest figures bundled, so that all you see is what export controls do.
Each control is published on the day it was announced, with its whole calendar as known today.
Shown for buyers in the United States and in Japan; four more destinations are watched.
";

const CLOSING: &str = "
That was a demo. For real:
  lodewatch serve --data-dir ./data          a server, with deploy/lodewatch.toml for its rules
  lodewatch watch                            alerts as they come, in another terminal
  lodewatch import usgs FILE                 shares from a USGS release
  lodewatch publish FILE                     your own updates, as JSON lines";

/// A server with everything around it.
struct Stage {
    servers: Servers,
    publisher: Publisher,
    channel: Connection,
    view: PipelineView,
    hand: ManualClock,
    drain: CancellationToken,
    server: JoinHandle<Result<(), server::Error>>,
}

impl Stage {
    async fn open(config: Config, clock: Clock, hand: ManualClock) -> Result<Self, Error> {
        let listener = TcpListener::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).await;
        let listener = listener.map_err(system("no loopback port can be had"))?;
        let address = listener.local_addr().map_err(system("the address is not known"))?;
        let node = Node::open(config, clock).await?;
        let view = node.view().clone();
        let drain = CancellationToken::new();
        let server = tokio::spawn(node.serve(listener, drain.clone()));
        let servers = Servers::parse([address.to_string().as_str()])?;
        let channel = servers.connect().await?;
        let publisher = Publisher::new(servers.clone());
        Ok(Self { servers, publisher, channel, view, hand, drain, server })
    }

    /// Subscribes, and prints every alert as it arrives; gives the sequence of the last one printed.
    fn listen(&self, output: Output) -> (watch::Receiver<u64>, JoinHandle<()>) {
        let request = SubscribeRequest {
            start: Start::Oldest.into(),
            filter: Some(shown(output)),
            ..SubscribeRequest::default()
        };
        let mut subscription = Subscription::new(self.servers.clone(), request);
        let (tell, told) = watch::channel(0);
        let printer = tokio::spawn(async move {
            while let Ok(StreamEvent::Message(message)) = subscription.next().await {
                let Some(Message::Alerts(alerts)) = message.message else { continue };
                if print(output, &alerts.alerts).is_err() {
                    return;
                }
                tell.send_replace(alerts.alerts.last().map_or(0, |alert| alert.sequence));
            }
        });
        (told, printer)
    }

    /// Publishes what is bundled, each threat on its day, and drives the clock from one event to the next.
    async fn play(&mut self) -> Result<(), Error> {
        let first = day(FIRST_DAY);
        self.publish(bundled_updates(bundled::REPORTS)?).await?;
        let mut threats: BTreeMap<Day, VecDeque<Update>> = BTreeMap::new();
        for update in bundled_updates(bundled::THREATS)? {
            threats
                .entry(announced(&update).unwrap_or(first).max(first))
                .or_default()
                .push_back(update);
        }
        let end = day(LAST_DAY);
        let mut today = first;
        while today <= end {
            self.turn_to(today.start()).await;
            for update in threats.remove(&today).unwrap_or_default() {
                self.publish(vec![update]).await?;
            }
            let deadline = self.view.read_state(State::next_deadline).map(Timestamp::day);
            let next = threats.keys().next().copied().into_iter().chain(deadline).min();
            today = next.unwrap_or(end.next()).max(today.next());
        }
        self.turn_to(end.start()).await;
        Ok(())
    }

    /// Sets the clock, and waits until everything due by then has happened.
    async fn turn_to(&self, now: Timestamp) {
        self.hand.set(now);
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
        published.map_err(Error::refused("publishing the bundled data"))?;
        Ok(())
    }

    /// Waits until the last alert of the journal was printed.
    async fn wait_until_told(
        &self,
        output: Output,
        mut told: watch::Receiver<u64>,
    ) -> Result<(), Error> {
        let mut client = AlertServiceClient::new(self.channel.clone());
        let filter = Some(shown(output));
        let request = ListAlertsRequest { page_size: 1, filter, ..ListAlertsRequest::default() };
        let response =
            client.list_alerts(request).await.map_err(Error::refused("listing alerts"))?;
        let last = response.into_inner().alerts.first().map_or(0, |alert| alert.sequence);
        // The printer ends early only when nobody reads what it prints.
        let printed = told.wait_for(|sequence| *sequence >= last).await.map(|_| ());
        printed.map_err(|_| Error::Output(std::io::ErrorKind::BrokenPipe.into()))
    }

    async fn show_markets(&self) -> Result<(), Error> {
        let request = ListMarketsRequest {
            destination: DESTINATION.to_owned(),
            page_size: 1000,
            ..ListMarketsRequest::default()
        };
        let all = markets::all(self.channel.clone(), request).await?;
        output::line(&format!("\nMarkets on {}, the most concentrated first:\n", day(LAST_DAY)))?;
        Ok(markets::print(all, DESTINATION)?)
    }

    async fn close(self) -> Result<(), Error> {
        drop(self.channel);
        self.drain.cancel();
        Ok(self.server.await.expect("the server does not panic")?)
    }
}

/// Which alerts are printed: all for programs, those of two buyers for people.
fn shown(output: Output) -> AlertFilter {
    let destinations = match output {
        Output::Json | Output::Csv => Vec::new(),
        Output::Table => BUYERS.map(str::to_owned).to_vec(),
    };
    AlertFilter { destinations, ..AlertFilter::default() }
}

/// Prints the alerts of one message; for people, those that the shares alone raise in one line, since the story is what
/// comes after.
fn print(output: Output, alerts: &[Alert]) -> std::io::Result<()> {
    let by_shares =
        |alert: &Alert| alert.cause.as_ref().is_some_and(|cause| cause.kind() == CauseKind::Data);
    match output {
        Output::Json | Output::Csv => {
            alerts.iter().try_for_each(|alert| output::row(output, alert, alert_line::dated))
        }
        Output::Table if alerts.iter().all(by_shares) => {
            let count = |level| alerts.iter().filter(|alert| alert.level() == level).count();
            output::line(&format!(
                "{} alerts are up by the shares alone: {} critical, {} warning, {} watch, {} that may be. Then:",
                alerts.len(),
                count(Level::Critical),
                count(Level::Warning),
                count(Level::Watch),
                // Whether they are depends on what the source does not attribute.
                count(Level::Unspecified),
            ))
        }
        Output::Table => {
            alerts.iter().try_for_each(|alert| output::line(&alert_line::dated(alert)))
        }
    }
}

/// The defaults, without the console: the story is told in the terminal, beside whatever else runs here.
fn settings(data_dir: PathBuf) -> Config {
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
                why: error.to_string(),
            })
        })
        .collect()
}

/// The day on which a threat was announced, or else took effect.
fn announced(update: &Update) -> Option<Day> {
    match &update.update {
        Some(Kind::Threat(threat)) => {
            threat.date_announced.parse().or_else(|_| threat.date_effective.parse()).ok()
        }
        Some(Kind::Report(_) | Kind::Removal(_)) | None => None,
    }
}

fn day((year, month, day): (i16, i8, i8)) -> Day {
    Day::from_ymd(year, month, day).expect("the story's days are days")
}

fn system(doing: &str) -> impl FnOnce(std::io::Error) -> Error {
    let doing = doing.to_owned();
    move |source| Error::System { doing, source }
}
