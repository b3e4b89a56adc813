//! Tests of lists that end early.

use super::tests::{everything, open, pages, query, record};
use super::{AlertQuery, AlertRecord, Error};
use lodewatch_core::domain::{Country, Filter, Seq};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

#[test]
fn a_list_ends_early_after_the_alerts_that_it_may_examine() {
    const ALERTS: u64 = 100;
    let dir = tempfile::tempdir().unwrap();
    let mut archive = open(dir.path());
    let rare = Country::from_alpha3("TUV").unwrap();
    let records: Vec<AlertRecord> = (1..=ALERTS)
        .map(|sequence| {
            let mut record = record(sequence, sequence);
            record.facets.countries = if sequence == 3 { vec![rare] } else { Vec::new() };
            record.facets.exercise = false;
            record
        })
        .collect();
    archive.commit(Seq(ALERTS), &records).unwrap();
    let reader = archive.reader();
    let filter = Filter { countries: BTreeSet::from([rare]), ..Filter::default() };
    let rare = AlertQuery { filter, newest_first: true, examined_max: 30, ..query(Seq(ALERTS)) };
    assert_eq!(pages(&reader, rare.clone()), [vec![], vec![], vec![], vec![3]]);
    let list = reader.list(&rare, || false).unwrap();
    assert_eq!((list.examined, list.next_after), (30, Some(71)));
    // Alerts that an index skips are not examined.
    let of_episode = AlertQuery { episode: Some(records[2].episode), ..rare };
    let list = reader.list(&of_episode, || false).unwrap();
    let of_it = records.iter().filter(|record| record.episode == records[2].episode).count();
    assert_eq!((list.records.len(), list.examined), (1, of_it));
}

#[test]
fn a_list_whose_caller_is_gone_ends() {
    const ALERTS: u64 = 10_000;
    let dir = tempfile::tempdir().unwrap();
    let mut archive = open(dir.path());
    let records: Vec<AlertRecord> =
        (1..=ALERTS).map(|sequence| record(sequence, sequence)).collect();
    archive.commit(Seq(ALERTS), &records).unwrap();
    let reader = archive.reader();
    let filter = Filter {
        countries: BTreeSet::from([Country::from_alpha3("TUV").unwrap()]),
        ..everything()
    };
    let rare = AlertQuery { filter, ..query(Seq(ALERTS)) };
    let asked = Arc::new(AtomicU64::new(0));
    let count = |gone_at: u64| {
        asked.store(0, Ordering::Relaxed);
        let asked = Arc::clone(&asked);
        move || asked.fetch_add(1, Ordering::Relaxed) + 1 >= gone_at
    };
    assert_eq!(reader.list(&rare, count(u64::MAX)).unwrap().examined, 10_000);
    let of_all = asked.load(Ordering::Relaxed);
    assert!(of_all > 10, "it is asked often: {of_all}");
    let ended = reader.list(&rare, count(2)).unwrap_err();
    assert!(matches!(ended, Error::Cancelled { .. }), "{ended}");
    assert_eq!(asked.load(Ordering::Relaxed), 2, "it ends at once");
    // The next reader of the connection is not disturbed.
    assert_eq!(reader.list(&rare, || false).unwrap().examined, 10_000);
}
