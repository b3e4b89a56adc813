//! When a certificate expires: the one field of a certificate that metrics show and that the TLS
//! library does not give out.

use lodewatch_core::domain::Timestamp;

/// DER's tags.
const INTEGER: u8 = 0x02;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;
const SEQUENCE: u8 = 0x30;
/// The certificate's version.
const VERSION: u8 = 0xa0;

/// The end of a certificate's validity; `None` where it is malformed.
pub(super) fn expires_at(certificate: &[u8]) -> Option<Timestamp> {
    let (certificate, _) = read_element(certificate, SEQUENCE)?;
    let (fields, _) = read_element(certificate, SEQUENCE)?;
    // A certificate of version 1 leaves its version out.
    let mut fields = read_element(fields, VERSION).map_or(fields, |(_, rest)| rest);
    // Its serial number, the algorithm of its signature, and its issuer.
    for tag in [INTEGER, SEQUENCE, SEQUENCE] {
        fields = read_element(fields, tag)?.1;
    }
    let (validity, _) = read_element(fields, SEQUENCE)?;
    let (_, rest) = read_time(validity)?;
    let (not_after, _) = read_time(rest)?;
    not_after.parse().ok()
}

/// A time as in RFC 3339, and what follows it.
fn read_time(bytes: &[u8]) -> Option<(String, &[u8])> {
    let (time, rest) =
        read_element(bytes, UTC_TIME).or_else(|| read_element(bytes, GENERALIZED_TIME))?;
    let time = std::str::from_utf8(time).ok()?.strip_suffix('Z')?;
    let at = time.len().checked_sub(10)?;
    let (year, time) = (time.get(..at)?, time.get(at..)?);
    // Two digits of a year are between 1950 and 2049.
    let century = match year {
        year if year.len() == 4 => "",
        year if year < "50" => "20",
        _ => "19",
    };
    let two = |at: usize| time.get(at..at.checked_add(2)?);
    let (month, day, hour, minute, second) = (two(0)?, two(2)?, two(4)?, two(6)?, two(8)?);
    Some((format!("{century}{year}-{month}-{day}T{hour}:{minute}:{second}Z"), rest))
}

/// The content of the first element if it has this tag, and what follows it.
fn read_element(bytes: &[u8], tag: u8) -> Option<(&[u8], &[u8])> {
    let (first, rest) = bytes.split_first()?;
    let (length, rest) = rest.split_first()?;
    // Up to 127 in one byte; otherwise as many bytes as the lower bits say.
    let (length, rest) = match usize::from(*length) {
        length @ 0..0x80 => (length, rest),
        long => {
            let (digits, rest) =
                rest.split_at_checked(long & 0x7f).filter(|(all, _)| all.len() <= 4)?;
            let add = |sum: usize, digit: &u8| (sum << 8) | usize::from(*digit);
            (digits.iter().fold(0, add), rest)
        }
    };
    rest.split_at_checked(length).filter(|_| *first == tag)
}

#[cfg(test)]
mod tests {
    use super::*;
    use lodewatch_testkit::certificates::Authority;
    use tokio_rustls::rustls::pki_types::CertificateDer;
    use tokio_rustls::rustls::pki_types::pem::PemObject;

    #[test]
    fn the_end_of_validity_is_read_in_both_forms_and_garbage_is_rejected() {
        let authority = Authority::new();
        for (until, read) in
            [("2049-12-31", "2049-12-31T00:00:00Z"), ("2050-01-01", "2050-01-01T00:00:00Z")]
        {
            let pair = authority.issue_until(&["localhost"], until);
            let der = CertificateDer::from_pem_slice(pair.certificate.as_bytes()).unwrap();
            assert_eq!(expires_at(&der), Some(read.parse().unwrap()));
            // No beginning of a certificate is one, and none makes it panic.
            for length in 0..der.len() {
                let _ = expires_at(&der[..length]);
            }
        }
        let own = CertificateDer::from_pem_slice(authority.pem().as_bytes()).unwrap();
        assert_eq!(expires_at(&own), Some("4096-01-01T00:00:00Z".parse().unwrap()));
        assert_eq!(expires_at(b""), None);
        assert_eq!(expires_at(&[0x30, 0x84, 0xff, 0xff, 0xff, 0xff]), None);
    }
}
