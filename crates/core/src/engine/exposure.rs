//! Exposure: the countries whose measures reach a buyer, and their weights.

use crate::domain::policy::{Destination, Policy};
use crate::domain::rule::Rule;
use crate::domain::share::Weight;
use crate::domain::threat::{Confidence, Measure, ThreatStatus};
use crate::domain::{Country, Day, Threat};
use std::collections::BTreeSet;

/// Which measures count for a rule and a buyer.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct MeasureFilter {
    /// The buyer.
    pub destination: Destination,
    /// The kinds that count; empty means every kind that moves an index.
    pub measures: BTreeSet<Measure>,
    /// The confidences that count; empty means all.
    pub confidence: BTreeSet<Confidence>,
    /// Whether measures that are announced, or suspended until a known date, count as if in force.
    pub announced: bool,
}

impl MeasureFilter {
    /// All measures in force toward a destination.
    pub fn toward(destination: Destination) -> Self {
        let (measures, confidence) = (BTreeSet::new(), BTreeSet::new());
        Self { destination, measures, confidence, announced: false }
    }

    /// A rule's filter for one of its destinations.
    pub(super) fn of(rule: &Rule, destination: &Destination) -> Self {
        Self {
            destination: destination.clone(),
            measures: rule.measures.clone(),
            confidence: rule.confidence.clone(),
            announced: rule.metric.counts_announced(),
        }
    }

    /// Whether a threat counts on a day: in force, on the material for every use, of an accepted
    /// kind and confidence, and reaching the destination.
    pub fn counts(&self, threat: &Threat, day: Day, policy: &Policy) -> bool {
        Countable::on(threat, day)
            .is_some_and(|countable| self.counts_as(threat, countable, policy))
    }

    /// The same for a threat whose effect on the day is known.
    pub(super) fn counts_as(&self, threat: &Threat, countable: Countable, policy: &Policy) -> bool {
        (countable == Countable::InForce || self.announced)
            && (self.measures.is_empty() || self.measures.contains(&threat.measure))
            && (self.confidence.is_empty() || self.confidence.contains(&threat.confidence))
            && threat.reaches(&self.destination, &policy.blocs)
    }
}

/// How a threat may count for metrics on a day; the same for all filters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Countable {
    /// In force.
    InForce,
    /// Announced, or suspended until a known date.
    Coming,
}

impl Countable {
    /// `None` where the threat counts for no metric.
    pub(super) fn on(threat: &Threat, day: Day) -> Option<Self> {
        if !threat.moves_indices() {
            None
        } else if threat.status(day) == ThreatStatus::InForce {
            Some(Self::InForce)
        } else {
            threat.is_coming(day).then_some(Self::Coming)
        }
    }
}

/// The trade weight t of one threat: its own, or the policy's for its kind.
pub fn weight(threat: &Threat, policy: &Policy) -> Weight {
    threat.t_override.unwrap_or_else(|| policy.weight(threat.measure))
}

/// Restricting countries and their trade weights, by country.
///
/// The weight t of a country is the maximum over its measures in force toward the destination, at
/// least 1: measures are alternatives, never a product (European Commission criticality method).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Exposure(Vec<(Country, Weight)>);

impl Exposure {
    /// No country restricts.
    pub const NONE: Self = Self(Vec::new());

    /// From all threats that count, in any order.
    pub fn of<'a>(threats: impl Iterator<Item = &'a Threat>, policy: &Policy) -> Self {
        let mut exposure = Self::default();
        for threat in threats {
            let weight = weight(threat, policy);
            match exposure.0.binary_search_by_key(&threat.imposing, |(country, _)| *country) {
                Ok(at) => {
                    if let Some((_, heaviest)) = exposure.0.get_mut(at) {
                        *heaviest = weight.max(*heaviest);
                    }
                }
                Err(at) => exposure.0.insert(at, (threat.imposing, weight)),
            }
        }
        exposure
    }

    /// The trade weight t of a country; `None` where none of its measures counts.
    pub fn weight(&self, country: Country) -> Option<Weight> {
        let at = self.0.binary_search_by_key(&country, |(country, _)| *country).ok()?;
        self.0.get(at).map(|(_, weight)| *weight)
    }

    /// The restricting countries and their weights, by country.
    pub fn iter(&self) -> impl Iterator<Item = (Country, Weight)> {
        self.0.iter().copied()
    }
}
