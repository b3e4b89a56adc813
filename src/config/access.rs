//! Encryption and authentication.

use super::values::{file, text};
use lodewatch_toml_reader::Table;
use std::path::PathBuf;

/// TLS. All files are PEM, and are read again while the server runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tls {
    /// The server's certificate, and those between it and its authority.
    pub certificate: PathBuf,
    pub key: PathBuf,
    /// The authorities whose client certificates are accepted; `None` asks for no certificate.
    pub client_ca: Option<PathBuf>,
}

/// Authentication.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Access {
    /// The file of identities; `None` where every caller is an operator.
    pub identities: Option<PathBuf>,
    pub jwt: Option<Jwt>,
}

/// JSON web tokens that are accepted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Jwt {
    pub issuer: String,
    pub audience: String,
    /// The issuer's keys: the path of a file, or a URL.
    pub keys: String,
    /// The claim that holds the roles.
    pub roles_claim: String,
}

/// Reads `[tls]`; `None` where connections are not encrypted.
pub(super) fn tls(mut table: Table<'_>) -> Option<Tls> {
    let found = table.collector().len();
    let [certificate, key, client_ca] =
        ["certificate", "key", "client_ca"].map(|key| file(&mut table, key));
    match (certificate, key) {
        (Some(certificate), Some(key)) => Some(Tls { certificate, key, client_ca }),
        (None, None) if client_ca.is_none() => None,
        _ => {
            if table.collector().len() == found {
                table.reject(
                    "",
                    "needs both certificate and key, or none of certificate, key and client_ca",
                );
            }
            None
        }
    }
}

/// Reads `[access]`.
pub(super) fn access(mut table: Table<'_>) -> Option<Access> {
    let identities = file(&mut table, "identities");
    let jwt = jwt(table.table("jwt")?);
    if jwt.is_some() && identities.is_none() {
        table.reject("identities", "is missing; it maps the claims of access.jwt to roles");
    }
    Some(Access { identities, jwt })
}

fn jwt(mut table: Table<'_>) -> Option<Jwt> {
    let found = table.collector().len();
    let [issuer, audience, keys, roles_claim] =
        ["issuer", "audience", "keys", "roles_claim"].map(|key| text(&mut table, key));
    let given = [&issuer, &audience, &keys].map(|text| !text.is_empty());
    if given == [false; 3] {
        return None;
    }
    if given == [true; 3] && !roles_claim.is_empty() {
        return Some(Jwt { issuer, audience, keys, roles_claim });
    }
    if table.collector().len() == found {
        table
            .reject("", "needs issuer, audience, keys and roles_claim, or none of the first three");
    }
    None
}
