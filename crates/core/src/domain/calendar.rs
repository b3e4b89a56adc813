//! The dates of a measure, and its status on a day.

use super::Day;
use super::threat::ThreatStatus;
use serde::{Deserialize, Serialize};

/// A period in which a measure does not apply, half-open: from its first day up to, not including,
/// `until`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Suspension {
    /// First day of the suspension.
    pub from: Day,
    /// First day after the suspension; `None` where no end is set.
    pub until: Option<Day>,
}

/// The dates of a measure. Days are in UTC.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Calendar {
    /// Day of the announcement; `None` while not announced.
    pub announced: Option<Day>,
    /// First day in force; `None` while not set.
    pub effective: Option<Day>,
    /// In order of their first day, without overlap.
    pub suspensions: Vec<Suspension>,
    /// First day no longer in force.
    pub removed: Option<Day>,
}

/// Why dates contradict each other.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CalendarFault {
    /// In force before it was announced.
    #[error("date_effective {effective} is before date_announced {announced}")]
    EffectiveBeforeAnnounced {
        /// The date sent.
        effective: Day,
        /// The date sent.
        announced: Day,
    },
    /// Removed before it was announced or in force.
    #[error(
        "date_removed {removed} is before {what} {day}; a measure withdrawn before it took effect has no date_effective"
    )]
    RemovedBefore {
        /// The date sent.
        removed: Day,
        /// The field it must not be before.
        what: &'static str,
        /// The date of that field.
        day: Day,
    },
    /// A suspension that ends before it begins.
    #[error("suspensions[{at}]: until {until} is not after from {from}")]
    SuspensionBackwards {
        /// Index of the suspension, from 0.
        at: usize,
        /// The date sent.
        from: Day,
        /// The date sent.
        until: Day,
    },
    /// Suspensions that overlap or are out of order.
    #[error("suspensions[{at}] begins on {from}, before the previous suspension ends")]
    SuspensionsOverlap {
        /// Index of the suspension, from 0.
        at: usize,
        /// The date sent.
        from: Day,
    },
}

impl Calendar {
    /// Every contradiction in the dates; empty where there is none.
    pub fn faults(&self) -> Vec<CalendarFault> {
        let mut faults = Vec::new();
        if let (Some(announced), Some(effective)) = (self.announced, self.effective)
            && effective < announced
        {
            faults.push(CalendarFault::EffectiveBeforeAnnounced { effective, announced });
        }
        if let Some(removed) = self.removed {
            for (what, day) in
                [("date_announced", self.announced), ("date_effective", self.effective)]
            {
                if let Some(day) = day.filter(|day| removed < *day) {
                    faults.push(CalendarFault::RemovedBefore { removed, what, day });
                }
            }
        }
        for (at, suspension) in self.suspensions.iter().enumerate() {
            if let Some(until) = suspension.until.filter(|until| *until <= suspension.from) {
                faults.push(CalendarFault::SuspensionBackwards {
                    at,
                    from: suspension.from,
                    until,
                });
            }
            let before = at.checked_sub(1).and_then(|before| self.suspensions.get(before));
            if before.is_some_and(|before| before.until.is_none_or(|until| suspension.from < until))
            {
                faults.push(CalendarFault::SuspensionsOverlap { at, from: suspension.from });
            }
        }
        faults
    }

    /// The status on a day, without regard to `superseded_by`.
    pub fn status(&self, day: Day) -> ThreatStatus {
        let reached = |date: Option<Day>| date.is_some_and(|date| date <= day);
        let suspended = |s: &Suspension| s.from <= day && s.until.is_none_or(|until| day < until);
        if reached(self.removed) {
            let was_in_force =
                self.first_day_in_force().is_some_and(|first| Some(first) < self.removed);
            if was_in_force { ThreatStatus::Removed } else { ThreatStatus::Withdrawn }
        } else if !reached(self.announced) && !reached(self.effective) {
            ThreatStatus::Threatened
        } else if self.suspensions.iter().any(suspended) {
            ThreatStatus::Suspended
        } else if reached(self.effective) {
            ThreatStatus::InForce
        } else {
            ThreatStatus::Announced
        }
    }

    /// The first day in force: the effective date, or the end of the suspension that covers it.
    /// `None` where neither is set. Ignores `removed`.
    pub fn first_day_in_force(&self) -> Option<Day> {
        let mut first = self.effective?;
        for suspension in &self.suspensions {
            if suspension.from <= first && suspension.until.is_none_or(|until| first < until) {
                first = suspension.until?;
            }
        }
        Some(first)
    }

    /// The day on which the suspension that covers `day` ends; `None` where none does, or no end is
    /// set.
    pub fn resumes(&self, day: Day) -> Option<Day> {
        let covers = |s: &&Suspension| s.from <= day && s.until.is_none_or(|until| day < until);
        self.suspensions.iter().find(covers)?.until
    }

    /// The first day after `day` on which the status may change.
    pub fn next_boundary(&self, day: Day) -> Option<Day> {
        let suspensions = self
            .suspensions
            .iter()
            .flat_map(|suspension| [Some(suspension.from), suspension.until]);
        [self.announced, self.effective, self.removed]
            .into_iter()
            .chain(suspensions)
            .flatten()
            .filter(|boundary| *boundary > day)
            .min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn day(text: &str) -> Day {
        text.parse().unwrap()
    }

    fn dates(
        announced: &str,
        effective: &str,
        suspended: &str,
        until: &str,
        removed: &str,
    ) -> Calendar {
        let date = |text: &str| (!text.is_empty()).then(|| day(text));
        let suspensions = date(suspended)
            .map(|from| Suspension { from, until: date(until) })
            .into_iter()
            .collect();
        Calendar {
            announced: date(announced),
            effective: date(effective),
            suspensions,
            removed: date(removed),
        }
    }

    #[test]
    fn the_status_follows_the_dates_of_2025_day_by_day() {
        let usa = dates("2024-12-03", "2024-12-03", "2025-11-09", "2026-11-27", "");
        let october = dates("2025-10-09", "2025-11-08", "2025-11-07", "2026-11-10", "");
        let plan = dates("2025-06-10", "", "", "", "2026-02-25");
        let never = dates("2025-10-09", "2025-11-08", "2025-11-07", "", "2026-02-25");
        for (calendar, on, status) in [
            (&usa, "2024-12-02", ThreatStatus::Threatened),
            (&usa, "2024-12-03", ThreatStatus::InForce),
            (&usa, "2025-11-08", ThreatStatus::InForce),
            (&usa, "2025-11-09", ThreatStatus::Suspended),
            (&usa, "2026-11-26", ThreatStatus::Suspended),
            (&usa, "2026-11-27", ThreatStatus::InForce),
            (&october, "2025-11-06", ThreatStatus::Announced),
            (&october, "2025-11-07", ThreatStatus::Suspended),
            (&october, "2025-11-08", ThreatStatus::Suspended),
            (&october, "2026-11-10", ThreatStatus::InForce),
            (&plan, "2026-02-24", ThreatStatus::Announced),
            (&plan, "2026-02-25", ThreatStatus::Withdrawn),
            (&never, "2026-02-24", ThreatStatus::Suspended),
            (&never, "2026-02-25", ThreatStatus::Withdrawn),
        ] {
            assert_eq!(calendar.status(day(on)), status, "{on}");
        }
        assert_eq!(usa.next_boundary(day("2024-12-03")), Some(day("2025-11-09")));
        assert_eq!(usa.next_boundary(day("2026-11-27")), None);
    }

    #[test]
    fn contradicting_dates_are_reported() {
        assert_eq!(dates("2025-01-02", "2025-01-01", "", "", "").faults().len(), 1);
        assert_eq!(dates("", "2025-02-01", "", "", "2025-01-01").faults().len(), 1);
        assert_eq!(
            dates("2025-01-01", "2025-02-01", "2025-03-01", "2025-03-01", "").faults().len(),
            1
        );
        assert_eq!(dates("2025-06-10", "2027-01-01", "", "", "2026-02-25").faults().len(), 1);
        assert_eq!(dates("2025-06-10", "", "", "", "2026-02-25").faults(), []);
    }
}
