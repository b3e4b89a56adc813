//! Threats: export-control measures of one imposing country, from first rumour to removal.

use super::alert::ThreatChange;
use super::calendar::Calendar;
use super::named::named;
use super::policy::{Blocs, Destination, Jurisdiction};
use super::share::Weight;
use super::{Country, Day, Mineral, Ppm, Slug, Stage};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

named! {
    /// The kind of a measure: the types of the OECD's inventory of export restrictions on
    /// industrial raw materials.
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
        /// No exports, with stated exceptions.
        ConditionalProhibition = "conditional_prohibition",
        /// A maximum quantity.
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
    /// The level of the imposing authority.
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
    /// The uses a measure covers. Only `any` moves an index.
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
    /// How certain the publisher is.
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
    /// The status of a threat on a day; derived from its calendar, never stored.
    pub enum ThreatStatus {
        /// Expected, not announced.
        Threatened = "threatened",
        /// Announced, not yet effective.
        Announced = "announced",
        /// Effective.
        InForce = "in_force",
        /// Not applied for a while; resumes by date where an end is set.
        Suspended = "suspended",
        /// Ended after having been in force.
        Removed = "removed",
        /// Ended before it ever was in force.
        Withdrawn = "withdrawn",
        /// Replaced by another threat.
        Superseded = "superseded",
    }
}

/// The destinations a measure applies to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Scope {
    /// Every destination.
    All,
    /// Only these.
    Only(Vec<Jurisdiction>),
    /// All except these.
    Except(Vec<Jurisdiction>),
}

impl Scope {
    /// The jurisdictions it names.
    pub fn jurisdictions(&self) -> &[Jurisdiction] {
        match self {
            Self::All => &[],
            Self::Only(jurisdictions) | Self::Except(jurisdictions) => jurisdictions,
        }
    }

    fn reaches_country(&self, country: Country, blocs: &Blocs) -> bool {
        let named = |jurisdictions: &[Jurisdiction]| {
            jurisdictions.iter().any(|one| blocs.covers(one, country))
        };
        match self {
            Self::All => true,
            Self::Only(jurisdictions) => named(jurisdictions),
            Self::Except(jurisdictions) => !named(jurisdictions),
        }
    }
}

/// A publication about a threat.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Evidence {
    /// Its address; may be empty for what is only on paper.
    pub url: Arc<str>,
    /// The publisher.
    pub publisher: Arc<str>,
    /// The day it was read.
    pub retrieved: Option<Day>,
}

/// The quantity a quota allows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Quota {
    /// In thousandths of the unit.
    pub value_milli: u64,
    /// The unit, such as `metric tons`.
    pub unit: Arc<str>,
    /// The period, such as `2026`.
    pub period: Arc<str>,
}

/// An export-control measure, from first rumour to removal. Free text is data: never parsed for
/// meaning. Persisted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Threat {
    /// The publisher's stable id, `CHN-GAGE-2023`; the key for every later revision.
    pub id: Slug,
    /// Groups the measures of one announcement.
    pub state_act: Option<Slug>,
    /// A title for people.
    pub title: Arc<str>,
    /// Publications about it.
    pub evidence: Vec<Evidence>,
    /// The country whose exports it restricts.
    pub imposing: Country,
    /// The level of the imposing authority.
    pub authority: Authority,
    /// The destinations it applies to.
    pub scope: Scope,
    /// The uses it covers.
    pub end_use: EndUse,
    /// The minerals it covers; at least one.
    pub minerals: Vec<Mineral>,
    /// The stages it covers; empty means all.
    pub stages: Vec<Stage>,
    /// The kind of measure.
    pub measure: Measure,
    /// The quantity, for quotas.
    pub quota: Option<Quota>,
    /// The tax rate as a part of the value, at most 1; for taxes.
    pub tax_rate: Option<Ppm>,
    /// Its own trade weight t, instead of the policy's for its kind.
    pub t_override: Option<Weight>,
    /// Its dates.
    pub calendar: Calendar,
    /// The threat that supersedes it: from the removal date, or at once where there is none.
    pub superseded_by: Option<Slug>,
    /// How certain the publisher is.
    pub confidence: Confidence,
    /// The publisher's revision, from 1; a stale one is rejected.
    pub revision: u64,
}

impl Threat {
    /// The maximum number of publications.
    pub const EVIDENCE_MAX: usize = 16;
    /// The maximum number of suspensions.
    pub const SUSPENSIONS_MAX: usize = 32;
    /// The maximum length of a text field, in bytes.
    pub const TEXT_MAX: usize = 1024;

    /// Whether two threats differ in nothing but the revision.
    pub fn equals_ignoring_revision(&self, other: &Self) -> bool {
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
    pub fn status(&self, day: Day) -> ThreatStatus {
        let ended = self.calendar.removed.is_none_or(|removed| removed <= day);
        if self.superseded_by.is_some() && ended {
            ThreatStatus::Superseded
        } else {
            self.calendar.status(day)
        }
    }

    /// How the status changes at the start of a day.
    pub fn change_on(&self, day: Day) -> ThreatChange {
        let status = self.status(day);
        if status == self.status(day.previous()) {
            return ThreatChange::Unchanged;
        }
        match status {
            ThreatStatus::Threatened => ThreatChange::Unchanged,
            ThreatStatus::Announced if self.calendar.announced == Some(day) => {
                ThreatChange::Announced
            }
            ThreatStatus::InForce if self.calendar.first_day_in_force() == Some(day) => {
                ThreatChange::TookEffect
            }
            // A suspension ended, of a measure in force or of one that is only announced.
            ThreatStatus::Announced | ThreatStatus::InForce => ThreatChange::Resumed,
            ThreatStatus::Suspended => ThreatChange::Suspended,
            ThreatStatus::Removed => ThreatChange::Expired,
            ThreatStatus::Withdrawn => ThreatChange::Withdrawn,
            ThreatStatus::Superseded => ThreatChange::Superseded,
        }
    }

    /// The first day after `day` on which the status may change.
    pub fn next_boundary(&self, day: Day) -> Option<Day> {
        if self.status(day) == ThreatStatus::Superseded {
            None
        } else {
            self.calendar.next_boundary(day)
        }
    }

    /// Whether it is announced and not yet in force, or suspended until a known date.
    pub fn is_coming(&self, day: Day) -> bool {
        match self.status(day) {
            ThreatStatus::Announced => true,
            ThreatStatus::Suspended => self.calendar.resumes(day).is_some(),
            ThreatStatus::Threatened
            | ThreatStatus::InForce
            | ThreatStatus::Removed
            | ThreatStatus::Withdrawn
            | ThreatStatus::Superseded => false,
        }
    }

    /// Whether it can move an index: it covers the material itself, for every use.
    pub fn moves_indices(&self) -> bool {
        self.end_use == EndUse::Any && self.measure != Measure::TechnologyControl
    }

    /// Whether it reaches a buyer. A country is never restricted for itself.
    ///
    /// A bloc is reached with any of its members; `all` only by a measure that reaches every
    /// destination; `any` by every measure.
    pub fn reaches(&self, destination: &Destination, blocs: &Blocs) -> bool {
        let reaches = |country: Country| {
            country != self.imposing && self.scope.reaches_country(country, blocs)
        };
        match destination {
            Destination::All => self.scope == Scope::All,
            Destination::Any => true,
            Destination::Jurisdiction(Jurisdiction::Country(country)) => reaches(*country),
            Destination::Jurisdiction(Jurisdiction::Bloc(name)) => blocs.members(name).any(reaches),
        }
    }

    /// The members of a bloc that it reaches, by code; none for another destination.
    pub fn reached(&self, destination: &Destination, blocs: &Blocs) -> Vec<Country> {
        let Destination::Jurisdiction(Jurisdiction::Bloc(name)) = destination else {
            return Vec::new();
        };
        let reaches = |country: &Country| {
            *country != self.imposing && self.scope.reaches_country(*country, blocs)
        };
        blocs.members(name).filter(reaches).collect()
    }
}
