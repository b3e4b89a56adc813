//! Payloads for tests: a fixed one of every kind, and arbitrary ones.

use lodewatch_core::domain::calendar::{Calendar, Suspension};
use lodewatch_core::domain::market::{Denominator, Figure, Period, ReportDraft, ReportDraftRow};
use lodewatch_core::domain::policy::{Blocs, Destination, Jurisdiction, Level};
use lodewatch_core::domain::rule::{Flapping, Metric, Threshold};
use lodewatch_core::domain::share::{Weight, Wgi};
use lodewatch_core::domain::threat::{
    Authority, Confidence, EndUse, Evidence, Measure, Quota, Scope,
};
use lodewatch_core::domain::update::{
    Removal, ReportRemoval, RequestId, Sender, TraceContext, WriteScope,
};
use lodewatch_core::domain::{
    Batch, Country, Day, MarketKey, Mineral, Payload, Policy, Ppm, Report, Rule, Slug, Stage,
    Threat, Timestamp, Update,
};
use proptest::collection::{btree_set, vec};
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

pub(crate) fn tick() -> Payload {
    Payload::Tick { due: "2025-11-09T00:00:00Z".parse().unwrap() }
}

pub(crate) fn batch() -> Payload {
    let updates = vec![
        Update::Report(Arc::new(report(vec![("CHN", 990), ("RUS", 5)], Some(5)))),
        Update::Threat(Arc::new(threat("CHN-USA-2024"))),
        Update::Removal(Removal { threat: slug("EXERCISE-1"), revision: Some(3) }),
    ];
    let (request_id, feed) = (RequestId(0x0123_4567_89ab_cdef), slug("desk"));
    let (sender, trace) = (None, None);
    Payload::Batch(Batch { request_id, digest: 77, feed, exercise: false, updates, sender, trace })
}

/// A batch that removes reports.
pub(crate) fn report_removals() -> Payload {
    let Payload::Batch(batch) = batch() else { unreachable!() };
    let periods = [None, Period::parse("2025"), Period::parse("2025-Q3")];
    let updates = periods.map(|period| Update::ReportRemoval(report_removal(period)));
    Payload::Batch(Batch { updates: updates.into(), ..batch })
}

/// The batch with its sender.
pub(crate) fn sent() -> Payload {
    let Payload::Batch(batch) = batch() else { unreachable!() };
    let minerals = Some(BTreeSet::from([Mineral::parse("gallium").unwrap()]));
    let write_scope = Some(WriteScope { minerals });
    Payload::Batch(Batch {
        sender: Some(Sender { name: "desk/alice".into(), write_scope }),
        ..batch
    })
}

/// The same, traced.
pub(crate) fn traced() -> Payload {
    let Payload::Batch(batch) = sent() else { unreachable!() };
    let trace =
        TraceContext { id: 0x4bf9_2f35_77b3_4da6_a3ce_929d_0e0e_4736, span: 0x00f0_67aa_0ba9_02b7 };
    Payload::Batch(Batch { trace: Some(trace), ..batch })
}

pub(crate) fn policy() -> Payload {
    let place = |text| Destination::Jurisdiction(Jurisdiction::parse(text).unwrap());
    let rule = Rule {
        name: slug("restricted"),
        metric: Metric::GroupShare(vec![country("CHN"), country("RUS")]),
        minerals: vec![Mineral::parse("gallium").unwrap()],
        stages: vec![Stage::Refining],
        destinations: vec![Destination::All, Destination::Any, place("JPN"), place("G7")],
        measures: BTreeSet::from([Measure::Prohibition]),
        thresholds: vec![Threshold { level: Level::Critical, raise: 800_000, reset: 750_000 }],
        for_ms: 1,
        keep_ms: 86_400_000,
        confidence: BTreeSet::from([Confidence::Official]),
        max_age_ms: Some(86_400_000_000),
        flapping: Some(Flapping { changes: 4, within_ms: 86_400_000 }),
    };
    let members = BTreeSet::from([country("JPN"), country("USA")]);
    let policy = Policy {
        rules: vec![rule],
        blocs: Blocs(BTreeMap::from([(slug("G7"), members)])),
        sources: vec![slug("USGS"), slug("BGS")],
        weights: Policy::default_weights(),
        wgi: BTreeMap::from([(country("CHN"), Wgi::from_mean_hundredths(-31).unwrap())]),
        notice_share_min: Ppm::new(100_000),
    };
    Payload::PolicyAdopted { revision: 3, policy: Arc::new(policy) }
}

/// Arbitrary payloads; policies differ in their rules only.
pub(crate) fn payloads() -> impl Strategy<Value = Payload> {
    let senders = ("[a-z]{1,9}(/.{0,9})?", any::<bool>(), any::<bool>()).prop_map(
        |(name, is_limited, any_mineral)| {
            let minerals = BTreeSet::from([Mineral::parse("gallium").unwrap()]);
            let write_scope = WriteScope { minerals: (!any_mineral).then_some(minerals) };
            Sender { name: name.into(), write_scope: is_limited.then_some(write_scope) }
        },
    );
    let sender = option::of(senders);
    let traces = (1..u128::MAX, 1..u64::MAX).prop_map(|(id, span)| TraceContext { id, span });
    let beside = (sender, option::of(traces));
    let batch = (any::<u128>(), any::<u128>(), any::<bool>(), vec(updates(), 1..8), beside);
    let batch = batch.prop_map(|(id, digest, exercise, updates, (sender, trace))| {
        let (request_id, feed) = (RequestId(id), slug("feed"));
        Payload::Batch(Batch { request_id, digest, feed, exercise, updates, sender, trace })
    });
    prop_oneof![
        4 => batch,
        1 => any::<i64>().prop_map(|due| Payload::Tick { due: Timestamp::from_millis(due) }),
        1 => (any::<u64>(), any::<i64>(), metrics()).prop_map(|(for_ms, raise, metric)| {
            let mut payload = policy();
            let Payload::PolicyAdopted { revision, policy } = &mut payload else { unreachable!() };
            *revision = for_ms / 2;
            for rule in &mut Arc::make_mut(policy).rules {
                rule.for_ms = for_ms;
                rule.metric = metric.clone();
                rule.thresholds.push(Threshold { level: Level::Watch, raise, reset: -1 });
            }
            payload
        }),
    ]
}

fn updates() -> impl Strategy<Value = Update> {
    let reports = (btree_set(select(vec!["CHN", "COD", "IDN", "USA"]), 1..4), 1_u64..1_000_000)
        .prop_map(|(countries, milli)| {
            let rows = countries.into_iter().map(|code| (code, milli)).collect();
            Update::Report(Arc::new(report(rows, Some(milli))))
        });
    let days = || option::of((2000_i16..2050, 1_i8..=12).prop_map(|(y, m)| day(y, m)));
    let scopes = prop_oneof![
        Just(Scope::All),
        Just(Scope::Only(vec![Jurisdiction::parse("USA").unwrap()])),
        Just(Scope::Except(vec![
            Jurisdiction::parse("G7").unwrap(),
            Jurisdiction::parse("JPN").unwrap()
        ])),
    ];
    let threats = (scopes, select(Measure::ALL), days(), days(), ".{0,40}", any::<u64>()).prop_map(
        |(scope, measure, announced, until, title, revision)| {
            let mut threat = threat("CHN-2024");
            threat.calendar.announced = announced;
            threat.calendar.suspensions.push(Suspension { from: day(2025, 1), until });
            (threat.scope, threat.measure) = (scope, measure);
            (threat.title, threat.revision) = (title.into(), revision);
            Update::Threat(Arc::new(threat))
        },
    );
    let removals = option::of(any::<u64>())
        .prop_map(|revision| Update::Removal(Removal { threat: slug("T-1"), revision }));
    let report_removals = option::of(2000_i16..2050)
        .prop_map(|year| Update::ReportRemoval(report_removal(year.map(Period::Year))));
    prop_oneof![reports, threats, removals, report_removals]
}

fn metrics() -> impl Strategy<Value = Metric> {
    select(vec![Metric::Top1Share, Metric::CountryShare(country("COD")), Metric::NMinus1])
}

fn report(rows: Vec<(&str, u64)>, residual: Option<u64>) -> Report {
    let row = |(code, milli): (&str, u64)| ReportDraftRow {
        country: country(code),
        figure: Figure::QuantityMilli(milli),
        estimated: true,
    };
    Report::parse(ReportDraft {
        market: MarketKey { mineral: Mineral::parse("gallium").unwrap(), stage: Stage::Refining },
        source: slug("USGS"),
        period: Period::parse("2025").unwrap(),
        vintage: day(2026, 2),
        unit: "metric tons".into(),
        rows: rows.into_iter().map(row).collect(),
        residual: residual.map(Figure::QuantityMilli),
        denominator: Denominator::SumOfRows,
        published_total_milli: Some(1000),
        url: "https://pubs.usgs.gov/".into(),
    })
    .unwrap()
}

fn report_removal(period: Option<Period>) -> ReportRemoval {
    let market = MarketKey { mineral: Mineral::parse("gallium").unwrap(), stage: Stage::Refining };
    ReportRemoval { market, source: slug("USGS"), period }
}

fn threat(id: &str) -> Threat {
    Threat {
        id: slug(id),
        state_act: Some(slug("ACT-46")),
        title: "Exports prohibited".into(),
        evidence: vec![Evidence {
            url: "https://www.mofcom.gov.cn/".into(),
            publisher: "MOFCOM".into(),
            retrieved: Some(day(2025, 12)),
        }],
        imposing: country("CHN"),
        authority: Authority::National,
        scope: Scope::Only(vec![Jurisdiction::parse("USA").unwrap()]),
        end_use: EndUse::Any,
        minerals: vec![Mineral::parse("gallium").unwrap()],
        stages: vec![Stage::Refining],
        measure: Measure::Prohibition,
        quota: Some(Quota { value_milli: 5, unit: "t".into(), period: "2026".into() }),
        tax_rate: Ppm::new(250_000),
        t_override: Weight::from_permille(1500),
        calendar: Calendar {
            announced: Some(day(2024, 12)),
            effective: Some(day(2024, 12)),
            suspensions: vec![Suspension { from: day(2025, 11), until: Some(day(2026, 11)) }],
            removed: None,
        },
        superseded_by: None,
        confidence: Confidence::Official,
        revision: 2,
    }
}

fn slug(text: &str) -> Slug {
    Slug::parse(text).unwrap()
}

fn country(code: &str) -> Country {
    Country::from_alpha3(code).unwrap()
}

fn day(year: i16, month: i8) -> Day {
    Day::from_ymd(year, month, 1).unwrap()
}
