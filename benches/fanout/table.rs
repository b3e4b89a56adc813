//! The whole table: all runs and their results.

use crate::message::Message;
use crate::ratios::median;
use crate::run::{self, Mode, Plan};
use crate::shared::report::{self, Row};
use crate::subscribers::Windows;
use crate::system::System;

/// The number that the targets refer to. Its runs repeat in turns, so that other load on the
/// machine affects all equally.
pub(crate) const COMPARED_SUBSCRIBERS: usize = 1000;
/// Notes of rows that the ratios look for.
pub(crate) const OWN_WINDOWS: &str = "own client's windows";
pub(crate) const READERS: &str = "900 who read";
pub(crate) const SLOW_READERS: &str = "900 reading, 100 never reading";
/// Five thousand watches take etcd half a gigabyte.
const ETCD_SUBSCRIBERS_MAX: usize = 1000;

/// The extent of the runs.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Extent {
    /// Subscribers, and how many share a connection.
    sizes: &'static [(usize, usize)],
    /// Seconds of every run.
    pub(crate) seconds: u32,
    /// Turns of the compared runs.
    turns: usize,
    /// Whether third-party servers also run with other numbers of subscribers than the compared
    /// one.
    peers_everywhere: bool,
}

impl Extent {
    pub(crate) const QUICK: Self = Self {
        sizes: &[(1, 1), (100, 1), (1000, 1), (1000, 100)],
        seconds: 2,
        turns: 2,
        peers_everywhere: false,
    };
    pub(crate) const FULL: Self = Self {
        sizes: &[(1, 1), (100, 1), (1000, 1), (5000, 1), (100, 100), (1000, 100), (5000, 100)],
        seconds: 10,
        turns: 3,
        peers_everywhere: true,
    };

    fn has(&self, system: System, subscribers: usize, streams: usize) -> bool {
        let is_own = matches!(system, System::Lodewatch | System::NaiveTonic | System::RawTcp);
        (streams == 1 || system.has_streams())
            && (is_own
                || self.peers_everywhere
                || (subscribers, streams) == (COMPARED_SUBSCRIBERS, 1))
            && (system != System::Etcd || subscribers <= ETCD_SUBSCRIBERS_MAX)
    }

    /// Runs that are compared with each other.
    fn groups(&self, systems: &[System]) -> Vec<Vec<Plan>> {
        let mut groups = Vec::new();
        for mode in Mode::ALL {
            for &(subscribers, streams) in self.sizes {
                let plan = |system| Plan::new(system, mode, subscribers, streams, self.seconds);
                let mut group: Vec<Plan> = systems
                    .iter()
                    .filter(|system| self.has(**system, subscribers, streams))
                    .map(|system| plan(*system))
                    .collect();
                let is_compared = (subscribers, streams) == (COMPARED_SUBSCRIBERS, 1);
                let ours =
                    systems.contains(&System::Lodewatch) && is_compared && mode == Mode::Throughput;
                if ours {
                    let windows = Windows::OURS;
                    let note = OWN_WINDOWS;
                    group.push(Plan { windows, note, ..plan(System::Lodewatch) });
                }
                groups.push(group);
                if ours {
                    groups.push(self.slow_readers());
                }
            }
        }
        groups
    }

    /// The same number of readers in both, so that only the idle streams differ.
    fn slow_readers(&self) -> Vec<Plan> {
        let plan = |subscribers| {
            Plan::new(System::Lodewatch, Mode::Throughput, subscribers, 1, self.seconds)
        };
        let never_read = COMPARED_SUBSCRIBERS / 10;
        let alone = Plan { note: READERS, ..plan(COMPARED_SUBSCRIBERS - never_read) };
        let slow = Plan { note: SLOW_READERS, never_read, ..plan(COMPARED_SUBSCRIBERS) };
        vec![alone, slow]
    }
}

/// Runs everything, or only runs with this number of subscribers; returns a row for each, the
/// median of its turns.
pub(crate) async fn measure(
    extent: Extent,
    systems: &[System],
    only_subscribers: Option<usize>,
    message: &Message,
) -> Vec<Row> {
    report::head();
    let mut rows = Vec::new();
    for group in extent.groups(systems) {
        let size = group.iter().map(|plan| plan.subscribers).max();
        if only_subscribers.is_some() && only_subscribers != size {
            continue;
        }
        let turns = if size == Some(COMPARED_SUBSCRIBERS) { extent.turns } else { 1 };
        let mut taken: Vec<Vec<Row>> = group.iter().map(|_| Vec::new()).collect();
        for _ in 0..turns {
            for (plan, taken) in group.iter().zip(&mut taken) {
                taken.push(run::run(plan, message).await);
            }
        }
        for taken in taken {
            let row = median(&taken);
            report::line(&row);
            rows.push(row);
        }
    }
    rows
}
