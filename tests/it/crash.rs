//! Invariant 2: what was acknowledged survives `kill -9`, and who resumes sees every alert once.
//!
//! Two hundred kills, in twenty tests, each on one directory, under the load of `load`. The moment
//! of each kill differs by how much was acknowledged before.

use crate::load::{
    Acknowledged, Publisher, Record, Subscriber, assert_each_once_in_order, assert_same_answers,
    load,
};
use lodewatch_testkit::process::Process;

const KILLS: usize = 10;
const MINERALS: [&str; 4] = ["gallium", "indium", "bismuth", "arsenic"];
const SUBSCRIBERS: usize = 20;

/// Acknowledged batches before a kill: some number up to this.
const ACKNOWLEDGED_MAX: usize = 17;

macro_rules! crash {
    ($($name:ident: $seed:literal)+) => {
        $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn $name() {
            kill_again_and_again($seed).await;
        })+
    };
}

crash! {
    kill_9_loses_nothing_acknowledged_and_repeats_nothing_0: 0
    kill_9_loses_nothing_acknowledged_and_repeats_nothing_1: 1
    kill_9_loses_nothing_acknowledged_and_repeats_nothing_2: 2
    kill_9_loses_nothing_acknowledged_and_repeats_nothing_3: 3
    kill_9_loses_nothing_acknowledged_and_repeats_nothing_4: 4
    kill_9_loses_nothing_acknowledged_and_repeats_nothing_5: 5
    kill_9_loses_nothing_acknowledged_and_repeats_nothing_6: 6
    kill_9_loses_nothing_acknowledged_and_repeats_nothing_7: 7
    kill_9_loses_nothing_acknowledged_and_repeats_nothing_8: 8
    kill_9_loses_nothing_acknowledged_and_repeats_nothing_9: 9
    kill_9_loses_nothing_acknowledged_and_repeats_nothing_10: 10
    kill_9_loses_nothing_acknowledged_and_repeats_nothing_11: 11
    kill_9_loses_nothing_acknowledged_and_repeats_nothing_12: 12
    kill_9_loses_nothing_acknowledged_and_repeats_nothing_13: 13
    kill_9_loses_nothing_acknowledged_and_repeats_nothing_14: 14
    kill_9_loses_nothing_acknowledged_and_repeats_nothing_15: 15
    kill_9_loses_nothing_acknowledged_and_repeats_nothing_16: 16
    kill_9_loses_nothing_acknowledged_and_repeats_nothing_17: 17
    kill_9_loses_nothing_acknowledged_and_repeats_nothing_18: 18
    kill_9_loses_nothing_acknowledged_and_repeats_nothing_19: 19
}

async fn kill_again_and_again(seed: usize) {
    let dir = tempfile::tempdir().unwrap();
    let mut publishers = Publisher::of_each(&MINERALS);
    let mut subscribers: Vec<_> = (0..SUBSCRIBERS).map(|_| Subscriber::prompt()).collect();
    let mut acknowledged: Vec<Acknowledged> = Vec::new();
    let mut checked = 0;
    for kill in 0..KILLS {
        let mut process = Process::serve(dir.path());
        let channel = lodewatch_client::connect(&process.address).await.unwrap();
        assert_same_answers(&channel, &acknowledged[checked..]).await;
        checked = acknowledged.len();
        let enough = 1 + (seed + kill * 7) % ACKNOWLEDGED_MAX;
        let left = load(&channel, &mut publishers, &mut subscribers, async |answers| {
            acknowledged.extend(answers.take(enough).await);
            process.kill();
        })
        .await;
        acknowledged.extend(left);
    }
    assert!(acknowledged.len() > KILLS);
    let process = Process::serve(dir.path());
    let channel = lodewatch_client::connect(&process.address).await.unwrap();
    assert_same_answers(&channel, &acknowledged).await;
    let replayed = Record::of_replay(dir.path());
    for mut subscriber in subscribers {
        subscriber.read_to_head(channel.clone()).await;
        assert_eq!(subscriber.seen, replayed, "over all crashes: every alert once, in order");
    }
    assert_each_once_in_order(dir.path(), acknowledged.iter().map(|one| (one.mineral, one.id())));
}
