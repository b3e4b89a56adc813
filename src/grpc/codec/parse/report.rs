//! Supply reports.

use super::name::{choice, country, day, list, mineral, optional, quoted, read_unlike, slug, text};
use super::{Checks, Path, figure};
use crate::grpc::pb;
use lodewatch_core::domain::market::{
    Denominator, Figure, MarketKey, Period, ReportDraft, ReportDraftRow, ReportFault,
};
use lodewatch_core::domain::update::ReportRemoval;
use lodewatch_core::domain::{Report, Stage, Threat};
use pb::supply_row::Figure as Wire;

/// Bytes of the longest unit.
const UNIT_MAX: usize = 64;

/// A report with its shares.
pub(super) fn report(
    checks: &mut Checks,
    field: Path<'_>,
    sent: &pb::SupplyReport,
) -> Option<Report> {
    let mineral = mineral(checks, field.at("mineral"), &sent.mineral);
    let stage = choice::<Stage>(checks, field.at("stage"), sent.stage, Stage::allowed);
    let source = slug(checks, field.at("source"), &sent.source);
    let period = period(checks, field.at("period"), &sent.period);
    let vintage = day(checks, field.at("vintage"), &sent.vintage);
    let unit = text(checks, field.at("unit"), &sent.unit, UNIT_MAX);
    let rows = list(checks, field.at("rows"), &sent.rows, Report::ROWS_MAX, row);
    let denominator = denominator(checks, field.at("denominator"), sent);
    let other = match (sent.other, denominator) {
        (None, _) => Some(None),
        (Some(value), Some(Denominator::Shares)) => {
            figure::share(checks, field.at("other"), value).map(|share| Some(Figure::Share(share)))
        }
        (Some(value), _) => figure::milli(checks, field.at("other"), value)
            .map(|milli| Some(Figure::QuantityMilli(milli))),
    };
    let total = optional(sent.published_total, |value| {
        figure::milli(checks, field.at("published_total"), value)
    });
    let url = text(checks, field.at("url"), &sent.url, Threat::TEXT_MAX);
    let draft = ReportDraft {
        market: MarketKey { mineral: mineral?, stage: stage? },
        source: source?,
        period: period?,
        vintage: vintage?,
        unit: unit?,
        rows: rows?,
        residual: other?,
        denominator: denominator?,
        published_total_milli: total?,
        url: url?,
    };
    match Report::parse(draft) {
        Ok(report) => Some(report),
        Err(faults) => {
            for fault in faults {
                checks.add(field.at(&fault_path(&fault)), fault);
            }
            None
        }
    }
}

/// A removal of reports.
pub(super) fn report_removal(
    checks: &mut Checks,
    field: Path<'_>,
    sent: &pb::ReportRemoval,
) -> Option<ReportRemoval> {
    let mineral = mineral(checks, field.at("mineral"), &sent.mineral);
    let stage = choice::<Stage>(checks, field.at("stage"), sent.stage, Stage::allowed);
    let source = slug(checks, field.at("source"), &sent.source);
    let period = optional(Some(&sent.period).filter(|text| !text.is_empty()), |text| {
        period(checks, field.at("period"), text)
    });
    let market = MarketKey { mineral: mineral?, stage: stage? };
    Some(ReportRemoval { market, source: source?, period: period? })
}

fn period(checks: &mut Checks, field: Path<'_>, text: &str) -> Option<Period> {
    let what = || format!("{} is not a period: {}", quoted(text), Period::ALLOWED);
    read_unlike(checks, field, text, Period::parse, what)
}

fn row(checks: &mut Checks, field: Path<'_>, sent: &pb::SupplyRow) -> Option<ReportDraftRow> {
    let country = country(checks, field.at("country"), &sent.country);
    let figure = match &sent.figure {
        Some(Wire::Quantity(value)) => {
            figure::milli(checks, field.at("quantity"), *value).map(Figure::QuantityMilli)
        }
        Some(Wire::Share(value)) => {
            figure::share(checks, field.at("share"), *value).map(Figure::Share)
        }
        Some(Wire::Withheld(true)) => Some(Figure::Withheld),
        Some(Wire::Withheld(false)) => {
            checks.add(field.at("withheld"), "must not be false; set quantity or share instead");
            None
        }
        None => {
            checks.add(field, "must have a figure: set quantity, share or withheld");
            None
        }
    };
    Some(ReportDraftRow { country: country?, figure: figure?, estimated: sent.estimated })
}

/// What the shares are parts of: as sent, or by the form of the rows.
fn denominator(
    checks: &mut Checks,
    field: Path<'_>,
    sent: &pb::SupplyReport,
) -> Option<Denominator> {
    let has_shares = sent.rows.iter().any(|row| matches!(row.figure, Some(Wire::Share(_))));
    match pb::Denominator::try_from(sent.denominator) {
        Ok(pb::Denominator::Unspecified) if has_shares => Some(Denominator::Shares),
        Ok(pb::Denominator::Unspecified | pb::Denominator::SumOfRows) => {
            Some(Denominator::SumOfRows)
        }
        Ok(pb::Denominator::PublishedTotal) => Some(Denominator::PublishedTotal),
        Ok(pb::Denominator::Shares) => Some(Denominator::Shares),
        Err(_) => {
            let allowed = "sum_of_rows, published_total, shares";
            checks.add(
                field,
                format!("{} is not a valid value; use one of: {allowed}", sent.denominator),
            );
            None
        }
    }
}

/// The path of the field that has a fault, from the report.
fn fault_path(fault: &ReportFault) -> String {
    match fault {
        ReportFault::Repeated { row, .. } => format!("rows[{row}].country"),
        ReportFault::Mixed { row: Some(row) } => format!("rows[{row}]"),
        ReportFault::Mixed { row: None } => "other".to_owned(),
        ReportFault::NoTotal => "published_total".to_owned(),
        ReportFault::Empty
        | ReportFault::TooManyRows(_)
        | ReportFault::Zero
        | ReportFault::AboveWhole { .. } => "rows".to_owned(),
    }
}
