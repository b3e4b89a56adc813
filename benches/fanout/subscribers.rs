//! Many subscribers in one process: they count messages, and when each came, and look at nothing else of them.

use bytes::{Buf, Bytes};
use lodewatch::grpc::pb::{AlertFilter, Exercises, Start, SubscribeRequest};
use prost::Message;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Instant;
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;
use tokio::task::JoinSet;

/// Messages of alerts are larger, all others smaller, in bytes.
const ALERTS_BYTES_MIN: usize = 300;

/// What a client lets the server send ahead, in bytes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Windows {
    stream: u32,
    connection: u32,
    frame: u32,
}

impl Windows {
    /// HTTP/2's defaults: a client that thought of nothing.
    pub(crate) const STRANGER: Self = Self { stream: 65_535, connection: 65_535, frame: 16_384 };
    /// As `lodewatch::client` sets them.
    pub(crate) const OURS: Self =
        Self { stream: 256 * 1024, connection: 16 * 1024 * 1024, frame: 64 * 1024 };
}

/// When messages were published, by number, in nanoseconds after a beginning.
pub(crate) struct Published {
    pub(crate) begin: Instant,
    pub(crate) at: Vec<AtomicU64>,
}

/// What one subscriber got.
#[derive(Default)]
pub(crate) struct Meter {
    pub(crate) messages: AtomicUsize,
    /// Of every message, in microseconds, while messages are timed.
    pub(crate) latencies: Mutex<Vec<u64>>,
}

impl Meter {
    /// Counts messages that just came; times them where it was noted when they were published.
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
    /// Of those who read.
    pub(crate) meters: Vec<Arc<Meter>>,
    pub(crate) published: Arc<Published>,
    /// Streams of those who do not, kept open.
    unread: Vec<h2::RecvStream>,
    tasks: JoinSet<()>,
}

impl Subscribers {
    /// Nobody yet; `timed` messages will be timed.
    pub(crate) fn none(timed: usize) -> Self {
        let at = (0..timed).map(|_| AtomicU64::new(0)).collect();
        let published = Arc::new(Published { begin: Instant::now(), at });
        Self { meters: Vec::new(), published, unread: Vec::new(), tasks: JoinSet::new() }
    }

    /// How many messages the slowest of them has.
    pub(crate) fn least(&self) -> usize {
        self.meters.iter().map(|meter| meter.messages.load(Ordering::Relaxed)).min().unwrap()
    }

    /// How many messages they have together.
    pub(crate) fn all(&self) -> usize {
        self.meters.iter().map(|meter| meter.messages.load(Ordering::Relaxed)).sum()
    }

    pub(crate) fn meter(&mut self) -> (Arc<Meter>, Arc<Published>) {
        let meter = Arc::new(Meter::default());
        self.meters.push(Arc::clone(&meter));
        (meter, Arc::clone(&self.published))
    }

    /// Runs a subscriber until all are dropped.
    pub(crate) fn spawn(&mut self, task: impl Future<Output = ()> + Send + 'static) {
        self.tasks.spawn(task);
    }

    /// Opens streams over one connection of a gRPC server; the last `never_read` of them are not read.
    pub(crate) async fn grpc(
        &mut self,
        address: &str,
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
        self.spawn(async move { drop(connection.await) });
        for stream in 0..streams {
            let body = open(client.clone(), address).await;
            if stream + never_read >= streams {
                self.unread.push(body);
            } else {
                let (meter, published) = self.meter();
                self.spawn(read_grpc(body, meter, published));
            }
        }
    }

    /// Opens a plain connection on which every `size` bytes are a message.
    pub(crate) async fn tcp(&mut self, address: &str, size: usize) {
        let mut socket = TcpStream::connect(address).await.unwrap();
        let (meter, published) = self.meter();
        self.spawn(async move {
            let (mut buffer, mut rest) = (vec![0; 64 * 1024], 0);
            while let Ok(read @ 1..) = socket.read(&mut buffer).await {
                rest += read;
                meter.count(rest / size, &published);
                rest %= size;
            }
        });
    }
}

async fn open(client: h2::client::SendRequest<Bytes>, address: &str) -> h2::RecvStream {
    let filter = AlertFilter { exercises: Exercises::Include.into(), ..AlertFilter::default() };
    let wanted = SubscribeRequest {
        start: Start::Head.into(),
        filter: Some(filter),
        ..SubscribeRequest::default()
    };
    let wanted = wanted.encode_to_vec();
    let mut framed = vec![0];
    framed.extend(u32::try_from(wanted.len()).unwrap().to_be_bytes());
    framed.extend(wanted);
    let request =
        http::Request::post(format!("http://{address}/lodewatch.v1.AlertService/Subscribe"))
            .header("content-type", "application/grpc")
            .header("te", "trailers")
            .body(())
            .unwrap();
    let mut client = client.ready().await.unwrap();
    let (response, mut body) = client.send_request(request, false).unwrap();
    body.send_data(framed.into(), true).unwrap();
    let response = response.await.unwrap();
    assert_eq!(response.headers().get("grpc-status"), None, "the stream is refused");
    response.into_body()
}

async fn read_grpc(mut body: h2::RecvStream, meter: Arc<Meter>, published: Arc<Published>) {
    let mut frames = Frames::default();
    while let Some(Ok(data)) = body.data().await {
        // The subscribers may be dropped meanwhile.
        let _ = body.flow_control().release_capacity(data.len());
        let messages = frames.count(data);
        if messages > 0 {
            meter.count(messages, &published);
        }
    }
}

/// Finds the ends of gRPC messages in the data of a stream.
#[derive(Default)]
struct Frames {
    header: Vec<u8>,
    /// Bytes of the message that are still to come, and whether it has alerts.
    rest: usize,
    alerts: bool,
}

impl Frames {
    /// How many messages of alerts end here.
    fn count(&mut self, mut data: Bytes) -> usize {
        let mut found = 0;
        loop {
            let here = self.rest.min(data.len());
            data.advance(here);
            self.rest -= here;
            if self.rest > 0 || data.is_empty() {
                return found + usize::from(self.rest == 0 && std::mem::take(&mut self.alerts));
            }
            found += usize::from(std::mem::take(&mut self.alerts));
            while self.header.len() < 5 && data.has_remaining() {
                self.header.push(data.get_u8());
            }
            if let [_, length @ ..] = self.header.as_slice()
                && let Ok(length) = <[u8; 4]>::try_from(length)
            {
                self.rest = u32::from_be_bytes(length) as usize;
                self.alerts = self.rest >= ALERTS_BYTES_MIN;
                self.header.clear();
            }
        }
    }
}
