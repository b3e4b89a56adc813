//! Which countries' measures reach a buyer, and how much they weigh.

use crate::domain::policy::{Destination, Policy};
use crate::domain::rule::Rule;
use crate::domain::share::Weight;
use crate::domain::threat::{Confidence, Measure, ThreatStatus};
use crate::domain::{Country, Day, Threat};
use std::collections::BTreeSet;

/// The point of view of a rule: for whom, and which threats count.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MeasureFilter {
    /// For whom.
    pub destination: Destination,
    /// Which kinds count; empty means every kind that moves an index.
    pub measures: BTreeSet<Measure>,
    /// How sure publishers must be; empty means any.
    pub confidence: BTreeSet<Confidence>,
    /// Whether what is announced or comes back on a date counts as if it were in force.
    pub announced: bool,
}

impl MeasureFilter {
    /// Everything that is in force toward a destination.
    pub fn toward(destination: Destination) -> Self {
        let (measures, confidence) = (BTreeSet::new(), BTreeSet::new());
        Self { destination, measures, confidence, announced: false }
    }

    /// That of a rule for one of its destinations.
    pub(super) fn of(rule: &Rule, destination: &Destination) -> Self {
        Self {
            destination: destination.clone(),
            measures: rule.measures.clone(),
            confidence: rule.confidence.clone(),
            announced: rule.metric.counts_announced(),
        }
    }

    /// Whether a threat counts on a day: in force, about the material for every use, of a kind and as sure as instance for,
    /// and it reaches the destination.
    pub fn counts(&self, threat: &Threat, day: Day, policy: &Policy) -> bool {
        (self.measures.is_empty() || self.measures.contains(&threat.measure))
            && (self.confidence.is_empty() || self.confidence.contains(&threat.confidence))
            && threat.moves_indices()
            && (threat.status(day) == ThreatStatus::InForce
                || self.announced && threat.is_coming(day))
            && threat.reaches(&self.destination, &policy.blocs)
    }
}

/// The trade weight of one threat: its own, or the policy's for its kind.
pub fn weight(threat: &Threat, policy: &Policy) -> Weight {
    threat.t_override.unwrap_or_else(|| policy.weight(threat.measure))
}

/// Restricting countries and their trade weights, by country.
///
/// The weight t of a country is the maximum over its measures in force toward the destination, at least 1: measures are
/// alternatives, never a product (European Commission criticality method).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Exposure(Vec<(Country, Weight)>);

impl Exposure {
    /// Nobody restricts anything.
    pub const NONE: Self = Self(Vec::new());

    /// From every threat that counts, in any order.
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

    /// The trade weight of a country; `None` where no measure of it counts.
    pub fn weight(&self, country: Country) -> Option<Weight> {
        let at = self.0.binary_search_by_key(&country, |(country, _)| *country).ok()?;
        self.0.get(at).map(|(_, weight)| *weight)
    }

    /// Restricting countries and their weights, by country.
    pub fn iter(&self) -> impl Iterator<Item = (Country, Weight)> {
        self.0.iter().copied()
    }
}
