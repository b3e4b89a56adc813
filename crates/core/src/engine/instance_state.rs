//! The state of a rule instance in one market: levels, episode, flapping, staleness.

use super::crossing::{LevelChange, LevelState, QuietRange};
use crate::domain::alert::Kind;
use crate::domain::policy::Level;
use crate::domain::rule::{Flapping, Rule};
use crate::domain::share::{Amount, Interval};
use crate::domain::{Day, Timestamp};
use serde::{Deserialize, Serialize};

/// An open episode: raised and not cleared. Persisted in snapshots.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Episode {
    /// The sequence of the alert that raised it.
    pub id: u64,
    /// The sequence of its latest alert.
    pub latest: u64,
}

/// The state of one rule instance in one market, really or in an exercise. Persisted in snapshots.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(super) struct InstanceState {
    pub(super) levels: LevelState,
    pub(super) episode: Option<Episode>,
    /// Whether an alert said that the report is stale.
    pub(super) stale: bool,
    /// The recent changes of the level; only for rules with `flapping`.
    flap: Option<Box<FlapHistory>>,
}

/// The recent changes of a level. Persisted in snapshots.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct FlapHistory {
    /// The times of the last changes within the rule's period; at most one more than the rule
    /// allows.
    changes: Vec<Timestamp>,
    /// The highest level of these changes.
    peak: Option<Level>,
    /// The value that was crossed last.
    threshold: Amount,
    /// Whether a flapping alert was emitted and the level is held.
    held: bool,
}

impl InstanceState {
    /// The level in the latest alert: the highest while it is held.
    pub(super) fn reported_level(&self) -> Option<Level> {
        self.held().map_or(self.levels.level, |flap| flap.peak)
    }

    /// Whether the level is held for flapping.
    pub(super) fn is_flapping(&self) -> bool {
        self.held().is_some()
    }

    fn held(&self) -> Option<&FlapHistory> {
        self.flap.as_deref().filter(|flap| flap.held)
    }

    /// Applies a value, and returns the change to emit, if any.
    pub(super) fn apply(
        &mut self,
        rule: &Rule,
        value: Interval,
        now: Timestamp,
    ) -> Option<(Kind, LevelChange)> {
        let change = self.levels.apply(rule, value, now);
        match (rule.flapping, change) {
            (None, _) if self.flap.is_none() => change.map(|change| (kind_of(change), change)),
            (Some(limit), Some(change)) => self.count_change(limit, change, now),
            (limit, change) => self.end_flapping(limit, change, now),
        }
    }

    /// Counts a change. Within the limit it is emitted; the one beyond is emitted as flapping;
    /// after that, only changes to a higher level.
    fn count_change(
        &mut self,
        limit: Flapping,
        change: LevelChange,
        now: Timestamp,
    ) -> Option<(Kind, LevelChange)> {
        let new = FlapHistory { changes: Vec::new(), peak: None, threshold: 0, held: false };
        let flap = self.flap.get_or_insert_with(|| Box::new(new));
        flap.changes.retain(|at| at.plus_millis(limit.within_ms) > now);
        if flap.changes.is_empty() && !flap.held {
            flap.peak = None;
        }
        flap.changes.push(now);
        flap.threshold = change.threshold;
        let before = flap.peak;
        flap.peak = flap.peak.max(change.from).max(change.to);
        if flap.held {
            // Only the time of the last change matters now.
            flap.changes = vec![now];
            let higher = LevelChange { from: before, to: flap.peak, threshold: change.threshold };
            return (flap.peak > before).then_some((Kind::Escalated, higher));
        }
        if flap.changes.len() > usize::from(limit.changes) {
            flap.held = true;
            let held =
                LevelChange { from: change.from, to: flap.peak, threshold: change.threshold };
            return Some((Kind::Flapping, held));
        }
        Some((kind_of(change), change))
    }

    /// Ends the holding once the level has been stable, or the rule no longer has `flapping`.
    fn end_flapping(
        &mut self,
        limit: Option<Flapping>,
        change: Option<LevelChange>,
        now: Timestamp,
    ) -> Option<(Kind, LevelChange)> {
        let flap = self.flap.as_deref()?;
        let last = flap.changes.last()?;
        if limit.is_some_and(|limit| last.plus_millis(limit.within_ms) > now) {
            return None;
        }
        let ended = self.flap.take()?;
        if !ended.held {
            return change.map(|change| (kind_of(change), change));
        }
        let change =
            LevelChange { from: ended.peak, to: self.levels.level, threshold: ended.threshold };
        (change.from != change.to).then_some((kind_of(change), change))
    }

    /// Narrows a range of values to those of which this has nothing to say.
    pub(super) fn narrow_quiet_range(&self, rule: &Rule, range: &mut QuietRange) {
        if self.flap.is_some() || rule.flapping.is_some() || rule.max_age_ms.is_some() {
            *range = QuietRange::NONE;
        }
        self.levels.narrow_quiet_range(rule, range);
    }

    /// Whether the report has become stale since the last call. A newer report starts over.
    pub(super) fn becomes_stale(&mut self, rule: &Rule, vintage: Day, now: Timestamp) -> bool {
        let was = self.stale;
        self.stale = rule.stale_at(vintage).is_some_and(|at| at <= now);
        self.stale && !was
    }

    /// Clears all levels without waiting.
    pub(super) fn clear(&mut self) {
        self.levels.clear();
        self.flap = None;
    }

    /// The next instant after `now` at which time alone may change something.
    pub(super) fn next_deadline(
        &self,
        rule: &Rule,
        vintage: Day,
        now: Timestamp,
    ) -> Option<Timestamp> {
        let quiet = rule.flapping.zip(self.flap.as_ref()).and_then(|(limit, flap)| {
            flap.changes.last().map(|last| last.plus_millis(limit.within_ms))
        });
        let deadlines = [self.levels.next_deadline(rule), rule.stale_at(vintage), quiet];
        deadlines.into_iter().flatten().filter(|at| *at > now).min()
    }
}

/// The kind of alert for a change.
fn kind_of(change: LevelChange) -> Kind {
    match (change.from, change.to) {
        (None, _) => Kind::Raised,
        (Some(_), None) => Kind::Cleared,
        (Some(from), Some(to)) if to > from => Kind::Escalated,
        (Some(_), Some(_)) => Kind::Deescalated,
    }
}
