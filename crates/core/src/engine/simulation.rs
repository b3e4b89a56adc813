//! Simulations: what would happen, computed on a copy of the state. The state itself is not
//! changed.
//!
//! Every simulation has a [`WorkMeter`]: it stops once its budget is spent or its caller is gone,
//! and keeps of its alerts only the first that its filter wants.

use super::recent_batches::RecentBatches;
use super::state::{AlertSink, State};
use super::work::{WorkMeter, WorkStop};
use crate::domain::outcome::{BatchOutcome, RejectedBatch};
use crate::domain::update::{Batch, Payload};
use crate::domain::{Alert, Day, Entry, Facets, Filter, Policy, Timestamp};
use std::sync::Arc;

/// What to simulate, in this order: a policy, then a batch, then time.
#[derive(Debug, Default)]
pub struct SimulationInput {
    /// The policy to adopt.
    pub policy: Option<Arc<Policy>>,
    /// The batch to apply.
    pub batch: Option<Batch>,
    /// The day until whose end time passes.
    pub until: Option<Day>,
}

/// Why a simulation has no result.
#[derive(Debug)]
pub enum SimulationError {
    /// Why the batch was rejected.
    Rejected(RejectedBatch),
    /// It was stopped.
    Stopped {
        /// Why.
        stop: WorkStop,
        /// The evaluations made until then.
        evaluations: u64,
        /// The journal's time that it reached.
        reached: Timestamp,
    },
}

/// A copy of a state, and the alerts emitted since.
#[derive(Debug)]
pub struct Simulation {
    /// The simulated state.
    pub state: State,
    /// The first alerts that the filter wants, in order.
    pub alerts: Vec<Alert>,
    /// How many alerts the filter wants in all.
    pub alerts_total: u64,
    filter: Filter,
    alerts_max: usize,
}

impl Simulation {
    /// Starts from a [`State::branch`]; keeps the first `alerts_max` alerts that a filter wants.
    pub fn new(state: State, work: WorkMeter, filter: Filter, alerts_max: usize) -> Self {
        let state = State { work, ..state };
        Self { state, alerts: Vec::new(), alerts_total: 0, filter, alerts_max }
    }

    /// Applies an input.
    ///
    /// # Errors
    ///
    /// [`SimulationError`]: the state must not be used then.
    pub fn apply(&mut self, input: SimulationInput) -> Result<(), SimulationError> {
        let SimulationInput { policy, batch, until } = input;
        let now = self.state.now();
        if let Some(policy) = policy {
            let revision = self.state.adopted().map_or(0, |adopted| adopted.revision);
            self.apply_entry(now, Payload::PolicyAdopted { revision, policy })?;
        }
        if let Some(batch) = batch {
            let (sender, id) = (batch.sender.clone(), batch.request_id);
            self.apply_entry(now, Payload::Batch(batch))?;
            let sender = sender.as_ref().map(|sender| &*sender.name);
            let result = self.state.recent_batches().get(sender, id);
            if let Some(BatchOutcome::Rejected(rejected)) = result.map(|result| &result.outcome) {
                return Err(SimulationError::Rejected(rejected.clone()));
            }
        }
        match until {
            Some(day) => self.apply_entry(day.end(), Payload::Tick { due: day.end() }),
            None => Ok(()),
        }
    }

    fn apply_entry(&mut self, at: Timestamp, payload: Payload) -> Result<(), SimulationError> {
        let Self { state, alerts, alerts_total, filter, alerts_max } = self;
        state.simulate_entry(at, payload, &mut |alert| {
            if filter.wants(&Facets::from(&alert)) {
                *alerts_total = alerts_total.saturating_add(1);
                if alerts.len() < *alerts_max {
                    alerts.push(alert);
                }
            }
        })
    }
}

impl State {
    /// A copy for a simulation: without the results of batches, which are most of a state's bytes.
    #[must_use]
    pub fn branch(&self) -> Self {
        Self {
            seq: self.seq,
            now: self.now,
            last_alert: self.last_alert,
            adopted: self.adopted.clone(),
            markets: self.markets.clone(),
            threats: self.threats.clone(),
            plans: self.plans.clone(),
            recent_batches: RecentBatches::default(),
            deadlines: self.deadlines.clone(),
            usage: self.usage.clone(),
            work: WorkMeter::default(),
        }
    }

    /// Before the first entry, for a replay within a budget.
    pub fn metered(work: WorkMeter) -> Self {
        Self { work, ..Self::default() }
    }

    /// What was spent of the budget.
    pub fn work(&self) -> &WorkMeter {
        &self.work
    }

    /// Lets time pass until an instant, unless that has passed. No entry of the journal follows.
    ///
    /// # Errors
    ///
    /// [`SimulationError::Stopped`].
    pub fn advance_to(&mut self, at: Timestamp) -> Result<(), SimulationError> {
        self.simulate_entry(at, Payload::Tick { due: at }, &mut |_| {})
    }

    /// Applies an entry that is not in the journal, at an instant or now.
    fn simulate_entry(
        &mut self,
        at: Timestamp,
        payload: Payload,
        sink: AlertSink<'_>,
    ) -> Result<(), SimulationError> {
        let entry = Entry { seq: self.seq.next(), at: at.max(self.now), payload };
        self.apply_with(&entry, sink);
        self.check_work()
    }

    /// # Errors
    ///
    /// [`SimulationError::Stopped`] where the work was stopped: the state must not be used then.
    pub fn check_work(&self) -> Result<(), SimulationError> {
        match self.work.stop() {
            None => Ok(()),
            Some(stop) => {
                let (evaluations, reached) = (self.work.spent(), self.now);
                Err(SimulationError::Stopped { stop, evaluations, reached })
            }
        }
    }
}

/// A journal's history under another policy.
#[derive(Debug)]
pub struct Backtest {
    state: State,
    rejected: u64,
}

impl Backtest {
    /// Before the first entry, with the policy in force from the beginning.
    pub fn new(policy: Arc<Policy>, work: WorkMeter) -> Self {
        Self { state: State { work, ..State::under(policy) }, rejected: 0 }
    }

    /// Applies the next entry of the history, and passes on the alerts it would have caused.
    /// Policies of the history are ignored.
    ///
    /// # Errors
    ///
    /// [`SimulationError::Stopped`].
    pub fn replay(&mut self, entry: &Entry, sink: AlertSink<'_>) -> Result<(), SimulationError> {
        if matches!(entry.payload, Payload::PolicyAdopted { .. }) {
            let payload = Payload::Tick { due: entry.at };
            self.state.apply_with(&Entry { payload, ..*entry }, sink);
        } else {
            self.state.apply_with(entry, sink);
        }
        self.state.check_work()?;
        if let Payload::Batch(batch) = &entry.payload {
            let result = self.state.result_of(batch);
            let is_rejected = result.is_some_and(|one| {
                one.entry == entry.seq && matches!(one.outcome, BatchOutcome::Rejected(_))
            });
            self.rejected = self.rejected.saturating_add(u64::from(is_rejected));
        }
        Ok(())
    }

    /// The time of the last entry.
    pub fn now(&self) -> Timestamp {
        self.state.now()
    }

    /// What was spent of the budget.
    pub fn work(&self) -> &WorkMeter {
        self.state.work()
    }

    /// The number of batches rejected so far, under this policy or in the history.
    pub fn rejected_batches(&self) -> u64 {
        self.rejected
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::market::{Denominator, Figure, Period, ReportDraft, ReportDraftRow};
    use crate::domain::policy::{Destination, Level};
    use crate::domain::rule::{Metric, Threshold};
    use crate::domain::update::RequestId;
    use crate::domain::{Country, MarketKey, Mineral, Report, Rule, Seq, Slug, Stage, Update};
    use std::collections::BTreeSet;
    use std::sync::atomic::{AtomicU64, Ordering};

    const MARKETS: usize = 20;

    fn policy(raise_ppm: i64) -> Arc<Policy> {
        let rule = Rule {
            name: Slug::parse("top1").unwrap(),
            metric: Metric::Top1Share,
            minerals: Vec::new(),
            stages: Vec::new(),
            destinations: vec![Destination::All],
            measures: BTreeSet::new(),
            thresholds: vec![Threshold { level: Level::Watch, raise: raise_ppm, reset: raise_ppm }],
            for_ms: 0,
            keep_ms: 0,
            confidence: BTreeSet::new(),
            max_age_ms: None,
            flapping: None,
        };
        Arc::new(Policy { rules: vec![rule], ..Policy::default() })
    }

    /// Every market's largest share is half of it.
    fn state() -> State {
        let row = |code: &str| ReportDraftRow {
            country: Country::from_alpha3(code).unwrap(),
            figure: Figure::QuantityMilli(1000),
            estimated: false,
        };
        let report = |mineral| {
            let draft = ReportDraft {
                market: MarketKey { mineral, stage: Stage::Refining },
                source: Slug::parse("USGS").unwrap(),
                period: Period::Year(2024),
                vintage: Day::from_ymd(2025, 1, 1).unwrap(),
                unit: "t".into(),
                rows: vec![row("CHN"), row("USA")],
                residual: None,
                denominator: Denominator::SumOfRows,
                published_total_milli: None,
                url: "".into(),
            };
            Update::Report(Arc::new(Report::parse(draft).unwrap()))
        };
        let batch = Batch {
            request_id: RequestId(1),
            digest: 0,
            feed: Slug::parse("feed").unwrap(),
            exercise: false,
            updates: Mineral::all().take(MARKETS).map(report).collect(),
            sender: None,
            trace: None,
        };
        let mut state = State::under(policy(600_000));
        let at = Day::from_ymd(2025, 1, 2).unwrap().start();
        let alerts = state.apply(&Entry { seq: Seq(1), at, payload: Payload::Batch(batch) }).alerts;
        assert_eq!((state.markets().len(), alerts), (MARKETS, Vec::new()));
        state
    }

    fn adopt(raise_ppm: i64) -> SimulationInput {
        SimulationInput { policy: Some(policy(raise_ppm)), ..SimulationInput::default() }
    }

    fn run(work: WorkMeter, raise_ppm: i64) -> (Result<(), SimulationError>, Simulation) {
        let mut simulation = Simulation::new(state(), work, Filter::default(), 3);
        (simulation.apply(adopt(raise_ppm)), simulation)
    }

    #[test]
    fn work_ends_before_the_first_market_beyond_its_budget() {
        // One instance of the policy in force, and one of the new one, in each market.
        let all = 2 * u64::try_from(MARKETS).unwrap();
        let (result, simulation) = run(WorkMeter::new(all, || false), 700_000);
        assert!(result.is_ok());
        assert_eq!(simulation.state.work().spent(), all);
        let (result, _) = run(WorkMeter::new(all - 1, || false), 700_000);
        let Err(SimulationError::Stopped { stop, evaluations, .. }) = result else {
            panic!("it is stopped: {result:?}")
        };
        assert_eq!((stop, evaluations), (WorkStop::BudgetSpent, all - 2));
    }

    #[test]
    fn work_ends_before_the_next_market_once_its_caller_is_gone() {
        let asked = AtomicU64::new(0);
        let is_gone = move || asked.fetch_add(1, Ordering::Relaxed) == 3;
        let (result, _) = run(WorkMeter::new(u64::MAX, is_gone), 700_000);
        let Err(SimulationError::Stopped { stop, evaluations, .. }) = result else {
            panic!("it is stopped: {result:?}")
        };
        assert_eq!((stop, evaluations), (WorkStop::Cancelled, 6), "three markets");
    }

    #[test]
    fn alerts_beyond_the_first_are_only_counted() {
        let (result, simulation) = run(WorkMeter::new(u64::MAX, || false), 400_000);
        assert!(result.is_ok());
        assert_eq!(simulation.alerts.len(), 3);
        assert_eq!(simulation.alerts_total, u64::try_from(MARKETS).unwrap());
        let alert_cost = 64 * simulation.alerts_total;
        assert_eq!(simulation.state.work().spent(), 2 * simulation.alerts_total + alert_cost);
    }
}
