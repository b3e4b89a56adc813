//! Rules change while the server runs: by file, as a Kubernetes `ConfigMap` does it, and by SIGHUP.

use lodewatch_proto::v1::alert_service_client::AlertServiceClient;
use lodewatch_proto::v1::feed_service_client::FeedServiceClient;
use lodewatch_proto::v1::policy_service_client::PolicyServiceClient;
use lodewatch_proto::v1::subscribe_response::Message;
use lodewatch_proto::v1::{
    Alert, CauseKind, GetPolicyRequest, GetPolicyResponse, Start, SubscribeRequest,
    SubscribeResponse,
};
use lodewatch_testkit::PATIENCE;
use lodewatch_testkit::process::Process;
use lodewatch_testkit::samples::report;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;
use tonic::Streaming;
use tonic::transport::Channel;

const ONE_RULE: &str = "reload.interval = \"100ms\"\n[[rules]]\nname = \"NAME\"\nmetric = \"top1_share\"\n\
    levels = [{ level = \"critical\", raise = RAISE }]\n";

fn rule(name: &str, raise: &str) -> String {
    ONE_RULE.replace("NAME", name).replace("RAISE", raise)
}

/// The next alert of a stream.
async fn next_alert(stream: &mut Streaming<SubscribeResponse>) -> Alert {
    loop {
        let message =
            tokio::time::timeout(PATIENCE, stream.message()).await.unwrap().unwrap().unwrap();
        if let Some(Message::Alerts(alerts)) = message.message {
            return alerts.alerts.into_iter().next().unwrap();
        }
    }
}

/// Asks for the policy until it is as wanted.
async fn policy_until(
    channel: &Channel,
    wanted: impl Fn(&GetPolicyResponse) -> bool,
) -> GetPolicyResponse {
    let ask = async {
        loop {
            let mut client = PolicyServiceClient::new(channel.clone());
            let policy = client.get_policy(GetPolicyRequest::default()).await.unwrap().into_inner();
            if wanted(&policy) {
                return policy;
            }
        }
    };
    tokio::time::timeout(PATIENCE, ask).await.unwrap()
}

async fn subscribe(channel: &Channel) -> Streaming<SubscribeResponse> {
    let request = SubscribeRequest { start: Start::Head.into(), ..SubscribeRequest::default() };
    AlertServiceClient::new(channel.clone()).subscribe(request).await.unwrap().into_inner()
}

async fn publish_gallium(channel: &Channel) {
    let mut request =
        lodewatch_testkit::server::batch(vec![report("gallium", "2024", &[("CHN", 0.9)])]);
    request.feed = "reload".into();
    FeedServiceClient::new(channel.clone()).publish(request).await.unwrap();
}

/// Makes `link` point elsewhere at once, as the kubelet does with `..data`.
fn swap(link: &Path, target: &Path) {
    let new = link.with_file_name("..swap");
    symlink(target, &new).unwrap();
    fs::rename(new, link).unwrap();
}

#[tokio::test]
async fn a_swapped_config_map_brings_other_rules_into_force() {
    let dir = tempfile::tempdir().unwrap();
    let (one, two, bad) = (dir.path().join("one"), dir.path().join("two"), dir.path().join("bad"));
    for (folder, text) in
        [(&one, rule("first", "0.8")), (&two, rule("second", "0.85")), (&bad, rule("third", "1.7"))]
    {
        fs::create_dir(folder).unwrap();
        fs::write(folder.join("lodewatch.toml"), text).unwrap();
    }
    let data = dir.path().join("..data");
    symlink(&one, &data).unwrap();
    let file = dir.path().join("lodewatch.toml");
    symlink("..data/lodewatch.toml", &file).unwrap();
    let process = Process::serve_with(&dir.path().join("data"), &file);
    let channel = lodewatch_client::connect(&process.address).await.unwrap();
    publish_gallium(&channel).await;
    let mut stream = subscribe(&channel).await;

    swap(&data, &two);
    let cleared = next_alert(&mut stream).await;
    assert_eq!((&*cleared.rule, cleared.cause.unwrap().kind()), ("first", CauseKind::Policy));
    let policy =
        policy_until(&channel, |policy| policy.policy.as_ref().unwrap().rules[0].name == "second")
            .await;
    assert_eq!(policy.settings_error, "");
    let version = policy.policy.unwrap().version;

    swap(&data, &bad);
    let rejected = policy_until(&channel, |policy| !policy.settings_error.is_empty()).await;
    assert!(
        rejected.settings_error.contains("rules[0].levels[0].raise = 1.7"),
        "{}",
        rejected.settings_error
    );
    let policy = rejected.policy.unwrap();
    assert_eq!(
        (&*policy.rules[0].name, policy.version),
        ("second", version),
        "the previous rules stay in force"
    );

    swap(&data, &two);
    policy_until(&channel, |policy| policy.settings_error.is_empty()).await;
}

#[tokio::test]
async fn sighup_brings_other_rules_into_force_at_once() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("lodewatch.toml");
    let never = |text: String| text.replace("100ms", "0s");
    fs::write(&file, never(rule("first", "0.8"))).unwrap();
    let process = Process::serve_with(&dir.path().join("data"), &file);
    let channel = lodewatch_client::connect(&process.address).await.unwrap();
    fs::write(&file, never(rule("second", "0.8"))).unwrap();
    let kill = Command::new("kill").args(["-HUP", &process.id().to_string()]).status().unwrap();
    assert!(kill.success());
    policy_until(&channel, |policy| policy.policy.as_ref().unwrap().rules[0].name == "second")
        .await;
}
