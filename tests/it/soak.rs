//! All of it mixed: load, kills, orderly stops, backups and deleted archives, for some seconds on every change and for an
//! hour by `tests/soak.sh`, which prints the report.

use crate::binary::{Process, run};
use crate::crash::{
    Acknowledged, Publisher, Record, Subscriber, assert_same_answers, entries, load,
};
use lodewatch::client;
use std::fs;
use std::path::Path;
use std::time::Duration;
use tokio::time::Instant;

const MINERALS: [&str; 6] = ["gallium", "indium", "bismuth", "arsenic", "tellurium", "selenium"];
const SUBSCRIBERS: usize = 20;

/// How long it lasts where nothing else is said.
const SECONDS: u64 = 5;

/// Height of the plot's columns, from the least to the most.
const BARS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
const COLUMNS: usize = 72;

#[derive(Default)]
struct Report {
    kills: u32,
    stops: u32,
    backups: u32,
    archives_deleted: u32,
    acknowledged: Vec<String>,
    memory_kb: Vec<u64>,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn everything_mixed_breaks_no_promise() {
    let given = std::env::var_os("LODEWATCH_SOAK_SECONDS");
    let seconds = given.map_or(SECONDS, |text| text.to_str().unwrap().parse().unwrap());
    let end = Instant::now() + Duration::from_secs(seconds);
    let dir = tempfile::tempdir().unwrap();
    let mut publishers: Vec<_> = MINERALS.iter().map(|mineral| Publisher::new(mineral)).collect();
    let mut subscribers: Vec<Subscriber> =
        (0..SUBSCRIBERS).map(|_| Subscriber::default()).collect();
    let (mut report, mut unchecked) = (Report::default(), Vec::<Acknowledged>::new());
    let mut round = 0;
    while Instant::now() < end {
        let mut process = Process::serve(dir.path());
        let channel = client::connect(&process.address).await.unwrap();
        assert_same_answers(&channel, &unchecked).await;
        let enough = 1 + round * 37 % 400;
        let ending = async || report.end(&mut process, dir.path(), round);
        unchecked = load(&channel, &mut publishers, &mut subscribers, enough, ending).await;
        let ids = unchecked.iter().map(|(request, _)| request.request_id.clone());
        report.acknowledged.extend(ids);
        round += 1;
    }
    let process = Process::serve(dir.path());
    let channel = client::connect(&process.address).await.unwrap();
    assert_same_answers(&channel, &unchecked).await;
    let replayed = Record::of_replay(dir.path());
    for mut subscriber in subscribers {
        subscriber.read(channel.clone(), true).await;
        assert_eq!(subscriber.seen, replayed, "over everything: every alert once, in order");
    }
    let entries = entries(dir.path());
    assert!(report.acknowledged.iter().all(|id| entries.contains_key(id)), "all are there");
    report.print(seconds, entries.len(), replayed.alerts);
}

impl Report {
    /// Ends a round in the way that is its turn.
    fn end(&mut self, process: &mut Process, dir: &Path, round: usize) {
        self.memory_kb.push(process.memory_kb());
        if round % 4 == 1 {
            let to = tempfile::tempdir().unwrap();
            let to = to.path().to_str().unwrap();
            journal(dir.to_str().unwrap(), &["backup", to]);
            journal(to, &["verify"]);
            self.backups += 1;
        }
        if round.is_multiple_of(3) {
            process.stop();
            self.stops += 1;
        } else {
            process.kill();
            self.kills += 1;
        }
        if round % 10 == 7 {
            for name in ["archive.db", "archive.db-shm", "archive.db-wal"] {
                // The side files are there only after a crash.
                let _ = fs::remove_file(dir.join(name));
            }
            self.archives_deleted += 1;
        }
    }

    fn print(&self, seconds: u64, entries: usize, alerts: u64) {
        let (least, most) = (self.memory_kb.iter().min(), self.memory_kb.iter().max());
        let (least, most) = (*least.unwrap(), *most.unwrap());
        println!("soak: {seconds} s, {} publishers, {SUBSCRIBERS} subscribers", MINERALS.len());
        println!(
            "  batches in the journal   {entries}, of them acknowledged {}",
            self.acknowledged.len()
        );
        println!("  alerts                   {alerts}, to each subscriber the same, as replayed");
        println!("  restarts                 {} kills, {} orderly stops", self.kills, self.stops);
        println!("  backups, verified        {}", self.backups);
        println!("  archives deleted         {}", self.archives_deleted);
        println!("  violations               0");
        println!("  memory, MB               {} to {}", least / 1024, most / 1024);
        println!("  {}", self.plot(most));
    }

    /// Memory before each end, over time; a full bar is the most.
    fn plot(&self, most: u64) -> String {
        let per_column = self.memory_kb.len().div_ceil(COLUMNS);
        let columns = self.memory_kb.chunks(per_column).map(|part| part.iter().max().unwrap());
        let bar = |kb: &u64| BARS[usize::try_from(kb * 7 / most).unwrap()];
        columns.map(bar).collect()
    }
}

fn journal(dir: &str, arguments: &[&str]) {
    let output = run(&[&["journal", "--data-dir", dir], arguments].concat());
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}
