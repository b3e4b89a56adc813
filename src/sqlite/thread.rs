//! Threads that are waited for.

use std::io;
use std::thread::{Builder, JoinHandle};

/// A named thread; dropping this waits until it has ended. Whatever makes it end must be dropped before.
pub struct Thread(Option<JoinHandle<()>>);

impl Thread {
    /// Starts it.
    ///
    /// # Errors
    ///
    /// Where the system gives no more threads.
    pub fn spawn(name: &str, run: impl FnOnce() + Send + 'static) -> io::Result<Self> {
        Builder::new().name(name.to_owned()).spawn(run).map(|thread| Self(Some(thread)))
    }
}

impl Drop for Thread {
    fn drop(&mut self) {
        if self.0.take().is_some_and(|thread| thread.join().is_err()) {
            tracing::error!("a thread of a store panicked");
        }
    }
}
