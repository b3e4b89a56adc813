//! Who is let in and how connections are encrypted: nothing is open to other machines by oversight.

use super::problem::Problems;
use super::table::{Node, Table};
use std::net::SocketAddr;
use std::path::PathBuf;

/// TLS. All files are PEM, and read again while the server runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tls {
    /// The server's certificate, and those between it and its authority.
    pub certificate: PathBuf,
    /// Its private key.
    pub key: PathBuf,
    /// The authorities whose client certificates are taken; `None` where none are asked for.
    pub client_ca: Option<PathBuf>,
}

/// Who is let in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Access {
    /// The file of identities; `None` where everybody is let in as operator.
    pub identities: Option<PathBuf>,
    /// JSON web tokens; `None` where none are taken.
    pub jwt: Option<Jwt>,
}

/// JSON web tokens that are taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Jwt {
    /// Who must have issued them.
    pub issuer: String,
    /// For whom they must be.
    pub audience: String,
    /// Where the issuer's keys are: the path of a file, or a URL.
    pub keys: String,
    /// The claim that holds the roles.
    pub roles_claim: String,
}

/// The port for probes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Health {
    /// Where `grpc.health.v1` and nothing else is served in the clear; `None` for nowhere.
    pub listen: Option<SocketAddr>,
}

/// The port for metrics.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Metrics {
    /// Where `/metrics` and nothing else is served in the clear, over HTTP/1.1; `None` for nowhere.
    pub listen: Option<SocketAddr>,
}

/// It was faulty, and that is noted.
pub(super) struct Faulty;

/// Reads `[tls]`.
pub(super) fn tls(table: Option<Table>, problems: &mut Problems) -> Result<Option<Tls>, Faulty> {
    let mut table = table.ok_or(Faulty)?;
    let certificate = file(&mut table, "certificate", problems);
    let (key, client_ca) =
        (file(&mut table, "key", problems), file(&mut table, "client_ca", problems));
    table.finish(problems);
    match (certificate?, key?, client_ca?) {
        (Some(certificate), Some(key), client_ca) => Ok(Some(Tls { certificate, key, client_ca })),
        (None, None, None) => Ok(None),
        (Some(_), None, _) | (None, Some(_), _) | (None, None, Some(_)) => {
            let fault = "needs both certificate and key, or none of certificate, key and client_ca";
            table.refuse("", problems, fault.to_owned());
            Err(Faulty)
        }
    }
}

/// Reads `[access]`.
pub(super) fn access(table: Option<Table>, problems: &mut Problems) -> Result<Access, Faulty> {
    let mut table = table.ok_or(Faulty)?;
    let identities = file(&mut table, "identities", problems);
    let jwt = jwt(table.table("jwt", problems), problems);
    table.finish(problems);
    let (identities, jwt) = (identities?, jwt?);
    if jwt.is_some() && identities.is_none() {
        let fault = "is missing; it says what the claims of access.jwt stand for";
        table.refuse("identities", problems, fault.to_owned());
        return Err(Faulty);
    }
    Ok(Access { identities, jwt })
}

fn jwt(table: Option<Table>, problems: &mut Problems) -> Result<Option<Jwt>, Faulty> {
    let mut table = table.ok_or(Faulty)?;
    let mut text = |key| {
        let node = table.required(key, problems).ok_or(Faulty)?;
        node.read(problems, |text| Ok(text.to_owned())).ok_or(Faulty)
    };
    let (issuer, audience, keys) = (text("issuer"), text("audience"), text("keys"));
    let roles_claim = text("roles_claim");
    table.finish(problems);
    let jwt = Jwt { issuer: issuer?, audience: audience?, keys: keys?, roles_claim: roles_claim? };
    let given = [&jwt.issuer, &jwt.audience, &jwt.keys].map(|text| !text.is_empty());
    if given == [false; 3] {
        return Ok(None);
    }
    if given == [true; 3] && !jwt.roles_claim.is_empty() {
        return Ok(Some(jwt));
    }
    let fault = "needs issuer, audience, keys and roles_claim, or none of the first three";
    table.refuse("", problems, fault.to_owned());
    Err(Faulty)
}

/// Reads a table that says where a port of its own listens; left empty, nowhere.
pub(super) fn port(
    table: Option<Table>,
    problems: &mut Problems,
) -> Result<Option<SocketAddr>, Faulty> {
    let mut table = table.ok_or(Faulty)?;
    let listen = table.required("listen", problems);
    table.finish(problems);
    let listen = listen.and_then(|node| {
        node.read(problems, |text| (!text.is_empty()).then(|| address(text)).transpose())
    });
    listen.ok_or(Faulty)
}

/// A file's path; what is left empty is not there.
pub(super) fn file(
    table: &mut Table,
    key: &'static str,
    problems: &mut Problems,
) -> Result<Option<PathBuf>, Faulty> {
    let node = table.required(key, problems).ok_or(Faulty)?;
    let path = |text: &str| Ok((!text.is_empty()).then(|| PathBuf::from(text)));
    node.read(problems, path).ok_or(Faulty)
}

/// An address and a port.
pub(super) fn address(text: &str) -> Result<SocketAddr, String> {
    let allowed = "must be an address and a port, such as 127.0.0.1:50061 or [::]:50061";
    text.parse().map_err(|_| allowed.to_owned())
}

/// Refuses an address that other machines reach without TLS and authentication, with the lines to add.
pub(super) fn check_exposure(
    address: Option<SocketAddr>,
    listen: &Node,
    insecure: bool,
    tls: Option<&Tls>,
    access: &Access,
    problems: &mut Problems,
) {
    let is_safe = tls.is_some() && access.identities.is_some();
    if address.is_none_or(|one| one.ip().to_canonical().is_loopback()) || insecure || is_safe {
        return;
    }
    let mut fault =
        "other machines can reach it, and that needs TLS and authentication. Add:".to_owned();
    if tls.is_none() {
        fault.push_str(
            "\n    [tls]\n    certificate = \"/etc/lodewatch/tls.crt\"\n    key = \"/etc/lodewatch/tls.key\"",
        );
    }
    if access.identities.is_none() {
        fault.push_str("\n    [access]\n    identities = \"/etc/lodewatch/identities.toml\"");
    }
    fault.push_str(
        "\n  or, where something in front of it sees to both:\n    [server]\n    insecure = true",
    );
    listen.refuse(problems, fault);
}
