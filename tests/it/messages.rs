//! Every message of every method is at most 1 MiB, and every status at most 8 KiB, over a state
//! that is made to be large.

use crate::large_state::{
    MINERALS, THREATS, big_policy, big_report, countries, hostile, minerals, raising_rules,
    threat_id, world,
};
use bytes::{Buf, Bytes};
use http::{HeaderMap, Request};
use http_body_util::{BodyExt, Full};
use lodewatch_proto::v1::subscribe_response::Message as Event;
use lodewatch_proto::v1::update::Update as Kind;
use lodewatch_proto::v1::{
    AlertFilter, BacktestRequest, GetAlertRequest, GetMarketRequest, GetMarketResponse,
    GetPolicyRequest, GetPolicyResponse, GetThreatRequest, ListAlertsRequest, ListAlertsResponse,
    ListMarketsRequest, ListMarketsResponse, ListThreatsRequest, ListThreatsResponse, Policy,
    PublishRequest, PublishStreamRequest, Rule, SimulateRequest, SimulateResponse, Stage, Start,
    SubscribeRequest, SubscribeResponse, ThreatRemoval, Update, WatchMarketsRequest,
    WatchMarketsResponse,
};
use lodewatch_testkit::PATIENCE;
use lodewatch_testkit::server::{Server, batch};
use prost::Message;
use prost_types::FileDescriptorProto;
use std::collections::BTreeSet;
use std::future::poll_fn;
use tonic::body::Body;
use tonic::transport::Channel;
use tonic::{Code, Status};
use tonic_health::pb::HealthCheckRequest;
use tonic_reflection::pb::v1::server_reflection_request::MessageRequest;
use tonic_reflection::pb::v1::server_reflection_response::MessageResponse;
use tonic_reflection::pb::v1::{ServerReflectionRequest, ServerReflectionResponse};
use tower_service::Service;

const MESSAGE_BYTES_MAX: usize = 1 << 20;
const TRAILERS_BYTES_MAX: usize = 8 << 10;
/// What one call returned.
struct Answer {
    messages: Vec<Bytes>,
    status: Status,
}

/// One call of a method: its requests, and which message is the last to read.
struct Case {
    requests: Vec<Vec<u8>>,
    is_last: fn(&[u8]) -> bool,
}

impl Case {
    fn of<M: Message>(request: &M) -> Self {
        Self::until(request, |_| false)
    }

    fn until<M: Message>(request: &M, is_last: fn(&[u8]) -> bool) -> Self {
        Self { requests: vec![request.encode_to_vec()], is_last }
    }

    /// Makes the call; checks every size.
    async fn call(&self, channel: &Channel, path: &str) -> Answer {
        let shown = path.get(..60).unwrap_or(path);
        let mut frames = Vec::new();
        for request in &self.requests {
            frames.push(0);
            frames.extend(u32::try_from(request.len()).unwrap().to_be_bytes());
            frames.extend(request);
        }
        let request = Request::post(path)
            .header("content-type", "application/grpc")
            .header("te", "trailers")
            .body(Body::new(Full::new(Bytes::from(frames))))
            .unwrap();
        let mut channel = channel.clone();
        poll_fn(|context| channel.poll_ready(context)).await.unwrap();
        let response = channel.call(request).await.unwrap();
        let (head, mut body) = response.into_parts();
        assert_trailers(shown, &head.headers);
        let mut answer = Answer {
            messages: Vec::new(),
            status: Status::from_header_map(&head.headers).unwrap_or(Status::ok("")),
        };
        let mut unread = bytes::BytesMut::new();
        while let Some(frame) = body.frame().await {
            match frame.unwrap().into_data() {
                Ok(data) => unread.extend_from_slice(&data),
                Err(frame) => {
                    let trailers = frame.into_trailers().unwrap();
                    assert_trailers(shown, &trailers);
                    answer.status = Status::from_header_map(&trailers).unwrap();
                }
            }
            while unread.len() >= 5 {
                let length = u32::from_be_bytes(unread[1..5].try_into().unwrap());
                let length = usize::try_from(length).unwrap();
                assert!(length <= MESSAGE_BYTES_MAX, "{shown}: a message of {length} bytes");
                if unread.len() < 5 + length {
                    break;
                }
                unread.advance(5);
                answer.messages.push(unread.split_to(length).freeze());
                if (self.is_last)(answer.messages.last().unwrap()) {
                    return answer;
                }
            }
        }
        answer
    }
}

fn assert_trailers(path: &str, headers: &HeaderMap) {
    let size: usize =
        headers.iter().map(|(name, value)| name.as_str().len() + value.len() + 32).sum();
    assert!(size <= TRAILERS_BYTES_MAX, "{path}: a status of {size} bytes: {headers:?}");
}

/// A few thousand characters that need three bytes each in a header.
fn long() -> String {
    "\u{df}?".repeat(3000)
}

fn caught_up(message: &[u8]) -> bool {
    let message = SubscribeResponse::decode(message).unwrap().message;
    matches!(message, Some(Event::CaughtUp(_)))
}

fn complete(message: &[u8]) -> bool {
    !WatchMarketsResponse::decode(message).unwrap().more
}

fn first(_: &[u8]) -> bool {
    true
}

/// The cases of every method: at first of batches, alerts and policies.
fn cases(path: &str) -> Vec<Case> {
    match path {
        "/lodewatch.v1.FeedService/Publish" => batches().iter().map(Case::of).collect(),
        "/lodewatch.v1.FeedService/PublishStream" => {
            let sent = batches().into_iter();
            let sent =
                sent.map(|batch| PublishStreamRequest { batch: Some(batch) }.encode_to_vec());
            vec![Case { requests: sent.collect(), is_last: |_| false }]
        }
        "/lodewatch.v1.AlertService/Subscribe" => subscriptions(),
        "/lodewatch.v1.AlertService/ListAlerts" => {
            let bad = ListAlertsRequest { page_token: long(), ..ListAlertsRequest::default() };
            let filter =
                AlertFilter { rules: vec!["x".repeat(300); 1000], ..AlertFilter::default() };
            let names = ListAlertsRequest { filter: Some(filter), ..ListAlertsRequest::default() };
            vec![Case::of(&bad), Case::of(&names)]
        }
        "/lodewatch.v1.AlertService/GetAlert" => [1, u64::MAX]
            .map(|sequence| GetAlertRequest { sequence, ..GetAlertRequest::default() })
            .iter()
            .map(Case::of)
            .collect(),
        "/lodewatch.v1.PolicyService/GetPolicy" => {
            vec![
                Case::of(&GetPolicyRequest::default()),
                Case::of(&GetPolicyRequest { min_cursor: long() }),
            ]
        }
        "/lodewatch.v1.PolicyService/Simulate" => {
            let policy = Some(Policy { rules: raising_rules(), ..big_policy() });
            let destination = world();
            let updates = vec![big_report(&minerals()[0], "ZZZ", 2020, 90.0)];
            let big =
                SimulateRequest { policy, updates, destination, ..SimulateRequest::default() };
            vec![
                Case::of(&big),
                Case::of(&SimulateRequest { until: long(), ..SimulateRequest::default() }),
            ]
        }
        "/lodewatch.v1.PolicyService/Backtest" => {
            let policy = Some(Policy { rules: raising_rules(), ..big_policy() });
            let bad = Some(Policy { sources: vec![long(); 100], ..Policy::default() });
            [policy, bad]
                .map(|policy| BacktestRequest { policy, ..BacktestRequest::default() })
                .iter()
                .map(Case::of)
                .collect()
        }
        _ => more_cases(path),
    }
}

/// The cases of markets and of services that are not ours.
fn more_cases(path: &str) -> Vec<Case> {
    match path {
        "/lodewatch.v1.MarketService/ListMarkets" => {
            vec![Case::of(&ListMarketsRequest {
                destination: long(),
                ..ListMarketsRequest::default()
            })]
        }
        "/lodewatch.v1.MarketService/GetMarket" => minerals()
            .into_iter()
            .chain([long()])
            .map(|mineral| {
                let (stage, destination) = (Stage::Refining.into(), world());
                GetMarketRequest { mineral, stage, destination, ..GetMarketRequest::default() }
            })
            .map(|request| Case::of(&request))
            .collect(),
        "/lodewatch.v1.MarketService/WatchMarkets" => {
            let all =
                WatchMarketsRequest { destination: world(), ..WatchMarketsRequest::default() };
            let bad = WatchMarketsRequest { minerals: vec![long(); 1000], ..all.clone() };
            vec![Case::until(&all, complete), Case::of(&bad)]
        }
        "/lodewatch.v1.MarketService/ListThreats" => {
            vec![Case::of(&ListThreatsRequest {
                min_cursor: long(),
                ..ListThreatsRequest::default()
            })]
        }
        "/lodewatch.v1.MarketService/GetThreat" => ["x".repeat(300), long(), threat_id(0)]
            .map(|threat_id| GetThreatRequest { threat_id, ..GetThreatRequest::default() })
            .iter()
            .map(Case::of)
            .collect(),
        "/lodewatch.v1.ReplicaService/FetchArchive" => {
            vec![Case { requests: vec![Vec::new()], is_last: |_| false }]
        }
        "/grpc.health.v1.Health/Check" | "/grpc.health.v1.Health/Watch" => {
            [String::new(), long(), "x".repeat(1 << 20)]
                .map(|service| HealthCheckRequest { service })
                .iter()
                .map(|request| Case::until(request, first))
                .collect()
        }
        "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo"
        | "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo" => {
            // Both versions have the same messages.
            let symbols = ["lodewatch.v1.Alert".to_owned(), long(), "x".repeat(1 << 20)];
            let symbols = symbols.map(MessageRequest::FileContainingSymbol);
            let all = symbols.into_iter().chain([MessageRequest::ListServices(String::new())]);
            all.map(|one| Case::of(&reflection_request(one))).collect()
        }
        other => panic!("{other} has no case: a new method needs one"),
    }
}

fn subscriptions() -> Vec<Case> {
    let from = |start: Start, cursor: String| {
        let request =
            SubscribeRequest { start: start.into(), cursor, ..SubscribeRequest::default() };
        Case::until(&request, caught_up)
    };
    vec![
        from(Start::Snapshot, String::new()),
        from(Start::Oldest, String::new()),
        from(Start::Cursor, long()),
    ]
}

/// Batches that are rejected in as many words as possible, and one that is accepted.
fn batches() -> Vec<PublishRequest> {
    let removal = |threat_id: String| {
        let removal = ThreatRemoval { threat_id, revision: 0 };
        Update { update: Some(Kind::Removal(removal)) }
    };
    let removals =
        |name: &dyn Fn(usize) -> String| batch((0..1000).map(|n| removal(name(n))).collect());
    vec![
        removals(&|number| format!("R{number:063}")),
        removals(&|_| long()),
        removals(&|_| "x".repeat(300)),
        PublishRequest { request_id: long(), feed: long(), ..batch(vec![removal(long())]) },
        batch(vec![big_report(&minerals()[1], "ZZZ", 2021, 80.0)]),
    ]
}

fn reflection_request(request: MessageRequest) -> ServerReflectionRequest {
    ServerReflectionRequest { host: String::new(), message_request: Some(request) }
}

/// The methods of all services, as the server describes itself.
async fn described_methods(channel: &Channel) -> BTreeSet<String> {
    let path = "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo";
    let ask = async |request| {
        let answer = Case::of(&reflection_request(request)).call(channel, path).await;
        let response = ServerReflectionResponse::decode(&*answer.messages[0]).unwrap();
        response.message_response.unwrap()
    };
    let MessageResponse::ListServicesResponse(list) =
        ask(MessageRequest::ListServices(String::new())).await
    else {
        panic!("a list of services")
    };
    // Each version of reflection describes itself and not the other.
    let mut methods = BTreeSet::from([path.replace("v1", "v1alpha")]);
    for service in list.service.into_iter().map(|service| service.name) {
        let symbol = MessageRequest::FileContainingSymbol(service.clone());
        let MessageResponse::FileDescriptorResponse(files) = ask(symbol).await else {
            panic!("the file of {service}")
        };
        for file in files.file_descriptor_proto {
            let file = FileDescriptorProto::decode(&*file).unwrap();
            let is_it = |one: &&prost_types::ServiceDescriptorProto| {
                format!("{}.{}", file.package(), one.name()) == service
            };
            for method in file.service.iter().filter(is_it).flat_map(|one| &one.method) {
                methods.insert(format!("/{service}/{}", method.name()));
            }
        }
    }
    methods
}

#[tokio::test]
async fn no_message_of_any_method_exceeds_1_mib_and_no_status_8_kib() {
    let dir = tempfile::tempdir().unwrap();
    let server = hostile(&dir).await;
    let channel = server.channel.clone();
    let methods = described_methods(&channel).await;
    let known = lodewatch::access::METHODS.iter();
    let known = known.map(|method| format!("/{}/{}", method.service, method.name)).collect();
    assert_eq!(methods, known);
    for path in &methods {
        for (number, case) in cases(path).into_iter().enumerate() {
            let answer = tokio::time::timeout(PATIENCE, case.call(&channel, path)).await;
            let answer = answer.unwrap_or_else(|_| panic!("{path}, case {number}: no end"));
            assert_ne!(answer.status.code(), Code::Internal, "{path}: {:?}", answer.status);
            let is_cut = answer.status.message().contains("encoded message length too large");
            assert!(!is_cut, "{path}, case {number}: only the last resort cut it");
        }
    }
    for path in [format!("/lodewatch.v1.AlertService/{}", "x".repeat(6000)), "/x/y".to_owned()] {
        let answer = Case::of(&GetPolicyRequest::default()).call(&channel, &path).await;
        assert_eq!(answer.status.code(), Code::PermissionDenied, "{:?}", answer.status);
    }
    pages(&server).await;
    summaries(&channel).await;
    default_clients(&server).await;
    server.stop().await;
}

/// Lists go on to the end, page by page, and have everything once.
async fn pages(server: &Server) {
    let channel = &server.channel;
    let (mut token, mut threats, mut pages) = (String::new(), Vec::new(), 0);
    loop {
        let (page_token, page_size) = (token, 1000);
        let request = ListThreatsRequest { page_token, page_size, ..ListThreatsRequest::default() };
        let path = "/lodewatch.v1.MarketService/ListThreats";
        let answer = Case::of(&request).call(channel, path).await;
        let page = ListThreatsResponse::decode(&*answer.messages[0]).unwrap();
        (token, pages) = (page.next_page_token, pages + 1);
        threats.extend(page.threats.into_iter().map(|record| record.threat.unwrap().id));
        if token.is_empty() {
            break;
        }
    }
    assert_eq!(threats, (0..THREATS).map(threat_id).collect::<Vec<_>>());
    assert!(pages > 1);

    let (mut token, mut names) = (String::new(), Vec::new());
    loop {
        let (page_token, page_size, destination) = (token, 1000, world());
        let rest = ListMarketsRequest::default();
        let request = ListMarketsRequest { page_token, page_size, destination, ..rest };
        let path = "/lodewatch.v1.MarketService/ListMarkets";
        let answer = Case::of(&request).call(channel, path).await;
        let page = ListMarketsResponse::decode(&*answer.messages[0]).unwrap();
        token = page.next_page_token;
        let refined = page.markets.into_iter().filter(|one| one.stage() == Stage::Refining);
        names.extend(refined.map(|market| market.mineral));
        if token.is_empty() {
            break;
        }
    }
    assert!(minerals().iter().all(|one| names.iter().filter(|name| *name == one).count() == 1));

    let expected: Vec<u64> = server.all_alerts().await.iter().map(|one| one.sequence).collect();
    assert_eq!(expected, (1..=u64::try_from(expected.len()).unwrap()).collect::<Vec<_>>());
    for open_only in [false, true] {
        let (mut token, mut sequences) = (String::new(), Vec::new());
        loop {
            let (page_token, page_size) = (token, 1000);
            let rest = ListAlertsRequest::default();
            let request = ListAlertsRequest { page_token, page_size, open_only, ..rest };
            let path = "/lodewatch.v1.AlertService/ListAlerts";
            let answer = Case::of(&request).call(channel, path).await;
            let page = ListAlertsResponse::decode(&*answer.messages[0]).unwrap();
            token = page.next_page_token;
            sequences.extend(page.alerts.into_iter().map(|alert| alert.sequence));
            if token.is_empty() {
                break;
            }
        }
        sequences.reverse();
        let open = server.view.read_state(lodewatch_core::engine::State::open_alerts);
        let wanted = expected.iter().copied().filter(|one| !open_only || open.contains(one));
        assert_eq!(sequences, wanted.collect::<Vec<_>>(), "open_only: {open_only}");
    }
}

/// What does not fit is counted.
async fn summaries(channel: &Channel) {
    let destination = world();
    let request = GetMarketRequest {
        mineral: "alumina".into(),
        stage: Stage::Refining.into(),
        destination: destination.clone(),
        ..GetMarketRequest::default()
    };
    let path = "/lodewatch.v1.MarketService/GetMarket";
    let answer = Case::of(&request).call(channel, path).await;
    let market = GetMarketResponse::decode(&*answer.messages[0]).unwrap();
    let market = market.market.unwrap();
    assert_eq!((market.threat_effects.len(), market.threat_effects_omitted), (100, 50));
    assert_eq!((market.other_reports.len(), market.other_reports_omitted), (100, 50));
    assert_eq!(market.other_reports[0].period, "2009", "the newest come first");

    let answer = Case::of(&GetPolicyRequest::default())
        .call(channel, "/lodewatch.v1.PolicyService/GetPolicy")
        .await;
    let policy = GetPolicyResponse::decode(&*answer.messages[0]).unwrap().policy.unwrap();
    assert_eq!(policy.rules.len(), big_policy().rules.len(), "a policy is never cut");
    let everywhere =
        countries().into_iter().chain(big_policy().blocs.into_iter().map(|one| one.name));
    let everywhere: Vec<String> = everywhere.collect();
    let mut too_big = big_policy();
    too_big.rules = (0..200)
        .map(|number| Rule {
            name: format!("rule-{number}"),
            minerals: vec!["alumina".into()],
            stages: vec![Stage::Refining.into()],
            destinations: everywhere.clone(),
            ..raising_rules().remove(0)
        })
        .collect();
    let request = SimulateRequest { policy: Some(too_big), ..SimulateRequest::default() };
    let answer = Case::of(&request).call(channel, "/lodewatch.v1.PolicyService/Simulate").await;
    assert_eq!(answer.status.code(), Code::InvalidArgument);
    assert!(answer.status.message().contains("bytes together"), "{:?}", answer.status);

    let policy = Some(Policy { rules: raising_rules(), ..big_policy() });
    let request = SimulateRequest {
        policy,
        updates: minerals().iter().map(|one| big_report(one, "TEST", 2025, 0.1)).collect(),
        destination,
        ..SimulateRequest::default()
    };
    let answer = Case::of(&request).call(channel, "/lodewatch.v1.PolicyService/Simulate").await;
    let response = SimulateResponse::decode(&*answer.messages[0]).unwrap();
    assert_eq!(response.markets_total, u64::try_from(MINERALS).unwrap());
    assert!((1..MINERALS).contains(&response.markets.len()), "{}", response.markets.len());
    assert!(u64::try_from(response.alerts.len()).unwrap() < response.alerts_total);
    assert!(!response.alerts.is_empty());
}

/// Clients with the limit of 4 MiB that they have by default.
async fn default_clients(server: &Server) {
    let mut stream = server.subscribe(SubscribeRequest::default()).await.unwrap();
    let (alerts, end) = stream.until(|message| matches!(message, Event::SnapshotEnd(_))).await;
    let sequences: BTreeSet<u64> = alerts.iter().map(|alert| alert.sequence).collect();
    let open = server.view.read_state(lodewatch_core::engine::State::open_alerts);
    assert_eq!(sequences, open);
    let count = match end.message {
        Some(Event::SnapshotEnd(end)) => end.count,
        _ => 0,
    };
    assert_eq!(count, u64::try_from(open.len()).unwrap());
    let request = WatchMarketsRequest { destination: world(), ..WatchMarketsRequest::default() };
    let mut watch = server.markets().watch_markets(request).await.unwrap().into_inner();
    let mut seen = BTreeSet::new();
    loop {
        let message = watch.message().await.unwrap().unwrap();
        for market in message.markets {
            assert!(seen.insert((market.mineral, market.stage)), "each market once");
        }
        if !message.more {
            break;
        }
    }
    assert!(seen.len() >= MINERALS);
}
