//! Evaluation plans: what a policy's rules need from a market, computed once for all markets that
//! the same rules cover.

use super::exposure::MeasureFilter;
use crate::domain::policy::{Destination, Policy};
use crate::domain::rule::Metric;
use crate::domain::{MarketKey, Rule, Slug};
use std::collections::BTreeMap;
use std::sync::Arc;

/// The rules of a market and their inputs. Inputs that several rules share are listed once.
#[derive(Debug, Default)]
pub(super) struct EvaluationPlan {
    /// The distinct measure filters of all rules.
    pub(super) filters: Vec<MeasureFilter>,
    /// The distinct metrics of all rules.
    pub(super) metrics: Vec<PlannedMetric>,
    /// Every rule for each of its destinations, in the policy's order.
    pub(super) instances: Vec<RuleInstance>,
    /// The most alerts that one evaluation of all instances can emit, without exercises.
    pub(super) alerts_max: u64,
    /// Whether the passing of time alone can change the result: a rule has `for`, `keep`, `max_age`
    /// or `flapping`.
    pub(super) is_timed: bool,
}

/// A metric and the measures that count for it.
#[derive(Debug)]
pub(super) struct PlannedMetric {
    pub(super) metric: Metric,
    /// Index into [`EvaluationPlan::filters`]; `None` where the metric does not react to measures.
    pub(super) filter_index: Option<usize>,
}

/// A rule for one of its destinations.
#[derive(Debug)]
pub(super) struct RuleInstance {
    pub(super) rule: Arc<Rule>,
    pub(super) destination: Destination,
    /// Index into [`EvaluationPlan::metrics`] and the values computed from them.
    pub(super) metric_index: usize,
}

impl RuleInstance {
    /// The destination to show in alerts: none for a metric that does not react to measures.
    pub(super) fn shown_destination(&self) -> Option<Destination> {
        self.rule.metric.reacts_to_measures().then(|| self.destination.clone())
    }

    /// An instance takes over the state of the one of another plan with the same identity.
    pub(super) fn identity(&self) -> (&Slug, &Destination, &Metric) {
        (&self.rule.name, &self.destination, &self.rule.metric)
    }
}

impl EvaluationPlan {
    fn new(rules: &[&Arc<Rule>]) -> Self {
        let mut plan = Self::default();
        let (mut filters, mut metrics) = (BTreeMap::new(), BTreeMap::new());
        for rule in rules {
            plan.alerts_max = plan.alerts_max.saturating_add(alerts_max(rule));
            plan.is_timed |= rule.for_ms > 0
                || rule.keep_ms > 0
                || rule.max_age_ms.is_some()
                || rule.flapping.is_some();
            for destination in &rule.destinations {
                let filter =
                    rule.metric.reacts_to_measures().then(|| MeasureFilter::of(rule, destination));
                let filter_index = filter.map(|filter| index_of(&mut filters, filter));
                let metric_index = index_of(&mut metrics, (rule.metric.clone(), filter_index));
                let (rule, destination) = (Arc::clone(rule), destination.clone());
                plan.instances.push(RuleInstance { rule, destination, metric_index });
            }
        }
        plan.filters = in_order(filters);
        let planned = |(metric, filter_index)| PlannedMetric { metric, filter_index };
        plan.metrics = in_order(metrics).into_iter().map(planned).collect();
        plan
    }
}

/// The index of an item: the number of different items before it.
fn index_of<T: Ord>(indices: &mut BTreeMap<T, usize>, item: T) -> usize {
    let next = indices.len();
    *indices.entry(item).or_insert(next)
}

/// The items by their indices.
fn in_order<T>(indices: BTreeMap<T, usize>) -> Vec<T> {
    let mut items: Vec<(T, usize)> = indices.into_iter().collect();
    items.sort_unstable_by_key(|(_, index)| *index);
    items.into_iter().map(|(item, _)| item).collect()
}

/// The most alerts of a rule in one market: for each destination a change of the level, one that
/// is indeterminate, and one that the report is stale.
fn alerts_max(rule: &Rule) -> u64 {
    let each = if rule.max_age_ms.is_some() { 3 } else { 2 };
    u64::try_from(rule.destinations.len()).unwrap_or(u64::MAX).saturating_mul(each)
}

/// The plans of one policy, keyed by the indices of the rules that cover a market.
#[derive(Debug, Clone, Default)]
pub(super) struct PlanCache {
    rules: Vec<Arc<Rule>>,
    plans: BTreeMap<Vec<usize>, Arc<EvaluationPlan>>,
}

impl PlanCache {
    pub(super) fn new(policy: &Policy) -> Self {
        Self { rules: policy.rules.iter().cloned().map(Arc::new).collect(), plans: BTreeMap::new() }
    }

    /// The most alerts that one evaluation of a market can emit, without exercises.
    pub(super) fn alerts_max(&self, market: MarketKey) -> u64 {
        let covering = self.rules.iter().filter(|rule| rule.covers(market));
        covering.map(|rule| alerts_max(rule)).fold(0, u64::saturating_add)
    }

    /// The plan of a market, computed when first asked for.
    pub(super) fn plan_for(&mut self, market: MarketKey) -> Arc<EvaluationPlan> {
        let covering = |(_, rule): &(usize, &Arc<Rule>)| rule.covers(market);
        let rules: Vec<(usize, &Arc<Rule>)> =
            self.rules.iter().enumerate().filter(covering).collect();
        let key = rules.iter().map(|(at, _)| *at).collect();
        let plan = self.plans.entry(key).or_insert_with(|| {
            let rules: Vec<&Arc<Rule>> = rules.into_iter().map(|(_, rule)| rule).collect();
            Arc::new(EvaluationPlan::new(&rules))
        });
        Arc::clone(plan)
    }
}
