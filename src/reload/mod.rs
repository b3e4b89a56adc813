//! Reloading: settings, identities and certificates change while the server runs.
//!
//! ```text
//! interval, SIGHUP ─► keep_reloaded ─► Reloadable::reload
//!                          │              ├─ PolicyReloader: settings ─► journal entry ─► policy in force
//!                          │              └─ FileReloader: identities, certificates ─► in use at once
//!                          └─ rejected: the previous value stays; log once, metric
//! ```
//!
//! One mechanism for everything that is reloaded: each part implements `Reloadable` and runs in
//! `keep_reloaded`, independently of the others, so that an unreachable journal does not delay a
//! revoked token.
//!
//! Files are read again at an interval instead of being watched. This also detects how Kubernetes
//! updates a `ConfigMap` or `Secret`: it swaps a symbolic link two directories up.
//!
//! - `reloader`: when something is reloaded, and what happens to an error
//! - `files`: values that are read from files
//! - `policy`: the policy in the settings, adopted by an entry of the journal

mod files;
mod policy;
mod reloader;

pub(crate) use files::{FileReloader, FileWatcher};
pub use policy::SettingsSource;
pub(crate) use policy::{Error, PolicyReloader, adopt_policy};
pub use reloader::ReloadSignal;
pub(crate) use reloader::keep_reloaded;
