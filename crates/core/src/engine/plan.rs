//! What a policy asks of a market, worked out once for all markets that the same rules cover.

use super::exposure::Lens;
use crate::domain::policy::{Destination, Policy};
use crate::domain::rule::Metric;
use crate::domain::{MarketKey, Rule};
use std::collections::BTreeMap;
use std::sync::Arc;

/// The rules of a market, and what they look at; what several rules look at stands here once.
#[derive(Debug, Default)]
pub(super) struct Plan {
    /// Points of view, each once.
    pub(super) lenses: Vec<Lens>,
    /// Values, each once.
    pub(super) views: Vec<View>,
    /// Every rule for each of its destinations: by rule, then as configured.
    pub(super) asked: Vec<Asked>,
    /// Whether time alone may change something: a wait, a report that goes stale, a level that flaps.
    pub(super) timed: bool,
}

/// A metric from a point of view.
#[derive(Debug)]
pub(super) struct View {
    pub(super) metric: Metric,
    /// Which of the lenses; `None` where the metric does not react to measures.
    pub(super) lens: Option<usize>,
}

/// A rule for one of its destinations.
#[derive(Debug)]
pub(super) struct Asked {
    pub(super) rule: Arc<Rule>,
    pub(super) destination: Destination,
    /// Which of the views.
    pub(super) view: usize,
}

impl Asked {
    /// The destination to tell: none for a metric that does not react to measures.
    pub(super) fn shown_destination(&self) -> Option<Destination> {
        self.rule.metric.reacts_to_measures().then(|| self.destination.clone())
    }

    /// Whether this asks the same of the same, so that it takes over what the other remembers.
    pub(super) fn succeeds(&self, other: &Self) -> bool {
        self.rule.name == other.rule.name
            && self.destination == other.destination
            && self.rule.metric == other.rule.metric
    }
}

impl Plan {
    fn new(rules: &[&Arc<Rule>]) -> Self {
        let mut plan = Self::default();
        for rule in rules {
            plan.timed |= rule.for_ms > 0
                || rule.keep_ms > 0
                || rule.max_age_ms.is_some()
                || rule.flapping.is_some();
            for destination in &rule.destinations {
                let lens = rule
                    .metric
                    .reacts_to_measures()
                    .then(|| plan.lens(Lens::of(rule, destination)));
                let view = plan.view(&rule.metric, lens);
                let (rule, destination) = (Arc::clone(rule), destination.clone());
                plan.asked.push(Asked { rule, destination, view });
            }
        }
        plan
    }

    fn lens(&mut self, lens: Lens) -> usize {
        self.lenses.iter().position(|one| *one == lens).unwrap_or_else(|| {
            self.lenses.push(lens);
            self.lenses.len().saturating_sub(1)
        })
    }

    fn view(&mut self, metric: &Metric, lens: Option<usize>) -> usize {
        let same = |view: &View| view.metric == *metric && view.lens == lens;
        self.views.iter().position(same).unwrap_or_else(|| {
            self.views.push(View { metric: metric.clone(), lens });
            self.views.len().saturating_sub(1)
        })
    }
}

/// The plans of one policy, by which of its rules cover a market.
#[derive(Debug, Clone, Default)]
pub(super) struct Plans {
    rules: Vec<Arc<Rule>>,
    made: BTreeMap<Vec<usize>, Arc<Plan>>,
}

impl Plans {
    /// Of a policy.
    pub(super) fn new(policy: &Policy) -> Self {
        Self { rules: policy.rules.iter().cloned().map(Arc::new).collect(), made: BTreeMap::new() }
    }

    /// That of a market.
    pub(super) fn of(&mut self, market: MarketKey) -> Arc<Plan> {
        let covering = |(_, rule): &(usize, &Arc<Rule>)| rule.covers(market);
        let rules: Vec<(usize, &Arc<Rule>)> =
            self.rules.iter().enumerate().filter(covering).collect();
        let key = rules.iter().map(|(at, _)| *at).collect();
        let plan = self.made.entry(key).or_insert_with(|| {
            let rules: Vec<&Arc<Rule>> = rules.into_iter().map(|(_, rule)| rule).collect();
            Arc::new(Plan::new(&rules))
        });
        Arc::clone(plan)
    }
}
