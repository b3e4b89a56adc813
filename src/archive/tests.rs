//! Tests of the archive.

use super::{AlertPage, AlertQuery, AlertRecord, Archive, ArchiveReader, Error};
use bytes::Bytes;
use lodewatch_core::domain::alert::Kind;
use lodewatch_core::domain::filter::Exercises;
use lodewatch_core::domain::policy::{Destination, Level};
use lodewatch_core::domain::{
    Country, Epoch, Facets, Filter, MarketKey, Mineral, Position, Seq, Slug, Stage, Timestamp,
};
use proptest::collection::{btree_set, vec};
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;
use rusqlite::Connection;
use std::collections::BTreeSet;
use std::path::Path;

pub(super) const EPOCH: Epoch = Epoch(u64::MAX - 7);
pub(super) const HEAD: Seq = Seq(1_000_000);

#[test]
fn committed_alerts_are_found_after_a_restart() {
    let (dir, records) = filled(&[1, 2, 0, 3]);
    let archive = open(dir.path());
    assert_eq!(archive.applied(), Seq(4));
    let reader = archive.reader();
    assert_eq!(all(&reader).records, records);
    assert_eq!(reader.get(3).unwrap().as_ref(), Some(&records[2]));
    assert_eq!(reader.get(7).unwrap(), None);
    let many = reader.get_page(&[6, 9, 1], usize::MAX, |_| true).unwrap();
    assert_eq!(many, (vec![records[5].clone(), records[0].clone()], 3));
}

#[test]
fn a_page_of_many_alerts_ends_at_its_bytes_and_says_how_far_it_is() {
    let (dir, records) = filled(&[1, 2, 0, 3]);
    let reader = open(dir.path()).reader();
    let sequences: Vec<u64> = records.iter().map(|record| record.sequence).collect();
    let (mut read, mut pages) = (Vec::new(), 0);
    let mut rest = sequences.as_slice();
    while !rest.is_empty() {
        let page = reader.get_page(rest, 1, |record| record.sequence != 2).unwrap();
        assert!(page.0.len() <= 1, "every alert is larger than the page");
        (pages, rest) = (pages + 1, &rest[page.1..]);
        read.extend(page.0.into_iter().map(|record| record.sequence));
    }
    assert_eq!((read, pages), (vec![1, 3, 4, 5, 6], 5));
}

#[test]
fn committing_the_same_again_changes_nothing() {
    let (dir, records) = filled(&[1, 2, 3]);
    let mut archive = open(dir.path());
    archive.commit(Seq(2), &records[..3]).unwrap();
    assert_eq!(archive.applied(), Seq(3), "applied does not go back");
    assert_eq!(all(&archive.reader()).records, records);
}

#[test]
fn a_read_stops_between_entries_and_continues_there() {
    let (dir, records) = filled(&[2, 2, 0, 2]);
    let reader = open(dir.path()).reader();
    // Every alert has 10 bytes.
    for (after, limit, found, reached) in [
        (at(0, 0), 1000, 0..6, at(4, 0)),
        (at(0, 0), 40, 0..4, at(3, 0)),
        (at(0, 0), 39, 0..2, at(1, 0)),
        (at(0, 0), 20, 0..2, at(1, 0)),
        (at(0, 0), 19, 0..1, at(0, 1)),
        (at(0, 1), 19, 1..2, at(1, 0)),
        (at(0, 1), 30, 1..4, at(3, 0)),
        (at(0, 9), 30, 2..4, at(3, 0)),
        (at(1, 0), 0, 2..3, at(1, 1)),
        (at(2, 0), 20, 4..6, at(4, 0)),
        (at(2, 1), 20, 4..6, at(4, 0)),
        (at(3, 1), 20, 5..6, at(4, 0)),
        (at(3, 2), 20, 6..6, at(4, 0)),
        (at(4, 0), 20, 6..6, at(4, 0)),
        (at(u64::MAX, 3), 20, 6..6, at(u64::MAX, 3)),
    ] {
        let page = reader.read(after, Seq(4), &everything(), limit).unwrap();
        let expected = AlertPage { records: records[found].to_vec(), reached };
        assert_eq!(page, expected, "after {after:?}, {limit} bytes");
    }
}

#[test]
fn a_read_stops_at_the_requested_entry() {
    let (dir, records) = filled(&[2, 2, 2]);
    let reader = open(dir.path()).reader();
    let page = reader.read(at(0, 0), Seq(2), &everything(), 1000).unwrap();
    assert_eq!(page, AlertPage { records: records[..4].to_vec(), reached: at(2, 0) });
}

#[test]
fn a_read_that_examines_many_alerts_stops_at_the_end_of_an_entry() {
    let (dir, _) = filled(&[40_000, 40_000, 70_000]);
    let reader = open(dir.path()).reader();
    let nothing = Filter { rules: BTreeSet::from([slug("none")]), ..everything() };
    let mut reached = vec![at(0, 0)];
    while reached.last() != Some(&at(3, 0)) {
        let page = reader.read(*reached.last().unwrap(), Seq(3), &nothing, 1000).unwrap();
        assert_eq!(page.records, []);
        reached.push(page.reached);
    }
    assert_eq!(reached, [at(0, 0), at(1, 0), at(2, 0), at(2, 65_536), at(3, 0)]);
}

#[test]
fn a_read_of_deleted_alerts_is_rejected_and_never_skips_them() {
    let (dir, records) = filled(&[1, 1, 1, 1]);
    let mut archive = open(dir.path());
    let reader = archive.reader();
    assert_eq!(reader.oldest(), Seq::ZERO);
    archive.prune(journal_time(3), &BTreeSet::from([1])).unwrap();
    assert_eq!(reader.oldest(), Seq(2));
    let read = |after| reader.read(at(after, 0), Seq(4), &everything(), 1000);
    assert!(matches!(read(1), Err(Error::Pruned { after: Seq(1), oldest: Seq(2) })));
    assert_eq!(read(2).unwrap().records, records[2..]);
    assert_eq!(reader.get(1).unwrap().as_ref(), Some(&records[0]), "kept for its episode");
    assert_eq!(reader.get(2).unwrap(), None);

    archive.commit(Seq(4), &records).unwrap();
    assert_eq!(reader.get(2).unwrap(), None, "a replay does not bring it back");
    archive.prune(journal_time(3), &BTreeSet::new()).unwrap();
    assert_eq!(reader.get(1).unwrap(), None, "its episode is over");
    drop(archive);
    assert_eq!(open(dir.path()).reader().oldest(), Seq(2));
}

#[test]
fn an_archive_above_its_size_limit_deletes_its_oldest_alerts_until_it_fits() {
    let (dir, _) = filled(&vec![1; 3000]);
    let mut archive = open(dir.path());
    let reader = archive.reader();
    archive.prune_to(1 << 30, &BTreeSet::new()).unwrap();
    assert_eq!(reader.oldest(), Seq::ZERO, "it fits");
    let mut oldest = Seq::ZERO;
    loop {
        archive.prune_to(200_000, &BTreeSet::from([1])).unwrap();
        if reader.oldest() == oldest {
            break;
        }
        oldest = reader.oldest();
    }
    assert!((Seq(100)..Seq(2900)).contains(&oldest), "{oldest}");
    assert!(reader.get(1).unwrap().is_some(), "kept for its episode");
    assert_eq!(reader.get(oldest.0).unwrap(), None);
    assert!(reader.get(oldest.next().0).unwrap().is_some());
    assert!(matches!(
        reader.read(at(oldest.0 - 1, 0), HEAD, &everything(), 1000),
        Err(Error::Pruned { .. })
    ));
    archive.reader().verify().unwrap();
}

/// All alerts up to an entry, three on a page.
pub(super) fn query(until_entry: Seq) -> AlertQuery {
    AlertQuery {
        filter: everything(),
        episode: None,
        newest_first: false,
        after_sequence: None,
        among: None,
        until_entry,
        limit: 3,
        limit_bytes: usize::MAX,
        examined_max: usize::MAX,
    }
}

/// The sequences on every page of a query.
pub(super) fn pages(reader: &ArchiveReader, mut query: AlertQuery) -> Vec<Vec<u64>> {
    let mut pages = Vec::new();
    loop {
        let list = reader.list(&query, || false).unwrap();
        pages.push(list.records.iter().map(|record| record.sequence).collect());
        if list.next_after.is_none() {
            return pages;
        }
        query.after_sequence = list.next_after;
    }
}

#[test]
fn the_history_is_listed_page_by_page_in_both_directions() {
    let (dir, records) = filled(&[2, 3, 2, 1]);
    let reader = open(dir.path()).reader();
    let listed = |newest_first| pages(&reader, AlertQuery { newest_first, ..query(Seq(3)) });
    assert_eq!(listed(false), [vec![1, 2, 3], vec![4, 5, 6], vec![7]]);
    assert_eq!(listed(true), [vec![7, 6, 5], vec![4, 3, 2], vec![1]]);
    let among = |newest_first| {
        let among = Some([1, 3, 4, 6, 7, 8, 99].into());
        pages(&reader, AlertQuery { newest_first, among, ..query(Seq(3)) })
    };
    assert_eq!(among(false), [vec![1, 3, 4], vec![6, 7]]);
    assert_eq!(among(true), [vec![7, 6, 4], vec![3, 1]]);
    let of_episode = AlertQuery { episode: Some(records[4].episode), ..query(Seq(3)) };
    let episode = reader.list(&of_episode, || false).unwrap().records;
    assert!(episode.iter().all(|record| record.episode == records[4].episode));
    assert!(episode.contains(&records[4]));

    let bytes = |count: usize| records[..count].iter().map(|one| one.bytes.len()).sum::<usize>();
    let within = |limit_bytes| pages(&reader, AlertQuery { limit_bytes, ..query(Seq(3)) });
    assert_eq!(within(bytes(2))[..2], [vec![1, 2], vec![3, 4]]);
    assert_eq!(within(0)[..2], [vec![1], vec![2]], "a page has at least one");
}

#[test]
fn an_unusable_file_is_rebuilt() {
    type Change = fn(&Path);
    let changes: [(&str, Change); 5] = [
        ("deleted", |path| std::fs::remove_file(path).unwrap()),
        ("garbage", |path| std::fs::write(path, "nonsense".repeat(999)).unwrap()),
        ("other version", |path| change(path, "PRAGMA user_version = 9")),
        ("no table", |path| change(path, "DROP TABLE meta")),
        ("changed", |path| change(path, "UPDATE meta SET applied = 1")),
    ];
    for (what, change) in changes {
        let (dir, _) = filled(&[1, 1]);
        change(&dir.path().join("archive.db"));
        let archive = open(dir.path());
        assert_eq!(archive.applied(), Seq::ZERO, "{what}");
        assert_eq!(all(&archive.reader()).records, [], "{what}");
        assert_eq!(latest_snapshot(&archive), None, "{what}");
    }
}

/// Saves a snapshot whose pieces have these lengths.
pub(super) fn save_snapshot(archive: &mut Archive, seq: u64, pieces: &[usize]) {
    let pieces = pieces.iter().map(|bytes| vec![7; *bytes]);
    archive.save_snapshot(Seq(seq), 9, pieces).unwrap();
}

/// The newest snapshot that can be read, with the lengths of its pieces.
pub(super) fn latest_snapshot(archive: &Archive) -> Option<(u64, Vec<usize>)> {
    archive.snapshots().unwrap().into_iter().find_map(|snapshot| {
        assert_eq!(snapshot.digest, 9);
        let pieces = archive.snapshot_pieces(&snapshot).map(|piece| match piece {
            Ok(bytes) => Some(bytes.len()),
            Err(Error::Damaged { .. }) => None,
            Err(error) => panic!("{error}"),
        });
        Some((snapshot.seq.0, pieces.collect::<Option<Vec<usize>>>()?))
    })
}

#[test]
fn the_newest_intact_snapshot_is_found() {
    let faults = [
        "UPDATE snapshot_pieces SET bytes = x'0707' WHERE seq = 3 AND piece = 1",
        "DELETE FROM snapshot_pieces WHERE seq = 3 AND piece = 1",
        "DELETE FROM snapshot_pieces WHERE seq = 3 AND piece = 2",
        "UPDATE snapshot_pieces SET piece = 9 WHERE seq = 3 AND piece = 0",
        "UPDATE snapshots SET pieces = 2 WHERE seq = 3",
        "UPDATE snapshots SET digest = 8 WHERE seq = 3",
    ];
    for fault in faults {
        let (dir, _) = filled(&[1, 1, 1]);
        let mut archive = open(dir.path());
        assert_eq!(latest_snapshot(&archive), None);
        save_snapshot(&mut archive, 1, &[100]);
        save_snapshot(&mut archive, 2, &[10_000, 20_000]);
        save_snapshot(&mut archive, 3, &[10_000, 20_000, 5]);
        assert_eq!(latest_snapshot(&archive), Some((3, vec![10_000, 20_000, 5])));
        change(&dir.path().join("archive.db"), fault);
        let before = Some((2, vec![10_000, 20_000]));
        assert_eq!(latest_snapshot(&archive), before, "the damaged one is skipped: {fault}");
    }
}

#[test]
fn pieces_of_old_snapshots_are_deleted() {
    let (dir, _) = filled(&[1, 1, 1, 1]);
    let mut archive = open(dir.path());
    for seq in 1..=4 {
        save_snapshot(&mut archive, seq, &[10, 20]);
    }
    // Again with fewer pieces.
    save_snapshot(&mut archive, 4, &[30]);
    let count = |select: &str| -> i64 {
        let connection = Connection::open(dir.path().join("archive.db")).unwrap();
        connection.query_row(select, [], |row| row.get(0)).unwrap()
    };
    assert_eq!(count("SELECT count(*) FROM snapshots"), 2);
    assert_eq!(count("SELECT count(*) FROM snapshot_pieces"), 3);
    assert_eq!(latest_snapshot(&archive), Some((4, vec![30])));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn the_file_and_the_filter_agree(
        facets in vec(facets(), 1..20),
        filter in filters(),
        limit in 1_usize..60,
    ) {
        let dir = tempfile::tempdir().unwrap();
        let mut archive = open(dir.path());
        let records: Vec<AlertRecord> = (1..).zip(facets)
            .map(|(sequence, facets)| {
                AlertRecord { facets, ..record(sequence, sequence.div_ceil(3)) }
            })
            .collect();
        let head = records.last().unwrap().entry;
        archive.commit(head, &records).unwrap();
        let wanted: Vec<AlertRecord> =
            records.into_iter().filter(|record| filter.wants(&record.facets)).collect();

        let mut read = Vec::new();
        let mut position = Position::default();
        while position.entry < head {
            let page = archive.reader().read(position, head, &filter, limit).unwrap();
            prop_assert!(page.reached > position);
            position = page.reached;
            read.extend(page.records);
        }
        prop_assert_eq!(&read, &wanted);

        let query = AlertQuery { filter, newest_first: true, limit: 100, ..query(head) };
        let mut listed = archive.reader().list(&query, || false).unwrap().records;
        listed.reverse();
        prop_assert_eq!(&listed, &wanted);
    }
}

fn facets() -> impl Strategy<Value = Facets> {
    (
        select(Kind::ALL),
        option::of(select(Level::ALL)),
        select(vec!["top1", "restricted"]).prop_map(slug),
        (minerals(), select(Stage::ALL)),
        option::of(destinations()),
        btree_set(countries(), 0..3),
        any::<bool>(),
    )
        .prop_map(|(kind, level, rule, (mineral, stage), destination, countries, exercise)| {
            Facets {
                kind,
                level,
                rule,
                market: MarketKey { mineral, stage },
                destination,
                countries: countries.into_iter().collect(),
                exercise,
            }
        })
}

fn filters() -> impl Strategy<Value = Filter> {
    let exercises = select(vec![Exercises::Exclude, Exercises::Include, Exercises::Only]);
    let of_market = (btree_set(minerals(), 0..3), btree_set(select(Stage::ALL), 0..2));
    let of_places = (btree_set(countries(), 0..2), btree_set(destinations(), 0..3));
    let rules = btree_set(select(vec!["top1", "restricted", "none"]).prop_map(slug), 0..2);
    let level = option::of(select(Level::ALL));
    (of_market, of_places, rules, level, btree_set(select(Kind::ALL), 0..3), exercises).prop_map(
        |(
            (minerals, stages),
            (countries, destinations),
            rules,
            minimum_level,
            kinds,
            exercises,
        )| {
            Filter {
                minerals,
                stages,
                countries,
                destinations,
                rules,
                minimum_level,
                kinds,
                exercises,
            }
        },
    )
}

fn minerals() -> impl Strategy<Value = Mineral> {
    select(vec!["gallium", "rare_earths", "rare_earths_magnet"])
        .prop_map(|slug| Mineral::parse(slug).unwrap())
}

fn countries() -> impl Strategy<Value = Country> {
    select(vec!["CHN", "COD", "RUS"]).prop_map(|code| Country::from_alpha3(code).unwrap())
}

fn destinations() -> impl Strategy<Value = Destination> {
    select(vec!["all", "any", "USA", "G7"]).prop_map(|text| Destination::parse(text).unwrap())
}

/// An archive whose entries have the listed numbers of alerts.
pub(super) fn filled(alerts: &[u64]) -> (tempfile::TempDir, Vec<AlertRecord>) {
    let dir = tempfile::tempdir().unwrap();
    let entries = (1..).zip(alerts);
    let entries = entries.flat_map(|(entry, alerts)| (0..*alerts).map(move |_| entry));
    let records: Vec<AlertRecord> =
        (1..).zip(entries).map(|(sequence, entry)| record(sequence, entry)).collect();
    let applied = Seq(u64::try_from(alerts.len()).unwrap());
    open(dir.path()).commit(applied, &records).unwrap();
    (dir, records)
}

pub(super) fn record(sequence: u64, entry: u64) -> AlertRecord {
    let mineral = Mineral::parse("gallium").unwrap();
    AlertRecord {
        sequence,
        entry: Seq(entry),
        episode: sequence.div_ceil(2),
        at: Timestamp::from_millis(-5),
        journal_time: journal_time(entry),
        facets: Facets {
            kind: Kind::Raised,
            level: Some(Level::Critical),
            rule: slug("restricted"),
            market: MarketKey { mineral, stage: Stage::Refining },
            destination: Some(Destination::All),
            countries: vec![Country::from_alpha3("CHN").unwrap()],
            exercise: false,
        },
        bytes: Bytes::from(format!("{sequence:010}")),
    }
}

fn journal_time(entry: u64) -> Timestamp {
    Timestamp::MIN.plus_millis(entry * 1000)
}

pub(super) fn open(dir: &Path) -> Archive {
    Archive::open(dir, EPOCH, HEAD).unwrap()
}

pub(super) fn all(reader: &ArchiveReader) -> AlertPage {
    reader.read(at(0, 0), HEAD, &everything(), usize::MAX).unwrap()
}

pub(super) fn everything() -> Filter {
    Filter { exercises: Exercises::Include, ..Filter::default() }
}

fn at(entry: u64, alerts: u32) -> Position {
    Position { entry: Seq(entry), alerts }
}

fn slug(text: &str) -> Slug {
    Slug::parse(text).unwrap()
}

fn change(path: &Path, sql: &str) {
    Connection::open(path).unwrap().execute_batch(sql).unwrap();
}
