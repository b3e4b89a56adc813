//! `market`: show one market in full.

use crate::cli::calls;
use crate::cli::error::Error;
use crate::cli::filter::parse_stage;
use crate::cli::output::columns::{self, SupplierRow};
use crate::cli::output::print::{self, OutputFormat};
use clap::Args;
use lodewatch_client::Servers;

/// The page's width if stdout is not a terminal.
const DEFAULT_COLUMNS: usize = 80;

#[derive(Debug, Args)]
#[command(after_long_help = columns::help::<SupplierRow>())]
pub(crate) struct MarketArgs {
    /// Mineral, by name or alias.
    mineral: String,
    /// Stage: mining, refining.
    stage: String,
    /// Destination (buyer): a country, a bloc, `all` or `any`.
    #[arg(long, default_value = "all", value_name = "NAME")]
    destination: String,
}

/// Prints the market's page; as CSV, its suppliers.
pub(crate) async fn run(
    servers: &Servers,
    format: OutputFormat,
    args: &MarketArgs,
) -> Result<(), Error> {
    let stage = parse_stage("STAGE", &args.stage)?;
    let connection = servers.connect().await?;
    let page = calls::get_market_page(connection, &args.mineral, stage, &args.destination).await?;
    match format {
        OutputFormat::Json => print::json(&page.market)?,
        OutputFormat::Csv => print::csv_list(&SupplierRow::all(&page.market))?,
        OutputFormat::Table => {
            let columns = print::terminal_columns().unwrap_or(DEFAULT_COLUMNS);
            page.lines(columns).iter().try_for_each(|line| print::line(&line.to_string()))?;
        }
    }
    Ok(())
}
