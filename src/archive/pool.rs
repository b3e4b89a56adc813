//! The readers' connections: opened on demand, shared by all readers.
//!
//! Their number is no limit on callers: those who read bound themselves before they take a thread,
//! calls and subscriptions each, so that neither waits for the other here.

use super::error::Error;
use crate::sqlite;
use rusqlite::Connection;
use std::path::Path;
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use tokio_util::sync::CancellationToken;

/// The limit of the connections, and so of concurrent reads; further reads wait.
const CONNECTIONS_MAX: usize = 64;

/// Steps of SQLite's virtual machine between two checks whether a read is cancelled: a few hundred
/// rows.
pub(super) const CANCEL_CHECK_STEPS: std::ffi::c_int = 4096;

pub(super) struct ConnectionPool {
    pub(super) path: Arc<Path>,
    /// Cancelled once a read finds the file damaged.
    pub(super) damaged: CancellationToken,
    connections: Mutex<Connections>,
    returned: Condvar,
}

#[derive(Default)]
struct Connections {
    idle: Vec<Connection>,
    in_use: usize,
}

/// A connection that returns to the pool when this is dropped; `None` until it is opened.
pub(super) struct PooledConnection<'a> {
    pool: &'a ConnectionPool,
    connection: Option<Connection>,
}

impl ConnectionPool {
    pub(super) fn new(path: Arc<Path>) -> Self {
        let (connections, returned) = (Mutex::default(), Condvar::new());
        Self { path, damaged: CancellationToken::new(), connections, returned }
    }

    /// Runs a function in one read transaction, so that all its statements see the same archive.
    pub(super) fn read<T>(
        &self,
        run: impl FnOnce(&Connection) -> Result<T, rusqlite::Error>,
    ) -> Result<T, Error> {
        self.run(None, run).map_err(|error| self.failed(error))
    }

    /// The same, interrupted soon after `is_cancelled` returns true.
    pub(super) fn read_until<T>(
        &self,
        is_cancelled: impl FnMut() -> bool + Send + 'static,
        run: impl FnOnce(&Connection) -> Result<T, rusqlite::Error>,
    ) -> Result<T, Error> {
        self.run(Some(Box::new(is_cancelled)), run).map_err(|error| self.failed(error))
    }

    fn failed(&self, error: rusqlite::Error) -> Error {
        let error = Error::sqlite("read", &self.path, error);
        if matches!(error, Error::Damaged { .. }) {
            self.damaged.cancel();
        }
        error
    }

    fn run<T>(
        &self,
        is_cancelled: Option<Box<dyn FnMut() -> bool + Send>>,
        run: impl FnOnce(&Connection) -> Result<T, rusqlite::Error>,
    ) -> rusqlite::Result<T> {
        let mut pooled = self.acquire();
        let connection = match &mut pooled.connection {
            Some(connection) => connection,
            none @ None => none.insert(sqlite::open_reader(&self.path)?),
        };
        let may_end_early = is_cancelled.is_some();
        if may_end_early {
            connection.progress_handler(CANCEL_CHECK_STEPS, is_cancelled)?;
        }
        let result = in_transaction(connection, run);
        if may_end_early {
            connection.progress_handler(0, None::<fn() -> bool>)?;
        }
        result
    }

    fn acquire(&self) -> PooledConnection<'_> {
        let is_exhausted = |all: &mut Connections| all.in_use >= CONNECTIONS_MAX;
        let mut connections = self
            .returned
            .wait_while(self.lock(), is_exhausted)
            .expect("nothing panics while it holds the list of connections");
        connections.in_use = connections.in_use.saturating_add(1);
        PooledConnection { pool: self, connection: connections.idle.pop() }
    }

    fn lock(&self) -> MutexGuard<'_, Connections> {
        self.connections.lock().expect("nothing panics while it holds the list of connections")
    }
}

fn in_transaction<T>(
    connection: &mut Connection,
    run: impl FnOnce(&Connection) -> Result<T, rusqlite::Error>,
) -> rusqlite::Result<T> {
    let transaction = connection.transaction()?;
    let result = run(&transaction)?;
    transaction.finish()?;
    Ok(result)
}

impl Drop for PooledConnection<'_> {
    fn drop(&mut self) {
        let mut connections = self.pool.lock();
        connections.in_use = connections.in_use.saturating_sub(1);
        connections.idle.extend(self.connection.take());
        self.pool.returned.notify_one();
    }
}
