//! Supply reports.

use super::{denominator, milli, share, stage, timestamp};
use crate::domain::Report;
use crate::domain::alert::ReportRef;
use crate::domain::market::{self as domain, ReportRow};
use crate::grpc::pb;
use pb::supply_row::Figure;

/// A report as its source gives it: quantities where it has them, else shares.
pub fn report(report: &Report) -> pb::SupplyReport {
    let other = report.other().and_then(|figure| match figure {
        domain::Figure::QuantityMilli(quantity) => Some(milli(quantity)),
        domain::Figure::Share(part) => Some(share(part)),
        domain::Figure::Withheld => None,
    });
    pb::SupplyReport {
        mineral: report.market().mineral.slug().to_owned(),
        stage: stage(report.market().stage).into(),
        source: report.source().to_string(),
        period: report.period().to_string(),
        vintage: report.vintage().to_string(),
        unit: report.unit().to_owned(),
        rows: report.rows().iter().map(row).collect(),
        other,
        denominator: denominator(report.denominator()).into(),
        published_total: report.published_total_milli().map(milli),
        url: report.url().to_owned(),
    }
}

fn row(row: &ReportRow) -> pb::SupplyRow {
    let figure = match (row.quantity_milli, row.share) {
        (Some(quantity), _) => Figure::Quantity(milli(quantity)),
        (None, Some(part)) => Figure::Share(share(part)),
        (None, None) => Figure::Withheld(true),
    };
    pb::SupplyRow {
        country: row.country.to_string(),
        figure: Some(figure),
        estimated: row.estimated,
    }
}

/// The name of a report.
pub fn report_ref(name: &ReportRef) -> pb::ReportRef {
    pb::ReportRef {
        source: name.source.to_string(),
        period: name.period.to_string(),
        vintage: name.vintage.to_string(),
        accepted_at: Some(timestamp(name.accepted_at)),
        superseded: false,
    }
}
