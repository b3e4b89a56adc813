//! The columns of each CSV list: name and cell, in one table per row type.
//!
//! Names and order are stable; new columns are added at the end.

use super::format::{self, enum_value, level_name, stage_name};
use lodewatch_proto::v1::{
    Alert, Cause, Contribution, Flag, Interval, Market, Metric, ReportRef, Supplier, Threat,
    ThreatRecord, Timestamp,
};
use std::rc::Rc;

/// A column: its name, and its cell of a row.
pub(crate) type Column<R> = (&'static str, fn(&R) -> String);

/// A row of a CSV list. A cell that is a list has blanks between its items.
pub(crate) trait CsvRow: Sized + 'static {
    const COLUMNS: &'static [Column<Self>];
}

pub(crate) fn names<R: CsvRow>() -> impl Iterator<Item = &'static str> {
    R::COLUMNS.iter().map(|(name, _)| *name)
}

/// The columns, for `--help`.
pub(crate) fn help<R: CsvRow>() -> String {
    let names = names::<R>().collect::<Vec<_>>().join(", ");
    format!("Columns of --output csv (items of a list are separated by blanks): {names}")
}

impl CsvRow for Alert {
    const COLUMNS: &'static [Column<Self>] = &[
        ("sequence", |alert| alert.sequence.to_string()),
        ("event_time", |alert| time(alert.event_time.as_ref())),
        ("journal_time", |alert| time(alert.journal_time.as_ref())),
        ("kind", |alert| enum_value(alert.kind().as_str_name(), "ALERT_KIND_")),
        ("level", |alert| level_name(alert.level())),
        ("previous_level", |alert| level_name(alert.previous_level())),
        ("possible_level", |alert| level_name(alert.possible_level())),
        ("rule", |alert| alert.rule.clone()),
        ("mineral", |alert| alert.mineral.clone()),
        ("stage", |alert| stage_name(alert.stage())),
        ("destination", |alert| alert.destination.clone()),
        ("metric", |alert| enum_value(alert.metric().as_str_name(), "METRIC_")),
        ("metric_countries", |alert| alert.metric_countries.join(" ")),
        ("value_lower", |alert| lower(alert.value)),
        ("value_upper", |alert| upper(alert.value)),
        ("previous_value_lower", |alert| lower(alert.previous_value)),
        ("previous_value_upper", |alert| upper(alert.previous_value)),
        ("threshold", |alert| alert.threshold.to_string()),
        ("cause", |alert| enum_value(cause(alert).kind().as_str_name(), "CAUSE_KIND_")),
        ("cause_threats", |alert| cause(alert).threat_ids.join(" ")),
        ("cause_threats_omitted", |alert| cause(alert).threats_omitted.to_string()),
        ("feed", |alert| cause(alert).feed),
        ("request_id", |alert| cause(alert).request_id),
        ("source", |alert| report(alert.report.as_ref()).source),
        ("period", |alert| report(alert.report.as_ref()).period),
        ("vintage", |alert| report(alert.report.as_ref()).vintage),
        ("leaders", |alert| alert.leaders.join(" ")),
        ("threats", |alert| list(alert.threat_effects.iter().map(|one| one.threat_id.clone()))),
        ("threats_omitted", |alert| alert.threat_effects_omitted.to_string()),
        ("flags", |alert| flags(alert.flags())),
        ("episode", |alert| alert.episode.to_string()),
        ("previous_sequence", |alert| alert.previous_sequence.to_string()),
        ("policy_version", |alert| alert.policy_version.to_string()),
        ("exercise", |alert| alert.exercise.to_string()),
        ("sentence", |alert| alert.sentence.clone()),
        ("cursor", |alert| alert.cursor.clone()),
    ];
}

impl CsvRow for Market {
    const COLUMNS: &'static [Column<Self>] = &[
        ("mineral", |market| market.mineral.clone()),
        ("stage", |market| stage_name(market.stage())),
        ("destination", |market| market.destination.clone()),
        ("leaders", |market| market.leaders.join(" ")),
        ("top1_share", |market| metric_lower(market, Metric::Top1Share)),
        ("cr3", |market| metric_lower(market, Metric::Cr3)),
        ("hhi_lower", |market| metric_lower(market, Metric::Hhi)),
        ("hhi_upper", |market| metric_upper(market, Metric::Hhi)),
        ("hhi_t_lower", |market| metric_lower(market, Metric::HhiT)),
        ("hhi_t_upper", |market| metric_upper(market, Metric::HhiT)),
        ("announced_hhi_t_lower", |market| metric_lower(market, Metric::AnnouncedHhiT)),
        ("announced_hhi_t_upper", |market| metric_upper(market, Metric::AnnouncedHhiT)),
        ("restricted_share_lower", |market| metric_lower(market, Metric::RestrictedShare)),
        ("restricted_share_upper", |market| metric_upper(market, Metric::RestrictedShare)),
        ("announced_restricted_share_lower", |market| {
            metric_lower(market, Metric::AnnouncedRestrictedShare)
        }),
        ("announced_restricted_share_upper", |market| {
            metric_upper(market, Metric::AnnouncedRestrictedShare)
        }),
        ("residual", |market| match market.report {
            Some(_) => market.residual.to_string(),
            None => String::new(),
        }),
        ("level", |market| level_name(format::highest_level(market))),
        ("open_alerts", |market| format::open_episodes(market).to_string()),
        ("threats", |market| list(market.threat_effects.iter().map(|one| one.threat_id.clone()))),
        ("source", |market| report(market.report.as_ref()).source),
        ("period", |market| report(market.report.as_ref()).period),
        ("vintage", |market| report(market.report.as_ref()).vintage),
        ("flags", |market| flags(market.flags())),
    ];
}

impl CsvRow for ThreatRecord {
    const COLUMNS: &'static [Column<Self>] = &[
        ("id", |record| threat(record).id),
        ("status", |record| enum_value(record.status().as_str_name(), "THREAT_STATUS_")),
        ("next_boundary", |record| record.next_boundary.clone()),
        ("imposing", |record| threat(record).imposing),
        ("only", |record| threat(record).destination.unwrap_or_default().only.join(" ")),
        ("except", |record| threat(record).destination.unwrap_or_default().except.join(" ")),
        ("measure", |record| enum_value(threat(record).measure().as_str_name(), "MEASURE_")),
        ("minerals", |record| threat(record).minerals.join(" ")),
        ("stages", |record| list(threat(record).stages().map(stage_name))),
        ("end_use", |record| enum_value(threat(record).end_use().as_str_name(), "END_USE_")),
        ("confidence", |record| {
            enum_value(threat(record).confidence().as_str_name(), "CONFIDENCE_")
        }),
        ("moves_indices", |record| record.moves_indices.to_string()),
        ("date_announced", |record| threat(record).date_announced),
        ("date_effective", |record| threat(record).date_effective),
        ("suspensions", |record| {
            list(threat(record).suspensions.iter().map(|one| format!("{}/{}", one.from, one.until)))
        }),
        ("date_removed", |record| threat(record).date_removed),
        ("superseded_by", |record| threat(record).superseded_by),
        ("markets", |record| {
            let markets = record.markets.iter();
            list(markets.map(|one| format!("{}/{}", one.mineral, stage_name(one.stage()))))
        }),
        ("revision", |record| threat(record).revision.to_string()),
        ("feed", |record| record.feed.clone()),
        ("accepted_at", |record| time(record.accepted_at.as_ref())),
        ("exercise", |record| record.exercise.to_string()),
        ("title", |record| threat(record).title),
    ];
}

/// One supplier of a market; without a country, the residual.
pub(crate) struct SupplierRow {
    market: Rc<Market>,
    supplier: Supplier,
}

impl SupplierRow {
    /// All suppliers, then the residual if there is one.
    pub(crate) fn all(market: &Market) -> Vec<Self> {
        let residual = Supplier {
            share: Some(market.residual),
            share_ppm: Some(market.residual_ppm),
            weight: 1.0,
            ..Supplier::default()
        };
        let residual = (market.residual_ppm > 0).then_some(residual);
        let shared = Rc::new(market.clone());
        let suppliers = market.suppliers.iter().cloned().chain(residual);
        suppliers.map(|supplier| Self { market: Rc::clone(&shared), supplier }).collect()
    }

    /// What the supplier adds to `hhi_t`.
    fn contribution(&self) -> Option<&Contribution> {
        self.market.hhi_t_contributions.iter().find(|part| part.country == self.supplier.country)
    }
}

impl CsvRow for SupplierRow {
    const COLUMNS: &'static [Column<Self>] = &[
        ("mineral", |row| row.market.mineral.clone()),
        ("stage", |row| stage_name(row.market.stage())),
        ("destination", |row| row.market.destination.clone()),
        ("country", |row| row.supplier.country.clone()),
        ("share", |row| optional(row.supplier.share)),
        ("quantity", |row| optional(row.supplier.quantity)),
        ("unit", |row| row.market.unit.clone()),
        ("withheld", |row| row.supplier.withheld.to_string()),
        ("estimated", |row| row.supplier.estimated.to_string()),
        ("restricted", |row| row.supplier.restricted.to_string()),
        ("weight", |row| row.supplier.weight.to_string()),
        ("hhi_t_points", |row| optional(row.contribution().map(|part| part.points))),
        ("hhi_t_upper_only", |row| optional(row.contribution().map(|part| part.upper_only))),
    ];
}

fn threat(record: &ThreatRecord) -> Threat {
    record.threat.clone().unwrap_or_default()
}

fn cause(alert: &Alert) -> Cause {
    alert.cause.clone().unwrap_or_default()
}

fn report(report: Option<&ReportRef>) -> ReportRef {
    report.cloned().unwrap_or_default()
}

fn list(items: impl Iterator<Item = String>) -> String {
    items.collect::<Vec<_>>().join(" ")
}

fn flags(flags: impl Iterator<Item = Flag>) -> String {
    list(flags.map(|flag| enum_value(flag.as_str_name(), "FLAG_")))
}

fn optional<T: ToString>(value: Option<T>) -> String {
    value.map(|value| value.to_string()).unwrap_or_default()
}

fn time(timestamp: Option<&Timestamp>) -> String {
    optional(timestamp.map(format::instant))
}

fn lower(value: Option<Interval>) -> String {
    optional(value.map(|value| value.lower))
}

fn upper(value: Option<Interval>) -> String {
    optional(value.map(|value| value.upper))
}

fn metric_lower(market: &Market, metric: Metric) -> String {
    lower(format::metric_value(market, metric))
}

fn metric_upper(market: &Market, metric: Metric) -> String {
    upper(format::metric_value(market, metric))
}

#[cfg(test)]
mod tests {
    use super::super::fixtures;
    use super::*;

    /// The first row, one line per column.
    fn first<R: CsvRow>(rows: &[R]) -> String {
        let line = |(name, cell): &Column<R>| format!("{name}: {}\n", cell(&rows[0]));
        format!("---\n{}", R::COLUMNS.iter().map(line).collect::<String>())
    }

    #[test]
    fn every_row_type_has_its_columns_in_order() {
        let markets = fixtures::markets();
        let suppliers: Vec<_> = markets.iter().flat_map(SupplierRow::all).collect();
        insta::assert_snapshot!(
            [
                first(&fixtures::alerts()),
                first(&markets),
                first(&fixtures::threats()),
                first(&suppliers)
            ]
            .concat()
        );
    }
}
