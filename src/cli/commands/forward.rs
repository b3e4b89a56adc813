//! `forward`: forward alerts to Alertmanager or a webhook.

use crate::cli::error::Error;
use crate::cli::filter::{FilterArgs, parse_start};
use crate::cli::input::read_text;
use crate::cli::signals::Signals;
use crate::clock::Clock;
use crate::sinks::alertmanager::{self, Alertmanager};
use crate::sinks::webhook::{self, Webhook};
use crate::sinks::{self, Receiver, Secrets};
use clap::{Args, Subcommand};
use lodewatch_client::Servers;
use lodewatch_client::StateFile;
use lodewatch_proto::v1::SubscribeRequest;
use std::path::PathBuf;
use std::time::Duration;

#[derive(Debug, Args)]
pub(crate) struct ForwardArgs {
    #[command(subcommand)]
    sink: Sink,
}

#[derive(Debug, Subcommand)]
enum Sink {
    /// Alertmanager, which notifies people: active alerts fire, cleared alerts are resolved.
    ///
    /// Labels: alertname (the rule), mineral, stage, destination, severity (watch, warning,
    /// critical; info for notices, which fire for an hour), and exercise="true" for exercises. Use
    /// Alertmanager's routes to select by level, country or kind.
    Alertmanager(AlertmanagerArgs),
    /// A webhook: one POST per alert, in order, as `CloudEvents` 1.0 in JSON.
    Webhook(WebhookArgs),
}

#[derive(Debug, Args)]
struct SinkArgs {
    /// State file: records the last forwarded alert. For this process only; created if missing. Its
    /// directory must be writable.
    #[arg(long, value_name = "FILE")]
    state: PathBuf,
    /// File with the value of the `authorization` header, such as `Bearer TOKEN`.
    #[arg(long, value_name = "FILE")]
    authorization_file: Option<PathBuf>,
}

#[derive(Debug, Args)]
struct AlertmanagerArgs {
    /// Alertmanagers of one cluster, such as `http://127.0.0.1:9093`; each gets every alert.
    #[arg(required = true, value_name = "URL")]
    url: Vec<String>,
    #[command(flatten)]
    sink: SinkArgs,
    /// Only alerts about this mineral or group of minerals; may be repeated.
    #[arg(long, value_name = "NAME")]
    mineral: Vec<String>,
    /// Only alerts about this stage: mining, refining.
    #[arg(long, value_name = "STAGE")]
    stage: Vec<String>,
    /// Only alerts of rules for this destination (buyer).
    #[arg(long, value_name = "NAME")]
    destination: Vec<String>,
    /// Only alerts of this rule.
    #[arg(long, value_name = "NAME")]
    rule: Vec<String>,
    /// Include exercises (test alerts).
    #[arg(long)]
    exercises: bool,
    /// Interval at which firing alerts are sent again; keep it below Alertmanager's
    /// `resolve_timeout`, by default five minutes.
    #[arg(
        long,
        default_value_t = 60,
        value_parser = clap::value_parser!(u16).range(1..=3600),
        value_name = "SECONDS"
    )]
    repeat: u16,
    /// Link in each alert; `{sequence}` in it is replaced by the alert's sequence.
    #[arg(long, value_name = "URL")]
    link: Option<String>,
}

#[derive(Debug, Args)]
struct WebhookArgs {
    /// URL to post to.
    url: String,
    #[command(flatten)]
    sink: SinkArgs,
    /// File with the signing secrets, one per line, `whsec_` and base64 as in Standard Webhooks;
    /// default: requests are not signed.
    #[arg(long, value_name = "FILE")]
    secret_file: Option<PathBuf>,
    #[command(flatten)]
    filter: FilterArgs,
    /// Where to start if the state file is new: `snapshot` (active alerts, then new ones), `head`
    /// (new alerts only), `oldest` (all alerts), or a cursor.
    #[arg(long, default_value = "snapshot", value_name = "START")]
    from: String,
    /// Skip the alert with this sequence, because the receiver always rejects it.
    #[arg(long, value_name = "SEQUENCE")]
    skip: Vec<u64>,
}

/// Runs until a signal, which is not a failure.
pub(crate) async fn run(servers: Servers, args: ForwardArgs) -> Result<(), Error> {
    let mut signals = Signals::install()?;
    tokio::select! {
        ended = forward(servers, args) => ended,
        _ = signals.next() => Ok(()),
    }
}

async fn forward(servers: Servers, args: ForwardArgs) -> Result<(), Error> {
    // Only read, never used to stamp an entry.
    let clock = Clock::system(0);
    let ended = match args.sink {
        Sink::Alertmanager(args) => alertmanager::run(servers, &clock, alertmanager(args)?).await,
        Sink::Webhook(args) => webhook::run(servers, &clock, webhook(args)?).await,
    };
    ended.map_err(|error| {
        if let sinks::Error::Subscription(status) = error {
            Error::call("subscribe to alerts")(*status)
        } else {
            Error::Forward(error)
        }
    })
}

fn alertmanager(args: AlertmanagerArgs) -> Result<Alertmanager, Error> {
    let AlertmanagerArgs { url, sink, mineral, stage, destination, rule, exercises, repeat, link } =
        args;
    let authorization = sink.authorization_file.as_deref().map(read_text).transpose()?;
    let receiver = |url: &String| Receiver::new(url, authorization.as_deref());
    let receivers = url.iter().map(receiver).collect::<Result<_, _>>();
    // No filter by what may change while an episode is open: its end would be missed.
    let filter =
        FilterArgs { mineral, stage, destination, rule, exercises, ..FilterArgs::default() };
    Ok(Alertmanager {
        receivers: receivers.map_err(Error::Forward)?,
        state_file: StateFile::new(sink.state),
        filter: filter.to_message()?,
        repeat: Duration::from_secs(repeat.into()),
        link,
    })
}

fn webhook(args: WebhookArgs) -> Result<Webhook, Error> {
    let authorization = args.sink.authorization_file.as_deref().map(read_text).transpose()?;
    let secrets = args.secret_file.as_deref().map(read_text).transpose()?;
    let secrets = secrets.map(|text| Secrets::parse(&text)).transpose();
    let (start, cursor) = parse_start(&args.from);
    let filter = Some(args.filter.to_message()?);
    let request =
        SubscribeRequest { filter, start: start.into(), cursor, ..SubscribeRequest::default() };
    Ok(Webhook {
        receiver: Receiver::new(&args.url, authorization.as_deref()).map_err(Error::Forward)?,
        secrets: secrets.map_err(Error::Forward)?,
        state_file: StateFile::new(args.sink.state),
        request,
        skip: args.skip,
    })
}
