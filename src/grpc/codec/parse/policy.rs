//! Policies of simulations and backtests, with the same limits as in the settings.

use super::figure;
use super::name::{choice, country, destination, list, mineral, slug};
use super::{Checks, Path, Violations};
use crate::grpc::pb;
use lodewatch_core::domain::policy::{Blocs, Destination, Jurisdiction, Level};
use lodewatch_core::domain::rule::{Flapping, Metric, Threshold};
use lodewatch_core::domain::threat::{Confidence, Measure};
use lodewatch_core::domain::{Country, Policy, Ppm, Rule, Slug, Stage};
use std::collections::{BTreeMap, BTreeSet};

/// Items of one list.
const ITEMS_MAX: usize = 1000;
const RULES_MAX: usize = 200;
const BLOCS_MAX: usize = 100;
const SOURCES_MAX: usize = 100;
/// The longest duration of a rule: a hundred years.
const DAYS_MAX: u64 = 36_500;

/// # Errors
///
/// Every invalid field.
pub fn policy(sent: &pb::Policy) -> Result<Policy, Violations> {
    let mut checks = Checks::default();
    let policy = read(&mut checks, "policy".into(), sent);
    checks.finish(policy)
}

/// A policy as part of another message.
pub(super) fn read(checks: &mut Checks, field: Path<'_>, sent: &pb::Policy) -> Option<Policy> {
    let blocs = list(checks, field.at("blocs"), &sent.blocs, BLOCS_MAX, bloc);
    let sources =
        list(checks, field.at("sources"), &sent.sources, SOURCES_MAX, |checks, field, name| {
            slug(checks, field, name)
        });
    let weights =
        list(checks, field.at("weights"), &sent.weights, ITEMS_MAX, |checks, field, sent| {
            let field_of_measure = field.at("measure");
            let measure =
                choice::<Measure>(checks, field_of_measure, sent.measure, Measure::allowed);
            let weight = figure::weight(checks, field.at("weight"), sent.weight);
            Some((measure?, weight?))
        });
    let wgi =
        list(checks, field.at("governance"), &sent.governance, ITEMS_MAX, |checks, field, sent| {
            let country = country(checks, field.at("country"), &sent.country);
            let weight = figure::governance(checks, field.at("weight"), sent.weight);
            Some((country?, weight?))
        });
    let notice_share_min =
        figure::share(checks, field.at("notice_share_min"), sent.notice_share_min);
    let blocs = Blocs(blocs?.into_iter().collect());
    let rules = list(checks, field.at("rules"), &sent.rules, RULES_MAX, |checks, field, sent| {
        rule(checks, field, sent, &blocs)
    });
    let mut rules = rules?;
    unique(checks, field.at("rules"), &rules);
    rules.sort_unstable_by(|a, b| a.name.cmp(&b.name));
    let mut all = Policy::default_weights();
    all.extend(weights?);
    let policy = Policy {
        rules,
        blocs,
        sources: sources?,
        weights: all,
        wgi: wgi?.into_iter().collect(),
        notice_share_min: notice_share_min.map(|share| (share > Ppm::ZERO).then_some(share))?,
    };
    if let Err(fault) = policy.check_size() {
        checks.add(field.at("rules"), fault);
    }
    Some(policy)
}

fn unique(checks: &mut Checks, field: Path<'_>, rules: &[Rule]) {
    let mut first = BTreeMap::new();
    for (at, rule) in rules.iter().enumerate() {
        if let Some(first) = first.insert(&rule.name, at) {
            checks.add(
                format!("{field}[{at}].name"),
                format!("is the name of {field}[{first}] too; names must be unique"),
            );
        }
    }
}

fn bloc(
    checks: &mut Checks,
    field: Path<'_>,
    sent: &pb::Bloc,
) -> Option<(Slug, BTreeSet<Country>)> {
    let name = Slug::parse(&sent.name).filter(Blocs::may_be_named);
    let name = checks.require(name, field.at("name"), || {
        "must be 1 to 64 of A-Z 0-9 _ -, and not the name of a country, ALL or ANY".to_owned()
    });
    let members =
        list(checks, field.at("members"), &sent.members, ITEMS_MAX, |c, f, n| country(c, f, n));
    Some((name?, members?.into_iter().collect()))
}

fn measure(checks: &mut Checks, field: Path<'_>, number: i32) -> Option<Measure> {
    let measure = choice::<Measure>(checks, field, number, Measure::allowed)?;
    let moves = (measure != Measure::TechnologyControl).then_some(measure);
    checks.require(moves, field, || {
        "must not be technology_control, which never moves an index".to_owned()
    })
}

fn rule(checks: &mut Checks, field: Path<'_>, sent: &pb::Rule, blocs: &Blocs) -> Option<Rule> {
    let name = slug(checks, field.at("name"), &sent.name).and_then(|name| {
        let free = (name.as_str() != Policy::NOTICE).then_some(name);
        checks.require(free, field.at("name"), || {
            "is reserved for notices; choose another name".to_owned()
        })
    });
    let metric = metric(checks, field, sent);
    let minerals =
        list(checks, field.at("minerals"), &sent.minerals, ITEMS_MAX, |c, f, n| mineral(c, f, n));
    let stages = list(checks, field.at("stages"), &sent.stages, ITEMS_MAX, |c, f, n| {
        choice::<Stage>(c, f, *n, Stage::allowed)
    });
    let destinations =
        list(checks, field.at("destinations"), &sent.destinations, ITEMS_MAX, |c, f, n| {
            known_destination(c, f, n, blocs)
        });
    let measures =
        list(checks, field.at("measures"), &sent.measures, ITEMS_MAX, |c, f, n| measure(c, f, *n));
    let confidence =
        list(checks, field.at("confidence"), &sent.confidence, ITEMS_MAX, |c, f, n| {
            choice::<Confidence>(c, f, *n, Confidence::allowed)
        });
    let for_ms = duration(checks, field.at("for_duration"), sent.for_duration.as_ref());
    let keep_ms = duration(checks, field.at("keep_duration"), sent.keep_duration.as_ref());
    let max_age_ms = duration(checks, field.at("max_age"), sent.max_age.as_ref());
    let flapping = flapping(checks, field.at("flapping"), sent.flapping.as_ref());
    let metric = metric?;
    let thresholds =
        list(checks, field.at("thresholds"), &sent.thresholds, ITEMS_MAX, |c, f, one| {
            threshold(c, f, one, &metric)
        });
    let mut destinations = destinations?;
    let (measures, confidence): (BTreeSet<_>, BTreeSet<_>) =
        (measures?.into_iter().collect(), confidence?.into_iter().collect());
    let asks = !(destinations.is_empty() && measures.is_empty() && confidence.is_empty());
    if asks && !metric.reacts_to_measures() {
        checks.add(
            field,
            format!(
                "{} does not react to measures; leave destinations, measures and confidence empty",
                metric.name()
            ),
        );
    }
    if destinations.is_empty() {
        destinations.push(Destination::All);
    }
    let destinations: BTreeSet<Destination> = destinations.into_iter().collect();
    let rule = Rule {
        name: name?,
        metric,
        minerals: sorted(minerals?),
        stages: sorted(stages?),
        destinations: destinations.into_iter().collect(),
        measures,
        thresholds: thresholds?,
        for_ms: for_ms?,
        keep_ms: keep_ms?,
        confidence,
        max_age_ms: Some(max_age_ms?).filter(|millis| *millis > 0),
        flapping: flapping?,
    };
    for fault in rule.threshold_faults() {
        checks.add(field.at("thresholds"), fault);
    }
    Some(rule)
}

fn sorted<T: Ord>(items: Vec<T>) -> Vec<T> {
    items.into_iter().collect::<BTreeSet<T>>().into_iter().collect()
}

fn known_destination(
    checks: &mut Checks,
    field: Path<'_>,
    name: &str,
    blocs: &Blocs,
) -> Option<Destination> {
    let destination = destination(checks, field, name)?;
    let known = match &destination {
        Destination::Jurisdiction(Jurisdiction::Bloc(name)) => blocs.contains(name),
        Destination::All
        | Destination::Any
        | Destination::Jurisdiction(Jurisdiction::Country(_)) => true,
    };
    checks.require(known.then_some(destination), field, || {
        let names: Vec<&str> = blocs.0.keys().map(Slug::as_str).collect();
        format!("is not a bloc of the policy; use one of: {}", names.join(", "))
    })
}

fn metric(checks: &mut Checks, field: Path<'_>, sent: &pb::Rule) -> Option<Metric> {
    let countries = list(
        checks,
        field.at("metric_countries"),
        &sent.metric_countries,
        ITEMS_MAX,
        |c, f, n| country(c, f, n),
    )?;
    let metric = match (pb::Metric::try_from(sent.metric), countries.as_slice()) {
        (Ok(pb::Metric::CountryShare), [one]) => Some(Metric::CountryShare(*one)),
        (Ok(pb::Metric::GroupShare), [_, ..]) => Some(Metric::GroupShare(sorted(countries))),
        (Ok(pb::Metric::Top1Share), []) => Some(Metric::Top1Share),
        (Ok(pb::Metric::Cr3), []) => Some(Metric::Cr3),
        (Ok(pb::Metric::Hhi), []) => Some(Metric::Hhi),
        (Ok(pb::Metric::HhiT), []) => Some(Metric::HhiT),
        (Ok(pb::Metric::RestrictedShare), []) => Some(Metric::RestrictedShare),
        (Ok(pb::Metric::AvailableShare), []) => Some(Metric::AvailableShare),
        (Ok(pb::Metric::NMinus1), []) => Some(Metric::NMinus1),
        (Ok(pb::Metric::HhiWgiT), []) => Some(Metric::HhiWgiT),
        (Ok(pb::Metric::AnnouncedHhiT), []) => Some(Metric::AnnouncedHhiT),
        (Ok(pb::Metric::AnnouncedRestrictedShare), []) => Some(Metric::AnnouncedRestrictedShare),
        (Ok(_) | Err(_), _) => None,
    };
    checks.require(metric, field.at("metric"), || {
        format!(
            "must be one of {}; metric_countries must hold one country for country_share, at least one for group_share, and none otherwise",
            Metric::ALLOWED
        )
    })
}

fn threshold(
    checks: &mut Checks,
    field: Path<'_>,
    sent: &pb::Threshold,
    metric: &Metric,
) -> Option<Threshold> {
    let level = choice::<Level>(checks, field.at("level"), sent.level, Level::allowed);
    let raise = figure::amount(checks, field.at("raise"), sent.raise, metric.unit());
    let reset = figure::amount(checks, field.at("reset"), sent.reset, metric.unit());
    Some(Threshold { level: level?, raise: raise?, reset: reset? })
}

#[allow(clippy::option_option, reason = "absent and invalid are different")]
fn flapping(
    checks: &mut Checks,
    field: Path<'_>,
    sent: Option<&pb::Flapping>,
) -> Option<Option<Flapping>> {
    let Some(sent) = sent else { return Some(None) };
    let changes =
        u8::try_from(sent.changes).ok().filter(|n| (1..=Flapping::CHANGES_MAX).contains(n));
    let changes = checks.require(changes, field.at("changes"), || {
        format!("{} changes; 1 to {} are allowed", sent.changes, Flapping::CHANGES_MAX)
    });
    let within_ms = duration(checks, field.at("within"), sent.within.as_ref());
    Some(Some(Flapping { changes: changes?, within_ms: within_ms? }))
}

/// Milliseconds; 0 where it is absent.
fn duration(
    checks: &mut Checks,
    field: Path<'_>,
    sent: Option<&prost_types::Duration>,
) -> Option<u64> {
    let Some(sent) = sent else { return Some(0) };
    let duration = std::time::Duration::try_from(*sent).ok();
    let millis_max = DAYS_MAX.saturating_mul(86_400_000);
    let millis = duration.and_then(|duration| u64::try_from(duration.as_millis()).ok());
    checks.require(millis.filter(|millis| *millis <= millis_max), field, || {
        format!("is not a duration of at most {DAYS_MAX} days")
    })
}
