//! One source, looked at for as long as it runs.

use super::checkpoints::Version;
use super::file::{self, Found, Stamp};
use super::publishing::{Publishing, blocking};
use super::{Error, Rounds};
use crate::config::{Feed, FeedSource};
use crate::fetch::{self, Bounds, Poller, Validators};
use backon::{BackoffBuilder, ExponentialBuilder};
use http::{HeaderValue, Uri};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::time::sleep;

/// How much of an answer is read, and how long all of it may take.
const BOUNDS: Bounds = Bounds { bytes: 1 << 30, time: Duration::from_mins(10) };
/// A file is read once two looks in a row found it the same; the second comes this soon, or with the next round where that is sooner.
const SETTLE: Duration = Duration::from_secs(10);
/// A file that was another one at so many looks in a row is in trouble.
const UNSETTLED_MAX: u32 = 12;
/// The wait after a first failure to fetch; it doubles up to the time between two rounds.
const FETCH_AGAIN: Duration = Duration::from_secs(10);

/// Keeps one source in sync.
pub(super) struct Follower {
    source: Source,
    /// The time between two rounds.
    every: Duration,
    publishing: Publishing,
    /// What was there at the last look, by name.
    seen: BTreeMap<String, Seen>,
}

/// Where it is.
#[derive(Clone)]
enum Source {
    Address(Box<Address>),
    Path(PathBuf),
}

/// Where somebody serves it, with what it takes to ask.
#[derive(Clone)]
struct Address {
    url: Uri,
    authorization: Option<PathBuf>,
    poller: Poller,
}

/// What was there at the last look.
struct Seen {
    version: Version,
    /// How many looks in a row found another one.
    unsettled: u32,
    /// Whether nothing more is to be done about it.
    is_done: bool,
}

/// When to look again.
enum Next {
    /// After the usual time.
    Round,
    /// Soon, to see whether a file has settled.
    Settle,
    /// After a failure: at least so long, and longer after each.
    Failed(Duration),
}

impl Follower {
    pub(super) fn new(feed: Feed, publishing: Publishing) -> Result<Self, Error> {
        let seen = |version| Seen { version, unsettled: 0, is_done: true };
        let known = publishing.in_sync().into_iter();
        let seen = known.map(|(name, version)| (name, seen(version))).collect();
        let source = match feed.source {
            FeedSource::Url { url, authorization } => {
                let poller = Poller::new().map_err(Error::Authorities)?;
                Source::Address(Box::new(Address { url, authorization, poller }))
            }
            FeedSource::Path(path) => Source::Path(path),
        };
        Ok(Self { source, every: feed.every, publishing, seen })
    }

    /// Goes on until everything was looked at once, or something ends it.
    pub(super) async fn run(mut self, rounds: Rounds) -> Result<(), Error> {
        let every = self.every;
        let waits = ExponentialBuilder::new()
            .with_min_delay(FETCH_AGAIN.min(every))
            .with_max_delay(every)
            .with_jitter()
            .without_max_times();
        let mut failures = waits.build();
        let source = self.source.clone();
        if let Source::Address(_) = source {
            // A folder, before.
            self.publishing.forget(str::is_empty)?;
        }
        loop {
            let next = match &source {
                Source::Address(address) => self.look_at_address(address).await?,
                Source::Path(path) => self.look_at_files(path).await?,
            };
            if !matches!(next, Next::Settle) {
                self.publishing.looked();
            }
            let wait = match next {
                Next::Round => every,
                Next::Settle => SETTLE.min(every),
                Next::Failed(least) => failures.next().expect("the waits never end").max(least),
            };
            if matches!(next, Next::Round | Next::Settle) {
                failures = waits.build();
            }
            if rounds == Rounds::One && !matches!(next, Next::Settle) {
                return Ok(());
            }
            sleep(wait).await;
        }
    }

    async fn look_at_address(&mut self, address: &Address) -> Result<Next, Error> {
        let Address { url, authorization, poller } = address;
        // Every time, so that it may be renewed.
        let authorization = match authorization.as_deref().map(read_authorization).transpose() {
            Ok(authorization) => authorization,
            Err(why) => {
                self.publishing.trouble("", why)?;
                return Ok(Next::Round);
            }
        };
        let known = match self.seen.get("") {
            Some(Seen { version: Version::Url(validators), is_done: true, .. }) => {
                validators.clone()
            }
            Some(_) | None => Validators::default(),
        };
        match poller.get(url, &known, authorization, BOUNDS).await {
            Ok(None) => {
                self.publishing.stands("")?;
                Ok(Next::Round)
            }
            Ok(Some((bytes, validators))) => {
                let version = Version::Url(validators);
                let is_done = self.publishing.take("", bytes, version.clone()).await?;
                self.seen.insert(String::new(), Seen { version, unsettled: 0, is_done });
                Ok(Next::Round)
            }
            Err(failure) => {
                // Without the address: what follows its path may be a secret.
                self.publishing.trouble("", format!("it cannot be fetched: {}", failure.why))?;
                Ok(Next::Failed(failure.retry_after))
            }
        }
    }

    async fn look_at_files(&mut self, source: &Path) -> Result<Next, Error> {
        let path = source.to_owned();
        let found = match blocking(move || file::list(&path)).await {
            Ok(found) => found,
            Err(why) => {
                self.publishing.trouble("", why)?;
                return Ok(Next::Round);
            }
        };
        if !found.iter().any(|found| found.name.is_empty()) {
            self.publishing.well("")?;
        }
        let is_there = |name: &str| found.iter().any(|found| found.name == name);
        self.seen.retain(|name, _| is_there(name));
        self.publishing.forget(is_there)?;
        let mut next = Next::Round;
        for found in found {
            if !self.look_at_file(found).await? {
                next = Next::Settle;
            }
        }
        Ok(next)
    }

    /// Whether it has settled.
    async fn look_at_file(&mut self, found: Found) -> Result<bool, Error> {
        let Found { name, path, stamp } = found;
        let version = Version::File(stamp.clone());
        let unsettled = match self.seen.get(&name) {
            Some(seen) if seen.version == version => {
                if seen.is_done {
                    self.publishing.stands(&name)?;
                    return Ok(true);
                }
                return self.read_file(name, &path, stamp).await;
            }
            Some(seen) => seen.unsettled.saturating_add(1),
            None => 0,
        };
        self.seen.insert(name.clone(), Seen { version, unsettled, is_done: false });
        if unsettled == UNSETTLED_MAX {
            let why = format!(
                "it was another one at {UNSETTLED_MAX} looks in a row: it is still being written"
            );
            self.publishing.trouble(&name, why)?;
        }
        Ok(unsettled >= UNSETTLED_MAX)
    }

    /// Reads what two looks have found the same; whether it has settled.
    async fn read_file(&mut self, name: String, path: &Path, stamp: Stamp) -> Result<bool, Error> {
        let (at, of) = (path.to_owned(), stamp.clone());
        let version = Version::File(stamp);
        let is_done = match blocking(move || file::read(&at, &of)).await {
            Ok(Some(bytes)) => self.publishing.take(&name, bytes.into(), version.clone()).await?,
            Ok(None) => return Ok(false),
            Err(why) => {
                self.publishing.trouble(&name, why)?;
                false
            }
        };
        self.seen.insert(name, Seen { version, unsettled: 0, is_done });
        Ok(true)
    }
}

fn read_authorization(path: &Path) -> Result<HeaderValue, String> {
    let file = std::fs::read_to_string(path)
        .map_err(|error| format!("{} cannot be read: {error}", path.display()))?;
    let wants = || format!("{} has one line, such as `Bearer TOKEN`", path.display());
    fetch::authorization(&file).ok_or_else(wants)
}

#[cfg(test)]
mod tests {
    use super::super::{Checkpoints, Rounds};
    use super::*;
    use crate::clock::Clock;
    use crate::config::FeedFormat;
    use crate::domain::{Slug, Timestamp};
    use crate::metrics::FeedMetrics;
    use lodewatch_client::Servers;
    use lodewatch_client::StateFile;
    use std::fs;
    use std::sync::Arc;

    /// A source of JSON lines, of which none is ever sent: nobody is there.
    struct Looking {
        dir: tempfile::TempDir,
        follower: Follower,
        checkpoints: Arc<Checkpoints>,
    }

    impl Looking {
        fn at(name: &str) -> Self {
            let dir = tempfile::tempdir().unwrap();
            let source = FeedSource::Path(dir.path().join(name));
            let (format, every) = (FeedFormat::Jsonl, Duration::from_secs(10));
            let feed = Feed { name: Slug::parse("test").unwrap(), format, source, every };
            let state_file = StateFile::new(dir.path().join(".state"));
            let checkpoints = Checkpoints::open(state_file, [&feed.name].into_iter()).unwrap();
            let checkpoints = Arc::new(checkpoints);
            let servers = Servers::parse(["127.0.0.1:1"]).unwrap();
            let (clock, _) = Clock::manual(Timestamp::from_millis(0));
            let kept = Arc::clone(&checkpoints);
            let publishing =
                Publishing::new(&feed, servers, clock, kept, Rounds::One, FeedMetrics::default());
            let follower = Follower::new(feed, publishing.unwrap()).unwrap();
            Self { dir, follower, checkpoints }
        }

        fn write(&self, name: &str, content: &str) {
            fs::write(self.dir.path().join(name), content).unwrap();
        }

        /// Looks once; gives what is in trouble then, as `name: why`.
        async fn look(&mut self) -> Vec<String> {
            let Source::Path(path) = self.follower.source.clone() else { panic!("it is a path") };
            self.follower.look_at_files(&path).await.unwrap();
            let entries = self.checkpoints.entries(&Slug::parse("test").unwrap());
            let why = |(name, entry): (String, super::super::Entry)| {
                entry.trouble.map(|trouble| format!("{name}: {}", trouble.why))
            };
            entries.into_iter().filter_map(why).collect()
        }
    }

    const FAULTY: &str = ": it cannot be read: line 1, column";

    #[tokio::test]
    async fn a_file_is_read_once_two_looks_in_a_row_have_found_it_the_same() {
        let mut looking = Looking::at("a");
        for length in 1..=UNSETTLED_MAX {
            looking.write("a", &"x".repeat(length.try_into().unwrap()));
            assert!(looking.look().await.is_empty(), "at look {length}");
        }
        looking.write("a", "");
        assert!(looking.look().await[0].contains("it is still being written"));
        looking.write("a", "x");
        assert!(looking.look().await[0].contains("it is still being written"));
        assert!(looking.look().await[0].contains(FAULTY));
        assert!(looking.look().await[0].contains(FAULTY), "for as long as it is the same");
        fs::remove_file(looking.dir.path().join("a")).unwrap();
        assert!(looking.look().await[0].contains("No such file"));
    }

    #[tokio::test]
    async fn files_of_a_folder_come_and_go_each_on_its_own() {
        let mut looking = Looking::at(".");
        looking.write("a", "x");
        assert!(looking.look().await.is_empty());
        looking.write("b", "x");
        assert_eq!(looking.look().await.len(), 1, "a has settled");
        let said = looking.look().await;
        assert!(said.len() == 2 && said.iter().all(|said| said.contains(FAULTY)), "{said:?}");
        fs::remove_file(looking.dir.path().join("a")).unwrap();
        let said = looking.look().await;
        assert!(said.len() == 1 && said[0].starts_with("b: "), "{said:?}");
    }
}
