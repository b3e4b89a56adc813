//! The policy: blocs, sources, weights, rules.

use super::rule;
use super::values::parse_parts;
use lodewatch_core::domain::policy::{Blocs, Destination, Jurisdiction};
use lodewatch_core::domain::rule::Metric;
use lodewatch_core::domain::share::{Weight, Wgi};
use lodewatch_core::domain::threat::Measure;
use lodewatch_core::domain::{Country, Policy, Ppm, Rule, Slug};
use lodewatch_toml_reader::{Node, Table};
use std::collections::{BTreeMap, BTreeSet};

const RULES_MAX: usize = 200;
const BLOCS_MAX: usize = 100;
const SOURCES_MAX: usize = 100;

/// Reads all of it, so that every problem is found.
pub(super) fn parse(root: &mut Table<'_>) -> Option<Policy> {
    let blocs = root.table("blocs").map(blocs);
    let sources = root.required("sources").map(sources);
    let weights = root.table("weights").map(weights);
    let wgi = root.table("wgi").map(wgi);
    let notice_share_min = root.table("notices").and_then(notice_share_min);
    let rules = rules(root, &blocs.clone().unwrap_or_default());
    let weighted = rules.iter().find(|rule| rule.metric == Metric::HhiWgiT);
    if let (Some(rule), Some(true)) = (weighted, wgi.as_ref().map(BTreeMap::is_empty)) {
        root.reject("wgi", format!("must not be empty: rule {} uses hhi_wgi_t", rule.name));
    }
    let policy = Policy {
        rules,
        blocs: blocs?,
        sources: sources?,
        weights: weights?,
        wgi: wgi?,
        notice_share_min,
    };
    if let Err(fault) = policy.check_size() {
        root.reject("rules", fault.to_string());
    }
    Some(policy)
}

fn blocs(table: Table<'_>) -> Blocs {
    let nodes = table.into_entries();
    if let Some((_, node)) = nodes.get(BLOCS_MAX) {
        node.reject(format!("there may be at most {BLOCS_MAX} blocs"));
    }
    let mut blocs = BTreeMap::new();
    for (name, node) in nodes {
        let name = Slug::parse(&name).filter(Blocs::may_be_named);
        if name.is_none() {
            node.reject(
                "the name of a bloc must be 1 to 64 of A-Z 0-9 _ -, and not a country, ALL or ANY",
            );
        }
        let members = parse_set(node, parse_country);
        if let Some(name) = name {
            blocs.insert(name, members);
        }
    }
    Blocs(blocs)
}

fn sources(node: Node<'_>) -> Vec<Slug> {
    let parts = node.split_at_commas().parts();
    if let Some(more) = parts.get(SOURCES_MAX) {
        more.reject(format!("there may be at most {SOURCES_MAX} sources"));
    }
    let mut sources: Vec<Slug> = Vec::new();
    for part in parts {
        let source = part.read(|text| {
            let source = parse_slug(text)?;
            if sources.contains(&source) { Err("is named twice".to_owned()) } else { Ok(source) }
        });
        sources.extend(source);
    }
    sources
}

fn weights(table: Table<'_>) -> BTreeMap<Measure, Weight> {
    let mut weights = Policy::default_weights();
    for (name, node) in table.into_entries() {
        let weight = node.read(|text| {
            let measure = parse_measure(&name)?;
            let permille = parse_parts(text, 1000).ok().and_then(|parts| u16::try_from(parts).ok());
            let weight = permille.and_then(Weight::from_permille);
            let allowed = "must be a trade weight from 1.0 to 3.0 with at most 3 decimals";
            Ok::<_, String>((measure, weight.ok_or(allowed)?))
        });
        weights.extend(weight);
    }
    weights
}

fn wgi(table: Table<'_>) -> BTreeMap<Country, Wgi> {
    let entries = table.into_entries().into_iter();
    let weights = entries.filter_map(|(name, node)| {
        node.read(|text| {
            let country = parse_country(&name)?;
            let mean = parse_parts(text, 100).ok().and_then(Wgi::from_mean_hundredths);
            let allowed = "must be a mean of governance estimates from -2.5 to 2.5 with at most 2 \
                           decimals";
            Ok::<_, String>((country, mean.ok_or(allowed)?))
        })
    });
    weights.collect()
}

/// `None` where no notices are wanted.
fn notice_share_min(mut table: Table<'_>) -> Option<Ppm> {
    let share = table.read("share_min", |text| {
        let ppm = parse_parts(text, 1_000_000).ok().and_then(|ppm| u32::try_from(ppm).ok());
        ppm.and_then(Ppm::new).ok_or("must be a share from 0 to 1")
    });
    share.filter(|share| *share > Ppm::ZERO)
}

fn rules(root: &mut Table<'_>, blocs: &Blocs) -> Vec<Rule> {
    let tables = root.tables("rules");
    if let Some(table) = tables.get(RULES_MAX) {
        table.reject("", format!("there may be at most {RULES_MAX} rules"));
    }
    let mut names = BTreeMap::new();
    let rules = tables.into_iter().filter_map(|table| rule::parse(table, blocs, &mut names));
    let mut rules: Vec<Rule> = rules.collect();
    rules.sort_unstable_by(|a, b| a.name.cmp(&b.name));
    rules
}

/// Reads a list in which order and repetition say nothing, and which has at least one part.
pub(super) fn parse_set<T: Ord>(
    node: Node<'_>,
    parse: impl Fn(&str) -> Result<T, String>,
) -> BTreeSet<T> {
    let node = node.split_at_commas();
    if node.is_empty_list() {
        node.reject("must not be empty");
    }
    node.read_list(parse).into_iter().collect()
}

pub(super) fn parse_slug(text: &str) -> Result<Slug, String> {
    Slug::parse(text).ok_or_else(|| format!("must be {}", lodewatch_core::domain::slug::ALLOWED))
}

pub(super) fn parse_country(text: &str) -> Result<Country, String> {
    Country::parse(text).ok_or_else(|| unknown("country", &Country::similar_names(text)))
}

/// Parses a destination, whose bloc must be one of these.
pub(super) fn parse_destination(text: &str, blocs: &Blocs) -> Result<Destination, String> {
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

/// Parses a measure that changes an index.
pub(super) fn parse_measure(text: &str) -> Result<Measure, String> {
    let changes_index = |measure: &Measure| *measure != Measure::TechnologyControl;
    Measure::parse(text).filter(changes_index).ok_or_else(|| {
        let allowed = Measure::ALL.iter().filter(|one| changes_index(one)).map(|one| one.name());
        format!("must be one of {}", allowed.collect::<Vec<_>>().join(", "))
    })
}

/// Says that a name is unknown, and which may have been meant.
pub(super) fn unknown(what: &str, near: &[String]) -> String {
    if near.is_empty() {
        format!("unknown {what}")
    } else {
        format!("unknown {what}; did you mean {}?", near.join(", "))
    }
}
