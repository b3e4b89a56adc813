//! The keys of an issuer of JSON web tokens: kept, and read again when a token names one that is not among them.

use crate::fetch::{self, Bounds};
use jsonwebtoken::DecodingKey;
use jsonwebtoken::jwk::{JwkSet, PublicKeyUse};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Mutex, watch};
use tokio::time::Instant;

/// The largest key set, in bytes.
const BYTES_MAX: usize = 1 << 20;
/// They are not read again sooner, whatever tokens name.
const AGAIN_AFTER: Duration = Duration::from_secs(10);
/// They are read again when they are so old, so that a key that was withdrawn does not count for ever.
const AGE_MAX: Duration = Duration::from_mins(5);
/// How long it may take to fetch them.
const PATIENCE: Duration = Duration::from_secs(5);

/// The keys of an issuer.
pub(super) struct KeySet {
    /// The path of a file, or a URL.
    from: String,
    keys: watch::Sender<Arc<JwkSet>>,
    /// When they were asked for last. Held while they are: who needs them waits for one answer.
    asked: Mutex<Option<Instant>>,
}

impl KeySet {
    /// Reads a file at once; what a URL has is read when it is needed.
    ///
    /// # Errors
    ///
    /// Where the file cannot be used, or the URL is none.
    pub(super) fn open(from: &str) -> Result<Self, String> {
        let keys = if is_url(from) {
            from.parse::<http::Uri>().map_err(|error| format!("{from}: {error}"))?;
            JwkSet { keys: Vec::new() }
        } else {
            read(from)?
        };
        let keys = watch::Sender::new(Arc::new(keys));
        Ok(Self { from: from.to_owned(), keys, asked: Mutex::new(None) })
    }

    /// The key of this name. One that is not known is asked for, at most every ten seconds; where nobody answers, those from
    /// before stay.
    pub(super) async fn find(&self, name: &str) -> Option<DecodingKey> {
        if let Some(key) = self.known(name) {
            if let Ok(mut asked) = self.asked.try_lock()
                && asked.is_none_or(|asked| asked.elapsed() >= AGE_MAX)
            {
                self.ask(&mut asked).await;
                return self.known(name);
            }
            return Some(key);
        }
        let mut asked = self.asked.lock().await;
        if self.known(name).is_none() && asked.is_none_or(|asked| asked.elapsed() >= AGAIN_AFTER) {
            self.ask(&mut asked).await;
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

    async fn ask(&self, asked: &mut Option<Instant>) {
        *asked = Some(Instant::now());
        let read = if is_url(&self.from) { self.fetch().await } else { read(&self.from) };
        match read {
            Ok(keys) => {
                self.keys.send_replace(Arc::new(keys));
            }
            Err(why) => {
                tracing::warn!(
                    why,
                    "the keys of JSON web tokens cannot be read; those before stay"
                );
            }
        }
    }

    async fn fetch(&self) -> Result<JwkSet, String> {
        let uri = self.from.parse().map_err(|error| format!("{}: {error}", self.from))?;
        let connector = fetch::connector();
        let connector = connector.map_err(|error| format!("the system's authorities: {error}"))?;
        let bounds = Bounds { bytes: BYTES_MAX, time: PATIENCE };
        let answer = fetch::get(connector, uri, bounds).await;
        parse(&self.from, &answer.map_err(|why| format!("{}: {why}", self.from))?)
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
    serde_json::from_slice(bytes).map_err(|error| format!("{from} is no JSON web key set: {error}"))
}
