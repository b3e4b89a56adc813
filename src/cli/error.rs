//! Why a command failed: `<what failed>: <cause>; <what to do>`.

use crate::{archive, config, feed_sync, journal, server, sinks};
use std::fmt::Write;
use std::io;
use std::path::{Path, PathBuf};
use tonic::{Code, Status};
use tonic_types::StatusExt;

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error(transparent)]
    Client(#[from] lodewatch_client::Error),
    /// The server answered a call with an error.
    #[error("cannot {operation}: {}", describe(status))]
    Call { operation: String, status: Box<Status> },
    #[error("the server is not ready: its health status is {status}")]
    NotReady { status: &'static str },
    #[error("invalid value for {argument}: {problem}")]
    Argument { argument: String, problem: String },
    #[error(
        "cannot print CSV: this command does not print a list; use --output json, or table where \
         it prints for people"
    )]
    NoCsv,
    #[error(
        "cannot print the bill of materials: this binary was built without the versions of \
         Cargo.lock; build it with --locked"
    )]
    NoLinkedCrates,
    #[error(
        "cannot start top: standard output is not a terminal; use `lodewatch markets` for the same \
         markets, `lodewatch watch` for alerts"
    )]
    NoTerminal,
    #[error("cannot start the threads of the program")]
    Runtime(#[source] io::Error),
    #[error("cannot read {}", path.display())]
    Read { path: PathBuf, source: io::Error },
    #[error("cannot read {}: it has more than {max} bytes, which is the limit", path.display())]
    FileTooLarge { path: PathBuf, max: u64 },
    /// `line` counts from 1.
    #[error("cannot read {}, line {line}: {problem}", path.display())]
    Line { path: PathBuf, line: usize, problem: String },
    #[error("cannot parse {}", path.display())]
    Import { path: PathBuf, source: lodewatch_importers::Error },
    #[error("cannot create the identity: {0}")]
    Identity(lodewatch_toml_reader::Problems),
    #[error(transparent)]
    Forward(sinks::Error),
    #[error(transparent)]
    FeedSync(#[from] feed_sync::Error),
    #[error(transparent)]
    Config(#[from] config::Error),
    #[error(transparent)]
    Server(#[from] server::Error),
    #[error(transparent)]
    Journal(#[from] journal::Error),
    #[error(
        "cannot open the journal: the settings name the NATS stream {stream}; use `nats stream \
         backup` and `nats stream restore` for it, or name a journal in files with --data-dir"
    )]
    NotInFiles { stream: String },
    #[error(transparent)]
    Archive(#[from] archive::Error),
    /// The system rejected a file, directory, port or signal handler.
    #[error("{failure}")]
    System { failure: String, source: io::Error },
    #[error("cannot write to standard output")]
    Output(#[from] io::Error),
}

impl Error {
    /// A call failed; `operation` is a verb with its object, such as `list alerts`.
    pub(super) fn call(operation: impl Into<String>) -> impl FnOnce(Status) -> Self {
        let operation = operation.into();
        move |status| {
            let status = Box::new(lodewatch_client::explain_too_large(status));
            Self::Call { operation, status }
        }
    }

    /// A system call failed; `failure` is a whole phrase, such as `cannot listen on …`.
    pub(super) fn system(failure: impl Into<String>) -> impl FnOnce(io::Error) -> Self {
        let failure = failure.into();
        move |source| Self::System { failure, source }
    }

    pub(super) fn read(path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Read { path, source }
    }

    pub(super) fn import(path: &Path) -> impl FnOnce(lodewatch_importers::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Import { path, source }
    }

    /// Whether the same call may succeed later.
    pub(super) fn is_transient(&self) -> bool {
        let is_transient = |status: &Status| lodewatch_client::retry_delay(status).is_some();
        matches!(self, Self::Client(lodewatch_client::Error::Connect { .. }))
            || matches!(self, Self::Call { status, .. } if is_transient(status))
    }

    /// Whether the command was used wrongly.
    pub fn is_usage(&self) -> bool {
        matches!(self, Self::NoCsv | Self::NoTerminal)
    }

    /// Whether the reader of stdout has gone, which is not a failure.
    pub fn is_broken_pipe(&self) -> bool {
        matches!(self, Self::Output(error) if error.kind() == io::ErrorKind::BrokenPipe)
    }
}

fn has_reason(status: &Status, reason: &str) -> bool {
    status.get_details_error_info().is_some_and(|info| info.reason == reason)
}

/// The server's message, each invalid field on a line of its own, and what to do.
fn describe(status: &Status) -> String {
    let mut text = String::new();
    let fields =
        status.get_details_bad_request().map(|bad| bad.field_violations).unwrap_or_default();
    if fields.is_empty() {
        text.push_str(status.message());
    } else {
        text.push_str("rejected");
        for field in fields {
            // Writing to a string cannot fail.
            let _ = write!(text, "\n  {}: {}", field.field, field.description);
        }
    }
    text.push_str(match status.code() {
        Code::Unavailable => "; retry, or use another server",
        Code::FailedPrecondition if has_reason(status, "CURSOR_OF_ANOTHER_JOURNAL") => {
            "; start again with a snapshot, or check that this is the right server with the right \
             data"
        }
        Code::FailedPrecondition => "; read the current state, then retry",
        Code::OutOfRange if has_reason(status, "CURSOR_LOST") => {
            "; start from the oldest cursor named, or with a snapshot"
        }
        Code::ResourceExhausted if lodewatch_client::retry_delay(status).is_some() => {
            "; send less, then retry"
        }
        Code::Unauthenticated => {
            "; pass a token with --token-file or LODEWATCH_TOKEN, or a certificate with --cert and \
             --key"
        }
        Code::PermissionDenied => "; ask the operator of the server for access",
        Code::Cancelled | Code::Unknown | Code::Internal => {
            "; the connection was closed before a response: retry; if the server uses TLS, use \
             https://HOST:PORT or name its authority with --ca"
        }
        Code::Ok
        | Code::InvalidArgument
        | Code::ResourceExhausted
        | Code::DeadlineExceeded
        | Code::NotFound
        | Code::AlreadyExists
        | Code::Aborted
        | Code::OutOfRange
        | Code::Unimplemented
        | Code::DataLoss => "",
    });
    text
}
