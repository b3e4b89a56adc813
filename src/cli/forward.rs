//! `forward`: alerts handed on to Alertmanager or a webhook.

use super::arguments::Filter;
use super::error::Error;
use super::signals::Signals;
use super::watch;
use crate::clock::Clock;
use crate::grpc::pb::SubscribeRequest;
use crate::sinks::alertmanager::{self, Alertmanager};
use crate::sinks::webhook::{self, Webhook};
use crate::sinks::{self, Receiver, Secrets};
use clap::{Args, Subcommand};
use lodewatch_client::Servers;
use lodewatch_client::StateFile;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Arguments of `forward`.
#[derive(Debug, Args)]
pub struct Forward {
    /// Where to.
    #[command(subcommand)]
    pub to: To,
}

/// Where alerts are handed on to.
#[derive(Debug, Subcommand)]
pub enum To {
    /// To Alertmanager, which pages: what is open fires, what clears is resolved.
    ///
    /// Labels: alertname (the rule), mineral, stage, destination, severity (watch, warning, critical; info for notices, which
    /// fire for an hour), and exercise="true" for drills. By level, country or kind is chosen in Alertmanager's routes.
    Alertmanager(ToAlertmanager),
    /// To a webhook: one POST an alert, in order, as `CloudEvents` 1.0 in JSON.
    Webhook(ToWebhook),
}

/// Arguments that all receivers have.
#[derive(Debug, Args)]
pub struct Handing {
    /// The file that keeps how far it is, of this forwarder alone; made where it does not exist. Its directory must be writable.
    #[arg(long, value_name = "FILE")]
    pub state: PathBuf,
    /// A file with the value of the `authorization` header, such as `Bearer TOKEN`.
    #[arg(long, value_name = "FILE")]
    pub authorization_file: Option<PathBuf>,
}

/// Arguments of `forward alertmanager`.
#[derive(Debug, Args)]
pub struct ToAlertmanager {
    /// Alertmanagers of one cluster, such as `http://127.0.0.1:9093`; all of them are told.
    #[arg(required = true, value_name = "URL")]
    pub url: Vec<String>,
    /// How far, and who we are.
    #[command(flatten)]
    pub handing: Handing,
    /// Minerals or groups.
    #[arg(long, value_name = "NAME")]
    pub mineral: Vec<String>,
    /// Stages: mining, refining.
    #[arg(long, value_name = "STAGE")]
    pub stage: Vec<String>,
    /// Destinations as the rules name them.
    #[arg(long, value_name = "NAME")]
    pub destination: Vec<String>,
    /// Rules.
    #[arg(long, value_name = "NAME")]
    pub rule: Vec<String>,
    /// Drills as well.
    #[arg(long)]
    pub exercises: bool,
    /// Seconds after which what fires is told again; shorter than Alertmanager's `resolve_timeout`, which is five minutes unless
    /// set otherwise.
    #[arg(long, default_value_t = 60, value_parser = clap::value_parser!(u16).range(1..=3600), value_name = "SECONDS")]
    pub repeat: u16,
    /// Where an alert's link leads to; `{sequence}` in it stands for the alert's.
    #[arg(long, value_name = "URL")]
    pub link: Option<String>,
}

/// Arguments of `forward webhook`.
#[derive(Debug, Args)]
pub struct ToWebhook {
    /// Where to post to.
    pub url: String,
    /// How far, and who we are.
    #[command(flatten)]
    pub handing: Handing,
    /// A file with the secrets that sign, one a line, `whsec_` and base64 as Standard Webhooks has them; without it nothing is
    /// signed.
    #[arg(long, value_name = "FILE")]
    pub secret_file: Option<PathBuf>,
    /// Which alerts.
    #[command(flatten)]
    pub filter: Filter,
    /// Where to start, once: `snapshot` (what is open now, then live), `head`, `oldest`, or a cursor.
    #[arg(long, default_value = "snapshot", value_name = "START")]
    pub from: String,
    /// Pass this alert over, by its sequence, because the receiver will never take it.
    #[arg(long, value_name = "SEQUENCE")]
    pub skip: Vec<u64>,
}

/// Hands alerts on until something ends it; SIGINT and SIGTERM are no failure.
pub(super) async fn run(servers: Servers, arguments: Forward) -> Result<(), Error> {
    let mut signals = Signals::hear()?;
    tokio::select! {
        ended = forward(servers, arguments) => ended,
        _ = signals.next() => Ok(()),
    }
}

async fn forward(servers: Servers, arguments: Forward) -> Result<(), Error> {
    // It is read, and stamps nothing.
    let clock = Clock::system(0);
    let ended = match arguments.to {
        To::Alertmanager(to) => alertmanager::run(servers, &clock, to_alertmanager(to)?).await,
        To::Webhook(to) => webhook::run(servers, &clock, to_webhook(to)?).await,
    };
    ended.map_err(|error| {
        if let sinks::Error::Subscription(status) = error {
            Error::refused("reading alerts")(*status)
        } else {
            Error::Forward(error)
        }
    })
}

fn to_alertmanager(to: ToAlertmanager) -> Result<Alertmanager, Error> {
    let authorization = to.handing.authorization_file.as_deref().map(read).transpose()?;
    let receiver = |url: &String| Receiver::new(url, authorization.as_deref());
    let receivers = to.url.iter().map(receiver).collect::<Result<_, _>>();
    // By what may change while an episode is open, nothing is left out: its end would not be heard.
    let filter = watch::filter(&Filter {
        mineral: to.mineral,
        stage: to.stage,
        country: Vec::new(),
        destination: to.destination,
        rule: to.rule,
        min_level: None,
        kind: Vec::new(),
        exercises: to.exercises,
    })?;
    Ok(Alertmanager {
        receivers: receivers.map_err(Error::Forward)?,
        state_file: StateFile::new(to.handing.state),
        filter,
        repeat: Duration::from_secs(to.repeat.into()),
        link: to.link,
    })
}

fn to_webhook(to: ToWebhook) -> Result<Webhook, Error> {
    let authorization = to.handing.authorization_file.as_deref().map(read).transpose()?;
    let secrets = to.secret_file.as_deref().map(read).transpose()?;
    let secrets = secrets.map(|text| Secrets::parse(&text)).transpose();
    let (start, cursor) = watch::start(&to.from);
    let filter = Some(watch::filter(&to.filter)?);
    let request =
        SubscribeRequest { filter, start: start.into(), cursor, ..SubscribeRequest::default() };
    Ok(Webhook {
        receiver: Receiver::new(&to.url, authorization.as_deref()).map_err(Error::Forward)?,
        secrets: secrets.map_err(Error::Forward)?,
        state_file: StateFile::new(to.handing.state),
        request,
        skip: to.skip,
    })
}

fn read(path: &Path) -> Result<String, Error> {
    std::fs::read_to_string(path).map_err(|source| Error::Read { path: path.to_owned(), source })
}
