//! What readers get of the ring: a message is the sequences of its alerts.

use super::messages::{Frame, Slice, Write};
use super::ring::{Recent, Ring};
use crate::archive::AlertRecord;
use crate::domain::filter::Exercises;
use crate::domain::update::Position;
use crate::domain::{Filter, Mineral, Seq, Slug};
use bytes::{Buf, Bytes, BytesMut};
use proptest::prelude::*;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use tokio::time::Instant;

const ALERT_BYTES: usize = 1000;
const MINERALS: [&str; 3] = ["gallium", "indium", "tin"];

/// A ring, and what was pushed: entry, sequence and mineral of every alert.
struct Pushed {
    ring: Ring,
    alerts: Vec<(Seq, u64, usize)>,
    head: Seq,
}

impl Pushed {
    fn new(bytes_max: usize) -> Self {
        let write: Write = Arc::new(|bytes: &mut BytesMut, records: &[&AlertRecord], _| {
            for record in records {
                bytes.extend_from_slice(&record.sequence.to_be_bytes());
            }
        });
        Self { ring: Ring::new(Seq::ZERO, bytes_max, write), alerts: Vec::new(), head: Seq::ZERO }
    }

    /// Pushes entries at once, each with alerts of these minerals.
    fn push(&mut self, entries: &[Vec<usize>]) {
        let mut frames = Vec::new();
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
                frames.push(Frame {
                    entry: self.head,
                    since: Instant::now(),
                    records,
                    trail: None,
                });
            }
        }
        self.ring.push(frames, self.head);
    }

    /// What a reader gets from a place on, slice by slice; `None` where it must read the archive.
    fn read(&self, after: Seq, filter: &Arc<Filter>) -> Option<Vec<Bytes>> {
        let (mut at, mut slices) = (after, Vec::new());
        loop {
            match self.ring.after(at) {
                Recent::Gone => return None,
                Recent::Nothing(head) => {
                    assert_eq!(head, self.head.max(after));
                    return Some(slices);
                }
                Recent::Block(block) => {
                    let (write, budget) = (&self.ring.write, &self.ring.budget);
                    let slice = block.after(Position::at(at), filter, write, budget);
                    slices.extend(slice.map(counted));
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

/// The bytes of a slice, whose alerts are counted rightly: each has eight.
fn counted(slice: Slice) -> Bytes {
    assert_eq!(slice.alerts, u64::try_from(slice.bytes.len() / 8).unwrap());
    assert!((1..=slice.alerts).contains(&slice.messages) && slice.since.is_some());
    slice.bytes
}

fn only(mineral: usize) -> Arc<Filter> {
    let minerals = [Mineral::parse(MINERALS[mineral]).unwrap()].into();
    Arc::new(Filter { minerals, ..Filter::default() })
}

fn sequences(slices: Vec<Bytes>) -> Vec<u64> {
    let mut sequences = Vec::new();
    for mut slice in slices {
        while slice.has_remaining() {
            sequences.push(slice.get_u64());
        }
    }
    sequences
}

proptest! {
    #[test]
    fn a_filter_is_told_all_it_wants_from_any_place_and_nothing_else(
        pushes in proptest::collection::vec(
            proptest::collection::vec(proptest::collection::vec(0..3_usize, 0..4), 0..40), 0..12,
        ),
        looks in proptest::collection::vec((0..200_u64, 0..3_usize), 12),
    ) {
        let mut pushed = Pushed::new(usize::MAX);
        for (entries, (after, mineral)) in pushes.iter().zip(looks) {
            pushed.push(entries);
            let after = Seq(after).min(pushed.head);
            // Read in between as well, so that messages that are kept grow with the ring.
            for mineral in [mineral, 0] {
                let read = pushed.read(after, &only(mineral)).unwrap();
                prop_assert_eq!(sequences(read), pushed.expected(after, mineral));
            }
        }
    }
}

#[test]
fn readers_of_one_filter_share_the_same_bytes_and_who_is_behind_takes_many_at_once() {
    let mut pushed = Pushed::new(usize::MAX);
    for _ in 0..50 {
        pushed.push(&[vec![0]]);
    }
    let one = pushed.read(Seq::ZERO, &only(0)).unwrap();
    let other = pushed.read(Seq(20), &only(0)).unwrap();
    let ([one], [other]) = (one.as_slice(), other.as_slice()) else { panic!("one slice each") };
    assert_eq!(one.slice(20 * 8..).as_ptr(), other.as_ptr());
    assert_eq!((one.len(), other.len()), (50 * 8, 30 * 8));
}

#[test]
fn alerts_and_messages_together_keep_within_the_bound_whatever_is_asked_for() {
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
    assert!(pushed.read(Seq::ZERO, &filters[0]).is_none(), "the oldest have left");
}
