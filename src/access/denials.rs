//! Denied calls in the log: of each caller and reason the first at once, then one line a minute.

use super::credential_fault::CredentialFault;
use super::gate::CallDenied;
use crate::repeated_log::{RepeatedLog, WriteLine};
use std::net::IpAddr;
use std::sync::Arc;

/// Characters of a path that are logged.
const PATH_CHARS_MAX: usize = 120;

#[derive(Default)]
pub(super) struct DenialLog(RepeatedLog<DenialKey>);

/// The reason, and the caller's address and identity.
type DenialKey = (DenialKind, IpAddr, Option<Arc<str>>);

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum DenialKind {
    Unauthenticated(CredentialFault),
    RoleMissing,
    UnknownMethod,
}

impl DenialLog {
    /// Logs a denied call; a line that stands for several has the method of the first.
    pub(super) fn log(&self, denied: &CallDenied, peer: IpAddr, path: &str) {
        let (kind, identity) = match denied {
            CallDenied::Unauthenticated { fault } => (DenialKind::Unauthenticated(*fault), None),
            CallDenied::RoleMissing { identity, .. } => (DenialKind::RoleMissing, Some(identity)),
            CallDenied::UnknownMethod { identity } => (DenialKind::UnknownMethod, Some(identity)),
        };
        let key = (kind, peer, identity.map(|identity| Arc::clone(&identity.name)));
        self.0.write(key, || line(denied.clone(), peer, path));
    }
}

fn line(denied: CallDenied, peer: IpAddr, path: &str) -> WriteLine {
    let method: String = path.chars().take(PATH_CHARS_MAX).collect();
    Box::new(move |times| match &denied {
        CallDenied::Unauthenticated { fault } => {
            let cause = fault.to_string();
            tracing::warn!(%peer, ?method, cause, times, "call denied: no valid credentials");
        }
        CallDenied::RoleMissing { identity, access } => {
            let (identity, needs) = (&*identity.name, access.to_string());
            tracing::warn!(identity, %peer, ?method, needs, times, "call denied: role missing");
        }
        CallDenied::UnknownMethod { identity } => {
            let identity = &*identity.name;
            tracing::warn!(identity, %peer, ?method, times, "call denied: unknown method");
        }
    })
}
