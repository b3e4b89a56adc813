//! Markets and threats as buyers in one destination see them: engine state → messages.

use crate::grpc::codec::pages::omit_after;
use crate::grpc::pb;
use lodewatch_core::domain::alert::ScopeMatch;
use lodewatch_core::domain::market::ReportRow;
use lodewatch_core::domain::policy::{Destination, Jurisdiction, Policy};
use lodewatch_core::domain::rule::Metric;
use lodewatch_core::domain::{MarketKey, Threat};
use lodewatch_core::engine::concentration::{self, MetricInputs};
use lodewatch_core::engine::exposure::{Exposure, MeasureFilter, weight};
use lodewatch_core::engine::{Market, State, ThreatRecord};
use std::cmp::Reverse;
use std::collections::BTreeSet;
use std::sync::Arc;

/// Items of the lists of a market that grow with what publishers and the policy add. With them a
/// market has at most about 300 KB.
const OTHER_REPORTS_MAX: usize = 100;
const THREAT_EFFECTS_MAX: usize = 100;
const RULE_STATUSES_MAX: usize = 500;

/// Metrics that need no parameter besides the destination.
const METRICS: [Metric; 10] = [
    Metric::Top1Share,
    Metric::Cr3,
    Metric::Hhi,
    Metric::HhiT,
    Metric::RestrictedShare,
    Metric::AvailableShare,
    Metric::NMinus1,
    Metric::AnnouncedHhiT,
    Metric::AnnouncedRestrictedShare,
    Metric::HhiWgiT,
];

/// The state as one destination sees it. Exercises are omitted: they show in alerts and with their
/// threats.
pub(in crate::grpc) struct Viewpoint<'a> {
    state: &'a State,
    destination: &'a Destination,
    policy: Arc<Policy>,
}

impl<'a> Viewpoint<'a> {
    /// `None` where the policy in force has no bloc of this name.
    pub(in crate::grpc) fn new(state: &'a State, destination: &'a Destination) -> Option<Self> {
        let policy = state.adopted().map(|adopted| Arc::clone(&adopted.policy)).unwrap_or_default();
        match destination {
            Destination::Jurisdiction(Jurisdiction::Bloc(name)) if !policy.blocs.contains(name) => {
                None
            }
            Destination::Jurisdiction(_) | Destination::All | Destination::Any => {
                Some(Self { state, destination, policy })
            }
        }
    }

    pub(in crate::grpc) fn weights(&self) -> Vec<pb::TradeWeight> {
        super::weights(&self.policy)
    }

    /// A market; without a report its state is unknown.
    pub(in crate::grpc) fn market(&self, key: MarketKey) -> pb::Market {
        let mut shown = unknown_market(self.destination, key);
        (shown.threat_effects, shown.threat_effects_omitted) = self.threat_effects(key);
        if let Some(market) = self.state.markets().get(&key) {
            shown.state = pb::MarketState::Known.into();
            self.show_figures(market, &mut shown);
            (shown.other_reports, shown.other_reports_omitted) = other_reports(market);
            (shown.rule_statuses, shown.rule_statuses_omitted) = rule_statuses(market);
        }
        shown
    }

    fn show_figures(&self, market: &Market, shown: &mut pb::Market) {
        let record = market.report();
        let report = &record.report;
        let exposure = self.exposure(market, false);
        let announced = self.exposure(market, true);
        let mut rows: Vec<&ReportRow> = report.rows().iter().collect();
        // Stable: equal shares stay in the order of their countries; withheld ones come last.
        rows.sort_by_key(|row| Reverse(row.share));
        shown.suppliers = rows.into_iter().map(|row| supplier(row, &exposure)).collect();
        shown.residual = super::share(report.residual());
        shown.residual_ppm = report.residual().get();
        shown.leaders = concentration::leaders(report).iter().map(ToString::to_string).collect();
        let basis = |metric: &Metric| {
            let exposure = if metric.counts_announced() { &announced } else { &exposure };
            MetricInputs { report, exposure, wgi: &self.policy.wgi }
        };
        let value = |metric: &Metric| pb::MetricValue {
            metric: super::metric(metric).into(),
            value: Some(super::interval(metric.unit(), basis(metric).value(metric))),
        };
        // Without governance weights the metric of governance has no value.
        let is_defined =
            |metric: &&Metric| **metric != Metric::HhiWgiT || !self.policy.wgi.is_empty();
        shown.metrics = METRICS.iter().filter(is_defined).map(value).collect();
        let contributions = basis(&Metric::HhiT).contributions(&Metric::HhiT);
        shown.hhi_t_contributions = super::contributions(Metric::HhiT.unit(), &contributions);
        shown.flags = report.flags().iter().map(|flag| super::flag(*flag).into()).collect();
        shown.report = Some(super::report_ref(&record.report_ref()));
        report.unit().clone_into(&mut shown.unit);
        shown.denominator = super::denominator(report.denominator()).into();
        shown.published_total = report.published_total_milli().map(super::milli);
        report.url().clone_into(&mut shown.url);
    }

    fn exposure(&self, market: &Market, announced: bool) -> Exposure {
        let filter = MeasureFilter { announced, ..MeasureFilter::toward(self.destination.clone()) };
        let today = self.state.now().day();
        let threats = market
            .threats()
            .filter(|one| !one.record.exercise)
            .map(|one| &*one.record.threat)
            .filter(|threat| filter.counts(threat, today, &self.policy));
        Exposure::of(threats, &self.policy)
    }

    /// The threats about a market with the highest weights, whether they count or not, and how
    /// many are omitted.
    fn threat_effects(&self, key: MarketKey) -> (Vec<pb::ThreatEffect>, u32) {
        let mut threats = self.threats_about(key);
        // Stable: equal weights stay in the order of their ids.
        threats.sort_by_key(|(threat, _)| Reverse(weight(threat, &self.policy)));
        let omitted = omit_after(&mut threats, THREAT_EFFECTS_MAX);
        let effect = |(threat, scope_match)| self.threat_effect(threat, scope_match);
        (threats.into_iter().map(effect).collect(), omitted)
    }

    /// By id.
    fn threats_about(&self, key: MarketKey) -> Vec<(&Threat, ScopeMatch)> {
        if let Some(market) = self.state.markets().get(&key) {
            let real = market.threats().filter(|one| !one.record.exercise);
            return real.map(|one| (&*one.record.threat, one.scope_match)).collect();
        }
        let real = self.state.threats().values().filter(|record| !record.exercise);
        let about = real.filter_map(|record| {
            let threat: &Threat = &record.threat;
            Some((threat, lodewatch_core::engine::scope_match(threat, key)?))
        });
        about.collect()
    }

    fn threat_effect(&self, threat: &Threat, scope_match: ScopeMatch) -> pb::ThreatEffect {
        let today = self.state.now().day();
        let reached = threat.reached(self.destination, &self.policy.blocs);
        pb::ThreatEffect {
            threat_id: threat.id.to_string(),
            state_act_id: threat.state_act.as_ref().map(ToString::to_string).unwrap_or_default(),
            imposing: threat.imposing.to_string(),
            scope_match: super::scope_match(scope_match).into(),
            weight: super::weight(weight(threat, &self.policy)),
            status: super::status(threat.status(today)).into(),
            reached: reached.iter().map(ToString::to_string).collect(),
        }
    }
}

fn supplier(row: &ReportRow, exposure: &Exposure) -> pb::Supplier {
    let heaviest = exposure.weight(row.country);
    pb::Supplier {
        country: row.country.to_string(),
        share: row.share.map(super::share),
        share_ppm: row.share.map(lodewatch_core::domain::Ppm::get),
        quantity: row.quantity_milli.map(super::milli),
        withheld: row.share.is_none(),
        estimated: row.estimated,
        weight: super::weight(heaviest.unwrap_or_default()),
        restricted: heaviest.is_some(),
    }
}

/// The newest reports that are not in force, and how many are omitted.
fn other_reports(market: &Market) -> (Vec<pb::ReportRef>, u32) {
    let mut others: Vec<_> = market.other_reports().collect();
    // Stable: reports of one day stay in the order of their sources.
    others.sort_by_key(|(record, _)| Reverse((record.report.period(), record.report.vintage())));
    let omitted = omit_after(&mut others, OTHER_REPORTS_MAX);
    let rendered = others.into_iter().map(|(record, superseded)| pb::ReportRef {
        superseded,
        ..super::report_ref(&record.report_ref())
    });
    (rendered.collect(), omitted)
}

/// The statuses of rules that are not normal, by rule and destination, and how many are omitted:
/// those with the lowest levels.
fn rule_statuses(market: &Market) -> (Vec<pb::RuleStatus>, u32) {
    let statuses = market.rule_statuses().filter(|one| !one.exercise);
    let reported = statuses.filter(|one| one.level.is_some() || one.indeterminate || one.stale);
    let mut reported: Vec<_> = reported.collect();
    if reported.len() > RULE_STATUSES_MAX {
        reported.sort_by_key(|one| Reverse(one.level));
    }
    let omitted = omit_after(&mut reported, RULE_STATUSES_MAX);
    let rendered = reported.into_iter().map(|one| pb::RuleStatus {
        episode: one.episode.map_or(0, |episode| episode.id),
        rule: one.rule.name.to_string(),
        destination: one.destination.map(ToString::to_string).unwrap_or_default(),
        level: super::level(one.level).into(),
        latest_sequence: one.episode.map_or(0, |episode| episode.latest),
        indeterminate: one.indeterminate,
        stale: one.stale,
        flapping: one.flapping,
    });
    (rendered.collect(), omitted)
}

/// A threat, where it stands and what it touches: at most about 80 KB, since every field is limited
/// when it is published, and the catalogue limits the markets.
pub(in crate::grpc) fn threat_record(state: &State, record: &ThreatRecord) -> pb::ThreatRecord {
    let threat = &record.threat;
    let today = state.now().day();
    let affected = state.scope_of(threat).map(|(key, scope_match)| pb::AffectedMarket {
        mineral: key.mineral.slug().to_owned(),
        stage: super::stage(key.stage).into(),
        scope_match: super::scope_match(scope_match).into(),
        imposing_share: state
            .markets()
            .get(&key)
            .and_then(|market| market.share(threat.imposing))
            .map(super::share),
    });
    pb::ThreatRecord {
        threat: Some(super::threat(threat)),
        status: super::status(threat.status(today)).into(),
        next_boundary: threat.next_boundary(today).map(|day| day.to_string()).unwrap_or_default(),
        moves_indices: threat.moves_indices(),
        markets: affected.collect(),
        feed: record.feed.to_string(),
        accepted_at: Some(super::timestamp(record.accepted_at)),
        exercise: record.exercise,
    }
}

/// A market that no report and no threat is about.
pub(in crate::grpc) fn unknown_market(destination: &Destination, key: MarketKey) -> pb::Market {
    pb::Market {
        mineral: key.mineral.slug().to_owned(),
        name: key.mineral.name().to_owned(),
        stage: super::stage(key.stage).into(),
        destination: destination.to_string(),
        state: pb::MarketState::Unknown.into(),
        ..pb::Market::default()
    }
}

/// Markets with a report, and those that only a threat names: a market without a report is unknown,
/// not unconcentrated.
pub(in crate::grpc) fn known_markets(state: &State) -> BTreeSet<MarketKey> {
    state.markets().keys().copied().chain(named_markets(state)).collect()
}

/// The markets that a threat names by mineral and stage; some more than once.
fn named_markets(state: &State) -> impl Iterator<Item = MarketKey> {
    state.threats().values().filter(|record| !record.exercise).flat_map(|record| {
        let stages = record.threat.stages.iter();
        record.threat.minerals.iter().flat_map(move |mineral| {
            stages.clone().map(|stage| MarketKey { mineral: *mineral, stage: *stage })
        })
    })
}

/// Whether [`known_markets`] has a market. Looks at threats only where no report is known.
pub(in crate::grpc) fn is_known_market(state: &State, key: MarketKey) -> bool {
    state.markets().contains_key(&key) || named_markets(state).any(|named| named == key)
}
