//! Rows of CSV: what is listed, flat, with columns whose names and order stay. New columns are added at the end.

use super::figures;
use super::output;
use crate::grpc::pb::{
    Alert, Contribution, Flag, Interval, Market, Metric, Supplier, ThreatRecord, Timestamp,
};

/// What can be a row.
pub(super) trait Columns {
    /// Their names.
    const NAMES: &'static [&'static str];

    /// What is in them, as many as there are names. Lists have blanks between.
    fn fields(&self) -> Vec<String>;
}

/// What help says of the columns.
pub(super) fn help<R: Columns>() -> String {
    format!("Columns of --output csv, lists with blanks between: {}", R::NAMES.join(", "))
}

impl Columns for Alert {
    const NAMES: &'static [&'static str] = &[
        "sequence",
        "event_time",
        "journal_time",
        "kind",
        "level",
        "previous_level",
        "possible_level",
        "rule",
        "mineral",
        "stage",
        "destination",
        "metric",
        "metric_countries",
        "value_lower",
        "value_upper",
        "previous_value_lower",
        "previous_value_upper",
        "threshold",
        "cause",
        "cause_threats",
        "feed",
        "request_id",
        "source",
        "period",
        "vintage",
        "leaders",
        "threats",
        "flags",
        "episode",
        "previous_sequence",
        "policy_version",
        "exercise",
        "sentence",
        "cursor",
    ];

    fn fields(&self) -> Vec<String> {
        let cause = self.cause.clone().unwrap_or_default();
        let report = self.report.clone().unwrap_or_default();
        let [value_lower, value_upper] = bounds(self.value);
        let [before_lower, before_upper] = bounds(self.previous_value);
        let threats = self.threat_effects.iter().map(|one| one.threat_id.clone());
        vec![
            self.sequence.to_string(),
            time(self.event_time.as_ref()),
            time(self.journal_time.as_ref()),
            word(self.kind().as_str_name(), "ALERT_KIND_"),
            output::level_name(self.level()),
            output::level_name(self.previous_level()),
            output::level_name(self.possible_level()),
            self.rule.clone(),
            self.mineral.clone(),
            output::stage_name(self.stage()),
            self.destination.clone(),
            word(self.metric().as_str_name(), "METRIC_"),
            self.metric_countries.join(" "),
            value_lower,
            value_upper,
            before_lower,
            before_upper,
            self.threshold.to_string(),
            word(cause.kind().as_str_name(), "CAUSE_KIND_"),
            cause.threat_ids.join(" "),
            cause.feed,
            cause.request_id,
            report.source,
            report.period,
            report.vintage,
            self.leaders.join(" "),
            list(threats),
            flags(self.flags()),
            self.episode.to_string(),
            self.previous_sequence.to_string(),
            self.policy_version.to_string(),
            self.exercise.to_string(),
            self.sentence.clone(),
            self.cursor.clone(),
        ]
    }
}

impl Columns for Market {
    const NAMES: &'static [&'static str] = &[
        "mineral",
        "stage",
        "destination",
        "leaders",
        "top1_share",
        "cr3",
        "hhi_lower",
        "hhi_upper",
        "hhi_t_lower",
        "hhi_t_upper",
        "announced_hhi_t_lower",
        "announced_hhi_t_upper",
        "restricted_share_lower",
        "restricted_share_upper",
        "announced_restricted_share_lower",
        "announced_restricted_share_upper",
        "residual",
        "level",
        "open_alerts",
        "threats",
        "source",
        "period",
        "vintage",
        "flags",
    ];

    fn fields(&self) -> Vec<String> {
        let report = self.report.clone().unwrap_or_default();
        let interval = |metric| bounds(figures::value(self, metric));
        let share = |metric| {
            let [lower, _] = interval(metric);
            lower
        };
        let [hhi_lower, hhi_upper] = interval(Metric::Hhi);
        let [hhi_t_lower, hhi_t_upper] = interval(Metric::HhiT);
        let [announced_lower, announced_upper] = interval(Metric::AnnouncedHhiT);
        let [restricted_lower, restricted_upper] = interval(Metric::RestrictedShare);
        let [will_be_lower, will_be_upper] = interval(Metric::AnnouncedRestrictedShare);
        let threats = self.threat_effects.iter().map(|one| one.threat_id.clone());
        let is_known = self.report.is_some();
        vec![
            self.mineral.clone(),
            output::stage_name(self.stage()),
            self.destination.clone(),
            self.leaders.join(" "),
            share(Metric::Top1Share),
            share(Metric::Cr3),
            hhi_lower,
            hhi_upper,
            hhi_t_lower,
            hhi_t_upper,
            announced_lower,
            announced_upper,
            restricted_lower,
            restricted_upper,
            will_be_lower,
            will_be_upper,
            if is_known { self.residual.to_string() } else { String::new() },
            output::level_name(figures::level(self)),
            figures::open(self).to_string(),
            list(threats),
            report.source,
            report.period,
            report.vintage,
            flags(self.flags()),
        ]
    }
}

impl Columns for ThreatRecord {
    const NAMES: &'static [&'static str] = &[
        "id",
        "status",
        "next_boundary",
        "imposing",
        "only",
        "except",
        "measure",
        "minerals",
        "stages",
        "end_use",
        "confidence",
        "moves_indices",
        "date_announced",
        "date_effective",
        "suspensions",
        "date_removed",
        "superseded_by",
        "markets",
        "revision",
        "feed",
        "accepted_at",
        "exercise",
        "title",
    ];

    fn fields(&self) -> Vec<String> {
        let threat = self.threat.clone().unwrap_or_default();
        let toward = threat.destination.clone().unwrap_or_default();
        let suspensions = threat.suspensions.iter();
        let suspensions = suspensions.map(|one| format!("{}/{}", one.from, one.until));
        let markets = self.markets.iter();
        let markets =
            markets.map(|one| format!("{}/{}", one.mineral, output::stage_name(one.stage())));
        vec![
            threat.id.clone(),
            word(self.status().as_str_name(), "THREAT_STATUS_"),
            self.next_boundary.clone(),
            threat.imposing.clone(),
            toward.only.join(" "),
            toward.except.join(" "),
            word(threat.measure().as_str_name(), "MEASURE_"),
            threat.minerals.join(" "),
            list(threat.stages().map(output::stage_name)),
            word(threat.end_use().as_str_name(), "END_USE_"),
            word(threat.confidence().as_str_name(), "CONFIDENCE_"),
            self.moves_indices.to_string(),
            threat.date_announced.clone(),
            threat.date_effective.clone(),
            list(suspensions),
            threat.date_removed.clone(),
            threat.superseded_by.clone(),
            list(markets),
            threat.revision.to_string(),
            self.feed.clone(),
            time(self.accepted_at.as_ref()),
            self.exercise.to_string(),
            threat.title,
        ]
    }
}

/// One supplier of a market, or with no country what is left.
pub(super) struct MarketRow<'a> {
    market: &'a Market,
    supplier: Supplier,
}

impl<'a> MarketRow<'a> {
    /// All suppliers, then what no country is named for.
    pub(super) fn of(market: &'a Market) -> impl Iterator<Item = Self> {
        let rest = Supplier {
            share: Some(market.residual),
            share_ppm: Some(market.residual_ppm),
            weight: 1.0,
            ..Supplier::default()
        };
        let rest = (market.residual_ppm > 0).then_some(rest);
        let suppliers = market.suppliers.iter().cloned().chain(rest);
        suppliers.map(move |supplier| Self { market, supplier })
    }
}

impl Columns for MarketRow<'_> {
    const NAMES: &'static [&'static str] = &[
        "mineral",
        "stage",
        "destination",
        "country",
        "share",
        "quantity",
        "unit",
        "withheld",
        "estimated",
        "restricted",
        "weight",
        "hhi_t_points",
        "hhi_t_upper_only",
    ];

    fn fields(&self) -> Vec<String> {
        let Self { market, supplier } = self;
        let part = market.hhi_t_contributions.iter().find(|part| part.country == supplier.country);
        let number = |figure: Option<f64>| figure.map(|one| one.to_string()).unwrap_or_default();
        vec![
            market.mineral.clone(),
            output::stage_name(market.stage()),
            market.destination.clone(),
            supplier.country.clone(),
            number(supplier.share),
            number(supplier.quantity),
            market.unit.clone(),
            supplier.withheld.to_string(),
            supplier.estimated.to_string(),
            supplier.restricted.to_string(),
            supplier.weight.to_string(),
            number(part.map(|part: &Contribution| part.points)),
            part.map(|part| part.upper_only.to_string()).unwrap_or_default(),
        ]
    }
}

/// A list, with blanks between.
fn list(parts: impl Iterator<Item = String>) -> String {
    parts.collect::<Vec<_>>().join(" ")
}

/// What is to be known of a value.
fn flags(flags: impl Iterator<Item = Flag>) -> String {
    list(flags.map(|flag| word(flag.as_str_name(), "FLAG_")))
}

/// An enum's name as the protocol writes it, in small letters and without its prefix; nothing where it is not set.
fn word(name: &str, prefix: &str) -> String {
    match name.trim_start_matches(prefix) {
        "UNSPECIFIED" => String::new(),
        name => name.to_lowercase(),
    }
}

fn time(sent: Option<&Timestamp>) -> String {
    sent.map(|sent| output::instant(sent).to_string()).unwrap_or_default()
}

fn bounds(value: Option<Interval>) -> [String; 2] {
    value.map_or_else(Default::default, |value| [value.lower.to_string(), value.upper.to_string()])
}

#[cfg(test)]
mod tests {
    use super::super::fixtures;
    use super::*;

    /// The first row, a line a column.
    fn first<R: Columns>(rows: &[R]) -> String {
        for row in rows {
            assert_eq!(row.fields().len(), R::NAMES.len());
        }
        let fields = rows[0].fields();
        let lines = R::NAMES.iter().zip(&fields).map(|(name, field)| format!("{name}: {field}\n"));
        format!("---\n{}", lines.collect::<String>())
    }

    #[test]
    fn every_kind_of_row_has_its_columns_in_their_order() {
        let markets = fixtures::markets();
        let suppliers: Vec<_> = markets.iter().flat_map(MarketRow::of).collect();
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
