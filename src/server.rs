//! Assembly on one screen: open → recover → adopt the policy → serve → drain.

use crate::archive::{self, Archive};
use crate::clock::Clock;
use crate::config::Config;
use crate::domain::update::Payload;
use crate::grpc::{self, Api};
use crate::journal::{self, Embedded, Journal};
use crate::pipeline::{self, Housekeeping, Pipeline, View, keep_time};
use std::future::Future;
use std::io;
use std::sync::Arc;
use std::thread;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::runtime::Handle;
use tokio::sync::{Semaphore, oneshot};
use tokio_stream::StreamExt;
use tokio_util::sync::CancellationToken;
use tonic::transport::server::TcpIncoming;

/// HTTP/2 pings to a silent client, so that a dead one is noticed.
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(20);
const KEEPALIVE_TIMEOUT: Duration = Duration::from_secs(10);

/// Why a server does not start, or ends by itself.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The journal cannot be opened or written.
    #[error("the journal in {} cannot be used", dir.display())]
    Journal {
        /// The data directory.
        dir: std::path::PathBuf,
        /// Why.
        source: journal::Error,
    },
    /// The archive cannot be opened.
    #[error("the archive in {} cannot be used", dir.display())]
    Archive {
        /// The data directory.
        dir: std::path::PathBuf,
        /// Why.
        source: archive::Error,
    },
    /// The loop has ended by itself.
    #[error("applying the journal has ended")]
    Pipeline(#[from] pipeline::Error),
    /// The loop's thread cannot be made.
    #[error("no thread can be started")]
    Thread(#[source] io::Error),
    /// The port cannot be served.
    #[error("serving has ended")]
    Transport(#[from] tonic::transport::Error),
}

/// An opened node: recovered, its policy in force, time running; not yet serving.
pub struct Node {
    journal: Arc<dyn Journal>,
    view: View,
    clock: Clock,
    stop: CancellationToken,
    ended: oneshot::Receiver<Result<(), Error>>,
    config: Config,
}

impl Node {
    /// Opens the data directory, replays what no snapshot holds, and adopts the configured policy if it differs from
    /// the one in force.
    ///
    /// # Errors
    ///
    /// When the journal is damaged, held by another process, or cannot be written.
    pub async fn open(config: Config, clock: Clock) -> Result<Self, Error> {
        let dir = config.data_dir.clone();
        let journal_error = |source| Error::Journal { dir: dir.clone(), source };
        let archive_error = |source| Error::Archive { dir: dir.clone(), source };
        let journal = Embedded::open(&config.data_dir).map_err(journal_error)?;
        let journal: Arc<dyn Journal> = Arc::new(journal);
        let archive = Archive::open(&config.data_dir, journal.epoch(), *journal.head().borrow())
            .map_err(archive_error)?;
        let housekeeping = Housekeeping {
            snapshot_every_entries: config.archive.snapshot_every_entries,
            keep_days: config.archive.keep_days,
            ring_bytes_max: config.fanout.ring_bytes_max,
        };
        let encoding = grpc::encoding(journal.epoch());
        let pipeline = Pipeline::open(&*journal, archive, encoding, housekeeping)?;
        let view = pipeline.view();
        let stop = CancellationToken::new();
        let mut ended = spawn_loop(pipeline, stop.clone())?;
        let recovered = *journal.head().borrow();
        until(&mut ended, view.wait_for(recovered)).await?;
        tracing::info!(entry = recovered.0, epoch = %journal.epoch(), "recovered");
        let node = Self { journal, view, clock, stop, ended, config };
        node.adopt_policy().await?;
        Ok(node)
    }

    /// What was made of the journal so far.
    pub fn view(&self) -> &View {
        &self.view
    }

    async fn adopt_policy(&self) -> Result<(), Error> {
        let configured = Arc::new(self.config.policy.clone());
        let in_force = self.view.look(|state| state.adopted().map(|one| Arc::clone(&one.policy)));
        if in_force.is_some_and(|policy| policy == configured) {
            return Ok(());
        }
        let adopted = Payload::PolicyAdopted(configured);
        let entry = self.journal.append(self.clock.now(), adopted).await;
        let entry =
            entry.map_err(|source| Error::Journal { dir: self.config.data_dir.clone(), source })?;
        self.view.wait_for(entry).await;
        tracing::info!(policy_version = entry.0, "policy adopted");
        Ok(())
    }

    /// Serves until told to drain; then streams say goodbye and calls under way are answered, for as long as the
    /// configuration gives them.
    ///
    /// # Errors
    ///
    /// When the journal or the loop fails: a node that cannot go on does not pretend to.
    pub async fn serve(
        mut self,
        listener: TcpListener,
        drain: CancellationToken,
    ) -> Result<(), Error> {
        let api = Arc::new(Api {
            journal: Arc::clone(&self.journal),
            view: self.view.clone(),
            clock: self.clock.clone(),
            drain: drain.clone(),
            streams: Arc::new(Semaphore::new(self.config.server.streams_max)),
            stream_age_max: self.config.server.stream_age_max,
        });
        let router = tonic::transport::Server::builder()
            .http2_keepalive_interval(Some(KEEPALIVE_INTERVAL))
            .http2_keepalive_timeout(Some(KEEPALIVE_TIMEOUT))
            .max_concurrent_streams(self.config.server.streams_per_connection_max)
            .add_routes(grpc::routes(api, self.config.server.message_bytes_max).await);
        let incoming = TcpIncoming::from(listener).with_nodelay(Some(true));
        let incoming = incoming.map(|socket| socket.map(grpc::Corked::new));
        let serving =
            router.serve_with_incoming_shutdown(incoming, drain.clone().cancelled_owned());
        let drain_bound = Duration::from_millis(self.config.server.drain_ms);
        let bounded = async {
            drain.cancelled().await;
            tracing::info!("draining");
            tokio::time::sleep(drain_bound).await;
        };
        let time = keep_time(
            Arc::clone(&self.journal),
            self.view.clone(),
            self.clock.clone(),
            self.stop.clone(),
        );
        let result = tokio::select! {
            served = serving => served.map_err(Error::from),
            () = bounded => {
                tracing::warn!("drain time is over; open connections are cut");
                Ok(())
            }
            ended = &mut self.ended => Err(loop_error(ended)),
            kept = time => kept.map_err(|source| Error::Journal { dir: self.config.data_dir.clone(), source }),
        };
        self.close().await?;
        result
    }

    /// Ends the loop with a last snapshot.
    async fn close(mut self) -> Result<(), Error> {
        self.stop.cancel();
        match (&mut self.ended).await {
            Ok(ended) => ended,
            // Already taken by `serve`, which tells of it.
            Err(_) => Ok(()),
        }
    }
}

/// Runs the loop on a thread of its own, since it blocks on the disk.
fn spawn_loop(
    pipeline: Pipeline,
    stop: CancellationToken,
) -> Result<oneshot::Receiver<Result<(), Error>>, Error> {
    let (tell, ended) = oneshot::channel();
    let runtime = Handle::current();
    let run = move || {
        let result = runtime.block_on(pipeline.run(stop)).map_err(Error::from);
        // Nobody listens when the node was dropped without closing.
        drop(tell.send(result));
    };
    thread::Builder::new().name("pipeline".into()).spawn(run).map_err(Error::Thread)?;
    Ok(ended)
}

/// Waits for something, but not past the end of the loop.
async fn until(
    ended: &mut oneshot::Receiver<Result<(), Error>>,
    wait: impl Future<Output = ()>,
) -> Result<(), Error> {
    tokio::select! {
        ended = ended => Err(loop_error(ended)),
        () = wait => Ok(()),
    }
}

fn loop_error(ended: Result<Result<(), Error>, oneshot::error::RecvError>) -> Error {
    match ended {
        Ok(Err(error)) => error,
        Ok(Ok(())) | Err(_) => {
            Error::Thread(io::Error::other("the loop ended without being told to"))
        }
    }
}
