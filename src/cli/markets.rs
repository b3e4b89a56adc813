//! `markets`: who supplies, and how concentrated it is.

use super::arguments::{Markets, Output};
use super::error::Error;
use super::{output, watch};
use crate::client::{Connection, Servers};
use crate::grpc::pb::market_service_client::MarketServiceClient;
use crate::grpc::pb::{
    Flag, Interval, ListMarketsRequest, Market, MarketChange, MarketState, Metric,
};

/// Prints markets.
pub(super) async fn run(
    servers: &Servers,
    output: Output,
    arguments: &Markets,
) -> Result<(), Error> {
    let request = ListMarketsRequest {
        minerals: arguments.mineral.clone(),
        stages: watch::stages(&arguments.stage)?,
        destination: arguments.destination.clone(),
        page_size: 1000,
        as_of: arguments.as_of.clone().unwrap_or_default(),
        ..ListMarketsRequest::default()
    };
    let channel = servers.connect().await?;
    let markets = all(channel.clone(), request.clone()).await?;
    if let Some(when) = &arguments.diff {
        let as_of = if when == "now" { String::new() } else { when.clone() };
        let others = all(channel, ListMarketsRequest { as_of, ..request }).await?;
        return diff(output, &markets, others, &arguments.destination);
    }
    match output {
        Output::Json => markets.iter().try_for_each(output::json)?,
        Output::Table => print(markets, &arguments.destination)?,
    }
    Ok(())
}

/// Prints what is not as it was.
fn diff(
    output: Output,
    before: &[Market],
    after: Vec<Market>,
    destination: &str,
) -> Result<(), Error> {
    let then = |now: &Market| {
        let same = |one: &&Market| one.mineral == now.mineral && one.stage == now.stage;
        before.iter().find(same).cloned()
    };
    let pairs = after.into_iter().map(|now| (then(&now), now));
    let changes: Vec<_> = pairs.filter(|(then, now)| then.as_ref() != Some(now)).collect();
    match output {
        Output::Json => {
            for (before, after) in changes {
                output::json(&MarketChange { before, after: Some(after) })?;
            }
        }
        Output::Table => print_changes(&changes, destination)?,
    }
    Ok(())
}

/// Prints markets before and after, one line each.
pub(super) fn print_changes(
    changes: &[(Option<Market>, Market)],
    destination: &str,
) -> std::io::Result<()> {
    let restricted = format!("restricted for {destination}");
    let mut table = output::table(&[
        "mineral",
        "stage",
        "top 1",
        "HHI",
        "HHI with t",
        &restricted,
        "threats",
        "levels up",
    ]);
    for (before, after) in changes {
        let change = |show: &dyn Fn(&Market) -> String| {
            let now = show(after);
            match before.as_ref().map(show).filter(|then| *then != now) {
                Some(then) => format!("{then} → {now}"),
                None => now,
            }
        };
        table.add_row([
            after.name.clone(),
            output::stage_name(after.stage()),
            change(&|market| percent(value(market, Metric::Top1Share))),
            change(&|market| points(value(market, Metric::Hhi))),
            change(&|market| points(value(market, Metric::HhiT))),
            change(&|market| percent(value(market, Metric::RestrictedShare))),
            change(&|market| market.threats.len().to_string()),
            change(&|market| {
                market.standings.iter().filter(|one| one.episode > 0).count().to_string()
            }),
        ]);
    }
    if changes.is_empty() {
        return output::line("no market changes");
    }
    output::line(&table.to_string())
}

/// All pages.
pub(super) async fn all(
    channel: Connection,
    mut request: ListMarketsRequest,
) -> Result<Vec<Market>, Error> {
    let mut client = MarketServiceClient::new(channel);
    let mut markets = Vec::new();
    loop {
        let response = client.list_markets(request.clone()).await;
        let page = response.map_err(Error::refused("listing markets"))?.into_inner();
        markets.extend(page.markets);
        if page.next_page_token.is_empty() {
            return Ok(markets);
        }
        request.page_token = page.next_page_token;
    }
}

/// Prints a table, the most concentrated first.
pub(super) fn print(mut markets: Vec<Market>, destination: &str) -> std::io::Result<()> {
    let hhi = |market: &Market| value(market, Metric::Hhi).map_or(-1.0, |hhi| hhi.lower);
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
    let mut table = output::table(&headings);
    for market in &markets {
        let report = market.report.as_ref();
        table.add_row([
            market.name.clone(),
            output::stage_name(market.stage()),
            if market.state() == MarketState::Unknown {
                "unknown".into()
            } else {
                market.leaders.join(" = ")
            },
            percent(value(market, Metric::Top1Share)),
            points(value(market, Metric::Hhi)),
            points(value(market, Metric::HhiT)),
            percent(value(market, Metric::RestrictedShare)),
            if report.is_some() {
                format!("{:.1} %", market.residual * 100.0)
            } else {
                String::new()
            },
            report.map(|report| format!("{} {}", report.source, report.period)).unwrap_or_default(),
            flags(market),
        ]);
    }
    output::line(&table.to_string())
}

fn value(market: &Market, metric: Metric) -> Option<Interval> {
    market.metrics.iter().find(|one| one.metric() == metric)?.value
}

fn flags(market: &Market) -> String {
    let name = |flag: Flag| {
        flag.as_str_name().trim_start_matches("FLAG_").to_lowercase().replace('_', " ")
    };
    market.flags().map(name).collect::<Vec<_>>().join(", ")
}

fn percent(value: Option<Interval>) -> String {
    let figure = |part: f64| format!("{:.1}", part * 100.0);
    bounds(value, figure, " %")
}

fn points(value: Option<Interval>) -> String {
    bounds(value, |points| format!("{points:.0}"), "")
}

fn bounds(value: Option<Interval>, figure: impl Fn(f64) -> String, unit: &str) -> String {
    let Some(value) = value else { return String::new() };
    let (lower, upper) = (figure(value.lower), figure(value.upper));
    if lower == upper { format!("{lower}{unit}") } else { format!("{lower}–{upper}{unit}") }
}
