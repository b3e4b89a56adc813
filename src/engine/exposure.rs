//! Which countries' measures reach a buyer, and how much they weigh.

use crate::domain::policy::{Destination, Policy};
use crate::domain::share::Weight;
use crate::domain::threat::{Measure, Status};
use crate::domain::{Country, Day, Threat};
use std::collections::BTreeSet;

/// The point of view of a rule: for whom, and which kinds of measures count.
#[derive(Debug, Clone, Copy)]
pub struct Lens<'a> {
    /// For whom.
    pub destination: &'a Destination,
    /// Which kinds count; empty means every kind that moves an index.
    pub measures: &'a BTreeSet<Measure>,
}

impl Lens<'_> {
    /// Whether a threat counts on a day: in force, about the material for every use, of a kind that counts, and it
    /// reaches the destination.
    pub fn counts(&self, threat: &Threat, day: Day, policy: &Policy) -> bool {
        (self.measures.is_empty() || self.measures.contains(&threat.measure))
            && threat.moves_indices()
            && threat.status(day) == Status::InForce
            && threat.reaches(self.destination, &policy.blocs)
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
