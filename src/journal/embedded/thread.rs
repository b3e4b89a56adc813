//! Threads that are waited for.

use std::io;
use std::thread::{Builder, JoinHandle};

/// A named thread; dropping this waits until it has ended. Whatever makes it end must be dropped before.
pub(super) struct Thread(Option<JoinHandle<()>>);

impl Thread {
    pub(super) fn spawn(name: &str, run: impl FnOnce() + Send + 'static) -> io::Result<Self> {
        Builder::new().name(name.to_owned()).spawn(run).map(|thread| Self(Some(thread)))
    }
}

impl Drop for Thread {
    fn drop(&mut self) {
        if self.0.take().is_some_and(|thread| thread.join().is_err()) {
            tracing::error!("a thread of the journal panicked");
        }
    }
}
