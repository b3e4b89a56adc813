//! Threats: export-control measures of one imposing country, from first rumour to removal.

use super::named::named;
use super::policy::{Blocs, Destination, Place};
use super::share::Weight;
use super::{Country, Day, Mineral, Ppm, Slug, Stage};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

named! {
    /// The kind of a measure: the types of the OECD's inventory of export restrictions on industrial raw materials.
    ///
    /// | here | Global Trade Alert | WTO quantitative-restriction symbol |
    /// |---|---|---|
    /// | prohibition | Export ban | P X |
    /// | conditional_prohibition | Export ban (with exceptions) | CP X |
    /// | quota | Export quota | GQ X |
    /// | tariff_quota | Export tariff quota | |
    /// | tax | Export tax | |
    /// | licensing | Export licensing requirement | NAL X, AL X |
    /// | minimum_price | Export price benchmark | MXP |
    /// | state_trading | Export-related non-tariff measure, nes | STR X |
    /// | domestic_supply_obligation | Local supply requirement for exports | |
    /// | other | Export-related non-tariff measure, nes | |
    /// | technology_control | Export licensing requirement, Export ban (on technology) | |
    pub enum Measure {
        /// No exports.
        Prohibition = "prohibition",
        /// No exports but under stated conditions.
        ConditionalProhibition = "conditional_prohibition",
        /// At most a quantity.
        Quota = "quota",
        /// A higher tax above a quantity.
        TariffQuota = "tariff_quota",
        /// A tax on exports.
        Tax = "tax",
        /// Only with a licence.
        Licensing = "licensing",
        /// Not below a price.
        MinimumPrice = "minimum_price",
        /// Only by appointed enterprises.
        StateTrading = "state_trading",
        /// Only after domestic buyers are supplied.
        DomesticSupplyObligation = "domestic_supply_obligation",
        /// Anything else on the material itself.
        Other = "other",
        /// On know-how and equipment, not on the material: never moves an index.
        TechnologyControl = "technology_control",
    }
}

named! {
    /// At which level the imposing authority stands.
    pub enum Authority {
        /// Above countries, such as the European Union.
        Supranational = "supranational",
        /// A country's government.
        National = "national",
        /// A province, state or region.
        Subnational = "subnational",
        /// An authority that is not a state's.
        NonState = "non_state",
        /// A company.
        Firm = "firm",
    }
}

named! {
    /// Which uses a measure is about. Only `any` moves an index.
    pub enum EndUse {
        /// Every use.
        Any = "any",
        /// Military users and purposes.
        Military = "military",
        /// Named companies.
        ListedEntities = "listed_entities",
    }
}

named! {
    /// How sure the publisher is.
    pub enum Confidence {
        /// Published by the authority.
        Official = "official",
        /// Reported by others.
        Reported = "reported",
        /// Hearsay.
        Rumour = "rumour",
    }
}

named! {
    /// Where a threat stands on a day; derived from its calendar, never stored.
    pub enum Status {
        /// Spoken of, not announced.
        Threatened = "threatened",
        /// Announced, not yet effective.
        Announced = "announced",
        /// Effective.
        InForce = "in_force",
        /// Set aside for a while; comes back by itself where an end is set.
        Suspended = "suspended",
        /// Ended after having been in force.
        Removed = "removed",
        /// Ended before it ever was in force.
        Withdrawn = "withdrawn",
        /// Replaced by another threat.
        Superseded = "superseded",
    }
}

/// Whom a measure is aimed at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Scope {
    /// Every destination.
    All,
    /// These only.
    Only(Vec<Place>),
    /// All but these.
    Except(Vec<Place>),
}

impl Scope {
    /// The places named, if any.
    pub fn places(&self) -> &[Place] {
        match self {
            Self::All => &[],
            Self::Only(places) | Self::Except(places) => places,
        }
    }

    fn reaches_country(&self, country: Country, blocs: &Blocs) -> bool {
        let named = |places: &[Place]| places.iter().any(|place| blocs.covers(place, country));
        match self {
            Self::All => true,
            Self::Only(places) => named(places),
            Self::Except(places) => !named(places),
        }
    }
}

/// A time in which a measure is set aside: from its first day up to, not including, its last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Suspension {
    /// First day of the suspension.
    pub from: Day,
    /// First day after it; `None` where no end is set.
    pub until: Option<Day>,
}

/// The dates of a measure; days in UTC.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Calendar {
    /// When it was announced; `None` while it is only spoken of.
    pub announced: Option<Day>,
    /// First day in force; `None` while not set.
    pub effective: Option<Day>,
    /// In order of their first day, apart from each other.
    pub suspensions: Vec<Suspension>,
    /// First day no longer in force.
    pub removed: Option<Day>,
}

/// Why a calendar is none.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CalendarFault {
    /// In force before it was announced.
    #[error("date_effective {effective} is before date_announced {announced}")]
    EffectiveBeforeAnnounced {
        /// As sent.
        effective: Day,
        /// As sent.
        announced: Day,
    },
    /// Removed before it was announced or in force.
    #[error(
        "date_removed {removed} is before {what} {day}; a measure withdrawn before it took effect has no date_effective"
    )]
    RemovedBefore {
        /// As sent.
        removed: Day,
        /// Which date it must not be before.
        what: &'static str,
        /// That date.
        day: Day,
    },
    /// A suspension that ends before it begins.
    #[error("suspensions[{at}]: until {until} is not after from {from}")]
    SuspensionBackwards {
        /// Which, from 0.
        at: usize,
        /// As sent.
        from: Day,
        /// As sent.
        until: Day,
    },
    /// Suspensions that overlap or are out of order.
    #[error("suspensions[{at}] begins on {from}, before the one before it has ended")]
    SuspensionsOverlap {
        /// Which, from 0.
        at: usize,
        /// As sent.
        from: Day,
    },
}

impl Calendar {
    /// Every fault of the dates.
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

    /// The status on a day, superseding apart.
    pub fn status(&self, day: Day) -> Status {
        let reached = |date: Option<Day>| date.is_some_and(|date| date <= day);
        let suspended = |s: &Suspension| s.from <= day && s.until.is_none_or(|until| day < until);
        if reached(self.removed) {
            let was_in_force =
                self.effective.is_some_and(|effective| Some(effective) < self.removed);
            if was_in_force { Status::Removed } else { Status::Withdrawn }
        } else if !reached(self.announced) && !reached(self.effective) {
            Status::Threatened
        } else if self.suspensions.iter().any(suspended) {
            Status::Suspended
        } else if reached(self.effective) {
            Status::InForce
        } else {
            Status::Announced
        }
    }

    /// The day on which the suspension of a day ends, where one is set.
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

/// Where a threat can be read about.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Evidence {
    /// Its address; may be empty for what is only on paper.
    pub url: Arc<str>,
    /// Who published it.
    pub publisher: Arc<str>,
    /// When it was read.
    pub retrieved: Option<Day>,
}

/// How much a quota allows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Quota {
    /// In thousandths of the unit.
    pub value_milli: u64,
    /// Such as `metric tons`.
    pub unit: Arc<str>,
    /// Such as `2026`.
    pub period: Arc<str>,
}

/// An export-control measure. Free text is data: never parsed for meaning. Persisted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Threat {
    /// The publisher's stable id, `CHN-GAGE-2023`; the key for every later revision.
    pub id: Slug,
    /// Groups the measures of one announcement.
    pub state_act: Option<Slug>,
    /// What a person calls it.
    pub title: Arc<str>,
    /// Where it can be read about.
    pub evidence: Vec<Evidence>,
    /// Whose exports it restricts.
    pub imposing: Country,
    /// At which level the imposing authority stands.
    pub authority: Authority,
    /// Whom it is aimed at.
    pub scope: Scope,
    /// Which uses it is about.
    pub end_use: EndUse,
    /// What it is about; at least one.
    pub minerals: Vec<Mineral>,
    /// At which stages; empty means all.
    pub stages: Vec<Stage>,
    /// Of which kind.
    pub measure: Measure,
    /// For quotas.
    pub quota: Option<Quota>,
    /// For taxes: part of the value, at most 1.
    pub tax_rate: Option<Ppm>,
    /// Its own trade weight, instead of the policy's for its kind.
    pub t_override: Option<Weight>,
    /// Its dates.
    pub calendar: Calendar,
    /// The threat that takes its place: from the removal date, or at once where there is none.
    pub superseded_by: Option<Slug>,
    /// How sure the publisher is.
    pub confidence: Confidence,
    /// The publisher's revision, from 1; a stale one is refused.
    pub revision: u64,
}

impl Threat {
    /// The most evidence a threat can have.
    pub const EVIDENCE_MAX: usize = 16;
    /// The most suspensions a threat can have.
    pub const SUSPENSIONS_MAX: usize = 32;
    /// The longest text field, in bytes.
    pub const TEXT_MAX: usize = 1024;

    /// Whether it is the same but for the revision.
    pub fn says_the_same(&self, other: &Self) -> bool {
        let Self {
            id,
            state_act,
            title,
            evidence,
            imposing,
            authority,
            scope,
            end_use,
            minerals,
            stages,
            measure,
            quota,
            tax_rate,
            t_override,
            calendar,
            superseded_by,
            confidence,
            revision: _,
        } = self;
        (id, state_act, title, evidence)
            == (&other.id, &other.state_act, &other.title, &other.evidence)
            && (imposing, authority, scope) == (&other.imposing, &other.authority, &other.scope)
            && (end_use, minerals, stages) == (&other.end_use, &other.minerals, &other.stages)
            && (measure, quota, tax_rate) == (&other.measure, &other.quota, &other.tax_rate)
            && (t_override, calendar) == (&other.t_override, &other.calendar)
            && (superseded_by, confidence) == (&other.superseded_by, &other.confidence)
    }

    /// The status on a day.
    pub fn status(&self, day: Day) -> Status {
        let ended = self.calendar.removed.is_none_or(|removed| removed <= day);
        if self.superseded_by.is_some() && ended {
            Status::Superseded
        } else {
            self.calendar.status(day)
        }
    }

    /// The first day after `day` on which the status may change.
    pub fn next_boundary(&self, day: Day) -> Option<Day> {
        if self.status(day) == Status::Superseded { None } else { self.calendar.next_boundary(day) }
    }

    /// Whether it is announced and not yet in force, or suspended up to a date.
    pub fn is_coming(&self, day: Day) -> bool {
        match self.status(day) {
            Status::Announced => true,
            Status::Suspended => self.calendar.resumes(day).is_some(),
            Status::Threatened
            | Status::InForce
            | Status::Removed
            | Status::Withdrawn
            | Status::Superseded => false,
        }
    }

    /// Whether it can ever move an index: it is about the material, and for every use.
    pub fn moves_indices(&self) -> bool {
        self.end_use == EndUse::Any && self.measure != Measure::TechnologyControl
    }

    /// Whether it reaches a buyer. A country is never restricted for itself.
    ///
    /// A bloc is reached with any of its members; `all` only by what reaches every destination; `any` by whatever
    /// reaches anyone.
    pub fn reaches(&self, destination: &Destination, blocs: &Blocs) -> bool {
        let reaches = |country: Country| {
            country != self.imposing && self.scope.reaches_country(country, blocs)
        };
        match destination {
            Destination::All => self.scope == Scope::All,
            Destination::Any => true,
            Destination::Place(Place::Country(country)) => reaches(*country),
            Destination::Place(Place::Bloc(name)) => blocs.members(name).any(reaches),
        }
    }

    /// The members of a bloc that it reaches, by code; none for another destination.
    pub fn reached(&self, destination: &Destination, blocs: &Blocs) -> Vec<Country> {
        let Destination::Place(Place::Bloc(name)) = destination else { return Vec::new() };
        let reaches = |country: &Country| {
            *country != self.imposing && self.scope.reaches_country(*country, blocs)
        };
        blocs.members(name).filter(reaches).collect()
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
    fn the_calendar_of_2025_is_told_day_by_day() {
        let usa = dates("2024-12-03", "2024-12-03", "2025-11-09", "2026-11-27", "");
        let october = dates("2025-10-09", "2025-11-08", "2025-11-07", "2026-11-10", "");
        let plan = dates("2025-06-10", "", "", "", "2026-02-25");
        for (calendar, on, status) in [
            (&usa, "2024-12-02", Status::Threatened),
            (&usa, "2024-12-03", Status::InForce),
            (&usa, "2025-11-08", Status::InForce),
            (&usa, "2025-11-09", Status::Suspended),
            (&usa, "2026-11-26", Status::Suspended),
            (&usa, "2026-11-27", Status::InForce),
            (&october, "2025-11-06", Status::Announced),
            (&october, "2025-11-07", Status::Suspended),
            (&october, "2025-11-08", Status::Suspended),
            (&october, "2026-11-10", Status::InForce),
            (&plan, "2026-02-24", Status::Announced),
            (&plan, "2026-02-25", Status::Withdrawn),
        ] {
            assert_eq!(calendar.status(day(on)), status, "{on}");
        }
        assert_eq!(usa.next_boundary(day("2024-12-03")), Some(day("2025-11-09")));
        assert_eq!(usa.next_boundary(day("2026-11-27")), None);
    }

    #[test]
    fn impossible_calendars_are_named() {
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
