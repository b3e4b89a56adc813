//! What Alertmanager should hold of us: every open episode, and notices for a while.
//!
//! Alertmanager knows an alert by its labels. An episode is one alert there for as long as it is open, whose labels say where it
//! is and how grave. The level is a label, since Alertmanager routes and inhibits by labels alone: an episode that escalates is
//! resolved at its former level and fires at the new one, in one request. What changes meanwhile, the sentence and the value, are
//! annotations.

use super::fields::{event_time, name, stage};
use crate::domain::Timestamp;
use crate::grpc::pb::{Alert, AlertKind, CauseKind, Interval, Level};
use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// How long what stands alone fires, a notice above all: nothing ever clears it. In milliseconds: an hour.
const NOTICE_MS: u64 = 3_600_000;
/// Countries of which the share is told; the rest are counted.
const WHY_MAX: usize = 5;

/// All that fires. Persisted.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Firing(BTreeMap<String, Fire>);

/// One alert as Alertmanager sees it. Persisted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Fire {
    labels: BTreeMap<String, String>,
    annotations: BTreeMap<String, String>,
    sequence: u64,
    since: Timestamp,
    /// `None` while it is not known.
    until: Option<Timestamp>,
}

/// The same in the words of Alertmanager's API.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Rendered<'a> {
    labels: &'a BTreeMap<String, String>,
    annotations: &'a BTreeMap<String, String>,
    starts_at: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    ends_at: Option<String>,
    #[serde(rename = "generatorURL", skip_serializing_if = "Option::is_none")]
    generator_url: Option<String>,
}

impl Firing {
    /// Takes news; gives what Alertmanager is to be told of it.
    pub(super) fn take(&mut self, alert: &Alert, now: Timestamp) -> Vec<Fire> {
        let key = key(alert);
        // An instant that Alertmanager takes for the future would make it refuse, or resolve late.
        let at = event_time(alert).min(now);
        let before = self.0.get(&key).cloned();
        if alert.kind() == AlertKind::Cleared {
            let over = before.map(|before| Fire { annotations: annotations(alert), ..before });
            self.0.remove(&key);
            return over.map(|over| over.resolved(at)).into_iter().collect();
        }
        let mut fire = Fire {
            labels: labels(alert),
            annotations: annotations(alert),
            sequence: alert.sequence,
            since: at,
            until: stands_alone(alert).then(|| now.plus_millis(NOTICE_MS)),
        };
        let mut told = Vec::new();
        match before {
            Some(before) if before.labels == fire.labels => fire.since = before.since,
            Some(before) => told.push(before.resolved(at)),
            None => {}
        }
        self.0.insert(key, fire.clone());
        told.push(fire);
        told
    }

    /// Takes all that is open instead of what was held; gives what Alertmanager is to be told of it.
    pub(super) fn replace(&mut self, open: &[Alert], now: Timestamp) -> Vec<Fire> {
        let keys: BTreeSet<String> = open.iter().map(key).collect();
        let mut told = Vec::new();
        self.0.retain(|key, fire| {
            let stays = fire.until.is_some() || keys.contains(key);
            if !stays {
                told.push(fire.clone().resolved(now));
            }
            stays
        });
        told.extend(open.iter().flat_map(|alert| self.take(alert, now)));
        told
    }

    /// All that fires; what is over by now is forgotten.
    pub(super) fn all(&mut self, now: Timestamp) -> Vec<Fire> {
        self.0.retain(|_, fire| fire.until.is_none_or(|until| until > now));
        self.0.values().cloned().collect()
    }
}

impl Fire {
    fn resolved(self, at: Timestamp) -> Self {
        Self { until: Some(at.max(self.since)), ..self }
    }

    /// As Alertmanager's API has it. `{sequence}` in the link stands for the alert's.
    pub(super) fn render(&self, link: Option<&str>) -> Rendered<'_> {
        let sequence = self.sequence.to_string();
        Rendered {
            labels: &self.labels,
            annotations: &self.annotations,
            starts_at: self.since.to_string(),
            ends_at: self.until.map(|until| until.to_string()),
            generator_url: link.map(|link| link.replace("{sequence}", &sequence)),
        }
    }
}

/// Whether it belongs to no episode.
fn stands_alone(alert: &Alert) -> bool {
    alert.level() == Level::Unspecified
}

/// What fires once at a time: a rule on a market for a destination; a notice of a threat. Drills are a world of their own.
fn key(alert: &Alert) -> String {
    let mut parts = vec![
        alert.rule.clone(),
        alert.mineral.clone(),
        stage(alert),
        alert.destination.clone(),
        alert.exercise.to_string(),
    ];
    if stands_alone(alert) && alert.kind() != AlertKind::Cleared {
        parts.push(kind(alert));
        parts.extend(threat(alert));
    }
    parts.join("/")
}

/// Where it is and how grave; nothing that changes while it stays so.
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
    if stands_alone(alert) {
        labels.push(("kind", kind(alert)));
        labels.extend(threat(alert).map(|threat| ("threat", threat)));
    }
    collect(labels)
}

/// What a person reads.
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

/// Alertmanager has no empty labels.
fn collect(pairs: Vec<(&str, String)>) -> BTreeMap<String, String> {
    let said = pairs.into_iter().filter(|(_, value)| !value.is_empty());
    said.map(|(name, value)| (name.to_owned(), value)).collect()
}

fn kind(alert: &Alert) -> String {
    name(alert.kind().as_str_name(), "ALERT_KIND_")
}

/// The threat that a notice is about.
fn threat(alert: &Alert) -> Option<String> {
    let bearing = alert.threat_effects.first().filter(|_| alert.kind() == AlertKind::Notice);
    bearing.map(|bearing| bearing.threat_id.clone())
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
    if !cause.feed.is_empty() {
        text = format!("{text} from feed {}", cause.feed);
    }
    text
}

/// The greatest parts: `CHN 98.5 %, USA 1 %`, and how many more there are.
fn why(alert: &Alert) -> String {
    let mut parts: Vec<_> = alert.contributions.iter().collect();
    parts.sort_by_key(|part| std::cmp::Reverse(part.amount));
    let told = parts.iter().take(WHY_MAX).map(|part| {
        let who = if part.country.is_empty() { "unnamed" } else { part.country.as_str() };
        let percent = Decimal::new(part.share_ppm.into(), 4).normalize();
        let weight = Decimal::new(part.weight_permille.into(), 3).normalize();
        let weighed =
            if part.weight_permille == 1000 { String::new() } else { format!(" × {weight}") };
        format!("{who} {percent} %{weighed}")
    });
    let mut text = told.collect::<Vec<_>>().join(", ");
    if let Some(more) = parts.len().checked_sub(WHY_MAX).filter(|more| *more > 0) {
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

    /// `severity since until`, a line each.
    fn told(fires: &[Fire]) -> Vec<String> {
        let day = |instant: Timestamp| instant.to_string()[8..10].to_owned();
        let line = |fire: &Fire| {
            let until = fire.until.map(day).unwrap_or_default();
            format!("{} {} {until}", fire.labels["severity"], day(fire.since))
        };
        fires.iter().map(line).collect()
    }

    #[test]
    fn an_episode_fires_from_its_raise_and_resolves_when_it_clears() {
        let mut firing = Firing::default();
        assert_eq!(told(&firing.take(&alert(1, "RAISED", "WATCH", ""), NOW)), ["watch 01 "]);
        assert_eq!(told(&firing.take(&alert(2, "STALE", "WATCH", ""), NOW)), ["watch 01 "]);
        let escalated = firing.take(&alert(3, "ESCALATED", "CRITICAL", ""), NOW);
        assert_eq!(told(&escalated), ["watch 01 03", "critical 03 "]);
        assert_eq!(firing.all(NOW).len(), 1);
        let cleared = firing.take(&alert(4, "CLEARED", "UNSPECIFIED", ""), NOW);
        assert_eq!(told(&cleared), ["critical 03 04"]);
        assert!(firing.all(NOW).is_empty());
        assert!(firing.take(&alert(5, "CLEARED", "UNSPECIFIED", ""), NOW).is_empty());
    }

    #[test]
    fn a_notice_fires_for_an_hour_beside_what_is_open() {
        let mut firing = Firing::default();
        let now: Timestamp = "2024-12-05T00:00:00Z".parse().unwrap();
        firing.take(&alert(1, "RAISED", "WATCH", ""), now);
        let bearing = r#","threatEffects":[{"threatId":"CHN-1"}]"#;
        let notice = firing.take(&alert(2, "NOTICE", "UNSPECIFIED", bearing), now);
        assert_eq!(notice[0].labels["threat"], "CHN-1");
        assert_eq!(notice[0].until, Some(now.plus_millis(NOTICE_MS)));
        assert_eq!(firing.all(now).len(), 2);
        assert_eq!(told(&firing.all(now.plus_millis(NOTICE_MS))), ["watch 01 "]);
    }

    #[test]
    fn what_a_snapshot_does_not_have_is_resolved() {
        let mut firing = Firing::default();
        firing.take(&alert(1, "RAISED", "WATCH", ""), NOW);
        let other = alert(2, "RAISED", "WARNING", r#","destination":"USA""#);
        let now: Timestamp = "2024-12-09T00:00:00Z".parse().unwrap();
        assert_eq!(told(&firing.replace(&[other], now)), ["watch 01 09", "warning 02 "]);
        assert_eq!(told(&firing.all(NOW)), ["warning 02 "]);
    }

    #[test]
    fn nothing_is_said_to_begin_in_the_future() {
        let now: Timestamp = "2024-11-30T00:00:00Z".parse().unwrap();
        let told_now = told(&Firing::default().take(&alert(1, "RAISED", "WATCH", ""), now));
        assert_eq!(told_now, ["watch 30 "]);
    }
}
