//! Who may call what: every method that the server has, in every role.

use lodewatch::access::token::TokenHash;
use lodewatch::access::{Identities, METHODS, MethodAccess, Role};
use lodewatch::config::Config;
use lodewatch_client::{Bearer, Connection, Credentials, Servers};
use lodewatch_proto::v1::feed_service_client::FeedServiceClient;
use lodewatch_proto::v1::{PublishRequest, PublishResponse, Update};
use lodewatch_testkit::PATIENCE;
use lodewatch_testkit::certificates::Authority;
use lodewatch_testkit::process::{Process, command};
use lodewatch_testkit::samples::{ban, removal, report};
use lodewatch_testkit::server::{Server, batch};
use prost::Message;
use prost_types::FileDescriptorProto;
use std::fmt::Write;
use std::path::{Path, PathBuf};
use tokio_stream::StreamExt;
use tonic::{Code, Request, Status};
use tonic_prost::ProstCodec;
use tonic_reflection::pb::v1::ServerReflectionRequest;
use tonic_reflection::pb::v1::server_reflection_client::ServerReflectionClient;
use tonic_reflection::pb::v1::server_reflection_request::MessageRequest;
use tonic_reflection::pb::v1::server_reflection_response::MessageResponse;
use tonic_types::StatusExt;

/// Writes a file of identities; each entry has its name, which is its token as well, and further
/// lines.
pub(crate) fn identities(dir: &Path, entries: &[(&str, &str)]) -> PathBuf {
    let mut text = String::new();
    for (name, lines) in entries {
        let hash = TokenHash::of(name);
        writeln!(text, "[[identities]]\nname = \"{name}\"\ntoken_sha256 = [\"{hash}\"]\n{lines}")
            .unwrap();
    }
    let path = dir.join("identities.toml");
    // As one step, so that no reader sees half of it.
    std::fs::write(dir.join("identities.new"), text).unwrap();
    std::fs::rename(dir.join("identities.new"), &path).unwrap();
    path
}

/// One identity a role, called like it.
pub(crate) const ROLES: [(&str, &str); 3] = [
    ("subscriber", "roles = [\"subscriber\"]"),
    ("publisher", "roles = [\"publisher\"]\nfeeds = [\"test\"]"),
    ("operator", "roles = [\"operator\"]"),
];

/// A server that knows these identities.
pub(crate) async fn start(dir: &Path, entries: &[(&str, &str)]) -> Server {
    let file = identities(dir, entries);
    let change = |config: &mut Config| config.access.identities = Some(file);
    Server::start_with(&dir.join("data"), "2026-01-01", change).await
}

/// A connection that shows a token.
pub(crate) async fn connect_as(server: &Server, token: &str) -> Connection {
    let bearer = if token.is_empty() { Bearer::default() } else { Bearer::new(token).unwrap() };
    let credentials = Credentials { bearer, ..Credentials::default() };
    Servers::parse_with_credentials([server.address.as_str()], credentials)
        .unwrap()
        .connect()
        .await
        .unwrap()
}

/// Publishes with this token.
pub(crate) async fn publish_as(
    server: &Server,
    token: &str,
    feed: &str,
    updates: Vec<Update>,
) -> Result<PublishResponse, Status> {
    let request = PublishRequest { feed: feed.to_owned(), ..batch(updates) };
    let mut client = FeedServiceClient::new(connect_as(server, token).await);
    client.publish(request).await.map(tonic::Response::into_inner)
}

async fn reflect(connection: &Connection, ask: MessageRequest) -> MessageResponse {
    let request = ServerReflectionRequest { host: String::new(), message_request: Some(ask) };
    let mut client = ServerReflectionClient::new(connection.clone());
    let mut answers =
        client.server_reflection_info(tokio_stream::once(request)).await.unwrap().into_inner();
    answers.next().await.unwrap().unwrap().message_response.unwrap()
}

/// The path of every method of every service, as the running server describes itself.
async fn all_methods(connection: &Connection) -> Vec<String> {
    let MessageResponse::ListServicesResponse(services) =
        reflect(connection, MessageRequest::ListServices(String::new())).await
    else {
        panic!("no list of services")
    };
    let mut paths = Vec::new();
    for service in services.service {
        let ask = MessageRequest::FileContainingSymbol(service.name.clone());
        let MessageResponse::FileDescriptorResponse(files) = reflect(connection, ask).await else {
            panic!("{} is not described", service.name)
        };
        for file in files.file_descriptor_proto {
            let file = FileDescriptorProto::decode(&*file).unwrap();
            for one in &file.service {
                if format!("{}.{}", file.package(), one.name()) == service.name {
                    let path = |name: &str| format!("/{}/{name}", service.name);
                    paths.extend(one.method.iter().map(|method| path(method.name())));
                }
            }
        }
    }
    paths.sort();
    paths.dedup();
    paths
}

/// Calls a method with an empty message; how it was answered, as far as access goes.
async fn call(connection: &Connection, path: &str) -> Code {
    let mut client = tonic::client::Grpc::new(connection.clone());
    client.ready().await.unwrap();
    let codec = ProstCodec::<(), ()>::default();
    let path = path.parse().unwrap();
    let called = client.server_streaming(Request::new(()), path, codec);
    match tokio::time::timeout(PATIENCE, called).await.unwrap() {
        Ok(_) => Code::Ok,
        Err(status) => status.code(),
    }
}

#[tokio::test]
async fn every_method_of_the_running_server_is_denied_or_answered_as_the_table_says() {
    let dir = tempfile::tempdir().unwrap();
    let server = start(dir.path(), &ROLES).await;
    let operator = connect_as(&server, "operator").await;
    let paths = all_methods(&operator).await;
    let rows: Vec<String> =
        METHODS.iter().map(|row| format!("/{}/{}", row.service, row.name)).collect();
    for path in &paths {
        assert!(
            rows.contains(path),
            "{path} has no row: say in src/access/methods.rs who may call it"
        );
    }
    for row in rows.iter().filter(|row| !row.contains("ServerReflection")) {
        assert!(paths.contains(row), "{row}: there is no such method");
    }
    for row in METHODS {
        let path = format!("/{}/{}", row.service, row.name);
        let anonymous = call(&connect_as(&server, "").await, &path).await;
        assert_eq!(
            anonymous == Code::Unauthenticated,
            row.access != MethodAccess::Anyone,
            "{path}: {anonymous}"
        );
        let wrong = call(&connect_as(&server, "wrong").await, &path).await;
        assert_eq!(
            wrong == Code::Unauthenticated,
            row.access != MethodAccess::Anyone,
            "{path}: {wrong}"
        );
        for role in Role::ALL {
            let code = call(&connect_as(&server, role.name()).await, &path).await;
            assert_ne!(code, Code::Unauthenticated, "{path} as {role}");
            let denied = code == Code::PermissionDenied;
            assert_eq!(denied, !row.access.allows(&[role]), "{path} as {role}: {code}");
        }
    }
    assert_eq!(call(&operator, "/lodewatch.v1.FeedService/Erase").await, Code::PermissionDenied);
    server.stop().await;
}

/// The table as people read it. `SECURITY.md` shows it.
#[test]
fn the_table_of_methods_and_roles_is_what_is_documented() {
    let mut table = String::from(
        "| method | unauthenticated | subscriber | publisher | operator |\n|---|---|---|---|---|\n",
    );
    for row in METHODS {
        let mark = |may: bool| if may { "yes" } else { "–" };
        write!(
            table,
            "| `{}/{}` | {} |",
            row.service,
            row.name,
            mark(row.access == MethodAccess::Anyone)
        )
        .unwrap();
        for role in Role::ALL {
            write!(table, " {} |", mark(row.access.allows(&[role]))).unwrap();
        }
        table.push('\n');
    }
    insta::assert_snapshot!(table);
}

#[tokio::test]
async fn a_denial_names_the_method_the_identity_and_who_may() {
    let dir = tempfile::tempdir().unwrap();
    let server = start(dir.path(), &ROLES).await;
    let denied = publish_as(&server, "subscriber", "test", vec![]).await.unwrap_err();
    assert_eq!(denied.code(), Code::PermissionDenied);
    let details = denied.get_details_error_info().unwrap();
    assert_eq!(details.reason, "ROLE_REQUIRED");
    assert_eq!(details.metadata["identity"], "subscriber");
    assert_eq!(details.metadata["method"], "/lodewatch.v1.FeedService/Publish");
    assert_eq!(details.metadata["roles"], "publisher, operator");
    let unknown = publish_as(&server, "guess", "test", vec![]).await.unwrap_err();
    let anonymous = publish_as(&server, "", "test", vec![]).await.unwrap_err();
    for status in [&unknown, &anonymous] {
        assert_eq!(status.get_details_error_info().unwrap().reason, "CREDENTIALS_REQUIRED");
        assert_eq!(
            status.message(),
            anonymous.message(),
            "the error does not reveal what was wrong"
        );
    }
    server.stop().await;
}

#[tokio::test]
async fn a_publisher_speaks_for_its_feeds_and_minerals_only() {
    let dir = tempfile::tempdir().unwrap();
    let narrow = ("narrow", "roles = [\"publisher\"]\nfeeds = [\"usgs\"]\nminerals = [\"REE\"]");
    let server = start(dir.path(), &[narrow, ROLES[2]]).await;
    let reason = |status: Status| {
        assert_eq!(status.code(), Code::PermissionDenied, "{status:?}");
        status.get_details_error_info().unwrap().reason
    };
    let rare = || report("rare_earths", "2024", &[("CHN", 0.7)]);
    let gallium = || report("gallium", "2024", &[("CHN", 0.9)]);
    publish_as(&server, "narrow", "usgs", vec![rare()]).await.unwrap();
    let feed = publish_as(&server, "narrow", "other", vec![rare()]).await.unwrap_err();
    assert_eq!(reason(feed), "FEED_NOT_ALLOWED");
    let mineral = publish_as(&server, "narrow", "usgs", vec![rare(), gallium()]).await.unwrap_err();
    assert!(mineral.message().contains("updates[1]"), "{mineral:?}");
    assert_eq!(reason(mineral), "MINERAL_NOT_ALLOWED");
    let threat = vec![ban("CHN-1", "CHN", "all", "gallium", "2026-01-01")];
    let threat = publish_as(&server, "narrow", "usgs", threat).await.unwrap_err();
    assert_eq!(reason(threat), "MINERAL_NOT_ALLOWED");
    publish_as(&server, "operator", "any", vec![gallium()]).await.unwrap();
    server.stop().await;
}

#[tokio::test]
async fn a_changed_file_of_identities_counts_at_once_and_a_faulty_one_changes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let file = identities(dir.path(), &ROLES);
    let server = Server::start_with(&dir.path().join("data"), "2026-01-01", |config| {
        config.access.identities = Some(file.clone());
        config.reload.interval_ms = 10;
    })
    .await;
    let path = "/lodewatch.v1.PolicyService/GetPolicy";
    let until = async |token: &str, wanted: Code| {
        let connection = connect_as(&server, token).await;
        while call(&connection, path).await != wanted {}
    };
    until("operator", Code::Ok).await;
    identities(
        dir.path(),
        &[("new", "roles = [\"operator\"]"), ("last", "roles = [\"subscriber\"]")],
    );
    until("new", Code::Ok).await;
    until("operator", Code::Unauthenticated).await;
    // Faulty, so that the newer one is not known either; then sound again.
    identities(dir.path(), &[("new", "roles = [\"root\"]"), ("newer", "roles = [\"operator\"]")]);
    for _ in 0..20 {
        assert_eq!(call(&connect_as(&server, "new").await, path).await, Code::Ok);
    }
    identities(dir.path(), &[("newer", "roles = [\"operator\"]")]);
    until("newer", Code::Ok).await;
    until("last", Code::Unauthenticated).await;
    server.stop().await;
}

#[tokio::test]
async fn a_publisher_changes_nothing_of_another_feed_unless_it_is_allowed_to() {
    let dir = tempfile::tempdir().unwrap();
    let publisher =
        |feed: &str, more: &str| format!("roles = [\"publisher\"]\nfeeds = [\"{feed}\"]\n{more}");
    let (one, two) = (publisher("one", ""), publisher("two", ""));
    let (third, narrow) =
        (publisher("three", "others = true"), publisher("one", "minerals = [\"tin\"]"));
    let entries =
        [("one", &*one), ("two", &*two), ("third", &*third), ("narrow", &*narrow), ROLES[2]];
    let server = start(dir.path(), &entries).await;
    let threat = |from: &str| vec![ban("T-1", "CHN", "all", "gallium", from)];
    let shares = |share: f64| vec![report("gallium", "2024", &[("CHN", share)])];
    publish_as(&server, "one", "one", threat("2026-01-01")).await.unwrap();
    publish_as(&server, "one", "one", shares(0.9)).await.unwrap();
    let reason = async |token: &str, feed: &str, updates: Vec<Update>| {
        let status = publish_as(&server, token, feed, updates).await.unwrap_err();
        assert_eq!(status.code(), Code::PermissionDenied, "{status:?}");
        status.get_details_error_info().unwrap().reason
    };
    assert_eq!(reason("two", "two", threat("2026-01-02")).await, "UPDATE_NOT_ALLOWED");
    assert_eq!(reason("two", "two", vec![removal("T-1")]).await, "UPDATE_NOT_ALLOWED");
    assert_eq!(reason("two", "two", shares(0.1)).await, "UPDATE_NOT_ALLOWED");
    assert_eq!(reason("narrow", "one", vec![removal("T-1")]).await, "UPDATE_NOT_ALLOWED");
    // An update without a change changes nothing, from any feed.
    publish_as(&server, "two", "two", shares(0.9)).await.unwrap();
    publish_as(&server, "one", "one", shares(0.8)).await.unwrap();
    publish_as(&server, "third", "three", threat("2026-01-03")).await.unwrap();
    publish_as(&server, "operator", "desk", vec![removal("T-1")]).await.unwrap();
    server.stop().await;
}

#[tokio::test]
async fn of_two_feeds_that_race_for_a_threat_one_has_it() {
    let dir = tempfile::tempdir().unwrap();
    let entries = [
        ("one", "roles = [\"publisher\"]\nfeeds = [\"one\"]"),
        ("two", "roles = [\"publisher\"]\nfeeds = [\"two\"]"),
    ];
    let server = start(dir.path(), &entries).await;
    for turn in 0..50 {
        let say = async |who: &str, day: &str| {
            let id = format!("RACE-{turn}");
            publish_as(&server, who, who, vec![ban(&id, "CHN", "all", "tin", day)]).await
        };
        let (first, second) = tokio::join!(say("one", "2026-01-01"), say("two", "2026-01-02"));
        assert!(first.is_ok() != second.is_ok(), "{first:?} {second:?}");
    }
    server.stop().await;
}

#[tokio::test]
async fn the_journal_says_who_changed_what() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    let server = start(dir.path(), &ROLES).await;
    publish_as(&server, "publisher", "test", vec![report("tin", "2024", &[("CHN", 0.9)])])
        .await
        .unwrap();
    publish_as(&server, "operator", "desk", vec![ban("T-1", "CHN", "all", "tin", "2026-01-01")])
        .await
        .unwrap();
    publish_as(&server, "publisher", "test", vec![removal("T-1")]).await.unwrap_err();
    server.stop().await;
    let audit = |dir: &Path, more: &[&str]| {
        let said = command()
            .args(["journal", "audit", "--data-dir"])
            .arg(dir)
            .args(more)
            .output()
            .unwrap();
        assert!(said.status.success(), "{said:?}");
        String::from_utf8(said.stdout).unwrap()
    };
    let changes = audit(&data, &[]);
    insta::assert_snapshot!(changes);
    assert!(audit(&data, &["--output", "json"]).contains("\"sender\":\"operator\""));
    // Who it was goes with an export into another journal.
    let exported =
        command().args(["journal", "export", "--data-dir"]).arg(&data).output().unwrap().stdout;
    let (file, copy) = (dir.path().join("export.jsonl"), dir.path().join("copy"));
    std::fs::write(&file, exported).unwrap();
    let import =
        command().args(["journal", "import", "--data-dir"]).arg(&copy).arg(&file).output().unwrap();
    assert!(import.status.success(), "{import:?}");
    assert_eq!(audit(&copy, &[]), changes);
}

#[test]
fn a_new_token_is_printed_once_and_its_entry_is_ready_for_the_file() {
    let new =
        |arguments: &[&str]| command().args(["token", "new"]).args(arguments).output().unwrap();
    let made = new(&["alice", "--role", "publisher", "--feed", "usgs", "--mineral", "tin"]);
    let (token, entry) =
        (String::from_utf8(made.stdout).unwrap(), String::from_utf8(made.stderr).unwrap());
    assert!(!entry.contains(token.trim()));
    let known = Identities::parse(&entry).unwrap();
    assert_eq!(&*known.by_token(token.trim()).unwrap().name, "alice");
    let rejected = new(&["alice", "--role", "publisher"]);
    assert_eq!((rejected.status.code(), rejected.stdout.len()), (Some(1), 0));
}

#[tokio::test]
async fn no_secret_is_in_the_log_even_at_trace_nor_in_an_error() {
    let dir = tempfile::tempdir().unwrap();
    let (token, wrong) =
        ("a-token-that-no-log-may-contain", "a-wrong-token-that-no-log-may-contain");
    let file = identities(dir.path(), &[(token, "roles = [\"subscriber\"]")]);
    let text = std::fs::read_to_string(&file).unwrap();
    // Under another name, since names may be seen.
    std::fs::write(&file, text.replacen(token, "reader", 1)).unwrap();
    let config = dir.path().join("lodewatch.toml");
    let pair = Authority::new().issue(&["localhost"]);
    pair.write(dir.path());
    let settings = format!(
        "log.level = \"trace\"\nreload.interval = \"10ms\"\naccess.identities = {file:?}\n"
    );
    std::fs::write(&config, settings).unwrap();
    let mut process = Process::serve_with(&dir.path().join("data"), &config);
    let ask = async |token: &str| {
        let credentials =
            Credentials { bearer: Bearer::new(token).unwrap(), ..Credentials::default() };
        let shown = format!("{credentials:?}");
        let servers =
            Servers::parse_with_credentials([process.address.as_str()], credentials).unwrap();
        let mut client = FeedServiceClient::new(servers.connect().await.unwrap());
        let rejected = client.publish(batch(vec![])).await.unwrap_err();
        format!("{shown} {servers:?} {rejected:?}")
    };
    let said = [ask(token).await, ask(wrong).await].concat();
    assert!(said.contains("ROLE_REQUIRED") && said.contains("CREDENTIALS_REQUIRED"));
    process.stop();
    let (_, log) = process.ended();
    assert!(log.contains("call denied: role missing"), "{log}");
    assert!(log.contains("call denied: no valid credentials"), "{log}");
    // A token that was written into the file by mistake makes it faulty, and is not shown for it.
    let mistaken = format!("[[identities]]\nname = \"x\"\ntoken = \"{wrong}\"\n");
    std::fs::write(&file, mistaken).unwrap();
    let serve = ["serve", "--listen", "127.0.0.1:0", "--data-dir"];
    let mut command = command();
    let command = command.args(serve).arg(dir.path().join("other")).arg("--config").arg(&config);
    let rejected = String::from_utf8(command.output().unwrap().stderr).unwrap();
    assert!(rejected.contains("cannot load identities from "), "{rejected}");
    let output = said + &rejected;
    for secret in [token, wrong, pair.key.lines().nth(1).unwrap()] {
        assert!(!log.contains(secret) && !output.contains(secret), "{secret} was printed");
    }
}

#[test]
fn the_bill_of_materials_lists_what_the_program_was_built_of() {
    let said = command().arg("sbom").output().unwrap();
    let bill: serde_json::Value = serde_json::from_slice(&said.stdout).unwrap();
    let named =
        |name: &str| bill["components"].as_array().unwrap().iter().any(|one| one["name"] == name);
    assert!(named("rustls") && named("ring") && !named("aws-lc-rs"));
}

#[test]
fn security_md_shows_the_table_as_it_is() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let read = |path: &str| std::fs::read_to_string(root.join(path)).unwrap();
    let snapshot =
        "tests/it/snapshots/it__access__the_table_of_methods_and_roles_is_what_is_documented.snap";
    let snapshot = read(snapshot);
    let table = snapshot.splitn(3, "---\n").last().unwrap().trim();
    assert!(read("SECURITY.md").contains(table), "copy the snapshot into SECURITY.md");
}
