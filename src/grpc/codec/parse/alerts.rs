//! Requests for alerts: filters, subscriptions, history.

use super::name::{choice, country, destination, list, mineral, slug};
use super::{Checks, Violations};
use crate::grpc::pb;
use lodewatch_core::domain::Stage;
use lodewatch_core::domain::alert::Kind;
use lodewatch_core::domain::filter::{Exercises, Filter};
use lodewatch_core::domain::policy::Level;
use std::collections::BTreeSet;

/// Items of one list of a filter.
const ITEMS_MAX: usize = 1000;
/// Seconds between heartbeats, by default.
const HEARTBEAT_SECONDS: u32 = 15;
const HEARTBEAT_SECONDS_MAX: u32 = 60;
/// Items of a page, by default.
const PAGE_SIZE: u32 = 100;
const PAGE_SIZE_MAX: u32 = 1000;

/// Where a subscription starts.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::grpc) enum StartPoint {
    /// With the episodes that are open now.
    Snapshot,
    /// After this cursor, which is not parsed yet.
    Cursor(String),
    /// With the next entry.
    Head,
    /// With the oldest entry that is retained.
    Oldest,
}

#[derive(Debug)]
pub(in crate::grpc) struct SubscribeParams {
    pub(in crate::grpc) filter: Filter,
    pub(in crate::grpc) start: StartPoint,
    pub(in crate::grpc) heartbeat_seconds: u32,
    pub(in crate::grpc) reset_on_gap: bool,
}

#[derive(Debug)]
pub(in crate::grpc) struct ListAlertsParams {
    pub(in crate::grpc) filter: Filter,
    pub(in crate::grpc) open_only: bool,
    pub(in crate::grpc) episode: Option<u64>,
    pub(in crate::grpc) newest_first: bool,
    pub(in crate::grpc) page_size: usize,
}

/// Whether its cursor can be resumed from, only the journal knows.
pub(in crate::grpc) fn subscribe(
    sent: &pb::SubscribeRequest,
) -> Result<SubscribeParams, Violations> {
    let mut checks = Checks::default();
    let filter = filter(&mut checks, sent.filter.as_ref());
    let heartbeat_seconds = heartbeat_seconds(&mut checks, sent.heartbeat_seconds);
    let reset_on_gap = match pb::OnGap::try_from(sent.on_gap) {
        Ok(pb::OnGap::Unspecified | pb::OnGap::Fail) => Some(false),
        Ok(pb::OnGap::Reset) => Some(true),
        Err(_) => None,
    };
    let reset_on_gap = checks.require(reset_on_gap, "on_gap", || {
        format!("{} is not a valid value; use fail or reset", sent.on_gap)
    });
    let start = start(&mut checks, sent.start, &sent.cursor);
    let subscribe = || {
        Some(SubscribeParams {
            filter: filter?,
            start: start?,
            heartbeat_seconds: heartbeat_seconds?,
            reset_on_gap: reset_on_gap?,
        })
    };
    let subscribe = subscribe();
    checks.finish(subscribe)
}

fn start(checks: &mut Checks, number: i32, cursor: &str) -> Option<StartPoint> {
    let (start, needs_cursor) = match pb::Start::try_from(number) {
        Ok(pb::Start::Unspecified) if cursor.is_empty() => (StartPoint::Snapshot, false),
        Ok(pb::Start::Unspecified | pb::Start::Cursor) => {
            (StartPoint::Cursor(cursor.to_owned()), true)
        }
        Ok(pb::Start::Snapshot) => (StartPoint::Snapshot, false),
        Ok(pb::Start::Head) => (StartPoint::Head, false),
        Ok(pb::Start::Oldest) => (StartPoint::Oldest, false),
        Err(_) => {
            checks.add(
                "start",
                format!("{number} is not a valid value; use snapshot, cursor, head or oldest"),
            );
            return None;
        }
    };
    match (needs_cursor, cursor.is_empty()) {
        (true, true) => checks.add("cursor", "must be set, since start is cursor"),
        (false, false) => {
            checks.add("cursor", "must be empty, since start is not cursor");
        }
        (true, false) | (false, true) => return Some(start),
    }
    None
}

pub(in crate::grpc) fn list_alerts(
    sent: &pb::ListAlertsRequest,
) -> Result<ListAlertsParams, Violations> {
    let mut checks = Checks::default();
    let filter = filter(&mut checks, sent.filter.as_ref());
    let newest_first = match pb::Order::try_from(sent.order) {
        Ok(pb::Order::Unspecified | pb::Order::NewestFirst) => Some(true),
        Ok(pb::Order::OldestFirst) => Some(false),
        Err(_) => None,
    };
    let newest_first = checks.require(newest_first, "order", || {
        format!("{} is not a valid value; use newest_first or oldest_first", sent.order)
    });
    let page_size = page_size(&mut checks, sent.page_size);
    let wanted = || {
        Some(ListAlertsParams {
            filter: filter?,
            open_only: sent.open_only,
            episode: Some(sent.episode).filter(|episode| *episode > 0),
            newest_first: newest_first?,
            page_size: page_size?,
        })
    };
    let wanted = wanted();
    checks.finish(wanted)
}

pub(super) fn heartbeat_seconds(checks: &mut Checks, sent: u32) -> Option<u32> {
    let seconds = if sent == 0 { HEARTBEAT_SECONDS } else { sent };
    let seconds = Some(seconds).filter(|seconds| *seconds <= HEARTBEAT_SECONDS_MAX);
    checks.require(seconds, "heartbeat_seconds", || {
        format!(
            "{sent} seconds; 1 to {HEARTBEAT_SECONDS_MAX} are allowed, 0 means {HEARTBEAT_SECONDS}"
        )
    })
}

pub(super) fn page_size(checks: &mut Checks, sent: u32) -> Option<usize> {
    let size = if sent == 0 { PAGE_SIZE } else { sent };
    let size = Some(size)
        .filter(|size| *size <= PAGE_SIZE_MAX)
        .and_then(|size| usize::try_from(size).ok());
    checks.require(size, "page_size", || {
        format!("{sent}; 1 to {PAGE_SIZE_MAX} are allowed, 0 means {PAGE_SIZE}")
    })
}

pub(super) fn filter(checks: &mut Checks, sent: Option<&pb::AlertFilter>) -> Option<Filter> {
    let Some(sent) = sent else { return Some(Filter::default()) };
    let minerals =
        list(checks, "filter.minerals".into(), &sent.minerals, ITEMS_MAX, |checks, field, name| {
            mineral(checks, field, name)
        });
    let stages =
        list(checks, "filter.stages".into(), &sent.stages, ITEMS_MAX, |checks, field, number| {
            choice::<Stage>(checks, field, *number, Stage::allowed)
        });
    let countries = list(
        checks,
        "filter.countries".into(),
        &sent.countries,
        ITEMS_MAX,
        |checks, field, name| country(checks, field, name),
    );
    let destinations = list(
        checks,
        "filter.destinations".into(),
        &sent.destinations,
        ITEMS_MAX,
        |checks, field, name| destination(checks, field, name),
    );
    let rules =
        list(checks, "filter.rules".into(), &sent.rules, ITEMS_MAX, |checks, field, name| {
            slug(checks, field, name)
        });
    let kinds =
        list(checks, "filter.kinds".into(), &sent.kinds, ITEMS_MAX, |checks, field, number| {
            choice::<Kind>(checks, field, *number, || {
                format!("{}; other kinds are not sent yet", Kind::allowed())
            })
        });
    let level = match sent.minimum_level {
        0 => Some(None),
        number => {
            choice::<Level>(checks, "filter.minimum_level".into(), number, Level::allowed).map(Some)
        }
    };
    let exercises = match pb::Exercises::try_from(sent.exercises) {
        Ok(pb::Exercises::Unspecified | pb::Exercises::Exclude) => Some(Exercises::Exclude),
        Ok(pb::Exercises::Include) => Some(Exercises::Include),
        Ok(pb::Exercises::Only) => Some(Exercises::Only),
        Err(_) => None,
    };
    let exercises = checks.require(exercises, "filter.exercises", || {
        format!("{} is not a valid value; use exclude, include or only", sent.exercises)
    });
    Some(Filter {
        minerals: set(minerals?),
        stages: set(stages?),
        countries: set(countries?),
        destinations: set(destinations?),
        rules: set(rules?),
        minimum_level: level?,
        kinds: set(kinds?),
        exercises: exercises?,
    })
}

fn set<T: Ord>(items: Vec<T>) -> BTreeSet<T> {
    items.into_iter().collect()
}
