//! Boards: every market as one destination sees it at one moment, made once for all who watch.
//!
//! Making one takes the state's lock, for which the one loop waits. So a board serves everybody for a while, however many
//! watch and however fast the state changes.

use super::api::Api;
use super::market_service::{known_markets, viewpoint};
use super::{pb, render};
use crate::domain::policy::Destination;
use crate::domain::{MarketKey, Seq};
use prost::Message;
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::time::Instant;
use tonic::Status;
use xxhash_rust::xxh3::xxh3_128;

/// How long a board serves at least, so how late a watch may be.
const KEPT_FOR: Duration = Duration::from_millis(100);

/// Every market that there is something to say of.
pub(super) struct Board {
    /// The entry after which it was so.
    pub(super) seq: Seq,
    pub(super) journal_time: prost_types::Timestamp,
    /// By mineral and stage, each with a digest.
    pub(super) markets: Vec<(MarketKey, u128, pb::Market)>,
    /// No newer one is made before, unless somebody has to see their own write.
    pub(super) next_at: Instant,
}

/// The latest boards; those of further destinations are made anew each time.
#[derive(Default)]
pub struct Boards(Mutex<VecDeque<(Destination, Arc<Board>)>>);

impl Boards {
    /// Destinations whose boards are kept, the latest used.
    const KEPT_MAX: usize = 16;

    /// A board of everything up to `least`, and as new as boards are.
    ///
    /// # Errors
    ///
    /// Where the policy in force does not know the destination.
    pub(super) fn look(
        &self,
        api: &Api,
        destination: &Destination,
        least: Seq,
    ) -> Result<Arc<Board>, Status> {
        let mut boards = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let place = boards.iter().position(|(of, _)| of == destination);
        let kept = place.and_then(|place| boards.remove(place)).filter(|(_, board)| {
            let is_new = board.next_at > Instant::now() || board.seq >= api.view.applied();
            board.seq >= least && is_new
        });
        if let Some((of, board)) = kept {
            boards.push_front((of, Arc::clone(&board)));
            return Ok(board);
        }
        let board = Arc::new(make(api, destination)?);
        boards.push_front((destination.clone(), Arc::clone(&board)));
        boards.truncate(Self::KEPT_MAX);
        Ok(board)
    }
}

fn make(api: &Api, destination: &Destination) -> Result<Board, Status> {
    let (seq, now, markets) = api.view.read_state(|state| {
        let viewpoint = viewpoint(state, destination)?;
        let keys = known_markets(state).into_iter();
        let markets: Vec<_> = keys.map(|key| (key, viewpoint.market(key))).collect();
        Ok::<_, Status>((state.seq(), state.now(), markets))
    })?;
    let digested = |(key, market)| (key, digest(&market), market);
    Ok(Board {
        seq,
        journal_time: render::timestamp(now),
        markets: markets.into_iter().map(digested).collect(),
        next_at: Instant::now() + KEPT_FOR,
    })
}

/// What tells whether a market is as it was.
pub(super) fn digest(market: &pb::Market) -> u128 {
    xxh3_128(&market.encode_to_vec())
}
