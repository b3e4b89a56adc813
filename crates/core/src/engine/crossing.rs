//! Which level a value is up to, with state: raise and reset values, `for` and `keep`.

use crate::domain::Timestamp;
use crate::domain::policy::Level;
use crate::domain::rule::{Metric, Rule, Threshold};
use crate::domain::share::{Amount, Interval};
use serde::{Deserialize, Serialize};

/// The state of one rule on one market for one destination. Persisted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct LevelState {
    /// The level that is up.
    pub level: Option<Level>,
    /// Per threshold: since when it has been reached (where it is not up) or left (where it is up).
    since: [Option<Timestamp>; 3],
    /// Per threshold: whether it was told that its raise value lies inside the value's interval.
    inside: [bool; 3],
}

/// A level has changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LevelChange {
    /// The level before.
    pub from: Option<Level>,
    /// The level now.
    pub to: Option<Level>,
    /// The value that was crossed: the new level's raise value going up; going down the reset value of the least level
    /// that was left.
    pub threshold: Amount,
}

/// Values of a metric, its sign turned where less is worse, within which no rule on it has anything to say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct QuietRange {
    /// The upper bound is at least this: no level that is up is reset.
    least: Amount,
    /// The upper bound is below this: no other level is reached, nor may it be.
    below: Amount,
}

impl QuietRange {
    /// Every value.
    pub(super) const ALL: Self = Self { least: Amount::MIN, below: Amount::MAX };
    /// No value: somebody has something to say of any.
    pub(super) const NONE: Self = Self { least: Amount::MAX, below: Amount::MIN };

    /// Whether a value is within it.
    pub(super) fn has(self, metric: &Metric, value: Interval) -> bool {
        let value = if metric.is_falling() { value.negated() } else { value };
        self.least <= value.upper && value.upper < self.below
    }
}

impl LevelState {
    /// Takes the value at an instant.
    ///
    /// A level is raised when the certain (lower) bound has reached its raise value for the rule's `for`, and taken down
    /// when the other bound has been past its reset value for the rule's `keep`; between the two it stays as it was. For
    /// a metric of which less is worse, all signs are turned.
    pub fn step(&mut self, rule: &Rule, value: Interval, now: Timestamp) -> Option<LevelChange> {
        let falling = rule.metric.is_falling();
        let value = if falling { value.negated() } else { value };
        let signed = |amount: Amount| if falling { amount.saturating_neg() } else { amount };
        let mut up: Option<Threshold> = None;
        let mut stays: Option<Level> = None;
        let mut left: Option<Threshold> = None;
        for (threshold, since) in rule.thresholds.iter().zip(&mut self.since) {
            let is_up = Some(threshold.level) <= self.level;
            let (moving, wait_ms) = if is_up {
                (value.upper < signed(threshold.reset), rule.keep_ms)
            } else {
                (value.lower >= signed(threshold.raise), rule.for_ms)
            };
            let begun = moving.then(|| since.unwrap_or(now));
            *since = begun;
            let due = begun.is_some_and(|begun| begun.plus_millis(wait_ms) <= now);
            match (is_up, due) {
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
                // Nothing was left where another policy has no threshold of the level any more.
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

    /// The gravest threshold of which it is draft that its raise value lies inside the interval while it is not up: neither
    /// reached nor missed for certain. Told once: only reaching or resetting the threshold makes it draft again.
    pub fn indeterminate(&mut self, rule: &Rule, value: Interval) -> Option<Threshold> {
        let falling = rule.metric.is_falling();
        let value = if falling { value.negated() } else { value };
        let signed = |amount: Amount| if falling { amount.saturating_neg() } else { amount };
        let mut draft = None;
        for (threshold, told) in rule.thresholds.iter().zip(&mut self.inside) {
            let is_up = Some(threshold.level) <= self.level;
            let raise = signed(threshold.raise);
            if is_up || value.upper < signed(threshold.reset) {
                *told = false;
            } else if value.lower < raise && raise <= value.upper && !*told {
                *told = true;
                draft = Some(*threshold);
            }
        }
        draft
    }

    /// The values within which nothing happens to this levels: it neither changes nor becomes indeterminate.
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

    /// Whether a raise value is known to lie inside the interval.
    pub(super) fn is_indeterminate(&self) -> bool {
        self.inside.contains(&true)
    }

    /// The instant at which a wait is over, if one is running.
    pub fn next_deadline(&self, rule: &Rule) -> Option<Timestamp> {
        let waits = rule.thresholds.iter().zip(&self.since).filter_map(|(threshold, since)| {
            let is_up = Some(threshold.level) <= self.level;
            Some(since.as_ref()?.plus_millis(if is_up { rule.keep_ms } else { rule.for_ms }))
        });
        waits.min()
    }

    /// Takes every level down without waiting.
    pub fn clear(&mut self) {
        *self = Self::default();
    }

    /// Forgets how long thresholds have been reached or left: their values or waits have changed.
    pub(super) fn restart_waits(&mut self) {
        self.since = [None; 3];
        self.inside = [false; 3];
    }

    /// A threshold whose side has changed starts a new wait.
    fn forget_waits(&mut self, rule: &Rule, change: LevelChange) {
        for (threshold, since) in rule.thresholds.iter().zip(&mut self.since) {
            let level = Some(threshold.level);
            if (level <= change.from) != (level <= change.to) {
                *since = None;
            }
        }
    }
}
