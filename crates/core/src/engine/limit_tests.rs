//! What may be on record: the limits, what happens at each, and the removal of reports.

use super::State;
use crate::domain::alert::{Cause, Kind};
use crate::domain::calendar::Calendar;
use crate::domain::limit::{LimitExcess, RecordLimit};
use crate::domain::market::{Denominator, Figure, Period, ReportDraft, ReportDraftRow};
use crate::domain::outcome::BatchOutcome;
use crate::domain::policy::{Destination, Level, Policy};
use crate::domain::rule::{Metric, Threshold};
use crate::domain::threat::{Authority, Confidence, EndUse, Measure, Scope};
use crate::domain::update::{
    Rejection, Removal, ReportRemoval, RequestId, Sender, UpdateOutcome, WriteScope,
};
use crate::domain::{
    Alert, Batch, Country, Day, Entry, MarketKey, Mineral, Payload, Report, Rule, Slug, Stage,
    Threat, Update,
};
use crate::engine::Market;
use std::collections::BTreeSet;
use std::sync::Arc;

#[test]
fn a_feed_at_its_limit_is_rejected_and_others_are_not() {
    let mut journal = Journal::new();
    let max = RecordLimit::FeedThreats.max().items;
    for first in (0..max).step_by(1000) {
        let updates = (first..first + 1000).map(|id| threat(&format!("A-{id}"), "", 0));
        journal.accept("greedy", updates.collect());
    }
    let excess = journal.reject("greedy", vec![threat("A-NEW", "", 0)]);
    assert_eq!(excess.limit_name(), "feed_threats_max");
    assert_eq!(
        excess.to_string(),
        "the threats of feed greedy would be 5001, at most 5000 are allowed (feed_threats_max); \
         remove threats that are no longer needed"
    );
    journal.accept("other", vec![threat("B-0", "", 0)]);
    journal.accept("greedy", vec![threat("A-0", "", 2)]);
    journal.accept("greedy", vec![threat("A-0", "longer, within the same KiB", 3)]);
    // In order: room is made before it is used.
    journal.reject("greedy", vec![threat("A-NEW", "", 0), removal("A-1")]);
    journal.accept("greedy", vec![removal("A-1"), threat("A-NEW", "", 0)]);
    // A revision by another feed moves the threat to it.
    journal.operator = true;
    journal.accept("other", vec![threat("A-0", "", 9)]);
    journal.accept("greedy", vec![threat("A-NEWER", "", 0)]);
    let held = journal.state.usage()[&RecordLimit::FeedThreats];
    assert_eq!(held.items, max);
    assert_eq!(journal.state.usage()[&RecordLimit::Threats].items, max + 2);
}

#[test]
fn long_texts_reach_the_limit_on_bytes() {
    let mut journal = Journal::new();
    let title = "x".repeat(Threat::TEXT_MAX);
    let mut sent = 0_u64;
    let excess = loop {
        let updates = (sent..sent + 500).map(|id| evidence_of_16(&format!("A-{id}"), &title));
        sent += 500;
        match journal.publish("greedy", updates.collect()) {
            Ok(_) => {}
            Err(rejections) => break excess_of(&rejections),
        }
    };
    assert_eq!(excess.limit_name(), "feed_threats_bytes_max");
    let held = journal.state.usage()[&RecordLimit::FeedThreats];
    assert!(held.bytes <= RecordLimit::FeedThreats.max().bytes, "{held:?}");
    assert!(held.items < 1000, "{held:?}");
    journal.accept("other", vec![evidence_of_16("B-0", &title)]);
}

#[test]
fn sources_periods_and_releases_of_a_market_are_limited() {
    let mut journal = Journal::new();
    let of_source = |source: u64| report(&format!("S-{source}"), "2024", 1, 10);
    let feed_max = RecordLimit::MarketFeedSources.max().items;
    journal.accept("one", (0..feed_max).map(of_source).collect());
    let excess = journal.reject("one", vec![of_source(feed_max)]);
    assert_eq!(excess.limit_name(), "market_feed_sources_max");
    journal.accept("two", vec![of_source(feed_max)]);
    for source in feed_max + 1..RecordLimit::MarketSources.max().items {
        journal.accept(&format!("feed-{}", source % 8), vec![of_source(source)]);
    }
    let excess = journal.reject("two", vec![report("S-NEW", "2024", 1, 10)]);
    assert_eq!(excess.limit_name(), "market_sources_max");
    assert!(excess.to_string().contains("sources of all feeds on gallium refining"), "{excess}");
    journal.accept("one", vec![report("S-0", "2024", 2, 10), report("S-0", "2025", 3, 10)]);

    let periods = RecordLimit::SourcePeriods.max().items;
    let month = |at: u64| format!("{}-{:02}", 1950 + at / 12, at % 12 + 1);
    let held: BTreeSet<String> = (0..periods - 2).map(month).collect();
    let updates = held.iter().map(|period| report("S-1", period, 1, 10));
    journal.accept("one", updates.collect());
    journal.accept("one", vec![report("S-1", "2025", 1, 10)]);
    let excess = journal.reject("one", vec![report("S-1", "2023", 1, 10)]);
    assert_eq!(excess.limit_name(), "source_periods_max");
    journal.accept("one", vec![report("S-1", "2025", 2, 10)]);
}

#[test]
fn at_the_limit_a_release_takes_the_place_of_the_oldest_of_its_period() {
    let mut journal = Journal::new();
    let max = RecordLimit::MarketFeedReports.max().items;
    let releases = u64::try_from(Market::RELEASES_MAX).unwrap();
    let mut updates = Vec::new();
    'all: for year in 1900_u64.. {
        for release in 1..=if year == 1900 { 1 } else { releases } {
            if u64::try_from(updates.len()).unwrap() == max {
                break 'all;
            }
            updates.push(report("USGS", &year.to_string(), i8::try_from(release).unwrap(), 10));
        }
    }
    for batch in updates.chunks(1000) {
        journal.accept("one", batch.to_vec());
    }
    let excess = journal.reject("one", vec![report("USGS", "2040", 1, 10)]);
    assert_eq!(excess.limit_name(), "market_feed_reports_max");
    assert_eq!(
        journal.accept("one", vec![report("USGS", "1900", 9, 11)]),
        [UpdateOutcome::Applied]
    );
    let older = journal.accept("one", vec![report("USGS", "1900", 5, 12)]);
    assert_eq!(older, [UpdateOutcome::Superseded]);
    let market = &journal.state.markets()[&gallium()];
    let of_1900 = market.reports().filter(|one| one.report.period() == Period::Year(1900));
    let days: Vec<Day> = of_1900.map(|one| one.report.vintage()).collect();
    assert_eq!(days, [day(9)]);
    assert_eq!(journal.state.usage()[&RecordLimit::MarketFeedReports].items, max);
}

#[test]
fn the_cost_of_an_update_does_not_depend_on_what_others_published() {
    let mut journal = Journal::new();
    for source in 0..RecordLimit::MarketSources.max().items {
        let periods =
            (1990..2020).map(|year| report(&format!("S-{source}"), &year.to_string(), 1, 10));
        journal.accept(&format!("feed-{source}"), periods.collect());
    }
    let batch = journal.batch("feed-0", vec![report("S-0", "2019", 2, 11)]);
    let changes = journal.state.review(&batch);
    assert_eq!(changes.rejections, []);
    assert_eq!(changes.sources.len(), 1);
    let (_, staged) = changes.sources.first_key_value().unwrap();
    assert_eq!(staged.staged_releases(), 2, "of 1,920 on record");
    assert!(changes.usage.len() <= 6, "{:?}", changes.usage);
    let untouched = |state: &State| -> Vec<*const Report> {
        let others = state.markets()[&gallium()].reports();
        let others = others.filter(|one| one.report.source().as_str() != "S-0");
        others.map(|one| Arc::as_ptr(&one.report)).collect()
    };
    let before = untouched(&journal.state);
    journal.accept("feed-0", vec![report("S-0", "2019", 2, 11)]);
    assert_eq!(untouched(&journal.state), before);
}

#[test]
fn a_removed_report_is_followed_by_the_next_and_the_last_one_by_none() {
    let mut journal = Journal::with_policy();
    journal.accept("one", vec![report("USGS", "2024", 1, 600), report("USGS", "2025", 1, 900)]);
    journal.accept("two", vec![report("BGS", "2025", 1, 100)]);
    let in_force = |state: &State| {
        let report = &state.markets()[&gallium()].report().report;
        format!("{} {}", report.source(), report.period())
    };
    assert_eq!(in_force(&journal.state), "USGS 2025");
    journal.alerts.clear();

    journal.accept("one", vec![report_removal("USGS", Some("2025"))]);
    assert_eq!(in_force(&journal.state), "USGS 2024");
    let sentence = crate::domain::sentence::render(&journal.alerts[0]);
    assert_eq!(journal.kinds(), [(Kind::Deescalated, true)]);
    assert!(sentence.contains("Cause: USGS report for 2025 removed."), "{sentence}");
    journal.accept("one", vec![report_removal("USGS", None)]);
    assert_eq!(in_force(&journal.state), "BGS 2025");
    assert_eq!(journal.kinds(), [(Kind::Cleared, true)]);

    journal.accept("one", vec![report("USGS", "2025", 1, 900)]);
    assert_eq!(journal.kinds(), [(Kind::Raised, false)]);
    journal.accept("two", vec![report_removal("BGS", None)]);
    assert_eq!(journal.kinds(), []);
    journal.accept("one", vec![report_removal("USGS", None)]);
    assert_eq!(journal.kinds(), [(Kind::Cleared, true)]);
    assert!(journal.state.markets().is_empty());
    assert!(journal.state.open_alerts().is_empty());
    assert_eq!(journal.state.next_deadline(), None);
    assert!(journal.state.usage().values().all(|held| held.items == 0));

    journal.accept("one", vec![report("USGS", "2025", 1, 900)]);
    assert_eq!(journal.kinds(), [(Kind::Raised, false)]);
}

#[test]
fn only_reports_on_record_are_removed_and_only_by_their_own_feed() {
    let mut journal = Journal::with_policy();
    journal.accept("one", vec![report("USGS", "2025", 1, 900)]);
    let unknown = [report_removal("BGS", None), report_removal("USGS", Some("2024"))];
    for update in unknown {
        let rejections = journal.publish("one", vec![update]).unwrap_err();
        assert!(matches!(rejections[..], [Rejection::UnknownReport { .. }]), "{rejections:?}");
    }
    let rejections = journal.publish("two", vec![report_removal("USGS", None)]).unwrap_err();
    assert!(matches!(rejections[..], [Rejection::ReportOwnedByOtherFeed { .. }]));
    // Twice in one batch, the second removes nothing.
    let twice = vec![report_removal("USGS", None), report_removal("USGS", None)];
    let rejections = journal.publish("one", twice).unwrap_err();
    assert!(matches!(rejections[..], [Rejection::UnknownReport { update: 1, .. }]));
    // Replaced in one batch, it never was away.
    journal.alerts.clear();
    let replaced = vec![report_removal("USGS", None), report("USGS", "2025", 1, 900)];
    journal.accept("one", replaced);
    assert_eq!(journal.kinds(), []);
    // What is published and removed in one batch leaves nothing.
    let passing = vec![report("BGS", "2025", 1, 900), report_removal("BGS", None)];
    journal.accept("two", passing);
    assert_eq!(journal.state.usage()[&RecordLimit::MarketSources].items, 1);
    journal.operator = true;
    journal.accept("desk", vec![report_removal("USGS", None)]);
    assert!(journal.state.markets().is_empty());
}

#[test]
fn a_threat_that_no_longer_concerns_a_market_is_withdrawn_there() {
    let mut journal = Journal::with_policy();
    journal.accept("one", vec![report("USGS", "2025", 1, 100)]);
    journal.alerts.clear();
    for round in 0..3 {
        let id = format!("T-{round}");
        journal.accept("one", vec![threat(&id, "", 0)]);
        assert_eq!(journal.kinds(), [(Kind::Notice, false)]);
        journal.accept("one", vec![about(threat(&id, "", 0), "cobalt")]);
        assert_eq!(journal.kinds(), [(Kind::Notice, false)]);
        journal.accept("one", vec![removal(&id)]);
        assert_eq!(journal.kinds(), []);
    }
    assert!(journal.state.markets()[&gallium()].noticed.is_empty());
}

struct Journal {
    state: State,
    alerts: Vec<Alert>,
    operator: bool,
}

impl Journal {
    fn new() -> Self {
        Self { state: State::default(), alerts: Vec::new(), operator: false }
    }

    /// A rule with two levels on the largest share, and notices.
    fn with_policy() -> Self {
        let level = |level, raise| Threshold { level, raise, reset: raise };
        let rule = Rule {
            name: slug("top1"),
            metric: Metric::Top1Share,
            minerals: Vec::new(),
            stages: Vec::new(),
            destinations: vec![Destination::All],
            measures: BTreeSet::new(),
            thresholds: vec![level(Level::Warning, 500_000), level(Level::Critical, 800_000)],
            for_ms: 0,
            keep_ms: 0,
            confidence: BTreeSet::new(),
            max_age_ms: Some(86_400_000 * 10_000),
            flapping: None,
        };
        let policy = Policy {
            rules: vec![rule],
            sources: vec![slug("USGS")],
            notice_share_min: crate::domain::Ppm::new(1),
            ..Policy::default()
        };
        let mut journal = Self::new();
        journal.apply(Payload::PolicyAdopted { revision: 0, policy: Arc::new(policy) });
        journal
    }

    fn apply(&mut self, payload: Payload) {
        let (seq, at) = (self.state.seq().next(), Day::from_ymd(2026, 1, 1).unwrap().start());
        self.alerts.extend(self.state.apply(&Entry { seq, at, payload }).alerts);
        let snapshot = self.state.to_snapshot();
        if snapshot.len() < 100_000 {
            let restored = State::from_snapshot(&snapshot).unwrap();
            assert_eq!(restored.usage, self.state.usage);
            assert_eq!(restored.to_snapshot(), snapshot);
            self.state = restored;
        }
    }

    fn batch(&self, feed: &str, updates: Vec<Update>) -> Batch {
        let write_scope = (!self.operator).then_some(WriteScope { minerals: None });
        Batch {
            request_id: RequestId(self.state.seq().0.into()),
            digest: 0,
            feed: slug(feed),
            exercise: false,
            updates,
            sender: Some(Sender { name: feed.into(), write_scope }),
            trace: None,
        }
    }

    fn publish(
        &mut self,
        feed: &str,
        updates: Vec<Update>,
    ) -> Result<Vec<UpdateOutcome>, Vec<Rejection>> {
        let batch = self.batch(feed, updates);
        let id = batch.request_id;
        self.apply(Payload::Batch(batch));
        match &self.state.recent_batches().get(Some(feed), id).unwrap().outcome {
            BatchOutcome::Accepted(outcomes) => Ok(outcomes.iter().collect()),
            BatchOutcome::Rejected(rejected) => Err(rejected.first().to_vec()),
        }
    }

    fn accept(&mut self, feed: &str, updates: Vec<Update>) -> Vec<UpdateOutcome> {
        self.publish(feed, updates).unwrap()
    }

    fn reject(&mut self, feed: &str, updates: Vec<Update>) -> LimitExcess {
        excess_of(&self.publish(feed, updates).unwrap_err())
    }

    /// The kinds of the alerts since the last call, and whether a removed report caused each.
    fn kinds(&mut self) -> Vec<(Kind, bool)> {
        let is_removal = |alert: &Alert| matches!(alert.cause, Cause::ReportRemoval { .. });
        let kinds = self.alerts.iter().map(|one| (one.kind, is_removal(one))).collect();
        self.alerts.clear();
        kinds
    }
}

fn excess_of(rejections: &[Rejection]) -> LimitExcess {
    match rejections.first() {
        Some(Rejection::LimitReached { excess, .. }) => (**excess).clone(),
        other => panic!("not a limit: {other:?}"),
    }
}

/// China's share is `milli` of 1,000.
fn report(source: &str, period: &str, vintage: i8, milli: u64) -> Update {
    let row = |code: &str, milli| ReportDraftRow {
        country: Country::from_alpha3(code).unwrap(),
        figure: Figure::QuantityMilli(milli),
        estimated: false,
    };
    let others = ["USA", "JPN", "DEU"].map(|code| row(code, (1000 - milli) / 3));
    let draft = ReportDraft {
        market: gallium(),
        source: slug(source),
        period: Period::parse(period).unwrap(),
        vintage: day(vintage),
        unit: "t".into(),
        rows: std::iter::once(row("CHN", milli)).chain(others).collect(),
        residual: None,
        denominator: Denominator::SumOfRows,
        published_total_milli: None,
        url: "".into(),
    };
    Update::Report(Arc::new(Report::parse(draft).unwrap()))
}

fn report_removal(source: &str, period: Option<&str>) -> Update {
    let period = period.map(|period| Period::parse(period).unwrap());
    Update::ReportRemoval(ReportRemoval { market: gallium(), source: slug(source), period })
}

fn removal(id: &str) -> Update {
    Update::Removal(Removal { threat: slug(id), revision: None })
}

fn threat(id: &str, title: &str, revision: u64) -> Update {
    Update::Threat(Arc::new(Threat {
        id: slug(id),
        state_act: None,
        title: title.into(),
        evidence: Vec::new(),
        imposing: Country::from_alpha3("CHN").unwrap(),
        authority: Authority::National,
        scope: Scope::All,
        end_use: EndUse::Any,
        minerals: vec![Mineral::parse("gallium").unwrap()],
        stages: Vec::new(),
        measure: Measure::Prohibition,
        quota: None,
        tax_rate: None,
        t_override: None,
        calendar: Calendar { announced: Day::from_ymd(2025, 1, 1), ..Calendar::default() },
        superseded_by: None,
        confidence: Confidence::Official,
        revision,
    }))
}

fn about(update: Update, mineral: &str) -> Update {
    let Update::Threat(threat) = update else { unreachable!() };
    let minerals = vec![Mineral::parse(mineral).unwrap()];
    Update::Threat(Arc::new(Threat { minerals, ..(*threat).clone() }))
}

fn evidence_of_16(id: &str, text: &str) -> Update {
    let Update::Threat(threat) = threat(id, text, 0) else { unreachable!() };
    let one = crate::domain::threat::Evidence {
        url: text.into(),
        publisher: text.into(),
        retrieved: None,
    };
    Update::Threat(Arc::new(Threat { evidence: vec![one; 16], ..(*threat).clone() }))
}

fn gallium() -> MarketKey {
    MarketKey { mineral: Mineral::parse("gallium").unwrap(), stage: Stage::Refining }
}

fn day(day: i8) -> Day {
    Day::from_ymd(2025, 6, day).unwrap()
}

fn slug(text: &str) -> Slug {
    Slug::parse(text).unwrap()
}
