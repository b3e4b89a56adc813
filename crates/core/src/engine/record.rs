//! The record: which updates of a batch change it, and which are rejected.

use super::market::Market;
use crate::domain::market::Period;
use crate::domain::outcome::UpdateOutcomes;
use crate::domain::policy::{Blocs, Jurisdiction};
use crate::domain::threat::Scope;
use crate::domain::update::{Batch, Rejection, Removal, Update, UpdateOutcome, WriteScope};
use crate::domain::{Day, MarketKey, Report, Slug, Threat, Timestamp};
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
    /// By market, source, period and release.
    pub(super) reports: BTreeMap<(MarketKey, Slug, Period, Day), Arc<Report>>,
    /// `None` removes the threat from the record.
    pub(super) threats: BTreeMap<Slug, Option<Arc<ThreatRecord>>>,
}

/// Reviews a batch against the record.
pub(super) struct BatchReviewer<'a> {
    pub(super) markets: &'a BTreeMap<MarketKey, Market>,
    pub(super) threats: &'a BTreeMap<Slug, Arc<ThreatRecord>>,
    pub(super) blocs: Option<&'a Blocs>,
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
            };
            match outcome {
                Ok(outcome) => changes.outcomes.push(outcome),
                Err(rejection) => changes.rejections.push(rejection),
            }
        }
        changes
    }

    /// A release that equals the one on record changes nothing; one older than the newest of its
    /// source and period is kept, but superseded.
    fn review_report(
        &self,
        update: usize,
        report: &Arc<Report>,
        batch: &Batch,
        changes: &mut BatchChanges,
    ) -> Result<UpdateOutcome, Rejection> {
        let market = self.markets.get(&report.market());
        let (key, source, period) = (report.market(), report.source(), report.period());
        let staged = |vintage| (key, source.clone(), period, vintage);
        let known = changes.reports.get(&staged(report.vintage())).or_else(|| {
            market.and_then(|market| market.release(report)).map(|record| &record.report)
        });
        if known.is_some_and(|known| known == report) {
            return Ok(UpdateOutcome::Unchanged);
        }
        if write_scope(batch).is_some()
            && let Some(feed) =
                market.and_then(|market| market.owned_by_other_feed(source, &batch.feed))
        {
            let (source_name, feed) = (source.clone(), feed.clone());
            return Err(Rejection::ReportOwnedByOtherFeed { update, source_name, feed });
        }
        let newer = changes.reports.range(staged(Day::MIN)..=staged(Day::MAX)).next_back();
        let newest = newer.map(|((.., vintage), _)| *vintage).max(
            market.and_then(|market| market.newest(source, period)).map(|one| one.report.vintage()),
        );
        changes.reports.insert(staged(report.vintage()), Arc::clone(report));
        let is_newest = newest <= Some(report.vintage());
        Ok(if is_newest { UpdateOutcome::Applied } else { UpdateOutcome::Superseded })
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
