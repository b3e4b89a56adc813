//! A market: the reports of it, the threats that bear on it, and what every rule remembers of it.

use super::crossing::Standing;
use crate::domain::alert::{ReportName, ScopeMatch};
use crate::domain::market::Period;
use crate::domain::policy::{Destination, Policy};
use crate::domain::share::Interval;
use crate::domain::{Country, MarketKey, Report, Rule, Slug, Threat, Timestamp};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::Arc;

/// What identifies a report: a later vintage with the same key replaces it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct ReportKey {
    pub(super) market: MarketKey,
    pub(super) source: Slug,
    pub(super) period: Period,
}

impl ReportKey {
    pub(super) fn of(report: &Report) -> Self {
        Self { market: report.market(), source: report.source().clone(), period: report.period() }
    }
}

/// A report on record. Persisted in snapshots.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReportRecord {
    /// As published.
    pub report: Arc<Report>,
    /// When the journal took it.
    pub accepted_at: Timestamp,
}

impl ReportRecord {
    /// How the report is named in alerts and answers.
    pub fn name(&self) -> ReportName {
        ReportName {
            source: self.report.source().clone(),
            period: self.report.period(),
            vintage: self.report.vintage(),
            accepted_at: self.accepted_at,
        }
    }
}

/// An alert that was raised and not cleared. Persisted in snapshots.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Episode {
    /// The sequence of the alert that raised it.
    pub id: u64,
    /// The sequence of its latest alert.
    pub latest: u64,
}

/// What one rule remembers of one market for one destination, in the real world or in a drill. Persisted in snapshots.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(super) struct Memory {
    pub(super) standing: Standing,
    pub(super) value: Option<Interval>,
    pub(super) episode: Option<Episode>,
}

/// One rule, for one of its destinations, on one market.
#[derive(Debug, Clone)]
pub(super) struct Watch {
    pub(super) rule: Arc<Rule>,
    pub(super) destination: Destination,
    pub(super) real: Memory,
    /// What would be if a drill were real; only while a drill makes a difference.
    pub(super) drill: Option<Memory>,
}

impl Watch {
    /// The destination to tell: none for a metric that does not react to measures.
    pub(super) fn shown_destination(&self) -> Option<Destination> {
        self.rule.metric.reacts_to_measures().then(|| self.destination.clone())
    }
}

/// An open episode of a market.
#[derive(Debug, Clone, Copy)]
pub struct Open<'a> {
    /// Its rule.
    pub rule: &'a Rule,
    /// For whom; `None` where the metric does not react to measures.
    pub destination: Option<&'a Destination>,
    /// Its memory.
    pub episode: Episode,
    /// Its level.
    pub level: crate::domain::policy::Level,
    /// Whether it is a drill's.
    pub exercise: bool,
}

/// A market of which at least one report was made.
#[derive(Debug, Clone)]
pub struct Market {
    pub(super) reports: BTreeMap<(Slug, Period), ReportRecord>,
    pub(super) in_force: (Slug, Period),
    pub(super) bearing: BTreeMap<Slug, ScopeMatch>,
    pub(super) watches: Vec<Watch>,
}

impl Market {
    /// A market with its first report.
    pub(super) fn new(record: ReportRecord) -> Self {
        let key = (record.report.source().clone(), record.report.period());
        Self {
            reports: BTreeMap::from([(key.clone(), record)]),
            in_force: key,
            bearing: BTreeMap::new(),
            watches: Vec::new(),
        }
    }

    /// The report in force.
    pub fn report(&self) -> &ReportRecord {
        self.reports.get(&self.in_force).expect("the report in force is on record")
    }

    /// Reports on record that are not in force, by source and period.
    pub fn other_reports(&self) -> impl Iterator<Item = &ReportRecord> {
        self.reports.iter().filter(|(key, _)| **key != self.in_force).map(|(_, record)| record)
    }

    /// Threats about this market, whether they count or not, by id.
    pub fn bearing(&self) -> impl Iterator<Item = (&Slug, ScopeMatch)> {
        self.bearing.iter().map(|(id, scope_match)| (id, *scope_match))
    }

    /// The share of a country in the report in force.
    pub fn share(&self, country: Country) -> Option<crate::domain::Ppm> {
        self.report().report.share(country)
    }

    /// Open episodes, real ones and drills, by rule and destination.
    pub fn open(&self) -> impl Iterator<Item = Open<'_>> {
        self.watches.iter().flat_map(|watch| {
            let memories = [(Some(&watch.real), false), (watch.drill.as_ref(), true)];
            memories.into_iter().filter_map(|(memory, exercise)| {
                let memory = memory?;
                let reacts = watch.rule.metric.reacts_to_measures();
                Some(Open {
                    rule: &watch.rule,
                    destination: reacts.then_some(&watch.destination),
                    episode: memory.episode?,
                    level: memory.standing.level?,
                    exercise,
                })
            })
        })
    }

    /// Puts the report in force that the policy prefers: by source order, then the newest period.
    pub(super) fn choose(&mut self, policy: Option<&Policy>) {
        let rank = |source: &Slug| policy.map_or(0, |policy| policy.source_rank(source));
        let best = self.reports.keys().min_by(|(source, period), (other, other_period)| {
            (rank(source), other_period, source).cmp(&(rank(other), period, other))
        });
        self.in_force = best.expect("a market has a report").clone();
    }
}

/// How a threat bears on a market, if it does: by stage, and by mineral through the catalogue's groups.
pub fn scope_match(threat: &Threat, market: MarketKey) -> Option<ScopeMatch> {
    if !threat.stages.is_empty() && !threat.stages.contains(&market.stage) {
        return None;
    }
    let matches = threat.minerals.iter().filter_map(|mineral| {
        if *mineral == market.mineral {
            Some(ScopeMatch::Exact)
        } else if market.mineral.is_within(*mineral) {
            Some(ScopeMatch::Group)
        } else {
            mineral.is_within(market.mineral).then_some(ScopeMatch::Partial)
        }
    });
    matches.min()
}
