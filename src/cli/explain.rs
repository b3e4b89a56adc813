//! `alerts show`: one alert with its arithmetic, as a person would write it.

use super::arguments::Output;
use super::error::Error;
use super::figures::{Unit, decimal};
use super::{alert_line, output};
use crate::domain::Country;
use crate::grpc::pb::alert_service_client::AlertServiceClient;
use crate::grpc::pb::{
    Alert, AlertKind, Cause, CauseKind, Contribution, GetAlertRequest, Metric, ThreatEffect,
};
use lodewatch_client::Servers;
use std::fmt::Write;

/// Prints one alert.
pub(super) async fn run(servers: &Servers, output: Output, sequence: u64) -> Result<(), Error> {
    let mut client = AlertServiceClient::new(servers.connect().await?);
    let request = GetAlertRequest { sequence, ..GetAlertRequest::default() };
    let response = client.get_alert(request).await;
    let response = response.map_err(Error::refused(format!("reading alert {sequence}")))?;
    let alert = response.into_inner().alert.unwrap_or_default();
    match output {
        Output::Json => output::json(&alert)?,
        Output::Table | Output::Csv => output::line(&explained(&alert))?,
    }
    Ok(())
}

/// What happened, why, and how the value comes about.
fn explained(alert: &Alert) -> String {
    let mut text = format!("{}\n\n{}\n\n", alert_line::dated(alert), arithmetic(alert));
    let mut fact = |name: &str, value: String| {
        if !value.is_empty() {
            // Writing to a string cannot fail.
            let _ = writeln!(text, "{name:<10} {value}");
        }
    };
    fact("cause", alert.cause.as_ref().map(cause).unwrap_or_default());
    fact(
        "counting",
        alert.threat_effects.iter().map(bearing).collect::<Vec<_>>().join("\n           "),
    );
    fact("report", alert.report.as_ref().map(output::report).unwrap_or_default());
    let flags = alert.flags().map(|flag| output::name(flag.as_str_name(), "FLAG_"));
    fact("flags", flags.collect::<Vec<_>>().join(", "));
    let before = match alert.previous_sequence {
        0 => String::new(),
        before => format!(", after alert {before}"),
    };
    fact("episode", format!("{}{before}", alert.episode));
    fact("policy", format!("of entry {}", alert.policy_version));
    text.trim_end().to_owned()
}

/// The sum, exactly: a line a country, then the value.
fn arithmetic(alert: &Alert) -> String {
    let unit = Unit::of(alert.metric());
    let mut table = output::table(&["", "share", "", "weight", "", "adds"]);
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
            holder(part),
            format!("{share} {squared}").trim().to_owned(),
            times,
            weight,
            bound.to_owned(),
            unit.exact(part.amount),
        ]);
    }
    let is_rest = matches!(alert.metric(), Metric::AvailableShare | Metric::NMinus1);
    let (lower, upper) = if is_rest { (rest(upper), rest(lower)) } else { (lower, upper) };
    let value = if lower == upper {
        unit.exact(lower)
    } else {
        format!("{} to {}", unit.exact(lower), unit.exact(upper))
    };
    let name = output::name(alert.metric().as_str_name(), "METRIC_");
    let from = if is_rest { " (100 % less the sum)" } else { "" };
    // A report that goes stale crosses nothing.
    let threshold = if alert.kind() == AlertKind::Stale {
        String::new()
    } else {
        format!("; threshold {}", unit.double(alert.threshold))
    };
    format!("{table}\n {name}{from}: {value}{threshold}")
}

fn holder(part: &Contribution) -> String {
    match Country::from_alpha3(&part.country) {
        Some(country) => format!("{} ({country})", country.name()),
        None => "what no country is named for".to_owned(),
    }
}

/// Why a value changed, and who said so.
pub(super) fn cause(cause: &Cause) -> String {
    let by = match (cause.feed.as_str(), cause.request_id.as_str()) {
        ("", _) => String::new(),
        (feed, request) => format!(", from feed {feed} in request {request}"),
    };
    let what = match cause.kind() {
        CauseKind::Data => {
            let revised = match cause.revised_vintage.as_str() {
                "" => String::new(),
                before => format!(" in place of the release of {before}"),
            };
            format!("data{revised}")
        }
        CauseKind::Threat => format!("threat {}", cause.threat_ids.join(", ")),
        CauseKind::Clock if cause.threat_ids.is_empty() => "the clock".to_owned(),
        CauseKind::Clock => format!("the clock: a date of {}", cause.threat_ids.join(", ")),
        CauseKind::Policy => "another policy".to_owned(),
        CauseKind::Unspecified => "unknown".to_owned(),
    };
    format!("{what}{by}")
}

/// A measure, and how it counts.
pub(super) fn bearing(one: &ThreatEffect) -> String {
    let status = output::name(one.status().as_str_name(), "THREAT_STATUS_");
    let scope = output::name(one.scope_match().as_str_name(), "SCOPE_MATCH_");
    let reached = match one.reached.as_slice() {
        [] => String::new(),
        reached => format!(", reaching {}", reached.join(" ")),
    };
    let (id, by, weight) = (&one.threat_id, &one.imposing, one.weight);
    format!("{id} of {by}: {status}, weight {weight}, {scope} match{reached}")
}

/// What is left of the whole, in ppm.
fn rest(amount: i64) -> i64 {
    1_000_000_i64.saturating_sub(amount)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::grpc::json::from_json;

    #[test]
    fn an_alert_is_explained_to_the_last_unit() {
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
        insta::assert_snapshot!(anstream::adapter::strip_str(&explained(&alert)).to_string());
    }
}
