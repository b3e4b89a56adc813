//! `serve`: run a server until told to stop.

use super::arguments::Serve;
use super::error::Error;
use super::signals::Signals;
use crate::clock::Clock;
use crate::config::{self, Flags};
use crate::reload::ReloadSignal;
use crate::server::Node;
use crate::telemetry;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// Runs until SIGINT or SIGTERM; a second one ends the process at once.
pub(super) async fn run(arguments: &Serve) -> Result<(), Error> {
    let flags = Flags { data_dir: arguments.data_dir.clone(), listen: arguments.listen.clone() };
    let config = config::load(arguments.config.as_deref(), &flags)?;
    telemetry::start(&config.log);
    tracing::info!(version = env!("CARGO_PKG_VERSION"), data_dir = %config.data_dir.display(), "starting");
    let wanted = config.server.listen;
    let unable = |doing: String| move |source| Error::System { doing, source };
    let listener = TcpListener::bind(wanted).await;
    let listener =
        listener.map_err(unable(format!("{wanted}, server.listen, cannot be listened on")))?;
    let address = listener.local_addr().map_err(unable("the address is not known".to_owned()))?;
    let drain = CancellationToken::new();
    on_signal(Signals::hear()?, drain.clone());
    let reload = ReloadSignal::default();
    on_hangup(reload.clone()).map_err(unable("signals cannot be heard".to_owned()))?;
    let file = arguments.config.clone();
    let read_settings = Box::new(move || config::load(file.as_deref(), &flags));
    let clock = Clock::system(config.clock.jump_max_ms);
    let node = Node::open(config, clock).await?;
    let node = node.with_settings_source(read_settings).with_reload_signal(reload);
    tracing::info!(%address, "listening");
    node.serve(listener, drain).await?;
    tracing::info!("stopped");
    Ok(())
}

/// Reloads settings, identities and certificates at every SIGHUP.
fn on_hangup(reload: ReloadSignal) -> std::io::Result<()> {
    let mut hangup = signal(SignalKind::hangup())?;
    tokio::spawn(async move {
        while hangup.recv().await.is_some() {
            tracing::info!("received SIGHUP, reloading settings, identities and certificates");
            reload.send();
        }
    });
    Ok(())
}

/// Cancels at the first SIGINT or SIGTERM, and ends the process at the second.
fn on_signal(mut signals: Signals, drain: CancellationToken) {
    tokio::spawn(async move {
        signals.next().await;
        drain.cancel();
        signals.next().await;
        tracing::warn!("told to stop again; ending at once");
        std::process::exit(1);
    });
}
