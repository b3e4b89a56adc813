//! Signatures of webhooks, as <https://www.standardwebhooks.com> has them.

use super::Error;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ring::hmac;
use std::fmt;
use std::ops::RangeInclusive;

/// The length of a secret.
const SECRET_BYTES: RangeInclusive<usize> = 24..=64;
/// The secret in use, and those that replace it or are being replaced.
const SECRETS_MAX: usize = 4;

/// Secrets that a receiver knows. Each signs every message, so that they can be replaced one after
/// the other. Never printed.
#[derive(Clone)]
pub struct Secrets(Vec<hmac::Key>);

/// Hides the secrets.
impl fmt::Debug for Secrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secrets(…)")
    }
}

impl Secrets {
    /// Parses one secret per line: `whsec_` and 24 to 64 bytes in base64; 1 to 4 of them.
    ///
    /// # Errors
    ///
    /// [`Error::Secret`] where one is invalid, or there are none or too many.
    pub fn parse(text: &str) -> Result<Self, Error> {
        let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
        let secrets = lines.map(|line| {
            let bytes = STANDARD.decode(line.strip_prefix("whsec_")?).ok()?;
            let fits = SECRET_BYTES.contains(&bytes.len());
            fits.then(|| hmac::Key::new(hmac::HMAC_SHA256, &bytes))
        });
        let secrets = secrets.collect::<Option<Vec<_>>>().ok_or(Error::Secret)?;
        let fits = (1..=SECRETS_MAX).contains(&secrets.len());
        fits.then_some(Self(secrets)).ok_or(Error::Secret)
    }

    /// The value of `webhook-signature` for a message with an id, sent at a second since 1970.
    pub(super) fn sign(&self, id: &str, second: i64, body: &[u8]) -> String {
        let signed = [format!("{id}.{second}.").as_bytes(), body].concat();
        let sign = |key| format!("v1,{}", STANDARD.encode(hmac::sign(key, &signed)));
        self.0.iter().map(sign).collect::<Vec<_>>().join(" ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of the specification.
    #[test]
    fn a_signature_is_what_the_specification_says() {
        let secrets = Secrets::parse("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw\n").unwrap();
        let signed =
            secrets.sign("msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, br#"{"test": 2432232314}"#);
        assert_eq!(signed, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
        assert_eq!(format!("{secrets:?}"), "Secrets(…)");
    }

    #[test]
    fn every_secret_signs_and_an_invalid_one_is_rejected() {
        let one = format!("whsec_{}\n", STANDARD.encode([7; 32]));
        let two = Secrets::parse(&one.repeat(2)).unwrap().sign("a", 1, b"x");
        assert_eq!(two.split(' ').count(), 2);
        let short = format!("whsec_{}", STANDARD.encode([7; 23]));
        for bad in ["", "abc", "whsec_", "whsec_#", &short, &one.repeat(5)] {
            assert!(Secrets::parse(bad).is_err(), "{bad}");
        }
    }
}
