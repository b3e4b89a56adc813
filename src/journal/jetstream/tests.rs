//! Tests that only a NATS stream can run.

use super::super::{Damage, Error, Journal, StateDigest, Tail, codec, samples};
use super::JetStreamJournal;
use super::message::{EntryGroup, Message, StreamPosition};
use crate::config::{Credentials, JetStream as Settings};
use async_nats::jetstream::{Context, stream};
use bytes::Bytes;
use lodewatch_core::domain::{Entry, Payload, Seq, Timestamp};
use lodewatch_testkit::certificates::Authority;
use lodewatch_testkit::nats::Nats;
use std::time::Duration;
use tempfile::TempDir;

/// A server by itself, and a journal on it.
pub(in crate::journal) async fn alone() -> (Nats, TempDir, JetStreamJournal) {
    let nats = Nats::alone();
    let (dir, journal) = replica(&nats).await;
    (nats, dir, journal)
}

async fn replica(nats: &Nats) -> (TempDir, JetStreamJournal) {
    let dir = tempfile::tempdir().unwrap();
    let journal = JetStreamJournal::open(&settings(nats), dir.path()).await.unwrap();
    (dir, journal)
}

fn settings(nats: &Nats) -> Settings {
    Settings {
        servers: vec![nats.url()],
        stream: "TEST".to_owned(),
        replicas: 1,
        monitors: vec![nats.monitor()],
        timeout: Duration::from_secs(10),
        allow_weaker_durability: false,
        credentials: Credentials::None,
        ca_file: None,
        certificate: None,
    }
}

async fn context(nats: &Nats) -> Context {
    async_nats::jetstream::new(async_nats::connect(nats.url()).await.unwrap())
}

fn tick(due: u64) -> Payload {
    Payload::Tick { due: Timestamp::from_millis(i64::try_from(due).unwrap()) }
}

async fn append(journal: &JetStreamJournal, due: u64) -> Seq {
    journal.append(Timestamp::MIN, tick(due)).await.unwrap()
}

async fn read(tail: &mut dyn Tail, count: usize) -> Vec<Entry> {
    let mut entries = Vec::new();
    while entries.len() < count {
        entries.extend(tail.next().await.unwrap());
    }
    entries
}

#[tokio::test]
async fn replicas_that_append_at_once_read_the_same() {
    let (nats, _dir, one) = alone().await;
    let (_other_dir, other) = replica(&nats).await;
    assert_eq!(one.epoch(), other.epoch());
    let appends = (0..200).map(|due| {
        let journal = if due % 3 == 0 { &one } else { &other };
        append(journal, due)
    });
    let mut answers = futures_util::future::join_all(appends).await;
    answers.sort_unstable();
    assert!(answers.iter().map(|seq| seq.0).eq(1..=200));
    let (mut here, mut there) = (one.tail(Seq::ZERO).unwrap(), other.tail(Seq::ZERO).unwrap());
    assert_eq!(read(&mut *here, 200).await, read(&mut *there, 200).await);
}

#[tokio::test]
async fn a_new_replica_reads_from_any_position() {
    let (nats, _dir, journal) = alone().await;
    for round in 0..40 {
        let group = (0..7).map(|each| append(&journal, round * 7 + each));
        futures_util::future::join_all(group).await;
    }
    let all = read(&mut *journal.tail(Seq::ZERO).unwrap(), 280).await;
    let (_new_dir, new) = replica(&nats).await;
    for after in [0, 1, 6, 7, 8, 139, 140, 278, 279] {
        let (mut tail, read_before) =
            (new.tail(Seq(after)).unwrap(), usize::try_from(after).unwrap());
        let rest = read(&mut *tail, 280 - read_before).await;
        assert_eq!(rest, all[read_before..], "after {after}");
    }
    append(&journal, 1000).await;
    assert_eq!(
        new.fetch_head().await.unwrap(),
        Seq(281),
        "fetching the head finds what other replicas appended"
    );
    assert_eq!(read(&mut *new.tail(Seq(280)).unwrap(), 1).await[0].payload, tick(1000));
}

#[tokio::test]
async fn an_entry_that_several_replicas_append_under_one_name_is_in_the_journal_once() {
    let (nats, _dir, one) = alone().await;
    let (_other_dir, other) = replica(&nats).await;
    let name = "tick-5";
    let (here, there) = tokio::join!(
        one.append_once(name, Timestamp::MIN, tick(5)),
        other.append_once(name, Timestamp::MIN, tick(5))
    );
    assert_eq!((here.unwrap(), there.unwrap()), (Seq(1), Seq(1)));
    assert_eq!(append(&one, 6).await, Seq(2));
}

#[tokio::test]
async fn the_digest_of_a_replica_travels_with_its_next_append() {
    let (nats, _dir, one) = alone().await;
    let (_other_dir, other) = replica(&nats).await;
    append(&one, 1).await;
    let digest = StateDigest { entry: Seq(1), digest: 0xfeed };
    one.share_digest(digest);
    append(&one, 2).await;
    for journal in [&one, &other] {
        let mut tail = journal.tail(Seq::ZERO).unwrap();
        read(&mut *tail, 2).await;
        assert_eq!(tail.peer_digests(), [digest]);
        assert_eq!(tail.peer_digests(), []);
    }
}

#[tokio::test]
async fn every_replica_counts_a_repeated_message_alike() {
    let (nats, _dir, journal) = alone().await;
    append(&journal, 1).await;
    let group = EntryGroup {
        appender: 9,
        number: 1,
        read_to: StreamPosition::START,
        digest: None,
        entries: vec![(Timestamp::MIN, codec::encode(&tick(2)).unwrap().into())],
    };
    let bytes = Message::Entries(group).encode();
    let context = context(&nats).await;
    for _ in 0..2 {
        context.publish("TEST.journal", bytes.clone()).await.unwrap().await.unwrap();
    }
    assert_eq!(append(&journal, 3).await, Seq(4));
    let (_new_dir, new) = replica(&nats).await;
    let entries = read(&mut *new.tail(Seq(1)).unwrap(), 3).await;
    let payloads: Vec<_> = entries.into_iter().map(|entry| entry.payload).collect();
    assert_eq!(payloads, [tick(2), tick(2), tick(3)]);
}

#[tokio::test]
async fn a_foreign_message_is_damage_and_everything_before_it_is_read() {
    let (nats, _dir, journal) = alone().await;
    append(&journal, 1).await;
    let context = context(&nats).await;
    context.publish("TEST.journal", Bytes::from_static(b"hello")).await.unwrap().await.unwrap();
    let mut tail = journal.tail(Seq::ZERO).unwrap();
    assert_eq!(read(&mut *tail, 1).await.len(), 1);
    for _ in 0..2 {
        let damaged = tail.next().await;
        assert!(
            matches!(
                damaged,
                Err(Error::Damaged { seq: Seq(2), damage: Damage::Undecodable(_), .. })
            ),
            "{damaged:?}"
        );
    }
}

#[tokio::test]
async fn a_stream_that_was_deleted_and_created_again_ends_the_journal() {
    let (nats, _dir, journal) = alone().await;
    append(&journal, 1).await;
    context(&nats).await.delete_stream("TEST").await.unwrap();
    let (_new_dir, new) = replica(&nats).await;
    assert_ne!(new.epoch(), journal.epoch());
    let ended = journal.tail(Seq(1)).unwrap().next().await;
    let is_replaced = matches!(&ended, Err(Error::Damaged { damage: Damage::Replaced(_), .. }));
    assert!(is_replaced, "{ended:?}");
}

#[tokio::test]
async fn an_unsuitable_stream_is_rejected_with_every_difference() {
    let nats = Nats::alone_with("sync_interval: always", "");
    let config = stream::Config {
        name: "TEST".to_owned(),
        max_age: Duration::from_mins(1),
        duplicate_window: Duration::from_secs(30),
        ..stream::Config::default()
    };
    context(&nats).await.create_stream(config).await.unwrap();
    let dir = tempfile::tempdir().unwrap();
    let error = JetStreamJournal::open(&settings(&nats), dir.path()).await.err().unwrap();
    insta::assert_snapshot!(error);
}

#[tokio::test]
async fn a_stream_with_unverified_durability_is_rejected_unless_the_settings_allow_it() {
    let nats = Nats::alone_with("", "");
    let dir = tempfile::tempdir().unwrap();
    let error = JetStreamJournal::open(&settings(&nats), dir.path()).await.err().unwrap();
    insta::assert_snapshot!(error);
    let unseen = Settings { monitors: Vec::new(), ..settings(&nats) };
    let error = JetStreamJournal::open(&unseen, dir.path()).await.err().unwrap();
    assert!(error.to_string().contains("cannot verify that server"), "{error}");
    let allowed = Settings { allow_weaker_durability: true, ..settings(&nats) };
    let journal = JetStreamJournal::open(&allowed, dir.path()).await.unwrap();
    let mut verified = journal.durability_verified();
    assert!(!*verified.wait_for(|verified| !verified).await.unwrap());
}

#[tokio::test]
async fn the_servers_accept_a_password_a_token_or_a_key_and_reject_a_wrong_one() {
    // A key pair from the documentation of NATS.
    const SEED: &str = "SUACSSL3UAHUDXKFSNVUZRF5UHPMWZ6BFDTJ7M6USDXIEDNPPQYYYCU3VY";
    const PUBLIC: &str = "UDXU4RCSJNZOIQHZNWXHXORDPRTGNJAHAHFRGZNEEJCPQTT2M7NLCNF4";
    let secrets = tempfile::tempdir().unwrap();
    let secret = |name: &str, text: &str| {
        let file = secrets.path().join(name);
        std::fs::write(&file, format!("{text}\n")).unwrap();
        file
    };
    let (right, wrong, seed) =
        (secret("right", "S3cret"), secret("wrong", "x"), secret("seed", SEED));
    let password = |file| Credentials::Password { user: "lodewatch".to_owned(), file };
    for (server, right, wrong) in [
        (
            "authorization { user: lodewatch, password: S3cret }".to_owned(),
            password(right.clone()),
            password(wrong.clone()),
        ),
        (
            "authorization { token: S3cret }".to_owned(),
            Credentials::Token(right),
            Credentials::Token(wrong),
        ),
        (
            format!("authorization {{ users: [ {{ nkey: {PUBLIC} }} ] }}"),
            Credentials::NKey(seed),
            Credentials::None,
        ),
    ] {
        let nats = Nats::alone_with("sync_interval: always", &server);
        let dir = tempfile::tempdir().unwrap();
        let wrong = Settings { credentials: wrong, ..settings(&nats) };
        let error = JetStreamJournal::open(&wrong, dir.path()).await.err().unwrap().to_string();
        assert!(error.contains("reject the credentials") && !error.contains("S3cret"), "{error}");
        let known = Settings { credentials: right, ..settings(&nats) };
        assert_eq!(
            append(&JetStreamJournal::open(&known, dir.path()).await.unwrap(), 1).await,
            Seq(1)
        );
    }
}

#[tokio::test]
async fn over_tls_both_sides_verify_each_others_certificates() {
    let (dir, other_ca) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let authority = Authority::new();
    authority.issue(&["127.0.0.1"]).write(dir.path());
    for (dir, authority) in [(&dir, &authority), (&other_ca, &Authority::new())] {
        std::fs::write(dir.path().join("ca.crt"), authority.pem()).unwrap();
    }
    let [certificate, key, ca] = ["tls.crt", "tls.key", "ca.crt"].map(|name| dir.path().join(name));
    let server = format!(
        "tls {{ cert_file: {certificate:?}, key_file: {key:?}, ca_file: {ca:?}, verify: true }}"
    );
    let nats = Nats::alone_with("sync_interval: always", &server);
    let known = Settings {
        servers: vec![nats.url().replace("nats://", "tls://")],
        ca_file: Some(ca),
        certificate: Some((certificate, key)),
        ..settings(&nats)
    };
    let data = tempfile::tempdir().unwrap();
    let journal = JetStreamJournal::open(&known, data.path()).await.unwrap();
    assert_eq!(append(&journal, 1).await, Seq(1));
    drop(journal);
    let unknown = Settings { certificate: None, ..known.clone() };
    let other = Settings { ca_file: Some(other_ca.path().join("ca.crt")), ..known };
    for settings in [unknown, other] {
        let client = super::stream::StreamClient::open(&settings).await;
        assert!(matches!(client.err(), Some(Error::Unreachable { .. } | Error::Unsuitable { .. })));
    }
}

#[tokio::test]
async fn while_the_servers_are_down_appends_fail_and_readers_wait() {
    let mut nats = Nats::alone();
    let dir = tempfile::tempdir().unwrap();
    let impatient = Settings { timeout: Duration::from_millis(200), ..settings(&nats) };
    let journal = JetStreamJournal::open(&impatient, dir.path()).await.unwrap();
    append(&journal, 1).await;
    let (mut tail, mut reachable) = (journal.tail(Seq(1)).unwrap(), journal.reachable());
    nats.kill();
    let unknown = journal.append(Timestamp::MIN, tick(2)).await;
    assert!(matches!(unknown, Err(Error::Unreachable { .. })), "{unknown:?}");
    reachable.wait_for(|reachable| !reachable).await.unwrap();
    assert!(matches!(journal.fetch_head().await, Err(Error::Unreachable { .. })));
    nats.run();
    reachable.wait_for(|reachable| *reachable).await.unwrap();
    let seq = loop {
        // The first attempts may still fail.
        match journal.append(Timestamp::MIN, samples::tick()).await {
            Ok(seq) => break seq,
            Err(Error::Unreachable { .. }) => {}
            Err(error) => panic!("{error}"),
        }
    };
    let read = read(&mut *tail, usize::try_from(seq.0 - 1).unwrap()).await;
    assert_eq!(read.last().unwrap().payload, samples::tick());
}
