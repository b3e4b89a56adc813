//! A controllable network: it cuts, delays, stops and limits the rate of connections.

use fastrand::Rng;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

/// The current state of the network.
#[derive(Debug, Clone, Copy, Default)]
pub struct Weather {
    /// The server's address; `None`: no server.
    pub server: Option<SocketAddr>,
    /// Bytes from the server that pass per millisecond; `None`: no limit. 0: silence.
    pub bytes_per_ms: Option<usize>,
    /// Nothing passes either way, and no connection ends: data in flight waits.
    pub partition: bool,
    /// Connections made before this count are cut.
    pub cuts: u64,
    /// One in this number of connections is cut at random, within its first 16 KiB from the server;
    /// 0: none.
    pub frail_one_in: u32,
}

/// A port that leads to the server through the network. Ends with its last handle.
pub struct Proxy {
    pub address: String,
    weather: watch::Sender<Weather>,
    end: CancellationToken,
}

impl Proxy {
    /// Opens a port. All randomness follows from the seed.
    pub async fn open(seed: u64, weather: Weather) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let (hand, sky) = watch::channel(weather);
        let end = CancellationToken::new();
        tokio::spawn(end.clone().run_until_cancelled_owned(accept(
            listener,
            seed,
            sky,
            end.clone(),
        )));
        Self { address, weather: hand, end }
    }

    /// Changes the state of the network.
    pub fn turn(&self, change: impl FnOnce(&mut Weather)) {
        self.weather.send_modify(change);
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.end.cancel();
    }
}

async fn accept(
    listener: TcpListener,
    seed: u64,
    weather: watch::Receiver<Weather>,
    end: CancellationToken,
) {
    for number in 0_u64.. {
        let (client, _) = listener.accept().await.unwrap();
        let rng = Rng::with_seed(seed.wrapping_add(number.wrapping_mul(0x9E37_79B9_7F4A_7C15)));
        let passing = pass(client, rng, weather.clone());
        tokio::spawn(end.clone().run_until_cancelled_owned(passing));
    }
}

/// Forwards one connection until either side or the network ends it.
async fn pass(client: TcpStream, mut rng: Rng, mut weather: watch::Receiver<Weather>) {
    let now = *weather.borrow_and_update();
    let Some(server) = now.server else { return };
    let Ok(server) = TcpStream::connect(server).await else { return };
    client.set_nodelay(true).unwrap();
    server.set_nodelay(true).unwrap();
    let (client_read, client_write) = client.into_split();
    let (server_read, server_write) = server.into_split();
    let frail = now.frail_one_in > 0 && rng.u32(0..now.frail_one_in) == 0;
    let bytes_max = if frail { rng.usize(1..16_384) } else { usize::MAX };
    let cut = weather.clone();
    tokio::select! {
        () = up(client_read, server_write, weather.clone()) => {}
        () = down(server_read, client_write, rng, weather, bytes_max) => {}
        () = until_cut(cut, now.cuts) => {}
    }
}

async fn until_cut(mut weather: watch::Receiver<Weather>, made_at: u64) {
    // The sender lives as long as the proxy, whose end ends this.
    let _ = weather.wait_for(|now| now.cuts > made_at).await;
}

/// Forwards bytes as they arrive.
async fn up(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    mut weather: watch::Receiver<Weather>,
) {
    let mut buffer = vec![0; 16_384];
    loop {
        let read = from.read(&mut buffer).await.unwrap_or(0);
        let passes = weather.wait_for(|now| !now.partition).await.is_ok();
        if !passes || read == 0 || to.write_all(&buffer[..read]).await.is_err() {
            return;
        }
    }
}

/// Forwards bytes in pieces of random size, so that messages are split anywhere.
async fn down(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    mut rng: Rng,
    mut weather: watch::Receiver<Weather>,
    mut bytes_left: usize,
) {
    let mut buffer = vec![0; 16_384];
    let mut tick = interval(Duration::from_millis(1));
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    while bytes_left > 0 {
        let now = *weather.borrow_and_update();
        let most = match if now.partition { Some(0) } else { now.bytes_per_ms } {
            None => rng.usize(1..=buffer.len()),
            Some(0) => {
                if weather.changed().await.is_err() {
                    return;
                }
                continue;
            }
            Some(bytes) => {
                tick.tick().await;
                bytes
            }
        };
        let most = most.min(bytes_left).min(buffer.len());
        let read = tokio::select! {
            read = from.read(&mut buffer[..most]) => read.unwrap_or(0),
            changed = weather.changed() => {
                if changed.is_err() {
                    return;
                }
                continue;
            }
        };
        if read == 0 || to.write_all(&buffer[..read]).await.is_err() {
            return;
        }
        bytes_left -= read;
    }
}
