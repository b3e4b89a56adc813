//! One of the `[[rules]]`.

use super::figure;
use super::policy::{country, destination, kind, set, slug, unknown};
use super::problem::Problems;
use super::table::{Node, Table};
use crate::domain::policy::{Blocs, Destination, Level};
use crate::domain::rule::{Flapping, Metric, Threshold};
use crate::domain::share::{Amount, Unit};
use crate::domain::threat::Confidence;
use crate::domain::{Mineral, Policy, Rule, Slug, Stage};
use std::collections::BTreeMap;

/// The longest `for` and `keep`, in days.
const WAIT_DAYS_MAX: u64 = 366;
/// How far the reset value is from the raise value where it is not set: 2 % of the market (ours).
const RESET_STEP_PPM: Amount = 20_000;
/// The same for an index, in points: the change that the US merger guidelines of 2023 call significant.
const RESET_STEP_POINTS: Amount = 100;
/// The largest index: a single supplier with the largest trade weight.
const POINTS_MAX: Amount = 30_000;
/// The same, of the worst governance, on the Commission's scale.
const GOVERNANCE_MAX: Amount = 30;
/// The greatest age of a report that a rule may allow, in days.
const MAX_AGE_DAYS_MAX: u64 = 36_500;

/// Reads one rule; `names` holds those before, each with its place.
pub(super) fn parse(
    mut table: Table,
    blocs: &Blocs,
    names: &mut BTreeMap<Slug, String>,
    problems: &mut Problems,
) -> Option<Rule> {
    let name = table.required("name", problems);
    let name = name.and_then(|node| unique_name(&node, names, problems));
    let metric = metric(&mut table, problems);
    let minerals = minerals(&mut table, problems);
    let stages = stages(&mut table, problems);
    let destinations = table.optional("destinations");
    let destinations = for_reacting(destinations, metric.as_ref(), problems)
        .map(|node| set(&node, problems, |text| destination(text, blocs)));
    let measures = table.optional("measures");
    let measures =
        for_reacting(measures, metric.as_ref(), problems).map(|node| set(&node, problems, kind));
    let confidence = table.optional("confidence");
    let confidence = for_reacting(confidence, metric.as_ref(), problems).map(|node| {
        set(&node, problems, |text| {
            let allowed = || format!("must be one of {}", Confidence::allowed());
            Confidence::parse(text).ok_or_else(allowed)
        })
    });
    let thresholds = thresholds(&mut table, metric.as_ref(), problems);
    let max_age_ms = max_age(&mut table, problems);
    let flapping = flapping(&mut table, problems);
    let for_ms = wait(&mut table, "for", problems);
    let keep_ms = wait(&mut table, "keep", problems);
    table.finish(problems);
    // What could not be read is noted, and nothing comes of these settings: stand-ins let the levels be checked as well.
    let unnamed = || Slug::parse("unnamed").expect("a plain word is a name");
    let rule = Rule {
        name: name.unwrap_or_else(unnamed),
        metric: metric?,
        minerals,
        stages,
        destinations: destinations.map_or_else(|| vec![Destination::All], Vec::from_iter),
        measures: measures.unwrap_or_default(),
        thresholds: thresholds?,
        for_ms: for_ms.unwrap_or_default(),
        keep_ms: keep_ms.unwrap_or_default(),
        confidence: confidence.unwrap_or_default(),
        max_age_ms,
        flapping,
    };
    for fault in rule.threshold_faults() {
        table.refuse("levels", problems, fault.to_string());
    }
    Some(rule)
}

fn unique_name(
    node: &Node,
    names: &mut BTreeMap<Slug, String>,
    problems: &mut Problems,
) -> Option<Slug> {
    let name = node.read(problems, |text| {
        let name = slug(text)?;
        if name.as_str() == Policy::NOTICE {
            return Err("is the name that notices have; choose another".to_owned());
        }
        names.get(&name).map_or(Ok(name), |first| Err(format!("is the same as {first}")))
    })?;
    names.insert(name.clone(), node.key().to_owned());
    Some(name)
}

/// What a metric needs to be told.
enum Asks {
    Nothing(Metric),
    Country,
    Group,
}

fn metric(table: &mut Table, problems: &mut Problems) -> Option<Metric> {
    let one = table.optional("country");
    let several = table.optional("countries");
    let node = table.required("metric", problems)?;
    match (node.read(problems, asks)?, one, several) {
        (Asks::Nothing(metric), None, None) => Some(metric),
        (Asks::Country, Some(one), None) => one.read(problems, country).map(Metric::CountryShare),
        (Asks::Group, None, Some(several)) => {
            Some(Metric::GroupShare(set(&several, problems, country).into_iter().collect()))
        }
        (asks, _, _) => {
            let fault = match asks {
                Asks::Nothing(_) => "takes neither country nor countries",
                Asks::Country => "takes one country, such as country = \"CHN\", and no countries",
                Asks::Group => {
                    "takes countries, such as countries = [\"CHN\", \"RUS\"], and no country"
                }
            };
            node.refuse(problems, fault.to_owned());
            None
        }
    }
}

fn asks(text: &str) -> Result<Asks, String> {
    Ok(match text {
        "top1_share" => Asks::Nothing(Metric::Top1Share),
        "cr3" => Asks::Nothing(Metric::Cr3),
        "country_share" => Asks::Country,
        "group_share" => Asks::Group,
        "hhi" => Asks::Nothing(Metric::Hhi),
        "hhi_t" => Asks::Nothing(Metric::HhiT),
        "restricted_share" => Asks::Nothing(Metric::RestrictedShare),
        "available_share" => Asks::Nothing(Metric::AvailableShare),
        "n_minus_1" => Asks::Nothing(Metric::NMinus1),
        "hhi_wgi_t" => Asks::Nothing(Metric::HhiWgiT),
        "announced_hhi_t" => Asks::Nothing(Metric::AnnouncedHhiT),
        "announced_restricted_share" => Asks::Nothing(Metric::AnnouncedRestrictedShare),
        _ => return Err(format!("must be one of {}", Metric::ALLOWED)),
    })
}

/// `"*"` among the minerals, like none at all, means every mineral.
fn minerals(table: &mut Table, problems: &mut Problems) -> Vec<Mineral> {
    let minerals = table.optional("minerals").map(|node| {
        set(&node, problems, |text| match text {
            "*" => Ok(None),
            _ => Mineral::parse(text)
                .map(Some)
                .ok_or_else(|| unknown("mineral", &Mineral::near(text))),
        })
    });
    minerals.and_then(|minerals| minerals.into_iter().collect()).unwrap_or_default()
}

fn stages(table: &mut Table, problems: &mut Problems) -> Vec<Stage> {
    let stages = table.optional("stages").map(|node| {
        let stage = |text: &str| {
            Stage::parse(text).ok_or_else(|| format!("must be one of {}", Stage::allowed()))
        };
        set(&node, problems, stage)
    });
    stages.into_iter().flatten().collect()
}

/// Passes on what only makes sense where measures count.
fn for_reacting(
    node: Option<Node>,
    metric: Option<&Metric>,
    problems: &mut Problems,
) -> Option<Node> {
    let node = node?;
    if metric.is_none_or(Metric::reacts_to_measures) {
        return Some(node);
    }
    node.refuse(
        problems,
        "only for metrics that react to measures: hhi_t, hhi_wgi_t, restricted_share, available_share, \
         announced_hhi_t, announced_restricted_share"
            .to_owned(),
    );
    None
}

fn thresholds(
    table: &mut Table,
    metric: Option<&Metric>,
    problems: &mut Problems,
) -> Option<Vec<Threshold>> {
    let parts = table.required("levels", problems)?.list(problems);
    let read: Vec<Option<Threshold>> =
        parts.into_iter().map(|part| threshold(part.table(problems)?, metric, problems)).collect();
    read.into_iter().collect()
}

fn threshold(
    mut table: Table,
    metric: Option<&Metric>,
    problems: &mut Problems,
) -> Option<Threshold> {
    let level = table.required("level", problems).and_then(|node| {
        node.read(problems, |text| {
            Level::parse(text).ok_or_else(|| format!("must be one of {}", Level::allowed()))
        })
    });
    let raise = table.required("raise", problems);
    let reset = table.optional("reset");
    table.finish(problems);
    let metric = metric?;
    let raise = raise?.read(problems, |text| amount(text, metric));
    let reset = match reset {
        Some(node) => node.read(problems, |text| amount(text, metric)),
        None => raise.map(|raise| default_reset(raise, metric)),
    };
    Some(Threshold { level: level?, raise: raise?, reset: reset? })
}

/// Reads a raise or reset value; the value at which a level would be up for ever is not one.
fn amount(text: &str, metric: &Metric) -> Result<Amount, String> {
    let per_one = metric.unit().per_one();
    let (max, allowed) = match metric.unit() {
        Unit::Share => (per_one, "a share is between 0 and 1"),
        Unit::Points => {
            (POINTS_MAX.saturating_mul(per_one), "an index is between 0 and 30000 points")
        }
        Unit::Governance => (
            GOVERNANCE_MAX.saturating_mul(per_one),
            "a governance-weighted index is between 0 and 30",
        ),
    };
    let amount = figure::parts(text, per_one)?;
    if !(0..=max).contains(&amount) {
        Err(allowed.to_owned())
    } else if metric.is_falling() && amount == per_one {
        Err("must be below 1, else the level could never be reset".to_owned())
    } else if !metric.is_falling() && amount == 0 {
        Err("must be above 0, else the level could never be reset".to_owned())
    } else {
        Ok(amount)
    }
}

/// One step back from the raise value, or half the way to the end of the scale where that is nearer.
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

fn max_age(table: &mut Table, problems: &mut Problems) -> Option<u64> {
    let node = table.optional("max_age")?;
    node.read(problems, |text| match figure::millis(text, MAX_AGE_DAYS_MAX)? {
        0 => {
            Err("must be more than nothing; leave it out for reports that never go stale"
                .to_owned())
        }
        millis => Ok(millis),
    })
}

fn flapping(table: &mut Table, problems: &mut Problems) -> Option<Flapping> {
    let mut table = table.optional("flapping")?.table(problems)?;
    let changes = table.required("changes", problems);
    let within = table.required("within", problems);
    table.finish(problems);
    let changes = changes.and_then(|node| {
        node.read(problems, |text| figure::count(text, &(1..=Flapping::CHANGES_MAX)))
    });
    let within_ms =
        within.and_then(|node| node.read(problems, |text| figure::millis(text, WAIT_DAYS_MAX)));
    Some(Flapping { changes: changes?, within_ms: within_ms? })
}

fn wait(table: &mut Table, key: &'static str, problems: &mut Problems) -> Option<u64> {
    table
        .optional(key)
        .map_or(Some(0), |node| node.read(problems, |text| figure::millis(text, WAIT_DAYS_MAX)))
}
