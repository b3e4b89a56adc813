//! What went wrong, as errors of the journal: SQLite's codes, sorted into damage, no space, and the rest.

use super::super::{Damage, Error, Place};
use crate::domain::Seq;
use crate::sqlite::{is_damage, is_full};
use std::path::Path;
use std::sync::Arc;

pub(super) fn damaged(file: &Arc<Path>, seq: Seq, what: Damage) -> Error {
    Error::Damaged { place: Place::File(Arc::clone(file)), seq, what }
}

/// The error of SQLite as ours; `seq` is the entry to name where the file is damaged.
pub(super) fn sqlite(
    doing: &'static str,
    file: &Arc<Path>,
    seq: Seq,
    error: rusqlite::Error,
) -> Error {
    if is_damage(&error) {
        return damaged(file, seq, Damage::Pages(error.to_string()));
    }
    if is_full(&error) {
        return Error::Full { place: Place::File(Arc::clone(file)) };
    }
    Error::io(doing, file, error)
}
