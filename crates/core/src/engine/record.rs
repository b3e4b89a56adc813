//! The record: which updates of a batch change it, and which are rejected.

use super::market::{Market, ReportRecord};
use super::reports::{SourceReports, StagedSource, with_release};
use super::usage::{StagedUsage, Usage, UsageChange};
use crate::domain::outcome::UpdateOutcomes;
use crate::domain::policy::{Blocs, Jurisdiction};
use crate::domain::threat::Scope;
use crate::domain::update::{
    Batch, Rejection, Removal, ReportRemoval, Update, UpdateOutcome, WriteScope,
};
use crate::domain::{MarketKey, Report, Slug, Threat, Timestamp};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::Arc;

/// A threat on record. Persisted in snapshots.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ThreatRecord {
    /// The threat as published; its revision is never 0.
    pub threat: Arc<Threat>,
    /// The feed that published it.
    pub feed: Slug,
    /// When the journal accepted this revision.
    pub accepted_at: Timestamp,
    /// Whether it is part of an exercise.
    pub exercise: bool,
}

/// What a batch changes, if none of its updates is rejected.
#[derive(Debug, Default)]
pub(super) struct BatchChanges {
    pub(super) outcomes: UpdateOutcomes,
    pub(super) rejections: Vec<Rejection>,
    /// By market and source.
    pub(super) sources: BTreeMap<(MarketKey, Slug), StagedSource>,
    /// `None` removes the threat from the record.
    pub(super) threats: BTreeMap<Slug, Option<Arc<ThreatRecord>>>,
    pub(super) usage: StagedUsage,
}

/// Reviews a batch against the record.
pub(super) struct BatchReviewer<'a> {
    pub(super) markets: &'a BTreeMap<MarketKey, Market>,
    pub(super) threats: &'a BTreeMap<Slug, Arc<ThreatRecord>>,
    pub(super) blocs: Option<&'a Blocs>,
    pub(super) usage: &'a Usage,
    pub(super) now: Timestamp,
}

impl BatchReviewer<'_> {
    /// Reviews the updates in order, each on top of those before it.
    pub(super) fn review(&self, batch: &Batch) -> BatchChanges {
        let mut changes = BatchChanges::default();
        for (at, update) in batch.updates.iter().enumerate() {
            let outcome = match update {
                Update::Report(report) => self.review_report(at, report, batch, &mut changes),
                Update::Threat(threat) => self.review_threat(at, threat, batch, &mut changes),
                Update::Removal(removal) => self.review_removal(at, removal, batch, &mut changes),
                Update::ReportRemoval(removal) => {
                    self.review_report_removal(at, removal, batch, &mut changes)
                }
            };
            match outcome {
                Ok(outcome) => changes.outcomes.push(outcome),
                Err(rejection) => changes.rejections.push(rejection),
            }
        }
        changes
    }

    /// A release that equals the one on record changes nothing; one older than the newest of its
    /// source and period is kept, but superseded. At a limit, a release takes the place of the
    /// oldest ones of its source and period.
    fn review_report(
        &self,
        update: usize,
        report: &Arc<Report>,
        batch: &Batch,
        changes: &mut BatchChanges,
    ) -> Result<UpdateOutcome, Rejection> {
        let (key, source, period) = (report.market(), report.source(), report.period());
        let on_record = self.source(key, source);
        let staged = changes
            .sources
            .entry((key, source.clone()))
            .or_insert_with(|| StagedSource::new(on_record));
        let before = staged.releases(on_record, period);
        if before.iter().any(|known| known.report == *report) {
            return Ok(UpdateOutcome::Unchanged);
        }
        check_source_owner(update, staged, source, batch)?;
        let newest = before.last().map(|newest| newest.report.vintage());
        let before = before.to_vec();
        let feed = batch.sender.is_some().then(|| batch.feed.clone());
        let record = ReportRecord { report: Arc::clone(report), accepted_at: self.now, feed };
        let mut after = with_release(&before, record);
        if after.len() > Market::RELEASES_MAX {
            after.remove(0);
        }
        while let Err(excess) = {
            let change = staged.usage_change((key, source), &before, &after);
            self.usage.stage(&mut changes.usage, change)
        } {
            if before.is_empty() || after.len() <= 1 {
                return Err(Rejection::LimitReached { update, excess });
            }
            after.remove(0);
        }
        staged.replace(period, &before, after);
        let is_newest = newest <= Some(report.vintage());
        Ok(if is_newest { UpdateOutcome::Applied } else { UpdateOutcome::Superseded })
    }

    fn review_report_removal(
        &self,
        update: usize,
        removal: &ReportRemoval,
        batch: &Batch,
        changes: &mut BatchChanges,
    ) -> Result<UpdateOutcome, Rejection> {
        let ReportRemoval { market, source, period } = removal;
        let on_record = self.source(*market, source);
        let staged = changes
            .sources
            .entry((*market, source.clone()))
            .or_insert_with(|| StagedSource::new(on_record));
        let periods = staged.periods_held(on_record, *period);
        if periods.is_empty() {
            let (market, source_name, period) = (*market, source.clone(), *period);
            return Err(Rejection::UnknownReport { update, market, source_name, period });
        }
        check_source_owner(update, staged, source, batch)?;
        for period in periods {
            let before = staged.releases(on_record, period).to_vec();
            let change = staged.usage_change((*market, source), &before, &[]);
            self.usage
                .stage(&mut changes.usage, change)
                .map_err(|excess| Rejection::LimitReached { update, excess })?;
            staged.replace(period, &before, Vec::new());
        }
        Ok(UpdateOutcome::Applied)
    }

    fn source(&self, market: MarketKey, source: &Slug) -> Option<&SourceReports> {
        self.markets.get(&market)?.source(source)
    }

    fn review_threat(
        &self,
        update: usize,
        threat: &Arc<Threat>,
        batch: &Batch,
        changes: &mut BatchChanges,
    ) -> Result<UpdateOutcome, Rejection> {
        self.check_blocs(update, &threat.scope)?;
        let current = self.current(&threat.id, changes);
        if let Some(current) = current {
            check_exercise(update, current, batch)?;
            let same = threat.equals_ignoring_revision(&current.threat);
            let sent = threat.revision;
            let revision = current.threat.revision;
            if same && (sent == 0 || sent == revision) {
                return Ok(UpdateOutcome::Unchanged);
            }
            check_write_scope(update, current, batch)?;
            if sent != 0 && sent <= revision {
                let threat = threat.id.clone();
                return Err(Rejection::StaleRevision { update, threat, sent, current: revision });
            }
        }
        let next = current.map_or(0, |current| current.threat.revision).saturating_add(1);
        let threat = if threat.revision == 0 {
            Arc::new(Threat { revision: next, ..(**threat).clone() })
        } else {
            Arc::clone(threat)
        };
        let mut change = UsageChange::default();
        if let Some(current) = current {
            change.take_threat(&current.feed, &current.threat);
        }
        change.add_threat(&batch.feed, &threat);
        self.usage
            .stage(&mut changes.usage, change)
            .map_err(|excess| Rejection::LimitReached { update, excess })?;
        let id = threat.id.clone();
        let record = ThreatRecord {
            threat,
            feed: batch.feed.clone(),
            accepted_at: self.now,
            exercise: batch.exercise,
        };
        changes.threats.insert(id, Some(Arc::new(record)));
        Ok(UpdateOutcome::Applied)
    }

    fn review_removal(
        &self,
        update: usize,
        removal: &Removal,
        batch: &Batch,
        changes: &mut BatchChanges,
    ) -> Result<UpdateOutcome, Rejection> {
        let threat = removal.threat.clone();
        let Some(current) = self.current(&threat, changes) else {
            return Err(Rejection::UnknownThreat { update, threat });
        };
        check_exercise(update, current, batch)?;
        check_write_scope(update, current, batch)?;
        let revision = current.threat.revision;
        match removal.revision {
            Some(sent) if sent != revision => {
                Err(Rejection::StaleRevision { update, threat, sent, current: revision })
            }
            Some(_) | None => {
                let mut change = UsageChange::default();
                change.take_threat(&current.feed, &current.threat);
                self.usage
                    .stage(&mut changes.usage, change)
                    .map_err(|excess| Rejection::LimitReached { update, excess })?;
                changes.threats.insert(threat, None);
                Ok(UpdateOutcome::Applied)
            }
        }
    }

    fn current<'a>(&'a self, id: &Slug, changes: &'a BatchChanges) -> Option<&'a ThreatRecord> {
        match changes.threats.get(id) {
            Some(staged) => staged.as_deref(),
            None => self.threats.get(id).map(|record| &**record),
        }
    }

    fn check_blocs(&self, update: usize, scope: &Scope) -> Result<(), Rejection> {
        for jurisdiction in scope.jurisdictions() {
            if let Jurisdiction::Bloc(bloc) = jurisdiction
                && !self.blocs.is_some_and(|blocs| blocs.contains(bloc))
            {
                return Err(Rejection::UnknownBloc { update, bloc: bloc.clone() });
            }
        }
        Ok(())
    }
}

/// What the batch may change, where that is limited.
fn write_scope(batch: &Batch) -> Option<&WriteScope> {
    batch.sender.as_ref()?.write_scope.as_ref()
}

/// Rejects a change of a source's reports that the sender may not change.
fn check_source_owner(
    update: usize,
    staged: &StagedSource,
    source: &Slug,
    batch: &Batch,
) -> Result<(), Rejection> {
    let owner = write_scope(batch).and_then(|_| staged.owned_by_other_feed(&batch.feed));
    match owner {
        Some(feed) => {
            let (source_name, feed) = (source.clone(), feed.clone());
            Err(Rejection::ReportOwnedByOtherFeed { update, source_name, feed })
        }
        None => Ok(()),
    }
}

/// Rejects a change of a threat that the sender may not change.
fn check_write_scope(
    update: usize,
    current: &ThreatRecord,
    batch: &Batch,
) -> Result<(), Rejection> {
    let Some(scope) = write_scope(batch) else { return Ok(()) };
    let threat = || current.threat.id.clone();
    if current.feed != batch.feed {
        let (threat, feed) = (threat(), current.feed.clone());
        return Err(Rejection::ThreatOwnedByOtherFeed { update, threat, feed });
    }
    let Some(minerals) = &scope.minerals else { return Ok(()) };
    match current.threat.minerals.iter().find(|mineral| !minerals.contains(mineral)) {
        Some(mineral) => Err(Rejection::ThreatCoversOtherMinerals {
            update,
            threat: threat(),
            mineral: *mineral,
        }),
        None => Ok(()),
    }
}

fn check_exercise(update: usize, current: &ThreatRecord, batch: &Batch) -> Result<(), Rejection> {
    if current.exercise == batch.exercise {
        return Ok(());
    }
    let threat = current.threat.id.clone();
    Err(Rejection::ExerciseMixed { update, threat, is_exercise: current.exercise })
}
