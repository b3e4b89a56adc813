//! A market as a page of text: suppliers, concentration, rules, threats, latest alerts.

use super::alert_line;
use super::bars::{bar, scale};
use super::format::{self, Unit, enum_name, level_name, metric_name, metric_text, metric_value};
use super::styled_line::{StyledLine, level_style, truncate};
use anstyle::Style;
use lodewatch_core::domain::{Country, Mineral, Timestamp};
use lodewatch_proto::v1::{
    Alert, Level, Market, MarketState, Metric, Rule, RuleStatus, Supplier, ThreatEffect,
    ThreatRecord,
};

/// Limits of the page's width.
const COLUMNS_MAX: usize = 120;
const COLUMNS_MIN: usize = 70;
/// Suppliers with a line of their own; the rest is added up in one.
const SUPPLIERS_MAX: usize = 12;
/// The largest index of shares without weights: a monopoly.
const HHI_MAX: f64 = 10_000.0;
/// A scale beyond [`HHI_MAX`] ends at a multiple of this.
const HHI_STEP: f64 = 5_000.0;

#[derive(Debug, Clone)]
pub(crate) struct MarketPage {
    pub(crate) market: Market,
    /// All rules of the policy.
    pub(crate) rules: Vec<Rule>,
    /// All threats, of any market.
    pub(crate) threats: Vec<ThreatRecord>,
    /// The market's latest alerts, newest first.
    pub(crate) alerts: Vec<Alert>,
    pub(crate) journal_time: Timestamp,
}

impl MarketPage {
    pub(crate) fn lines(&self, columns: usize) -> Vec<StyledLine> {
        let columns = columns.clamp(COLUMNS_MIN, COLUMNS_MAX);
        let mut lines = self.heading(columns);
        let parts = [
            ("suppliers", self.supplier_lines(columns)),
            ("concentration", self.metric_lines(columns)),
            ("rules", self.rule_lines()),
            ("threats", self.threat_lines(columns)),
            ("latest alerts", self.alert_lines(columns)),
        ];
        for (name, part) in parts.into_iter().filter(|(_, part)| !part.is_empty()) {
            lines.push(StyledLine::default());
            lines.push(StyledLine::default().with(Style::new().bold(), name));
            lines.extend(part);
        }
        lines
    }

    /// Name, time, level, report.
    fn heading(&self, columns: usize) -> Vec<StyledLine> {
        let market = &self.market;
        let destination = match market.destination.as_str() {
            "all" => "for every destination",
            "any" => "for any destination",
            name => &format!("for {name}"),
        };
        let name = format!("{} {destination}", format::market_name(&market.name, market.stage()));
        let time = format!("as of {}", format::minute(self.journal_time));
        let room = columns.saturating_sub(time.chars().count());
        let first = StyledLine::default().with(Style::new().bold(), format!("{name:<room$}"));
        let level = format::highest_level(market);
        let (style, level) = match level {
            Level::Unspecified => (Style::new(), "no active alert".to_owned()),
            Level::Watch | Level::Warning | Level::Critical => {
                (level_style(level), level_name(level))
            }
        };
        let count = match format::open_episodes(market) {
            0 => String::new(),
            1 => ", 1 active alert".to_owned(),
            count => format!(", {count} active alerts"),
        };
        let flags = match format::flag_names(market.flags()) {
            flags if flags.is_empty() => flags,
            flags => format!("; {flags}"),
        };
        let source = match &market.report {
            Some(report) => format!("source {}{flags}", format::report(report)),
            None => "no report: concentration unknown, not low".to_owned(),
        };
        vec![
            first.with(Style::new(), time),
            StyledLine::default().with(style, level).with(Style::new(), count),
            StyledLine::plain(source),
        ]
    }

    /// Each supplier's share as a bar, its trade weight, and what it adds to `hhi_t`.
    fn supplier_lines(&self, columns: usize) -> Vec<StyledLine> {
        let market = &self.market;
        if market.state() == MarketState::Unknown {
            return Vec::new();
        }
        // The other columns have 60.
        let room = columns.saturating_sub(60);
        let row = |name: &str, share: &str, part: f64, weight: &str, adds: &str, note: &str| {
            let name = truncate(name, 20);
            let bar = bar(part, room);
            let line =
                format!("  {name:<20} {share:>8} {bar:<room$} {weight:>5} {adds:>9}  {note}");
            StyledLine::plain(line.trim_end())
        };
        let points = |country: &str| {
            let part = market.hhi_t_contributions.iter().find(|part| part.country == country);
            part.map_or(0.0, |part| part.points)
        };
        let mut lines = vec![row("", "share", 0.0, "t", "adds", "")];
        for one in market.suppliers.iter().take(SUPPLIERS_MAX) {
            let share = one.share.map_or_else(|| "withheld".to_owned(), format_percent);
            let adds =
                if one.withheld { String::new() } else { format_points(points(&one.country)) };
            let note = if one.restricted { "restricted" } else { "" };
            let weight = one.weight.to_string();
            lines.push(row(
                &country_name(&one.country),
                &share,
                one.share.unwrap_or(0.0),
                &weight,
                &adds,
                note,
            ));
        }
        let others = market.suppliers.get(SUPPLIERS_MAX..).unwrap_or_default();
        if !others.is_empty() {
            let share = others.iter().filter_map(|one| one.share).sum();
            let adds = others.iter().map(|one: &Supplier| points(&one.country)).sum();
            let name = format!("{} others", others.len());
            lines.push(row(&name, &format_percent(share), share, "", &format_points(adds), ""));
        }
        if market.residual_ppm > 0 {
            let adds = format!("≤ {}", format_points(points("")));
            lines.push(row(
                "residual",
                &format_percent(market.residual),
                market.residual,
                "",
                &adds,
                "",
            ));
        }
        let total = metric_text(market, Metric::HhiT);
        let before = columns.saturating_sub(13 + total.chars().count());
        lines.push(StyledLine::plain(format!("{:>before$} {total}", metric_name(Metric::HhiT))));
        lines
    }

    /// Each metric on its scale, with the thresholds of the rules.
    fn metric_lines(&self, columns: usize) -> Vec<StyledLine> {
        let shown = [
            (Metric::Top1Share, None),
            (Metric::Cr3, None),
            (Metric::Hhi, None),
            (Metric::HhiT, Some(Metric::Hhi)),
            (Metric::AnnouncedHhiT, Some(Metric::HhiT)),
            (Metric::RestrictedShare, None),
            (Metric::AnnouncedRestrictedShare, Some(Metric::RestrictedShare)),
        ];
        // A metric with the same value as the one that it refines is omitted.
        let is_distinct = |(metric, like): &(Metric, Option<Metric>)| {
            let value = |metric| metric_value(&self.market, metric);
            value(*metric).is_some() && like.is_none_or(|like| value(like) != value(*metric))
        };
        shown
            .into_iter()
            .filter(is_distinct)
            .map(|(metric, _)| self.metric_line(metric, columns))
            .collect()
    }

    fn metric_line(&self, metric: Metric, columns: usize) -> StyledLine {
        let value = metric_value(&self.market, metric).unwrap_or_default();
        let max = match Unit::of(metric) {
            Unit::Share => 1.0,
            Unit::Points | Unit::Governance if value.upper > HHI_MAX => {
                (value.upper / HHI_STEP).ceil() * HHI_STEP
            }
            Unit::Points | Unit::Governance => HHI_MAX,
        };
        // Rules for some measures only evaluate another value.
        let rules = self.rules.iter().filter(|rule| rule.metric() == metric && self.applies(rule));
        let rules = rules.filter(|rule| rule.measures.is_empty() && rule.confidence.is_empty());
        let levels: Vec<_> = rules.flat_map(|rule| &rule.thresholds).collect();
        let reached = levels.iter().filter(|one| value.lower >= one.raise).map(|one| one.level());
        let style = level_style(reached.max().unwrap_or_default());
        let value_text = metric_text(&self.market, metric);
        let end = Unit::of(metric).format_double(max);
        let name = metric_name(metric);
        let room = columns.saturating_sub(47);
        let [before, on, after] =
            scale(room, max, value, &levels.iter().map(|one| one.raise).collect::<Vec<_>>());
        StyledLine::plain(format!("  {name:<21} {value_text:>12} 0 {before}"))
            .with(style, on)
            .with(Style::new(), format!("{after} {end}"))
    }

    /// Every rule that applies to this market: its thresholds and its status.
    fn rule_lines(&self) -> Vec<StyledLine> {
        let line = |name: &str, metric: &str, [watch, warning, critical]: [&str; 3]| {
            format!("  {name:<17} {metric:<21} {watch:>6} {warning:>7} {critical:>8}  ")
        };
        let of = |rule: &Rule| {
            let unit = Unit::of(rule.metric());
            let raise = |level: Level| {
                let threshold = rule.thresholds.iter().find(|one| one.level() == level);
                threshold.map(|one| unit.format_double(one.raise)).unwrap_or_default()
            };
            let [watch, warning, critical] =
                [Level::Watch, Level::Warning, Level::Critical].map(raise);
            let status = format::rule_statuses(&self.market).find(|one| one.rule == rule.name);
            let level = status.map(RuleStatus::level).unwrap_or_default();
            let status = status.map_or_else(|| "-".to_owned(), describe_status);
            StyledLine::plain(line(
                &rule.name,
                metric_name(rule.metric()),
                [&watch, &warning, &critical],
            ))
            .with(level_style(level), status)
        };
        let lines = self.rules.iter().filter(|rule| self.applies(rule)).map(of);
        let heading = line("", "", ["watch", "warning", "critical"]);
        let heading = StyledLine::plain(format!("{heading}status"));
        let more = more_line(self.market.rule_statuses_omitted);
        std::iter::once(heading).chain(lines).chain(more).collect()
    }

    /// Whether a rule applies to this market and its destination.
    fn applies(&self, rule: &Rule) -> bool {
        let market = &self.market;
        let mineral = Mineral::parse(&market.mineral);
        let names = rule.minerals.iter().filter_map(|name| Mineral::parse(name));
        let is_within =
            mineral.is_some_and(|mineral| names.clone().any(|group| mineral.is_within(group)));
        (rule.minerals.is_empty() || is_within)
            && (rule.stages.is_empty() || rule.stages.contains(&market.stage))
            && (rule.destinations.is_empty() || rule.destinations.contains(&market.destination))
    }

    /// Every current threat: its status, and the date on which that may change.
    fn threat_lines(&self, columns: usize) -> Vec<StyledLine> {
        let line = |effect: &ThreatEffect| {
            let of = |record: &&ThreatRecord| {
                record.threat.as_ref().is_some_and(|threat| threat.id == effect.threat_id)
            };
            let record = self.threats.iter().find(of).cloned().unwrap_or_default();
            let threat = record.threat.clone().unwrap_or_default();
            let next = match record.next_boundary.as_str() {
                "" => String::new(),
                day => format!("; next date {day}"),
            };
            let weight = if record.moves_indices {
                format!("t {}", effect.weight)
            } else {
                "no index effect".to_owned()
            };
            let toward = format::scope(threat.destination.as_ref());
            let line = format!(
                "  {:<18} {:<10} {}, {} → {toward}, {weight}{next}",
                effect.threat_id,
                enum_name(effect.status().as_str_name(), "THREAT_STATUS_"),
                enum_name(threat.measure().as_str_name(), "MEASURE_"),
                effect.imposing,
            );
            StyledLine::plain(truncate(&line, columns))
        };
        let effects = self.market.threat_effects.iter();
        let current = effects.filter(|one| format::is_current(one.status())).map(line);
        current.chain(more_line(self.market.threat_effects_omitted)).collect()
    }

    fn alert_lines(&self, columns: usize) -> Vec<StyledLine> {
        let line = |alert: &Alert| {
            let day = alert.event_time.as_ref().map(format::day).unwrap_or_default();
            let (style, label) = alert_line::kind_and_level(alert);
            let room = columns.saturating_sub(label.len() + 16);
            // The page is about one market; its name need not be repeated.
            let name = format::market_name(&self.market.name, self.market.stage());
            let sentence = alert.sentence.strip_prefix(&name).unwrap_or(&alert.sentence);
            let sentence = sentence.trim_start_matches([' ', ',', ':']);
            StyledLine::plain(format!("  {day}  "))
                .with(style, label)
                .with(Style::new(), format!("  {}", truncate(sentence, room)))
        };
        self.alerts.iter().map(line).collect()
    }
}

/// How many further items the server omitted.
fn more_line(omitted: u32) -> Option<StyledLine> {
    (omitted > 0).then(|| StyledLine::plain(format!("  {}", format::more(omitted))))
}

/// `critical, stale`.
fn describe_status(status: &RuleStatus) -> String {
    let words = [
        (status.level() != Level::Unspecified, level_name(status.level())),
        (status.indeterminate, "indeterminate".to_owned()),
        (status.stale, "stale".to_owned()),
        (status.flapping, "flapping".to_owned()),
    ];
    let words = words.into_iter().filter_map(|(applies, word)| applies.then_some(word));
    words.collect::<Vec<_>>().join(", ")
}

fn country_name(code: &str) -> String {
    Country::from_alpha3(code).map_or_else(|| code.to_owned(), |country| country.name().to_owned())
}

fn format_percent(share: f64) -> String {
    format!("{:.1} %", share * 100.0)
}

fn format_points(points: f64) -> String {
    format!("{points:.1}")
}

#[cfg(test)]
mod tests {
    use super::super::fixtures;
    use super::*;

    fn page(mineral: &str, columns: usize) -> String {
        let is_it = |market: &Market| market.mineral == mineral;
        let page = MarketPage {
            market: fixtures::markets().into_iter().find(is_it).unwrap(),
            rules: fixtures::rules(),
            threats: fixtures::threats(),
            alerts: fixtures::alerts().into_iter().filter(|one| one.mineral == mineral).collect(),
            journal_time: "2026-11-27T00:00:00Z".parse().unwrap(),
        };
        let lines = page.lines(columns).into_iter().map(|line| {
            let text = line.to_string();
            anstream::adapter::strip_str(&text).to_string().trim_end().to_owned() + "\n"
        });
        let page = lines.collect::<String>();
        let longest = page.lines().map(|line| line.chars().count()).max().unwrap();
        assert!(longest <= columns, "{mineral}: {longest} columns");
        format!("--- {mineral}, {columns} columns\n{page}")
    }

    #[test]
    fn a_market_is_a_page_that_fits_the_terminal() {
        let pages = [
            page("gallium", 80),
            page("cobalt", 80),
            page("copper", 80),
            page("germanium", 80),
            page("gallium", 110),
        ];
        insta::assert_snapshot!(pages.join("\n"));
    }
}
