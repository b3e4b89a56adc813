//! `serve`: run a server until a signal stops it.

use crate::cli::error::Error;
use crate::cli::signals::Signals;
use crate::clock::Clock;
use crate::config::{self, Flags};
use crate::reload::ReloadSignal;
use crate::server::Node;
use crate::telemetry;
use clap::Args;
use std::path::PathBuf;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// Flags override the settings file and the environment.
#[derive(Debug, Args)]
pub(crate) struct ServeArgs {
    /// Settings file; `deploy/lodewatch.toml` lists every setting.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Directory of journal and archive.
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// Address to listen on; port 0 lets the system choose one.
    #[arg(long, value_name = "HOST:PORT")]
    listen: Option<String>,
}

/// The first SIGINT or SIGTERM drains the server, the second ends the process.
pub(crate) async fn run(args: ServeArgs) -> Result<(), Error> {
    let ServeArgs { config: file, data_dir, listen } = args;
    let flags = Flags { listen, data_dir };
    let config = config::load(file.as_deref(), &flags)?;
    telemetry::start(&config.log);
    let data_dir = config.data_dir.display();
    tracing::info!(version = env!("CARGO_PKG_VERSION"), %data_dir, "starting");
    let listen = config.server.listen;
    let listener = TcpListener::bind(listen).await;
    let listener =
        listener.map_err(Error::system(format!("cannot listen on {listen} (server.listen)")))?;
    let address =
        listener.local_addr().map_err(Error::system("cannot read the listener's address"))?;
    let drain = CancellationToken::new();
    drain_on_signal(Signals::install()?, drain.clone());
    let reload = ReloadSignal::default();
    reload_on_hangup(reload.clone()).map_err(Error::system("cannot install signal handlers"))?;
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
fn reload_on_hangup(reload: ReloadSignal) -> std::io::Result<()> {
    let mut hangup = signal(SignalKind::hangup())?;
    tokio::spawn(async move {
        while hangup.recv().await.is_some() {
            tracing::info!("received SIGHUP, reloading settings, identities and certificates");
            reload.send();
        }
    });
    Ok(())
}

fn drain_on_signal(mut signals: Signals, drain: CancellationToken) {
    tokio::spawn(async move {
        signals.next().await;
        drain.cancel();
        signals.next().await;
        tracing::warn!("received a second signal; stopping without drain");
        std::process::exit(1);
    });
}
