//! Follows one source: checks it again and again for changes.

use super::checkpoints::Version;
use super::file::{self, FileStamp, Listing, SourceFile};
use super::publishing::{Publishing, blocking};
use super::{Error, Rounds};
use crate::config::{Feed, FeedSource};
use crate::fetch::{self, AnswerLimits, Poller, Validators};
use backon::{BackoffBuilder, ExponentialBuilder};
use http::{HeaderValue, Uri};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::time::sleep;

/// For a request and its whole answer.
const FETCH_TIMEOUT: Duration = Duration::from_mins(10);
/// A file is read once two checks in a row find it the same. The second check comes after this
/// time, or with the next round where that is sooner.
const SETTLE: Duration = Duration::from_secs(10);
/// A file that differs at so many checks in a row is reported.
const UNSETTLED_MAX: u32 = 12;
/// The delay after the first failure to fetch; it doubles up to the time between two rounds.
const FETCH_RETRY_DELAY: Duration = Duration::from_secs(10);

/// Keeps one source in sync.
pub(super) struct Follower {
    source: Source,
    /// The time between two rounds.
    interval: Duration,
    /// Bytes of the largest content.
    bytes_max: u64,
    publishing: Publishing,
    /// The files that the last check found, by name.
    known: BTreeMap<String, KnownFile>,
}

#[derive(Clone)]
enum Source {
    Address(Box<Address>),
    Path(PathBuf),
}

#[derive(Clone)]
struct Address {
    url: Uri,
    authorization: Option<PathBuf>,
    poller: Poller,
}

/// A file or address as the last check found it.
struct KnownFile {
    version: Version,
    /// How many checks in a row found another version.
    unsettled: u32,
    /// Whether it needs no work until it changes.
    is_done: bool,
}

/// When to check again.
enum NextCheck {
    /// After the usual interval.
    Round,
    /// Soon, to see whether a file is complete.
    Settle,
    /// After a failure: at least so long, and longer after each failure.
    Failed(Duration),
}

impl Follower {
    pub(super) fn new(feed: Feed, publishing: Publishing) -> Result<Self, Error> {
        let file = |version| KnownFile { version, unsettled: 0, is_done: true };
        let versions = publishing.synced_versions().into_iter();
        let known = versions.map(|(name, version)| (name, file(version))).collect();
        let source = match feed.source {
            FeedSource::Url { url, authorization } => {
                let poller = Poller::new().map_err(Error::Authorities)?;
                Source::Address(Box::new(Address { url, authorization, poller }))
            }
            FeedSource::Path(path) => Source::Path(path),
        };
        let Feed { interval, bytes_max, .. } = feed;
        Ok(Self { source, interval, bytes_max, publishing, known })
    }

    /// Checks the source until the process ends, or once where there is one round.
    pub(super) async fn run(mut self, rounds: Rounds) -> Result<(), Error> {
        let interval = self.interval;
        let delays = ExponentialBuilder::new()
            .with_min_delay(FETCH_RETRY_DELAY.min(interval))
            .with_max_delay(interval)
            .with_jitter()
            .without_max_times();
        let mut failures = delays.build();
        let source = self.source.clone();
        if let Source::Address(_) = source {
            // Checkpoints of files from when the source was a folder.
            self.publishing.forget_deleted(str::is_empty)?;
        }
        loop {
            let next = match &source {
                Source::Address(address) => self.check_address(address).await?,
                Source::Path(path) => self.check_files(path).await?,
            };
            if !matches!(next, NextCheck::Settle) {
                self.publishing.report_status();
            }
            let wait = match next {
                NextCheck::Round => interval,
                NextCheck::Settle => SETTLE.min(interval),
                NextCheck::Failed(at_least) => {
                    failures.next().expect("the delays never end").max(at_least)
                }
            };
            if matches!(next, NextCheck::Round | NextCheck::Settle) {
                failures = delays.build();
            }
            if rounds == Rounds::One && !matches!(next, NextCheck::Settle) {
                return Ok(());
            }
            sleep(wait).await;
        }
    }

    async fn check_address(&mut self, address: &Address) -> Result<NextCheck, Error> {
        let Address { url, authorization, poller } = address;
        // Read for every request, so that it may be renewed.
        let authorization = match authorization.as_deref().map(read_authorization).transpose() {
            Ok(authorization) => authorization,
            Err(why) => {
                self.publishing.report_failure("", why)?;
                return Ok(NextCheck::Round);
            }
        };
        let known = match self.known.get("") {
            Some(KnownFile { version: Version::Url(validators), is_done: true, .. }) => {
                validators.clone()
            }
            Some(_) | None => Validators::default(),
        };
        let bytes_max = usize::try_from(self.bytes_max).unwrap_or(usize::MAX);
        let limits = AnswerLimits { bytes_max, timeout: FETCH_TIMEOUT };
        match poller.get(url, &known, authorization, limits).await {
            Ok(None) => {
                self.publishing.report_unchanged("")?;
                Ok(NextCheck::Round)
            }
            Ok(Some((bytes, validators))) => {
                let version = Version::Url(validators);
                let is_done = self.publishing.publish("", bytes, version.clone()).await?;
                self.known.insert(String::new(), KnownFile { version, unsettled: 0, is_done });
                Ok(NextCheck::Round)
            }
            Err(failure) => {
                // Without the address, whose query may hold a secret.
                self.publishing
                    .report_failure("", format!("cannot fetch the source: {}", failure.why))?;
                Ok(NextCheck::Failed(failure.retry_after))
            }
        }
    }

    async fn check_files(&mut self, source: &Path) -> Result<NextCheck, Error> {
        let path = source.to_owned();
        let Listing { files, links_outside } = match blocking(move || file::list(&path)).await {
            Ok(listing) => listing,
            Err(why) => {
                self.publishing.report_failure("", why)?;
                return Ok(NextCheck::Round);
            }
        };
        let found = files.iter().map(|file| &file.name).chain(&links_outside);
        let names: BTreeSet<String> = found.cloned().collect();
        let exists = |name: &str| names.contains(name);
        if !exists("") {
            self.publishing.report_in_sync("")?;
        }
        self.known.retain(|name, _| exists(name));
        self.publishing.forget_deleted(exists)?;
        for name in links_outside {
            let why = "cannot read the file: it is a link out of the folder; copy the file there";
            self.publishing.report_failure(&name, why.to_owned())?;
        }
        let mut next = NextCheck::Round;
        for file in files {
            if !self.check_file(file).await? {
                next = NextCheck::Settle;
            }
        }
        Ok(next)
    }

    /// Checks a file; returns whether it is complete.
    async fn check_file(&mut self, file: SourceFile) -> Result<bool, Error> {
        let SourceFile { name, path, stamp } = file;
        let version = Version::File(stamp.clone());
        let unsettled = match self.known.get(&name) {
            Some(known) if known.version == version => {
                if known.is_done {
                    self.publishing.report_unchanged(&name)?;
                    return Ok(true);
                }
                return self.read_file(name, &path, stamp).await;
            }
            Some(known) => known.unsettled.saturating_add(1),
            None => 0,
        };
        self.known.insert(name.clone(), KnownFile { version, unsettled, is_done: false });
        if unsettled == UNSETTLED_MAX {
            let why = format!(
                "the file is still being written: it differed at {UNSETTLED_MAX} checks in a row"
            );
            self.publishing.report_failure(&name, why)?;
        }
        Ok(unsettled >= UNSETTLED_MAX)
    }

    /// Reads a file that two checks found the same; returns whether it is complete.
    async fn read_file(
        &mut self,
        name: String,
        path: &Path,
        stamp: FileStamp,
    ) -> Result<bool, Error> {
        let (at, of, bytes_max) = (path.to_owned(), stamp.clone(), self.bytes_max);
        let version = Version::File(stamp);
        let is_done = match blocking(move || file::read(&at, &of, bytes_max)).await {
            Ok(Some(bytes)) => {
                self.publishing.publish(&name, bytes.into(), version.clone()).await?
            }
            Ok(None) => return Ok(false),
            Err(why) => {
                self.publishing.report_failure(&name, why)?;
                false
            }
        };
        self.known.insert(name, KnownFile { version, unsettled: 0, is_done });
        Ok(true)
    }
}

fn read_authorization(path: &Path) -> Result<HeaderValue, String> {
    let file = std::fs::read_to_string(path).map_err(|error| {
        format!("cannot read the authorization from {}: {error}", path.display())
    })?;
    let invalid = || {
        format!(
            "cannot use the authorization in {}; write one line, such as `Bearer TOKEN`",
            path.display()
        )
    };
    fetch::parse_authorization(&file).ok_or_else(invalid)
}

#[cfg(test)]
mod tests {
    use super::super::{Checkpoints, Rounds};
    use super::*;
    use crate::clock::Clock;
    use crate::config::FeedFormat;
    use crate::metrics::FeedMetrics;
    use lodewatch_client::Servers;
    use lodewatch_core::domain::{Slug, Timestamp};
    use std::fs;
    use std::sync::Arc;

    /// A follower of JSON lines without a server, so that none is ever sent.
    struct TestFollower {
        dir: tempfile::TempDir,
        follower: Follower,
        checkpoints: Arc<Checkpoints>,
    }

    impl TestFollower {
        fn at(name: &str) -> Self {
            let dir = tempfile::tempdir().unwrap();
            let source = FeedSource::Path(dir.path().join(name));
            let (format, interval) = (FeedFormat::Jsonl, Duration::from_secs(10));
            let name = Slug::parse("test").unwrap();
            let feed = Feed { name, format, source, interval, bytes_max: 1000 };
            let state_file = dir.path().join(".state");
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

        /// Checks once; returns the failures, as `name: why`.
        async fn check(&mut self) -> Vec<String> {
            let Source::Path(path) = self.follower.source.clone() else { panic!("it is a path") };
            self.follower.check_files(&path).await.unwrap();
            let entries = self.checkpoints.of_feed(&Slug::parse("test").unwrap());
            let why = |(name, entry): (String, super::super::Checkpoint)| {
                entry.failure.map(|failure| format!("{name}: {}", failure.why))
            };
            entries.into_iter().filter_map(why).collect()
        }
    }

    const INVALID: &str = ": cannot import the file: line 1, column";

    #[tokio::test]
    async fn a_file_is_read_once_two_checks_in_a_row_find_it_the_same() {
        let mut test = TestFollower::at("a");
        for length in 1..=UNSETTLED_MAX {
            test.write("a", &"x".repeat(length.try_into().unwrap()));
            assert!(test.check().await.is_empty(), "at check {length}");
        }
        test.write("a", "");
        assert!(test.check().await[0].contains("the file is still being written"));
        test.write("a", "x");
        assert!(test.check().await[0].contains("the file is still being written"));
        assert!(test.check().await[0].contains(INVALID));
        assert!(test.check().await[0].contains(INVALID), "as long as it is the same");
        fs::remove_file(test.dir.path().join("a")).unwrap();
        assert!(test.check().await[0].contains("No such file"));
    }

    #[tokio::test]
    async fn files_of_a_folder_are_independent() {
        let mut test = TestFollower::at(".");
        test.write("a", "x");
        assert!(test.check().await.is_empty());
        test.write("b", "x");
        assert_eq!(test.check().await.len(), 1, "a is complete");
        let failures = test.check().await;
        assert!(
            failures.len() == 2 && failures.iter().all(|failure| failure.contains(INVALID)),
            "{failures:?}"
        );
        fs::remove_file(test.dir.path().join("a")).unwrap();
        let failures = test.check().await;
        assert!(failures.len() == 1 && failures[0].starts_with("b: "), "{failures:?}");
    }

    #[tokio::test]
    async fn a_failure_shows_no_more_than_an_excerpt_of_a_file() {
        let mut test = TestFollower::at(".");
        std::os::unix::fs::symlink("/etc/passwd", test.dir.path().join("link")).unwrap();
        let secret = format!("{{\"{}\u{9b}2J\u{202e}\": 1}}\n", "secret".repeat(20));
        test.write("a", &secret.repeat(5));
        test.write("b", &"x".repeat(1001));
        test.check().await;
        let failures = test.check().await;
        assert_eq!(failures.len(), 3, "{failures:?}");
        assert!(
            failures[0].contains("cannot import the file") && failures[0].len() < 600,
            "{}",
            failures[0]
        );
        assert!(!failures[0].contains(['\u{9b}', '\u{202e}', '\n']), "{}", failures[0]);
        assert!(failures[1].contains("1001 bytes; the limit is 1000"), "{}", failures[1]);
        assert!(failures[2].contains("a link out of the folder"), "{}", failures[2]);
        assert!(!failures[2].contains("root"));
    }
}
