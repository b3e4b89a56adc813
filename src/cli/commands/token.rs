//! `token`: create bearer tokens.

use crate::access::Identities;
use crate::access::token::{Token, TokenHash};
use crate::cli::error::Error;
use crate::cli::output::print;
use clap::{Args, Subcommand};
use std::fmt::Write;

#[derive(Debug, Args)]
pub(crate) struct TokenArgs {
    #[command(subcommand)]
    command: TokenCommand,
}

#[derive(Debug, Subcommand)]
enum TokenCommand {
    /// Print a new token on standard output and its entry for the identities file on standard
    /// error: `lodewatch token new alice --role subscriber >alice.token 2>>identities.toml`.
    ///
    /// The token is not stored and cannot be printed again.
    New(NewTokenArgs),
}

#[derive(Debug, Args)]
struct NewTokenArgs {
    /// Name of the identity, as it appears in the journal and the log.
    name: String,
    /// Role: subscriber, publisher, operator; may be repeated.
    #[arg(long, required = true, value_name = "ROLE")]
    role: Vec<String>,
    /// Feed that a publisher may publish under; may be repeated.
    #[arg(long, value_name = "NAME")]
    feed: Vec<String>,
    /// Mineral that a publisher may publish about; default: all.
    #[arg(long, value_name = "NAME")]
    mineral: Vec<String>,
    /// Source of the reports that a publisher may publish; default: all.
    #[arg(long, value_name = "NAME")]
    source: Vec<String>,
}

pub(crate) fn run(args: &TokenArgs) -> Result<(), Error> {
    let TokenCommand::New(args) = &args.command;
    let token = Token::new();
    let list = |values: &[String]| {
        values.iter().map(|value| format!("{value:?}")).collect::<Vec<_>>().join(", ")
    };
    let mut entry =
        format!("[[identities]]\nname = {:?}\nroles = [{}]\n", args.name, list(&args.role));
    let grants = [("feeds", &args.feed), ("minerals", &args.mineral), ("sources", &args.source)];
    for (key, values) in grants {
        if !values.is_empty() {
            // Writing to a string cannot fail.
            let _ = writeln!(entry, "{key} = [{}]", list(values));
        }
    }
    let _ = write!(entry, "token_sha256 = [\"{}\"]", TokenHash::of(token.reveal()));
    Identities::parse(&entry).map_err(Error::Identity)?;
    anstream::eprintln!("{entry}");
    Ok(print::line(token.reveal())?)
}
