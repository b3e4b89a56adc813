//! A market as a page of text.

use super::alert_line::{self, level_style};
use super::bars::{bar, scale};
use super::figures::{self, Unit, metric_name};
use super::painted::Painted;
use super::{markets, output, threats};
use crate::domain::{Country, Mineral, Timestamp};
use crate::grpc::pb::{
    Alert, Level, Market, MarketState, Metric, Rule, RuleStatus, Supplier, ThreatEffect,
    ThreatRecord,
};
use anstyle::Style;

/// A page is no wider and no narrower.
const COLUMNS_MAX: usize = 120;
const COLUMNS_MIN: usize = 70;
/// Suppliers that are named; the rest is added up.
const SUPPLIERS_MAX: usize = 12;
/// What an index of shares alone may be at most.
const HHI_MAX: f64 = 10_000.0;
/// What the ends of a scale are multiples of.
const HHI_STEP: f64 = 5_000.0;

/// What is known of a market.
#[derive(Debug, Clone)]
pub(super) struct Report {
    pub(super) market: Market,
    /// All rules in force.
    pub(super) rules: Vec<Rule>,
    /// All threats on record.
    pub(super) threats: Vec<ThreatRecord>,
    /// The latest alerts of this market, newest first.
    pub(super) alerts: Vec<Alert>,
    pub(super) journal_time: Timestamp,
}

impl Report {
    /// The page, for so many columns.
    pub(super) fn lines(&self, columns: usize) -> Vec<Painted> {
        let columns = columns.clamp(COLUMNS_MIN, COLUMNS_MAX);
        let mut lines = self.head(columns);
        let parts = [
            ("suppliers", self.suppliers(columns)),
            ("concentration", self.concentration(columns)),
            ("rules", self.rules()),
            ("threats", self.threats(columns)),
            ("latest alerts", self.alerts(columns)),
        ];
        for (name, part) in parts.into_iter().filter(|(_, part)| !part.is_empty()) {
            lines.push(Painted::default());
            lines.push(Painted::default().with(Style::new().bold(), name));
            lines.extend(part);
        }
        lines
    }

    /// What it is, how it stands, and by which report.
    fn head(&self, columns: usize) -> Vec<Painted> {
        let market = &self.market;
        let buyer = match market.destination.as_str() {
            "all" => "for every destination",
            "any" => "for any destination",
            name => &format!("for {name}"),
        };
        let name = format!("{} {buyer}", figures::market_name(&market.name, market.stage()));
        let time = format!("as of {}", output::minute(self.journal_time));
        let room = columns.saturating_sub(time.chars().count());
        let first = Painted::default().with(Style::new().bold(), format!("{name:<room$}"));
        let level = figures::level(market);
        let (style, word) = match level {
            Level::Unspecified => (Style::new(), "no level is up".to_owned()),
            Level::Watch | Level::Warning | Level::Critical => {
                (level_style(level), output::level_name(level))
            }
        };
        let open = match figures::open(market) {
            0 => String::new(),
            1 => ", 1 alert open".to_owned(),
            count => format!(", {count} alerts open"),
        };
        let flags = match markets::flags(market) {
            flags if flags.is_empty() => flags,
            flags => format!("; {flags}"),
        };
        let source = match &market.report {
            Some(report) => format!("by {}{flags}", output::report(report)),
            None => "nothing is reported of it: unknown, which is not unconcentrated".to_owned(),
        };
        vec![
            first.with(Style::new(), time),
            Painted::default().with(style, word).with(Style::new(), open),
            Painted::plain(source),
        ]
    }

    /// Each share as a bar, its trade weight, and what it adds to `hhi_t`.
    fn suppliers(&self, columns: usize) -> Vec<Painted> {
        let market = &self.market;
        if market.state() == MarketState::Unknown {
            return Vec::new();
        }
        // All but the bar.
        let room = columns.saturating_sub(60);
        let row = |name: &str, share: &str, part: f64, weight: &str, adds: &str, word: &str| {
            let name = alert_line::cut(name, 20);
            let bar = bar(part, room);
            let line =
                format!("  {name:<20} {share:>8} {bar:<room$} {weight:>5} {adds:>9}  {word}");
            Painted::plain(line.trim_end())
        };
        let points = |country: &str| {
            let part = market.hhi_t_contributions.iter().find(|part| part.country == country);
            part.map_or(0.0, |part| part.points)
        };
        let mut lines = vec![row("", "share", 0.0, "t", "adds", "")];
        for one in market.suppliers.iter().take(SUPPLIERS_MAX) {
            let share = one.share.map_or_else(|| "withheld".to_owned(), percent);
            let adds = if one.withheld { String::new() } else { index(points(&one.country)) };
            let word = if one.restricted { "restricted" } else { "" };
            let weight = one.weight.to_string();
            lines.push(row(
                &country(&one.country),
                &share,
                one.share.unwrap_or(0.0),
                &weight,
                &adds,
                word,
            ));
        }
        let others = market.suppliers.get(SUPPLIERS_MAX..).unwrap_or_default();
        if !others.is_empty() {
            let share = others.iter().filter_map(|one| one.share).sum();
            let adds = others.iter().map(|one: &Supplier| points(&one.country)).sum();
            let name = format!("{} others", others.len());
            lines.push(row(&name, &percent(share), share, "", &index(adds), ""));
        }
        if market.residual_ppm > 0 {
            let adds = format!("≤ {}", index(points("")));
            lines.push(row("not named", &percent(market.residual), market.residual, "", &adds, ""));
        }
        let total = figures::written(market, Metric::HhiT);
        let before = columns.saturating_sub(13 + total.chars().count());
        lines.push(Painted::plain(format!("{:>before$} {total}", metric_name(Metric::HhiT))));
        lines
    }

    /// Each metric on its scale, with the raise values of the rules.
    fn concentration(&self, columns: usize) -> Vec<Painted> {
        let shown = [
            (Metric::Top1Share, None),
            (Metric::Cr3, None),
            (Metric::Hhi, None),
            (Metric::HhiT, Some(Metric::Hhi)),
            (Metric::AnnouncedHhiT, Some(Metric::HhiT)),
            (Metric::RestrictedShare, None),
            (Metric::AnnouncedRestrictedShare, Some(Metric::RestrictedShare)),
        ];
        // What is the same as another says nothing more.
        let says_more = |(metric, like): &(Metric, Option<Metric>)| {
            let value = |metric| figures::value(&self.market, metric);
            value(*metric).is_some() && like.is_none_or(|like| value(like) != value(*metric))
        };
        shown.into_iter().filter(says_more).map(|(metric, _)| self.scale(metric, columns)).collect()
    }

    fn scale(&self, metric: Metric, columns: usize) -> Painted {
        let value = figures::value(&self.market, metric).unwrap_or_default();
        let max = match Unit::of(metric) {
            Unit::Share => 1.0,
            Unit::Points | Unit::Governance if value.upper > HHI_MAX => {
                (value.upper / HHI_STEP).ceil() * HHI_STEP
            }
            Unit::Points | Unit::Governance => HHI_MAX,
        };
        // Rules about some measures only go by another value.
        let rules = self.rules.iter().filter(|rule| rule.metric() == metric && self.is_under(rule));
        let rules = rules.filter(|rule| rule.measures.is_empty() && rule.confidence.is_empty());
        let levels: Vec<_> = rules.flat_map(|rule| &rule.thresholds).collect();
        let reached = levels.iter().filter(|one| value.lower >= one.raise).map(|one| one.level());
        let style = level_style(reached.max().unwrap_or_default());
        let written = figures::written(&self.market, metric);
        let end = Unit::of(metric).double(max);
        let name = metric_name(metric);
        let room = columns.saturating_sub(47);
        let [before, on, after] =
            scale(room, max, value, &levels.iter().map(|one| one.raise).collect::<Vec<_>>());
        Painted::plain(format!("  {name:<21} {written:>12} 0 {before}"))
            .with(style, on)
            .with(Style::new(), format!("{after} {end}"))
    }

    /// Every rule that this market is under: from where on which level is up, and which one is.
    fn rules(&self) -> Vec<Painted> {
        let line = |name: &str, metric: &str, [watch, warning, critical]: [&str; 3]| {
            format!("  {name:<17} {metric:<21} {watch:>6} {warning:>7} {critical:>8}  ")
        };
        let of = |rule: &Rule| {
            let unit = Unit::of(rule.metric());
            let raise = |level: Level| {
                let threshold = rule.thresholds.iter().find(|one| one.level() == level);
                threshold.map(|one| unit.double(one.raise)).unwrap_or_default()
            };
            let [watch, warning, critical] =
                [Level::Watch, Level::Warning, Level::Critical].map(raise);
            let standing = figures::standings(&self.market).find(|one| one.rule == rule.name);
            let level = standing.map(RuleStatus::level).unwrap_or_default();
            let word = standing.map_or_else(|| "-".to_owned(), standing_words);
            Painted::plain(line(
                &rule.name,
                metric_name(rule.metric()),
                [&watch, &warning, &critical],
            ))
            .with(level_style(level), word)
        };
        let under = self.rules.iter().filter(|rule| self.is_under(rule)).map(of);
        let heading = line("", "", ["watch", "warning", "critical"]);
        std::iter::once(Painted::plain(format!("{heading}up"))).chain(under).collect()
    }

    /// Whether a rule is about this market and its destination.
    fn is_under(&self, rule: &Rule) -> bool {
        let market = &self.market;
        let mineral = Mineral::parse(&market.mineral);
        let names = rule.minerals.iter().filter_map(|name| Mineral::parse(name));
        let is_within =
            mineral.is_some_and(|mineral| names.clone().any(|group| mineral.is_within(group)));
        (rule.minerals.is_empty() || is_within)
            && (rule.stages.is_empty() || rule.stages.contains(&market.stage))
            && (rule.destinations.is_empty() || rule.destinations.contains(&market.destination))
    }

    /// Where each that is not over stands, and the day on which that may change.
    fn threats(&self, columns: usize) -> Vec<Painted> {
        let line = |bearing: &ThreatEffect| {
            let of = |record: &&ThreatRecord| {
                record.threat.as_ref().is_some_and(|threat| threat.id == bearing.threat_id)
            };
            let record = self.threats.iter().find(of).cloned().unwrap_or_default();
            let threat = record.threat.clone().unwrap_or_default();
            let next = match record.next_boundary.as_str() {
                "" => String::new(),
                day => format!("; next {day}"),
            };
            let weight = if record.moves_indices {
                format!("t {}", bearing.weight)
            } else {
                "moves no index".to_owned()
            };
            let toward =
                threat.destination.as_ref().map_or_else(|| "all".to_owned(), threats::toward);
            let line = format!(
                "  {:<18} {:<10} {}, {} → {toward}, {weight}{next}",
                bearing.threat_id,
                output::name(bearing.status().as_str_name(), "THREAT_STATUS_"),
                output::name(threat.measure().as_str_name(), "MEASURE_"),
                bearing.imposing,
            );
            Painted::plain(alert_line::cut(&line, columns))
        };
        self.market
            .threat_effects
            .iter()
            .filter(|one| threats::is_ahead_or_on(one.status()))
            .map(line)
            .collect()
    }

    fn alerts(&self, columns: usize) -> Vec<Painted> {
        let line = |alert: &Alert| {
            let day = alert.event_time.as_ref().map(output::day).unwrap_or_default();
            let (style, signal) = alert_line::signal(alert);
            let room = columns.saturating_sub(signal.len() + 16);
            // The page says of which market.
            let name = figures::market_name(&self.market.name, self.market.stage());
            let sentence = alert.sentence.strip_prefix(&name).unwrap_or(&alert.sentence);
            let sentence = sentence.trim_start_matches([' ', ',', ':']);
            Painted::plain(format!("  {day}  "))
                .with(style, signal)
                .with(Style::new(), format!("  {}", alert_line::cut(sentence, room)))
        };
        self.alerts.iter().map(line).collect()
    }
}

/// The level, and what else is to be known of it.
fn standing_words(standing: &RuleStatus) -> String {
    let words = [
        (standing.level() != Level::Unspecified, output::level_name(standing.level())),
        (standing.indeterminate, "indeterminate".to_owned()),
        (standing.stale, "stale".to_owned()),
        (standing.flapping, "flapping".to_owned()),
    ];
    let said = words.into_iter().filter_map(|(is_so, word)| is_so.then_some(word));
    said.collect::<Vec<_>>().join(", ")
}

fn country(code: &str) -> String {
    Country::from_alpha3(code).map_or_else(|| code.to_owned(), |country| country.name().to_owned())
}

fn percent(share: f64) -> String {
    format!("{:.1} %", share * 100.0)
}

fn index(points: f64) -> String {
    format!("{points:.1}")
}

#[cfg(test)]
mod tests {
    use super::super::fixtures;
    use super::*;

    fn page(mineral: &str, columns: usize) -> String {
        let is_it = |market: &Market| market.mineral == mineral;
        let report = Report {
            market: fixtures::markets().into_iter().find(is_it).unwrap(),
            rules: fixtures::rules(),
            threats: fixtures::threats(),
            alerts: fixtures::alerts().into_iter().filter(|one| one.mineral == mineral).collect(),
            journal_time: "2026-11-27T00:00:00Z".parse().unwrap(),
        };
        let lines = report.lines(columns).into_iter().map(|line| {
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
