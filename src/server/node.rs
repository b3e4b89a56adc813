//! A server: opened, serving, drained.

use super::error::Error;
use super::ports::Ports;
use super::recovery::{PipelineThread, Recovered, recover};
use super::security::{CredentialReloaders, ListenerSecurity};
use crate::clock::Clock;
use crate::config::Config;
use crate::grpc::{
    self, Api, ArchiveCalls, FairPermits, LimitSettings, Limits, MarketSnapshots, OpenAlerts,
    PublishCredits, Simulations,
};
use crate::journal::{self, Journal};
use crate::metrics::Metrics;
use crate::pipeline::{PipelineView, append_due_ticks};
use crate::reload::{
    self, PolicyReloader, ReloadSignal, SettingsSource, adopt_policy, keep_reloaded,
};
use crate::traces::Traces;
use std::future::pending;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

/// How long calls may take to notice that their connections are closed.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(1);

/// An opened server: recovered, its policy in force, not yet serving.
pub struct Node {
    config: Config,
    clock: Clock,
    journal: Arc<dyn Journal>,
    pipeline: PipelineThread,
    security: ListenerSecurity,
    credentials: CredentialReloaders,
    settings: Option<SettingsSource>,
    reload_signal: ReloadSignal,
    metrics: Arc<Metrics>,
    traces: Traces,
}

impl Node {
    /// Opens the data directory, applies the entries after the newest snapshot, and adopts the
    /// configured policy if it differs from the one in force.
    ///
    /// # Errors
    ///
    /// If the journal is damaged, locked by another process, or cannot be written; or if a file of
    /// the settings, such as that of identities, cannot be used.
    pub async fn open(config: Config, clock: Clock) -> Result<Self, Error> {
        let (security, credentials) = ListenerSecurity::open(&config, &clock)?;
        let metrics = Arc::new(Metrics::new(grpc::methods()));
        let traces = Traces::open(&config.traces)?;
        let Recovered { journal, pipeline, stall } = recover(&config, &metrics, &traces).await?;
        if stall.is_none() {
            match adopt_policy(&*journal, &pipeline.view, &clock, &config).await {
                // Retried and reported while the server runs.
                Ok(_) | Err(reload::Error::Journal(journal::Error::Unreachable { .. })) => {}
                Err(error) => return Err(Error::from_reload(error, &config.data_dir)),
            }
        }
        Ok(Self {
            config,
            clock,
            journal,
            pipeline,
            security,
            credentials,
            settings: None,
            reload_signal: ReloadSignal::default(),
            metrics,
            traces,
        })
    }

    /// Reads the settings again while the server runs, and adopts their policy when it changes.
    #[must_use]
    pub fn with_settings_source(mut self, settings: SettingsSource) -> Self {
        self.settings = Some(settings);
        self
    }

    /// Reloads settings, identities and certificates at once on this signal.
    #[must_use]
    pub fn with_reload_signal(mut self, signal: ReloadSignal) -> Self {
        self.reload_signal = signal;
        self
    }

    pub fn view(&self) -> &PipelineView {
        &self.pipeline.view
    }

    /// Serves until `drain` is cancelled. Streams then get a `GoAway` and calls in progress are
    /// answered, within `server.drain_timeout`. Connections that are still open after that are
    /// closed.
    ///
    /// # Errors
    ///
    /// If a port cannot be opened, or if the journal or the pipeline fails.
    pub async fn serve(
        mut self,
        listener: TcpListener,
        drain: CancellationToken,
    ) -> Result<(), Error> {
        let stop = self.pipeline.stop.clone();
        let (settings_error_tx, settings_error_rx) = watch::channel(String::new());
        let policy = self.policy_reloader().map(|reloader| {
            let signal = self.reload_signal.clone();
            keep_reloaded(reloader, signal, settings_error_tx, stop.clone())
        });
        let close = CancellationToken::new();
        // No connection outlives this function, however it returns.
        let _close = close.clone().drop_guard();
        let ports = Ports {
            config: &self.config,
            api: self.api(settings_error_rx, drain.clone()),
            security: &self.security,
            credential_errors: self.credentials.errors(),
            drain: drain.clone(),
            close: close.clone(),
        };
        let serving = ports.open(listener).await?;
        self.credentials.spawn(&self.reload_signal, &stop);
        let drain_timeout = Duration::from_millis(self.config.server.drain_timeout_ms);
        let drained = async {
            drain.cancelled().await;
            tracing::info!("draining");
            tokio::time::sleep(drain_timeout).await;
            tracing::warn!("drain timeout reached, closing open connections");
            close.cancel();
            tokio::time::sleep(CLOSE_TIMEOUT).await;
        };
        let is_stopped = self.pipeline.view.is_stopped();
        let ticks = append_due_ticks(
            Arc::clone(&self.journal),
            self.pipeline.view.clone(),
            self.clock.clone(),
            stop,
        );
        let policy = async {
            match policy {
                Some(reloading) => reloading.await,
                None => pending().await,
            }
        };
        let dir = &self.config.data_dir;
        let result = tokio::select! {
            () = serving => Ok(()),
            () = drained => Ok(()),
            error = self.pipeline.must_end(), if !is_stopped => Err(error),
            ended = ticks, if !is_stopped => ended.map_err(Error::from),
            ended = policy, if !is_stopped => ended.map_err(|error| Error::from_reload(error, dir)),
        };
        let closed = self.pipeline.close().await;
        self.traces.close().await;
        closed.and(result)
    }

    fn policy_reloader(&mut self) -> Option<PolicyReloader> {
        let read_settings = self.settings.take()?;
        Some(PolicyReloader {
            read_settings,
            current: self.config.clone(),
            journal: Arc::clone(&self.journal),
            view: self.pipeline.view.clone(),
            clock: self.clock.clone(),
        })
    }

    /// The services' handle to everything behind them.
    fn api(&self, settings_error: watch::Receiver<String>, drain: CancellationToken) -> Arc<Api> {
        let config = &self.config.server;
        let limits = LimitSettings {
            streams: config.streams_max,
            streams_per_identity: config.streams_per_identity_max,
            publish_streams: config.publish_streams_max,
            publish_streams_per_identity: config.publish_streams_per_identity_max,
            publish_calls_bytes: config.publish_calls_bytes_max,
            transfer_bytes: config.transfer_bytes_max,
            updates_per_second: config.updates_per_second_max,
        };
        Arc::new(Api {
            journal: Arc::clone(&self.journal),
            view: self.pipeline.view.clone(),
            clock: self.clock.clone(),
            drain,
            limits: Arc::new(Limits::new(limits)),
            credits: PublishCredits {
                batches: config.publish_batches_max,
                bytes: config.publish_bytes_max,
            },
            market_snapshots: MarketSnapshots::new(Arc::clone(&self.metrics)),
            open_alerts: OpenAlerts::default(),
            metrics: Arc::clone(&self.metrics),
            traces: self.traces.clone(),
            stream_age_max: config.stream_age_max,
            publish_idle_timeout: Duration::from_millis(config.publish_idle_timeout_ms),
            simulations: Simulations {
                permits: FairPermits::new(
                    config.simulations_max,
                    Simulations::PERMITS_LIMIT,
                    Simulations::WHAT,
                ),
                evaluations_max: config.simulation_evaluations_max,
                replay_evaluations_max: config.replay_evaluations_max,
            },
            archive_calls: ArchiveCalls::new(config.history_calls_max),
            examined_alerts_max: config.examined_alerts_max,
            settings_error,
        })
    }
}
