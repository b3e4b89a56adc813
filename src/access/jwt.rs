//! JSON web tokens: signed by the issuer, for this server, not expired.

use super::identities::Identities;
use super::identity::Identity;
use super::key_set::KeySet;
use super::signature;
use crate::clock::Clock;
use crate::config;
use jsonwebtoken::{Validation, decode, decode_header};
use serde::Deserialize;
use serde_json::{Map, Value};
use std::sync::Arc;

/// How far our clock and the issuer's may differ.
const LEEWAY_SECONDS: i64 = 60;
/// Bytes of the longest subject, which is part of a sender's name.
const SUBJECT_BYTES_MAX: usize = 255;
const TOKEN_BYTES_MAX: usize = 8192;

/// Verifies tokens.
pub(super) struct TokenVerifier {
    keys: KeySet,
    rules: Validation,
    roles_claim: String,
    clock: Clock,
}

/// The claims of a token. The library checks issuer and audience; we check the times.
#[derive(Deserialize)]
struct Claims {
    sub: String,
    exp: i64,
    nbf: Option<i64>,
    #[serde(flatten)]
    rest: Map<String, Value>,
}

impl TokenVerifier {
    /// # Errors
    ///
    /// Where the keys cannot be read.
    pub(super) fn open(config: &config::Jwt, clock: Clock) -> Result<Self, String> {
        signature::install();
        let mut rules = Validation::new(jsonwebtoken::Algorithm::RS256);
        rules.set_issuer(&[&config.issuer]);
        rules.set_audience(&[&config.audience]);
        rules.set_required_spec_claims(&["exp", "iss", "aud", "sub"]);
        // Checked by our own clock, in `identify`.
        rules.validate_exp = false;
        let keys = KeySet::open(&config.keys)?;
        Ok(Self { keys, rules, roles_claim: config.roles_claim.clone(), clock })
    }

    /// The identity of a token; `None` where it is not valid or no entry lists its claims.
    pub(super) async fn identify(&self, token: &str, known: &Identities) -> Option<Arc<Identity>> {
        if token.len() > TOKEN_BYTES_MAX {
            return None;
        }
        let header = decode_header(token).ok()?;
        if !signature::ALGORITHMS.contains(&header.alg) {
            return None;
        }
        let key = self.keys.find(&header.kid?).await?;
        // The library requires all algorithms to be of the key's family.
        let rules = Validation { algorithms: vec![header.alg], ..self.rules.clone() };
        let claims = decode::<Claims>(token, &key, &rules).ok()?.claims;
        let now = self.clock.now().millis().div_euclid(1000);
        let is_current = now < claims.exp.saturating_add(LEEWAY_SECONDS)
            && claims.nbf.is_none_or(|from| from.saturating_sub(LEEWAY_SECONDS) <= now);
        let subject = &claims.sub;
        let is_name = !subject.is_empty()
            && subject.len() <= SUBJECT_BYTES_MAX
            && !subject.contains(char::is_control);
        if !is_current || !is_name {
            return None;
        }
        known.by_claims(subject, &roles(claims.rest.get(&self.roles_claim)?))
    }
}

/// The values of the roles claim: a text separated by spaces, or a list of texts.
fn roles(claim: &Value) -> Vec<String> {
    match claim {
        Value::String(text) => text.split_whitespace().map(str::to_owned).collect(),
        Value::Array(list) => list.iter().filter_map(Value::as_str).map(str::to_owned).collect(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_) => Vec::new(),
    }
}
