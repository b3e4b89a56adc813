//! The readers' connections: opened when first needed, shared by everyone who reads.

use super::error::Error;
use crate::sqlite;
use rusqlite::Connection;
use std::path::Path;
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use tokio_util::sync::CancellationToken;

/// The most connections, and so the most who read at once; others wait for their turn.
const CONNECTIONS_MAX: usize = 8;

pub(super) struct ConnectionPool {
    pub(super) path: Arc<Path>,
    /// Cancelled once a reading finds the file damaged.
    pub(super) damaged: CancellationToken,
    connections: Mutex<Connections>,
    returned: Condvar,
}

#[derive(Default)]
struct Connections {
    idle: Vec<Connection>,
    in_use: usize,
}

/// A connection that goes back when this is dropped; `None` until it is opened.
pub(super) struct PooledConnection<'a> {
    pool: &'a ConnectionPool,
    connection: Option<Connection>,
}

impl ConnectionPool {
    pub(super) fn new(path: Arc<Path>) -> Self {
        let (connections, returned) = (Mutex::default(), Condvar::new());
        Self { path, damaged: CancellationToken::new(), connections, returned }
    }

    /// Does something with a connection in one read transaction, so that all of it sees the same archive.
    pub(super) fn read<T>(
        &self,
        run: impl FnOnce(&Connection) -> Result<T, rusqlite::Error>,
    ) -> Result<T, Error> {
        let failed = |error| {
            let error = Error::sqlite("reading", &self.path, error);
            if matches!(error, Error::Damaged { .. }) {
                self.damaged.cancel();
            }
            error
        };
        self.run(run).map_err(failed)
    }

    fn run<T>(
        &self,
        run: impl FnOnce(&Connection) -> Result<T, rusqlite::Error>,
    ) -> rusqlite::Result<T> {
        let mut lent = self.lend();
        let connection = match &mut lent.connection {
            Some(connection) => connection,
            none @ None => none.insert(sqlite::open_reader(&self.path)?),
        };
        let transaction = connection.transaction()?;
        let result = run(&transaction)?;
        transaction.finish()?;
        Ok(result)
    }

    fn lend(&self) -> PooledConnection<'_> {
        let has_none = |all: &mut Connections| all.in_use >= CONNECTIONS_MAX;
        let mut connections = self
            .returned
            .wait_while(self.lock(), has_none)
            .expect("nothing panics while it holds the list of connections");
        connections.in_use = connections.in_use.saturating_add(1);
        PooledConnection { pool: self, connection: connections.idle.pop() }
    }

    fn lock(&self) -> MutexGuard<'_, Connections> {
        self.connections.lock().expect("nothing panics while it holds the list of connections")
    }
}

impl Drop for PooledConnection<'_> {
    fn drop(&mut self) {
        let mut connections = self.pool.lock();
        connections.in_use = connections.in_use.saturating_sub(1);
        connections.idle.extend(self.connection.take());
        self.pool.returned.notify_one();
    }
}
