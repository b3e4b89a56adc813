//! The policy part of the settings: blocs, sources, weights, rules.

use super::figure;
use super::problem::Problems;
use super::rule;
use super::table::{Node, Table};
use crate::domain::policy::{Blocs, Destination, Jurisdiction};
use crate::domain::rule::Metric;
use crate::domain::share::{Weight, Wgi};
use crate::domain::threat::Measure;
use crate::domain::{Country, Policy, Ppm, Rule, Slug};
use std::collections::{BTreeMap, BTreeSet};

/// The most rules of a policy.
const RULES_MAX: usize = 200;
/// The most blocs of a policy.
const BLOCS_MAX: usize = 100;
/// The most sources in order.
const SOURCES_MAX: usize = 100;

/// Reads all of it, so that every fault is found.
pub(super) fn parse(root: &mut Table, problems: &mut Problems) -> Option<Policy> {
    let blocs = root.table("blocs", problems).map(|table| blocs(&table, problems));
    let sources = root.required("sources", problems).map(|node| sources(&node, problems));
    let weights = root.table("weights", problems).map(|table| weights(&table, problems));
    let wgi = root.table("wgi", problems).map(|table| wgi(&table, problems));
    let notice_share_min =
        root.table("notices", problems).and_then(|table| notices(table, problems));
    let rules = rules(root, blocs.as_ref()?, problems);
    let asks = rules.iter().find(|rule| rule.metric == Metric::HhiWgiT);
    if let (Some(rule), Some(true)) = (asks, wgi.as_ref().map(BTreeMap::is_empty)) {
        let fault = format!("must not be empty: rule {} measures hhi_wgi_t", rule.name);
        root.refuse("wgi", problems, fault);
    }
    Some(Policy {
        rules,
        blocs: blocs?,
        sources: sources?,
        weights: weights?,
        wgi: wgi?,
        notice_share_min: notice_share_min?,
    })
}

fn blocs(table: &Table, problems: &mut Problems) -> Blocs {
    let nodes = table.all();
    if let Some((_, node)) = nodes.get(BLOCS_MAX) {
        node.refuse(problems, format!("there may be at most {BLOCS_MAX} blocs"));
    }
    let mut blocs = BTreeMap::new();
    for (name, node) in nodes {
        let name = Slug::parse(&name).filter(Blocs::may_be_named);
        if name.is_none() {
            let allowed =
                "a bloc is named by 1 to 64 of A-Z 0-9 _ -, and not like a country, ALL or ANY";
            node.refuse(problems, allowed.to_owned());
        }
        let members = set(&node, problems, country);
        if let Some(name) = name {
            blocs.insert(name, members);
        }
    }
    Blocs(blocs)
}

fn sources(node: &Node, problems: &mut Problems) -> Vec<Slug> {
    let mut sources: Vec<Slug> = Vec::new();
    for (at, node) in node.list(problems).into_iter().enumerate() {
        let source = node.read(problems, |text| {
            let source = slug(text)?;
            if at >= SOURCES_MAX {
                return Err(format!("there may be at most {SOURCES_MAX} sources"));
            }
            if sources.contains(&source) { Err("stands here twice".to_owned()) } else { Ok(source) }
        });
        sources.extend(source);
    }
    sources
}

fn weights(table: &Table, problems: &mut Problems) -> BTreeMap<Measure, Weight> {
    let mut weights = Policy::default_weights();
    for (name, node) in table.all() {
        let kind = kind(&name);
        let weight = node.read(problems, |text| {
            let kind = kind?;
            let permille =
                figure::parts(text, 1000).ok().and_then(|permille| u16::try_from(permille).ok());
            let weight = permille.and_then(Weight::from_permille);
            let allowed = "a trade weight is between 1.0 and 3.0, with at most 3 decimals";
            Ok((kind, weight.ok_or_else(|| allowed.to_owned())?))
        });
        weights.extend(weight);
    }
    weights
}

fn wgi(table: &Table, problems: &mut Problems) -> BTreeMap<Country, Wgi> {
    let mut weights = BTreeMap::new();
    for (name, node) in table.all() {
        let weight = node.read(problems, |text| {
            let country = country(&name)?;
            let mean = figure::parts(text, 100).ok().and_then(Wgi::from_mean_hundredths);
            let allowed =
                "a mean of governance estimates is between -2.5 and 2.5, with at most 2 decimals";
            Ok((country, mean.ok_or_else(|| allowed.to_owned())?))
        });
        weights.extend(weight);
    }
    weights
}

/// `None` where something is wrong, `Some(None)` where no notices are wanted.
#[allow(clippy::option_option, reason = "wrong and not wanted are two things")]
fn notices(mut table: Table, problems: &mut Problems) -> Option<Option<Ppm>> {
    let node = table.required("share_min", problems);
    table.finish(problems);
    let share = node?.read(problems, |text| {
        let ppm = figure::parts(text, 1_000_000).ok().and_then(|ppm| u32::try_from(ppm).ok());
        ppm.and_then(Ppm::new).ok_or_else(|| "a share is between 0 and 1".to_owned())
    })?;
    Some((share > Ppm::ZERO).then_some(share))
}

fn rules(root: &mut Table, blocs: &Blocs, problems: &mut Problems) -> Vec<Rule> {
    let tables = root.tables("rules", problems);
    if let Some(table) = tables.get(RULES_MAX) {
        table.refuse("", problems, format!("there may be at most {RULES_MAX} rules"));
    }
    let mut names = BTreeMap::new();
    let mut rules: Vec<Rule> = tables
        .into_iter()
        .filter_map(|table| rule::parse(table, blocs, &mut names, problems))
        .collect();
    rules.sort_unstable_by(|a, b| a.name.cmp(&b.name));
    rules
}

/// Reads a list in which order and repetition say nothing, and which has at least one part.
pub(super) fn set<T: Ord>(
    node: &Node,
    problems: &mut Problems,
    parse: impl Fn(&str) -> Result<T, String>,
) -> BTreeSet<T> {
    let before = problems.len();
    let parts = node.list(problems);
    if parts.is_empty() && problems.len() == before {
        node.refuse(problems, "must not be empty".to_owned());
    }
    parts.iter().filter_map(|part| part.read(problems, &parse)).collect()
}

/// Reads a name that people choose.
pub(super) fn slug(text: &str) -> Result<Slug, String> {
    Slug::parse(text).ok_or_else(|| format!("must be {}", crate::domain::slug::ALLOWED))
}

/// Reads a country.
pub(super) fn country(text: &str) -> Result<Country, String> {
    Country::parse(text).ok_or_else(|| unknown("country", &Country::near(text)))
}

/// Reads a destination, whose bloc must be one of these.
pub(super) fn destination(text: &str, blocs: &Blocs) -> Result<Destination, String> {
    let known = Destination::parse(text).filter(|destination| match destination {
        Destination::All
        | Destination::Any
        | Destination::Jurisdiction(Jurisdiction::Country(_)) => true,
        Destination::Jurisdiction(Jurisdiction::Bloc(name)) => blocs.contains(name),
    });
    known.ok_or_else(|| {
        let names = blocs.0.keys().map(Slug::as_str).collect::<Vec<_>>().join(", ");
        format!("must be all, any, a country, or one of the blocs {names}")
    })
}

/// Reads a kind of measure that moves an index.
pub(super) fn kind(text: &str) -> Result<Measure, String> {
    let moves = |kind: &Measure| *kind != Measure::TechnologyControl;
    Measure::parse(text).filter(moves).ok_or_else(|| {
        let kinds = Measure::ALL.iter().filter(|kind| moves(kind)).map(|kind| kind.name());
        format!("must be one of {}", kinds.collect::<Vec<_>>().join(", "))
    })
}

/// Says that there is no such thing, and what may have been meant.
pub(super) fn unknown(what: &str, near: &[String]) -> String {
    if near.is_empty() {
        format!("there is no such {what}")
    } else {
        format!("there is no such {what}; did you mean {}?", near.join(", "))
    }
}
