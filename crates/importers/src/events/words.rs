//! The file's words, as ours.

use lodewatch_core::domain::Stage;
use lodewatch_core::domain::policy::Jurisdiction;
use lodewatch_core::domain::threat::{Authority, Confidence, EndUse, Evidence, Measure, Scope};

/// What a `measure_type` says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Acts {
    /// Measures of these kinds.
    Measures(Vec<Measure>),
    /// Something was considered, of no kind yet.
    SpokenOf,
    /// No export control, and why.
    None(&'static str),
}

/// The words that [`acts`] takes, for error messages.
pub(super) const MEASURES: &str = "EXPORT_PROHIBITION, EXPORT_PROHIBITION_CONDITIONAL, EXPORT_QUOTA, EXPORT_TARIFF_QUOTA, \
     EXPORT_TAX, LICENSING, MINIMUM_PRICE, STATE_TRADING, DOMESTIC_SUPPLY_OBLIGATION, OTHER, TECHNOLOGY_CONTROL, \
     UNSPECIFIED, IMPORT_PROHIBITION, PRODUCTION_SUSPENSION, or several of them joined by +";

/// Reads a `measure_type`; a remark in brackets, such as `(de facto)`, does not change the kind.
pub(super) fn acts(text: &str) -> Option<Acts> {
    let mut measures = Vec::new();
    for part in text.split('+') {
        let measure = match unqualified(part) {
            "UNSPECIFIED" => return Some(Acts::SpokenOf),
            "IMPORT_PROHIBITION" => return Some(Acts::None("it restricts imports, not exports")),
            "PRODUCTION_SUSPENSION" => {
                return Some(Acts::None(
                    "it halts production, which shows in the shares; exports are free",
                ));
            }
            "EXPORT_PROHIBITION" => Measure::Prohibition,
            "EXPORT_PROHIBITION_CONDITIONAL" => Measure::ConditionalProhibition,
            "EXPORT_QUOTA" => Measure::Quota,
            "EXPORT_TARIFF_QUOTA" => Measure::TariffQuota,
            "EXPORT_TAX" => Measure::Tax,
            "LICENSING" => Measure::Licensing,
            "MINIMUM_PRICE" => Measure::MinimumPrice,
            "STATE_TRADING" => Measure::StateTrading,
            "DOMESTIC_SUPPLY_OBLIGATION" => Measure::DomesticSupplyObligation,
            "OTHER" => Measure::Other,
            "TECHNOLOGY_CONTROL" => Measure::TechnologyControl,
            _ => return None,
        };
        measures.push(measure);
    }
    Some(Acts::Measures(measures))
}

/// Reads an `authority_level`.
pub(super) fn authority(text: &str) -> Option<Authority> {
    match text {
        "supranational" => Some(Authority::Supranational),
        "national" | "national (informal)" | "national, extraterritorial" => {
            Some(Authority::National)
        }
        "sub-national" | "subnational" => Some(Authority::Subnational),
        "sub-national, non-state authority" | "non-state" => Some(Authority::NonState),
        "state firm" | "firm" => Some(Authority::Firm),
        _ => None,
    }
}

/// Reads a `destination`: `ALL`, or countries and blocs between semicolons.
pub(super) fn scope(text: &str) -> Option<Scope> {
    if text == "ALL" {
        return Some(Scope::All);
    }
    let places: Option<Vec<Jurisdiction>> =
        text.split(';').map(|part| Jurisdiction::parse(unqualified(part))).collect();
    places.map(Scope::Only)
}

/// Which uses an act is about, from what stands with its destination and at the beginning of `detail`.
pub(super) fn end_use(destination: &str, detail: &str) -> EndUse {
    if destination.ends_with("(named firms)") || detail.starts_with("entity-scoped") {
        EndUse::ListedEntities
    } else if detail.starts_with("end-use scoped") {
        EndUse::Military
    } else {
        EndUse::Any
    }
}

/// The stages that a `stage_or_form` is of; none for all.
pub(super) fn stages(text: &str) -> Vec<Stage> {
    let mut stages: Vec<Stage> = Vec::new();
    for form in text.split(',') {
        let stage = match form.trim() {
            "ore" | "ores" | "concentrate" | "concentrates" | "raw" | "flake" => Stage::Mining,
            "metal" | "metals" | "oxide" | "oxides" | "compounds" | "alloy" | "alloys"
            | "magnet" | "magnets" | "enriched" | "refined" | "spherical" | "fertiliser" => {
                Stage::Refining
            }
            _ => return Vec::new(),
        };
        if !stages.contains(&stage) {
            stages.push(stage);
        }
    }
    if stages.len() == Stage::ALL.len() { Vec::new() } else { stages }
}

/// Reads a `certainty`.
pub(super) fn confidence(text: &str) -> Option<Confidence> {
    match text {
        "verified" => Some(Confidence::Official),
        "secondary" => Some(Confidence::Reported),
        "unverified" => Some(Confidence::Rumour),
        _ => None,
    }
}

/// The items of a `source`, an address apart from its publisher.
pub(super) fn evidence(text: &str) -> Vec<Evidence> {
    let is_address = |word: &&str| word.starts_with("http://") || word.starts_with("https://");
    text.split(';')
        .map(str::trim)
        .filter(|part| !part.is_empty() && !part.starts_with("none found"))
        .map(|part| {
            let words: Vec<&str> = part.split_whitespace().collect();
            let url = words.iter().copied().find(|word| is_address(word)).unwrap_or_default();
            let publisher: Vec<&str> = words.into_iter().filter(|word| !is_address(word)).collect();
            Evidence { url: url.into(), publisher: publisher.join(" ").into(), retrieved: None }
        })
        .collect()
}

/// The id that `superseded: ..., see ID` names.
pub(super) fn superseded_by(detail: &str) -> Option<&str> {
    let rest = detail.strip_prefix("superseded")?;
    let (_, after) = rest.split_once("see ")?;
    after.split([' ', ',', ';']).next()
}

fn unqualified(text: &str) -> &str {
    text.split_once('(').map_or(text, |(plain, _)| plain).trim()
}
