//! `threats`: list threats and their status.

use crate::cli::calls;
use crate::cli::error::Error;
use crate::cli::filter::parse_choice;
use crate::cli::output::print::{self, OutputFormat};
use crate::cli::output::{columns, format};
use clap::Args;
use lodewatch_client::Servers;
use lodewatch_proto::v1::{ListThreatsRequest, ThreatRecord, ThreatStatus};
use std::io;

#[derive(Debug, Args)]
#[command(after_long_help = columns::help::<ThreatRecord>())]
pub(crate) struct ThreatsArgs {
    /// Only threats to this mineral or group of minerals; may be repeated.
    mineral: Vec<String>,
    /// Only threats by this imposing country.
    #[arg(long, value_name = "COUNTRY")]
    imposing: Vec<String>,
    /// Only threats of this status, such as `announced`, `in_force` or `suspended`.
    #[arg(long, value_name = "STATUS")]
    status: Vec<String>,
}

pub(crate) async fn run(
    servers: &Servers,
    format: OutputFormat,
    args: &ThreatsArgs,
) -> Result<(), Error> {
    let status = |text: &String| {
        let name = ThreatStatus::as_str_name;
        Ok(parse_choice("--status", "THREAT_STATUS_", text, name)?.into())
    };
    let request = ListThreatsRequest {
        minerals: args.mineral.clone(),
        imposing: args.imposing.clone(),
        statuses: args.status.iter().map(status).collect::<Result<_, Error>>()?,
        ..ListThreatsRequest::default()
    };
    let records = calls::list_threats(servers.connect().await?, request).await?;
    Ok(print::list(format, &records, print_table)?)
}

fn print_table(records: &[ThreatRecord]) -> io::Result<()> {
    let headings = ["id", "status", "next date", "by", "toward", "measure", "minerals"];
    let mut table = print::table(&headings);
    for record in records {
        let threat = record.threat.clone().unwrap_or_default();
        let exercise = if record.exercise { " (exercise)" } else { "" };
        table.add_row([
            format!("{}{exercise}", threat.id),
            format::enum_name(record.status().as_str_name(), "THREAT_STATUS_"),
            record.next_boundary.clone(),
            threat.imposing.clone(),
            format::scope(threat.destination.as_ref()),
            format::enum_name(threat.measure().as_str_name(), "MEASURE_"),
            threat.minerals.join(", "),
        ]);
    }
    print::line(&table.to_string())
}
