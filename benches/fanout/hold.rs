//! The server's memory over a long run with 1,000 subscribers at full speed, 100 of which never
//! read.

use crate::message::Message;
use crate::run::{Mode, Plan};
use crate::shared::report::{self, Row};
use crate::system::System;
use lodewatch::config::Config;
use lodewatch_core::engine::RecentBatches;
use lodewatch_testkit::process::memory_kb;
use std::convert::Infallible;
use std::time::Duration;

const SUBSCRIBERS: usize = 1000;
const NEVER_READ: usize = 100;
/// What HTTP/2 buffers for a subscriber whose window is closed: a block of the ring, 64 KiB of
/// alerts, as messages.
const SHUT_BYTES: u64 = 80 * 1024;
/// The write buffer of a connection.
const CORKED_BYTES: u64 = 72 * 1024;
/// Everything else under load, independent of the number of subscribers: page caches of the stores,
/// batches in flight, memory that the allocator retains.
const ELSE_BYTES: u64 = 64 * 1024 * 1024;
const LOOKS_EVERY: Duration = Duration::from_secs(1);
/// Between measurements.
const SAYS_EVERY: u32 = 30;

/// Holds the load for this time; prints the memory every half minute.
///
/// The bound is the memory with all subscriptions open and idle, `ring_bytes_max`, the buffers of
/// each subscriber, the replies that are kept for retries, and 64 MiB. Socket buffers belong to the
/// kernel, not to the server.
///
/// # Panics
///
/// If the memory exceeds the bound.
pub(crate) async fn hold(seconds: u32, message: &Message) -> Row {
    let plan = Plan {
        never_read: NEVER_READ,
        note: "900 reading, 100 never reading, held",
        ..Plan::new(System::Lodewatch, Mode::Throughput, SUBSCRIBERS, 1, seconds)
    };
    let dir = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let mut server = plan.system.start(message, &dir).await;
    let subscribers = plan.subscribe(&server, message).await;
    let id = server.process().id();
    let idle = memory_kb(id) * 1024;
    let ring = Config::built_in().fanout.ring_bytes_max as u64;
    let each = SHUT_BYTES + CORKED_BYTES;
    let answers = RecentBatches::IDENTITY_BYTES_MAX as u64;
    let bound = idle + ring + each * SUBSCRIBERS as u64 + answers + ELSE_BYTES;
    println!(
        "bound of memory: {} MB = {} idle + {} ring + {SUBSCRIBERS} x {} kB + {} answers + {} for all else",
        mb(bound),
        mb(idle),
        mb(ring),
        each / 1000,
        mb(answers),
        mb(ELSE_BYTES)
    );
    let mut most = idle;
    let measured = tokio::select! {
        measured = plan.load(&mut server, &subscribers, message) => measured,
        never = watch(id, &mut most) => match never {},
    };
    println!("memory at most: {} MB, bound {} MB", mb(most), mb(bound));
    assert!(most <= bound, "the memory exceeded its bound");
    let row = plan.row(&measured, &subscribers);
    report::head();
    report::line(&row);
    row
}

async fn watch(id: u32, most: &mut u64) -> Infallible {
    let mut looks = tokio::time::interval(LOOKS_EVERY);
    for look in 0_u32.. {
        looks.tick().await;
        let now = memory_kb(id) * 1024;
        *most = now.max(*most);
        if look.is_multiple_of(SAYS_EVERY) {
            println!("{look:>5} s: {} MB, at most {} MB", mb(now), mb(*most));
        }
    }
    unreachable!("a century of seconds")
}

fn mb(bytes: u64) -> u64 {
    bytes / 1_000_000
}
