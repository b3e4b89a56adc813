//! The settings themselves, as the rest of the program gets them.

use super::access::{self, Access, Tls};
use super::journal::{self, Store};
use super::layers;
use super::policy;
use super::ports::{self, Console, Health, Metrics};
use super::values::{count, flag, millis, parse_address, parse_parts};
use ipnet::IpNet;
use lodewatch_core::domain::Policy;
use lodewatch_toml_reader::{Node, Table};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;
use tracing_subscriber::filter::{LevelFilter, Targets};

/// All settings, read and in range. Their defaults, units and ranges are in
/// `deploy/lodewatch.toml`.
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    /// The folder of journal, archive and snapshots. Made where it does not exist.
    pub data_dir: PathBuf,
    pub journal: Store,
    pub server: Server,
    /// `None` where connections are not encrypted.
    pub tls: Option<Tls>,
    pub access: Access,
    pub health: Health,
    pub metrics: Metrics,
    pub console: Console,
    pub archive: Archive,
    pub fanout: Fanout,
    pub reload: Reload,
    pub clock: Clock,
    pub log: Log,
    pub traces: Traces,
    /// Orders the policy among earlier and later ones; 0 for a policy without revision.
    pub policy_revision: u64,
    /// Rules, blocs, sources and weights; they take effect as an entry of the journal.
    pub policy: Policy,
}

/// The gRPC server. A call or stream beyond a limit is rejected with `RESOURCE_EXHAUSTED`, unless
/// the limit says otherwise.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Server {
    /// Port 0 lets the system choose.
    pub listen: SocketAddr,
    /// Whether other machines may reach it without TLS or without authentication.
    pub insecure: bool,
    /// How long calls and streams may take to end at shutdown; then they are cut.
    pub drain_timeout_ms: u64,
    /// How long a caller may take to send a unary request, and to receive a response or the end of
    /// a stream; then the call ends.
    pub transfer_timeout_ms: u64,
    /// Bytes of unary requests that have not arrived whole, and of responses that are not received
    /// yet.
    pub transfer_bytes_max: usize,
    /// How long a new connection may take to show that it speaks HTTP/2; then it is closed.
    pub handshake_timeout_ms: u64,
    /// Proxies in front of the server that say which client they act for, by a PROXY header or
    /// `x-forwarded-for`. At most 100.
    pub trusted_proxies: Vec<IpNet>,
    /// Open connections; one more is closed at once.
    pub connections_max: usize,
    /// Open connections of one address; one more is closed at once.
    pub connections_per_address_max: usize,
    /// Abandoned calls of one identity, or address without one, in a second. Beyond this limit its
    /// calls on new connections are rejected, and connections that abandoned many are closed.
    pub abandoned_calls_per_second_max: u32,
    /// The largest request, in bytes.
    pub message_bytes_max: usize,
    /// Open streams in all.
    pub streams_max: usize,
    /// Open streams of one identity.
    pub streams_per_identity_max: usize,
    /// Open streams of one connection.
    pub streams_per_connection_max: u32,
    /// Updates that one identity may publish in a second.
    pub updates_per_second_max: u32,
    /// Bytes of the batches of all `Publish` calls that are not answered yet.
    pub publish_calls_bytes_max: u32,
    /// Open `PublishStream`s in all.
    pub publish_streams_max: usize,
    /// Open `PublishStream`s of one identity.
    pub publish_streams_per_identity_max: usize,
    /// How long a `PublishStream` may be idle, with no batch unanswered; then it ends.
    pub publish_idle_timeout_ms: u64,
    /// Unanswered batches of one `PublishStream`; further ones are not read yet.
    pub publish_batches_max: usize,
    /// Bytes of the unanswered batches of one `PublishStream`; further ones are not read yet.
    pub publish_bytes_max: usize,
    /// Simulations, backtests and explanations of the past that run at once.
    pub simulations_max: usize,
    /// Evaluations of one simulation.
    pub simulation_evaluations_max: u64,
    /// Evaluations of one backtest, or of one read with `as_of`.
    pub replay_evaluations_max: u64,
    /// Calls that read the archive or wait to.
    pub history_calls_max: usize,
    /// Alerts that one page of `ListAlerts` examines.
    pub examined_alerts_max: usize,
    /// A stream that lives nearly as long is asked to reconnect; `None` for no limit.
    pub stream_age_max: Option<Duration>,
}

/// Archive and snapshots. They are derived from the journal and may be deleted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Archive {
    /// Entries between two snapshots of the state; a restart replays at most as many.
    pub snapshot_every_entries: u64,
    /// For how many days alerts are kept; 0 for ever. An older cursor is `OUT_OF_RANGE`.
    pub keep_days: u32,
    /// How large the archive's file may grow before the oldest alerts are deleted, at the next
    /// snapshot; 0 for no limit.
    pub keep_bytes: u64,
}

/// How a running server notices changed settings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reload {
    /// How often the settings are read again; 0 only at SIGHUP.
    pub interval_ms: u64,
}

/// Recent alerts in memory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fanout {
    /// Bytes of encoded alerts and of messages made of them; a subscriber that lags further behind
    /// reads the archive.
    pub ring_bytes_max: usize,
}

/// The system's clock.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Clock {
    /// How far the clock may jump forward while the server runs. After a longer jump every batch is
    /// rejected until the clock is set right.
    pub jump_max_ms: u64,
}

/// Logs, on stderr.
#[derive(Debug, Clone, PartialEq)]
pub struct Log {
    pub level: Targets,
    pub format: LogFormat,
}

/// Traces, sent to a collector of OpenTelemetry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Traces {
    /// An endpoint that speaks OTLP over gRPC; `None` sends no traces.
    pub endpoint: Option<String>,
    /// Parts per million of the batches that are traced, of those whose publisher follows no trace.
    pub ratio_ppm: u32,
    /// Delivery spans of one entry.
    pub delivery_spans_max: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object per line.
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

    /// Reads everything, so that every problem is found; `None` where something cannot be used.
    pub(super) fn parse(root: &mut Table<'_>) -> Option<Self> {
        let found = root.collector().len();
        let server = root.table("server").and_then(server);
        let tls = root.table("tls").and_then(access::tls);
        let access = root.table("access").and_then(access::access);
        let console = root.table("console").and_then(ports::console);
        if let (Some((server, listen)), Some(access), Some((console, console_listen))) =
            (&server, &access, &console)
            && root.collector().len() == found
        {
            for (address, node) in [(Some(server.listen), listen), (console.listen, console_listen)]
            {
                ports::check_exposure(address, node, server.insecure, tls.as_ref(), access);
            }
        }
        let data_dir = root.read("data_dir", |text| match text {
            "" => Err("must not be empty"),
            _ => Ok(PathBuf::from(text)),
        });
        let journal = root.table("journal").and_then(journal::parse);
        let health = Health { listen: root.table("health").and_then(ports::port) };
        let metrics = Metrics { listen: root.table("metrics").and_then(ports::port) };
        let archive = root.table("archive").map(archive);
        let fanout = root.table("fanout").map(fanout);
        let reload = root.table("reload").map(reload);
        let clock = root.table("clock").map(clock);
        let log = root.table("log").and_then(log);
        let traces = root.table("traces").and_then(traces);
        let policy_revision = count(root, "policy_revision", 0..=u64::MAX >> 1);
        let policy = policy::parse(root);
        Some(Self {
            data_dir: data_dir?,
            journal: journal?,
            server: server?.0,
            tls,
            access: access?,
            health,
            metrics,
            console: console?.0,
            archive: archive?,
            fanout: fanout?,
            reload: reload?,
            clock: clock?,
            log: log?,
            traces: traces?,
            policy_revision,
            policy: policy?,
        })
    }
}

/// Reads `[server]`, with the node that says where it listens.
fn server(mut table: Table<'_>) -> Option<(Server, Node<'_>)> {
    const TIMEOUT_DAYS_MAX: u64 = 1;
    const STREAM_AGE_DAYS_MAX: u64 = 366;
    let listen_node = table.required("listen");
    let listen = listen_node.as_ref().and_then(|node| node.read(parse_address));
    let table = &mut table;
    let server = Server {
        listen: listen.unwrap_or_else(|| SocketAddr::from(([127, 0, 0, 1], 0))),
        insecure: flag(table, "insecure"),
        drain_timeout_ms: millis(table, "drain_timeout", TIMEOUT_DAYS_MAX),
        transfer_timeout_ms: millis(table, "transfer_timeout", TIMEOUT_DAYS_MAX),
        transfer_bytes_max: count(table, "transfer_bytes_max", 67_108_864..=17_179_869_184),
        handshake_timeout_ms: millis(table, "handshake_timeout", TIMEOUT_DAYS_MAX),
        trusted_proxies: ports::trusted_proxies(table),
        connections_max: count(table, "connections_max", 1..=1_000_000),
        connections_per_address_max: count(table, "connections_per_address_max", 1..=1_000_000),
        abandoned_calls_per_second_max: count(
            table,
            "abandoned_calls_per_second_max",
            1..=1_000_000,
        ),
        message_bytes_max: count(table, "message_bytes_max", 65_536..=67_108_864),
        streams_max: count(table, "streams_max", 1..=1_000_000),
        streams_per_identity_max: count(table, "streams_per_identity_max", 1..=1_000_000),
        streams_per_connection_max: count(table, "streams_per_connection_max", 1..=100_000),
        updates_per_second_max: count(table, "updates_per_second_max", 1000..=100_000_000),
        publish_calls_bytes_max: count(table, "publish_calls_bytes_max", 65_536..=1_073_741_824),
        publish_streams_max: count(table, "publish_streams_max", 1..=1_000_000),
        publish_streams_per_identity_max: count(
            table,
            "publish_streams_per_identity_max",
            1..=1_000_000,
        ),
        publish_idle_timeout_ms: millis(table, "publish_idle_timeout", TIMEOUT_DAYS_MAX),
        publish_batches_max: count(table, "publish_batches_max", 1..=8192),
        publish_bytes_max: count(table, "publish_bytes_max", 65_536..=67_108_864),
        simulations_max: count(table, "simulations_max", 1..=64),
        simulation_evaluations_max: count(
            table,
            "simulation_evaluations_max",
            100_000..=1_000_000_000,
        ),
        replay_evaluations_max: count(
            table,
            "replay_evaluations_max",
            100_000..=1_000_000_000_000_000,
        ),
        history_calls_max: count(table, "history_calls_max", 2..=100_000),
        examined_alerts_max: count(table, "examined_alerts_max", 1000..=10_000_000),
        stream_age_max: Some(millis(table, "stream_age_max", STREAM_AGE_DAYS_MAX))
            .filter(|millis| *millis > 0)
            .map(Duration::from_millis),
    };
    Some((server, listen_node?))
}

fn archive(mut table: Table<'_>) -> Archive {
    Archive {
        snapshot_every_entries: count(&mut table, "snapshot_every_entries", 1..=1_000_000),
        keep_days: count(&mut table, "keep_days", 0..=36_500),
        keep_bytes: count(&mut table, "keep_bytes", 0..=1_099_511_627_776),
    }
}

fn fanout(mut table: Table<'_>) -> Fanout {
    Fanout { ring_bytes_max: count(&mut table, "ring_bytes_max", 1_048_576..=17_179_869_184) }
}

fn reload(mut table: Table<'_>) -> Reload {
    const INTERVAL_DAYS_MAX: u64 = 1;
    Reload { interval_ms: millis(&mut table, "interval", INTERVAL_DAYS_MAX) }
}

fn clock(mut table: Table<'_>) -> Clock {
    const JUMP_DAYS_MAX: u64 = 366;
    Clock { jump_max_ms: millis(&mut table, "jump_max", JUMP_DAYS_MAX) }
}

fn log(mut table: Table<'_>) -> Option<Log> {
    let level = table.read("level", parse_targets);
    let format = table.read("format", |text| match text {
        "text" => Ok(LogFormat::Text),
        "json" => Ok(LogFormat::Json),
        _ => Err("must be text or json"),
    });
    Some(Log { level: level?, format: format? })
}

fn traces(mut table: Table<'_>) -> Option<Traces> {
    let endpoint = table.read("endpoint", parse_endpoint);
    let ratio_ppm = table.read("ratio", |text| {
        let parts = parse_parts(text, 1_000_000)?;
        let ppm = u32::try_from(parts).ok().filter(|ppm| *ppm <= 1_000_000);
        ppm.ok_or_else(|| "must be from 0 to 1".to_owned())
    });
    let delivery_spans_max = count(&mut table, "delivery_spans_max", 0..=100_000);
    Some(Traces { endpoint: endpoint?, ratio_ppm: ratio_ppm?, delivery_spans_max })
}

fn parse_endpoint(text: &str) -> Result<Option<String>, &'static str> {
    if text.is_empty() {
        return Ok(None);
    }
    let uri = text.parse::<http::Uri>().ok().filter(|uri| {
        // A password in front of the host would be logged.
        let authority = uri.authority().filter(|authority| !authority.as_str().contains('@'));
        authority.is_some() && matches!(uri.scheme_str(), Some("http" | "https"))
    });
    uri.map(|_| Some(text.to_owned())).ok_or(
        "must be empty, or a URL with http:// or https:// and without a password, such as \
         http://collector:4317",
    )
}

/// Parses a level, and levels for parts of the program. Each part is checked here, because the
/// library accepts a misspelt level as the name of a target.
fn parse_targets(text: &str) -> Result<Targets, &'static str> {
    let is_level = |level: &str| !level.is_empty() && level.parse::<LevelFilter>().is_ok();
    let is_valid = text.split(',').all(|part| match part.split_once('=') {
        Some((target, level)) => !target.is_empty() && is_level(level),
        None => is_level(part),
    });
    text.parse().ok().filter(|_| is_valid).ok_or(
        "must be off, error, warn, info, debug or trace, or several levels for parts of the \
         program, such as info,lodewatch::journal=debug",
    )
}
