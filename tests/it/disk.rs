//! Disks that are full, that fail, that cannot be written or are gone: what a client sees, and that
//! nothing acknowledged is lost. Mounts a small file system of its own, which takes root.

use super::large_entries;
use lodewatch_proto::v1::alert_service_client::AlertServiceClient;
use lodewatch_proto::v1::feed_service_client::FeedServiceClient;
use lodewatch_proto::v1::{ListAlertsRequest, PublishRequest, PublishResponse};
use lodewatch_testkit::PATIENCE;
use lodewatch_testkit::process::{Process, run};
use lodewatch_testkit::samples::swing;
use lodewatch_testkit::server::batch;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use tonic::transport::Channel;
use tonic::{Code, Status};
use tonic_types::StatusExt;

type Feed = FeedServiceClient<Channel>;
type Acknowledged = Vec<(PublishRequest, PublishResponse)>;

/// A file system in memory, of a fixed size; gone when dropped.
struct SmallDisk(tempfile::TempDir);

impl SmallDisk {
    fn mount(size: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let options = format!("size={size}");
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &options, "lodewatch-test"])
            .arg(dir.path())
            .output()
            .expect("this test needs the program mount: apt-get install mount");
        assert!(
            mounted.status.success(),
            "this test mounts a small tmpfs; run it as root, in a container with --cap-add SYS_ADMIN: {}",
            String::from_utf8_lossy(&mounted.stderr)
        );
        Self(dir)
    }

    fn data(&self) -> PathBuf {
        self.0.path().join("data")
    }

    fn make_read_only(&self) {
        let mut mount = Command::new("mount");
        let status = mount.args(["-o", "remount,ro"]).arg(self.0.path()).status().unwrap();
        assert!(status.success());
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // Lazily, since a server that is about to be killed may have files open.
        let _ = Command::new("umount").arg("-l").arg(self.0.path()).status();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disk_full_of_alerts_rejects_writers_serves_readers_and_recovers() {
    // Many alerts of small batches mostly fill the archive first.
    fill_and_free(2_000_000, 1).await;
    fill_and_free(2_300_000, 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disk_full_of_entries_rejects_writers_serves_readers_and_recovers() {
    // Few alerts of large batches fill the journal first.
    fill_and_free(2_000_000, 900).await;
    fill_and_free(2_300_000, 900).await;
}

/// Publishes batches of so many updates beside a file of this size, until the disk is full; then
/// deletes the file.
async fn fill_and_free(ballast_bytes: usize, updates: usize) {
    let disk = SmallDisk::mount("4m");
    let ballast = disk.0.path().join("ballast");
    fs::write(&ballast, vec![1; ballast_bytes]).unwrap();
    let mut process = Process::serve(&disk.data());
    let (mut feed, channel) = connect(&process).await;
    let (mut acknowledged, rejected, status) = publish_until_rejected(&mut feed, updates).await;
    assert_eq!(status.code(), Code::ResourceExhausted, "{status}");
    assert!(status.message().contains("no space is left on the disk"), "{status}");
    assert_eq!(status.get_details_error_info().unwrap().reason, "DISK_FULL");
    assert!(status.get_details_retry_info().is_some());
    assert!(!list(&channel).await.is_empty(), "reads go on");

    fs::remove_file(ballast).unwrap();
    let accepted =
        tokio::time::timeout(PATIENCE, publish_until_accepted(&mut feed, &rejected)).await;
    acknowledged.push((rejected, accepted.expect("writes come back by themselves")));
    let sequences = list(&channel).await;
    assert!(sequences.windows(2).all(|pair| pair[0] == pair[1] + 1), "newest first, without gaps");
    process.kill();
    assert_kept(&disk.data(), acknowledged).await;
}

/// The alerts of the entry do not fit in memory, and not on the disk either: they are derived again
/// once there is space.
#[tokio::test(flavor = "multi_thread")]
async fn an_entry_with_more_alerts_than_memory_waits_for_a_full_disk() {
    const INSTANCES: usize = 8;
    let disk = SmallDisk::mount("96m");
    let config = disk.0.path().join("lodewatch.toml");
    fs::write(&config, large_entries::settings(INSTANCES)).unwrap();
    let process = Process::serve_with(&disk.data(), &config);
    let (mut feed, channel) = connect(&process).await;
    feed.publish(batch(large_entries::threats(100))).await.unwrap();
    let ballast = disk.0.path().join("ballast");
    fs::write(&ballast, vec![1; 86_000_000]).unwrap();
    let reports = large_entries::reports();
    let alerts = u64::try_from(reports.len() * INSTANCES).unwrap();
    let request = batch(reports);
    let status = feed.publish(request.clone()).await.unwrap_err();
    assert_eq!(status.get_details_error_info().unwrap().reason, "DISK_FULL", "{status}");
    assert_eq!(list(&channel).await, Vec::<u64>::new(), "all alerts of the entry or none");
    fs::remove_file(ballast).unwrap();
    tokio::time::timeout(PATIENCE, publish_until_accepted(&mut feed, &request)).await.unwrap();
    let newest_first: Vec<u64> = (1..=alerts).rev().take(20).collect();
    assert_eq!(list_page(&channel, 20).await, newest_first);
    drop(process);
    let mut again = Process::serve_with(&disk.data(), &config);
    let (_, channel) = connect(&again).await;
    assert_eq!(list_page(&channel, 20).await, newest_first);
    again.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failed_fsync_stops_the_server_and_loses_nothing_acknowledged() {
    let dir = tempfile::tempdir().unwrap();
    assert!(
        Command::new("strace").arg("--version").output().is_ok(),
        "this test makes fsync fail with strace: apt-get install strace"
    );
    let inject = "inject=fsync,fdatasync:error=EIO:when=60+";
    let strace =
        ["strace", "-f", "-qq", "-o", "/dev/null", "-e", "trace=fsync,fdatasync", "-e", inject];
    let process = Process::serve_under(&strace, dir.path());
    let (mut feed, _) = connect(&process).await;
    let (acknowledged, _, status) = publish_until_rejected(&mut feed, 1).await;
    assert!(!acknowledged.is_empty());
    assert_eq!(status.code(), Code::Unavailable, "{status}");
    let ended = tokio::task::spawn_blocking(|| process.ended());
    let (code, log) = tokio::time::timeout(PATIENCE, ended).await.expect("it ends").unwrap();
    assert_eq!(code, Some(1), "{log}");
    assert!(log.contains("the journal stops after a failed"), "{log}");
    assert_kept(dir.path(), acknowledged).await;
}

#[test]
fn the_names_of_all_new_directories_are_synced() {
    let root = tempfile::tempdir().unwrap();
    let calls = root.path().join("calls");
    let strace = ["strace", "-f", "-qq", "-y", "-o", calls.to_str().unwrap(), "-e", "trace=fsync"];
    let process = Process::serve_under(&strace, &root.path().join("x/y/z"));
    drop(process);
    let calls = fs::read_to_string(calls).unwrap();
    let root = root.path().canonicalize().unwrap();
    for dir in [root.clone(), root.join("x"), root.join("x/y")] {
        assert!(calls.contains(&format!("<{}>)", dir.display())), "{}: {calls}", dir.display());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_directory_that_is_removed_rejects_writers_and_serves_readers() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    let process = Process::serve(&data);
    let (mut feed, channel) = connect(&process).await;
    feed.publish(batch(vec![swing("gallium", 0)])).await.unwrap();
    fs::remove_dir_all(&data).unwrap();
    for turn in 1..3 {
        let rejected = feed.publish(batch(vec![swing("gallium", turn)])).await.unwrap_err();
        assert_eq!(rejected.code(), Code::Unavailable, "{rejected}");
    }
    assert!(!list(&channel).await.is_empty(), "reads go on");
}

#[test]
fn a_directory_that_cannot_be_written_is_an_error_that_says_so() {
    let disk = SmallDisk::mount("1m");
    disk.make_read_only();
    let data = disk.data();
    let output = run(&["serve", "--listen", "127.0.0.1:0", "--data-dir", data.to_str().unwrap()]);
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(said.contains("data") && said.contains("Read-only file system"), "{said}");
}

async fn connect(process: &Process) -> (Feed, Channel) {
    let channel = lodewatch_client::connect(&process.address).await.unwrap();
    (FeedServiceClient::new(channel.clone()), channel)
}

/// Publishes batches of so many updates until one is rejected: what was acknowledged before, what
/// was rejected, and how.
async fn publish_until_rejected(
    feed: &mut Feed,
    updates: usize,
) -> (Acknowledged, PublishRequest, Status) {
    let mut acknowledged = Vec::new();
    for turn in 0..100_000 {
        let request = batch(vec![swing("gallium", turn); updates]);
        match feed.publish(request.clone()).await {
            Ok(response) => acknowledged.push((request, response.into_inner())),
            Err(status) => return (acknowledged, request, status),
        }
    }
    panic!("nothing was rejected");
}

async fn publish_until_accepted(feed: &mut Feed, request: &PublishRequest) -> PublishResponse {
    loop {
        match feed.publish(request.clone()).await {
            Ok(response) => return response.into_inner(),
            Err(status) => assert_eq!(status.code(), Code::ResourceExhausted, "{status}"),
        }
        tokio::task::yield_now().await;
    }
}

/// The sequences of the newest alerts.
async fn list(channel: &Channel) -> Vec<u64> {
    list_page(channel, 1000).await
}

async fn list_page(channel: &Channel, page_size: u32) -> Vec<u64> {
    let request = ListAlertsRequest { page_size, ..ListAlertsRequest::default() };
    let listed = AlertServiceClient::new(channel.clone()).list_alerts(request).await.unwrap();
    listed.into_inner().alerts.iter().map(|alert| alert.sequence).collect()
}

/// Starts again: the journal is whole, and every retry gets the first answer.
async fn assert_kept(dir: &Path, acknowledged: Acknowledged) {
    let verified = run(&["journal", "verify", "--data-dir", dir.to_str().unwrap()]);
    assert!(verified.status.success(), "{}", String::from_utf8_lossy(&verified.stderr));
    let process = Process::serve(dir);
    let (mut feed, _) = connect(&process).await;
    for (request, first) in acknowledged {
        assert_eq!(feed.publish(request).await.unwrap().into_inner(), first);
    }
}
