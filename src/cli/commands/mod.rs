//! The commands. None knows another.

pub(super) mod alerts;
pub(super) mod archive;
pub(super) mod check_config;
pub(super) mod demo;
pub(super) mod feed;
pub(super) mod forward;
pub(super) mod generated;
pub(super) mod health;
pub(super) mod import;
pub(super) mod journal;
mod journal_audit;
pub(super) mod market;
pub(super) mod markets;
pub(super) mod publish;
pub(super) mod sbom;
pub(super) mod serve;
pub(super) mod simulate;
pub(super) mod threats;
pub(super) mod token;
pub(super) mod top;
pub(super) mod watch;
