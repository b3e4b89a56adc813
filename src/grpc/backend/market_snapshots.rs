//! Every market as one destination sees it at one moment, rendered once for all who watch.
//!
//! Rendering takes the state's lock, for which the pipeline waits. So a snapshot is shared for a
//! while, however many watch and however fast the state changes.

use crate::grpc::codec::render::{self, Viewpoint, known_markets};
use crate::grpc::{pb, status};
use crate::pipeline::PipelineView;
use lodewatch_core::domain::policy::Destination;
use lodewatch_core::domain::{MarketKey, Seq};
use lodewatch_core::engine::State;
use prost::Message;
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::time::Instant;
use tonic::Status;
use xxhash_rust::xxh3::xxh3_128;

/// How long a snapshot is shared at least, so how late a watch may be.
const SHARED_FOR: Duration = Duration::from_millis(100);

/// All known markets, as one destination sees them.
pub(in crate::grpc) struct MarketSnapshot {
    /// The last entry that it includes.
    pub(in crate::grpc) seq: Seq,
    pub(in crate::grpc) journal_time: prost_types::Timestamp,
    /// Sorted by mineral and stage, each with its [`market_digest`].
    pub(in crate::grpc) markets: Vec<(MarketKey, u128, pb::Market)>,
    /// No newer snapshot is made before, except for a caller that must see its own write.
    pub(in crate::grpc) next_at: Instant,
}

/// The latest snapshots of the destinations used last; those of others are made anew each time.
#[derive(Default)]
pub struct MarketSnapshots(Mutex<VecDeque<(Destination, Arc<MarketSnapshot>)>>);

impl MarketSnapshots {
    /// Destinations whose snapshots are kept.
    const DESTINATIONS_MAX: usize = 16;

    /// A snapshot that includes at least the entry `least`, shared where one is fresh enough.
    ///
    /// # Errors
    ///
    /// Where the policy in force does not know the destination.
    pub(in crate::grpc) fn get(
        &self,
        view: &PipelineView,
        destination: &Destination,
        least: Seq,
    ) -> Result<Arc<MarketSnapshot>, Status> {
        let mut snapshots = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let at = snapshots.iter().position(|(of, _)| of == destination);
        let kept = at.and_then(|at| snapshots.remove(at)).filter(|(_, snapshot)| {
            let is_fresh = snapshot.next_at > Instant::now() || snapshot.seq >= view.applied();
            snapshot.seq >= least && is_fresh
        });
        if let Some((of, snapshot)) = kept {
            snapshots.push_front((of, Arc::clone(&snapshot)));
            return Ok(snapshot);
        }
        let snapshot = Arc::new(render_snapshot(view, destination)?);
        snapshots.push_front((destination.clone(), Arc::clone(&snapshot)));
        snapshots.truncate(Self::DESTINATIONS_MAX);
        Ok(snapshot)
    }
}

fn render_snapshot(
    view: &PipelineView,
    destination: &Destination,
) -> Result<MarketSnapshot, Status> {
    let (seq, now, markets) = view.read_state(|state| {
        let viewpoint = viewpoint(state, destination)?;
        let keys = known_markets(state).into_iter();
        let markets: Vec<_> = keys.map(|key| (key, viewpoint.market(key))).collect();
        Ok::<_, Status>((state.seq(), state.now(), markets))
    })?;
    let with_digest = |(key, market)| (key, market_digest(&market), market);
    Ok(MarketSnapshot {
        seq,
        journal_time: render::timestamp(now),
        markets: markets.into_iter().map(with_digest).collect(),
        next_at: Instant::now() + SHARED_FOR,
    })
}

/// Two renderings of a market are the same where their digests are.
pub(in crate::grpc) fn market_digest(market: &pb::Market) -> u128 {
    xxh3_128(&market.encode_to_vec())
}

/// A destination's view of a state.
///
/// # Errors
///
/// `INVALID_ARGUMENT` where the policy in force has no bloc of this name.
pub(in crate::grpc) fn viewpoint<'a>(
    state: &'a State,
    destination: &'a Destination,
) -> Result<Viewpoint<'a>, Status> {
    Viewpoint::new(state, destination).ok_or_else(|| {
        let blocs = state.adopted().into_iter().flat_map(|adopted| adopted.policy.blocs.0.keys());
        let known: Vec<String> = blocs.map(ToString::to_string).collect();
        status::unknown_destination(&destination.to_string(), &known)
    })
}
