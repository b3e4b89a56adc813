//! What listens where: the server's port, and those for probes, metrics and the console.

use super::error::Error;
use super::gauges::GaugeCollector;
use super::listener::{ListenerConfig, bind};
use super::security::{CredentialErrors, ListenerSecurity};
use super::{browser_connection, grpc_connection, pages};
use crate::config::Config;
use crate::console;
use crate::grpc::{self, AddressLimits, Api, CallEndSettings, GatedServices, TrustedProxies};
use crate::metrics;
use futures_util::future::OptionFuture;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tonic::service::Routes;

/// The ports of a server, and what they need.
pub(super) struct Ports<'a> {
    pub(super) config: &'a Config,
    pub(super) api: Arc<Api>,
    pub(super) security: &'a ListenerSecurity,
    pub(super) credential_errors: CredentialErrors,
    /// From here on no call starts.
    pub(super) drain: CancellationToken,
    /// From here on every connection is closed.
    pub(super) close: CancellationToken,
}

impl Ports<'_> {
    /// Opens the ports. The returned future serves them until `drain` is cancelled and every
    /// connection has ended.
    ///
    /// # Errors
    ///
    /// If a port cannot be opened.
    pub(super) async fn open(
        self,
        listener: TcpListener,
    ) -> Result<impl Future<Output = ()> + use<>, Error> {
        let config = self.config;
        let metrics = || Arc::clone(&self.api.metrics);
        let main = self.main();
        let (security, errors) = (self.security.clone(), self.credential_errors.clone());
        let gauges = GaugeCollector::new(config, &self.api, security, errors);
        let api = Arc::clone(&self.api);
        let (routes, health) = grpc::routes(api, config.server.message_bytes_max).await;
        let probes = bind("health.listen", config.health.listen).await?.map(|listener| {
            let config = main.for_operators("health.listen");
            grpc_connection::serve(listener, config, None, self.gated(health), metrics())
        });
        let pages = bind("metrics.listen", config.metrics.listen).await?.map(|listener| {
            let page = metrics::page(move || gauges.text());
            pages::serve(listener, main.for_operators("metrics.listen"), page, metrics())
        });
        let console = self.console(&main, &routes).await?;
        let (encryption, services) = (self.security.encryption.clone(), self.gated(routes));
        let calls = grpc_connection::serve(listener, main, encryption, services, metrics());
        // Boxed, so that the caller's future does not have room for all of these.
        Ok(Box::pin(async {
            let (probes, pages) = (OptionFuture::from(probes), OptionFuture::from(pages));
            tokio::join!(calls, probes, pages, OptionFuture::from(console));
        }))
    }

    /// Services behind the gate and the limits, which all ports share.
    fn gated(&self, routes: Routes) -> GatedServices {
        let gate = Arc::clone(&self.security.gate);
        let ends = CallEndSettings {
            stream_age_max: self.api.stream_age_max,
            timeout: Duration::from_millis(self.config.server.transfer_timeout_ms),
        };
        GatedServices::new(routes, gate, Arc::clone(&self.api.limits), ends, &self.api.metrics)
    }

    /// The server's own port.
    fn main(&self) -> ListenerConfig {
        let config = &self.config.server;
        let addresses = AddressLimits::new(
            config.connections_per_address_max,
            config.abandoned_calls_per_second_max,
            TrustedProxies::new(config.trusted_proxies.clone()),
        );
        ListenerConfig {
            port: "server.listen",
            connections_max: config.connections_max,
            limit: "server.connections_max",
            addresses: Arc::new(addresses),
            streams_max: config.streams_per_connection_max,
            is_encrypted: self.security.encryption.is_some(),
            handshake_timeout: Duration::from_millis(config.handshake_timeout_ms),
            drain: self.drain.clone(),
            close: self.close.clone(),
        }
    }

    async fn console(
        &self,
        main: &ListenerConfig,
        routes: &Routes,
    ) -> Result<Option<impl Future<Output = ()> + use<>>, Error> {
        let settings = &self.config.console;
        let Some(listener) = bind("console.listen", settings.listen).await? else {
            return Ok(None);
        };
        let config = ListenerConfig { port: "console.listen", ..main.clone() };
        let security = self.security.clone();
        let metrics = Arc::clone(&self.api.metrics);
        let site = console::router(settings, config.is_encrypted, self.gated(routes.clone()));
        Ok(Some(browser_connection::serve(listener, config, security, site, metrics)))
    }
}
