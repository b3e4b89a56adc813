//! Log lines about what a client can cause again and again: a flood of them must not fill a disk.
//!
//! ```text
//! event ─► its first of a key: a line at once, times=1
//!     └──► further ones: one line a minute, times=N
//! ```
//!
//! Every event is in exactly one line's `times`, unless it is of one key too many: those are
//! counted together.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;
use tokio::runtime::Handle;
use tokio::time::sleep;

/// How often the repetitions of an event are written.
const INTERVAL: Duration = Duration::from_mins(1);
/// Keys in one interval, and so lines; events of further keys are counted together.
const KEYS_MAX: usize = 20;

/// Writes a line of the log, with the number of events that it stands for.
pub type WriteLine = Box<dyn Fn(u64) + Send>;

/// Writes events to the log, those of one key at most once a minute. Clones share the counts.
pub struct RepeatedLog<K>(Arc<Mutex<PendingLines<K>>>);

struct PendingLines<K> {
    by_key: BTreeMap<K, PendingLine>,
    /// Events of keys over [`KEYS_MAX`].
    other_keys: u64,
}

struct PendingLine {
    write: WriteLine,
    /// Events since the line before.
    times: u64,
}

impl<K> Clone for RepeatedLog<K> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<K> Default for RepeatedLog<K> {
    fn default() -> Self {
        Self(Arc::new(Mutex::new(PendingLines { by_key: BTreeMap::new(), other_keys: 0 })))
    }
}

impl<K: Ord + Send + 'static> RepeatedLog<K> {
    /// Writes the first event of a key at once, by the line that `line` makes, and counts further
    /// ones for the line of the next minute. Must be called within a tokio runtime.
    pub fn write(&self, key: K, line: impl FnOnce() -> WriteLine) {
        let mut pending = lock(&self.0);
        if let Some(known) = pending.by_key.get_mut(&key) {
            known.times = known.times.saturating_add(1);
            return;
        }
        if pending.by_key.len() >= KEYS_MAX {
            pending.other_keys = pending.other_keys.saturating_add(1);
            return;
        }
        let write = line();
        write(1);
        if pending.by_key.is_empty() {
            let lines = Arc::downgrade(&self.0);
            Handle::current().spawn(write_repetitions(lines));
        }
        pending.by_key.insert(key, PendingLine { write, times: 0 });
    }
}

impl<K: Ord> PendingLines<K> {
    /// Writes what happened since the lines before; a key to which nothing happened is forgotten.
    fn flush(&mut self) {
        self.by_key.retain(|_, line| {
            let times = std::mem::take(&mut line.times);
            if times > 0 {
                (line.write)(times);
            }
            times > 0
        });
        let times = std::mem::take(&mut self.other_keys);
        if times > 0 {
            tracing::warn!(times, "too many different log lines in a minute, the rest suppressed");
        }
    }
}

/// Writes repetitions once a minute, until there are none.
async fn write_repetitions<K: Ord>(lines: Weak<Mutex<PendingLines<K>>>) {
    loop {
        sleep(INTERVAL).await;
        let Some(lines) = lines.upgrade() else { return };
        let mut pending = lock(&lines);
        pending.flush();
        if pending.by_key.is_empty() {
            return;
        }
    }
}

fn lock<K>(lines: &Mutex<PendingLines<K>>) -> MutexGuard<'_, PendingLines<K>> {
    lines.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    type Written = Arc<Mutex<Vec<(&'static str, u64)>>>;

    /// Every event until `events` have passed, one each `every`; then a long time.
    async fn run(
        log: &RepeatedLog<&'static str>,
        written: &Written,
        key: &'static str,
        events: u32,
        every: Duration,
    ) {
        for _ in 0..events {
            let written = Arc::clone(written);
            log.write(key, || Box::new(move |times| written.lock().unwrap().push((key, times))));
            sleep(every).await;
        }
    }

    #[tokio::test(start_paused = true)]
    async fn repeated_events_are_one_line_a_minute_and_all_are_counted() {
        let (log, written) = (RepeatedLog::default(), Written::default());
        // Ten a second for three and a half minutes.
        run(&log, &written, "a", 2100, Duration::from_millis(100)).await;
        sleep(3 * INTERVAL).await;
        let lines = std::mem::take(&mut *written.lock().unwrap());
        assert_eq!(lines.len(), 5, "{lines:?}");
        assert_eq!(lines[0], ("a", 1));
        assert_eq!(lines.iter().map(|(_, times)| times).sum::<u64>(), 2100);
        run(&log, &written, "a", 1, INTERVAL).await;
        assert_eq!(*written.lock().unwrap(), [("a", 1)], "it was over, and is news again");
    }

    #[tokio::test(start_paused = true)]
    async fn each_key_has_its_lines_and_there_are_not_too_many() {
        const KEYS: [&str; 5] = ["a", "b", "c", "d", "e"];
        let (log, written) = (RepeatedLog::default(), Written::default());
        for key in KEYS {
            run(&log, &written, key, 2, Duration::ZERO).await;
        }
        assert_eq!(*written.lock().unwrap(), KEYS.map(|key| (key, 1)));
        let numbers = RepeatedLog::default();
        let lines = Arc::new(Mutex::new(0));
        for number in 0..1000 {
            let lines = Arc::clone(&lines);
            numbers.write(number, || Box::new(move |_| *lines.lock().unwrap() += 1));
        }
        sleep(3 * INTERVAL).await;
        assert_eq!(*lines.lock().unwrap(), KEYS_MAX);
        assert!(lock(&numbers.0).by_key.is_empty(), "nothing is kept");
    }
}
