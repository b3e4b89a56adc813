//! The settings themselves, as the rest of the program gets them.

use super::access::{self, Access, Health, Metrics, Tls, address};
use super::console::{self, Console};
use super::figure;
use super::journal::{self, Store};
use super::layers;
use super::policy;
use super::problem::Problems;
use super::table::{Node, Table};
use crate::domain::Policy;
use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;
use tracing_subscriber::filter::{LevelFilter, Targets};

/// All settings, read and in range. Their defaults, units and ranges stand in `deploy/lodewatch.toml`.
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    /// Where journal, archive and snapshots are. Made where it does not exist.
    pub data_dir: PathBuf,
    /// Where the journal is.
    pub journal: Store,
    /// The gRPC server.
    pub server: Server,
    /// How connections are encrypted; `None` where they are not.
    pub tls: Option<Tls>,
    /// Who is let in.
    pub access: Access,
    /// The port for probes.
    pub health: Health,
    /// The port for metrics.
    pub metrics: Metrics,
    /// The page for people, and gRPC-Web.
    pub console: Console,
    /// Archive and snapshots.
    pub archive: Archive,
    /// Recent alerts in memory.
    pub fanout: Fanout,
    /// Other settings while running.
    pub reload: Reload,
    /// The system's clock.
    pub clock: Clock,
    /// Logs.
    pub log: Log,
    /// Traces.
    pub traces: Traces,
    /// The number that orders the policy among those before and after it; 0 without one.
    pub policy_revision: u64,
    /// Rules, blocs, sources and weights; an entry of the journal brings them into force.
    pub policy: Policy,
}

/// The gRPC server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Server {
    /// Where it listens; port 0 lets the system choose.
    pub listen: SocketAddr,
    /// Whether it may be reached from other machines without TLS or without authentication.
    pub insecure: bool,
    /// How long calls and streams may take to end at shutdown, in milliseconds; then they are cut.
    pub drain_timeout_ms: u64,
    /// How long a new connection may take to show that it speaks HTTP/2, in milliseconds; then it is closed.
    pub handshake_timeout_ms: u64,
    /// Open connections; one more is closed at once.
    pub connections_max: usize,
    /// Open connections of one address; one more is closed at once.
    pub connections_per_address_max: usize,
    /// Calls of one address that may come to nothing in a second; beyond, its new connections are closed, and those that did
    /// most of it.
    pub abandoned_calls_per_second_max: u32,
    /// The largest request, in bytes; a larger one is refused with `RESOURCE_EXHAUSTED`.
    pub message_bytes_max: usize,
    /// Open streams in all; one more is refused with `RESOURCE_EXHAUSTED`.
    pub streams_max: usize,
    /// Open streams of one identity; one more is refused with `RESOURCE_EXHAUSTED`.
    pub streams_per_identity_max: usize,
    /// Open streams of one connection; one more is refused with `RESOURCE_EXHAUSTED`.
    pub streams_per_connection_max: u32,
    /// Updates that one identity may publish in a second; more are refused with `RESOURCE_EXHAUSTED`.
    pub updates_per_second_max: u32,
    /// Bytes of batches of all `Publish` calls that are not answered yet; one more is refused with `RESOURCE_EXHAUSTED`.
    pub publish_calls_bytes_max: u32,
    /// Open `PublishStream`s in all; one more is refused with `RESOURCE_EXHAUSTED`.
    pub publish_streams_max: usize,
    /// Batches of one `PublishStream` that may be unanswered; further ones are not read.
    pub publish_batches_max: usize,
    /// Bytes of such batches.
    pub publish_bytes_max: usize,
    /// Simulations, backtests and looks back at once; one more is refused with `RESOURCE_EXHAUSTED`.
    pub simulations_max: usize,
    /// A subscription that lived for nearly as long is told to come again; `None` for never.
    pub stream_age_max: Option<Duration>,
}

/// Archive and snapshots: derived from the journal, and may be deleted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Archive {
    /// A snapshot of the state is kept every so many entries; a restart replays at most as many.
    pub snapshot_every_entries: u64,
    /// For how many days alerts are kept; 0 for ever. A cursor that is older is `OUT_OF_RANGE`.
    pub keep_days: u32,
    /// How many bytes the archive's file may have before the oldest alerts go; 0 for any number. They go with the next
    /// snapshot.
    pub keep_bytes: u64,
}

/// Other settings while running.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reload {
    /// How often they are read again, in milliseconds; 0 only when told to.
    pub interval_ms: u64,
}

/// Recent alerts in memory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fanout {
    /// How many bytes of encoded alerts and of messages made of them; a subscriber that is further behind reads the
    /// archive.
    pub ring_bytes_max: usize,
}

/// The system's clock.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Clock {
    /// How far it may jump forward while the server runs, in milliseconds; beyond, nothing is taken until it is set right.
    pub jump_max_ms: u64,
}

/// Logs, on stderr.
#[derive(Debug, Clone, PartialEq)]
pub struct Log {
    /// What is logged.
    pub level: Targets,
    /// How a line looks.
    pub format: LogFormat,
}

/// What becomes of batches, told to a collector of OpenTelemetry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Traces {
    /// Where OTLP is spoken, over gRPC; `None`: nothing is told.
    pub endpoint: Option<String>,
    /// Of the batches whose publisher follows no trace, so many parts per million are traced.
    pub ratio_ppm: u32,
    /// Of one entry so many deliveries are told.
    pub delivery_spans_max: u32,
}

/// How a line of the log looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line, for machines.
    Json,
}

impl Log {
    /// Warnings only, for commands whose output is data.
    pub fn quiet() -> Self {
        Self { level: Targets::new().with_default(LevelFilter::WARN), format: LogFormat::Text }
    }
}

impl Config {
    /// The defaults.
    pub fn built_in() -> Self {
        layers::check(None).expect("the bundled settings are sound; a test reads them")
    }

    /// Reads everything, so that every fault is found; `None` where something could not be read.
    pub(super) fn parse(mut root: Table, problems: &mut Problems) -> Option<Self> {
        let data_dir = root.required("data_dir", problems);
        let data_dir = data_dir.and_then(|node| node.read(problems, path));
        let journal =
            root.table("journal", problems).and_then(|table| journal::parse(table, problems));
        let server = root.table("server", problems).and_then(|table| server(table, problems));
        let tls = access::tls(root.table("tls", problems), problems);
        let access = access::access(root.table("access", problems), problems);
        let health = access::port(root.table("health", problems), problems);
        let metrics = access::port(root.table("metrics", problems), problems);
        let console = console::console(root.table("console", problems), problems);
        let archive = root.table("archive", problems).and_then(|table| archive(table, problems));
        let fanout = root.table("fanout", problems).and_then(|table| fanout(table, problems));
        let reload = root.table("reload", problems).and_then(|table| reload(table, problems));
        let clock = root.table("clock", problems).and_then(|table| clock(table, problems));
        let log = root.table("log", problems).and_then(|table| log(table, problems));
        let traces = root.table("traces", problems).and_then(|table| traces(table, problems));
        let policy_revision = count(&mut root, "policy_revision", 0..=u64::MAX >> 1, problems);
        let policy = policy::parse(&mut root, problems);
        root.finish(problems);
        let (server, listen) = server?;
        let (tls, access) = (tls.ok()?, access.ok()?);
        let (console, console_listen) = console.ok()?;
        let addresses = [(Some(server.listen), &listen), (console.listen, &console_listen)];
        for (address, node) in addresses {
            access::check_exposure(address, node, server.insecure, tls.as_ref(), &access, problems);
        }
        Some(Self {
            data_dir: data_dir?,
            journal: journal?,
            server,
            tls,
            access,
            health: Health { listen: health.ok()? },
            metrics: Metrics { listen: metrics.ok()? },
            console,
            archive: archive?,
            fanout: fanout?,
            reload: reload?,
            clock: clock?,
            log: log?,
            traces: traces?,
            policy_revision: policy_revision?,
            policy: policy?,
        })
    }
}

/// The server's settings, and where its address was written.
fn server(mut table: Table, problems: &mut Problems) -> Option<(Server, Node)> {
    const WAIT_DAYS_MAX: u64 = 1;
    const STREAM_AGE_DAYS_MAX: u64 = 366;
    let listen = table.required("listen", problems);
    let listen = listen.and_then(|node| Some((node.read(problems, address)?, node)));
    let insecure = table.required("insecure", problems);
    let insecure = insecure.and_then(|node| node.read(problems, yes_or_no));
    let mut wait = |key| {
        let node = table.required(key, problems)?;
        node.read(problems, |text| figure::millis(text, WAIT_DAYS_MAX))
    };
    let (drain_timeout_ms, handshake_timeout_ms) =
        (wait("drain_timeout"), wait("handshake_timeout"));
    let connections_max = count(&mut table, "connections_max", 1..=1_000_000, problems);
    let connections_per_address_max =
        count(&mut table, "connections_per_address_max", 1..=1_000_000, problems);
    let abandoned_calls_per_second_max =
        count(&mut table, "abandoned_calls_per_second_max", 1..=1_000_000, problems);
    let message_bytes_max = count(&mut table, "message_bytes_max", 65_536..=67_108_864, problems);
    let streams_max = count(&mut table, "streams_max", 1..=1_000_000, problems);
    let streams_per_identity_max =
        count(&mut table, "streams_per_identity_max", 1..=1_000_000, problems);
    let streams_per_connection_max =
        count(&mut table, "streams_per_connection_max", 1..=100_000, problems);
    let updates_per_second_max =
        count(&mut table, "updates_per_second_max", 1000..=100_000_000, problems);
    let publish_calls_bytes_max =
        count(&mut table, "publish_calls_bytes_max", 65_536..=1_073_741_824, problems);
    let publish_streams_max = count(&mut table, "publish_streams_max", 1..=1_000_000, problems);
    let publish_batches_max = count(&mut table, "publish_batches_max", 1..=8192, problems);
    let publish_bytes_max = count(&mut table, "publish_bytes_max", 65_536..=67_108_864, problems);
    let simulations_max = count(&mut table, "simulations_max", 1..=64, problems);
    let stream_age_max = table.required("stream_age_max", problems);
    let stream_age_max = stream_age_max
        .and_then(|node| node.read(problems, |text| figure::millis(text, STREAM_AGE_DAYS_MAX)));
    table.finish(problems);
    let (listen, listen_node) = listen?;
    let server = Server {
        listen,
        insecure: insecure?,
        drain_timeout_ms: drain_timeout_ms?,
        handshake_timeout_ms: handshake_timeout_ms?,
        connections_max: connections_max?,
        connections_per_address_max: connections_per_address_max?,
        abandoned_calls_per_second_max: abandoned_calls_per_second_max?,
        message_bytes_max: message_bytes_max?,
        streams_max: streams_max?,
        streams_per_identity_max: streams_per_identity_max?,
        streams_per_connection_max: streams_per_connection_max?,
        updates_per_second_max: updates_per_second_max?,
        publish_calls_bytes_max: publish_calls_bytes_max?,
        publish_streams_max: publish_streams_max?,
        publish_batches_max: publish_batches_max?,
        publish_bytes_max: publish_bytes_max?,
        simulations_max: simulations_max?,
        stream_age_max: stream_age_max
            .map(|ms| Some(ms).filter(|ms| *ms > 0).map(Duration::from_millis))?,
    };
    Some((server, listen_node))
}

fn archive(mut table: Table, problems: &mut Problems) -> Option<Archive> {
    let snapshot_every_entries =
        count(&mut table, "snapshot_every_entries", 1..=1_000_000, problems);
    let keep_days = count(&mut table, "keep_days", 0..=36_500, problems);
    let keep_bytes = count(&mut table, "keep_bytes", 0..=1_099_511_627_776, problems);
    table.finish(problems);
    Some(Archive {
        snapshot_every_entries: snapshot_every_entries?,
        keep_days: keep_days?,
        keep_bytes: keep_bytes?,
    })
}

fn fanout(mut table: Table, problems: &mut Problems) -> Option<Fanout> {
    let ring_bytes_max = count(&mut table, "ring_bytes_max", 1_048_576..=17_179_869_184, problems);
    table.finish(problems);
    Some(Fanout { ring_bytes_max: ring_bytes_max? })
}

fn reload(mut table: Table, problems: &mut Problems) -> Option<Reload> {
    const INTERVAL_DAYS_MAX: u64 = 1;
    let interval = table.required("interval", problems);
    let interval_ms = interval
        .and_then(|node| node.read(problems, |text| figure::millis(text, INTERVAL_DAYS_MAX)));
    table.finish(problems);
    Some(Reload { interval_ms: interval_ms? })
}

fn clock(mut table: Table, problems: &mut Problems) -> Option<Clock> {
    const JUMP_DAYS_MAX: u64 = 366;
    let jump_max_ms = table
        .required("jump_max", problems)
        .and_then(|node| node.read(problems, |text| figure::millis(text, JUMP_DAYS_MAX)));
    table.finish(problems);
    Some(Clock { jump_max_ms: jump_max_ms? })
}

fn log(mut table: Table, problems: &mut Problems) -> Option<Log> {
    let level = table.required("level", problems).and_then(|node| node.read(problems, targets));
    let format = table.required("format", problems).and_then(|node| {
        node.read(problems, |text| match text {
            "text" => Ok(LogFormat::Text),
            "json" => Ok(LogFormat::Json),
            _ => Err("must be text or json".to_owned()),
        })
    });
    table.finish(problems);
    Some(Log { level: level?, format: format? })
}

fn traces(mut table: Table, problems: &mut Problems) -> Option<Traces> {
    let endpoint = table.required("endpoint", problems);
    let endpoint = endpoint.and_then(|node| node.read(problems, endpoint_of_traces));
    let ratio = table.required("ratio", problems);
    let ratio_ppm = ratio.and_then(|node| {
        node.read(problems, |text| {
            let parts = figure::parts(text, 1_000_000)?;
            let allowed = u32::try_from(parts).ok().filter(|parts| *parts <= 1_000_000);
            allowed.ok_or_else(|| "must be from 0 to 1".to_owned())
        })
    });
    let delivery_spans_max = count(&mut table, "delivery_spans_max", 0..=100_000, problems);
    table.finish(problems);
    Some(Traces {
        endpoint: endpoint?,
        ratio_ppm: ratio_ppm?,
        delivery_spans_max: delivery_spans_max?,
    })
}

fn endpoint_of_traces(text: &str) -> Result<Option<String>, String> {
    if text.is_empty() {
        return Ok(None);
    }
    let uri = text.parse::<http::Uri>().ok().filter(|uri| {
        // What is in front of the host would stand in logs.
        let authority = uri.authority().filter(|authority| !authority.as_str().contains('@'));
        authority.is_some() && matches!(uri.scheme_str(), Some("http" | "https"))
    });
    uri.map(|_| Some(text.to_owned())).ok_or_else(|| {
        "must be empty, or a URL with http:// or https:// and without a password, such as http://collector:4317"
            .to_owned()
    })
}

pub(super) fn count<N>(
    table: &mut Table,
    key: &'static str,
    allowed: RangeInclusive<N>,
    problems: &mut Problems,
) -> Option<N>
where
    N: std::str::FromStr + PartialOrd + std::fmt::Display,
{
    table.required(key, problems)?.read(problems, |text| figure::count(text, &allowed))
}

pub(super) fn yes_or_no(text: &str) -> Result<bool, String> {
    text.parse().map_err(|_| "must be true or false".to_owned())
}

fn path(text: &str) -> Result<PathBuf, String> {
    if text.is_empty() { Err("must not be empty".to_owned()) } else { Ok(PathBuf::from(text)) }
}

/// Checked part by part, because the library takes a misspelt level for the name of a target.
fn targets(text: &str) -> Result<Targets, String> {
    let is_level = |level: &str| !level.is_empty() && level.parse::<LevelFilter>().is_ok();
    let fits = text.split(',').all(|part| match part.split_once('=') {
        Some((target, level)) => !target.is_empty() && is_level(level),
        None => is_level(part),
    });
    text.parse().ok().filter(|_| fits).ok_or_else(|| {
        "must be one of off, error, warn, info, debug, trace, and more of them for parts of the program: \
         info,lodewatch::journal=debug"
            .to_owned()
    })
}
