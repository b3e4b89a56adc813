//! What the user reads when something did not work: what was tried, why it failed, what to do.

use crate::{archive, config, feed_sync, journal, server, sinks};
use std::fmt::Write;
use std::path::PathBuf;
use tonic::{Code, Status};
use tonic_types::StatusExt;

/// Why a command failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No connection.
    #[error(transparent)]
    Client(#[from] lodewatch_client::Error),
    /// The server refused.
    #[error("{doing}: {}", explain(status))]
    Refused {
        /// What was tried.
        doing: String,
        /// What the server said.
        status: Box<Status>,
    },
    /// It answers, but is not ready.
    #[error("the server is not well: {status}")]
    Unwell {
        /// What it says of itself.
        status: &'static str,
    },
    /// CSV was asked for where there is no list.
    #[error(
        "--output csv is for lists, and this is none: json is possible, and table where it prints for people"
    )]
    NoRows,
    /// The board was asked for where it cannot be drawn.
    #[error(
        "top draws on a terminal, and this is none: `lodewatch markets` prints the same markets, `lodewatch watch` alerts as they \
         come"
    )]
    NoTerminal,
    /// A file cannot be read.
    #[error("{} cannot be read", path.display())]
    Read {
        /// Which.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A file is larger than anything that is known.
    #[error("{} has {bytes} bytes; at most {max} are read", path.display())]
    TooLarge {
        /// Which.
        path: PathBuf,
        /// How many it has.
        bytes: u64,
        /// How many it may have.
        max: u64,
    },
    /// A line of a file is not what it should be.
    #[error("{}, line {line}: {why}", path.display())]
    Line {
        /// Which file.
        path: PathBuf,
        /// Which line, from 1.
        line: usize,
        /// Why.
        why: String,
    },
    /// A file to import is not what it should be.
    #[error("{} cannot be used", path.display())]
    Import {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: lodewatch_importers::Error,
    },
    /// There can be no such identity.
    #[error("there can be no such identity: {0}")]
    Identity(lodewatch_toml_reader::Problems),
    /// Alerts cannot be handed on.
    #[error(transparent)]
    Forward(sinks::Error),
    /// Sources cannot be kept in sync.
    #[error(transparent)]
    Intake(#[from] feed_sync::Error),
    /// The configuration is wrong.
    #[error(transparent)]
    Config(#[from] config::Error),
    /// The server does not run.
    #[error(transparent)]
    Server(#[from] server::Error),
    /// A journal cannot be read or written.
    #[error(transparent)]
    Journal(#[from] journal::Error),
    /// The journal of the settings is in no file.
    #[error(
        "the journal is the stream {stream} of NATS, which `nats stream backup` and `nats stream restore` look after; this \
         command is for journals in files: name one with --data-dir"
    )]
    NotAFile {
        /// The stream.
        stream: String,
    },
    /// An archive cannot be deleted.
    #[error(transparent)]
    Archive(#[from] archive::Error),
    /// A directory or port cannot be had.
    #[error("{doing}")]
    System {
        /// What was tried.
        doing: String,
        /// Why it failed.
        source: std::io::Error,
    },
    /// Nothing can be printed.
    #[error("standard output cannot be written")]
    Output(#[from] std::io::Error),
}

impl Error {
    /// From an answer of the server to `doing`.
    pub(super) fn refused(doing: impl Into<String>) -> impl FnOnce(Status) -> Self {
        let doing = doing.into();
        move |status| Self::Refused { doing, status: Box::new(status) }
    }

    /// Whether the same may succeed later.
    pub(super) fn may_pass(&self) -> bool {
        let refused = |status: &Status| lodewatch_client::retry_delay(status).is_some();
        matches!(self, Self::Client(lodewatch_client::Error::Connect { .. }))
            || matches!(self, Self::Refused { status, .. } if refused(status))
    }

    /// Whether something was asked for that cannot be.
    pub fn is_usage(&self) -> bool {
        matches!(self, Self::NoRows | Self::NoTerminal)
    }

    /// Whether the reader of our output has gone, which is no failure.
    pub fn is_broken_pipe(&self) -> bool {
        matches!(self, Self::Output(error) if error.kind() == std::io::ErrorKind::BrokenPipe)
    }
}

/// Whether a cursor was shown to a server that has another journal.
fn is_of_another_journal(status: &Status) -> bool {
    let info = status.get_details_error_info();
    info.is_some_and(|info| info.reason == "CURSOR_OF_ANOTHER_JOURNAL")
}

/// The server's words, every bad field on a line of its own, and what to do.
fn explain(status: &Status) -> String {
    let mut text = String::new();
    let fields =
        status.get_details_bad_request().map(|bad| bad.field_violations).unwrap_or_default();
    if fields.is_empty() {
        text.push_str(status.message());
    } else {
        text.push_str("refused");
        for field in fields {
            // Writing to a string cannot fail.
            let _ = write!(text, "\n  {}: {}", field.field, field.description);
        }
    }
    text.push_str(match status.code() {
        Code::Unavailable => "\n  try again in a moment, or at another server",
        Code::FailedPrecondition if is_of_another_journal(status) => {
            "\n  begin anew, with a snapshot; where that is not meant: is it the right server, on the right data?"
        }
        Code::FailedPrecondition => "\n  read it again, then retry",
        Code::OutOfRange => "\n  start from the oldest cursor named, or with a snapshot",
        Code::ResourceExhausted => "\n  slow down, then retry",
        Code::Unauthenticated => {
            "\n  name a token with --token-file or LODEWATCH_TOKEN, or a certificate with --cert and --key"
        }
        Code::PermissionDenied => "\n  ask whoever keeps the server's file of identities",
        Code::Cancelled | Code::Unknown | Code::Internal => {
            "\n  the connection was cut before an answer: try again; where the server speaks TLS, write https://HOST:PORT or \
             name its authority with --ca"
        }
        Code::Ok
        | Code::InvalidArgument
        | Code::DeadlineExceeded
        | Code::NotFound
        | Code::AlreadyExists
        | Code::Aborted
        | Code::Unimplemented
        | Code::DataLoss => "",
    });
    text
}
