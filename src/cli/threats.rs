//! `threats`: export controls and where they stand.

use super::arguments::{Output, Threats};
use super::columns::Columns;
use super::error::Error;
use super::{output, watch};
use crate::grpc::pb::{ListThreatsRequest, Scope, ThreatRecord, ThreatStatus};
use lodewatch_client::{self, Servers};

/// Prints threats.
pub(super) async fn run(
    servers: &Servers,
    output: Output,
    arguments: &Threats,
) -> Result<(), Error> {
    let status = |text: &String| {
        let status = watch::choice("--status", "THREAT_STATUS_", text, ThreatStatus::as_str_name)?;
        Ok(status.into())
    };
    let request = ListThreatsRequest {
        minerals: arguments.mineral.clone(),
        imposing: arguments.imposing.clone(),
        statuses: arguments.status.iter().map(status).collect::<Result<_, Error>>()?,
        page_size: 1000,
        ..ListThreatsRequest::default()
    };
    let records = lodewatch_client::list_all_threats(servers.connect().await?, request).await;
    let records = records.map_err(Error::refused("listing threats"))?;
    match output {
        Output::Json => records.iter().try_for_each(output::json)?,
        Output::Table => print(&records)?,
        Output::Csv => {
            output::begin::<ThreatRecord>(output)?;
            records.iter().try_for_each(|record| output::csv(&record.fields()))?;
        }
    }
    Ok(())
}

fn print(records: &[ThreatRecord]) -> std::io::Result<()> {
    let mut table = output::table(&["id", "status", "next", "by", "toward", "measure", "minerals"]);
    for record in records {
        let threat = record.threat.clone().unwrap_or_default();
        let drill = if record.exercise { " (drill)" } else { "" };
        table.add_row([
            format!("{}{drill}", threat.id),
            output::name(record.status().as_str_name(), "THREAT_STATUS_"),
            record.next_boundary.clone(),
            threat.imposing.clone(),
            threat.destination.as_ref().map_or_else(|| "all".to_owned(), toward),
            output::name(threat.measure().as_str_name(), "MEASURE_"),
            threat.minerals.join(", "),
        ]);
    }
    output::line(&table.to_string())
}

/// Whom a measure is aimed at: `USA, JPN`, `all but EU`.
pub(super) fn toward(scope: &Scope) -> String {
    match (scope.only.is_empty(), scope.except.is_empty()) {
        (false, _) => scope.only.join(", "),
        (true, false) => format!("all but {}", scope.except.join(", ")),
        (true, true) => "all".to_owned(),
    }
}

/// Whether there is anything to expect of it.
pub(super) fn is_ahead_or_on(status: ThreatStatus) -> bool {
    match status {
        ThreatStatus::Threatened
        | ThreatStatus::Announced
        | ThreatStatus::InForce
        | ThreatStatus::Suspended => true,
        ThreatStatus::Unspecified
        | ThreatStatus::Removed
        | ThreatStatus::Withdrawn
        | ThreatStatus::Superseded => false,
    }
}
