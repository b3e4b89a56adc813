//! Every market as one destination sees it at one moment, rendered once for all who watch.
//!
//! ```text
//! state ─ copy, shared by all destinations ─► one rendering at a time ─► snapshot, shared by all
//!         (at most 5 % of the time)           (at most half of a core)   readers of a destination
//! ```
//!
//! Architecture invariant: the pipeline waits only for a copy of the state, never for a rendering.
//! So publishing takes as long as ever, however many watch however many destinations; their
//! snapshots become rarer instead.

use crate::grpc::codec::render::{self, Viewpoint, known_markets};
use crate::grpc::{pb, status};
use crate::metrics::Metrics;
use crate::pipeline::PipelineView;
use lodewatch_core::domain::policy::Destination;
use lodewatch_core::domain::{MarketKey, Seq};
use lodewatch_core::engine::State;
use prost::Message;
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;
use tokio::time::{Instant, sleep, sleep_until};
use tonic::Status;
use xxhash_rust::xxh3::xxh3_128;

/// How long a snapshot, and a copy of the state, is shared at least, so how late a watch may be.
const SHARED_FOR: Duration = Duration::from_millis(100);
/// After a copy of the state no other one is made for so many times as long as it took.
const PAUSE_PER_COPY: u32 = 19;
/// Snapshots that are kept, in bytes of their encoded markets. Those used least recently are
/// dropped, and rendered again when they are asked for.
const KEPT_BYTES_MAX: usize = 32 * 1024 * 1024;

/// All known markets, as one destination sees them.
pub(in crate::grpc) struct MarketSnapshot {
    /// The last entry that it includes.
    pub(in crate::grpc) seq: Seq,
    pub(in crate::grpc) journal_time: prost_types::Timestamp,
    /// Sorted by mineral and stage, each with its [`market_digest`].
    pub(in crate::grpc) markets: Vec<(MarketKey, u128, pb::Market)>,
    /// No newer snapshot is made before, except for a caller that must see its own write.
    pub(in crate::grpc) next_at: Instant,
    /// Of the markets, encoded.
    bytes: usize,
}

/// The snapshots of the destinations used last, and what renders further ones.
pub struct MarketSnapshots {
    kept: Arc<KeptSnapshots>,
    /// Held by the one rendering that runs, even if its caller is gone.
    renderer: Arc<tokio::sync::Mutex<Renderer>>,
}

/// The most recently used first.
#[derive(Default)]
struct KeptSnapshots(Mutex<VecDeque<(Destination, Arc<MarketSnapshot>)>>);

struct Renderer {
    /// The latest copy of the state; it lives for [`SHARED_FOR`].
    copy: Weak<State>,
    next_copy_at: Instant,
    next_rendering_at: Instant,
    metrics: Arc<Metrics>,
}

/// Where copies of the state come from.
pub(in crate::grpc) trait StateSource: Clone + Send + 'static {
    /// A copy of the state as it is now.
    fn copy(&self) -> State;

    /// The last entry that is applied.
    fn applied(&self) -> Seq;
}

impl StateSource for PipelineView {
    fn copy(&self) -> State {
        self.read_state(State::branch)
    }

    fn applied(&self) -> Seq {
        self.applied()
    }
}

impl MarketSnapshots {
    /// Counts renderings in these metrics.
    pub fn new(metrics: Arc<Metrics>) -> Self {
        let now = Instant::now();
        let copy = Weak::new();
        let renderer = Renderer { copy, next_copy_at: now, next_rendering_at: now, metrics };
        Self { kept: Arc::default(), renderer: Arc::new(tokio::sync::Mutex::new(renderer)) }
    }

    /// A snapshot that includes at least the entry `least`, shared where one is fresh enough.
    /// Waits for its turn to be rendered.
    ///
    /// # Errors
    ///
    /// Where the policy in force does not know the destination.
    pub(in crate::grpc) async fn get(
        &self,
        source: &impl StateSource,
        destination: &Destination,
        least: Seq,
    ) -> Result<Arc<MarketSnapshot>, Status> {
        let find = || self.kept.find(destination, least, || source.applied());
        if let Some(kept) = find() {
            return Ok(kept);
        }
        let mut renderer = Arc::clone(&self.renderer).lock_owned().await;
        // Another reader may have waited for the same.
        if let Some(kept) = find() {
            return Ok(kept);
        }
        sleep_until(renderer.next_rendering_at).await;
        if renderer.fresh_copy(least).is_none() {
            sleep_until(renderer.next_copy_at).await;
        }
        let (source, kept) = (source.clone(), Arc::clone(&self.kept));
        let destination = destination.clone();
        let render = move || {
            let state = renderer.fresh_copy(least).unwrap_or_else(|| renderer.copy(&source));
            let snapshot = renderer.render(&state, &destination)?;
            kept.keep(destination, Arc::clone(&snapshot));
            Ok(snapshot)
        };
        tokio::task::spawn_blocking(render).await.expect("rendering markets does not panic")
    }
}

impl KeptSnapshots {
    fn find(
        &self,
        destination: &Destination,
        least: Seq,
        applied: impl Fn() -> Seq,
    ) -> Option<Arc<MarketSnapshot>> {
        let mut snapshots = self.lock();
        let at = snapshots.iter().position(|(of, _)| of == destination)?;
        let (of, snapshot) = snapshots.remove(at)?;
        let is_fresh = snapshot.next_at > Instant::now() || snapshot.seq >= applied();
        if snapshot.seq < least || !is_fresh {
            return None;
        }
        snapshots.push_front((of, Arc::clone(&snapshot)));
        Some(snapshot)
    }

    fn keep(&self, destination: Destination, snapshot: Arc<MarketSnapshot>) {
        let mut snapshots = self.lock();
        snapshots.retain(|(of, _)| *of != destination);
        snapshots.push_front((destination, snapshot));
        let mut bytes = 0_usize;
        let fits = |(_, snapshot): &&(_, Arc<MarketSnapshot>)| {
            bytes = bytes.saturating_add(snapshot.bytes);
            bytes <= KEPT_BYTES_MAX
        };
        let fitting = snapshots.iter().take_while(fits).count();
        snapshots.truncate(fitting);
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<(Destination, Arc<MarketSnapshot>)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Renderer {
    fn fresh_copy(&self, least: Seq) -> Option<Arc<State>> {
        self.copy.upgrade().filter(|copy| copy.seq() >= least)
    }

    /// Copies the state, for which the pipeline waits.
    fn copy(&mut self, source: &impl StateSource) -> Arc<State> {
        let begun = Instant::now();
        let copy = Arc::new(source.copy());
        let now = Instant::now();
        self.next_copy_at = now + (now - begun) * PAUSE_PER_COPY;
        self.copy = Arc::downgrade(&copy);
        let shared = Arc::clone(&copy);
        tokio::spawn(async move {
            sleep(SHARED_FOR).await;
            drop(shared);
        });
        copy
    }

    fn render(
        &mut self,
        state: &State,
        destination: &Destination,
    ) -> Result<Arc<MarketSnapshot>, Status> {
        let begun = Instant::now();
        let rendered = render_snapshot(state, destination);
        self.metrics.delivery.count_market_snapshot();
        let now = Instant::now();
        self.next_rendering_at = now + (now - begun);
        rendered.map(Arc::new)
    }
}

fn render_snapshot(state: &State, destination: &Destination) -> Result<MarketSnapshot, Status> {
    let viewpoint = viewpoint(state, destination)?;
    let mut bytes = 0_usize;
    let render = |key| {
        let market = viewpoint.market(key);
        bytes = bytes.saturating_add(market.encoded_len());
        (key, market_digest(&market), market)
    };
    let markets = known_markets(state).into_iter().map(render).collect();
    Ok(MarketSnapshot {
        seq: state.seq(),
        journal_time: render::timestamp(state.now()),
        markets,
        next_at: Instant::now() + SHARED_FOR,
        bytes,
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

#[cfg(test)]
mod tests {
    use super::*;
    use lodewatch_core::domain::policy::Jurisdiction;
    use lodewatch_core::domain::{Country, Policy};
    use std::sync::atomic::{AtomicUsize, Ordering};

    /// Counts how often the state is copied.
    #[derive(Clone, Default)]
    struct CountingSource(Arc<AtomicUsize>);

    impl StateSource for CountingSource {
        fn copy(&self) -> State {
            self.0.fetch_add(1, Ordering::Relaxed);
            State::under(Arc::new(Policy::default()))
        }

        fn applied(&self) -> Seq {
            // Always ahead of what was rendered.
            Seq(1)
        }
    }

    fn destinations() -> Vec<Destination> {
        let countries = rust_iso3166::ALL.iter().filter_map(|one| Country::from_alpha3(one.alpha3));
        countries.map(|one| Destination::Jurisdiction(Jurisdiction::Country(one))).collect()
    }

    fn rendered(metrics: &Metrics) -> usize {
        let text = metrics.text();
        let name = "lodewatch_market_snapshots_rendered_total ";
        text.lines().find_map(|line| line.strip_prefix(name)).unwrap().parse().unwrap()
    }

    #[tokio::test(start_paused = true)]
    async fn one_copy_of_the_state_serves_all_destinations_and_one_rendering_all_their_readers() {
        const READERS: usize = 5;
        let metrics = Arc::new(Metrics::new([]));
        let (source, snapshots) =
            (CountingSource::default(), MarketSnapshots::new(metrics.clone()));
        let destinations = destinations();
        assert!(destinations.len() > 200);
        for round in 1..=3 {
            let get = |destination| snapshots.get(&source, destination, Seq::ZERO);
            let readers = destinations.iter().cycle().take(READERS * destinations.len()).map(get);
            for snapshot in futures_util::future::join_all(readers).await {
                assert!(snapshot.is_ok());
            }
            assert_eq!(source.0.load(Ordering::Relaxed), round);
            assert_eq!(rendered(&metrics), round * destinations.len());
            tokio::time::advance(SHARED_FOR).await;
        }
    }

    #[test]
    fn kept_snapshots_are_bounded_in_bytes_and_those_used_last_stay() {
        let kept = KeptSnapshots::default();
        let snapshot = |bytes| {
            let state = State::under(Arc::new(Policy::default()));
            let snapshot = render_snapshot(&state, &Destination::All).unwrap();
            Arc::new(MarketSnapshot { bytes, ..snapshot })
        };
        let destinations = destinations();
        for destination in &destinations {
            kept.keep(destination.clone(), snapshot(KEPT_BYTES_MAX / 4));
            kept.find(&destinations[0], Seq::ZERO, || Seq::ZERO).expect("it is used");
        }
        assert_eq!(kept.lock().len(), 4);
        kept.keep(Destination::All, snapshot(KEPT_BYTES_MAX + 1));
        assert!(kept.lock().is_empty(), "it would not fit");
    }
}
