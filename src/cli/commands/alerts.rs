//! `alerts`: list past or active alerts, or show one with its arithmetic.

use crate::cli::calls::PAGE_SIZE;
use crate::cli::error::Error;
use crate::cli::filter::FilterArgs;
use crate::cli::output::format::{self, Unit, decimal};
use crate::cli::output::print::{self, OutputFormat};
use crate::cli::output::{alert_line, columns};
use clap::{Args, Subcommand};
use lodewatch_client::Servers;
use lodewatch_core::domain::Country;
use lodewatch_proto::v1::alert_service_client::AlertServiceClient;
use lodewatch_proto::v1::{
    Alert, AlertKind, Contribution, GetAlertRequest, ListAlertsRequest, Metric, Order,
};
use std::fmt::Write;

#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true, after_long_help = columns::help::<Alert>())]
pub(crate) struct AlertsArgs {
    #[command(subcommand)]
    show: Option<ShowCommand>,
    #[command(flatten)]
    filter: FilterArgs,
    /// Only the latest alert of each open episode.
    #[arg(long)]
    open: bool,
    /// Only alerts of this episode.
    #[arg(long, default_value_t = 0, hide_default_value = true)]
    episode: u64,
    /// Print the oldest alert first.
    #[arg(long)]
    oldest_first: bool,
    /// Print at most this many alerts.
    #[arg(long, default_value_t = 100)]
    limit: usize,
}

#[derive(Debug, Subcommand)]
enum ShowCommand {
    /// Show one alert with its cause and its arithmetic.
    Show {
        /// Sequence of the alert.
        sequence: u64,
    },
}

impl AlertsArgs {
    pub(crate) fn prints_list(&self) -> bool {
        self.show.is_none()
    }
}

pub(crate) async fn run(
    servers: &Servers,
    format: OutputFormat,
    args: &AlertsArgs,
) -> Result<(), Error> {
    match args.show {
        Some(ShowCommand::Show { sequence }) => show(servers, format, sequence).await,
        None => list(servers, format, args).await,
    }
}

async fn list(servers: &Servers, format: OutputFormat, args: &AlertsArgs) -> Result<(), Error> {
    let mut client = AlertServiceClient::new(servers.connect().await?);
    let order = if args.oldest_first { Order::OldestFirst } else { Order::NewestFirst };
    let mut request = ListAlertsRequest {
        filter: Some(args.filter.to_message()?),
        open_only: args.open,
        episode: args.episode,
        order: order.into(),
        page_size: u32::try_from(args.limit).unwrap_or(PAGE_SIZE).clamp(1, PAGE_SIZE),
        ..ListAlertsRequest::default()
    };
    print::list_heading::<Alert>(format)?;
    let mut remaining = args.limit;
    let has_more = loop {
        let response = client.list_alerts(request.clone()).await;
        let page = response.map_err(Error::call("list alerts"))?.into_inner();
        for alert in page.alerts.iter().take(remaining) {
            print::list_row(format, alert, alert_line::render_dated)?;
        }
        let has_more = page.alerts.len() > remaining || !page.next_page_token.is_empty();
        remaining = remaining.saturating_sub(page.alerts.len());
        if remaining == 0 || !has_more {
            break has_more;
        }
        request.page_token = page.next_page_token;
    };
    if remaining == args.limit {
        print::note("no alerts match");
    } else if has_more {
        print::note(&format!("printed {} alerts; more may match: raise --limit", args.limit));
    }
    Ok(())
}

async fn show(servers: &Servers, format: OutputFormat, sequence: u64) -> Result<(), Error> {
    let mut client = AlertServiceClient::new(servers.connect().await?);
    let request = GetAlertRequest { sequence, ..GetAlertRequest::default() };
    let response = client.get_alert(request).await;
    let response = response.map_err(Error::call(format!("read alert {sequence}")))?;
    let alert = response.into_inner().alert.unwrap_or_default();
    match format {
        OutputFormat::Json => print::json(&alert)?,
        OutputFormat::Table | OutputFormat::Csv => print::line(&render_details(&alert))?,
    }
    Ok(())
}

/// What happened, the arithmetic of the value, and the cause.
fn render_details(alert: &Alert) -> String {
    let mut text = format!("{}\n\n{}\n\n", alert_line::render_dated(alert), arithmetic(alert));
    let mut detail = |name: &str, value: String| {
        if !value.is_empty() {
            // Writing to a string cannot fail.
            let _ = writeln!(text, "{name:<10} {value}");
        }
    };
    detail("cause", alert.cause.as_ref().map(format::cause).unwrap_or_default());
    detail("threats", format::threat_effects(alert).join("\n           "));
    detail("report", alert.report.as_ref().map(format::report).unwrap_or_default());
    detail("flags", format::flag_names(alert.flags()));
    let previous = match alert.previous_sequence {
        0 => String::new(),
        previous => format!(", after alert {previous}"),
    };
    detail("episode", format!("{}{previous}", alert.episode));
    detail("policy", format!("entry {}", alert.policy_version));
    text.trim_end().to_owned()
}

/// The exact sum: a line per country, then the value.
fn arithmetic(alert: &Alert) -> String {
    let unit = Unit::of(alert.metric());
    let mut table = print::table(&["", "share", "", "weight", "", "adds"]);
    let (mut lower, mut upper) = (0_i64, 0_i64);
    for part in &alert.contributions {
        upper = upper.saturating_add(part.amount);
        if !part.upper_only {
            lower = lower.saturating_add(part.amount);
        }
        let share = format!("{} %", decimal(part.share_ppm.into(), 4));
        let squared = if unit == Unit::Share { "" } else { "squared" };
        let weight = decimal(part.weight_permille.into(), 3).to_string();
        let bound = if part.upper_only { "at most" } else { "=" };
        let (times, weight) = if unit == Unit::Share {
            (String::new(), String::new())
        } else {
            ("×".into(), weight)
        };
        table.add_row([
            contributor(part),
            format!("{share} {squared}").trim().to_owned(),
            times,
            weight,
            bound.to_owned(),
            unit.format_exact(part.amount),
        ]);
    }
    let is_complement = matches!(alert.metric(), Metric::AvailableShare | Metric::NMinus1);
    let (lower, upper) =
        if is_complement { (complement(upper), complement(lower)) } else { (lower, upper) };
    let value = if lower == upper {
        unit.format_exact(lower)
    } else {
        format!("{} to {}", unit.format_exact(lower), unit.format_exact(upper))
    };
    let name = format::enum_name(alert.metric().as_str_name(), "METRIC_");
    let complement = if is_complement { " (100 % minus the sum)" } else { "" };
    // A report that becomes stale crosses no threshold.
    let threshold = if alert.kind() == AlertKind::Stale {
        String::new()
    } else {
        format!("; threshold {}", unit.format_double(alert.threshold))
    };
    format!("{table}\n {name}{complement}: {value}{threshold}")
}

fn contributor(part: &Contribution) -> String {
    match Country::from_alpha3(&part.country) {
        Some(country) => format!("{} ({country})", country.name()),
        None => "residual".to_owned(),
    }
}

/// The rest of a share, in ppm.
fn complement(amount: i64) -> i64 {
    1_000_000_i64.saturating_sub(amount)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::grpc::json::from_json;

    #[test]
    fn details_show_the_exact_arithmetic() {
        let alert: Alert = from_json(
            r#"{"sequence":"17","episode":"12","previousSequence":"12","kind":"ALERT_KIND_ESCALATED","rule":"hhi-t",
            "policyVersion":"1","level":"LEVEL_CRITICAL","previousLevel":"LEVEL_WARNING","mineral":"gallium",
            "stage":"STAGE_REFINING","destination":"G7","metric":"METRIC_HHI_T","threshold":12000,
            "contributions":[{"country":"CHN","sharePpm":990000,"weightPermille":1500,"amount":"1470150000000000"},
            {"country":"RUS","sharePpm":4321,"weightPermille":1000,"amount":"18671041000"},
            {"sharePpm":5679,"weightPermille":1000,"amount":"32251041000","upperOnly":true}],
            "cause":{"kind":"CAUSE_KIND_THREAT","feed":"desk","requestId":"r-1","threatIds":["CHN-USA-2024"]},
            "threatEffects":[{"threatId":"CHN-USA-2024","imposing":"CHN","scopeMatch":"SCOPE_MATCH_EXACT","weight":1.5,
            "status":"THREAT_STATUS_IN_FORCE","reached":["USA"]}],"flags":["FLAG_ESTIMATED"],
            "report":{"source":"USGS","period":"2025","vintage":"2026-02-06"},
            "eventTime":"2024-12-03T00:00:00Z","sentence":"The sentence."}"#,
        )
        .unwrap();
        insta::assert_snapshot!(anstream::adapter::strip_str(&render_details(&alert)).to_string());
    }
}
