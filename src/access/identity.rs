//! A caller that the server knows, and what it may publish.

use super::methods::Role;
use lodewatch_core::domain::update::{Batch, Sender, Update, WriteScope};
use lodewatch_core::domain::{Mineral, Slug};
use std::collections::BTreeSet;
use std::sync::Arc;
use tokio_util::sync::CancellationToken;

/// A caller that the server knows. Holds no secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// The name in the journal, the log and errors: that of the file of identities, or
    /// `ENTRY/SUBJECT` for a JSON web token.
    pub name: Arc<str>,
    /// At least one.
    pub roles: Vec<Role>,
    /// What it may publish with the role publisher.
    pub grant: PublishGrant,
    /// Whether it is authenticated. Where no authentication is configured, every caller is the same
    /// unauthenticated identity.
    pub is_authenticated: bool,
    /// Revoked when the file of identities no longer allows what it allowed.
    pub revocation: Revocation,
}

/// Shared by all connections of an identity, which end when it is revoked. Equality of identities
/// ignores it.
#[derive(Debug, Clone, Default)]
pub struct Revocation(CancellationToken);

impl PartialEq for Revocation {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Eq for Revocation {}

impl Revocation {
    pub fn revoke(&self) {
        self.0.cancel();
    }

    pub fn is_revoked(&self) -> bool {
        self.0.is_cancelled()
    }

    /// Waits until the identity is revoked.
    pub async fn revoked(&self) {
        self.0.cancelled().await;
    }
}

/// What a publisher may publish. An operator needs none.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PublishGrant {
    pub feeds: BTreeSet<Slug>,
    /// Including all parts of a group; `None` for any mineral.
    pub minerals: Option<BTreeSet<Mineral>>,
    /// The sources of its reports; `None` for any source.
    pub sources: Option<BTreeSet<Slug>>,
    /// Whether it may also change what other feeds published.
    pub others: bool,
}

/// Why a publisher may not publish a batch.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PublishDenied {
    #[error(
        "cannot publish for feed {feed}: identity {identity} may publish for {allowed} only; ask the operator"
    )]
    Feed { identity: Arc<str>, feed: Slug, allowed: String },
    #[error(
        "updates[{update}]: cannot publish about {mineral}: not a mineral of identity {identity}; ask the operator"
    )]
    Mineral { identity: Arc<str>, update: usize, mineral: Mineral },
    #[error(
        "updates[{update}].{field}: cannot publish reports of {report_source}: identity {identity} may publish those of {allowed} only; ask the operator"
    )]
    Source {
        identity: Arc<str>,
        update: usize,
        field: &'static str,
        report_source: Slug,
        allowed: String,
    },
}

impl Identity {
    /// The identity of every caller where no authentication is configured.
    pub fn unauthenticated(name: &str) -> Self {
        let (name, roles) = (Arc::from(name), vec![Role::Operator]);
        Self {
            name,
            roles,
            grant: PublishGrant::default(),
            is_authenticated: false,
            revocation: Revocation::default(),
        }
    }

    pub fn has_role(&self, role: Role) -> bool {
        self.roles.contains(&role)
    }

    /// The identity as a batch's sender: its name, and whether it may change what other feeds
    /// published.
    pub fn sender(&self) -> Sender {
        let is_limited = !self.has_role(Role::Operator) && !self.grant.others;
        let write_scope = || WriteScope { minerals: self.grant.minerals.clone() };
        Sender { name: Arc::clone(&self.name), write_scope: is_limited.then(write_scope) }
    }

    /// Checks a batch against the grant. Which feed a threat belongs to is checked where the batch
    /// is applied: only the state knows.
    ///
    /// # Errors
    ///
    /// The feed, or the first update, that it may not publish.
    pub fn check_batch(&self, batch: &Batch) -> Result<(), PublishDenied> {
        if self.has_role(Role::Operator) {
            return Ok(());
        }
        let identity = || Arc::clone(&self.name);
        if !self.grant.feeds.contains(&batch.feed) {
            let feeds = self.grant.feeds.iter().map(Slug::as_str).collect::<Vec<_>>();
            let (feed, allowed) = (batch.feed.clone(), feeds.join(", "));
            return Err(PublishDenied::Feed { identity: identity(), feed, allowed });
        }
        for (update, sent) in batch.updates.iter().enumerate() {
            self.check_source(update, sent)?;
            let Some(minerals) = &self.grant.minerals else { continue };
            let about = match sent {
                Update::Report(report) => vec![report.market().mineral],
                Update::Threat(threat) => threat.minerals.clone(),
                Update::ReportRemoval(removal) => vec![removal.market.mineral],
                // Only the state knows the threat's feed and minerals.
                Update::Removal(_) => Vec::new(),
            };
            if let Some(mineral) = about.into_iter().find(|one| !minerals.contains(one)) {
                return Err(PublishDenied::Mineral { identity: identity(), update, mineral });
            }
        }
        Ok(())
    }

    fn check_source(&self, update: usize, sent: &Update) -> Result<(), PublishDenied> {
        let (field, source) = match sent {
            Update::Report(report) => ("report.source", report.source()),
            Update::ReportRemoval(removal) => ("report_removal.source", &removal.source),
            Update::Threat(_) | Update::Removal(_) => return Ok(()),
        };
        let Some(sources) = self.grant.sources.as_ref().filter(|all| !all.contains(source)) else {
            return Ok(());
        };
        let allowed = sources.iter().map(Slug::as_str).collect::<Vec<_>>().join(", ");
        let (identity, report_source) = (Arc::clone(&self.name), source.clone());
        Err(PublishDenied::Source { identity, update, field, report_source, allowed })
    }
}
