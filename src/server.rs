//! Assembly on one screen: open → recover → adopt the policy → serve → drain.

mod connection;
mod gauges;
mod keys;
mod pages;
mod port;
mod socket;
mod tls;
mod web;

pub use pages::serve_alone;

use crate::access::{self, Gate};
use crate::archive::{self, Archive};
use crate::clock::{Clock, Jumped};
use crate::config::{Config, Store};
use crate::console;
use crate::grpc::{
    self, AddressLimits, Api, GatedServices, LimitSettings, Limits, MarketSnapshots, PublishCredits,
};
use crate::journal::{self, JetStreamJournal, Journal, SqliteJournal};
use crate::metrics::{self, Metrics};
use crate::pipeline::{
    self, Divergence, Pipeline, PipelineView, Retention, Stall, append_due_ticks,
};
use crate::reload::{self, PolicyReloader, Reload};
use crate::traces::{self, Traces};
use futures_util::future::OptionFuture;
use gauges::GaugeCollector;
use keys::{FileWatcher, ListenerSecurity};
use port::ListenerConfig;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::thread;
use std::time::Duration;
use tls::Encryption;
use tokio::net::TcpListener;
use tokio::runtime::Handle;
use tokio::sync::{Notify, Semaphore, oneshot, watch};
use tokio_util::sync::CancellationToken;
use tonic::service::Routes;

/// Connections to a port for operators, as for probes; one more is closed at once.
const OPERATORS_MAX: usize = 100;

/// How long calls may take to notice that their connections are cut.
const CUT_BOUND: Duration = Duration::from_secs(1);

/// Why a server does not start, or ends by itself.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The journal cannot be opened or written.
    #[error("the journal cannot be used")]
    Journal(#[from] journal::Error),
    /// The archive cannot be opened.
    #[error("the archive in {} cannot be used", dir.display())]
    Archive {
        /// The data directory.
        dir: std::path::PathBuf,
        /// Why.
        source: archive::Error,
    },
    /// The file of identities cannot be used.
    #[error(transparent)]
    Access(#[from] access::Error),
    /// Certificates and keys cannot be used.
    #[error("connections cannot be encrypted")]
    Tls(#[from] tls::Error),
    /// Nobody can be told of traces.
    #[error("nothing can be traced")]
    Traces(#[from] traces::Error),
    /// A port besides the main one cannot be had.
    #[error("{address}, {port}, cannot be listened on; \"\" turns it off")]
    Port {
        /// The setting that says where it is.
        port: &'static str,
        /// Where.
        address: SocketAddr,
        /// Why.
        source: io::Error,
    },
    /// The loop has ended by itself.
    #[error("applying the journal has ended")]
    Pipeline(#[from] pipeline::Error),
    /// The clock jumped while the server started.
    #[error("no policy is adopted")]
    Clock(#[from] Jumped),
    /// The loop's thread cannot be made.
    #[error("no thread can be started")]
    Thread(#[source] io::Error),
}

/// An opened node: recovered, its policy in force, time running; not yet serving.
pub struct Node {
    journal: Arc<dyn Journal>,
    view: PipelineView,
    clock: Clock,
    stop: CancellationToken,
    ended: oneshot::Receiver<Result<(), Error>>,
    config: Config,
    reload: Option<Reload>,
    keys: ListenerSecurity,
    files: Option<FileWatcher>,
    told: Arc<Notify>,
    metrics: Arc<Metrics>,
    traces: Traces,
}

impl Node {
    /// Opens the data directory, replays what no snapshot holds, and adopts the configured policy if it differs from
    /// the one in force.
    ///
    /// # Errors
    ///
    /// When the journal is damaged, held by another process, or cannot be written.
    pub async fn open(config: Config, clock: Clock) -> Result<Self, Error> {
        let files = Some(FileWatcher::of(&config));
        let keys = open_keys(&config, &clock)?;
        let dir = config.data_dir.clone();
        let archive_error = |source| Error::Archive { dir: dir.clone(), source };
        let metrics = Arc::new(Metrics::new(grpc::methods()));
        let traces = Traces::open(&config.traces)?;
        let journal = open_journal(&config, metrics.journal.clone()).await?;
        let archive = Archive::open(&config.data_dir, journal.epoch(), *journal.head().borrow())
            .map_err(archive_error)?;
        let retention = Retention {
            snapshot_every_entries: config.archive.snapshot_every_entries,
            keep_days: config.archive.keep_days,
            keep_bytes: config.archive.keep_bytes,
            ring_bytes_max: config.fanout.ring_bytes_max,
        };
        let encoding = grpc::encoding(journal.epoch());
        let pipeline = Pipeline::open(Arc::clone(&journal), archive, encoding, retention)?;
        let pipeline = pipeline.with_metrics(metrics.pipeline.clone()).with_traces(traces.clone());
        let view = pipeline.view();
        let stop = CancellationToken::new();
        let mut ended = spawn_loop(pipeline, stop.clone())?;
        let recovered = *journal.head().borrow();
        let reached = tokio::select! {
            biased;
            reached = view.wait_for(recovered) => reached,
            ended = &mut ended => return Err(loop_error(ended)),
        };
        check_archive(&view)?;
        let (reload, told) = (None, Arc::default());
        let node = Self {
            journal,
            view,
            clock,
            stop,
            ended,
            config,
            reload,
            keys,
            files,
            told,
            metrics,
            traces,
        };
        match reached {
            Ok(()) => {
                tracing::info!(entry = recovered.0, epoch = %node.journal.epoch(), "recovered");
                let adopted =
                    reload::adopt(&*node.journal, &node.view, &node.clock, &node.config).await;
                match adopted {
                    // Looked at again while it serves, and told then.
                    Ok(_) | Err(reload::Error::Journal(journal::Error::Unreachable { .. })) => {}
                    Err(error) => return Err(node.reload_error(error)),
                }
            }
            Err(Stall::Full(error)) => return Err(archive_error(error)),
            Err(Stall::Damaged(damage)) => tracing::error!(
                error = %damage,
                applied = node.view.applied().0,
                "the journal is damaged; what is before the damage is served, nothing past it, and nothing is taken"
            ),
            Err(Stall::Diverged(divergence)) => refuse_all(divergence),
        }
        Ok(node)
    }

    /// Keeps the policy in force as the settings say while it serves.
    #[must_use]
    pub fn with_reload(mut self, reload: Reload) -> Self {
        self.reload = Some(reload);
        self
    }

    /// Reads the files of identities, certificates and keys again at once when this is rung, as SIGHUP does.
    #[must_use]
    pub fn with_hangup(mut self, told: Arc<Notify>) -> Self {
        self.told = told;
        self
    }

    /// What was made of the journal so far.
    pub fn view(&self) -> &PipelineView {
        &self.view
    }

    fn keeper(&mut self, settings_error: watch::Sender<String>) -> Option<PolicyReloader> {
        let reload = self.reload.take()?;
        Some(PolicyReloader {
            reload,
            running: self.config.clone(),
            journal: Arc::clone(&self.journal),
            view: self.view.clone(),
            clock: self.clock.clone(),
            settings_error,
        })
    }

    fn reload_error(&self, error: reload::Error) -> Error {
        match error {
            reload::Error::Journal(source) => Error::from(source),
            reload::Error::Clock(jumped) => Error::from(jumped),
            reload::Error::Stall(stall) => self.stall_error(stall),
        }
    }

    fn stall_error(&self, stall: Stall) -> Error {
        let dir = self.config.data_dir.clone();
        match stall {
            Stall::Damaged(source) => Error::from(source),
            Stall::Full(source) => Error::Archive { dir, source },
            Stall::Diverged(divergence) => Error::from(pipeline::Error::from(divergence)),
        }
    }

    /// Serves until told to drain; then streams say goodbye and calls under way are answered, for as long as the
    /// configuration gives them. Whatever is still open after that is cut.
    ///
    /// # Errors
    ///
    /// When the journal or the loop fails: a node that cannot go on does not pretend to.
    pub async fn serve(
        mut self,
        listener: TcpListener,
        drain: CancellationToken,
    ) -> Result<(), Error> {
        let (settings_error_tx, settings_error_rx) = watch::channel(String::new());
        let keeper = self.keeper(settings_error_tx);
        let cut = CancellationToken::new();
        // However this ends, no connection outlives it.
        let _cut = cut.clone().drop_guard();
        let serving = self.answer(listener, settings_error_rx, drain.clone(), cut.clone()).await?;
        if let Some(files) = self.files.take() {
            let every = Duration::from_millis(self.config.reload.interval_ms);
            let (told, stop) = (Arc::clone(&self.told), self.stop.clone());
            tokio::spawn(self.keys.clone().keep(files, every, told, stop));
        }
        let drain_bound = Duration::from_millis(self.config.server.drain_timeout_ms);
        let bounded = async {
            drain.cancelled().await;
            tracing::info!("draining");
            tokio::time::sleep(drain_bound).await;
            tracing::warn!("drain time is over; open connections are cut");
            cut.cancel();
            tokio::time::sleep(CUT_BOUND).await;
        };
        let is_ended = self.view.is_stopped();
        let time = append_due_ticks(
            Arc::clone(&self.journal),
            self.view.clone(),
            self.clock.clone(),
            self.stop.clone(),
        );
        let result = tokio::select! {
            () = serving => Ok(()),
            () = bounded => Ok(()),
            error = until_failed(&mut self.ended), if !is_ended => Err(error),
            kept = time, if !is_ended => kept.map_err(Error::from),
            kept = keep_policy(keeper, self.stop.clone()), if !is_ended => kept.map_err(|error| self.reload_error(error)),
        };
        let traces = self.traces.clone();
        let closed = if self.ended.is_terminated() { Ok(()) } else { self.close().await };
        traces.close().await;
        closed.and(result)
    }

    /// Answers calls until told to drain and every connection has ended.
    async fn answer(
        &self,
        listener: TcpListener,
        settings_error: watch::Receiver<String>,
        drain: CancellationToken,
        cut: CancellationToken,
    ) -> Result<impl Future<Output = ()> + use<>, Error> {
        let config = &self.config.server;
        let limits = LimitSettings {
            streams: config.streams_max,
            streams_per_identity: config.streams_per_identity_max,
            publish_streams: config.publish_streams_max,
            publish_calls_bytes: config.publish_calls_bytes_max,
            updates_per_second: config.updates_per_second_max,
        };
        let api = Arc::new(Api {
            journal: Arc::clone(&self.journal),
            view: self.view.clone(),
            clock: self.clock.clone(),
            drain: drain.clone(),
            limits: Limits::new(limits),
            credits: PublishCredits {
                batches: config.publish_batches_max,
                bytes: config.publish_bytes_max,
            },
            market_snapshots: MarketSnapshots::default(),
            metrics: Arc::clone(&self.metrics),
            traces: self.traces.clone(),
            stream_age_max: config.stream_age_max,
            simulations: Arc::new(Semaphore::new(config.simulations_max)),
            settings_error,
        });
        let ends = self.ends(drain, cut);
        let of = |port| {
            // Of their own: whoever probes may share an address with somebody hostile.
            let addresses = Arc::new(AddressLimits::new(OPERATORS_MAX, u32::MAX));
            let (connections_max, limit) = (OPERATORS_MAX, port);
            ListenerConfig {
                port,
                connections_max,
                limit,
                addresses,
                is_encrypted: false,
                ..ends.clone()
            }
        };
        let standing = GaugeCollector::new(&self.config, &api);
        let (routes, health) = grpc::routes(api, config.message_bytes_max).await;
        let metrics = || Arc::clone(&self.metrics);
        let probes = bind("health.listen", self.config.health.listen).await?.map(|listener| {
            let (keys, ends) =
                (ListenerSecurity { encryption: None, ..self.keys.clone() }, of("health.listen"));
            connection::serve(listener, ends, keys, health.prepare(), metrics())
        });
        let pages = bind("metrics.listen", self.config.metrics.listen).await?.map(|listener| {
            let page = metrics::page(move || standing.text());
            pages::serve(listener, of("metrics.listen"), page, metrics())
        });
        let console = self.console(ends.clone(), &routes).await?;
        let (keys, routes) = (self.keys.clone(), routes.prepare());
        let calls = connection::serve(listener, ends, keys, routes, metrics());
        // Boxed: whoever serves need not carry what the ports take.
        Ok(Box::pin(async {
            let (probes, pages) = (OptionFuture::from(probes), OptionFuture::from(pages));
            tokio::join!(calls, probes, pages, OptionFuture::from(console));
        }))
    }

    /// How connections to the server's port begin and end.
    fn ends(&self, drain: CancellationToken, cut: CancellationToken) -> ListenerConfig {
        let config = &self.config.server;
        let addresses = AddressLimits::new(
            config.connections_per_address_max,
            config.abandoned_calls_per_second_max,
        );
        ListenerConfig {
            port: "server.listen",
            connections_max: config.connections_max,
            limit: "server.connections_max",
            addresses: Arc::new(addresses),
            streams_max: config.streams_per_connection_max,
            is_encrypted: self.keys.encryption.is_some(),
            handshake: Duration::from_millis(config.handshake_timeout_ms),
            drain,
            cut,
        }
    }

    /// Answers browsers, where that is wanted.
    async fn console(
        &self,
        ends: ListenerConfig,
        routes: &Routes,
    ) -> Result<Option<impl Future<Output = ()> + use<>>, Error> {
        let settings = &self.config.console;
        let Some(listener) = bind("console.listen", settings.listen).await? else {
            return Ok(None);
        };
        let ends = ListenerConfig { port: "console.listen", ..ends };
        let keys = self.keys.clone();
        let calls = GatedServices::new(routes.clone(), Arc::clone(&keys.gate), &self.metrics);
        let site = console::router(settings, ends.is_encrypted, calls);
        Ok(Some(web::serve(listener, ends, keys, site, Arc::clone(&self.metrics))))
    }

    /// ListenerConfig the loop with a last snapshot.
    async fn close(mut self) -> Result<(), Error> {
        self.stop.cancel();
        let is_ended = self.view.is_stopped();
        match (&mut self.ended).await {
            // Told of when it happened.
            Ok(Err(_)) | Err(_) if is_ended => Ok(()),
            Ok(Ok(())) => Ok(()),
            failed => Err(loop_error(failed)),
        }
    }
}

/// Listens where a port for operators should be, if anywhere.
async fn bind(
    port: &'static str,
    address: Option<SocketAddr>,
) -> Result<Option<TcpListener>, Error> {
    let Some(address) = address else { return Ok(None) };
    let unable = |source| Error::Port { port, address, source };
    let listener = TcpListener::bind(address).await.map_err(unable)?;
    let address = listener.local_addr().map_err(unable)?;
    tracing::info!(port, %address, "also listening");
    Ok(Some(listener))
}

/// Who is let in, as configured; says so where that is anyone.
fn open_keys(config: &Config, clock: &Clock) -> Result<ListenerSecurity, Error> {
    let is_local = config.server.listen.ip().to_canonical().is_loopback();
    if config.server.insecure {
        let (tls, authentication) = (config.tls.is_some(), config.access.identities.is_some());
        tracing::warn!(
            tls,
            authentication,
            "server.insecure = true: whatever is in front must protect it"
        );
    }
    let unproved = if is_local { "local" } else { "anonymous" };
    let gate = Arc::new(Gate::open(&config.access, clock.clone(), unproved)?);
    let encryption = config.tls.clone().map(Encryption::open).transpose()?.map(Arc::new);
    Ok(ListenerSecurity { gate, encryption })
}

/// Opens the journal, wherever it is.
async fn open_journal(
    config: &Config,
    counted: metrics::JournalMetrics,
) -> Result<Arc<dyn Journal>, journal::Error> {
    Ok(match &config.journal {
        Store::Sqlite => Arc::new(SqliteJournal::open_with_metrics(&config.data_dir, counted)?),
        Store::JetStream(settings) => {
            // Boxed: what connecting takes is given back once it is done.
            let open = JetStreamJournal::open_with_metrics(settings, &config.data_dir, counted);
            Arc::new(Box::pin(open).await?)
        }
    })
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

/// Keeps the policy as the settings say, where they are read again.
async fn keep_policy(
    keeper: Option<PolicyReloader>,
    stop: CancellationToken,
) -> Result<(), reload::Error> {
    match keeper {
        Some(keeper) => keeper.run(stop).await,
        None => std::future::pending().await,
    }
}

/// Proves the archive, on a thread of its own, since that takes as long as it is large. Damage ends the loop, which
/// discards the archive.
fn check_archive(view: &PipelineView) -> Result<(), Error> {
    let archive = view.archive().clone();
    let check = move || match archive.verify() {
        Ok(()) => tracing::debug!("the archive is whole"),
        Err(error) => tracing::error!(%error, "the archive was checked"),
    };
    thread::Builder::new().name("check".into()).spawn(check).map(drop).map_err(Error::Thread)
}

/// Waits until the loop ends by itself. Where it ends because replicas differ, the process stays, and refuses everyone: it must
/// be looked at, and not be started again and again.
async fn until_failed(ended: &mut oneshot::Receiver<Result<(), Error>>) -> Error {
    match ended.await {
        Ok(Err(Error::Pipeline(pipeline::Error::Diverged(divergence)))) => {
            refuse_all(divergence);
            std::future::pending().await
        }
        ended => loop_error(ended),
    }
}

fn refuse_all(divergence: Divergence) {
    tracing::error!(error = %divergence, entry = divergence.entry.0, "this replica no longer serves");
}

fn loop_error(ended: Result<Result<(), Error>, oneshot::error::RecvError>) -> Error {
    match ended {
        Ok(Err(error)) => error,
        Ok(Ok(())) | Err(_) => {
            Error::Thread(io::Error::other("the loop ended without being told to"))
        }
    }
}
