//! Single values of settings: counts, durations, decimals that become exact integers, paths and
//! addresses.
//!
//! The functions that read a key of a table give a placeholder where the value cannot be used: the
//! problem is noted then, so that nothing comes of the settings.

use ipnet::{IpNet, Ipv4Net};
use jiff::{Span, SpanRelativeTo};
use lodewatch_toml_reader::Table;
use rust_decimal::Decimal;
use std::fmt::Display;
use std::net::{IpAddr, SocketAddr};
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

/// Shares are counted in parts per million.
const DECIMALS_MAX: u32 = 6;

/// Reads a whole number in a range; the placeholder is the smallest.
pub(super) fn count<N>(table: &mut Table<'_>, key: &'static str, allowed: RangeInclusive<N>) -> N
where
    N: FromStr + PartialOrd + Display,
{
    let number = table.read(key, |text| parse_count(text, &allowed));
    number.unwrap_or_else(|| allowed.into_inner().0)
}

/// Reads a duration of at most `days_max` days, in milliseconds; the placeholder is 0.
pub(super) fn millis(table: &mut Table<'_>, key: &'static str, days_max: u64) -> u64 {
    table.read(key, |text| parse_millis(text, days_max)).unwrap_or_default()
}

/// Reads `true` or `false`; the placeholder is `false`.
pub(super) fn flag(table: &mut Table<'_>, key: &'static str) -> bool {
    let read = |text: &str| text.parse().map_err(|_| "must be true or false");
    table.read(key, read).unwrap_or_default()
}

/// Reads a string that may be empty; the placeholder is the empty one.
pub(super) fn text(table: &mut Table<'_>, key: &'static str) -> String {
    table.read(key, |text| Ok::<_, String>(text.to_owned())).unwrap_or_default()
}

/// Reads the path of a file; `None` where it is empty.
pub(super) fn file(table: &mut Table<'_>, key: &'static str) -> Option<PathBuf> {
    Some(text(table, key)).filter(|path| !path.is_empty()).map(PathBuf::from)
}

/// Parses an address and a port.
pub(super) fn parse_address(text: &str) -> Result<SocketAddr, &'static str> {
    text.parse().map_err(|_| "must be an address and a port, such as 127.0.0.1:50061 or [::]:50061")
}

/// Parses a network, or an address as the network that has only this one. A network of IPv4-mapped
/// IPv6 addresses becomes that of the IPv4 addresses.
pub(super) fn parse_network(text: &str) -> Result<IpNet, String> {
    const MAPPED_BITS: u8 = 96;
    let address = || text.parse::<IpAddr>().ok().map(IpNet::from);
    let network = text.parse().ok().or_else(address).ok_or(
        "must be an address or a network, such as 192.0.2.7, 10.0.0.0/8, 2001:db8::7 or fd00::/8",
    )?;
    if network.addr() != network.network() {
        return Err(format!("has an address with bits after its prefix; use {}", network.trunc()));
    }
    let mapped = network.prefix_len().checked_sub(MAPPED_BITS).and_then(|prefix| {
        let IpNet::V6(network) = network else { return None };
        Ipv4Net::new(network.addr().to_ipv4_mapped()?, prefix).ok()
    });
    Ok(mapped.map_or(network, IpNet::V4))
}

/// Parses a whole number in a range.
pub(super) fn parse_count<N>(text: &str, allowed: &RangeInclusive<N>) -> Result<N, String>
where
    N: FromStr + PartialOrd + Display,
{
    text.parse().ok().filter(|number| allowed.contains(number)).ok_or_else(|| {
        format!("must be a whole number from {} to {}", allowed.start(), allowed.end())
    })
}

/// Parses a duration such as `10s`, `1h 30m` or `7d` (a day has 24 hours) of at most `days_max`
/// days, to milliseconds.
pub(super) fn parse_millis(text: &str, days_max: u64) -> Result<u64, String> {
    let max = Duration::from_hours(days_max.saturating_mul(24));
    let parse = || {
        let span: Span = text.parse().ok()?;
        let duration = span.to_duration(SpanRelativeTo::days_are_24_hours()).ok()?;
        let duration = Duration::try_from(duration).ok().filter(|duration| *duration <= max)?;
        u64::try_from(duration.as_millis()).ok()
    };
    parse().ok_or_else(|| {
        format!(
            "must be a duration such as \"0s\", \"10s\", \"1h 30m\" or \"7d\", at most {days_max}d"
        )
    })
}

/// Parses a decimal of at most six decimals, to whole parts of which `per_one` make one.
pub(super) fn parse_parts(text: &str, per_one: i64) -> Result<i64, String> {
    let decimal = text
        .parse::<Decimal>()
        .ok()
        .filter(|decimal| decimal.normalize().scale() <= DECIMALS_MAX)
        .ok_or_else(|| format!("must be a number with at most {DECIMALS_MAX} decimals"))?;
    decimal
        .checked_mul(Decimal::from(per_one))
        .filter(Decimal::is_integer)
        .and_then(|parts| i64::try_from(parts).ok())
        .ok_or_else(|| "is too large or has too many decimals".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decimals_become_exactly_what_was_written() {
        for (text, per_one, expected) in [
            ("0.65", 1_000_000, Some(650_000)),
            ("0.000001", 1_000_000, Some(1)),
            ("0.300000", 1_000_000, Some(300_000)),
            ("1", 1_000_000, Some(1_000_000)),
            ("1800", 100_000_000_000, Some(180_000_000_000_000)),
            ("1.5", 1000, Some(1500)),
            ("1.0005", 1000, None),
            ("0.0000001", 1_000_000, None),
            ("1e300", 1_000_000, None),
            ("NaN", 1_000_000, None),
            ("inf", 1_000_000, None),
            ("", 1_000_000, None),
            ("9223372036854775807", 1_000_000, None),
        ] {
            assert_eq!(parse_parts(text, per_one).ok(), expected, "{text}");
        }
    }

    #[test]
    fn durations_are_written_as_people_say_them() {
        for (text, expected) in [
            ("0s", Some(0)),
            ("10s", Some(10_000)),
            ("1h 30m", Some(5_400_000)),
            ("24h", Some(86_400_000)),
            ("7d", Some(604_800_000)),
            ("366 days", Some(31_622_400_000)),
            ("367d", None),
            ("-1s", None),
            ("1 month", None),
            ("10", None),
            ("soon", None),
        ] {
            assert_eq!(parse_millis(text, 366).ok(), expected, "{text}");
        }
    }

    #[test]
    fn networks_are_canonical() {
        for (text, expected) in [
            ("192.0.2.7", Ok("192.0.2.7/32")),
            ("10.0.0.0/8", Ok("10.0.0.0/8")),
            ("2001:db8::7", Ok("2001:db8::7/128")),
            ("fd00::/8", Ok("fd00::/8")),
            ("::ffff:192.0.2.7", Ok("192.0.2.7/32")),
            ("::ffff:10.0.0.0/104", Ok("10.0.0.0/8")),
            ("10.0.0.1/8", Err("use 10.0.0.0/8")),
            ("10.0.0.0/33", Err("must be an address or a network")),
            ("proxy.example", Err("must be an address or a network")),
            ("10.0.0.1:443", Err("must be an address or a network")),
            ("", Err("must be an address or a network")),
        ] {
            match (parse_network(text), expected) {
                (Ok(network), Ok(expected)) => assert_eq!(network.to_string(), expected),
                (Err(fault), Err(expected)) => assert!(fault.contains(expected), "{fault}"),
                (read, _) => panic!("{text}: {read:?}"),
            }
        }
    }

    #[test]
    fn counts_keep_to_their_range() {
        assert_eq!(parse_count("7", &(1..=9_u64)), Ok(7));
        for text in ["0", "10", "-1", "7.5", "seven", ""] {
            let fault = parse_count(text, &(1..=9_u64)).unwrap_err();
            assert_eq!(fault, "must be a whole number from 1 to 9", "{text}");
        }
    }
}
