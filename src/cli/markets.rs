//! `markets`: who supplies, and how concentrated it is.

use super::arguments::{Markets, Output};
use super::columns::Columns;
use super::error::Error;
use super::{figures, output, watch};
use crate::grpc::pb::market_service_client::MarketServiceClient;
use crate::grpc::pb::{Flag, ListMarketsRequest, Market, MarketChange, MarketState, Metric};
use lodewatch_client::{Connection, Servers};

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
        Output::Csv => {
            output::begin::<Market>(output)?;
            markets.iter().try_for_each(|market| output::csv(&market.fields()))?;
        }
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
        Output::Table | Output::Csv => print_changes(&changes, destination)?,
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
            change(&|market| figures::written(market, Metric::Top1Share)),
            change(&|market| figures::written(market, Metric::Hhi)),
            change(&|market| figures::written(market, Metric::HhiT)),
            change(&|market| figures::written(market, Metric::RestrictedShare)),
            change(&|market| market.threat_effects.len().to_string()),
            change(&|market| {
                market.rule_statuses.iter().filter(|one| one.episode > 0).count().to_string()
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
    let hhi = |market: &Market| figures::value(market, Metric::Hhi).map_or(-1.0, |hhi| hhi.lower);
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
            figures::written(market, Metric::Top1Share),
            figures::written(market, Metric::Hhi),
            figures::written(market, Metric::HhiT),
            figures::written(market, Metric::RestrictedShare),
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

/// What to know of the figures: `estimated, withheld`.
pub(super) fn flags(market: &Market) -> String {
    let name = |flag: Flag| output::name(flag.as_str_name(), "FLAG_");
    market.flags().map(name).collect::<Vec<_>>().join(", ")
}
