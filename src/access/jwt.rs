//! JSON web tokens: signed by the issuer, for this server, not expired.

use super::credential_fault::CredentialFault;
use super::identities::Identities;
use super::identity::Identity;
use super::key_set::{KeySet, candidates};
use super::signature;
use crate::clock::Clock;
use crate::config;
use jsonwebtoken::errors::ErrorKind;
use jsonwebtoken::jwk::JwkSet;
use jsonwebtoken::{Header, Validation, decode, decode_header};
use lodewatch_core::domain::Timestamp;
use serde_json::{Map, Value};
use std::sync::Arc;
use std::time::Duration;

/// How far our clock and the issuer's may differ.
const LEEWAY_MS: i64 = 60_000;
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

/// The claims of a token, of which the library has checked issuer and audience.
type Claims = Map<String, Value>;

impl TokenVerifier {
    /// Must be called within the runtime.
    ///
    /// # Errors
    ///
    /// Where the keys cannot be read.
    pub(super) fn open(config: &config::Jwt, clock: Clock) -> Result<Self, String> {
        signature::install();
        let mut rules = Validation::new(jsonwebtoken::Algorithm::RS256);
        rules.set_issuer(&[&config.issuer]);
        rules.set_audience(&[&config.audience]);
        rules.set_required_spec_claims(&["iss", "aud"]);
        // Checked by our own clock, in `check_times`.
        rules.validate_exp = false;
        let keys = KeySet::open(&config.keys, clock.clone())?;
        Ok(Self { keys, rules, roles_claim: config.roles_claim.clone(), clock })
    }

    /// When the issuer's keys were read last without an error.
    pub(super) fn keys_loaded_at(&self) -> Option<Timestamp> {
        self.keys.loaded_at()
    }

    /// The identity of a token.
    ///
    /// # Errors
    ///
    /// Why the token is not valid, or that no entry lists its claims.
    pub(super) async fn identify(
        &self,
        token: &str,
        known: &Identities,
    ) -> Result<Arc<Identity>, CredentialFault> {
        // Of another kind, such as a random token that was removed from the identities.
        if token.split('.').count() != 3 {
            return Err(CredentialFault::UnknownToken);
        }
        if token.len() > TOKEN_BYTES_MAX {
            return Err(CredentialFault::Malformed);
        }
        let header = decode_header(token).map_err(|error| fault(error.kind()))?;
        if !signature::ALGORITHMS.contains(&header.alg) {
            return Err(CredentialFault::Algorithm);
        }
        let keys = self.keys.current();
        let mut verified = self.verify(token, &header, &keys);
        // The issuer may have replaced its keys, also under the same name.
        if let Err(CredentialFault::UnknownKey | CredentialFault::Signature) = verified
            && let Some(newer) = self.keys.read_newer(&keys).await
        {
            verified = self.verify(token, &header, &newer);
        }
        let claims = verified?;
        self.check_times(&claims)?;
        let subject = claims.get("sub").and_then(Value::as_str).unwrap_or_default();
        let is_name = !subject.is_empty()
            && subject.len() <= SUBJECT_BYTES_MAX
            && !subject.contains(char::is_control);
        if !is_name {
            return Err(CredentialFault::Subject);
        }
        let roles = claims.get(&self.roles_claim).map_or_else(Vec::new, roles);
        known.by_claims(subject, &roles).ok_or(CredentialFault::Roles)
    }

    /// Verifies the signature with each key that may have made it, then issuer and audience.
    fn verify(
        &self,
        token: &str,
        header: &Header,
        keys: &JwkSet,
    ) -> Result<Claims, CredentialFault> {
        // The library requires all algorithms to be of the key's family.
        let rules = Validation { algorithms: vec![header.alg], ..self.rules.clone() };
        let mut ended = Err(CredentialFault::UnknownKey);
        for key in candidates(keys, header.kid.as_deref(), header.alg) {
            let decoded = decode::<Claims>(token, &key, &rules);
            ended = decoded.map(|data| data.claims).map_err(|error| fault(error.kind()));
            if ended != Err(CredentialFault::Signature) {
                break;
            }
        }
        ended
    }

    fn check_times(&self, claims: &Claims) -> Result<(), CredentialFault> {
        let now = self.clock.now().millis();
        let at = |name| claims.get(name).filter(|claim| !claim.is_null()).map(numeric_date_ms);
        let expires_at = at("exp").flatten().ok_or(CredentialFault::Malformed)?;
        if now >= expires_at.saturating_add(LEEWAY_MS) {
            return Err(CredentialFault::Expired);
        }
        match at("nbf") {
            Some(None) => Err(CredentialFault::Malformed),
            Some(Some(from)) if from.saturating_sub(LEEWAY_MS) > now => {
                Err(CredentialFault::NotValidYet)
            }
            Some(Some(_)) | None => Ok(()),
        }
    }
}

/// What an error of the library says about the token.
fn fault(kind: &ErrorKind) -> CredentialFault {
    let is_missing =
        |name| matches!(kind, ErrorKind::MissingRequiredClaim(missing) if missing == name);
    if matches!(kind, ErrorKind::InvalidIssuer) || is_missing("iss") {
        CredentialFault::Issuer
    } else if matches!(kind, ErrorKind::InvalidAudience) || is_missing("aud") {
        CredentialFault::Audience
    } else if matches!(kind, ErrorKind::InvalidAlgorithmName) {
        CredentialFault::Algorithm
    } else if matches!(kind, ErrorKind::InvalidSignature | ErrorKind::InvalidAlgorithm) {
        CredentialFault::Signature
    } else {
        CredentialFault::Malformed
    }
}

/// A `NumericDate` of RFC 7519 in milliseconds: seconds since 1970, which may have a fraction.
fn numeric_date_ms(claim: &Value) -> Option<i64> {
    if let Some(seconds) = claim.as_i64() {
        return Some(seconds.saturating_mul(1000));
    }
    let since_1970 = Duration::try_from_secs_f64(claim.as_f64()?).ok()?;
    i64::try_from(since_1970.as_millis()).ok()
}

/// The values of the roles claim: a text separated by spaces, or a list of texts.
fn roles(claim: &Value) -> Vec<String> {
    match claim {
        Value::String(text) => text.split_whitespace().map(str::to_owned).collect(),
        Value::Array(list) => list.iter().filter_map(Value::as_str).map(str::to_owned).collect(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_) => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_date_is_a_number_of_seconds_with_or_without_a_fraction() {
        for (claim, expected) in [
            (json!(1_767_225_600), Some(1_767_225_600_000)),
            (json!(1_767_225_600.75), Some(1_767_225_600_750)),
            (json!(1.767_225_6e9), Some(1_767_225_600_000)),
            (json!(-1), Some(-1000)),
            (json!(i64::MAX), Some(i64::MAX)),
            (json!(1e300), None),
            (json!("1767225600"), None),
            (Value::Null, None),
        ] {
            assert_eq!(numeric_date_ms(&claim), expected, "{claim}");
        }
    }
}
