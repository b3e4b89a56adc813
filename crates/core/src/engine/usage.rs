//! Usage: how much of each limit on the record is used. Derived from the record, and changed with
//! it, so that checking an update costs the same however much is on record.

use crate::domain::limit::{Account, LimitExcess, RecordLimit, Tally, threat_bytes};
use crate::domain::{Slug, Threat};
use std::collections::BTreeMap;

/// How much each account holds; those that hold nothing are not listed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Usage(BTreeMap<Account, Tally>);

/// What the accounts hold after the updates of a batch, where that differs.
pub(super) type StagedUsage = BTreeMap<Account, Tally>;

/// What an update adds to accounts and takes from them.
#[derive(Debug, Default)]
pub(super) struct UsageChange(BTreeMap<Account, (Tally, Tally)>);

impl UsageChange {
    pub(super) fn add(&mut self, account: Account, tally: Tally) {
        let (added, _) = self.0.entry(account).or_default();
        *added = plus(*added, tally);
    }

    pub(super) fn take(&mut self, account: Account, tally: Tally) {
        let (_, taken) = self.0.entry(account).or_default();
        *taken = plus(*taken, tally);
    }

    /// A threat of a feed comes on record.
    pub(super) fn add_threat(&mut self, feed: &Slug, threat: &Threat) {
        for account in threat_accounts(feed) {
            self.add(account, threat_tally(threat));
        }
    }

    /// A threat of a feed leaves the record.
    pub(super) fn take_threat(&mut self, feed: &Slug, threat: &Threat) {
        for account in threat_accounts(feed) {
            self.take(account, threat_tally(threat));
        }
    }
}

impl Usage {
    /// Stages a change on top of those before it, unless an account would grow beyond its limit:
    /// what does not grow is always staged.
    pub(super) fn stage(
        &self,
        staged: &mut StagedUsage,
        change: UsageChange,
    ) -> Result<(), Box<LimitExcess>> {
        let mut after = Vec::with_capacity(change.0.len());
        for (account, (added, taken)) in change.0 {
            let before = staged.get(&account).or_else(|| self.0.get(&account));
            let held = less(plus(before.copied().unwrap_or_default(), added), taken);
            let max = account.limit.max();
            let over_items = added.items > taken.items && held.items > max.items;
            let over_bytes = added.bytes > taken.bytes && max.bytes > 0 && held.bytes > max.bytes;
            if over_items || over_bytes {
                let needed = if over_items { held.items } else { held.bytes };
                return Err(Box::new(LimitExcess { account, needed, in_bytes: !over_items }));
            }
            after.push((account, held));
        }
        staged.extend(after);
        Ok(())
    }

    /// Makes staged changes lasting.
    pub(super) fn commit(&mut self, staged: StagedUsage) {
        for (account, tally) in staged {
            if tally.items == 0 {
                self.0.remove(&account);
            } else {
                self.0.insert(account, tally);
            }
        }
    }

    /// Applies a change without regard to limits: for a snapshot, whose records were accepted.
    pub(super) fn restore(&mut self, change: UsageChange) {
        for (account, (added, taken)) in change.0 {
            let held = self.0.entry(account).or_default();
            *held = less(plus(*held, added), taken);
        }
    }

    /// The most that any account of each limit holds: items and bytes may be of different ones.
    pub(super) fn fullest(&self) -> BTreeMap<RecordLimit, Tally> {
        let mut fullest: BTreeMap<RecordLimit, Tally> =
            RecordLimit::ALL.iter().map(|limit| (*limit, Tally::default())).collect();
        for (account, tally) in &self.0 {
            let most = fullest.entry(account.limit).or_default();
            most.items = most.items.max(tally.items);
            most.bytes = most.bytes.max(tally.bytes);
        }
        fullest
    }
}

fn threat_accounts(feed: &Slug) -> [Account; 2] {
    [Account::shared(RecordLimit::Threats), Account::of_feed(RecordLimit::FeedThreats, feed)]
}

fn threat_tally(threat: &Threat) -> Tally {
    Tally { items: 1, bytes: threat_bytes(threat) }
}

pub(super) fn plus(one: Tally, other: Tally) -> Tally {
    Tally {
        items: one.items.saturating_add(other.items),
        bytes: one.bytes.saturating_add(other.bytes),
    }
}

fn less(one: Tally, other: Tally) -> Tally {
    Tally {
        items: one.items.saturating_sub(other.items),
        bytes: one.bytes.saturating_sub(other.bytes),
    }
}
