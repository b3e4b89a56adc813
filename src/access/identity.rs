//! Who somebody is, and what it may publish.

use super::methods::Role;
use crate::domain::update::{Batch, Sender, Update, WriteScope};
use crate::domain::{Mineral, Slug};
use std::collections::BTreeSet;
use std::sync::Arc;
use tokio_util::sync::CancellationToken;

/// Somebody that the server knows. Cheap to clone behind an `Arc`; holds no secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// The name in the journal, the log and errors: of the file of identities, or `ENTRY/SUBJECT` for a JSON web token.
    pub name: Arc<str>,
    /// What it may do, at least one.
    pub roles: Vec<Role>,
    /// What it may publish as a publisher.
    pub grant: Grant,
    /// Whether it was proved; everybody is the same unproved identity where no authentication is configured.
    pub proved: bool,
    /// Whether it is still who it was let in as.
    pub admission: Admission,
}

/// Whether what an identity was let in for still holds. Two identities may be the same whatever their admission.
#[derive(Debug, Clone, Default)]
pub struct Admission(CancellationToken);

impl PartialEq for Admission {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Eq for Admission {}

impl Admission {
    /// Whoever was let in must prove anew who it is.
    pub fn end(&self) {
        self.0.cancel();
    }

    /// Whether it has ended.
    pub fn has_ended(&self) -> bool {
        self.0.is_cancelled()
    }

    /// Waits until it ends.
    pub async fn ended(&self) {
        self.0.cancelled().await;
    }
}

/// For which feeds and minerals a publisher speaks. An operator needs none.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Grant {
    /// The feeds.
    pub feeds: BTreeSet<Slug>,
    /// The minerals, with all their parts; `None` for any.
    pub minerals: Option<BTreeSet<Mineral>>,
    /// Whether it may also change what another feed has published.
    pub others: bool,
}

/// Why a batch is more than its publisher may say.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Overstep {
    /// Not a feed of its own.
    #[error("feed: {identity} may not publish for {feed}, only for {allowed}")]
    Feed {
        /// Who.
        identity: Arc<str>,
        /// As sent.
        feed: Slug,
        /// The feeds it may publish for.
        allowed: String,
    },
    /// A mineral that is not its own.
    #[error("updates[{update}]: {identity} may not publish about {mineral}")]
    Mineral {
        /// Who.
        identity: Arc<str>,
        /// Which update.
        update: usize,
        /// Which mineral.
        mineral: Mineral,
    },
}

impl Identity {
    /// Everybody, where no authentication is configured.
    pub fn unproved(name: &str) -> Self {
        let (name, roles) = (Arc::from(name), vec![Role::Operator]);
        Self {
            name,
            roles,
            grant: Grant::default(),
            proved: false,
            admission: Admission::default(),
        }
    }

    /// Whether it has a role.
    pub fn has(&self, role: Role) -> bool {
        self.roles.contains(&role)
    }

    /// It as the sender of a batch: who, and whether it may change what other feeds have published.
    pub fn sender(&self) -> Sender {
        let is_confined = !self.has(Role::Operator) && !self.grant.others;
        let write_scope = || WriteScope { minerals: self.grant.minerals.clone() };
        Sender { name: Arc::clone(&self.name), write_scope: is_confined.then(write_scope) }
    }

    /// Checks what it may publish. What the record alone knows, whose a threat is, is checked where the batch is applied.
    ///
    /// # Errors
    ///
    /// What is not its own; of the updates, the first.
    pub fn check(&self, batch: &Batch) -> Result<(), Overstep> {
        if self.has(Role::Operator) {
            return Ok(());
        }
        let identity = || Arc::clone(&self.name);
        if !self.grant.feeds.contains(&batch.feed) {
            let feeds = self.grant.feeds.iter().map(Slug::as_str).collect::<Vec<_>>();
            let (feed, allowed) = (batch.feed.clone(), feeds.join(", "));
            return Err(Overstep::Feed { identity: identity(), feed, allowed });
        }
        let Some(minerals) = &self.grant.minerals else { return Ok(()) };
        for (update, sent) in batch.updates.iter().enumerate() {
            let about = match sent {
                Update::Report(report) => vec![report.market().mineral],
                Update::Threat(threat) => threat.minerals.clone(),
                // Whose the threat is, and what it is about, the record knows.
                Update::Removal(_) => Vec::new(),
            };
            if let Some(mineral) = about.into_iter().find(|one| !minerals.contains(one)) {
                return Err(Overstep::Mineral { identity: identity(), update, mineral });
            }
        }
        Ok(())
    }
}
