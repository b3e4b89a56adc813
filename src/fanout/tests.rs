//! What readers get from the ring. Here a message is the sequence numbers of its alerts.

use super::block::BlockRead;
use super::messages::{EncodedRun, EntryAlerts, WriteMessage};
use super::ring::{Ring, RingLookup};
use crate::archive::AlertRecord;
use bytes::{Buf, Bytes, BytesMut};
use lodewatch_core::domain::filter::Exercises;
use lodewatch_core::domain::update::Position;
use lodewatch_core::domain::{Filter, Mineral, Seq, Slug};
use proptest::prelude::*;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use tokio::time::Instant;

const ALERT_BYTES: usize = 1000;
const MINERALS: [&str; 3] = ["gallium", "indium", "tin"];

/// A ring and what was pushed into it: entry, sequence and mineral of every alert.
struct Pushed {
    ring: Ring,
    alerts: Vec<(Seq, u64, usize)>,
    head: Seq,
}

impl Pushed {
    fn new(bytes_max: usize) -> Self {
        let write: WriteMessage = Arc::new(|bytes: &mut BytesMut, records: &[&AlertRecord], _| {
            for record in records {
                bytes.extend_from_slice(&record.sequence.to_be_bytes());
            }
        });
        Self { ring: Ring::new(Seq::ZERO, bytes_max, write), alerts: Vec::new(), head: Seq::ZERO }
    }

    /// Pushes entries at once, each with alerts for these minerals.
    fn push(&mut self, entries: &[Vec<usize>]) {
        let mut entry_alerts = Vec::new();
        for minerals in entries {
            self.head = self.head.next();
            let mut records = Vec::new();
            for mineral in minerals {
                let sequence = u64::try_from(self.alerts.len()).unwrap() + 1;
                self.alerts.push((self.head, sequence, *mineral));
                let bytes = Bytes::from(vec![0; ALERT_BYTES]);
                records.push(AlertRecord::sample(self.head, sequence, MINERALS[*mineral], bytes));
            }
            if !records.is_empty() {
                entry_alerts.push(EntryAlerts {
                    entry: self.head,
                    since: Instant::now(),
                    records,
                    trace: None,
                });
            }
        }
        self.ring.push(entry_alerts, self.head);
    }

    /// What a reader gets after an entry, run by run; `None` if it must read the archive.
    fn read(&self, after: Seq, filter: &Arc<Filter>) -> Option<Vec<Bytes>> {
        let (mut at, mut runs) = (after, Vec::new());
        loop {
            match self.ring.find_after(at) {
                RingLookup::BelowFloor => return None,
                RingLookup::AtEnd(applied) => {
                    assert_eq!(applied, self.head.max(after));
                    return Some(runs);
                }
                RingLookup::Block(block) => {
                    let (write, budget) = (&self.ring.write, &self.ring.budget);
                    let BlockRead::Messages(run) =
                        block.read_after(Position::at(at), filter, write, budget)
                    else {
                        return None;
                    };
                    runs.extend(run.map(checked_bytes));
                    at = block.last;
                }
            }
        }
    }

    fn expected(&self, after: Seq, mineral: usize) -> Vec<u64> {
        let wanted = self.alerts.iter().filter(|(entry, _, of)| *entry > after && *of == mineral);
        wanted.map(|(_, sequence, _)| *sequence).collect()
    }
}

/// The bytes of a run, after checking its counts: each alert has eight bytes.
fn checked_bytes(run: EncodedRun) -> Bytes {
    assert_eq!(run.alerts, u64::try_from(run.bytes.len() / 8).unwrap());
    assert!((1..=run.alerts).contains(&run.messages) && run.since.is_some());
    run.bytes
}

fn only(mineral: usize) -> Arc<Filter> {
    let minerals = [Mineral::parse(MINERALS[mineral]).unwrap()].into();
    Arc::new(Filter { minerals, ..Filter::default() })
}

fn sequences(runs: Vec<Bytes>) -> Vec<u64> {
    let mut sequences = Vec::new();
    for mut run in runs {
        while run.has_remaining() {
            sequences.push(run.get_u64());
        }
    }
    sequences
}

proptest! {
    #[test]
    fn a_reader_gets_exactly_the_alerts_that_match_its_filter_from_any_position(
        pushes in proptest::collection::vec(
            proptest::collection::vec(proptest::collection::vec(0..3_usize, 0..4), 0..40), 0..12,
        ),
        looks in proptest::collection::vec((0..200_u64, 0..3_usize), 12),
    ) {
        let mut pushed = Pushed::new(usize::MAX);
        for (entries, (after, mineral)) in pushes.iter().zip(looks) {
            pushed.push(entries);
            let after = Seq(after).min(pushed.head);
            // Read in between as well, so that the kept messages grow with the ring.
            for mineral in [mineral, 0] {
                let read = pushed.read(after, &only(mineral)).unwrap();
                prop_assert_eq!(sequences(read), pushed.expected(after, mineral));
            }
        }
    }
}

#[test]
fn readers_with_one_filter_share_the_same_bytes_and_a_reader_that_is_behind_gets_many_at_once() {
    let mut pushed = Pushed::new(usize::MAX);
    for _ in 0..50 {
        pushed.push(&[vec![0]]);
    }
    let one = pushed.read(Seq::ZERO, &only(0)).unwrap();
    let other = pushed.read(Seq(20), &only(0)).unwrap();
    let ([one], [other]) = (one.as_slice(), other.as_slice()) else { panic!("one run each") };
    assert_eq!(one.slice(20 * 8..).as_ptr(), other.as_ptr());
    assert_eq!((one.len(), other.len()), (50 * 8, 30 * 8));
}

#[test]
fn alerts_and_messages_together_stay_within_the_limit_for_any_filters() {
    const BYTES_MAX: usize = 1024 * 1024;
    let mut pushed = Pushed::new(BYTES_MAX);
    let filters: Vec<Arc<Filter>> = (0..40)
        .map(|number| {
            let rules = [Slug::parse("rule").unwrap(), Slug::parse(&format!("r{number}")).unwrap()];
            Arc::new(Filter {
                rules: rules.into(),
                exercises: Exercises::Include,
                ..Filter::default()
            })
        })
        .collect();
    for round in 0..60 {
        pushed.push(&vec![vec![0; 4]; 15]);
        let floor = pushed.head.0.saturating_sub(60);
        for filter in &filters {
            let read = pushed.read(Seq(floor), filter);
            let expected = pushed.alerts.iter().filter(|(entry, ..)| entry.0 > floor).count();
            assert_eq!(sequences(read.unwrap()).len(), expected, "round {round}");
        }
        let used = pushed.ring.budget.used.load(Ordering::Relaxed);
        assert!(used <= BYTES_MAX, "{used} bytes in round {round}");
    }
    assert!(pushed.read(Seq::ZERO, &filters[0]).is_none(), "the oldest were dropped");
}

#[test]
fn no_reader_has_a_copy_of_a_large_entry_for_itself() {
    let mut pushed = Pushed::new(2 * 1024 * 1024);
    pushed.push(&[vec![0; 1200]]);
    assert!(pushed.read(Seq::ZERO, &only(0)).is_none(), "no room to share, too large to copy");
    pushed.push(&[vec![0; 100]]);
    assert!(pushed.read(Seq(1), &only(0)).is_some());
}
