//! Where the journal is, and how it is reached there.

use super::access;
use super::figure;
use super::problem::Problems;
use super::settings::{count, yes_or_no};
use super::table::Table;
use std::path::PathBuf;
use std::time::Duration;

/// Where the journal is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Store {
    /// In a file of the data directory, for one process.
    Embedded,
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
    /// The monitoring endpoints of the servers, `http://` with host and port: where they say whether they sync every write.
    pub monitors: Vec<String>,
    /// How long an append waits for an answer before it is given up as unknown.
    pub timeout: Duration,
    /// Whether to serve without the proof that what is acknowledged is durable.
    pub allow_weaker_durability: bool,
    /// Who we are.
    pub credentials: Credentials,
    /// PEM file of the authorities that the servers' certificates come from; `None` for those of the system.
    pub ca_file: Option<PathBuf>,
    /// PEM files of our own certificate and its key.
    pub certificate: Option<(PathBuf, PathBuf)>,
}

/// Who we are to NATS. Secrets are in files, so that no setting holds one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Credentials {
    /// Nobody.
    None,
    /// A user, and the file with the password.
    Password {
        /// By name.
        user: String,
        /// The file.
        file: PathBuf,
    },
    /// The file with a token.
    Token(PathBuf),
    /// The file with the seed of an `NKey`.
    NKey(PathBuf),
    /// A file with a JWT and its seed, as `nsc` writes it.
    File(PathBuf),
}

pub(super) fn parse(mut table: Table, problems: &mut Problems) -> Option<Store> {
    let is_shared = table.required("store", problems).and_then(|node| {
        node.read(problems, |text| match text {
            "sqlite" => Ok(false),
            "jetstream" => Ok(true),
            _ => Err("must be sqlite or jetstream".to_owned()),
        })
    });
    let stream = table.table("jetstream", problems).and_then(|table| jetstream(table, problems));
    table.finish(problems);
    let (is_shared, stream) = (is_shared?, stream?);
    Some(if is_shared { Store::JetStream(Box::new(stream)) } else { Store::Embedded })
}

fn jetstream(mut table: Table, problems: &mut Problems) -> Option<JetStream> {
    const TIMEOUT_DAYS_MAX: u64 = 1;
    const TIMEOUT_MS_MIN: u64 = 100;
    let servers = urls(&mut table, "servers", &["nats://", "tls://"], problems);
    if servers.as_ref().is_some_and(Vec::is_empty) {
        table.refuse("servers", problems, "must not be empty".to_owned());
    }
    let monitors = urls(&mut table, "monitors", &["http://"], problems);
    let stream = table.required("stream", problems).and_then(|node| node.read(problems, name));
    let replicas = count(&mut table, "replicas", 1..=5, problems);
    let timeout = table.required("timeout", problems).and_then(|node| {
        node.read(problems, |text| {
            let millis = figure::millis(text, TIMEOUT_DAYS_MAX)?;
            let allowed = Some(millis).filter(|millis| *millis >= TIMEOUT_MS_MIN);
            allowed.ok_or_else(|| format!("must be {TIMEOUT_MS_MIN}ms at least"))
        })
    });
    let weaker = table
        .required("allow_weaker_durability", problems)
        .and_then(|node| node.read(problems, yes_or_no));
    let credentials = credentials(&mut table, problems);
    let mut file = |key| access::file(&mut table, key, problems).ok();
    let (ca_file, cert_file, key_file) = (file("ca_file"), file("cert_file"), file("key_file"));
    let certificate = match (cert_file?, key_file?) {
        (Some(certificate), Some(key)) => Some((certificate, key)),
        (None, None) => None,
        _ => {
            table.refuse("", problems, "cert_file and key_file are set together".to_owned());
            None
        }
    };
    table.finish(problems);
    Some(JetStream {
        servers: servers?,
        stream: stream?,
        replicas: replicas?,
        monitors: monitors?,
        timeout: timeout.map(Duration::from_millis)?,
        allow_weaker_durability: weaker?,
        credentials: credentials?,
        ca_file: ca_file?,
        certificate,
    })
}

fn credentials(table: &mut Table, problems: &mut Problems) -> Option<Credentials> {
    let mut text = |key| {
        let node = table.required(key, problems)?;
        node.read(problems, |text| Ok(text.to_owned()))
    };
    let user = text("user")?;
    let [password, token, nkey, file] =
        ["password_file", "token_file", "nkey_file", "credentials_file"].map(&mut text);
    let (password, token, nkey, file) = (password?, token?, nkey?, file?);
    if user.is_empty() != password.is_empty() {
        table.refuse("", problems, "user and password_file are set together".to_owned());
        return None;
    }
    let ways = [
        (!user.is_empty()).then(|| Credentials::Password { user, file: password.into() }),
        (!token.is_empty()).then(|| Credentials::Token(token.into())),
        (!nkey.is_empty()).then(|| Credentials::NKey(nkey.into())),
        (!file.is_empty()).then(|| Credentials::File(file.into())),
    ];
    let mut ways = ways.into_iter().flatten();
    let first = ways.next().unwrap_or(Credentials::None);
    if ways.next().is_some() {
        let fault = "only one of user, token_file, nkey_file and credentials_file may be set";
        table.refuse("", problems, fault.to_owned());
        return None;
    }
    Some(first)
}

/// A list of addresses, each with a scheme and a port.
fn urls(
    table: &mut Table,
    key: &'static str,
    schemes: &[&str],
    problems: &mut Problems,
) -> Option<Vec<String>> {
    let nodes = table.required(key, problems)?.list(problems);
    let read = |text: &str| {
        let rest = schemes.iter().find_map(|scheme| text.strip_prefix(scheme));
        let is_address = rest.and_then(|rest| rest.rsplit_once(':')).is_some_and(|(host, port)| {
            !host.is_empty() && !host.contains(['/', '@']) && port.parse::<u16>().is_ok()
        });
        let example = schemes.iter().map(|scheme| format!("{scheme}HOST:PORT"));
        let example = example.collect::<Vec<_>>().join(" or ");
        if is_address { Ok(text.to_owned()) } else { Err(format!("must be {example}")) }
    };
    let urls: Vec<_> = nodes.iter().map(|node| node.read(problems, read)).collect();
    urls.into_iter().collect()
}

/// A name that NATS takes for a stream, and that can be part of a subject.
fn name(text: &str) -> Result<String, String> {
    const CHARS_MAX: usize = 32;
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
    if !text.is_empty() && text.len() <= CHARS_MAX && text.chars().all(fits) {
        Ok(text.to_owned())
    } else {
        Err(format!("must be 1 to {CHARS_MAX} of A-Z a-z 0-9 _ -"))
    }
}
