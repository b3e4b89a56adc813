//! Values that are read from files, and read again when the content of a file changes.

use super::reloader::{Reloadable, Reloaded};
use std::convert::Infallible;
use std::path::PathBuf;
use std::time::Duration;
use xxhash_rust::xxh3::Xxh3Default;

/// Files, and a digest of their content when they were last checked.
pub(crate) struct FileWatcher {
    files: Vec<PathBuf>,
    digest: u128,
}

impl FileWatcher {
    /// Must be created before the files are read for the first time, so that no change is missed.
    pub(crate) fn new(files: Vec<PathBuf>) -> Self {
        let digest = content_digest(&files);
        Self { files, digest }
    }

    /// Whether a file has changed since the last check.
    fn check(&mut self) -> bool {
        let digest = content_digest(&self.files);
        std::mem::replace(&mut self.digest, digest) != digest
    }
}

/// Reads a value again when one of its files has changed.
pub(crate) struct FileReloader {
    pub(crate) name: &'static str,
    pub(crate) watcher: FileWatcher,
    pub(crate) interval: Duration,
    /// Reads the files and replaces the value. An error has the cause, and leaves the value as it
    /// is.
    pub(crate) replace: Box<dyn Fn() -> Result<(), String> + Send + Sync>,
}

impl Reloadable for FileReloader {
    type Fatal = Infallible;

    fn name(&self) -> &'static str {
        self.name
    }

    fn interval(&self) -> Duration {
        self.interval
    }

    async fn reload(&mut self) -> Result<Reloaded, Infallible> {
        if !self.watcher.check() {
            return Ok(Reloaded::Unchanged);
        }
        Ok(match (self.replace)() {
            Ok(()) => {
                tracing::info!(what = self.name, "reloaded");
                Reloaded::InUse
            }
            Err(error) => Reloaded::Rejected(error),
        })
    }
}

/// A digest that changes with the content of the files and does not reveal it.
fn content_digest(files: &[PathBuf]) -> u128 {
    let mut digest = Xxh3Default::new();
    for file in files {
        match std::fs::read(file) {
            Ok(bytes) => digest.update(&bytes),
            Err(error) => digest.update(error.to_string().as_bytes()),
        }
    }
    digest.digest128()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_file_is_read_again_only_when_its_content_has_changed() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("value");
        std::fs::write(&file, "1").unwrap();
        let path = file.clone();
        let mut reloader = FileReloader {
            name: "number",
            watcher: FileWatcher::new(vec![file.clone()]),
            interval: Duration::ZERO,
            replace: Box::new(move || {
                let text = std::fs::read_to_string(&path).map_err(|error| error.to_string())?;
                text.parse::<u8>().map(drop).map_err(|error| error.to_string())
            }),
        };
        let rejected = "invalid digit found in string".to_owned();
        for (content, reloaded) in [
            ("1", Reloaded::Unchanged),
            ("2", Reloaded::InUse),
            ("2", Reloaded::Unchanged),
            ("x", Reloaded::Rejected(rejected)),
            ("x", Reloaded::Unchanged),
            ("2", Reloaded::InUse),
        ] {
            std::fs::write(&file, content).unwrap();
            assert_eq!(reloader.reload().await, Ok(reloaded), "{content}");
        }
        std::fs::remove_file(&file).unwrap();
        assert!(matches!(reloader.reload().await, Ok(Reloaded::Rejected(_))));
    }
}
