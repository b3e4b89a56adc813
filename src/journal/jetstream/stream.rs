//! The stream: creates it where it is missing, else checks its settings.

use super::super::data_dir::new_epoch;
use super::super::error::{Damage, Error, JournalLocation};
use super::connection::{self, REQUEST_TIMEOUT};
use super::message::{Message, StreamPosition};
use crate::config::JetStream as Settings;
use async_nats::jetstream::context::{CreateStreamErrorKind, GetStreamErrorKind, PublishErrorKind};
use async_nats::jetstream::message::PublishMessage;
use async_nats::jetstream::stream::{
    Config, DiscardPolicy, Info, PersistenceMode, RetentionPolicy, StorageType, Stream,
};
use async_nats::jetstream::{Context, ErrorCode};
use bytes::Bytes;
use lodewatch_core::domain::{Epoch, Seq};
use std::sync::Arc;
use std::time::Duration;

/// An encoded message of the stream fits in this many bytes: the largest entry with its envelope,
/// in the base64 of NATS's answers to single reads.
const PAYLOAD_BYTES_MIN: usize = 12 << 20;

/// How long the stream must remember the names of messages, to recognize duplicates.
const DUPLICATE_WINDOW_MIN: Duration = Duration::from_mins(2);

/// Reads and checks the stream. Cheap to clone.
#[derive(Clone)]
pub(super) struct StreamClient {
    pub(super) context: Context,
    pub(super) stream: Stream,
    pub(super) name: Arc<str>,
    pub(super) subject: Arc<str>,
    /// When the stream was created: another time means another stream.
    created: i128,
}

pub(super) fn unsuitable(settings: &Settings, faults: Vec<String>) -> Error {
    let location = JournalLocation::Stream(settings.stream.as_str().into());
    Error::Unsuitable { location, faults: faults.into() }
}

pub(super) fn unreachable(stream: &str, cause: &str) -> Error {
    Error::Unreachable { location: JournalLocation::Stream(stream.into()), cause: cause.into() }
}

impl StreamClient {
    /// Connects, and creates the stream or checks the existing one.
    ///
    /// # Errors
    ///
    /// [`Error::Unsuitable`] with every difference from what is needed; [`Error::Unreachable`].
    pub(super) async fn open(settings: &Settings) -> Result<Self, Error> {
        let client = connection::connect(settings).await?;
        let mut context = async_nats::jetstream::new(client);
        context.set_timeout(REQUEST_TIMEOUT);
        let stream = find_or_create(&context, settings).await?;
        let mut faults = differences(stream.cached_info(), settings);
        let allowed = context.client().server_info().max_payload;
        if allowed < PAYLOAD_BYTES_MIN {
            faults.push(format!(
                "the servers' max_payload must be at least {PAYLOAD_BYTES_MIN} bytes, and is \
                 {allowed}; set max_payload: 16777216 in their configuration"
            ));
        }
        if !faults.is_empty() {
            return Err(unsuitable(settings, faults));
        }
        Ok(Self {
            context,
            name: settings.stream.as_str().into(),
            subject: subject(settings).into(),
            created: created_at(stream.cached_info()),
            stream,
        })
    }

    pub(super) fn location(&self) -> JournalLocation {
        JournalLocation::Stream(Arc::clone(&self.name))
    }

    pub(super) fn unreachable(&self, cause: &dyn std::fmt::Display) -> Error {
        unreachable(&self.name, &cause.to_string())
    }

    pub(super) fn damaged(&self, seq: Seq, damage: Damage) -> Error {
        Error::Damaged { location: self.location(), seq, damage }
    }

    /// The current report of the stream's leader.
    pub(super) async fn fetch_info(&self) -> Result<Info, Error> {
        self.stream.get_info().await.map_err(|error| self.unreachable(&error))
    }

    /// Whether this is still the stream that was opened.
    pub(super) fn is_same_stream(&self, info: &Info) -> bool {
        created_at(info) == self.created
    }

    /// One message, from the stream's leader.
    pub(super) async fn fetch_message(&self, message: u64) -> Result<Bytes, Error> {
        let raw = self.stream.get_raw_message(message).await;
        raw.map(|raw| raw.payload).map_err(|error| self.unreachable(&error))
    }

    /// The journal's identity, which the first message contains. Of several replicas that begin the
    /// journal at once, one succeeds.
    pub(super) async fn read_epoch(&self) -> Result<Epoch, Error> {
        // The stream rejects the message where another replica has sent one since.
        if self.stream.cached_info().state.last_sequence == 0 {
            let genesis = Message::Genesis(new_epoch()).encode();
            let publish = PublishMessage::build().payload(genesis).expected_last_sequence(0);
            let sent =
                async { self.context.send_publish(self.subject.to_string(), publish).await?.await };
            match sent.await {
                Ok(_) => {}
                // Another replica was faster.
                Err(error) if error.kind() == PublishErrorKind::WrongLastSequence => {}
                Err(error) => return Err(self.unreachable(&error)),
            }
        }
        match Message::decode(&self.fetch_message(StreamPosition::START.message).await?) {
            Ok(Message::Genesis(epoch)) => Ok(epoch),
            Ok(Message::Entries(_)) => Err(self.damaged(Seq::ZERO, Damage::Missing)),
            Err(error) => Err(self.damaged(Seq::ZERO, Damage::Undecodable(error.to_string()))),
        }
    }
}

fn subject(settings: &Settings) -> String {
    format!("{}.journal", settings.stream)
}

fn created_at(info: &Info) -> i128 {
    info.created.unix_timestamp_nanos()
}

async fn find_or_create(context: &Context, settings: &Settings) -> Result<Stream, Error> {
    let lost = |error: &dyn std::fmt::Display| unreachable(&settings.stream, &error.to_string());
    match context.get_stream(&settings.stream).await {
        Ok(stream) => return Ok(stream),
        Err(error) => match error.kind() {
            GetStreamErrorKind::JetStream(error)
                if error.error_code() == ErrorCode::STREAM_NOT_FOUND => {}
            GetStreamErrorKind::JetStream(error) => return Err(rejected(settings, &error)),
            GetStreamErrorKind::EmptyName
            | GetStreamErrorKind::Request
            | GetStreamErrorKind::InvalidStreamName => return Err(lost(&error)),
        },
    }
    match context.create_stream(required_config(settings)).await {
        Ok(stream) => {
            tracing::info!(stream = settings.stream, "stream created");
            Ok(stream)
        }
        Err(error) => match error.kind() {
            // Another replica was faster, with other settings: those are what is checked.
            CreateStreamErrorKind::JetStream(error)
                if error.error_code() == ErrorCode::STREAM_NAME_EXIST =>
            {
                context.get_stream(&settings.stream).await.map_err(|error| lost(&error))
            }
            CreateStreamErrorKind::JetStream(error) => Err(rejected(settings, &error)),
            CreateStreamErrorKind::EmptyStreamName
            | CreateStreamErrorKind::InvalidStreamName
            | CreateStreamErrorKind::DomainAndExternalSet
            | CreateStreamErrorKind::JetStreamUnavailable
            | CreateStreamErrorKind::TimedOut
            | CreateStreamErrorKind::Response
            | CreateStreamErrorKind::NotFound
            | CreateStreamErrorKind::ResponseParse => Err(lost(&error)),
        },
    }
}

/// A request that the servers rejected: for good, or until all servers are available.
fn rejected(settings: &Settings, error: &async_nats::jetstream::Error) -> Error {
    const TRANSIENT: [ErrorCode; 4] = [
        ErrorCode::CLUSTER_NOT_AVAILABLE,
        ErrorCode::CLUSTER_NO_PEERS,
        ErrorCode::CLUSTER_INCOMPLETE,
        ErrorCode::INSUFFICIENT_RESOURCES,
    ];
    if TRANSIENT.contains(&error.error_code()) {
        return unreachable(&settings.stream, &error.to_string());
    }
    unsuitable(settings, vec![format!("the servers reject the request: {error}")])
}

/// The settings of a stream that Lodewatch creates.
fn required_config(settings: &Settings) -> Config {
    Config {
        name: settings.stream.clone(),
        description: Some("The journal of Lodewatch. Do not delete messages.".to_owned()),
        subjects: vec![subject(settings)],
        storage: StorageType::File,
        num_replicas: settings.replicas,
        retention: RetentionPolicy::Limits,
        discard: DiscardPolicy::New,
        max_bytes: -1,
        max_messages: -1,
        max_messages_per_subject: -1,
        max_message_size: -1,
        max_consumers: -1,
        duplicate_window: DUPLICATE_WINDOW_MIN,
        deny_delete: true,
        deny_purge: true,
        ..Config::default()
    }
}

/// Every setting of the stream that is not as required.
fn differences(info: &Info, settings: &Settings) -> Vec<String> {
    let config = &info.config;
    let required = required_config(settings);
    let checks = [
        ("storage", config.storage == StorageType::File, "file"),
        ("retention", config.retention == RetentionPolicy::Limits, "limits"),
        ("discard", config.discard == DiscardPolicy::New, "new"),
        ("max_age", config.max_age.is_zero(), "0"),
        ("max_bytes", config.max_bytes <= 0, "-1"),
        ("max_msgs", config.max_messages <= 0, "-1"),
        ("max_msgs_per_subject", config.max_messages_per_subject <= 0, "-1"),
        ("max_msg_size", config.max_message_size <= 0, "-1"),
        ("deny_delete", config.deny_delete, "true"),
        ("deny_purge", config.deny_purge, "true"),
        ("allow_rollup_hdrs", !config.allow_rollup, "false"),
        ("no_ack", !config.no_ack, "false"),
        ("sealed", !config.sealed, "false"),
        ("mirror", config.mirror.is_none(), "none"),
        ("sources", config.sources.as_ref().is_none_or(Vec::is_empty), "none"),
        ("subject_transform", config.subject_transform.is_none(), "none"),
        ("persist_mode", config.persist_mode != Some(PersistenceMode::Async), "default"),
    ];
    let mut faults: Vec<String> = checks
        .iter()
        .filter(|(_, fits, _)| !fits)
        .map(|(name, _, needed)| format!("{name} must be {needed}"))
        .collect();
    if config.subjects != required.subjects {
        let (found, needed) = (config.subjects.join(", "), required.subjects.join(", "));
        faults.push(format!("subjects must be {needed}, and are {found}"));
    }
    if config.num_replicas != settings.replicas {
        let (found, needed) = (config.num_replicas, settings.replicas);
        faults.push(format!(
            "num_replicas is {found}, but journal.jetstream.replicas is {needed}; set both to the \
             same number"
        ));
    }
    if config.duplicate_window < DUPLICATE_WINDOW_MIN {
        let (found, needed) = (config.duplicate_window.as_secs(), DUPLICATE_WINDOW_MIN.as_secs());
        faults.push(format!("duplicate_window must be at least {needed} s, and is {found} s"));
    }
    if info.state.last_sequence > 0 && info.state.first_sequence != 1 {
        let first = info.state.first_sequence;
        faults.push(format!(
            "messages before message {first} were deleted; restore a backup of the stream"
        ));
    }
    faults
}
