//! Lists of past alerts: pages that end early, and their limits.

use lodewatch_proto::v1::{AlertFilter, ListAlertsRequest};
use lodewatch_testkit::process;
use lodewatch_testkit::samples::{report, swing};
use lodewatch_testkit::server::Server;

#[tokio::test]
async fn a_rare_filter_ends_pages_early_and_every_alert_is_found() {
    const EXAMINED_MAX: usize = 5;
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start_with(dir.path(), "2026-01-01", |config| {
        config.server.examined_alerts_max = EXAMINED_MAX;
    })
    .await;
    server.publish(vec![report("tungsten", "2024", &[("VNM", 0.99)])]).await.unwrap();
    for turn in 0..20 {
        server.publish(vec![swing("gallium", turn)]).await.unwrap();
    }
    let filter = AlertFilter { countries: vec!["VNM".into()], ..AlertFilter::default() };
    let mut request = ListAlertsRequest { filter: Some(filter), ..ListAlertsRequest::default() };
    let (mut found, mut pages, mut empty) = (Vec::new(), 0, 0);
    loop {
        let page = server.alerts().list_alerts(request.clone()).await.unwrap().into_inner();
        pages += 1;
        empty += usize::from(page.alerts.is_empty());
        found.extend(page.alerts.into_iter().map(|alert| alert.sequence));
        if page.next_page_token.is_empty() {
            break;
        }
        request.page_token = page.next_page_token;
    }
    let all = server.all_alerts().await;
    assert!(pages >= all.len() / EXAMINED_MAX && empty > 0, "{pages} pages, {empty} of them empty");
    let wanted = all.iter().filter(|alert| alert.leaders.contains(&"VNM".to_owned()));
    let wanted: Vec<u64> = wanted.map(|alert| alert.sequence).rev().collect();
    assert_eq!(found, wanted);
    assert!(!found.is_empty());
    // The command goes on after empty pages.
    let address = server.address.clone();
    let listed = tokio::task::spawn_blocking(move || {
        process::run(&["alerts", "--country", "VNM", "--output", "json", "--address", &address])
    });
    let listed = String::from_utf8(listed.await.unwrap().stdout).unwrap();
    assert_eq!(listed.lines().count(), wanted.len(), "{listed}");
    server.stop().await;
}
