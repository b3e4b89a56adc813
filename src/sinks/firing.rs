//! The alerts that Alertmanager should hold: every open episode, and notices for an hour.
//!
//! Alertmanager knows an alert by its labels. An episode is one alert there while it is open; its
//! labels are the market, the destination, the rule and the level. The level is a label because
//! Alertmanager routes and inhibits by labels only: an episode that escalates is resolved at its
//! former level and fires at the new one, in one request. What changes during an episode, the
//! sentence and the value, are annotations.

use super::fields::{event_time, name, stage};
use lodewatch_core::domain::Timestamp;
use lodewatch_proto::v1::{Alert, AlertKind, CauseKind, Interval, Level};
use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// How long an alert without an episode fires, such as a notice: nothing ever clears it.
const NOTICE_MS: u64 = 3_600_000;
/// Countries whose share is named; the rest are counted.
const WHY_COUNTRIES_MAX: usize = 5;

/// All firing alerts, by key. Persisted.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct FiringAlerts(BTreeMap<String, FiringAlert>);

/// One alert as Alertmanager knows it. Persisted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct FiringAlert {
    labels: BTreeMap<String, String>,
    annotations: BTreeMap<String, String>,
    sequence: u64,
    since: Timestamp,
    /// `None` while the end is unknown.
    until: Option<Timestamp>,
}

/// An alert in the form of Alertmanager's API.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ApiAlert<'a> {
    labels: &'a BTreeMap<String, String>,
    annotations: &'a BTreeMap<String, String>,
    starts_at: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    ends_at: Option<String>,
    #[serde(rename = "generatorURL", skip_serializing_if = "Option::is_none")]
    generator_url: Option<String>,
}

impl FiringAlerts {
    /// Applies an alert; returns what to send to Alertmanager.
    pub(super) fn apply(&mut self, alert: &Alert, now: Timestamp) -> Vec<FiringAlert> {
        let key = key(alert);
        // Alertmanager rejects an instant in the future, or resolves the alert late.
        let at = event_time(alert).min(now);
        let before = self.0.get(&key).cloned();
        if alert.kind() == AlertKind::Cleared {
            let cleared =
                before.map(|before| FiringAlert { annotations: annotations(alert), ..before });
            self.0.remove(&key);
            return cleared.map(|cleared| cleared.resolved(at)).into_iter().collect();
        }
        let mut firing = FiringAlert {
            labels: labels(alert),
            annotations: annotations(alert),
            sequence: alert.sequence,
            since: at,
            until: has_no_episode(alert).then(|| now.plus_millis(NOTICE_MS)),
        };
        let mut changed = Vec::new();
        match before {
            Some(before) if before.labels == firing.labels => firing.since = before.since,
            Some(before) => changed.push(before.resolved(at)),
            None => {}
        }
        self.0.insert(key, firing.clone());
        changed.push(firing);
        changed
    }

    /// Replaces all firing alerts by the active ones; returns what to send to Alertmanager.
    pub(super) fn replace(&mut self, open: &[Alert], now: Timestamp) -> Vec<FiringAlert> {
        let keys: BTreeSet<String> = open.iter().map(key).collect();
        let mut changed = Vec::new();
        self.0.retain(|key, firing| {
            let stays = firing.until.is_some() || keys.contains(key);
            if !stays {
                changed.push(firing.clone().resolved(now));
            }
            stays
        });
        changed.extend(open.iter().flat_map(|alert| self.apply(alert, now)));
        changed
    }

    /// All firing alerts; expired ones are removed.
    pub(super) fn all(&mut self, now: Timestamp) -> Vec<FiringAlert> {
        self.0.retain(|_, firing| firing.until.is_none_or(|until| until > now));
        self.0.values().cloned().collect()
    }
}

impl FiringAlert {
    fn resolved(self, at: Timestamp) -> Self {
        Self { until: Some(at.max(self.since)), ..self }
    }

    /// Renders the alert for Alertmanager's API. `{sequence}` in the link stands for its sequence.
    pub(super) fn render(&self, link: Option<&str>) -> ApiAlert<'_> {
        let sequence = self.sequence.to_string();
        ApiAlert {
            labels: &self.labels,
            annotations: &self.annotations,
            starts_at: self.since.to_string(),
            ends_at: self.until.map(|until| until.to_string()),
            generator_url: link.map(|link| link.replace("{sequence}", &sequence)),
        }
    }
}

/// Whether an alert belongs to no episode.
fn has_no_episode(alert: &Alert) -> bool {
    alert.level() == Level::Unspecified
}

/// The key of an alert of which only one fires at a time: a rule, a market and a destination; or a
/// notice of a threat. Exercises are separate.
fn key(alert: &Alert) -> String {
    let mut parts = vec![
        alert.rule.clone(),
        alert.mineral.clone(),
        stage(alert),
        alert.destination.clone(),
        alert.exercise.to_string(),
    ];
    if has_no_episode(alert) && alert.kind() != AlertKind::Cleared {
        parts.push(kind(alert));
        parts.extend(threat(alert));
    }
    parts.join("/")
}

/// The rule, the market, the destination and the level: nothing that changes while an alert fires.
fn labels(alert: &Alert) -> BTreeMap<String, String> {
    let severity = match alert.level() {
        Level::Unspecified => "info".to_owned(),
        level @ (Level::Watch | Level::Warning | Level::Critical) => {
            name(level.as_str_name(), "LEVEL_")
        }
    };
    let mut labels = vec![
        ("alertname", alert.rule.clone()),
        ("mineral", alert.mineral.clone()),
        ("stage", stage(alert)),
        ("destination", alert.destination.clone()),
        ("severity", severity),
    ];
    if alert.exercise {
        labels.push(("exercise", "true".to_owned()));
    }
    if has_no_episode(alert) {
        labels.push(("kind", kind(alert)));
        labels.extend(threat(alert).map(|threat| ("threat", threat)));
    }
    collect(labels)
}

/// The texts for people.
fn annotations(alert: &Alert) -> BTreeMap<String, String> {
    collect(vec![
        ("summary", alert.sentence.clone()),
        ("value", alert.value.as_ref().map(value).unwrap_or_default()),
        ("threshold", alert.threshold.to_string()),
        ("cause", cause(alert)),
        ("why", why(alert)),
        ("explain", format!("lodewatch alerts show {}", alert.sequence)),
    ])
}

/// Without empty values, which Alertmanager does not accept.
fn collect(pairs: Vec<(&str, String)>) -> BTreeMap<String, String> {
    let filled = pairs.into_iter().filter(|(_, value)| !value.is_empty());
    filled.map(|(name, value)| (name.to_owned(), value)).collect()
}

fn kind(alert: &Alert) -> String {
    name(alert.kind().as_str_name(), "ALERT_KIND_")
}

/// The threat of a notice.
fn threat(alert: &Alert) -> Option<String> {
    let effect = alert.threat_effects.first().filter(|_| alert.kind() == AlertKind::Notice);
    effect.map(|effect| effect.threat_id.clone())
}

fn value(interval: &Interval) -> String {
    let (lower, upper) = (interval.lower.to_string(), interval.upper.to_string());
    if lower == upper { lower } else { format!("{lower} to {upper}") }
}

fn cause(alert: &Alert) -> String {
    let Some(cause) = &alert.cause else { return String::new() };
    let kind = match cause.kind() {
        CauseKind::Unspecified => String::new(),
        kind @ (CauseKind::Data | CauseKind::Threat | CauseKind::Clock | CauseKind::Policy) => {
            name(kind.as_str_name(), "CAUSE_KIND_")
        }
    };
    let mut text = [kind, cause.threat_ids.join(", ")].join(" ").trim().to_owned();
    if cause.threats_omitted > 0 {
        text = format!("{text} and {} more", cause.threats_omitted);
    }
    if !cause.feed.is_empty() {
        text = format!("{text} from feed {}", cause.feed);
    }
    text
}

/// The largest contributions: `CHN 98.5 %, USA 1 %`, and how many more there are.
fn why(alert: &Alert) -> String {
    let mut parts: Vec<_> = alert.contributions.iter().collect();
    parts.sort_by_key(|part| std::cmp::Reverse(part.amount));
    let named = parts.iter().take(WHY_COUNTRIES_MAX).map(|part| {
        let who = if part.country.is_empty() { "unattributed" } else { part.country.as_str() };
        let percent = Decimal::new(part.share_ppm.into(), 4).normalize();
        let weight = Decimal::new(part.weight_permille.into(), 3).normalize();
        let weighed =
            if part.weight_permille == 1000 { String::new() } else { format!(" × {weight}") };
        format!("{who} {percent} %{weighed}")
    });
    let mut text = named.collect::<Vec<_>>().join(", ");
    if let Some(more) = parts.len().checked_sub(WHY_COUNTRIES_MAX).filter(|more| *more > 0) {
        text = format!("{text}, {more} more");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::grpc::json::from_json;

    const NOW: Timestamp = Timestamp::MAX;

    fn alert(sequence: u64, kind: &str, level: &str, rest: &str) -> Alert {
        from_json(&format!(
            r#"{{"sequence":"{sequence}","kind":"ALERT_KIND_{kind}","level":"LEVEL_{level}","rule":"hhi","mineral":"gallium",
            "stage":"STAGE_REFINING","eventTime":"2024-12-0{sequence}T00:00:00Z"{rest}}}"#
        ))
        .unwrap()
    }

    /// `severity since until`, one line per alert.
    fn shown(firing: &[FiringAlert]) -> Vec<String> {
        let day = |instant: Timestamp| instant.to_string()[8..10].to_owned();
        let line = |fire: &FiringAlert| {
            let until = fire.until.map(day).unwrap_or_default();
            format!("{} {} {until}", fire.labels["severity"], day(fire.since))
        };
        firing.iter().map(line).collect()
    }

    #[test]
    fn an_episode_fires_from_its_raise_and_resolves_when_it_clears() {
        let mut firing = FiringAlerts::default();
        assert_eq!(shown(&firing.apply(&alert(1, "RAISED", "WATCH", ""), NOW)), ["watch 01 "]);
        assert_eq!(shown(&firing.apply(&alert(2, "STALE", "WATCH", ""), NOW)), ["watch 01 "]);
        let escalated = firing.apply(&alert(3, "ESCALATED", "CRITICAL", ""), NOW);
        assert_eq!(shown(&escalated), ["watch 01 03", "critical 03 "]);
        assert_eq!(firing.all(NOW).len(), 1);
        let cleared = firing.apply(&alert(4, "CLEARED", "UNSPECIFIED", ""), NOW);
        assert_eq!(shown(&cleared), ["critical 03 04"]);
        assert!(firing.all(NOW).is_empty());
        assert!(firing.apply(&alert(5, "CLEARED", "UNSPECIFIED", ""), NOW).is_empty());
    }

    #[test]
    fn a_notice_fires_for_an_hour_beside_the_active_alerts() {
        let mut firing = FiringAlerts::default();
        let now: Timestamp = "2024-12-05T00:00:00Z".parse().unwrap();
        firing.apply(&alert(1, "RAISED", "WATCH", ""), now);
        let effects = r#","threatEffects":[{"threatId":"CHN-1"}]"#;
        let notice = firing.apply(&alert(2, "NOTICE", "UNSPECIFIED", effects), now);
        assert_eq!(notice[0].labels["threat"], "CHN-1");
        assert_eq!(notice[0].until, Some(now.plus_millis(NOTICE_MS)));
        assert_eq!(firing.all(now).len(), 2);
        assert_eq!(shown(&firing.all(now.plus_millis(NOTICE_MS))), ["watch 01 "]);
    }

    #[test]
    fn an_alert_that_is_not_in_the_snapshot_is_resolved() {
        let mut firing = FiringAlerts::default();
        firing.apply(&alert(1, "RAISED", "WATCH", ""), NOW);
        let other = alert(2, "RAISED", "WARNING", r#","destination":"USA""#);
        let now: Timestamp = "2024-12-09T00:00:00Z".parse().unwrap();
        assert_eq!(shown(&firing.replace(&[other], now)), ["watch 01 09", "warning 02 "]);
        assert_eq!(shown(&firing.all(NOW)), ["warning 02 "]);
    }

    #[test]
    fn no_alert_begins_in_the_future() {
        let now: Timestamp = "2024-11-30T00:00:00Z".parse().unwrap();
        let lines = shown(&FiringAlerts::default().apply(&alert(1, "RAISED", "WATCH", ""), now));
        assert_eq!(lines, ["watch 30 "]);
    }
}
