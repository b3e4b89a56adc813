//! The file's words, as ours.

use lodewatch_core::domain::threat::{Authority, EndUse, Measure};

/// Reads an `Intervention Type`; what restricts no exports is an error that says so.
pub(super) fn measure(text: &str) -> Result<Measure, &'static str> {
    match text {
        "Export ban" => Ok(Measure::Prohibition),
        "Export quota" => Ok(Measure::Quota),
        "Export tariff quota" => Ok(Measure::TariffQuota),
        "Export tax" => Ok(Measure::Tax),
        "Export licensing requirement" => Ok(Measure::Licensing),
        "Export price benchmark" => Ok(Measure::MinimumPrice),
        "Local supply requirement for exports" => Ok(Measure::DomesticSupplyObligation),
        "Export-related non-tariff measure, nes" => Ok(Measure::Other),
        "Export subsidy" => Err("it restricts no exports"),
        _ if text.starts_with("Export") => {
            Err("an export measure of a kind that is not known here")
        }
        _ => Err("it restricts no exports"),
    }
}

/// Reads an `Implementation Level`.
pub(super) fn authority(text: &str) -> Option<Authority> {
    match text {
        "" | "National" | "NFI" => Some(Authority::National),
        "Supranational" | "IFI" => Some(Authority::Supranational),
        "Subnational" | "SEZ" => Some(Authority::Subnational),
        _ => None,
    }
}

/// The levels that [`authority`] takes, for error messages.
pub(super) const LEVELS: &str = "one of Supranational, National, Subnational, SEZ, IFI, NFI";

/// Reads an `Eligible Firm`.
pub(super) fn end_use(text: &str) -> EndUse {
    if text == "firm-specific" { EndUse::ListedEntities } else { EndUse::Any }
}
