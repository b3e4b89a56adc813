//! All of it mixed: load, kills, orderly stops, suspended servers, slow readers, backups and
//! deleted archives, for a few seconds on every change and for an hour by `tests/soak.sh`, which
//! prints the report.

use crate::load::{
    Acknowledged, Answers, Publisher, Record, Subscriber, assert_each_once_in_order,
    assert_same_answers, load,
};
use lodewatch_testkit::process::{Process, run};
use std::collections::VecDeque;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::time::{Instant, MissedTickBehavior, interval, timeout};
use uuid::Uuid;

const MINERALS: [&str; 6] = ["gallium", "indium", "bismuth", "arsenic", "tellurium", "selenium"];
const SUBSCRIBERS: usize = 20;
/// Of these, so many are slow, and rest for so many batches: more alerts than the ring holds.
const SLOW: usize = 2;
const RESTS: usize = 2000;

/// A ring that a slow reader soon leaves, and no long wait for one that reads nothing when the
/// server stops.
const SETTINGS: &str = "fanout.ring_bytes_max = 1048576\nserver.drain_timeout = \"1s\"\n";

/// How long it lasts by default.
const SECONDS: u64 = 5;
/// One round in ten lasts for this part of the whole, so that memory which grows would show.
const LONG_ROUND: u32 = 20;
/// The load of long rounds: so many batches a tick.
const TICK: Duration = Duration::from_millis(50);
const BATCHES_PER_TICK: usize = 10;
/// For how long nothing is answered by a suspended server.
const SUSPENDED: Duration = Duration::from_millis(200);
/// The last batches acknowledged before an end are asked for again after it.
const LATEST_MAX: usize = 1000;

/// Height of the plot's columns, from the least to the most.
const BARS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
const COLUMNS: usize = 72;

struct Soak {
    dir: PathBuf,
    start: Instant,
    length: Duration,
    round: usize,
    kills: u32,
    stops: u32,
    suspensions: u32,
    backups: u32,
    archives_deleted: u32,
    acknowledged: Vec<(&'static str, Uuid)>,
    latest: VecDeque<Acknowledged>,
    /// The most of every part of the time.
    memory_kb: [u64; COLUMNS],
    /// The most that one process took more at the end of a long round than after a tenth of it.
    growth_kb: u64,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn everything_mixed_breaks_no_promise() {
    let given = std::env::var_os("LODEWATCH_SOAK_SECONDS");
    let seconds = given.map_or(SECONDS, |text| text.to_str().unwrap().parse().unwrap());
    let folder = tempfile::tempdir().unwrap();
    let settings = folder.path().join("lodewatch.toml");
    fs::write(&settings, SETTINGS).unwrap();
    let mut soak = Soak::new(folder.path().join("data"), Duration::from_secs(seconds));
    let mut publishers = Publisher::of_each(&MINERALS);
    let rests = |number| if number < SLOW { RESTS } else { 0 };
    let mut subscribers: Vec<_> =
        (0..SUBSCRIBERS).map(|number| Subscriber::slow(rests(number))).collect();
    while soak.start.elapsed() < soak.length {
        let mut process = Process::serve_with(&soak.dir, &settings);
        let channel = lodewatch_client::connect(&process.address).await.unwrap();
        assert_same_answers(&channel, &soak.latest).await;
        soak.latest.clear();
        let until = async |answers: &mut Answers| soak.run(&mut process, answers).await;
        let left = load(&channel, &mut publishers, &mut subscribers, until).await;
        for one in left {
            soak.acknowledged(one);
        }
        soak.round += 1;
    }
    let process = Process::serve_with(&soak.dir, &settings);
    let channel = lodewatch_client::connect(&process.address).await.unwrap();
    assert_same_answers(&channel, &soak.latest).await;
    let replayed = Record::of_replay(&soak.dir);
    let mut fell_behind = 0;
    for mut subscriber in subscribers {
        subscriber.read_to_head(channel.clone()).await;
        assert_eq!(subscriber.seen, replayed, "over everything: every alert once, in order");
        fell_behind += subscriber.fell_behind;
    }
    let batches = assert_each_once_in_order(&soak.dir, soak.acknowledged.iter().copied());
    soak.print(batches, replayed.alerts, fell_behind);
}

impl Soak {
    fn new(dir: PathBuf, length: Duration) -> Self {
        Self {
            dir,
            start: Instant::now(),
            length,
            round: 0,
            kills: 0,
            stops: 0,
            suspensions: 0,
            backups: 0,
            archives_deleted: 0,
            acknowledged: Vec::new(),
            latest: VecDeque::new(),
            memory_kb: [0; COLUMNS],
            growth_kb: 0,
        }
    }

    /// One round of load, and its end.
    async fn run(&mut self, process: &mut Process, answers: &mut Answers) {
        if self.round % 10 == 9 {
            self.run_long(process, answers).await;
        } else {
            for _ in 0..=self.round * 37 % 400 {
                self.acknowledged(answers.next().await);
            }
        }
        if self.round % 5 == 2 {
            self.suspend(process, answers).await;
        }
        self.sample(process);
        self.end(process);
    }

    /// An even load for a while, under which one process should not grow.
    async fn run_long(&mut self, process: &Process, answers: &mut Answers) {
        let (start, length) = (Instant::now(), self.length / LONG_ROUND);
        let mut ticks = interval(TICK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut settled_kb = None;
        while start.elapsed() < length {
            ticks.tick().await;
            for _ in 0..BATCHES_PER_TICK {
                self.acknowledged(answers.next().await);
            }
            let now_kb = self.sample(process);
            if start.elapsed() > length / 10 {
                let grown_kb = now_kb.saturating_sub(*settled_kb.get_or_insert(now_kb));
                self.growth_kb = self.growth_kb.max(grown_kb);
            }
        }
    }

    /// Stops the server where it is, for a moment in which it answers nothing.
    async fn suspend(&mut self, process: &Process, answers: &mut Answers) {
        process.suspend();
        while let Ok(on_its_way) = timeout(SUSPENDED, answers.next()).await {
            self.acknowledged(on_its_way);
        }
        process.go_on();
        self.acknowledged(answers.next().await);
        self.suspensions += 1;
    }

    /// Ends a round in the way that is its turn.
    fn end(&mut self, process: &mut Process) {
        if self.round % 4 == 1 {
            let to = tempfile::tempdir().unwrap();
            journal(&self.dir, &["backup", to.path().to_str().unwrap()]);
            journal(to.path(), &["verify"]);
            self.backups += 1;
        }
        if self.round.is_multiple_of(3) {
            process.stop();
            self.stops += 1;
        } else {
            process.kill();
            self.kills += 1;
        }
        if self.round % 10 == 7 {
            for name in ["archive.db", "archive.db-shm", "archive.db-wal"] {
                // The side files are there only after a crash.
                let _ = fs::remove_file(self.dir.join(name));
            }
            self.archives_deleted += 1;
        }
    }

    fn acknowledged(&mut self, one: Acknowledged) {
        self.acknowledged.push((one.mineral, one.id()));
        self.latest.push_back(one);
        if self.latest.len() > LATEST_MAX {
            self.latest.pop_front();
        }
    }

    /// Notes the memory that the server takes now, in kilobytes.
    fn sample(&mut self, process: &Process) -> u64 {
        let now_kb = process.memory_kb();
        let part = self.length / u32::try_from(COLUMNS).unwrap();
        let column = self.start.elapsed().as_nanos() / part.as_nanos();
        let column = usize::try_from(column).unwrap().min(COLUMNS - 1);
        self.memory_kb[column] = self.memory_kb[column].max(now_kb);
        now_kb
    }

    fn print(&self, batches: usize, alerts: u64, fell_behind: u64) {
        let (seconds, acknowledged) = (self.length.as_secs(), self.acknowledged.len());
        let taken = self.memory_kb.iter().filter(|kb| **kb > 0);
        let (least, most) = (taken.clone().min().unwrap(), taken.max().unwrap());
        println!("soak: {seconds} s, {} publishers, half of them by streams", MINERALS.len());
        println!("  batches in the journal   {batches}, of them acknowledged {acknowledged}");
        println!(
            "  subscribers              {SUBSCRIBERS}, of them slow {SLOW}, fell behind {fell_behind} times"
        );
        println!("  alerts                   {alerts}, to each subscriber the same, as replayed");
        println!("  restarts                 {} kills, {} orderly stops", self.kills, self.stops);
        println!("  suspended, went on       {}", self.suspensions);
        println!("  backups, verified        {}", self.backups);
        println!("  archives deleted         {}", self.archives_deleted);
        println!("  violations               0");
        println!("  memory, MB               {} to {}", least / 1024, most / 1024);
        println!("  growth of a process, MB  {}", self.growth_kb / 1024);
        println!("  {}", self.plot(*most));
    }

    /// Memory over time; a full bar is the most, a gap is a time without a sample.
    fn plot(&self, most: u64) -> String {
        let bar = |kb: &u64| match usize::try_from(kb * 7 / most).unwrap() {
            0 if *kb == 0 => ' ',
            height => BARS[height],
        };
        self.memory_kb.iter().map(bar).collect()
    }
}

fn journal(dir: &Path, arguments: &[&str]) {
    let output = run(&[&["journal", "--data-dir", dir.to_str().unwrap()], arguments].concat());
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}
