//! Snapshots that cannot be saved: an alarm, while the server serves on.

use crate::exported::value;
use crate::world::World;
use lodewatch_testkit::samples::swing;
use rusqlite::Connection;

#[tokio::test]
async fn a_snapshot_that_fails_is_counted_and_the_server_serves_until_one_is_saved() {
    let world = World::start(|config| config.archive.snapshot_every_entries = 1).await;
    let publish = async |turn| world.server.publish(vec![swing("gallium", turn)]).await.unwrap();
    let metric = async |name: &str| value(&world.text().await, name);
    let is = |value: f64, expected: f64| (value - expected).abs() < f64::EPSILON;
    let execute = |sql: &str| {
        let archive = Connection::open(world.data_dir().join("archive.db")).unwrap();
        archive.execute_batch(sql).unwrap();
    };
    publish(0).await;
    // The next entry is applied after the snapshot of the one before.
    publish(1).await;
    let saved = metric("lodewatch_snapshot_entry").await;
    assert!(saved > 0.0 && is(metric("lodewatch_snapshot_failures_total").await, 0.0));

    execute(
        "CREATE TRIGGER broken BEFORE INSERT ON snapshot_pieces
         BEGIN SELECT RAISE(ABORT, 'a fault of the test'); END",
    );
    for turn in 2..5 {
        publish(turn).await;
    }
    let failures = metric("lodewatch_snapshot_failures_total").await;
    assert!(failures >= 2.0, "{failures}");
    assert!(metric("lodewatch_applied_entry").await > metric("lodewatch_snapshot_entry").await);

    execute("DROP TRIGGER broken");
    publish(5).await;
    publish(6).await;
    assert!(metric("lodewatch_snapshot_entry").await > saved + 3.0);

    // A stop without its last snapshot is a stop without an error.
    execute(
        "CREATE TRIGGER broken BEFORE INSERT ON snapshot_pieces
         BEGIN SELECT RAISE(ABORT, 'a fault of the test'); END",
    );
    publish(7).await;
    world.server.stop().await;
}
