//! Threads that are joined.

use std::io;
use std::thread::{Builder, JoinHandle};

/// A named thread; dropping this waits until it has ended. Drop before it what makes the thread
/// end, such as the sender of the channel that it reads.
pub struct WorkerThread(Option<JoinHandle<()>>);

impl WorkerThread {
    /// # Errors
    ///
    /// Where the system has no more threads.
    pub fn spawn(name: &str, run: impl FnOnce() + Send + 'static) -> io::Result<Self> {
        Builder::new().name(name.to_owned()).spawn(run).map(|thread| Self(Some(thread)))
    }
}

impl Drop for WorkerThread {
    fn drop(&mut self) {
        if self.0.take().is_some_and(|thread| thread.join().is_err()) {
            tracing::error!("a storage thread panicked");
        }
    }
}
