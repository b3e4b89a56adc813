//! Crossings: the level a value reaches, by raise and reset values, `for` and `keep`.

use crate::domain::Timestamp;
use crate::domain::policy::Level;
use crate::domain::rule::{Metric, Rule, Threshold};
use crate::domain::share::{Amount, Interval};
use serde::{Deserialize, Serialize};

/// The levels of one rule instance. Persisted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct LevelState {
    /// The active level.
    pub level: Option<Level>,
    /// Per threshold: since when its level is reached (where inactive) or left (where active).
    since: [Option<Timestamp>; 3],
    /// Per threshold: whether an alert said that its raise value lies inside the interval.
    inside: [bool; 3],
}

/// A change of the active level.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LevelChange {
    /// The level before.
    pub from: Option<Level>,
    /// The level now.
    pub to: Option<Level>,
    /// The value that was crossed: the raise value of the new level going up; the reset value of
    /// the lowest level left going down.
    pub threshold: Amount,
}

/// A range of values, with the sign turned for a falling metric, in which no rule on the metric
/// reacts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct QuietRange {
    /// The upper bound is at least this: no active level is reset.
    least: Amount,
    /// The upper bound is below this: no inactive level is reached or possibly reached.
    below: Amount,
}

impl QuietRange {
    /// All values.
    pub(super) const ALL: Self = Self { least: Amount::MIN, below: Amount::MAX };
    /// No values: a rule may react to any.
    pub(super) const NONE: Self = Self { least: Amount::MAX, below: Amount::MIN };

    /// Whether a value is in the range.
    pub(super) fn has(self, metric: &Metric, value: Interval) -> bool {
        let value = if metric.is_falling() { value.negated() } else { value };
        self.least <= value.upper && value.upper < self.below
    }
}

impl LevelState {
    /// Applies a value at an instant, and returns the change of the active level, if any.
    ///
    /// A level is raised when the lower bound has reached its raise value for the rule's `for`, and
    /// reset when the upper bound has been below its reset value for the rule's `keep`; between the
    /// two it stays as it was. For a falling metric, bounds and signs are turned.
    pub fn apply(&mut self, rule: &Rule, value: Interval, now: Timestamp) -> Option<LevelChange> {
        let falling = rule.metric.is_falling();
        let value = if falling { value.negated() } else { value };
        let signed = |amount: Amount| if falling { amount.saturating_neg() } else { amount };
        let mut up: Option<Threshold> = None;
        let mut stays: Option<Level> = None;
        let mut left: Option<Threshold> = None;
        for (threshold, since) in rule.thresholds.iter().zip(&mut self.since) {
            let is_active = Some(threshold.level) <= self.level;
            let (moving, wait_ms) = if is_active {
                (value.upper < signed(threshold.reset), rule.keep_ms)
            } else {
                (value.lower >= signed(threshold.raise), rule.for_ms)
            };
            let begun = moving.then(|| since.unwrap_or(now));
            *since = begun;
            let due = begun.is_some_and(|begun| begun.plus_millis(wait_ms) <= now);
            match (is_active, due) {
                (false, true) => up = Some(*threshold),
                (true, false) => stays = Some(threshold.level),
                (true, true) => left = left.or(Some(*threshold)),
                (false, false) => {}
            }
        }
        let change = match (up, left) {
            (Some(threshold), _) => LevelChange {
                from: self.level,
                to: Some(threshold.level),
                threshold: threshold.raise,
            },
            (None, left) if stays < self.level => {
                // No threshold was left: another policy no longer has one for this level.
                let least = left.map(|threshold| threshold.reset);
                let threshold =
                    least.or(rule.thresholds.first().map(|threshold| threshold.raise))?;
                LevelChange { from: self.level, to: stays, threshold }
            }
            (None, _) => return None,
        };
        self.level = change.to;
        self.forget_waits(rule, change);
        Some(change)
    }

    /// The highest threshold whose raise value newly lies inside the interval while its level is
    /// inactive: the level is possibly reached. Returned once; only reaching or resetting the
    /// threshold makes it new again.
    pub fn take_indeterminate(&mut self, rule: &Rule, value: Interval) -> Option<Threshold> {
        let falling = rule.metric.is_falling();
        let value = if falling { value.negated() } else { value };
        let signed = |amount: Amount| if falling { amount.saturating_neg() } else { amount };
        let mut newly_inside = None;
        for (threshold, is_reported) in rule.thresholds.iter().zip(&mut self.inside) {
            let is_active = Some(threshold.level) <= self.level;
            let raise = signed(threshold.raise);
            if is_active || value.upper < signed(threshold.reset) {
                *is_reported = false;
            } else if value.lower < raise && raise <= value.upper && !*is_reported {
                *is_reported = true;
                newly_inside = Some(*threshold);
            }
        }
        newly_inside
    }

    /// Narrows a range to the values to which these levels do not react.
    pub(super) fn narrow_quiet_range(&self, rule: &Rule, range: &mut QuietRange) {
        let falling = rule.metric.is_falling();
        let signed = |amount: Amount| if falling { amount.saturating_neg() } else { amount };
        if self.is_indeterminate() || self.since.iter().any(Option::is_some) {
            *range = QuietRange::NONE;
        }
        for threshold in &rule.thresholds {
            if Some(threshold.level) <= self.level {
                range.least = range.least.max(signed(threshold.reset));
            } else {
                range.below = range.below.min(signed(threshold.raise));
            }
        }
    }

    /// Whether a raise value lies inside the interval.
    pub(super) fn is_indeterminate(&self) -> bool {
        self.inside.contains(&true)
    }

    /// The instant at which the first running wait ends, if any.
    pub fn next_deadline(&self, rule: &Rule) -> Option<Timestamp> {
        let waits = rule.thresholds.iter().zip(&self.since).filter_map(|(threshold, since)| {
            let is_active = Some(threshold.level) <= self.level;
            Some(since.as_ref()?.plus_millis(if is_active { rule.keep_ms } else { rule.for_ms }))
        });
        waits.min()
    }

    /// Clears all levels without waiting.
    pub fn clear(&mut self) {
        *self = Self::default();
    }

    /// Restarts all waits: thresholds or waiting times have changed.
    pub(super) fn restart_waits(&mut self) {
        self.since = [None; 3];
        self.inside = [false; 3];
    }

    /// Restarts the wait of every threshold whose level became active or inactive.
    fn forget_waits(&mut self, rule: &Rule, change: LevelChange) {
        for (threshold, since) in rule.thresholds.iter().zip(&mut self.since) {
            let level = Some(threshold.level);
            if (level <= change.from) != (level <= change.to) {
                *since = None;
            }
        }
    }
}
