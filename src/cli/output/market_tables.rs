//! Markets as tables: one line each, or before and after.

use super::format::{self, metric_text, metric_value, stage_name};
use super::print;
use lodewatch_proto::v1::{Market, MarketState, Metric};
use std::io;

/// Prints a table, the most concentrated market first.
pub(crate) fn print(markets: &[Market], destination: &str) -> io::Result<()> {
    let hhi = |market: &Market| metric_value(market, Metric::Hhi).map_or(-1.0, |hhi| hhi.lower);
    let mut markets: Vec<_> = markets.iter().collect();
    markets.sort_by(|one, other| hhi(other).total_cmp(&hhi(one)));
    let restricted = format!("restricted for {destination}");
    let headings = [
        "mineral",
        "stage",
        "top supplier",
        "top 1",
        "HHI",
        "HHI with t",
        &restricted,
        "residual",
        "report",
        "flags",
    ];
    let mut table = print::table(&headings);
    for market in markets {
        let report = market.report.as_ref();
        table.add_row([
            market.name.clone(),
            stage_name(market.stage()),
            if market.state() == MarketState::Unknown {
                "unknown".into()
            } else {
                market.leaders.join(" = ")
            },
            metric_text(market, Metric::Top1Share),
            metric_text(market, Metric::Hhi),
            metric_text(market, Metric::HhiT),
            metric_text(market, Metric::RestrictedShare),
            if report.is_some() {
                format!("{:.1} %", market.residual * 100.0)
            } else {
                String::new()
            },
            report.map(|report| format!("{} {}", report.source, report.period)).unwrap_or_default(),
            format::flag_names(market.flags()),
        ]);
    }
    print::line(&table.to_string())
}

/// Prints markets before and after a change, one line each.
pub(crate) fn print_changes(
    changes: &[(Option<Market>, Market)],
    destination: &str,
) -> io::Result<()> {
    if changes.is_empty() {
        return print::line("no market changes");
    }
    let restricted = format!("restricted for {destination}");
    let headings =
        ["mineral", "stage", "top 1", "HHI", "HHI with t", &restricted, "threats", "active alerts"];
    let mut table = print::table(&headings);
    for (before, after) in changes {
        let change = |text_of: &dyn Fn(&Market) -> String| {
            let now = text_of(after);
            match before.as_ref().map(text_of).filter(|then| *then != now) {
                Some(then) => format!("{then} → {now}"),
                None => now,
            }
        };
        let metric = |metric| change(&|market| metric_text(market, metric));
        table.add_row([
            after.name.clone(),
            stage_name(after.stage()),
            metric(Metric::Top1Share),
            metric(Metric::Hhi),
            metric(Metric::HhiT),
            metric(Metric::RestrictedShare),
            change(&|market| {
                count_text(market.threat_effects.len(), market.threat_effects_omitted)
            }),
            change(&|market| {
                let active = market.rule_statuses.iter().filter(|one| one.episode > 0).count();
                count_text(active, market.rule_statuses_omitted)
            }),
        ]);
    }
    print::line(&table.to_string())
}

/// A count; `100+` where the server omitted further items.
fn count_text(count: usize, omitted: u32) -> String {
    if omitted == 0 { count.to_string() } else { format!("{count}+") }
}
