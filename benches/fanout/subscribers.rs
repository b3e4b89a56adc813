//! Many subscribers in one process: they count messages and record arrival times, and decode
//! nothing.

use crate::frames::{Counter, Wanted};
use bytes::Bytes;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Instant;
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;
use tokio::task::JoinSet;

/// A client's flow-control windows, in bytes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Windows {
    stream: u32,
    connection: u32,
    frame: u32,
}

impl Windows {
    /// HTTP/2's defaults.
    pub(crate) const STRANGER: Self = Self { stream: 65_535, connection: 65_535, frame: 16_384 };
    /// As `lodewatch_client` sets them.
    pub(crate) const OURS: Self =
        Self { stream: 256 * 1024, connection: 16 * 1024 * 1024, frame: 64 * 1024 };
}

/// Publish times of messages, by number, in nanoseconds since the start.
pub(crate) struct Published {
    pub(crate) begin: Instant,
    pub(crate) at: Vec<AtomicU64>,
}

/// The messages of one subscriber.
#[derive(Default)]
pub(crate) struct Meter {
    pub(crate) messages: AtomicUsize,
    /// Latency of every message, in microseconds, while messages are timed.
    pub(crate) latencies: Mutex<Vec<u64>>,
}

impl Meter {
    /// Counts arrived messages; measures latency if their publish time was recorded.
    pub(crate) fn count(&self, messages: usize, published: &Published) {
        let before = self.messages.fetch_add(messages, Ordering::Relaxed);
        let now = published.begin.elapsed().as_nanos() as u64;
        let sent = published.at.iter().skip(before).take(messages);
        let sent = sent.map(|at| now.saturating_sub(at.load(Ordering::Relaxed)) / 1000);
        self.latencies.lock().unwrap().extend(sent);
    }
}

/// All subscribers.
pub(crate) struct Subscribers {
    /// Those that read.
    pub(crate) meters: Vec<Arc<Meter>>,
    pub(crate) published: Arc<Published>,
    /// Streams of those that do not read, kept open.
    unread: Vec<h2::RecvStream>,
    tasks: JoinSet<()>,
}

impl Subscribers {
    /// No subscriber yet; `timed` messages will be timed.
    pub(crate) fn none(timed: usize) -> Self {
        let at = (0..timed).map(|_| AtomicU64::new(0)).collect();
        let published = Arc::new(Published { begin: Instant::now(), at });
        Self { meters: Vec::new(), published, unread: Vec::new(), tasks: JoinSet::new() }
    }

    /// Messages received by the slowest subscriber.
    pub(crate) fn least(&self) -> usize {
        self.meters.iter().map(|meter| meter.messages.load(Ordering::Relaxed)).min().unwrap()
    }

    /// Messages received by all subscribers together.
    pub(crate) fn all(&self) -> usize {
        self.meters.iter().map(|meter| meter.messages.load(Ordering::Relaxed)).sum()
    }

    fn meter(&mut self) -> (Arc<Meter>, Arc<Published>) {
        let meter = Arc::new(Meter::default());
        self.meters.push(Arc::clone(&meter));
        (meter, Arc::clone(&self.published))
    }

    /// Opens streams over one connection to a gRPC server; the last `never_read` are not read.
    pub(crate) async fn grpc(
        &mut self,
        address: &str,
        wanted: &Wanted,
        streams: usize,
        never_read: usize,
        windows: Windows,
    ) {
        let socket = TcpStream::connect(address).await.unwrap();
        socket.set_nodelay(true).unwrap();
        let handshake = h2::client::Builder::new()
            .initial_window_size(windows.stream)
            .initial_connection_window_size(windows.connection)
            .max_frame_size(windows.frame)
            .handshake::<_, Bytes>(socket);
        let (client, connection) = handshake.await.unwrap();
        self.tasks.spawn(async move { drop(connection.await) });
        for stream in 0..streams {
            let body = open(client.clone(), address, wanted).await;
            if stream + never_read >= streams {
                self.unread.push(body);
            } else {
                let (meter, published) = self.meter();
                self.tasks.spawn(read_grpc(body, wanted.counter.clone(), meter, published));
            }
        }
    }

    /// Reads a plain connection, on which every `size` bytes are a message.
    pub(crate) fn tcp(&mut self, mut socket: TcpStream, size: usize) {
        let (meter, published) = self.meter();
        self.tasks.spawn(async move {
            let (mut buffer, mut rest) = (vec![0; 64 * 1024], 0);
            while let Ok(read @ 1..) = socket.read(&mut buffer).await {
                rest += read;
                meter.count(rest / size, &published);
                rest %= size;
            }
        });
    }
}

async fn open(
    client: h2::client::SendRequest<Bytes>,
    address: &str,
    wanted: &Wanted,
) -> h2::RecvStream {
    let request = http::Request::post(format!("http://{address}{}", wanted.path))
        .header("content-type", "application/grpc")
        .header("te", "trailers")
        .body(())
        .unwrap();
    let mut client = client.ready().await.unwrap();
    let (response, mut body) = client.send_request(request, false).unwrap();
    body.send_data(wanted.request.clone(), true).unwrap();
    let response = response.await.unwrap();
    assert_eq!(response.headers().get("grpc-status"), None, "the stream is rejected");
    response.into_body()
}

async fn read_grpc(
    mut body: h2::RecvStream,
    mut counter: Counter,
    meter: Arc<Meter>,
    published: Arc<Published>,
) {
    while let Some(Ok(data)) = body.data().await {
        // The subscribers may be dropped meanwhile.
        let _ = body.flow_control().release_capacity(data.len());
        let messages = counter.count(data);
        if messages > 0 {
            meter.count(messages, &published);
        }
    }
}
