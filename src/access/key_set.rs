//! The keys of an issuer of JSON web tokens.
//!
//! One task reads them for as long as the server runs: every five minutes, so that a withdrawn key
//! stops being valid, and when a token was signed by a key that is not among them. Callers wait for
//! its result; a caller that hangs up changes nothing.

use crate::clock::Clock;
use crate::fetch::{self, AnswerLimits};
use jsonwebtoken::jwk::{Jwk, JwkSet, KeyAlgorithm, KeyOperations, PublicKeyUse};
use jsonwebtoken::{Algorithm, DecodingKey};
use lodewatch_core::domain::Timestamp;
use std::fs::File;
use std::io::Read;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Notify, watch};
use tokio::task::spawn_blocking;
use tokio::time::{Instant, sleep_until};
use tokio_util::task::AbortOnDropHandle;

/// Bytes of the largest key set.
const BYTES_MAX: usize = 1 << 20;
/// The least time between two readings, regardless of the keys that tokens name; also after a
/// failed one.
const READ_INTERVAL_MIN: Duration = Duration::from_secs(10);
/// Keys that are older are read again.
const AGE_MAX: Duration = Duration::from_mins(5);
const FETCH_TIMEOUT: Duration = Duration::from_secs(5);
/// Keys of one name, or without one, that a token is verified with.
const KEYS_TRIED_MAX: usize = 16;

pub(super) struct KeySet {
    state_rx: watch::Receiver<KeySetState>,
    reading_wanted: Arc<Notify>,
    /// The task that reads the keys. It ends when this is dropped.
    _reader: AbortOnDropHandle<()>,
}

#[derive(Default)]
struct KeySetState {
    /// The last ones that could be read; replaced when they differ.
    keys: Arc<JwkSet>,
    loaded_at: Option<Timestamp>,
    /// When the last reading began.
    begun_at: Option<Instant>,
    is_reading: bool,
    /// Readings that have ended, also with an error.
    readings: u64,
}

impl KeySetState {
    fn is_due(&self) -> bool {
        self.begun_at.is_none_or(|at| at.elapsed() >= READ_INTERVAL_MIN)
    }
}

impl KeySet {
    /// `from` is a file, which is read at once, or a URL, which the task fetches. Must be called
    /// within the runtime.
    ///
    /// # Errors
    ///
    /// Where the file cannot be read, or the URL is malformed.
    pub(super) fn open(from: &str, clock: Clock) -> Result<Self, String> {
        let state = if is_url(from) {
            from.parse::<http::Uri>().map_err(|error| format!("{from}: {error}"))?;
            KeySetState::default()
        } else {
            let (keys, loaded_at) = (Arc::new(read_file(from)?), Some(clock.now()));
            KeySetState { keys, loaded_at, begun_at: Some(Instant::now()), ..Default::default() }
        };
        let (state_tx, state_rx) = watch::channel(state);
        let reading_wanted = Arc::new(Notify::new());
        let wanted = Arc::clone(&reading_wanted);
        let reader = KeyReader { from: from.to_owned(), clock, state_tx, wanted };
        let reader = AbortOnDropHandle::new(tokio::spawn(reader.run()));
        Ok(Self { state_rx, reading_wanted, _reader: reader })
    }

    /// The keys that were read last; none before the first reading has ended.
    pub(super) fn current(&self) -> Arc<JwkSet> {
        Arc::clone(&self.state_rx.borrow().keys)
    }

    /// When keys were read last without an error.
    pub(super) fn loaded_at(&self) -> Option<Timestamp> {
        self.state_rx.borrow().loaded_at
    }

    /// Other keys than these, after the reading in progress or, where the last one began at least
    /// ten seconds ago, a new one. `None` where there are none: the keys have not changed, cannot
    /// be read, or were read a moment ago.
    pub(super) async fn read_newer(&self, than: &Arc<JwkSet>) -> Option<Arc<JwkSet>> {
        let mut state_rx = self.state_rx.clone();
        let (readings, is_reading, is_due) = {
            let state = state_rx.borrow();
            (state.readings, state.is_reading, state.is_due())
        };
        if is_due && !is_reading {
            self.reading_wanted.notify_one();
        }
        if is_due || is_reading {
            state_rx.wait_for(|state| state.readings > readings).await.ok()?;
        }
        let keys = Arc::clone(&state_rx.borrow().keys);
        (!Arc::ptr_eq(&keys, than)).then_some(keys)
    }
}

/// The keys that may have signed a token: of those that fit its algorithm the ones of the name that
/// the token has, then the ones without a name. A token without a name may be signed by any.
pub(super) fn candidates(
    keys: &JwkSet,
    name: Option<&str>,
    algorithm: Algorithm,
) -> Vec<DecodingKey> {
    let name_of = |key: &Jwk| key.common.key_id.clone();
    let named = keys.keys.iter().filter(|key| name.is_some() && name_of(key).as_deref() == name);
    let others = keys.keys.iter().filter(|key| name.is_none() || key.common.key_id.is_none());
    let verifies = |key: &&Jwk| {
        let Jwk { common, .. } = key;
        common.public_key_use.as_ref().is_none_or(|usage| *usage == PublicKeyUse::Signature)
            && common.key_operations.as_ref().is_none_or(|all| all.contains(&KeyOperations::Verify))
            && common.key_algorithm.is_none_or(|one| {
                [KeyAlgorithm::from(algorithm), KeyAlgorithm::UNKNOWN_ALGORITHM].contains(&one)
            })
    };
    let fits = |key: &DecodingKey| key.family() == algorithm.family();
    named
        .chain(others)
        .filter(verifies)
        .filter_map(|key| DecodingKey::from_jwk(key).ok().filter(fits))
        .take(KEYS_TRIED_MAX)
        .collect()
}

/// Reads the keys again and again.
struct KeyReader {
    /// The path of a file, or a URL.
    from: String,
    clock: Clock,
    state_tx: watch::Sender<KeySetState>,
    wanted: Arc<Notify>,
}

impl KeyReader {
    async fn run(self) {
        let mut last_error = None;
        loop {
            let interval = if last_error.is_some() { READ_INTERVAL_MIN } else { AGE_MAX };
            self.wait_until_due(interval).await;
            self.state_tx.send_modify(|state| {
                (state.begun_at, state.is_reading) = (Some(Instant::now()), true);
            });
            let read = self.read().await;
            let error = read.as_ref().err().cloned();
            self.finish_reading(read.ok());
            // A failure that goes on is reported once; the metric shows how old the keys are.
            if error != last_error {
                if let Some(error) = &error {
                    tracing::warn!(
                        error,
                        "cannot read the keys of JSON web tokens; keeping the previous keys"
                    );
                } else {
                    tracing::info!("read the keys of JSON web tokens again");
                }
            }
            last_error = error;
        }
    }

    /// Waits for this long after the last reading began, or for a caller that lacks a key.
    async fn wait_until_due(&self, interval: Duration) {
        let Some(begun_at) = self.state_tx.borrow().begun_at else { return };
        let is_wanted = async {
            // A caller may have asked just before the last reading.
            while begun_at.elapsed() < READ_INTERVAL_MIN {
                self.wanted.notified().await;
            }
        };
        tokio::select! {
            () = sleep_until(begun_at + interval) => {}
            () = is_wanted => {}
        }
    }

    fn finish_reading(&self, read: Option<JwkSet>) {
        let now = self.clock.now();
        self.state_tx.send_modify(|state| {
            state.is_reading = false;
            state.readings = state.readings.saturating_add(1);
            let Some(keys) = read else { return };
            state.loaded_at = Some(now);
            if *state.keys != keys {
                state.keys = Arc::new(keys);
            }
        });
    }

    async fn read(&self) -> Result<JwkSet, String> {
        if is_url(&self.from) {
            return self.fetch().await;
        }
        let path = self.from.clone();
        let read = spawn_blocking(move || read_file(&path)).await;
        read.unwrap_or_else(|_| Err("the server is shutting down".to_owned()))
    }

    async fn fetch(&self) -> Result<JwkSet, String> {
        let uri = self.from.parse().map_err(|error| format!("{}: {error}", self.from))?;
        let connector = fetch::connector();
        let connector = connector.map_err(|error| {
            format!("cannot load the system's certificate authorities: {error}")
        })?;
        let limits = AnswerLimits { bytes_max: BYTES_MAX, timeout: FETCH_TIMEOUT };
        let fetched = fetch::get(connector, uri, limits).await;
        parse(&self.from, &fetched.map_err(|why| format!("{}: {why}", self.from))?)
    }
}

fn is_url(from: &str) -> bool {
    from.starts_with("https://") || from.starts_with("http://")
}

fn read_file(path: &str) -> Result<JwkSet, String> {
    let unreadable = |error| format!("{path}: {error}");
    let file = File::open(path).map_err(unreadable)?;
    let mut bytes = Vec::new();
    let limit = u64::try_from(BYTES_MAX).unwrap_or(u64::MAX).saturating_add(1);
    file.take(limit).read_to_end(&mut bytes).map_err(unreadable)?;
    if bytes.len() > BYTES_MAX {
        return Err(format!("{path}: more than {BYTES_MAX} bytes, which is the limit"));
    }
    parse(path, &bytes)
}

fn parse(from: &str, bytes: &[u8]) -> Result<JwkSet, String> {
    serde_json::from_slice(bytes)
        .map_err(|error| format!("{from} is not a JSON web key set: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    fn set(names: &[&str]) -> String {
        let key = |name: &&str| serde_json::json!({"kid": name, "kty": "OKP", "crv": "Ed25519", "x": "AA"});
        serde_json::json!({"keys": names.iter().map(key).collect::<Vec<_>>()}).to_string()
    }

    async fn after_readings(keys: &KeySet, count: u64) -> Vec<String> {
        let mut state_rx = keys.state_rx.clone();
        let state = state_rx.wait_for(|state| state.readings == count).await.unwrap();
        state.keys.keys.iter().filter_map(|key| key.common.key_id.clone()).collect()
    }

    #[tokio::test(start_paused = true)]
    async fn keys_are_read_again_for_a_missing_one_and_when_they_are_old() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("keys.json");
        fs::write(&file, set(&["a"])).unwrap();
        let (clock, hand) = Clock::manual(Timestamp::from_millis(0));
        let keys = KeySet::open(file.to_str().unwrap(), clock).unwrap();
        let first = keys.current();
        fs::write(&file, set(&["b"])).unwrap();
        assert!(keys.read_newer(&first).await.is_none(), "they were read a moment ago");
        tokio::time::advance(READ_INTERVAL_MIN).await;
        // The caller hangs up as soon as it has asked; another one waits for the same reading.
        tokio::select! {
            biased;
            _ = keys.read_newer(&first) => panic!("nothing has been read yet"),
            () = std::future::ready(()) => {}
        }
        let second = keys.read_newer(&first).await.unwrap();
        assert_eq!(after_readings(&keys, 1).await, ["b"]);
        assert!(keys.read_newer(&second).await.is_none());
        // The issuer withdraws the key, and no caller asks.
        fs::write(&file, set(&[])).unwrap();
        hand.set(Timestamp::from_millis(1000));
        assert!(after_readings(&keys, 2).await.is_empty());
        assert_eq!(keys.loaded_at(), Some(Timestamp::from_millis(1000)));
        // A set that cannot be read changes nothing, and is tried again.
        fs::write(&file, "x").unwrap();
        hand.set(Timestamp::from_millis(2000));
        let third = keys.current();
        after_readings(&keys, 4).await;
        assert!(Arc::ptr_eq(&third, &keys.current()));
        assert_eq!(keys.loaded_at(), Some(Timestamp::from_millis(1000)));
    }

    #[test]
    fn a_larger_set_is_rejected_while_it_is_read() {
        let error = read_file("/dev/zero").unwrap_err();
        assert_eq!(error, "/dev/zero: more than 1048576 bytes, which is the limit");
    }
}
