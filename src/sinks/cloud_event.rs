//! An alert as an event of `CloudEvents` 1.0, in structured JSON. The form is public: no field
//! changes its meaning.

use super::fields::{event_time, name, stage};
use crate::grpc::json::to_json;
use lodewatch_proto::v1::Alert;
use serde_json::json;

/// The media type of an event.
pub(super) const CONTENT_TYPE: &str = "application/cloudevents+json";

/// The id of an alert's event: unique among all journals, and the same on every server. The cursor
/// stands for the journal and the entry, the sequence for the alert of the entry.
pub(super) fn id(alert: &Alert) -> String {
    format!("{}-{}", alert.cursor, alert.sequence)
}

/// Renders the event. Its data is the alert in protobuf's JSON mapping, as the command line prints
/// it.
pub(super) fn render(alert: &Alert) -> String {
    let event = json!({
        "specversion": "1.0",
        "id": id(alert),
        "source": "/lodewatch",
        "type": format!("lodewatch.v1.alert.{}", name(alert.kind().as_str_name(), "ALERT_KIND_")),
        "subject": subject(alert),
        "time": event_time(alert).to_string(),
        "datacontenttype": "application/json",
    });
    // The alert is inserted as text, so that every digit of its numbers is kept.
    let event = event.to_string();
    format!("{},\"data\":{}}}", event.trim_end_matches('}'), to_json(alert))
}

/// The market and the destination: `gallium/refining/USA`.
fn subject(alert: &Alert) -> String {
    let parts = [alert.mineral.as_str(), &stage(alert), &alert.destination];
    parts.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join("/")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::grpc::json::from_json;
    use serde_json::Value;

    #[test]
    fn an_event_names_its_alert_and_market_and_holds_the_alert_as_it_is_printed() {
        let alert = r#"{"sequence":"7","cursor":"AbC","kind":"ALERT_KIND_RAISED","mineral":"gallium","stage":"STAGE_REFINING",
            "destination":"USA","threshold":0.65,"eventTime":"2024-12-03T00:00:00.250Z","sentence":"a } in it"}"#;
        let alert: Alert = from_json(alert).unwrap();
        let event: Value = serde_json::from_str(&render(&alert)).unwrap();
        let field = |key: &str| event[key].as_str().unwrap().to_owned();
        assert_eq!(field("id"), "AbC-7");
        assert_eq!(field("type"), "lodewatch.v1.alert.raised");
        assert_eq!(field("subject"), "gallium/refining/USA");
        assert_eq!(field("time"), "2024-12-03T00:00:00.25Z");
        assert_eq!(
            event["data"].to_string(),
            serde_json::from_str::<Value>(&to_json(&alert)).unwrap().to_string()
        );
        assert_eq!(
            (field("specversion").as_str(), field("source").as_str()),
            ("1.0", "/lodewatch")
        );
    }
}
