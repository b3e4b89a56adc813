//! The stream: what it must be, made where it is missing and checked where it is there.

use super::super::{Damage, Error, Place, new_epoch};
use super::connection::{self, REQUEST};
use super::message::{Mark, Message};
use crate::config::JetStream as Settings;
use crate::domain::{Epoch, Seq};
use async_nats::jetstream::context::{CreateStreamErrorKind, GetStreamErrorKind, PublishErrorKind};
use async_nats::jetstream::message::PublishMessage;
use async_nats::jetstream::stream::{
    Config, DiscardPolicy, Info, PersistenceMode, RetentionPolicy, StorageType, Stream,
};
use async_nats::jetstream::{Context, ErrorCode};
use bytes::Bytes;
use std::sync::Arc;
use std::time::Duration;

/// A message of the stream, encoded, fits in as many bytes: the largest entry with everything around it, in the base64 that
/// NATS answers single reads with.
const PAYLOAD_BYTES_MIN: usize = 12 << 20;

/// For how long the stream must know the names of messages.
const NAMES_KEPT: Duration = Duration::from_mins(2);

/// The stream, and how it is talked to. Cheap to clone.
#[derive(Clone)]
pub(super) struct Store {
    pub(super) context: Context,
    pub(super) stream: Stream,
    pub(super) name: Arc<str>,
    pub(super) subject: Arc<str>,
    /// When the stream was made: it is another one where this differs.
    created: i128,
}

/// The error for a stream that cannot be the journal.
pub(super) fn unfit(settings: &Settings, faults: Vec<String>) -> Error {
    Error::Unfit { place: Place::Stream(settings.stream.as_str().into()), faults: faults.into() }
}

/// The error for a stream that does not answer.
pub(super) fn unreachable(stream: &str, why: &str) -> Error {
    Error::Unreachable { place: Place::Stream(stream.into()), why: why.into() }
}

impl Store {
    /// Connects, and makes the stream or checks the one that is there.
    ///
    /// # Errors
    ///
    /// [`Error::Unfit`] with every difference from what is needed; [`Error::Unreachable`].
    pub(super) async fn open(settings: &Settings) -> Result<Self, Error> {
        let client = connection::connect(settings).await?;
        let mut context = async_nats::jetstream::new(client);
        context.set_timeout(REQUEST);
        let stream = found_or_made(&context, settings).await?;
        let mut faults = differences(stream.cached_info(), settings);
        let allowed = context.client().server_info().max_payload;
        if allowed < PAYLOAD_BYTES_MIN {
            faults.push(format!(
                "the servers take messages of {allowed} bytes; needed are {PAYLOAD_BYTES_MIN} at least \
                 (max_payload: 16777216 in their configuration)"
            ));
        }
        if !faults.is_empty() {
            return Err(unfit(settings, faults));
        }
        Ok(Self {
            context,
            name: settings.stream.as_str().into(),
            subject: subject(settings).into(),
            created: created(stream.cached_info()),
            stream,
        })
    }

    pub(super) fn place(&self) -> Place {
        Place::Stream(Arc::clone(&self.name))
    }

    pub(super) fn unreachable(&self, why: &dyn std::fmt::Display) -> Error {
        unreachable(&self.name, &why.to_string())
    }

    pub(super) fn damaged(&self, seq: Seq, what: Damage) -> Error {
        Error::Damaged { place: self.place(), seq, what }
    }

    /// What the stream's leader says of it now.
    pub(super) async fn info(&self) -> Result<Info, Error> {
        self.stream.get_info().await.map_err(|error| self.unreachable(&error))
    }

    /// Whether this is still the stream that was opened.
    pub(super) fn is_same(&self, info: &Info) -> bool {
        created(info) == self.created
    }

    /// One message, as the stream's leader has it.
    pub(super) async fn message(&self, message: u64) -> Result<Bytes, Error> {
        let raw = self.stream.get_raw_message(message).await;
        raw.map(|raw| raw.payload).map_err(|error| self.unreachable(&error))
    }

    /// The journal's identity, which the first message is; of several who begin the journal at once, one does.
    pub(super) async fn epoch(&self) -> Result<Epoch, Error> {
        // Who finds it empty although another has begun it is refused.
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
        match Message::decode(&self.message(Mark::BEGIN.message).await?) {
            Ok(Message::Genesis(epoch)) => Ok(epoch),
            Ok(Message::Group(_)) => Err(self.damaged(Seq::ZERO, Damage::Missing)),
            Err(fault) => Err(self.damaged(Seq::ZERO, Damage::Undecodable(fault.to_string()))),
        }
    }
}

fn subject(settings: &Settings) -> String {
    format!("{}.journal", settings.stream)
}

fn created(info: &Info) -> i128 {
    info.created.unix_timestamp_nanos()
}

async fn found_or_made(context: &Context, settings: &Settings) -> Result<Stream, Error> {
    let lost = |error: &dyn std::fmt::Display| unreachable(&settings.stream, &error.to_string());
    match context.get_stream(&settings.stream).await {
        Ok(stream) => return Ok(stream),
        Err(error) => match error.kind() {
            GetStreamErrorKind::JetStream(error)
                if error.error_code() == ErrorCode::STREAM_NOT_FOUND => {}
            GetStreamErrorKind::JetStream(error) => return Err(refused(settings, &error)),
            GetStreamErrorKind::EmptyName
            | GetStreamErrorKind::Request
            | GetStreamErrorKind::InvalidStreamName => return Err(lost(&error)),
        },
    }
    match context.create_stream(wanted(settings)).await {
        Ok(stream) => {
            tracing::info!(stream = settings.stream, "the stream is made");
            Ok(stream)
        }
        Err(error) => match error.kind() {
            // Another replica was faster, with other settings: those are what is checked.
            CreateStreamErrorKind::JetStream(error)
                if error.error_code() == ErrorCode::STREAM_NAME_EXIST =>
            {
                context.get_stream(&settings.stream).await.map_err(|error| lost(&error))
            }
            CreateStreamErrorKind::JetStream(error) => Err(refused(settings, &error)),
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

/// A refusal of the servers: one that only a person can mend, or one that passes when all servers are up.
fn refused(settings: &Settings, error: &async_nats::jetstream::Error) -> Error {
    const PASSING: [ErrorCode; 4] = [
        ErrorCode::CLUSTER_NOT_AVAILABLE,
        ErrorCode::CLUSTER_NO_PEERS,
        ErrorCode::CLUSTER_INCOMPLETE,
        ErrorCode::INSUFFICIENT_RESOURCES,
    ];
    if PASSING.contains(&error.error_code()) {
        return unreachable(&settings.stream, &error.to_string());
    }
    unfit(settings, vec![format!("the servers refuse it: {error}")])
}

/// The stream as it is made.
fn wanted(settings: &Settings) -> Config {
    Config {
        name: settings.stream.clone(),
        description: Some("The journal of Lodewatch. Nothing may be taken from it.".to_owned()),
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
        duplicate_window: NAMES_KEPT,
        deny_delete: true,
        deny_purge: true,
        ..Config::default()
    }
}

/// Everything in which a stream is not what is needed.
fn differences(info: &Info, settings: &Settings) -> Vec<String> {
    let config = &info.config;
    let wanted = wanted(settings);
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
    if config.subjects != wanted.subjects {
        let (found, needed) = (config.subjects.join(", "), wanted.subjects.join(", "));
        faults.push(format!("subjects must be {needed}, and are {found}"));
    }
    if config.num_replicas != settings.replicas {
        let (found, needed) = (config.num_replicas, settings.replicas);
        faults.push(format!(
            "num_replicas is {found}, and journal.jetstream.replicas is {needed}: they must be the same"
        ));
    }
    if config.duplicate_window < NAMES_KEPT {
        let (found, needed) = (config.duplicate_window.as_secs(), NAMES_KEPT.as_secs());
        faults.push(format!("duplicate_window must be {needed} s at least, and is {found} s"));
    }
    if info.state.last_sequence > 0 && info.state.first_sequence != 1 {
        let first = info.state.first_sequence;
        faults.push(format!("its first message is number {first}: what was before it is gone"));
    }
    faults
}
