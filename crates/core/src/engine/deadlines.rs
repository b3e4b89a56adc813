//! Deadlines: the next date of every threat, the next wait of every market.

use crate::domain::{MarketKey, Slug, Timestamp};
use std::collections::{BTreeMap, BTreeSet};

/// What a deadline is for.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Due {
    /// The status of a threat may change.
    Threat(Slug),
    /// Time alone may change what a rule of the market emits.
    Market(MarketKey),
}

/// At most one deadline per threat and market, in order of time.
#[derive(Debug, Clone, Default)]
pub(super) struct Deadlines {
    by_time: BTreeSet<(Timestamp, Due)>,
    by_what: BTreeMap<Due, Timestamp>,
}

impl Deadlines {
    /// Sets or moves a deadline, or removes it with `None`.
    pub(super) fn schedule(&mut self, due: Due, at: Option<Timestamp>) {
        if self.by_what.get(&due).copied() == at {
            return;
        }
        if let Some(before) = self.by_what.remove(&due) {
            self.by_time.remove(&(before, due.clone()));
        }
        if let Some(at) = at {
            self.by_time.insert((at, due.clone()));
            self.by_what.insert(due, at);
        }
    }

    /// The first deadline.
    pub(super) fn next(&self) -> Option<Timestamp> {
        self.by_time.first().map(|(at, _)| *at)
    }

    /// Everything due by an instant, in order of time.
    pub(super) fn due_by(&self, until: Timestamp) -> impl Iterator<Item = &Due> {
        self.by_time.iter().take_while(move |(at, _)| *at <= until).map(|(_, due)| due)
    }

    /// Removes and returns everything due at the first deadline, if that is not after `until`.
    pub(super) fn pop_due(&mut self, until: Timestamp) -> Option<(Timestamp, Vec<Due>)> {
        let at = self.next().filter(|at| *at <= until)?;
        let mut due = Vec::new();
        while let Some((_, what)) = self.by_time.first().filter(|(first, _)| *first == at).cloned()
        {
            self.by_time.remove(&(at, what.clone()));
            self.by_what.remove(&what);
            due.push(what);
        }
        Some((at, due))
    }
}
