//! Filters: which alerts a subscriber wants, and the fields of an alert that decide it.

use super::alert::{Alert, Kind};
use super::policy::{Destination, Level};
use super::{Country, MarketKey, Mineral, Slug, Stage};
use std::collections::BTreeSet;

/// The fields of an alert that filters read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Facets {
    /// What happened.
    pub kind: Kind,
    /// The highest of the levels now, before and possible.
    pub level: Option<Level>,
    /// The rule's name.
    pub rule: Slug,
    /// The market.
    pub market: MarketKey,
    /// The buyer; `None` where the metric does not react to measures.
    pub destination: Option<Destination>,
    /// Leaders, imposing countries and the metric's countries; sorted, each once.
    pub countries: Vec<Country>,
    /// Whether an exercise contributed to it.
    pub exercise: bool,
}

impl From<&Alert> for Facets {
    fn from(alert: &Alert) -> Self {
        let countries = alert.leaders.iter().chain(alert.metric.countries()).chain(&alert.imposing);
        let countries: BTreeSet<Country> = countries.copied().collect();
        Self {
            kind: alert.kind,
            level: alert.level.max(alert.previous_level).max(alert.possible_level),
            rule: alert.rule.clone(),
            market: alert.market,
            destination: alert.destination.clone(),
            countries: countries.into_iter().collect(),
            exercise: alert.exercise,
        }
    }
}

/// Whether alerts of exercises pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum Exercises {
    /// Only real alerts.
    #[default]
    Exclude,
    /// Real alerts and those of exercises.
    Include,
    /// Only alerts of exercises.
    Only,
}

/// Which alerts pass: those that pass every list. An empty list passes all.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Filter {
    /// Minerals and groups; a group stands for all its parts.
    pub minerals: BTreeSet<Mineral>,
    /// Stages.
    pub stages: BTreeSet<Stage>,
    /// Countries that lead, impose a measure, or are named by the metric.
    pub countries: BTreeSet<Country>,
    /// Destinations; alerts of metrics without a destination pass.
    pub destinations: BTreeSet<Destination>,
    /// Names of rules.
    pub rules: BTreeSet<Slug>,
    /// An alert passes if the highest of its levels now, before and possible is at least this; one
    /// without any level, such as a notice, does not pass.
    pub minimum_level: Option<Level>,
    /// Kinds of alerts.
    pub kinds: BTreeSet<Kind>,
    /// Whether alerts of exercises pass.
    pub exercises: Exercises,
}

impl Filter {
    /// Whether an alert with these facets passes.
    pub fn wants(&self, facets: &Facets) -> bool {
        fn any<T: Ord>(wanted: &BTreeSet<T>, has: &T) -> bool {
            wanted.is_empty() || wanted.contains(has)
        }
        let mineral = self.minerals.is_empty()
            || self.minerals.iter().any(|group| facets.market.mineral.is_within(*group));
        let country = self.countries.is_empty()
            || facets.countries.iter().any(|country| self.countries.contains(country));
        let exercise = match self.exercises {
            Exercises::Exclude => !facets.exercise,
            Exercises::Include => true,
            Exercises::Only => facets.exercise,
        };
        mineral
            && country
            && exercise
            && any(&self.stages, &facets.market.stage)
            && facets.destination.as_ref().is_none_or(|one| any(&self.destinations, one))
            && any(&self.rules, &facets.rule)
            && self.minimum_level.is_none_or(|least| facets.level >= Some(least))
            && any(&self.kinds, &facets.kind)
    }
}
