//! A state that is large in every way that a publisher and an operator can make it.

use lodewatch::config::Config;
use lodewatch::grpc::{parse, render};
use lodewatch_core::domain::{Mineral, Seq, Timestamp};
use lodewatch_proto::v1::supply_row::Figure;
use lodewatch_proto::v1::update::Update as Kind;
use lodewatch_proto::v1::{
    Bloc, Evidence, Measure, Metric, Policy, Rule, Stage, SupplyReport, SupplyRow, Threat,
    Threshold, Update,
};
use lodewatch_testkit::server::Server;

pub(crate) const MINERALS: usize = 16;
pub(crate) const THREATS: usize = 150;
const SOURCES: u32 = 15;
const YEARS: u32 = 10;

/// A bloc of all countries, with the longest name there is.
pub(crate) fn world() -> String {
    format!("W{}", "0".repeat(63))
}

pub(crate) fn countries() -> Vec<String> {
    rust_iso3166::ALL.iter().map(|country| country.alpha3.to_owned()).collect()
}

pub(crate) fn minerals() -> Vec<String> {
    Mineral::all().take(MINERALS).map(|mineral| mineral.slug().to_owned()).collect()
}

pub(crate) fn threat_id(number: usize) -> String {
    format!("T{number:063}")
}

fn big_threat(number: usize) -> Update {
    let text = || "x".repeat(1024);
    let evidence = Evidence { url: text(), publisher: text(), retrieved: String::new() };
    let threat = Threat {
        id: threat_id(number),
        state_act_id: threat_id(number),
        title: text(),
        evidence: vec![evidence; 16],
        imposing: "CHN".into(),
        minerals: minerals(),
        measure: Measure::Prohibition.into(),
        date_announced: "2025-01-01".into(),
        date_effective: "2025-01-01".into(),
        ..Threat::default()
    };
    Update { update: Some(Kind::Threat(threat)) }
}

/// A report with a row for every country.
pub(crate) fn big_report(mineral: &str, source: &str, year: u32, china: f64) -> Update {
    let row = |country: String| {
        let quantity = if country == "CHN" { china } else { 0.1 };
        SupplyRow { country, figure: Some(Figure::Quantity(quantity)), estimated: true }
    };
    let report = SupplyReport {
        mineral: mineral.to_owned(),
        stage: Stage::Refining.into(),
        source: source.to_owned(),
        period: year.to_string(),
        vintage: format!("{}-01-31", year + 1),
        unit: "metric tons".into(),
        rows: countries().into_iter().map(row).collect(),
        url: "x".repeat(1024),
        ..SupplyReport::default()
    };
    Update { update: Some(Kind::Report(report)) }
}

/// Rules that raise an alert on every market.
pub(crate) fn raising_rules() -> Vec<Rule> {
    let rule = |(number, metric): (usize, Metric)| Rule {
        name: format!("raised-{number}{}", "x".repeat(50)),
        metric: metric.into(),
        destinations: vec![world(), "USA".into()],
        thresholds: vec![Threshold { level: 3, raise: 0.2, reset: 0.1 }],
        ..Rule::default()
    };
    let metrics = [Metric::RestrictedShare, Metric::AnnouncedRestrictedShare, Metric::HhiT];
    metrics.into_iter().enumerate().map(rule).collect()
}

/// With many rules and blocs, of which few raise alerts.
pub(crate) fn big_policy() -> Policy {
    let mut policy = render::policy(&Config::built_in().policy, Seq::ZERO, Timestamp::default());
    let bloc = |name: String| Bloc { name, members: countries() };
    policy.blocs = (0..60).map(|number| bloc(format!("B{number:063}"))).collect();
    policy.blocs.push(bloc(world()));
    let silent = |number: usize| Rule {
        name: format!("S{number:063}"),
        metric: Metric::GroupShare.into(),
        metric_countries: countries().into_iter().filter(|country| country != "CHN").collect(),
        minerals: Mineral::all().map(|mineral| mineral.slug().to_owned()).collect(),
        thresholds: vec![Threshold { level: 3, raise: 1.0, reset: 0.99 }],
        ..Rule::default()
    };
    policy.rules = raising_rules();
    policy.rules.extend((0..150).map(silent));
    policy
}

/// A server whose state is large in every way that a publisher and an operator can make it.
pub(crate) async fn hostile(dir: &tempfile::TempDir) -> Server {
    let server = Server::start_with(dir.path(), "2026-01-01", |config| {
        config.policy = parse::policy(&big_policy()).unwrap();
        config.policy_revision = 7;
    })
    .await;
    let publish = async |updates: Vec<Update>, size: usize| {
        for updates in updates.chunks(size) {
            server.publish(updates.to_vec()).await.unwrap();
        }
    };
    let reports = minerals().iter().map(|one| big_report(one, "TEST", 2024, 50.0)).collect();
    publish(reports, 20).await;
    publish((0..THREATS).map(big_threat).collect(), 50).await;
    let more = (0..SOURCES).flat_map(|source| {
        let source = format!("S{source:063}");
        (0..YEARS).map(move |year| big_report("alumina", &source, 2000 + year, 40.0))
    });
    publish(more.collect(), 50).await;
    server
}
