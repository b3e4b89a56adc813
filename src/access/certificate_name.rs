//! Names of client certificates: URIs, compared as they are, and DNS names, compared without case.

use std::net::IpAddr;

const ALLOWED: &str = "must be a URI, such as spiffe://mine/importer, or a DNS name of a client \
                       certificate; e-mail and IP addresses cannot be used";

/// A DNS name as it is compared: in lower case.
pub fn normalize_dns(name: &str) -> String {
    name.to_ascii_lowercase()
}

/// Parses a name of the file of identities into the form in which it is compared.
///
/// # Errors
///
/// What is allowed: another kind of name would never match.
pub(super) fn parse(text: &str) -> Result<String, &'static str> {
    if text.is_empty() {
        return Err("must not be empty");
    }
    if is_uri(text) {
        return Ok(text.to_owned());
    }
    if is_dns_name(text) { Ok(normalize_dns(text)) } else { Err(ALLOWED) }
}

/// Whether it starts with a scheme, as RFC 3986 defines it, and has something after it.
fn is_uri(text: &str) -> bool {
    let Some((scheme, rest)) = text.split_once(':') else { return false };
    let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte);
    scheme.starts_with(|first: char| first.is_ascii_alphabetic())
        && scheme.bytes().all(is_allowed)
        && !rest.is_empty()
        && text.parse::<IpAddr>().is_err()
        && rest.parse::<u16>().is_err()
        && !text.contains(|one: char| one.is_whitespace() || one.is_control())
}

/// Whether it is labels separated by dots, the first of which may be an asterisk; and not an
/// address.
fn is_dns_name(text: &str) -> bool {
    let is_label = |label: &str| {
        !label.is_empty()
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
    };
    let labels = text.strip_prefix("*.").unwrap_or(text);
    labels.split('.').all(is_label) && text.parse::<IpAddr>().is_err()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn uris_are_kept_dns_names_are_compared_in_lower_case_and_other_kinds_are_rejected() {
        for (text, name) in [
            ("spiffe://Mine/Importer", "spiffe://Mine/Importer"),
            ("urn:uuid:F81D", "urn:uuid:F81D"),
            ("Feeds.Example.COM", "feeds.example.com"),
            ("*.Example.com", "*.example.com"),
            ("feed_1", "feed_1"),
        ] {
            assert_eq!(parse(text).as_deref(), Ok(name));
        }
        for text in [
            "",
            "a@example.com",
            "10.0.0.1",
            "::1",
            "fe80::1",
            "abcd::12",
            "a b",
            "a..b",
            "a.",
            "host:443",
            "spiffe:",
            "CN=importer",
            "b\u{fc}cher.example",
        ] {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}
