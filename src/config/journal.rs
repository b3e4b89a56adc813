//! Where the journal is, and how to connect to it.

use super::values::{count, file, flag, parse_millis, text};
use lodewatch_toml_reader::Table;
use std::path::PathBuf;
use std::time::Duration;

/// Where the journal is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Store {
    /// In an SQLite file of the data directory, for one process.
    Sqlite,
    /// In a stream of NATS, for many replicas.
    JetStream(Box<JetStream>),
}

/// A stream of NATS JetStream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JetStream {
    /// Where the servers are: `nats://` or `tls://`, host and port. At least one.
    pub servers: Vec<String>,
    /// The stream; its subject is `STREAM.journal`.
    pub stream: String,
    /// On how many servers every message is kept, 1 to 5.
    pub replicas: usize,
    /// The monitoring endpoints of the servers, `http://` with host and port: they say whether the
    /// servers sync every write.
    pub monitors: Vec<String>,
    /// How long an append waits for an answer before its outcome counts as unknown.
    pub timeout: Duration,
    /// Whether to serve where it cannot be verified that acknowledged writes are durable.
    pub allow_weaker_durability: bool,
    pub credentials: Credentials,
    /// PEM file of the authorities that sign the servers' certificates; `None` for those of the
    /// system.
    pub ca_file: Option<PathBuf>,
    /// PEM files of the client certificate and its key.
    pub certificate: Option<(PathBuf, PathBuf)>,
}

/// How to authenticate to NATS. Secrets are in files, so that no setting holds one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Credentials {
    None,
    /// A user, and the file with the password.
    Password {
        user: String,
        file: PathBuf,
    },
    /// The file with a token.
    Token(PathBuf),
    /// The file with the seed of an `NKey`.
    NKey(PathBuf),
    /// A file with a JWT and its seed, as `nsc` writes it.
    File(PathBuf),
}

/// Reads `[journal]`.
pub(super) fn parse(mut table: Table<'_>) -> Option<Store> {
    let is_shared = table.read("store", |text| match text {
        "sqlite" => Ok(false),
        "jetstream" => Ok(true),
        _ => Err("must be sqlite or jetstream"),
    });
    let stream = jetstream(table.table("jetstream")?)?;
    Some(if is_shared? { Store::JetStream(Box::new(stream)) } else { Store::Sqlite })
}

fn jetstream(mut table: Table<'_>) -> Option<JetStream> {
    const TIMEOUT_DAYS_MAX: u64 = 1;
    const TIMEOUT_MS_MIN: u64 = 100;
    let servers = urls(&mut table, "servers", &["nats://", "tls://"]);
    let monitors = urls(&mut table, "monitors", &["http://"]);
    if servers.as_ref().is_some_and(Vec::is_empty) {
        table.reject("servers", "must not be empty");
    }
    let stream = table.read("stream", parse_stream_name);
    let replicas = count(&mut table, "replicas", 1..=5);
    let timeout = table.read("timeout", |text| {
        let millis = parse_millis(text, TIMEOUT_DAYS_MAX)?;
        let allowed = Some(millis).filter(|millis| *millis >= TIMEOUT_MS_MIN);
        allowed.ok_or_else(|| format!("must be at least {TIMEOUT_MS_MIN}ms"))
    });
    let allow_weaker_durability = flag(&mut table, "allow_weaker_durability");
    let credentials = credentials(&mut table);
    let [ca_file, cert_file, key_file] =
        ["ca_file", "cert_file", "key_file"].map(|key| file(&mut table, key));
    if cert_file.is_some() != key_file.is_some() {
        table.reject("", "needs both cert_file and key_file, or neither");
    }
    Some(JetStream {
        servers: servers?,
        stream: stream?,
        replicas,
        monitors: monitors?,
        timeout: timeout.map(Duration::from_millis)?,
        allow_weaker_durability,
        credentials,
        ca_file,
        certificate: cert_file.zip(key_file),
    })
}

fn credentials(table: &mut Table<'_>) -> Credentials {
    let user = text(table, "user");
    let [password, token, nkey, credentials] =
        ["password_file", "token_file", "nkey_file", "credentials_file"]
            .map(|key| file(table, key));
    if user.is_empty() != password.is_none() {
        table.reject("", "needs both user and password_file, or neither");
    }
    let mut ways = [
        password.map(|file| Credentials::Password { user, file }),
        token.map(Credentials::Token),
        nkey.map(Credentials::NKey),
        credentials.map(Credentials::File),
    ]
    .into_iter()
    .flatten();
    let first = ways.next().unwrap_or(Credentials::None);
    if ways.next().is_some() {
        table.reject("", "may have only one of user, token_file, nkey_file and credentials_file");
    }
    first
}

/// A list of addresses, each with a scheme and a port.
fn urls(table: &mut Table<'_>, key: &'static str, schemes: &[&str]) -> Option<Vec<String>> {
    let read = |text: &str| {
        let rest = schemes.iter().find_map(|scheme| text.strip_prefix(scheme));
        let is_address = rest.and_then(|rest| rest.rsplit_once(':')).is_some_and(|(host, port)| {
            !host.is_empty() && !host.contains(['/', '@']) && port.parse::<u16>().is_ok()
        });
        let example = schemes.iter().map(|scheme| format!("{scheme}HOST:PORT"));
        let example = example.collect::<Vec<_>>().join(" or ");
        if is_address { Ok(text.to_owned()) } else { Err(format!("must be {example}")) }
    };
    let found = table.collector().len();
    let urls = table.required(key)?.split_at_commas().read_list(read);
    (table.collector().len() == found).then_some(urls)
}

/// A name that NATS accepts for a stream, and that can be part of a subject.
fn parse_stream_name(text: &str) -> Result<String, String> {
    const CHARS_MAX: usize = 32;
    let is_allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
    if !text.is_empty() && text.len() <= CHARS_MAX && text.chars().all(is_allowed) {
        Ok(text.to_owned())
    } else {
        Err(format!("must be 1 to {CHARS_MAX} of A-Z a-z 0-9 _ -"))
    }
}
