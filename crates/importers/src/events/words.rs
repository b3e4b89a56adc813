//! The vocabulary of the file.

use lodewatch_core::domain::Stage;
use lodewatch_core::domain::policy::Jurisdiction;
use lodewatch_core::domain::threat::{Authority, Confidence, EndUse, Evidence, Measure, Scope};

/// A `measure_type`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum MeasureType {
    Measures(Vec<Measure>),
    /// A measure is considered whose type is not known yet.
    Unspecified,
    /// Not an export control, for this reason.
    NotExportControl(&'static str),
}

/// The words that [`parse_measure_type`] accepts, for error messages.
pub(super) const MEASURES: &str = "EXPORT_PROHIBITION, EXPORT_PROHIBITION_CONDITIONAL, EXPORT_QUOTA, EXPORT_TARIFF_QUOTA, \
     EXPORT_TAX, LICENSING, MINIMUM_PRICE, STATE_TRADING, DOMESTIC_SUPPLY_OBLIGATION, OTHER, TECHNOLOGY_CONTROL, \
     UNSPECIFIED, IMPORT_PROHIBITION, PRODUCTION_SUSPENSION, or several of them joined by +";

/// Parses a `measure_type`; a remark in brackets, such as `(de facto)`, is ignored.
pub(super) fn parse_measure_type(text: &str) -> Option<MeasureType> {
    let mut measures = Vec::new();
    for part in text.split('+') {
        let measure = match unqualified(part) {
            "UNSPECIFIED" => return Some(MeasureType::Unspecified),
            "IMPORT_PROHIBITION" => {
                return Some(MeasureType::NotExportControl("restricts imports, not exports"));
            }
            "PRODUCTION_SUSPENSION" => {
                return Some(MeasureType::NotExportControl(
                    "halts production, not exports; the shares show it",
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
    Some(MeasureType::Measures(measures))
}

/// Parses an `authority_level`.
pub(super) fn parse_authority(text: &str) -> Option<Authority> {
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

/// Parses a `destination`: `ALL`, or countries and blocs separated by semicolons.
pub(super) fn parse_scope(text: &str) -> Option<Scope> {
    if text == "ALL" {
        return Some(Scope::All);
    }
    let places: Option<Vec<Jurisdiction>> =
        text.split(';').map(|part| Jurisdiction::parse(unqualified(part))).collect();
    places.map(Scope::Only)
}

/// Parses the uses that a measure is about, from remarks at its destination and at the beginning of
/// `detail`.
pub(super) fn parse_end_use(destination: &str, detail: &str) -> EndUse {
    if destination.ends_with("(named firms)") || detail.starts_with("entity-scoped") {
        EndUse::ListedEntities
    } else if detail.starts_with("end-use scoped") {
        EndUse::Military
    } else {
        EndUse::Any
    }
}

/// Parses a `stage_or_form`; no stages mean all.
pub(super) fn parse_stages(text: &str) -> Vec<Stage> {
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

/// Parses a `certainty`.
pub(super) fn parse_confidence(text: &str) -> Option<Confidence> {
    match text {
        "verified" => Some(Confidence::Official),
        "secondary" => Some(Confidence::Reported),
        "unverified" => Some(Confidence::Rumour),
        _ => None,
    }
}

/// Parses the items of a `source`, and separates addresses from publishers.
pub(super) fn parse_evidence(text: &str) -> Vec<Evidence> {
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

/// Parses the id in `superseded: ..., see ID`.
pub(super) fn parse_superseded_by(detail: &str) -> Option<&str> {
    let rest = detail.strip_prefix("superseded")?;
    let (_, after) = rest.split_once("see ")?;
    after.split([' ', ',', ';']).next()
}

fn unqualified(text: &str) -> &str {
    text.split_once('(').map_or(text, |(plain, _)| plain).trim()
}
