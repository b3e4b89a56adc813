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
use std::fs;
use std::path::Path;
use std::sync::Arc;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::ring as provider;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use tonic::Code;

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
        let text = |value: &Value| BASE64.encode(value.to_string());
        let header = json!({"alg": self.algorithm(), "kid": name, "typ": "JWT"});
        let message = format!("{}.{}", text(&header), text(claims));
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
    let mut list = claims();
    list["roles"] = json!(["read"]);
    assert_eq!(ask(&server, &key.sign("ec", &list)).await, Code::Ok);
    for (field, value) in [
        ("iss", json!("https://else.test")),
        ("aud", json!("other")),
        ("aud", Value::Null),
        ("exp", json!(NOW - 61)),
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
async fn keys_are_fetched_when_a_token_names_one_and_the_last_good_ones_stay() {
    let dir = tempfile::tempdir().unwrap();
    let (one, two) = (Key::ec(), Key::ed());
    let (set, keys) = watch::channel(Some(json!({ "keys": [one.public("one")] })));
    let (asked, count) = watch::channel(0);
    let url = issuer(keys, asked).await;
    let server = start(dir.path(), &url).await;
    assert_eq!(*count.borrow(), 0, "not before it is needed");
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
