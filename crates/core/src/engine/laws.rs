//! The laws of the method, as property tests over generated markets and measures.

use super::State;
use super::concentration::MetricInputs;
use super::exposure::{Exposure, MeasureFilter};
use crate::domain::alert::Kind;
use crate::domain::calendar::{Calendar, Suspension};
use crate::domain::market::{Denominator, Figure, Period, ReportDraft, ReportDraftRow};
use crate::domain::policy::{Blocs, Destination, Jurisdiction, Level, Policy};
use crate::domain::rule::{Flapping, Metric, Threshold};
use crate::domain::share::{Interval, Weight, Wgi};
use crate::domain::threat::{Authority, Confidence, EndUse, Measure, Scope, Threat};
use crate::domain::update::{Removal, ReportRemoval, RequestId};
use crate::domain::{
    Alert, Batch, Country, Day, Entry, MarketKey, Mineral, Payload, Ppm, Report, Rule, Seq, Slug,
    Stage, Update,
};
use proptest::collection::{btree_map, vec};
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

const COUNTRIES: [&str; 6] = ["CHN", "COD", "IDN", "RUS", "USA", "ZAF"];
const MINERALS: [&str; 4] = ["gallium", "graphite", "rare_earths", "rare_earths_magnet"];

proptest! {
    #[test]
    fn more_measures_never_lower_the_metrics_that_rise_with_them(
        report in reports(), threats in vec(threats(), 0..6), more in threats(), heavier in 1000_u16..=3000,
    ) {
        let before = metrics_under_measures(&report, &threats);
        let with = metrics_under_measures(&report, &[&threats[..], std::slice::from_ref(&more)].concat());
        let own = more.t_override.map_or(1000, Weight::permille).max(heavier);
        let heavy = Threat { t_override: Weight::from_permille(own), ..more.clone() };
        let wide = Threat { scope: Scope::All, t_override: heavy.t_override, ..more.clone() };
        let heavy = metrics_under_measures(&report, &[&threats[..], &[heavy]].concat());
        let wide = metrics_under_measures(&report, &[&threats[..], &[wide]].concat());
        for (metric, lower) in &before {
            prop_assert!(at_least(with[metric], *lower), "adding a measure lowers {}", metric);
            prop_assert!(!matches!(metric, Metric::HhiT | Metric::HhiWgiT) || more.t_override.is_none() || at_least(heavy[metric], with[metric]));
            prop_assert!(at_least(wide[metric], heavy[metric]), "a wider scope lowers {}", metric);
        }
        prop_assert_eq!(metrics_under_measures(&report, &threats), before, "removing the measure restores the values");
    }

    #[test]
    fn without_measures_the_trade_adjusted_index_is_the_index(report in reports()) {
        let nothing = Exposure::NONE;
        prop_assert_eq!(value(&Metric::HhiT, &report, &nothing), value(&Metric::Hhi, &report, &nothing));
        prop_assert_eq!(value(&Metric::RestrictedShare, &report, &nothing), Interval::default());
    }

    #[test]
    fn measures_add_the_sum_over_their_countries_to_the_index(
        report in reports(), threats in vec(threats(), 0..6),
    ) {
        let exposure = Exposure::of(threats.iter(), &policy());
        let added: i64 = report.rows().iter().map(|row| {
            let share = i64::from(row.share.map_or(0, Ppm::get));
            share * share * (i64::from(exposure.weight(row.country).unwrap_or_default().permille()) - 1000)
        }).sum();
        let (plain, adjusted) = (value(&Metric::Hhi, &report, &exposure), value(&Metric::HhiT, &report, &exposure));
        prop_assert_eq!(adjusted.lower - plain.lower, added);
    }

    #[test]
    fn contributions_add_up_to_the_value(report in reports(), threats in vec(threats(), 0..6), metric in metrics()) {
        let exposure = Exposure::of(threats.iter(), &policy());
        let value = value(&metric, &report, &exposure);
        let contributions = MetricInputs { report: &report, exposure: &exposure, wgi: &governance() }.contributions(&metric);
        let lower: i64 = contributions.iter().filter(|one| !one.upper_only).map(|one| one.amount).sum();
        let upper: i64 = contributions.iter().map(|one| one.amount).sum();
        prop_assert!(value.lower <= value.upper);
        if metric.is_falling() {
            prop_assert_eq!((1_000_000 - value.upper, 1_000_000 - value.lower), (lower, upper));
        } else {
            prop_assert_eq!((value.lower, value.upper), (lower, upper));
        }
    }

    #[test]
    fn the_order_of_independent_updates_does_not_matter(
        (updates, shuffled) in updates().prop_flat_map(|updates| {
            // Two updates of the same thing depend on their order.
            let mut unique = BTreeMap::new();
            for update in updates {
                if !matches!(update, Update::ReportRemoval(_)) {
                    unique.insert(name(&update), update);
                }
            }
            let updates: Vec<Update> = unique.into_values().collect();
            (Just(updates.clone()), Just(updates).prop_shuffle())
        }),
    ) {
        let (one, _) = play(&updates.into_iter().map(|one| vec![one]).collect::<Vec<_>>(), None);
        let (other, _) = play(&shuffled.into_iter().map(|one| vec![one]).collect::<Vec<_>>(), None);
        prop_assert_eq!(figures(&one), figures(&other));
    }

    #[test]
    fn the_same_entries_give_the_same_bytes_from_any_snapshot(
        batches in vec(updates(), 1..12), cut in 0_usize..12,
    ) {
        let (whole, alerts) = play(&batches, None);
        let (resumed, again) = play(&batches, Some(cut));
        prop_assert_eq!(&again, &alerts);
        prop_assert_eq!(resumed.to_snapshot(), whole.to_snapshot());
        prop_assert_eq!(&resumed.usage, &whole.usage);
        let restored = State::from_snapshot(&whole.to_snapshot()).unwrap();
        prop_assert_eq!(&restored.usage, &whole.usage);
        prop_assert_eq!(open_episodes(&alerts), whole.open_alerts());
        for market in whole.markets().values() {
            let known = |id| market.threats.contains_key(id);
            prop_assert!(market.noticed.keys().all(known), "a notice of a threat that is gone");
        }
        for (before, alert) in (1..).zip(&alerts) {
            prop_assert_eq!(alert.sequence, before, "sequences have no gap");
        }
    }
}

/// Applies a policy and then batches, a day apart. The state passes through its snapshot after
/// `cut` of them.
fn play(batches: &[Vec<Update>], cut: Option<usize>) -> (State, Vec<Alert>) {
    let mut state = State::default();
    let mut alerts = Vec::new();
    let adopted = Payload::PolicyAdopted { revision: 0, policy: Arc::new(policy()) };
    let batches = (1_u128..).zip(batches).map(|(id, updates)| {
        let (request_id, feed) = (RequestId(id), slug("feed"));
        let updates = updates.clone();
        Payload::Batch(Batch {
            request_id,
            digest: id,
            feed,
            exercise: false,
            updates,
            sender: None,
            trace: None,
        })
    });
    for (at, payload) in (0_usize..).zip(std::iter::once(adopted).chain(batches)) {
        if cut == Some(at) {
            state = State::from_snapshot(&state.to_snapshot()).unwrap();
        }
        let days = u64::try_from(at).unwrap() * 86_400_000;
        let at = day(2024, 1).start().plus_millis(days);
        let entry = Entry { seq: Seq(state.seq().0 + 1), at, payload };
        let most = state.entry_alerts_max(&entry);
        let emitted = state.apply(&entry).alerts;
        assert!(
            u64::try_from(emitted.len()).unwrap() <= most,
            "{} alerts, at most {most} were expected",
            emitted.len()
        );
        alerts.extend(emitted);
    }
    (state, alerts)
}

/// The latest alerts of the episodes that were opened and not cleared.
fn open_episodes(alerts: &[Alert]) -> BTreeSet<u64> {
    let mut open = BTreeMap::new();
    for alert in alerts.iter().filter(|alert| alert.kind != Kind::Notice) {
        match (alert.level, alert.kind) {
            (Some(_), _) => drop(open.insert(alert.episode, alert.sequence)),
            (None, Kind::Cleared) => drop(open.remove(&alert.episode)),
            (None, _) => {}
        }
    }
    open.into_values().collect()
}

/// A market, its report in force and the threats that concern it.
type Figures = (MarketKey, Arc<Report>, Vec<(Slug, Arc<Threat>)>);

/// The reports and threats of all markets. Not the levels, which depend on the order.
fn figures(state: &State) -> Vec<Figures> {
    let figures = state.markets().iter().map(|(key, market)| {
        let threats = market
            .threats()
            .map(|one| (one.record.threat.id.clone(), Arc::clone(&one.record.threat)));
        (*key, Arc::clone(&market.report().report), threats.collect())
    });
    figures.collect()
}

fn name(update: &Update) -> String {
    match update {
        Update::Report(report) => {
            format!("{} {} {}", report.market(), report.source(), report.period())
        }
        Update::Threat(threat) => threat.id.to_string(),
        Update::Removal(removal) => removal.threat.to_string(),
        Update::ReportRemoval(removal) => format!("{} {}", removal.market, removal.source),
    }
}

/// The metrics that rise with measures, for a buyer in Japan.
fn metrics_under_measures(report: &Report, threats: &[Threat]) -> BTreeMap<Metric, Interval> {
    let policy = policy();
    let destination = Destination::Jurisdiction(Jurisdiction::parse("JPN").unwrap());
    let filter = MeasureFilter::toward(destination);
    let counting = threats.iter().filter(|threat| filter.counts(threat, day(2025, 1), &policy));
    let exposure = Exposure::of(counting, &policy);
    let metrics = [Metric::HhiT, Metric::RestrictedShare, Metric::HhiWgiT];
    metrics.into_iter().map(|metric| (metric.clone(), value(&metric, report, &exposure))).collect()
}

fn at_least(value: Interval, other: Interval) -> bool {
    value.lower >= other.lower && value.upper >= other.upper
}

fn policy() -> Policy {
    let rule = |name: &str, metric: Metric, raise, destinations: Vec<Destination>| Rule {
        name: slug(name),
        metric,
        minerals: Vec::new(),
        stages: Vec::new(),
        destinations,
        measures: BTreeSet::new(),
        thresholds: vec![Threshold { level: Level::Warning, raise, reset: raise / 2 }],
        for_ms: 0,
        keep_ms: 86_400_000 * 3,
        confidence: BTreeSet::new(),
        max_age_ms: Some(86_400_000 * 2),
        flapping: Some(Flapping { changes: 2, within_ms: 86_400_000 * 4 }),
    };
    let japan = || Destination::Jurisdiction(Jurisdiction::parse("JPN").unwrap());
    Policy {
        rules: vec![
            rule("hhi", Metric::Hhi, 250_000_000_000_000, vec![Destination::All]),
            rule("hhi-t", Metric::HhiT, 250_000_000_000_000, vec![Destination::Any, japan()]),
            rule("restricted", Metric::RestrictedShare, 300_000, vec![Destination::All, japan()]),
            rule("top1", Metric::Top1Share, 500_000, vec![Destination::All]),
        ],
        blocs: Blocs::default(),
        sources: vec![slug("USGS")],
        weights: Policy::default_weights(),
        wgi: governance(),
        notice_share_min: Ppm::new(100_000),
    }
}

fn governance() -> BTreeMap<Country, Wgi> {
    let weight = |mean| Wgi::from_mean_hundredths(mean).unwrap();
    BTreeMap::from([(country("CHN"), weight(-31)), (country("USA"), weight(98))])
}

/// The value of a metric, with the test policy's governance weights.
fn value(metric: &Metric, report: &Report, exposure: &Exposure) -> Interval {
    MetricInputs { report, exposure, wgi: &governance() }.value(metric)
}

fn metrics() -> impl Strategy<Value = Metric> {
    select(vec![
        Metric::Top1Share,
        Metric::Cr3,
        Metric::CountryShare(country("COD")),
        Metric::GroupShare(vec![country("CHN"), country("RUS")]),
        Metric::Hhi,
        Metric::HhiT,
        Metric::RestrictedShare,
        Metric::AvailableShare,
        Metric::NMinus1,
        Metric::HhiWgiT,
        Metric::AnnouncedHhiT,
        Metric::AnnouncedRestrictedShare,
    ])
}

fn updates() -> impl Strategy<Value = Vec<Update>> {
    let update = prop_oneof![
        3 => reports().prop_map(|report| Update::Report(Arc::new(report))),
        4 => threats().prop_map(|threat| Update::Threat(Arc::new(threat))),
        2 => (select(MINERALS.to_vec()), select(vec!["BGS", "USGS"]), option::of(2022_i16..2025)).prop_map(
            |(mineral, source, year)| Update::ReportRemoval(ReportRemoval {
                market: MarketKey { mineral: Mineral::parse(mineral).unwrap(), stage: Stage::Refining },
                source: slug(source),
                period: year.map(Period::Year),
            }),
        ),
        1 => select(vec!["T-0", "T-1"]).prop_map(|id| Update::Removal(Removal { threat: slug(id), revision: None })),
    ];
    vec(update, 1..6)
}

fn reports() -> impl Strategy<Value = Report> {
    let rows = btree_map(select(COUNTRIES.to_vec()), option::weighted(0.9, 1_u64..1_000_000), 1..6);
    let other = option::of(1_u64..1_000_000);
    let sources = select(vec!["BGS", "USGS"]);
    (select(MINERALS.to_vec()), rows, other, sources, 2022_i16..2025, 1_i8..=12).prop_filter_map(
        "of something",
        |(mineral, rows, other, source, year, month)| {
            let row = |(code, milli): (&str, Option<u64>)| ReportDraftRow {
                country: country(code),
                figure: milli.map_or(Figure::Withheld, Figure::QuantityMilli),
                estimated: false,
            };
            let draft = ReportDraft {
                market: MarketKey {
                    mineral: Mineral::parse(mineral).unwrap(),
                    stage: Stage::Refining,
                },
                source: slug(source),
                period: Period::Year(year),
                vintage: day(2025, month),
                unit: "t".into(),
                rows: rows.into_iter().map(row).collect(),
                residual: other.map(Figure::QuantityMilli),
                denominator: Denominator::SumOfRows,
                published_total_milli: None,
                url: "".into(),
            };
            Report::parse(draft).ok()
        },
    )
}

fn threats() -> impl Strategy<Value = Threat> {
    let scopes = select(vec![
        Scope::All,
        Scope::Only(vec![Jurisdiction::parse("JPN").unwrap()]),
        Scope::Except(vec![Jurisdiction::parse("USA").unwrap()]),
    ]);
    let what =
        (select(COUNTRIES.to_vec()), scopes, select(Measure::ALL), select(MINERALS.to_vec()));
    let weights = option::of(1000_u16..=3000);
    let dates = (option::of(1_i8..=12), option::of(1_i8..=12));
    (0..5_u8, what, weights, dates).prop_map(|(id, what, weight, (effective, suspended))| {
        let (imposing, scope, measure, mineral) = what;
        let suspended = suspended.map(|month| Suspension {
            from: day(2024, month),
            until: Some(day(2024, month).next().next().next()),
        });
        Threat {
            id: slug(&format!("T-{id}")),
            state_act: None,
            title: "".into(),
            evidence: Vec::new(),
            imposing: country(imposing),
            authority: Authority::National,
            scope,
            end_use: EndUse::Any,
            minerals: vec![Mineral::parse(mineral).unwrap()],
            stages: Vec::new(),
            measure,
            quota: None,
            tax_rate: None,
            t_override: weight.and_then(Weight::from_permille),
            calendar: Calendar {
                announced: Some(day(2023, 1)),
                effective: effective.map(|month| day(2024, month)),
                suspensions: suspended.into_iter().collect(),
                removed: None,
            },
            superseded_by: None,
            confidence: Confidence::Official,
            revision: 0,
        }
    })
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
