//! The reports of one source on one market: by period, and the releases of each. A batch stages
//! the periods that it changes; nothing else is copied or searched.

use super::market::ReportRecord;
use super::usage::{UsageChange, plus};
use crate::domain::limit::{Account, RecordLimit, Tally, report_bytes};
use crate::domain::market::Period;
use crate::domain::{Day, MarketKey, Slug};
use std::collections::BTreeMap;

/// The releases of one period on record, oldest first: at least 1, at most
/// [`Market::RELEASES_MAX`](super::Market::RELEASES_MAX).
pub(super) type Releases = Vec<ReportRecord>;

/// How many releases of a source each feed published. Releases without a sender belong to no feed.
type FeedCounts = BTreeMap<Slug, u64>;

/// The reports of a source on a market.
#[derive(Debug, Clone, Default)]
pub(super) struct SourceReports {
    periods: BTreeMap<Period, Releases>,
    feeds: FeedCounts,
    /// The rank of the source in the policy; derived.
    pub(super) rank: usize,
}

impl SourceReports {
    /// The releases of a period; none where it is not on record.
    pub(super) fn releases(&self, period: Period) -> &[ReportRecord] {
        self.periods.get(&period).map_or(&[], |releases| releases)
    }

    pub(super) fn newest_period(&self) -> Option<Period> {
        self.periods.last_key_value().map(|(period, _)| *period)
    }

    /// All periods, each with its releases.
    pub(super) fn periods(&self) -> impl Iterator<Item = &Releases> {
        self.periods.values()
    }

    /// Makes staged changes lasting.
    pub(super) fn commit(&mut self, staged: StagedSource) {
        self.feeds = staged.feeds;
        for (period, releases) in staged.periods {
            if releases.is_empty() {
                self.periods.remove(&period);
            } else {
                self.periods.insert(period, releases);
            }
        }
    }
}

/// What a batch changes in the reports of a source on a market.
#[derive(Debug)]
pub(super) struct StagedSource {
    /// The releases of each changed period; none where it is removed.
    periods: BTreeMap<Period, Releases>,
    feeds: FeedCounts,
    /// How many periods the source has after the changes.
    periods_held: usize,
}

impl StagedSource {
    /// Nothing is changed yet; `on_record` are the source's reports.
    pub(super) fn new(on_record: Option<&SourceReports>) -> Self {
        Self {
            periods: BTreeMap::new(),
            feeds: on_record.map(|source| source.feeds.clone()).unwrap_or_default(),
            periods_held: on_record.map_or(0, |source| source.periods.len()),
        }
    }

    /// The number of releases that are copied.
    #[cfg(test)]
    pub(super) fn staged_releases(&self) -> usize {
        self.periods.values().map(Vec::len).sum()
    }

    /// A report that is staged, if any.
    pub(super) fn first(&self) -> Option<&ReportRecord> {
        self.periods.values().flatten().next()
    }

    /// The releases of a period after the changes so far.
    pub(super) fn releases<'a>(
        &'a self,
        on_record: Option<&'a SourceReports>,
        period: Period,
    ) -> &'a [ReportRecord] {
        match self.periods.get(&period) {
            Some(releases) => releases,
            None => on_record.map_or(&[], |source| source.releases(period)),
        }
    }

    /// The periods that have releases after the changes so far; `only` one of them, or all.
    pub(super) fn periods_held(
        &self,
        on_record: Option<&SourceReports>,
        only: Option<Period>,
    ) -> Vec<Period> {
        let mut periods: Vec<Period> = match only {
            Some(period) => vec![period],
            None if self.periods_held == 0 => Vec::new(),
            None => {
                let before = on_record.into_iter().flat_map(|source| source.periods.keys());
                self.periods.keys().chain(before).copied().collect()
            }
        };
        periods.sort_unstable();
        periods.dedup();
        periods.retain(|period| !self.releases(on_record, *period).is_empty());
        periods
    }

    /// A feed other than this one that has published reports of the source.
    pub(super) fn owned_by_other_feed(&self, feed: &Slug) -> Option<&Slug> {
        self.feeds.keys().find(|owner| *owner != feed)
    }

    /// What replacing the releases of a period changes in the usage.
    pub(super) fn usage_change(
        &self,
        (market, source): (MarketKey, &Slug),
        before: &[ReportRecord],
        after: &[ReportRecord],
    ) -> UsageChange {
        let mut change = UsageChange::default();
        let (taken, added) = (tallies(before), tallies(after));
        for (feed, tally) in &taken {
            for account in report_accounts(market, *feed) {
                change.take(account, *tally);
            }
        }
        for (feed, tally) in &added {
            for account in report_accounts(market, *feed) {
                change.add(account, *tally);
            }
        }
        let one = Tally { items: 1, bytes: 0 };
        let mut presence = |account, before: bool, after: bool| match (before, after) {
            (false, true) => change.add(account, one),
            (true, false) => change.take(account, one),
            (true, true) | (false, false) => {}
        };
        let (had, has) = (!before.is_empty(), !after.is_empty());
        presence(Account::of_owner(RecordLimit::SourcePeriods, market, source), had, has);
        let others = self.periods_held.saturating_sub(usize::from(had));
        let account = Account::on_market(RecordLimit::MarketSources, market);
        presence(account, self.periods_held > 0, others > 0 || has);
        let counts = self.feed_counts(&taken, &added);
        for feed in taken.keys().chain(added.keys()).flatten() {
            let account = Account::of_owner(RecordLimit::MarketFeedSources, market, feed);
            let is_new = !taken.contains_key(&Some(*feed)) || !added.contains_key(&Some(*feed));
            if is_new {
                presence(account, self.feeds.contains_key(*feed), counts.contains_key(*feed));
            }
        }
        change
    }

    /// Replaces the releases of a period; none remove it.
    pub(super) fn replace(&mut self, period: Period, before: &[ReportRecord], after: Releases) {
        self.feeds = self.feed_counts(&tallies(before), &tallies(&after));
        let (had, has) = (usize::from(!before.is_empty()), usize::from(!after.is_empty()));
        self.periods_held = self.periods_held.saturating_add(has).saturating_sub(had);
        self.periods.insert(period, after);
    }

    fn feed_counts(&self, taken: &Tallies<'_>, added: &Tallies<'_>) -> FeedCounts {
        let mut counts = self.feeds.clone();
        for (feed, tally) in added.iter().filter_map(|(feed, tally)| Some(((*feed)?, tally))) {
            let count = counts.entry(feed.clone()).or_default();
            *count = count.saturating_add(tally.items);
        }
        for (feed, tally) in taken.iter().filter_map(|(feed, tally)| Some(((*feed)?, tally))) {
            let count = counts.entry(feed.clone()).or_default();
            *count = count.saturating_sub(tally.items);
        }
        counts.retain(|_, count| *count > 0);
        counts
    }
}

/// The tally of each feed's releases.
type Tallies<'a> = BTreeMap<Option<&'a Slug>, Tally>;

fn tallies(releases: &[ReportRecord]) -> Tallies<'_> {
    let mut tallies = Tallies::new();
    for record in releases {
        let one = Tally { items: 1, bytes: report_bytes(&record.report) };
        let tally = tallies.entry(record.feed.as_ref()).or_default();
        *tally = plus(*tally, one);
    }
    tallies
}

fn report_accounts(market: MarketKey, feed: Option<&Slug>) -> Vec<Account> {
    let mut accounts = vec![
        Account::shared(RecordLimit::Reports),
        Account::on_market(RecordLimit::MarketReports, market),
    ];
    if let Some(feed) = feed {
        accounts.push(Account::of_feed(RecordLimit::FeedReports, feed));
        accounts.push(Account::of_owner(RecordLimit::MarketFeedReports, market, feed));
    }
    accounts
}

/// Adds a release to those of its period, in order; one of the same day is replaced.
pub(super) fn with_release(before: &[ReportRecord], record: ReportRecord) -> Releases {
    let mut releases = before.to_vec();
    let day = |one: &ReportRecord| -> Day { one.report.vintage() };
    match releases.binary_search_by_key(&day(&record), day) {
        Ok(at) => releases.splice(at..=at, [record]).for_each(drop),
        Err(at) => releases.insert(at, record),
    }
    releases
}
