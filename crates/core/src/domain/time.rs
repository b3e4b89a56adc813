//! Positions in the journal, instants and days.

use jiff::civil::Date;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// The position of an entry in the journal: 1 for the first, without gaps. 0 is before the first.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
pub struct Seq(pub u64);

impl Seq {
    /// The position before the first entry.
    pub const ZERO: Self = Self(0);

    /// The position after this one.
    #[must_use]
    pub fn next(self) -> Self {
        Self(self.0.checked_add(1).expect("a journal has fewer than 2^64 entries"))
    }
}

impl fmt::Display for Seq {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The identity of one journal, drawn at random when it is created; cursors of another epoch are
/// rejected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Epoch(pub u64);

impl fmt::Display for Epoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

/// An instant: milliseconds since 1970-01-01T00:00:00Z, between the years 1 and 9999.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
pub struct Timestamp(i64);

/// Milliseconds of a day; days are in UTC, without leap seconds.
const DAY_MS: i64 = 86_400_000;

impl Timestamp {
    /// The earliest instant: the beginning of the year 1.
    pub const MIN: Self = Self(-62_135_596_800_000);
    /// The last instant: the end of the year 9999.
    pub const MAX: Self = Self(253_402_214_400_000);

    /// From milliseconds since 1970-01-01T00:00:00Z; outside the years 1 to 9999, the nearest
    /// instant inside.
    pub fn from_millis(millis: i64) -> Self {
        Self(millis.clamp(Self::MIN.0, Self::MAX.0))
    }

    /// Milliseconds since 1970-01-01T00:00:00Z.
    pub fn millis(self) -> i64 {
        self.0
    }

    /// The day in UTC that contains this instant.
    pub fn day(self) -> Day {
        Day(i32::try_from(self.0.div_euclid(DAY_MS)).expect("years 1 to 9999 fit"))
    }

    /// The instant `millis` later, or [`Timestamp::MAX`].
    #[must_use]
    pub fn plus_millis(self, millis: u64) -> Self {
        Self::from_millis(self.0.saturating_add(i64::try_from(millis).unwrap_or(i64::MAX)))
    }

    /// The instant that many days earlier, or [`Timestamp::MIN`].
    #[must_use]
    pub fn minus_days(self, days: u32) -> Self {
        Self::from_millis(self.0.saturating_sub(i64::from(days).saturating_mul(DAY_MS)))
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Not as `jiff::Timestamp`, which ends a day before the year 9999 does.
        let midnight = self.day().date().to_datetime(jiff::civil::Time::midnight());
        let since = jiff::SignedDuration::from_millis(self.0.rem_euclid(DAY_MS));
        write!(f, "{}Z", midnight.saturating_add(since))
    }
}

impl FromStr for Timestamp {
    type Err = InvalidTime;

    /// Reads RFC 3339, such as `2024-12-03T09:00:00Z`.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let instant: jiff::Timestamp = text.parse().map_err(|_| InvalidTime::Timestamp)?;
        let millis = instant.as_millisecond();
        Some(Self::from_millis(millis)).filter(|at| at.0 == millis).ok_or(InvalidTime::Timestamp)
    }
}

/// Why a text is not a day or an instant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidTime {
    /// Not a day.
    #[error("not a date of the years 1 to 9999; use YYYY-MM-DD, such as 2024-12-03")]
    Day,
    /// Not an instant.
    #[error("not an instant of the years 1 to 9999; use RFC 3339, such as 2024-12-03T09:00:00Z")]
    Timestamp,
}

/// A day in UTC: days since 1970-01-01. Prints and reads as `2024-12-03`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Day(i32);

impl Day {
    /// The first day of the year 1.
    pub const MIN: Self = Self(-719_162);
    /// The last day of the year 9999.
    pub const MAX: Self = Self(2_932_896);

    /// The first day that a feed may publish: 1900-01-01.
    pub const PUBLISHED_MIN: Self = Self(-25_567);
    /// The last day that a feed may publish: 2200-12-31.
    pub const PUBLISHED_MAX: Self = Self(84_370);

    /// Whether a feed may publish this day.
    pub fn is_publishable(self) -> bool {
        (Self::PUBLISHED_MIN..=Self::PUBLISHED_MAX).contains(&self)
    }

    /// The instant at which the day begins, midnight UTC.
    pub fn start(self) -> Timestamp {
        Timestamp::from_millis(i64::from(self.0).saturating_mul(DAY_MS))
    }

    /// The last instant of the day.
    pub fn end(self) -> Timestamp {
        self.start().plus_millis(DAY_MS.unsigned_abs().saturating_sub(1))
    }

    /// From a year 1 to 9999, a month 1 to 12 and a day of that month.
    pub fn from_ymd(year: i16, month: i8, day: i8) -> Option<Self> {
        if year < 1 {
            return None;
        }
        Date::new(year, month, day).ok().map(Self::from_date)
    }

    /// The day after.
    #[must_use]
    pub fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }

    /// The day before.
    #[must_use]
    pub fn previous(self) -> Self {
        Self(self.0.saturating_sub(1))
    }

    fn from_date(date: Date) -> Self {
        let epoch = Date::constant(1970, 1, 1);
        let days = date.duration_since(epoch).as_secs().div_euclid(DAY_MS / 1000);
        Self(i32::try_from(days).expect("a calendar date is within some million days of 1970"))
    }

    /// The calendar date.
    pub fn date(self) -> Date {
        let span = jiff::SignedDuration::from_secs(i64::from(self.0).saturating_mul(DAY_MS / 1000));
        Date::constant(1970, 1, 1).saturating_add(span)
    }
}

impl fmt::Display for Day {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.date().fmt(f)
    }
}

impl FromStr for Day {
    type Err = InvalidTime;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let day = text.parse::<Date>().map(Self::from_date).ok();
        day.filter(|day| (Self::MIN..=Self::MAX).contains(day)).ok_or(InvalidTime::Day)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_and_instants_agree() {
        for text in ["1969-12-31", "1970-01-01", "2024-12-03", "2027-01-31", "9999-12-30"] {
            let day: Day = text.parse().unwrap();
            assert_eq!(day.to_string(), text);
            assert_eq!(day.start().day(), day);
            assert_eq!(day.start().plus_millis(86_399_999).day(), day);
        }
        let instant: Timestamp = "2024-12-03T09:00:00Z".parse().unwrap();
        assert_eq!(instant.to_string(), "2024-12-03T09:00:00Z");
        assert_eq!(Timestamp::MAX.to_string(), "9999-12-31T00:00:00Z");
        assert_eq!(Timestamp::MIN.plus_millis(1).to_string(), "0001-01-01T00:00:00.001Z");
        assert_eq!(Day::MAX.end().day(), Day::MAX);
        assert_eq!(Day::PUBLISHED_MIN.to_string(), "1900-01-01");
        assert_eq!(Day::PUBLISHED_MAX.to_string(), "2200-12-31");
    }

    #[test]
    fn nothing_before_the_year_1_or_after_9999_is_read() {
        for text in ["0001-01-01", "9999-12-31"] {
            assert_eq!(text.parse::<Day>().unwrap().to_string(), text);
        }
        let outside = ["0000-12-31", "-000001-01-01", "-009999-01-01", "10000-01-01"];
        for text in outside {
            assert_eq!(text.parse::<Day>(), Err(InvalidTime::Day), "{text}");
            let instant = format!("{text}T00:00:00Z");
            assert_eq!(instant.parse::<Timestamp>(), Err(InvalidTime::Timestamp), "{text}");
        }
        // A journal may hold any number of days.
        for days in [i32::MIN, -1_000_000, i32::MAX] {
            let day = Day(days);
            let around = [day.previous(), day.next()].map(|day| day.start().day());
            assert!(around.iter().all(|day| (Day::MIN..=Day::MAX).contains(day)), "{around:?}");
            assert!(!day.to_string().is_empty());
        }
    }
}
