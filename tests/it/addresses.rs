//! What one address may do to the others, and whose address it is behind a proxy.

use crate::access::{ROLES, connect_as, identities};
use crate::limits::limit;
use crate::raw_http2::{END_HEADERS, HEADERS, HOSTILE, PING, RST_STREAM, Raw, call, frame};
use lodewatch::config::Config;
use lodewatch_client::{Bearer, Credentials, Servers};
use lodewatch_proto::v1::policy_service_client::PolicyServiceClient;
use lodewatch_proto::v1::{GetPolicyRequest, SubscribeRequest};
use lodewatch_testkit::PATIENCE;
use lodewatch_testkit::process::Process;
use lodewatch_testkit::server::{Server, Stream};
use proxy_header::{ProxiedAddress, ProxyHeader};
use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use tokio::io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tonic::transport::Channel;
use tonic::{Code, Request, Status};

const ABANDONED: &str = "server.abandoned_calls_per_second_max";
const PER_IDENTITY: &str = "server.streams_per_identity_max";
/// A trusted proxy connects from the first, any other client from the second.
const LISTED: Ipv4Addr = Ipv4Addr::LOCALHOST;
const UNLISTED: Ipv4Addr = HOSTILE;

/// A server on which ten abandoned calls are too many, and that refills one a second.
async fn strict(dir: &Path) -> Server {
    Server::start_with(dir, "2026-01-01", |config| {
        config.server.abandoned_calls_per_second_max = 1;
    })
    .await
}

/// A server that trusts a proxy, and lets each address have one stream and one connection.
async fn behind_proxy(dir: &Path, change: impl FnOnce(&mut Config)) -> Server {
    Server::start_with(dir, "2026-01-01", |config| {
        config.server.trusted_proxies = vec!["127.0.0.1/32".parse().unwrap()];
        config.server.streams_per_identity_max = 1;
        change(config);
    })
    .await
}

/// A call that needs a role.
pub(crate) async fn policy(channel: &Channel) -> Result<(), Status> {
    let mut client = PolicyServiceClient::new(channel.clone());
    client.get_policy(GetPolicyRequest::default()).await.map(drop)
}

async fn policy_as(channel: &Channel, token: &str) -> Result<(), Status> {
    let mut request = Request::new(GetPolicyRequest::default());
    request.metadata_mut().insert("authorization", format!("Bearer {token}").parse().unwrap());
    PolicyServiceClient::new(channel.clone()).get_policy(request).await.map(drop)
}

/// A header of the PROXY protocol, version 2, for this client.
pub(crate) fn proxy_header(client: &str) -> Vec<u8> {
    let source = SocketAddr::new(client.parse().unwrap(), 4711);
    let address = ProxiedAddress::stream(source, "192.0.2.1:443".parse().unwrap());
    let mut bytes = Vec::new();
    ProxyHeader::with_address(address).encode_v2(&mut bytes).unwrap();
    bytes
}

async fn connect_from(from: Ipv4Addr, to: &str) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind((from, 0).into()).unwrap();
    socket.connect(to.parse().unwrap()).await.unwrap()
}

/// The address of a proxy that connects to the server from an address, and begins each connection
/// with these bytes.
pub(crate) async fn forward(server: &str, from: Ipv4Addr, header: Vec<u8>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (address, server) = (listener.local_addr().unwrap().to_string(), server.to_owned());
    tokio::spawn(async move {
        loop {
            let (mut client, _) = listener.accept().await.unwrap();
            let mut onward = connect_from(from, &server).await;
            onward.write_all(&header).await.unwrap();
            tokio::spawn(async move {
                // Either side may go at any time.
                let _ = copy_bidirectional(&mut client, &mut onward).await;
            });
        }
    });
    address
}

async fn subscribe_from(address: &str) -> Result<Stream, Status> {
    let channel = lodewatch_client::connect(address).await.unwrap();
    Stream::on(channel, SubscribeRequest::default()).await
}

/// A subscription over a proxy's connection for this client.
async fn subscribe_for(
    channel: &Channel,
    client: &str,
) -> Result<tonic::Streaming<lodewatch_proto::v1::SubscribeResponse>, Status> {
    use lodewatch_proto::v1::alert_service_client::AlertServiceClient;
    let mut request = Request::new(SubscribeRequest::default());
    request.metadata_mut().insert("x-forwarded-for", client.parse().unwrap());
    Ok(AlertServiceClient::new(channel.clone()).subscribe(request).await?.into_inner())
}

/// Until the server has seen everything sent before; `false` where it has closed.
async fn is_alive(raw: &mut Raw) -> bool {
    let answered = async {
        raw.send(&frame(PING, 0, 0, &[7; 8])).await.ok()?;
        while raw.next().await?.kind != PING {}
        Some(())
    };
    tokio::time::timeout(PATIENCE, answered).await.expect("it is answered or closed").is_some()
}

#[tokio::test]
async fn subscriptions_read_to_caught_up_and_cancelled_are_not_abandoned() {
    let dir = tempfile::tempdir().unwrap();
    let server = strict(dir.path()).await;
    for _ in 0..3000 {
        let request = SubscribeRequest::default();
        let mut stream = Stream::on(server.channel.clone(), request).await.unwrap();
        stream.until_caught_up().await;
    }
    let again = lodewatch_client::connect(&server.address).await.unwrap();
    policy(&again).await.expect("the address is not limited");
    server.stop().await;
}

#[tokio::test]
async fn streams_that_were_answered_leave_together_and_come_back_at_once() {
    let dir = tempfile::tempdir().unwrap();
    let server = strict(dir.path()).await;
    for _ in 0..2 {
        let mut streams = Vec::new();
        for _ in 0..20 {
            let channel = lodewatch_client::connect(&server.address).await.unwrap();
            for _ in 0..100 {
                let request = SubscribeRequest::default();
                let mut stream = Stream::on(channel.clone(), request).await.unwrap();
                stream.next().await.unwrap();
                streams.push(stream);
            }
        }
    }
    server.stop().await;
}

#[tokio::test]
async fn streams_reset_unanswered_end_their_connection_and_not_those_in_use() {
    let dir = tempfile::tempdir().unwrap();
    let server = strict(dir.path()).await;
    // From the same address as the attack.
    let beside = forward(&server.address, UNLISTED, Vec::new()).await;
    let friend = lodewatch_client::connect(&beside).await.unwrap();
    policy(&friend).await.unwrap();
    let mut raw = Raw::connect(&server.address, &[]).await;
    let mut stream = 1_u32;
    while is_alive(&mut raw).await {
        // Fewer at once than HTTP/2 itself allows; the server has begun all of them before it reads
        // that they are reset.
        let batch = (0..10).map(|turn| stream + 2 * turn);
        let path = "/lodewatch.v1.AlertService/Subscribe";
        let open = batch.clone().flat_map(|id| frame(HEADERS, END_HEADERS, id, &call(path)));
        let reset = batch.flat_map(|id| frame(RST_STREAM, 0, id, &8_u32.to_be_bytes()));
        let _ = raw.send(&open.collect::<Vec<_>>()).await;
        let _ = is_alive(&mut raw).await;
        let _ = raw.send(&reset.collect::<Vec<_>>()).await;
        stream += 20;
        assert!(stream < 20 * 30, "it is closed for 100 calls");
    }
    policy(&friend).await.expect("it was answered before");
    let late = lodewatch_client::connect(&beside).await.unwrap();
    assert_eq!(limit(&policy(&late).await.unwrap_err()), ABANDONED);
    policy(&server.channel).await.expect("another address is not limited");
    server.stop().await;
}

#[tokio::test]
async fn a_client_with_an_outdated_token_does_not_cut_off_others_of_its_address() {
    let dir = tempfile::tempdir().unwrap();
    let file = identities(dir.path(), &ROLES);
    let server = Server::start_with(&dir.path().join("data"), "2026-01-01", |config| {
        config.access.identities = Some(file);
        config.server.abandoned_calls_per_second_max = 1;
    })
    .await;
    // On connections of its own.
    for _ in 0..30 {
        let stale = lodewatch_client::connect(&server.address).await.unwrap();
        for _ in 0..10 {
            let denied = policy_as(&stale, "outdated").await.unwrap_err();
            assert_eq!(denied.code(), Code::Unauthenticated);
        }
        let good = lodewatch_client::connect(&server.address).await.unwrap();
        policy_as(&good, "subscriber").await.expect("it counts by its identity");
    }
    // On the same one, as behind a proxy that joins calls.
    let shared = lodewatch_client::connect(&server.address).await.unwrap();
    for _ in 0..300 {
        policy_as(&shared, "subscriber").await.expect("it counts by its identity");
        let denied = policy_as(&shared, "outdated").await.unwrap_err();
        assert_eq!(denied.code(), Code::Unauthenticated);
    }
    // Alone it is disconnected.
    let stale = connect_as(&server, "outdated").await;
    let mut client = PolicyServiceClient::new(stale);
    let mut ended = 0;
    for _ in 0..300 {
        let error = client.get_policy(GetPolicyRequest::default()).await.unwrap_err();
        ended += usize::from(error.code() != Code::Unauthenticated);
    }
    assert!((1..=3).contains(&ended), "{ended} connections of 100 calls each");
    server.stop().await;
}

#[tokio::test]
async fn a_listed_proxy_says_with_a_proxy_header_who_the_client_is() {
    let dir = tempfile::tempdir().unwrap();
    let server =
        behind_proxy(dir.path(), |config| config.server.connections_per_address_max = 1).await;
    for client in ["198.51.100.1", "2001:db8::1"] {
        // Of the same family as the client's.
        let header = if client.contains(':') {
            format!("PROXY TCP6 {client} 2001:db8::9 4711 443\r\n").into_bytes()
        } else {
            proxy_header(client)
        };
        let address = forward(&server.address, LISTED, header).await;
        let mut first = subscribe_from(&address).await.unwrap();
        first.next().await.unwrap();
        subscribe_from(&address).await.err().expect("its second connection is closed");
        drop(first);
    }
    // The client is not a proxy: what it says of itself does not count.
    let address = forward(&server.address, LISTED, proxy_header("198.51.100.3")).await;
    let channel = lodewatch_client::connect(&address).await.unwrap();
    let _first = subscribe_for(&channel, "203.0.113.1").await.unwrap();
    let second = subscribe_for(&channel, "203.0.113.2").await.unwrap_err();
    assert_eq!(limit(&second), PER_IDENTITY);
    server.stop().await;
}

#[tokio::test]
async fn a_listed_proxy_says_with_x_forwarded_for_who_the_client_is() {
    let dir = tempfile::tempdir().unwrap();
    let server =
        behind_proxy(dir.path(), |config| config.server.connections_per_address_max = 1).await;
    // A proxy has as many connections as it opens.
    let more = lodewatch_client::connect(&server.address).await.unwrap();
    let _first = subscribe_for(&server.channel, "198.51.100.1").await.unwrap();
    let _second = subscribe_for(&more, "198.51.100.2").await.unwrap();
    let forged = subscribe_for(&more, "203.0.113.1, 198.51.100.2").await.unwrap_err();
    assert_eq!(limit(&forged), PER_IDENTITY);
    server.stop().await;
}

#[tokio::test]
async fn from_others_x_forwarded_for_is_ignored_and_a_proxy_header_is_an_error() {
    let dir = tempfile::tempdir().unwrap();
    let server = behind_proxy(dir.path(), |_| {}).await;
    let address = forward(&server.address, UNLISTED, Vec::new()).await;
    let channel = lodewatch_client::connect(&address).await.unwrap();
    let _first = subscribe_for(&channel, "198.51.100.1").await.unwrap();
    let second = subscribe_for(&channel, "198.51.100.2").await.unwrap_err();
    assert_eq!(limit(&second), PER_IDENTITY);
    let address = forward(&server.address, UNLISTED, proxy_header("198.51.100.3")).await;
    subscribe_from(&address).await.err().expect("it is not HTTP/2");
    server.stop().await;
}

#[tokio::test]
async fn an_incomplete_proxy_header_is_waited_for_no_longer_than_a_handshake() {
    let dir = tempfile::tempdir().unwrap();
    let server = behind_proxy(dir.path(), |config| config.server.handshake_timeout_ms = 50).await;
    let header = proxy_header("198.51.100.1");
    for sent in [&header[..0], &header[..1], &header[..20], &b"\r\n\r\nHTTP/2 or so?"[..]] {
        let mut stream = connect_from(LISTED, &server.address).await;
        stream.write_all(sent).await.unwrap();
        let ended = tokio::time::timeout(PATIENCE, stream.read_to_end(&mut Vec::new())).await;
        // A reset is an end as well.
        drop(ended.expect("the server closes in time"));
    }
    subscribe_for(&server.channel, "198.51.100.1").await.expect("others are served");
    server.stop().await;
}

/// The head of the response to a subscription by gRPC-Web, and the stream to hold it open.
async fn subscribe_by_web(console: &str, before: &[u8], client: &str) -> (String, TcpStream) {
    let mut stream = connect_from(LISTED, console).await;
    let request = format!(
        "POST /lodewatch.v1.AlertService/Subscribe HTTP/1.1\r\nhost: {console}\r\n\
         content-type: application/grpc-web+proto\r\nx-forwarded-for: {client}\r\n\
         content-length: 5\r\n\r\n\0\0\0\0\0"
    );
    stream.write_all(&[before, request.as_bytes()].concat()).await.unwrap();
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(tokio::time::timeout(PATIENCE, stream.read_u8()).await.unwrap().unwrap());
    }
    (String::from_utf8(head).unwrap(), stream)
}

#[tokio::test]
async fn the_console_believes_the_same_proxies() {
    let dir = tempfile::tempdir().unwrap();
    let free = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let console = free.local_addr().unwrap();
    drop(free);
    let server = behind_proxy(dir.path(), |config| config.console.listen = Some(console)).await;
    let header = proxy_header("198.51.100.3");
    let mut open = Vec::new();
    for (before, client, is_accepted) in [
        (&b""[..], "198.51.100.1", true),
        (b"", "198.51.100.2", true),
        (b"", "198.51.100.1", false),
        (&header, "198.51.100.4", true),
        (&header, "198.51.100.5", false),
    ] {
        let (head, stream) = subscribe_by_web(&console.to_string(), before, client).await;
        assert_eq!(!head.contains("grpc-status: 8"), is_accepted, "{client}: {head}");
        open.push(stream);
    }
    let mut unlisted = connect_from(UNLISTED, &console.to_string()).await;
    unlisted.write_all(&header).await.unwrap();
    let mut response = Vec::new();
    let ended = tokio::time::timeout(PATIENCE, unlisted.read_to_end(&mut response)).await;
    // A reset is an end as well.
    drop(ended.expect("the server closes in time"));
    assert!(!response.starts_with(b"HTTP/1.1 200"));
    drop(open);
    server.stop().await;
}

#[tokio::test]
async fn the_log_names_the_limit_and_the_client_once() {
    let dir = tempfile::tempdir().unwrap();
    let config = dir.path().join("lodewatch.toml");
    let file = identities(dir.path(), &ROLES);
    let settings = format!(
        "server.trusted_proxies = [\"127.0.0.1\"]\nserver.streams_per_identity_max = 1\n\
         access.identities = {file:?}\n"
    );
    fs::write(&config, settings).unwrap();
    let mut process = Process::serve_with(&dir.path().join("data"), &config);
    let address = forward(&process.address, LISTED, proxy_header("198.51.100.1")).await;
    let stale = lodewatch_client::connect(&address).await.unwrap();
    for _ in 0..50 {
        policy_as(&stale, "outdated").await.unwrap_err();
    }
    let bearer = Bearer::new("subscriber").unwrap();
    let credentials = Credentials { bearer, ..Credentials::default() };
    let servers = Servers::parse_with_credentials([address.as_str()], credentials).unwrap();
    let mut client = lodewatch_proto::v1::alert_service_client::AlertServiceClient::new(
        servers.connect().await.unwrap(),
    );
    let open = client.subscribe(SubscribeRequest::default()).await.unwrap();
    for _ in 0..50 {
        let rejected = client.subscribe(SubscribeRequest::default()).await.unwrap_err();
        assert_eq!(limit(&rejected), PER_IDENTITY);
    }
    drop(open);
    process.stop();
    let (_, log) = process.ended();
    let lines = |of: &str| log.lines().filter(|line| line.contains(of)).collect::<Vec<_>>();
    let denied = lines("call denied: no valid credentials");
    assert_eq!(denied.len(), 1, "{log}");
    assert!(denied[0].contains("peer=198.51.100.1"), "{log}");
    let limited = lines("limit reached");
    assert_eq!(limited.len(), 1, "{log}");
    for part in [PER_IDENTITY, "subscriber", "address=198.51.100.1", "times=1"] {
        assert!(limited[0].contains(part), "{part}: {log}");
    }
}

/// Files that a process has open.
fn open_files(process: &Process) -> usize {
    fs::read_dir(format!("/proc/{}/fd", process.id())).unwrap().count()
}

#[tokio::test]
async fn a_server_out_of_file_descriptors_says_so_once_and_recovers() {
    const FILES_MAX: usize = 64;
    let dir = tempfile::tempdir().unwrap();
    let limit = format!("--nofile={FILES_MAX}");
    let mut process = Process::serve_under(&["prlimit", &limit], dir.path());
    let mut held = Vec::new();
    for _ in 0..2 * FILES_MAX {
        held.push(TcpStream::connect(&process.address).await.unwrap());
    }
    let full = async {
        while open_files(&process) < FILES_MAX {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, full).await.expect("it accepts as many as it can");
    drop(held);
    let channel = lodewatch_client::connect(&process.address).await.unwrap();
    tokio::time::timeout(PATIENCE, policy(&channel)).await.unwrap().unwrap();
    process.stop();
    let (_, log) = process.ended();
    let said = log.lines().filter(|line| line.contains("cannot accept a connection"));
    assert_eq!(said.count(), 1, "{log}");
}
