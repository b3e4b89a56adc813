//! As whom the command line talks to servers, and how tokens are made.

use super::arguments::{Credentials, NewToken};
use super::error::Error;
use super::output;
use crate::access::Identities;
use crate::access::token::{Token, TokenHash};
use crate::config;
use lodewatch_client::Bearer;
use std::fmt::Write;
use std::path::Path;

/// Reads the files that were named, and the environment's token where none was.
pub(super) fn read(arguments: &Credentials) -> Result<lodewatch_client::Credentials, Error> {
    let Credentials { token_file, ca, cert, key } = arguments;
    let bytes = |path: &Path| {
        std::fs::read(path).map_err(|source| Error::Read { path: path.to_owned(), source })
    };
    let token = match token_file {
        Some(path) => Some(String::from_utf8_lossy(&bytes(path)?).into_owned()),
        None => config::token(),
    };
    let bearer = token.map(|token| Bearer::new(&token)).transpose()?.unwrap_or_default();
    let ca = ca.as_deref().map(bytes).transpose()?;
    let certificate = match cert.as_deref().zip(key.as_deref()) {
        Some((certificate, key)) => Some((bytes(certificate)?, bytes(key)?)),
        None => None,
    };
    Ok(lodewatch_client::Credentials { bearer, ca, certificate })
}

/// Prints a new token on standard output, and its entry for the file of identities on standard error.
pub(super) fn new_token(arguments: &NewToken) -> Result<(), Error> {
    let NewToken { name, role, feed, mineral } = arguments;
    let token = Token::new();
    let list = |values: &[String]| {
        values.iter().map(|value| format!("{value:?}")).collect::<Vec<_>>().join(", ")
    };
    let mut entry = format!("[[identities]]\nname = {name:?}\nroles = [{}]\n", list(role));
    for (key, values) in [("feeds", feed), ("minerals", mineral)] {
        if !values.is_empty() {
            // Writing to a string cannot fail.
            let _ = writeln!(entry, "{key} = [{}]", list(values));
        }
    }
    let _ = write!(entry, "token_sha256 = [\"{}\"]", TokenHash::of(token.reveal()));
    Identities::parse(&entry).map_err(Error::Identity)?;
    anstream::eprintln!("{entry}");
    Ok(output::line(token.reveal())?)
}
