//! The keys of an issuer of JSON web tokens: cached, and read again when they are old or a token
//! names one that is not among them.

use crate::fetch::{self, AnswerLimits};
use jsonwebtoken::DecodingKey;
use jsonwebtoken::jwk::{JwkSet, PublicKeyUse};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Mutex, watch};
use tokio::time::Instant;

/// Bytes of the largest key set.
const BYTES_MAX: usize = 1 << 20;
/// The least time between two readings, regardless of the keys that tokens name.
const READ_INTERVAL_MIN: Duration = Duration::from_secs(10);
/// Keys that are older are read again, so that a withdrawn key stops being valid.
const AGE_MAX: Duration = Duration::from_mins(5);
const FETCH_TIMEOUT: Duration = Duration::from_secs(5);

pub(super) struct KeySet {
    /// The path of a file, or a URL.
    from: String,
    keys: watch::Sender<Arc<JwkSet>>,
    /// When they were read last. Locked while they are read: callers wait for one reading.
    read_at: Mutex<Option<Instant>>,
}

impl KeySet {
    /// `from` is a file, which is read at once, or a URL, which is fetched when a key is needed.
    ///
    /// # Errors
    ///
    /// Where the file cannot be read, or the URL is malformed.
    pub(super) fn open(from: &str) -> Result<Self, String> {
        let keys = if is_url(from) {
            from.parse::<http::Uri>().map_err(|error| format!("{from}: {error}"))?;
            JwkSet { keys: Vec::new() }
        } else {
            read(from)?
        };
        let keys = watch::Sender::new(Arc::new(keys));
        Ok(Self { from: from.to_owned(), keys, read_at: Mutex::new(None) })
    }

    /// The key of this name. Reads the keys again where it is unknown, at most every ten seconds;
    /// where that fails, the previous keys stay valid.
    pub(super) async fn find(&self, name: &str) -> Option<DecodingKey> {
        if let Some(key) = self.known(name) {
            if let Ok(mut read_at) = self.read_at.try_lock()
                && read_at.is_none_or(|at| at.elapsed() >= AGE_MAX)
            {
                self.read_again(&mut read_at).await;
                return self.known(name);
            }
            return Some(key);
        }
        let mut read_at = self.read_at.lock().await;
        if self.known(name).is_none() && read_at.is_none_or(|at| at.elapsed() >= READ_INTERVAL_MIN)
        {
            self.read_again(&mut read_at).await;
        }
        self.known(name)
    }

    fn known(&self, name: &str) -> Option<DecodingKey> {
        let keys = self.keys.borrow();
        let key = keys.find(name)?;
        let signs = key
            .common
            .public_key_use
            .as_ref()
            .is_none_or(|usage| *usage == PublicKeyUse::Signature);
        DecodingKey::from_jwk(key).ok().filter(|_| signs)
    }

    async fn read_again(&self, read_at: &mut Option<Instant>) {
        *read_at = Some(Instant::now());
        let read = if is_url(&self.from) { self.fetch().await } else { read(&self.from) };
        match read {
            Ok(keys) => {
                self.keys.send_replace(Arc::new(keys));
            }
            Err(why) => {
                tracing::warn!(
                    error = why,
                    "cannot read the keys of JSON web tokens; keeping the previous keys"
                );
            }
        }
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

fn read(path: &str) -> Result<JwkSet, String> {
    let bytes = std::fs::read(path).map_err(|error| format!("{path}: {error}"))?;
    parse(path, bytes.get(..BYTES_MAX.min(bytes.len())).unwrap_or_default())
}

fn parse(from: &str, bytes: &[u8]) -> Result<JwkSet, String> {
    serde_json::from_slice(bytes)
        .map_err(|error| format!("{from} is not a JSON web key set: {error}"))
}
