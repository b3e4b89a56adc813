//! One of the `[[rules]]`.

use super::policy::{
    parse_country, parse_destination, parse_measure, parse_set, parse_slug, unknown,
};
use super::values::{count, millis, parse_millis, parse_parts};
use lodewatch_core::domain::policy::{Blocs, Destination, Level};
use lodewatch_core::domain::rule::{Flapping, Metric, Threshold};
use lodewatch_core::domain::share::{Amount, Unit};
use lodewatch_core::domain::threat::Confidence;
use lodewatch_core::domain::{Mineral, Policy, Rule, Slug, Stage};
use lodewatch_toml_reader::{Node, Table};
use std::collections::BTreeMap;

/// The longest `for`, `keep` and `flapping.within`.
const WAIT_DAYS_MAX: u64 = 366;
/// How far the reset value is from the raise value where it is not set: 2 % of the market (ours).
const RESET_STEP_PPM: Amount = 20_000;
/// The same for an index, in points: the change that the US merger guidelines of 2023 call
/// significant.
const RESET_STEP_POINTS: Amount = 100;
/// The largest index: a single supplier with the largest trade weight.
const POINTS_MAX: Amount = 30_000;
/// The same, of the worst governance, on the Commission's scale.
const GOVERNANCE_MAX: Amount = 30;
/// The longest `max_age`.
const MAX_AGE_DAYS_MAX: u64 = 36_500;

/// Reads one rule; `names` holds the names of those before, each with its key.
pub(super) fn parse(
    mut table: Table<'_>,
    blocs: &Blocs,
    names: &mut BTreeMap<Slug, String>,
) -> Option<Rule> {
    let name = table.required("name").and_then(|node| unique_name(&node, names));
    let metric = metric(&mut table);
    let minerals = minerals(&mut table);
    let stages = table.optional("stages").map(|node| {
        let stage = |text: &str| {
            Stage::parse(text).ok_or_else(|| format!("must be one of {}", Stage::allowed()))
        };
        parse_set(node, stage)
    });
    let destinations = only_for_measures(&mut table, "destinations", metric.as_ref())
        .map(|node| parse_set(node, |text| parse_destination(text, blocs)));
    let measures = only_for_measures(&mut table, "measures", metric.as_ref())
        .map(|node| parse_set(node, parse_measure));
    let confidence = only_for_measures(&mut table, "confidence", metric.as_ref()).map(|node| {
        parse_set(node, |text| {
            let allowed = || format!("must be one of {}", Confidence::allowed());
            Confidence::parse(text).ok_or_else(allowed)
        })
    });
    let thresholds = thresholds(&mut table, metric.as_ref());
    let max_age_ms = max_age_ms(&mut table);
    let flapping = table.optional("flapping").and_then(Node::table).map(flapping);
    let mut wait = |key| {
        let read = |node: Node<'_>| node.read(|text| parse_millis(text, WAIT_DAYS_MAX));
        table.optional(key).and_then(read).unwrap_or_default()
    };
    let (for_ms, keep_ms) = (wait("for"), wait("keep"));
    // A name that cannot be used has a placeholder, so that the levels are checked as well.
    let unnamed = || Slug::parse("unnamed").expect("a plain word is a name");
    let rule = Rule {
        name: name.unwrap_or_else(unnamed),
        metric: metric?,
        minerals,
        stages: stages.into_iter().flatten().collect(),
        destinations: destinations.map_or_else(|| vec![Destination::All], Vec::from_iter),
        measures: measures.unwrap_or_default(),
        thresholds: thresholds?,
        for_ms,
        keep_ms,
        confidence: confidence.unwrap_or_default(),
        max_age_ms,
        flapping,
    };
    for fault in rule.threshold_faults() {
        table.reject("levels", fault.to_string());
    }
    Some(rule)
}

fn unique_name(node: &Node<'_>, names: &mut BTreeMap<Slug, String>) -> Option<Slug> {
    let name = node.read(|text| {
        let name = parse_slug(text)?;
        if name.as_str() == Policy::NOTICE {
            return Err("is reserved for notices; choose another name".to_owned());
        }
        names.get(&name).map_or(Ok(name), |first| Err(format!("is the same as {first}")))
    })?;
    names.insert(name.clone(), node.key().to_owned());
    Some(name)
}

/// The metrics by the countries that they need.
enum MetricKind {
    Complete(Metric),
    OfCountry,
    OfGroup,
}

fn metric(table: &mut Table<'_>) -> Option<Metric> {
    let country = table.optional("country");
    let countries = table.optional("countries");
    let node = table.required("metric")?;
    match (node.read(parse_metric)?, country, countries) {
        (MetricKind::Complete(metric), None, None) => Some(metric),
        (MetricKind::OfCountry, Some(country), None) => {
            country.read(parse_country).map(Metric::CountryShare)
        }
        (MetricKind::OfGroup, None, Some(countries)) => {
            Some(Metric::GroupShare(parse_set(countries, parse_country).into_iter().collect()))
        }
        (kind, _, _) => {
            node.reject(match kind {
                MetricKind::Complete(_) => "uses neither country nor countries",
                MetricKind::OfCountry => {
                    "needs one country, such as country = \"CHN\", and no countries"
                }
                MetricKind::OfGroup => {
                    "needs countries, such as countries = [\"CHN\", \"RUS\"], and no country"
                }
            });
            None
        }
    }
}

fn parse_metric(text: &str) -> Result<MetricKind, String> {
    Ok(MetricKind::Complete(match text {
        "country_share" => return Ok(MetricKind::OfCountry),
        "group_share" => return Ok(MetricKind::OfGroup),
        "top1_share" => Metric::Top1Share,
        "cr3" => Metric::Cr3,
        "hhi" => Metric::Hhi,
        "hhi_t" => Metric::HhiT,
        "restricted_share" => Metric::RestrictedShare,
        "available_share" => Metric::AvailableShare,
        "n_minus_1" => Metric::NMinus1,
        "hhi_wgi_t" => Metric::HhiWgiT,
        "announced_hhi_t" => Metric::AnnouncedHhiT,
        "announced_restricted_share" => Metric::AnnouncedRestrictedShare,
        _ => return Err(format!("must be one of {}", Metric::ALLOWED)),
    }))
}

/// `"*"` among the minerals, like none at all, means every mineral.
fn minerals(table: &mut Table<'_>) -> Vec<Mineral> {
    let parse = |text: &str| match text {
        "*" => Ok(None),
        _ => Mineral::parse(text)
            .map(Some)
            .ok_or_else(|| unknown("mineral", &Mineral::similar_names(text))),
    };
    let minerals = table.optional("minerals").map(|node| parse_set(node, parse));
    minerals.and_then(|minerals| minerals.into_iter().collect()).unwrap_or_default()
}

/// The value of a key that only a metric that depends on measures may have.
fn only_for_measures<'c>(
    table: &mut Table<'c>,
    key: &'static str,
    metric: Option<&Metric>,
) -> Option<Node<'c>> {
    let node = table.optional(key)?;
    if metric.is_none_or(Metric::reacts_to_measures) {
        return Some(node);
    }
    node.reject(
        "is only for metrics that depend on measures: hhi_t, hhi_wgi_t, restricted_share, \
         available_share, announced_hhi_t, announced_restricted_share",
    );
    None
}

fn thresholds(table: &mut Table<'_>, metric: Option<&Metric>) -> Option<Vec<Threshold>> {
    let parts = table.required("levels")?.parts();
    let read: Vec<Option<Threshold>> =
        parts.into_iter().map(|part| threshold(part.table()?, metric)).collect();
    read.into_iter().collect()
}

fn threshold(mut table: Table<'_>, metric: Option<&Metric>) -> Option<Threshold> {
    let level = table.read("level", |text| {
        Level::parse(text).ok_or_else(|| format!("must be one of {}", Level::allowed()))
    });
    let (raise, reset) = (table.required("raise"), table.optional("reset"));
    let metric = metric?;
    let raise = raise?.read(|text| parse_amount(text, metric));
    let reset = match reset {
        Some(node) => node.read(|text| parse_amount(text, metric)),
        None => raise.map(|raise| default_reset(raise, metric)),
    };
    Some(Threshold { level: level?, raise: raise?, reset: reset? })
}

/// Parses a raise or reset value; one at which a level could never be reset is rejected.
fn parse_amount(text: &str, metric: &Metric) -> Result<Amount, String> {
    let per_one = metric.unit().per_one();
    let (max, allowed) = match metric.unit() {
        Unit::Share => (per_one, "must be a share from 0 to 1"),
        Unit::Points => {
            (POINTS_MAX.saturating_mul(per_one), "must be an index from 0 to 30000 points")
        }
        Unit::Governance => (
            GOVERNANCE_MAX.saturating_mul(per_one),
            "must be a governance-weighted index from 0 to 30",
        ),
    };
    let amount = parse_parts(text, per_one)?;
    if !(0..=max).contains(&amount) {
        Err(allowed.to_owned())
    } else if metric.is_falling() && amount == per_one {
        Err("must be below 1, or the level could never be reset".to_owned())
    } else if !metric.is_falling() && amount == 0 {
        Err("must be above 0, or the level could never be reset".to_owned())
    } else {
        Ok(amount)
    }
}

/// One step back from the raise value, or half the way to the end of the scale where that is
/// nearer.
fn default_reset(raise: Amount, metric: &Metric) -> Amount {
    let step = match metric.unit() {
        Unit::Share => RESET_STEP_PPM,
        Unit::Points => RESET_STEP_POINTS.saturating_mul(Unit::Points.per_one()),
        Unit::Governance => Unit::Governance.per_one() / 10,
    };
    if metric.is_falling() {
        let room = metric.unit().per_one().saturating_sub(raise) / 2;
        raise.saturating_add(step.min(room))
    } else {
        raise.saturating_sub(step.min(raise / 2))
    }
}

fn max_age_ms(table: &mut Table<'_>) -> Option<u64> {
    table.optional("max_age")?.read(|text| match parse_millis(text, MAX_AGE_DAYS_MAX)? {
        0 => Err("must be above 0; leave it out for reports that never become stale".to_owned()),
        millis => Ok(millis),
    })
}

fn flapping(mut table: Table<'_>) -> Flapping {
    Flapping {
        changes: count(&mut table, "changes", 1..=Flapping::CHANGES_MAX),
        within_ms: millis(&mut table, "within", WAIT_DAYS_MAX),
    }
}
