//! The place in the stream from which an entry can be read.
//!
//! Every group says how far its appender had read: so many messages, so many entries. Of the groups that were appended by
//! someone who had not yet read the wanted entry, the last is found by bisection; reading begins where its appender stood,
//! and counts from there.

use super::super::{Damage, Error};
use super::message::{Mark, Message};
use super::stream::Store;
use crate::domain::Seq;

/// A place at or before an entry, and near it; `last` is the last message that may be looked at.
pub(super) async fn before(store: &Store, entry: Seq, last: u64) -> Result<Mark, Error> {
    let (mut found, mut low, mut high) = (Mark::BEGIN, Mark::BEGIN.message, last);
    if entry == Seq::ZERO {
        return Ok(found);
    }
    while low < high {
        let middle = high.saturating_sub(high.saturating_sub(low) / 2);
        let seen = seen(store, middle).await?;
        if seen.entry <= entry {
            low = middle;
            found = later(found, seen);
        } else {
            high = middle.saturating_sub(1);
        }
    }
    Ok(found)
}

/// How far the appender of a message had read.
pub(super) async fn seen(store: &Store, message: u64) -> Result<Mark, Error> {
    match Message::decode(&store.message(message).await?) {
        Ok(Message::Group(group)) => Ok(group.seen),
        Ok(Message::Genesis(_)) => Ok(Mark::BEGIN),
        Err(fault) => {
            let what = Damage::Undecodable(format!("message {message}: {fault}"));
            Err(store.damaged(Seq::ZERO, what))
        }
    }
}

fn later(one: Mark, other: Mark) -> Mark {
    if other.message > one.message { other } else { one }
}
