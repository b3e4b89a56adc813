//! `markets`: list markets, or how they changed between two times.

use crate::cli::calls;
use crate::cli::error::Error;
use crate::cli::filter::parse_stages;
use crate::cli::output::print::{self, OutputFormat};
use crate::cli::output::{columns, market_tables};
use clap::Args;
use lodewatch_client::Servers;
use lodewatch_proto::v1::{ListMarketsRequest, Market, MarketChange};

#[derive(Debug, Args)]
#[command(after_long_help = columns::help::<Market>())]
pub(crate) struct MarketsArgs {
    /// Only markets of this mineral or group of minerals; may be repeated.
    mineral: Vec<String>,
    /// Only markets of this stage: mining, refining.
    #[arg(long, value_name = "STAGE")]
    stage: Vec<String>,
    /// Destination (buyer): a country, a bloc, `all` or `any`.
    #[arg(long, default_value = "all", value_name = "NAME")]
    destination: String,
    /// Show markets as known at the end of a day, such as 2024-12-04, or at a cursor.
    #[arg(long, value_name = "WHEN")]
    as_of: Option<String>,
    /// Show only markets that differ between --as-of and this time: a day, a cursor, or `now`.
    #[arg(long, value_name = "WHEN")]
    diff: Option<String>,
}

impl MarketsArgs {
    pub(crate) fn prints_list(&self) -> bool {
        self.diff.is_none()
    }
}

pub(crate) async fn run(
    servers: &Servers,
    format: OutputFormat,
    args: &MarketsArgs,
) -> Result<(), Error> {
    let request = ListMarketsRequest {
        minerals: args.mineral.clone(),
        stages: parse_stages(&args.stage)?,
        destination: args.destination.clone(),
        as_of: args.as_of.clone().unwrap_or_default(),
        ..ListMarketsRequest::default()
    };
    let connection = servers.connect().await?;
    let markets = calls::list_markets(connection.clone(), request.clone()).await?;
    if let Some(when) = &args.diff {
        let as_of = if when == "now" { String::new() } else { when.clone() };
        let request = ListMarketsRequest { as_of, ..request };
        let later = calls::list_markets(connection, request).await?;
        return print_diff(format, &markets, later, &args.destination);
    }
    Ok(print::list(format, &markets, |markets| market_tables::print(markets, &args.destination))?)
}

fn print_diff(
    format: OutputFormat,
    before: &[Market],
    after: Vec<Market>,
    destination: &str,
) -> Result<(), Error> {
    let earlier = |after: &Market| {
        let is_same = |one: &&Market| one.mineral == after.mineral && one.stage == after.stage;
        before.iter().find(is_same).cloned()
    };
    let pairs = after.into_iter().map(|after| (earlier(&after), after));
    let changes: Vec<_> = pairs.filter(|(before, after)| before.as_ref() != Some(after)).collect();
    match format {
        OutputFormat::Json => {
            for (before, after) in changes {
                print::json(&MarketChange { before, after: Some(after) })?;
            }
        }
        OutputFormat::Table | OutputFormat::Csv => {
            market_tables::print_changes(&changes, destination)?;
        }
    }
    Ok(())
}
