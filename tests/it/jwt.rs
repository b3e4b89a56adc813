//! JSON web tokens of an issuer that the test plays.

use crate::access::identities;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;
use lodewatch::config::{Config, Jwt};
use lodewatch_client::{Bearer, Credentials, Servers};
use lodewatch_proto::v1::GetPolicyRequest;
use lodewatch_proto::v1::policy_service_client::PolicyServiceClient;
use lodewatch_testkit::certificates::Authority;
use lodewatch_testkit::process::Process;
use lodewatch_testkit::server::Server;
use ring::rand::SystemRandom;
use ring::rsa::PublicKeyComponents;
use ring::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair, RSA_PKCS1_SHA256,
    RsaKeyPair,
};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::ring as provider;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use tonic::{Code, Request};

const NOW: i64 = 1_767_225_600; // 2026-01-01
const READER: (&str, &str) = ("reader", "roles = [\"subscriber\"]\nclaims = [\"read\"]");

/// A key of the issuer, and its name.
enum Key {
    Rsa(Box<RsaKeyPair>),
    Ec(EcdsaKeyPair),
    Ed(Ed25519KeyPair),
}

impl Key {
    fn rsa() -> Self {
        let pem = include_bytes!("../fixtures/test-only-rsa.pem");
        let der = PrivatePkcs8KeyDer::from_pem_slice(pem).unwrap();
        Self::Rsa(Box::new(RsaKeyPair::from_pkcs8(der.secret_pkcs8_der()).unwrap()))
    }

    fn ec() -> Self {
        let (way, random) = (&ECDSA_P256_SHA256_FIXED_SIGNING, SystemRandom::new());
        let der = EcdsaKeyPair::generate_pkcs8(way, &random).unwrap();
        Self::Ec(EcdsaKeyPair::from_pkcs8(way, der.as_ref(), &random).unwrap())
    }

    fn ed() -> Self {
        let der = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).unwrap();
        Self::Ed(Ed25519KeyPair::from_pkcs8(der.as_ref()).unwrap())
    }

    fn algorithm(&self) -> &'static str {
        match self {
            Self::Rsa(_) => "RS256",
            Self::Ec(_) => "ES256",
            Self::Ed(_) => "EdDSA",
        }
    }

    /// As it stands in a key set.
    fn public(&self, name: &str) -> Value {
        let text = |bytes: &[u8]| BASE64.encode(bytes);
        match self {
            Self::Rsa(key) => {
                let public = PublicKeyComponents::<Vec<u8>>::from(key.public());
                let (n, e) = (text(&public.n), text(&public.e));
                json!({"kid": name, "kty": "RSA", "use": "sig", "alg": "RS256", "n": n, "e": e})
            }
            Self::Ec(key) => {
                let point = key.public_key().as_ref();
                let (x, y) = (text(&point[1..33]), text(&point[33..]));
                json!({"kid": name, "kty": "EC", "crv": "P-256", "x": x, "y": y})
            }
            Self::Ed(key) => {
                let x = text(key.public_key().as_ref());
                json!({"kid": name, "kty": "OKP", "crv": "Ed25519", "x": x})
            }
        }
    }

    fn sign(&self, name: &str, claims: &Value) -> String {
        self.sign_with(&json!({"alg": self.algorithm(), "kid": name, "typ": "JWT"}), claims)
    }

    fn sign_with(&self, header: &Value, claims: &Value) -> String {
        let text = |value: &Value| BASE64.encode(value.to_string());
        let message = format!("{}.{}", text(header), text(claims));
        let random = SystemRandom::new();
        let signature = match self {
            Self::Rsa(key) => {
                let mut signature = vec![0; key.public().modulus_len()];
                key.sign(&RSA_PKCS1_SHA256, &random, message.as_bytes(), &mut signature).unwrap();
                signature
            }
            Self::Ec(key) => key.sign(&random, message.as_bytes()).unwrap().as_ref().to_vec(),
            Self::Ed(key) => key.sign(message.as_bytes()).as_ref().to_vec(),
        };
        format!("{message}.{}", BASE64.encode(signature))
    }
}

fn claims() -> Value {
    json!({"iss": "https://issuer.test", "aud": ["other", "lodewatch"], "sub": "alice",
        "exp": NOW + 600, "roles": "other read"})
}

async fn start(dir: &Path, keys: &str) -> Server {
    let identities = identities(dir, &[READER]);
    let jwt = Jwt {
        issuer: "https://issuer.test".into(),
        audience: "lodewatch".into(),
        keys: keys.to_owned(),
        roles_claim: "roles".into(),
    };
    let change = |config: &mut Config| {
        config.access.identities = Some(identities);
        config.access.jwt = Some(jwt);
    };
    Server::start_with(&dir.join("data"), "2026-01-01", change).await
}

async fn ask(server: &Server, token: &str) -> Code {
    ask_at(&server.address, token).await
}

async fn ask_at(address: &str, token: &str) -> Code {
    let credentials = Credentials { bearer: Bearer::new(token).unwrap(), ..Credentials::default() };
    let servers = Servers::parse_with_credentials([address], credentials).unwrap();
    let mut client = PolicyServiceClient::new(servers.connect().await.unwrap());
    let asked = client.get_policy(GetPolicyRequest::default()).await;
    asked.map_or_else(|status| status.code(), |_| Code::Ok)
}

#[tokio::test]
async fn a_token_counts_that_the_issuer_signed_for_this_server_in_its_time() {
    let dir = tempfile::tempdir().unwrap();
    let keys = [("rsa", Key::rsa()), ("ec", Key::ec()), ("ed", Key::ed())];
    let mut set: Vec<Value> = keys.iter().map(|(name, key)| key.public(name)).collect();
    set.push(json!({"kid": "secret", "kty": "oct", "k": "c2VjcmV0"}));
    let file = dir.path().join("keys.json");
    std::fs::write(&file, json!({ "keys": set }).to_string()).unwrap();
    let server = start(dir.path(), file.to_str().unwrap()).await;
    for (name, key) in &keys {
        assert_eq!(ask(&server, &key.sign(name, &claims())).await, Code::Ok, "{name}");
    }
    let key = &keys[1].1;
    for (field, value) in [
        ("roles", json!(["read"])),
        ("exp", json!(1_767_225_600.5)),
        ("nbf", json!(1_767_225_600.25)),
        ("iat", json!(1_767_225_600.25)),
    ] {
        let mut claims = claims();
        claims[field] = value.clone();
        assert_eq!(ask(&server, &key.sign("ec", &claims)).await, Code::Ok, "{field} = {value}");
    }
    for (field, value) in [
        ("iss", json!("https://else.test")),
        ("aud", json!("other")),
        ("aud", Value::Null),
        ("exp", json!(NOW - 61)),
        ("exp", json!(1_767_225_539.5)),
        ("exp", json!("1767225700")),
        ("exp", Value::Null),
        ("nbf", json!(NOW + 61)),
        ("sub", json!("")),
        ("sub", json!("a\nb")),
        ("sub", json!("a".repeat(256))),
        ("roles", json!("write")),
        ("roles", Value::Null),
    ] {
        let mut claims = claims();
        claims[field] = value.clone();
        let code = ask(&server, &key.sign("ec", &claims)).await;
        assert_eq!(code, Code::Unauthenticated, "{field} = {value}");
    }
    let good = key.sign("ec", &claims());
    let (message, signature) = good.rsplit_once('.').unwrap();
    let none = BASE64.encode(r#"{"alg":"none","kid":"ec"}"#);
    let hs = BASE64.encode(r#"{"alg":"HS256","kid":"secret"}"#);
    let (_, body) = message.split_once('.').unwrap();
    for bad in [
        message.to_owned(),
        format!("{message}."),
        format!("{none}.{body}."),
        format!("{hs}.{body}.{signature}"),
        format!("{message}.{}", signature.chars().rev().collect::<String>()),
        Key::ec().sign("ec", &claims()),
        keys[2].1.sign("ec", &claims()),
        keys[0].1.sign("ed", &claims()),
        format!("{good}{}", "a".repeat(9000)),
    ] {
        assert_eq!(ask(&server, &bad).await, Code::Unauthenticated, "{bad}");
    }
    server.stop().await;
}

#[tokio::test]
async fn every_key_that_may_have_signed_a_token_is_tried() {
    let dir = tempfile::tempdir().unwrap();
    let (one, two, other) = (Key::ec(), Key::ec(), Key::ed());
    let nameless = Key::ed();
    let mut public: Vec<Value> = [&other, &one, &two].map(|key| key.public("shared")).into();
    let mut without_name = nameless.public("");
    without_name.as_object_mut().unwrap().remove("kid");
    public.push(without_name);
    let mut encryption = Key::ec().public("shared");
    encryption["use"] = json!("enc");
    public.insert(0, encryption);
    let file = dir.path().join("keys.json");
    std::fs::write(&file, json!({ "keys": public }).to_string()).unwrap();
    let server = start(dir.path(), file.to_str().unwrap()).await;
    for (key, name) in [
        (&one, "shared"),
        (&two, "shared"),
        (&other, "shared"),
        (&nameless, "shared"),
        (&nameless, "x"),
    ] {
        assert_eq!(ask(&server, &key.sign(name, &claims())).await, Code::Ok, "{name}");
    }
    for key in [&one, &two, &other, &nameless] {
        let header = json!({"alg": key.algorithm()});
        assert_eq!(ask(&server, &key.sign_with(&header, &claims())).await, Code::Ok);
    }
    for (key, name) in [(&one, "x"), (&Key::ec(), "shared"), (&Key::ed(), "shared")] {
        assert_eq!(ask(&server, &key.sign(name, &claims())).await, Code::Unauthenticated);
    }
    server.stop().await;
}

/// Serves a key set by HTTP; counts how often it was asked.
async fn issuer(keys: watch::Receiver<Option<Value>>, asked: watch::Sender<usize>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            asked.send_modify(|asked| *asked += 1);
            let keys = keys.borrow().clone();
            answer(stream, keys.as_ref()).await;
        }
    });
    format!("http://{address}/keys")
}

/// Answers a request for the keys.
async fn answer(mut stream: impl AsyncRead + AsyncWrite + Unpin, keys: Option<&Value>) {
    let mut request = vec![0; 4096];
    let _ = stream.read(&mut request).await;
    let answer = match keys {
        None => "HTTP/1.1 503 Away\r\ncontent-length: 0\r\n\r\n".to_owned(),
        Some(keys) => {
            let text = keys.to_string();
            format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{text}", text.len())
        }
    };
    let _ = stream.write_all(answer.as_bytes()).await;
    let _ = stream.shutdown().await;
}

/// Serves a key set by HTTPS, with a certificate of an authority.
async fn encrypted_issuer(keys: Value, authority: &Authority) -> String {
    let pair = authority.issue(&["localhost"]);
    let chain = vec![CertificateDer::from_pem_slice(pair.certificate.as_bytes()).unwrap()];
    let key = PrivateKeyDer::from_pem_slice(pair.key.as_bytes()).unwrap();
    let config = ServerConfig::builder_with_provider(Arc::new(provider::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            if let Ok(stream) = acceptor.accept(stream).await {
                answer(stream, Some(&keys)).await;
            }
        }
    });
    format!("https://localhost:{port}/keys")
}

#[tokio::test]
async fn keys_come_over_https_from_an_issuer_that_the_systems_authorities_know() {
    let dir = tempfile::tempdir().unwrap();
    let key = Key::ec();
    let (authority, stranger) = (Authority::new(), Authority::new());
    let set = json!({ "keys": [key.public("ec")] });
    let url = encrypted_issuer(set, &authority).await;
    let identities = identities(dir.path(), &[READER]);
    let config = dir.path().join("settings.toml");
    let settings = format!(
        "[access]\nidentities = {identities:?}\n[access.jwt]\nissuer = \"https://issuer.test\"\n\
         audience = \"lodewatch\"\nkeys = {url:?}\n"
    );
    fs::write(&config, settings).unwrap();
    let mut claims = claims();
    // The binary's clock is the system's.
    claims["exp"] = json!(4_102_444_800_i64); // 2100-01-01
    let token = key.sign("ec", &claims);
    for (trusted, expected) in [(&authority, Code::Ok), (&stranger, Code::Unauthenticated)] {
        let authorities = dir.path().join("authorities.pem");
        fs::write(&authorities, trusted.pem()).unwrap();
        let data = tempfile::tempdir().unwrap();
        let process = Process::serve_trusting(data.path(), &config, &authorities);
        assert_eq!(ask_at(&process.address, &token).await, expected);
    }
}

#[tokio::test]
async fn keys_are_fetched_at_the_start_and_for_an_unknown_key_and_the_last_good_ones_stay() {
    let dir = tempfile::tempdir().unwrap();
    let (one, two) = (Key::ec(), Key::ed());
    let (set, keys) = watch::channel(Some(json!({ "keys": [one.public("one")] })));
    let (asked, count) = watch::channel(0);
    let url = issuer(keys, asked).await;
    let server = start(dir.path(), &url).await;
    let (first, second) = (one.sign("one", &claims()), two.sign("two", &claims()));
    assert_eq!(ask(&server, &first).await, Code::Ok);
    // Unknown keys are asked for at most every ten seconds, however many tokens name them.
    for name in 0..20 {
        let made_up = two.sign(&format!("made-up-{name}"), &claims());
        assert_eq!(ask(&server, &made_up).await, Code::Unauthenticated);
    }
    assert!(*count.borrow() <= 3, "asked {} times", *count.borrow());
    set.send_replace(None);
    assert_eq!(ask(&server, &first).await, Code::Ok, "the last good set stays");
    set.send_replace(Some(json!({ "keys": [one.public("one"), two.public("two")] })));
    while ask(&server, &second).await != Code::Ok {}
    assert_eq!(ask(&server, &first).await, Code::Ok);
    server.stop().await;
}

#[tokio::test]
async fn a_caller_that_hangs_up_does_not_end_the_reading_of_keys() {
    let dir = tempfile::tempdir().unwrap();
    let key = Key::ec();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/keys", listener.local_addr().unwrap());
    let server = start(dir.path(), &url).await;
    // The issuer takes its time.
    let (stream, _) = listener.accept().await.unwrap();
    let token = key.sign("one", &claims());
    for _ in 0..3 {
        let status = ask_for(&server, &token, Duration::from_millis(20)).await;
        assert!([Code::DeadlineExceeded, Code::Cancelled].contains(&status), "{status}");
    }
    let waiting = ask(&server, &token);
    let keys = json!({ "keys": [key.public("one")] });
    let answered = answer(stream, Some(&keys));
    let (code, ()) = tokio::join!(waiting, answered);
    assert_eq!(code, Code::Ok, "of the one reading that the first caller began");
    server.stop().await;
}

/// Asks with a deadline.
async fn ask_for(server: &Server, token: &str, timeout: Duration) -> Code {
    let credentials = Credentials { bearer: Bearer::new(token).unwrap(), ..Credentials::default() };
    let servers = Servers::parse_with_credentials([server.address.as_str()], credentials).unwrap();
    let mut client = PolicyServiceClient::new(servers.connect().await.unwrap());
    let mut request = Request::new(GetPolicyRequest::default());
    request.set_timeout(timeout);
    client.get_policy(request).await.unwrap_err().code()
}

#[tokio::test]
async fn the_log_says_why_a_token_was_rejected_and_the_caller_does_not_learn_it() {
    let dir = tempfile::tempdir().unwrap();
    let (key, strange) = (Key::ec(), Key::ec());
    let keys = dir.path().join("keys.json");
    std::fs::write(&keys, json!({ "keys": [key.public("one")] }).to_string()).unwrap();
    let identities = identities(dir.path(), &[READER]);
    let config = dir.path().join("settings.toml");
    let settings = format!(
        "[access]\nidentities = {identities:?}\n[access.jwt]\nissuer = \"https://issuer.test\"\n\
         audience = \"lodewatch\"\nkeys = {keys:?}\n"
    );
    fs::write(&config, settings).unwrap();
    let mut process = Process::serve_with(&dir.path().join("data"), &config);
    let mut good = claims();
    good["exp"] = json!(4_102_444_800_i64); // 2100-01-01
    assert_eq!(ask_at(&process.address, &key.sign("one", &good)).await, Code::Ok);
    let with = |field: &str, value: Value| {
        let mut claims = good.clone();
        claims[field] = value;
        key.sign("one", &claims)
    };
    let cases = [
        ("token expired", with("exp", json!(NOW))),
        ("token not valid yet", with("nbf", json!(4_102_444_800_i64))),
        ("wrong issuer", with("iss", json!("https://else.test"))),
        ("wrong audience", with("aud", json!("other"))),
        ("the token's subject is missing", with("sub", Value::Null)),
        ("no identity has a role of the token", with("roles", json!("write"))),
        ("unknown key", key.sign("two", &good)),
        ("wrong signature", strange.sign("one", &good)),
        ("malformed JSON web token", "a.b.c".to_owned()),
        ("no identity has this token", "lodewatch_secret".to_owned()),
    ];
    let mut texts = BTreeSet::new();
    for (_, token) in &cases {
        let credentials =
            Credentials { bearer: Bearer::new(token).unwrap(), ..Credentials::default() };
        let servers = Servers::parse_with_credentials([process.address.as_str()], credentials);
        let mut client = PolicyServiceClient::new(servers.unwrap().connect().await.unwrap());
        let status = client.get_policy(GetPolicyRequest::default()).await.unwrap_err();
        texts.insert(format!("{:?} {} {:?}", status.code(), status.message(), status.details()));
    }
    assert_eq!(texts.len(), 1, "{texts:?}");
    process.stop();
    let (_, log) = process.ended();
    let lines: Vec<&str> = log.lines().filter(|line| line.contains("call denied")).collect();
    assert_eq!(lines.len(), cases.len(), "{log}");
    for (line, (cause, token)) in lines.iter().zip(&cases) {
        assert!(line.contains(cause), "{cause}: {line}");
        assert!(!log.contains(token), "{token}");
    }
}
