//! Fields of an alert that all sinks render in the same way.

use lodewatch_core::domain::Timestamp;
use lodewatch_proto::v1::{Alert, Stage};

/// `refining`.
pub(super) fn stage(alert: &Alert) -> String {
    match alert.stage() {
        Stage::Unspecified => String::new(),
        stage @ (Stage::Mining | Stage::Refining) => name(stage.as_str_name(), "STAGE_"),
    }
}

/// The name of an enum value without its prefix: `in_force`.
pub(super) fn name(name: &str, prefix: &str) -> String {
    name.trim_start_matches(prefix).to_lowercase()
}

/// The instant of the alert, in whole milliseconds.
pub(super) fn event_time(alert: &Alert) -> Timestamp {
    let instant = alert.event_time.unwrap_or_default();
    let millis = i64::from(instant.nanos) / 1_000_000;
    Timestamp::from_millis(instant.seconds.saturating_mul(1000).saturating_add(millis))
}
