//! Encrypted connections: who is at either end, and certificates that change meanwhile.

use crate::access::identities;
use crate::addresses::{forward, proxy_header};
use lodewatch::config::{Config, Tls};
use lodewatch_client::{Bearer, Connection, Credentials, Servers};
use lodewatch_proto::v1::alert_service_client::AlertServiceClient;
use lodewatch_proto::v1::feed_service_client::FeedServiceClient;
use lodewatch_proto::v1::policy_service_client::PolicyServiceClient;
use lodewatch_proto::v1::{GetPolicyRequest, Start, SubscribeRequest};
use lodewatch_testkit::PATIENCE;
use lodewatch_testkit::certificates::{Authority, Pair};
use lodewatch_testkit::metrics;
use lodewatch_testkit::process::Process;
use lodewatch_testkit::samples::swing;
use lodewatch_testkit::server::{Server, Stream, batch};
use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::os::unix::fs::symlink;
use std::path::Path;
use std::sync::Arc;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
use tokio_rustls::rustls::version::{TLS12, TLS13};
use tokio_rustls::rustls::{
    ClientConfig, ProtocolVersion, RootCertStore, SupportedProtocolVersion,
};
use tonic::{Code, Status};

const SERVER: &[&str] = &["localhost", "127.0.0.1"];
const OPERATOR: (&str, &str) =
    ("operator", "roles = [\"operator\"]\ncertificates = [\"spiffe://test/operator\", \"by.dns\"]");

/// A server whose certificate and authorities are in `dir`, and that knows one operator.
async fn start(dir: &Path, authority: &Authority, change: impl FnOnce(&mut Config)) -> Server {
    fs::write(dir.join("ca.crt"), authority.pem()).unwrap();
    if !dir.join("tls.crt").exists() {
        authority.issue(SERVER).write(dir);
    }
    let file = |name: &str| dir.join(name);
    let tls =
        Tls { certificate: file("tls.crt"), key: file("tls.key"), client_ca: Some(file("ca.crt")) };
    let identities = identities(dir, &[OPERATOR]);
    let trust = Credentials { ca: Some(authority.pem().into()), ..Credentials::default() };
    Server::start_for(&dir.join("data"), "2026-01-01", trust, |config| {
        config.tls = Some(tls);
        config.access.identities = Some(identities);
        config.reload.interval_ms = 10;
        change(config);
    })
    .await
}

fn operator(authority: &Authority) -> Credentials {
    let bearer = Bearer::new("operator").unwrap();
    Credentials { bearer, ca: Some(authority.pem().into()), certificate: None }
}

fn holder(authority: &Authority, pair: &Pair) -> Credentials {
    let certificate = (pair.certificate.clone().into(), pair.key.clone().into());
    let ca = Some(authority.pem().into());
    Credentials { bearer: Bearer::default(), ca, certificate: Some(certificate) }
}

async fn connect(server: &Server, credentials: Credentials) -> Connection {
    let address = server.address.as_str();
    Servers::parse_with_credentials([address], credentials).unwrap().connect().await.unwrap()
}

async fn policy(connection: &Connection) -> Result<(), Status> {
    let mut client = PolicyServiceClient::new(connection.clone());
    client.get_policy(GetPolicyRequest::default()).await.map(drop)
}

async fn subscribe(connection: &Connection, request: SubscribeRequest) -> Stream {
    let mut client = AlertServiceClient::new(connection.clone());
    Stream::of(client.subscribe(request).await.unwrap().into_inner())
}

/// A handshake in one version; the certificate that the server showed.
async fn handshake(
    server: &Server,
    authority: &Authority,
    version: &'static SupportedProtocolVersion,
    alpn: &[&[u8]],
) -> std::io::Result<TlsStream<TcpStream>> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(authority.pem().as_bytes()).unwrap()).unwrap();
    let mut config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_protocol_versions(&[version])
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = alpn.iter().map(|name| name.to_vec()).collect();
    let stream = TcpStream::connect(&server.address).await.unwrap();
    let name = ServerName::try_from("localhost").unwrap();
    TlsConnector::from(Arc::new(config)).connect(name, stream).await
}

fn shown(stream: &TlsStream<TcpStream>) -> CertificateDer<'static> {
    stream.get_ref().1.peer_certificates().unwrap()[0].clone().into_owned()
}

#[tokio::test]
async fn identity_comes_from_a_token_or_from_a_name_in_the_certificate() {
    let dir = tempfile::tempdir().unwrap();
    let (authority, stranger) = (Authority::new(), Authority::new());
    let server = start(dir.path(), &authority, |_| {}).await;
    policy(&connect(&server, operator(&authority)).await).await.unwrap();
    // DNS names have no case.
    for name in ["spiffe://test/operator", "by.dns", "By.DNS"] {
        let pair = authority.issue(&["other.dns", name]);
        policy(&connect(&server, holder(&authority, &pair)).await).await.unwrap();
    }
    let code = async |credentials: Credentials| {
        policy(&connect(&server, credentials).await).await.unwrap_err().code()
    };
    let unknown = holder(&authority, &authority.issue(&["spiffe://test/other"]));
    assert_eq!(code(unknown).await, Code::Unauthenticated);
    let nothing = Credentials { bearer: Bearer::default(), ..operator(&authority) };
    assert_eq!(code(nothing).await, Code::Unauthenticated);
    let known = holder(&authority, &authority.issue(&["by.dns"]));
    let wrong_token = Credentials { bearer: Bearer::new("wrong").unwrap(), ..known };
    assert_eq!(code(wrong_token).await, Code::Unauthenticated, "not made good by the certificate");
    // Another authority's certificate of a known name is rejected with the handshake, which the
    // client learns late.
    let pair = stranger.issue(&["by.dns"]);
    let forged =
        Servers::parse_with_credentials([server.address.as_str()], holder(&authority, &pair))
            .unwrap();
    if let Ok(connection) = forged.connect().await {
        policy(&connection).await.unwrap_err();
    }
    server.stop().await;
}

#[tokio::test]
async fn a_proxy_header_comes_before_tls() {
    let dir = tempfile::tempdir().unwrap();
    let authority = Authority::new();
    let server = start(dir.path(), &authority, |config| {
        config.server.trusted_proxies = vec!["127.0.0.1/32".parse().unwrap()];
        config.server.connections_per_address_max = 1;
    })
    .await;
    let connect = async |client: &str| {
        let address = forward(&server.address, Ipv4Addr::LOCALHOST, proxy_header(client)).await;
        let servers = Servers::parse_with_credentials([address.as_str()], operator(&authority));
        servers.unwrap().connect().await
    };
    let first = connect("198.51.100.1").await.unwrap();
    policy(&first).await.unwrap();
    policy(&connect("198.51.100.2").await.unwrap()).await.unwrap();
    if let Ok(second) = connect("198.51.100.1").await {
        policy(&second).await.expect_err("its second connection is closed");
    }
    drop(first);
    server.stop().await;
}

#[tokio::test]
async fn versions_1_3_and_1_2_are_spoken_and_nothing_but_http_2_inside() {
    let dir = tempfile::tempdir().unwrap();
    let authority = Authority::new();
    let server = start(dir.path(), &authority, |_| {}).await;
    for (version, expected) in
        [(&TLS13, ProtocolVersion::TLSv1_3), (&TLS12, ProtocolVersion::TLSv1_2)]
    {
        let stream = handshake(&server, &authority, version, &[b"h2"]).await.unwrap();
        assert_eq!(stream.get_ref().1.protocol_version(), Some(expected));
        assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
    }
    let rejected = handshake(&server, &authority, &TLS13, &[b"http/1.1"]).await;
    assert!(rejected.is_err(), "another protocol is rejected");
    server.stop().await;
}

#[tokio::test]
async fn a_handshake_that_stands_still_is_ended_in_time_and_so_is_silence_after_it() {
    let dir = tempfile::tempdir().unwrap();
    let authority = Authority::new();
    let server =
        start(dir.path(), &authority, |config| config.server.handshake_timeout_ms = 300).await;
    let mut silent = TcpStream::connect(&server.address).await.unwrap();
    let mut clear = TcpStream::connect(&server.address).await.unwrap();
    clear.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await.unwrap();
    let mut half = TcpStream::connect(&server.address).await.unwrap();
    half.write_all(&[0x16, 3, 1, 2, 0, 1]).await.unwrap();
    for stream in [&mut silent, &mut clear, &mut half] {
        let mut said = Vec::new();
        let ended = stream.read_to_end(&mut said);
        // A reset is an end as well.
        let _ = tokio::time::timeout(PATIENCE, ended).await.unwrap();
    }
    if let Ok(mut stream) = handshake(&server, &authority, &TLS13, &[b"h2"]).await {
        let mut said = Vec::new();
        let ended = stream.read_to_end(&mut said);
        let _ = tokio::time::timeout(PATIENCE, ended).await.unwrap();
    }
    server.stop().await;
}

#[tokio::test]
async fn a_swapped_secret_counts_for_new_connections_while_streams_go_on() {
    let dir = tempfile::tempdir().unwrap();
    let authority = Authority::new();
    let (one, two) = (dir.path().join("one"), dir.path().join("two"));
    for folder in [&one, &two] {
        fs::create_dir(folder).unwrap();
        authority.issue(SERVER).write(folder);
    }
    let data = dir.path().join("..data");
    symlink(&one, &data).unwrap();
    for name in ["tls.crt", "tls.key"] {
        symlink(Path::new("..data").join(name), dir.path().join(name)).unwrap();
    }
    let server = start(dir.path(), &authority, |_| {}).await;
    let connection = connect(&server, operator(&authority)).await;
    let request = SubscribeRequest { start: Start::Head.into(), ..SubscribeRequest::default() };
    let mut stream = subscribe(&connection, request).await;
    stream.until_caught_up().await;
    let before = shown(&handshake(&server, &authority, &TLS13, &[b"h2"]).await.unwrap());
    // As the kubelet does it.
    symlink(&two, dir.path().join("..swap")).unwrap();
    fs::rename(dir.path().join("..swap"), &data).unwrap();
    while shown(&handshake(&server, &authority, &TLS13, &[b"h2"]).await.unwrap()) == before {}
    // A key that does not belong to the certificate is rejected, and the previous pair stays in
    // use.
    let now = shown(&handshake(&server, &authority, &TLS13, &[b"h2"]).await.unwrap());
    fs::write(two.join("tls.key"), authority.issue(SERVER).key).unwrap();
    let mut feed = FeedServiceClient::new(connection);
    let sent = batch(vec![swing("gallium", 0)]);
    let sequences = feed.publish(sent).await.unwrap().into_inner().alert_sequences;
    stream.until_alert(*sequences.last().unwrap()).await;
    assert_eq!(shown(&handshake(&server, &authority, &TLS13, &[b"h2"]).await.unwrap()), now);
    server.stop().await;
}

#[tokio::test]
async fn history_comes_whole_through_an_encrypted_connection() {
    let dir = tempfile::tempdir().unwrap();
    let authority = Authority::new();
    let server = start(dir.path(), &authority, |_| {}).await;
    let connection = connect(&server, operator(&authority)).await;
    let mut feed = FeedServiceClient::new(connection.clone());
    let mut sequences = Vec::new();
    for turn in 0..200 {
        let minerals = ["gallium", "germanium", "zinc", "tin", "cobalt", "antimony"];
        let sent = batch(minerals.iter().map(|mineral| swing(mineral, turn)).collect());
        sequences.extend(feed.publish(sent).await.unwrap().into_inner().alert_sequences);
    }
    let request = SubscribeRequest { start: Start::Oldest.into(), ..SubscribeRequest::default() };
    let mut stream = subscribe(&connection, request).await;
    let (alerts, _) = stream.until_alert(*sequences.last().unwrap()).await;
    assert!(alerts.len() > 1000);
    assert!(alerts.iter().map(|alert| alert.sequence).eq(sequences));
    server.stop().await;
}

#[tokio::test]
async fn probes_are_answered_in_the_clear_and_nothing_else_is() {
    let dir = tempfile::tempdir().unwrap();
    let authority = Authority::new();
    let free = metrics::free_address();
    let server = start(dir.path(), &authority, |config| config.health.listen = Some(free)).await;
    let channel = lodewatch_client::connect(&free.to_string()).await.unwrap();
    let mut health = tonic_health::pb::health_client::HealthClient::new(channel.clone());
    health.check(tonic_health::pb::HealthCheckRequest::default()).await.unwrap();
    let credentials = Credentials { ca: None, ..operator(&authority) };
    let clear = Servers::parse_with_credentials([free.to_string().as_str()], credentials).unwrap();
    let asked = policy(&clear.connect().await.unwrap()).await.unwrap_err();
    assert_eq!(asked.code(), Code::Unimplemented, "not even for an operator");
    server.stop().await;
}

/// The metrics, once the series of this name and labels is above zero.
async fn metrics_with(address: SocketAddr, series: &str) -> String {
    let read = async {
        loop {
            let text = metrics::read(address).await;
            if metrics::value(&text, series).is_some_and(|value| value > 0.0) {
                return text;
            }
        }
    };
    tokio::time::timeout(PATIENCE, read).await.unwrap_or_else(|_| panic!("no {series}"))
}

#[tokio::test]
async fn failed_handshakes_are_counted_and_logged_by_their_reason() {
    let dir = tempfile::tempdir().unwrap();
    let (authority, stranger) = (Authority::new(), Authority::new());
    fs::write(dir.path().join("ca.crt"), authority.pem()).unwrap();
    authority.issue_until(SERVER, "2049-01-01").write(dir.path());
    identities(dir.path(), &[OPERATOR]);
    let address = metrics::free_address();
    let config = dir.path().join("settings.toml");
    let file = |name: &str| dir.path().join(name);
    let settings = format!(
        "metrics.listen = \"{address}\"\naccess.identities = {:?}\n\
         [tls]\ncertificate = {:?}\nkey = {:?}\nclient_ca = {:?}\n",
        file("identities.toml"),
        file("tls.crt"),
        file("tls.key"),
        file("ca.crt")
    );
    fs::write(&config, settings).unwrap();
    let mut process = Process::serve_with(&file("data"), &config);
    let call = async |credentials: Credentials| {
        let address = process.address.as_str();
        let servers = Servers::parse_with_credentials([address], credentials).unwrap();
        let connection = servers.connect().await.map_err(|error| error.to_string())?;
        policy(&connection).await.map_err(|status| status.to_string())
    };
    let expired = authority.issue_until(&["by.dns"], "2020-01-01");
    call(holder(&authority, &expired)).await.unwrap_err();
    call(holder(&authority, &stranger.issue(&["by.dns"]))).await.unwrap_err();
    call(operator(&stranger)).await.unwrap_err();
    let mut clear = TcpStream::connect(&process.address).await.unwrap();
    clear.write_all(b"GET / HTTP/1.1\r\n\r\n").await.unwrap();
    let _ = clear.read_to_end(&mut Vec::new()).await;
    call(holder(&authority, &authority.issue(&["by.dns"]))).await.unwrap();
    let reasons = ["certificate_expired", "unknown_authority", "rejected_by_client", "protocol"];
    let mut text = String::new();
    for reason in reasons {
        let series = format!("lodewatch_handshakes_failed_total{{reason=\"{reason}\"}}");
        text = metrics_with(address, &series).await;
    }
    for line in [
        // 2049-01-01
        "lodewatch_certificate_expiry_timestamp_seconds{certificate=\"server\"} 2493072000",
        "lodewatch_certificate_expiry_timestamp_seconds{certificate=\"client_ca\"} 67090118400",
        "lodewatch_credentials_loaded_timestamp_seconds{credentials=\"identities\"} 1",
        "lodewatch_credentials_loaded_timestamp_seconds{credentials=\"certificates\"} 1",
    ] {
        assert!(text.lines().any(|one| one.starts_with(line)), "{line} is not in {text}");
    }
    process.stop();
    let (_, log) = process.ended();
    for reason in reasons {
        let is_it = |line: &str| line.contains("TLS handshake failed") && line.contains(reason);
        assert!(log.lines().any(is_it), "{reason}: {log}");
    }
    assert!(!log.contains("disconnected"), "a probe of the port leaves no line");
}
